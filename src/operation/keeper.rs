//! Keeps the leases of the operations that this worker is busy with, and tells when one is lost.
//!
//! **Invariant:** work goes on only while the lease surely holds: the local clock, which counts from before the last
//! renewal was asked for, ends the work no later than the database's clock ends the lease.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::operation::guard::{self, Guard};
use crate::operation::record::Lease;
use crate::store::{self, Store, Transaction};
use crate::telemetry::metrics;

/// What is taken off a lease for the answer's way back.
const MARGIN: Duration = Duration::from_millis(500);

pub(crate) struct Keeper {
    store: Store,
    lease: Duration,
    held: Mutex<HashMap<Uuid, Arc<Held>>>,
}

/// One lease that this worker holds.
pub(crate) struct Held {
    pub(crate) lease: Lease,
    length: Duration,
    renewed: Mutex<Instant>,
    /// Cancelled when the lease is lost or may be.
    pub(crate) lost: CancellationToken,
}

impl Held {
    /// How long the lease surely holds, less the time for an answer's way back.
    pub(crate) fn remaining(&self) -> Duration {
        let renewed = *self.renewed.lock().expect("no panic while the lock is held");
        (renewed + self.length)
            .saturating_duration_since(Instant::now())
            .saturating_sub(MARGIN.min(self.length / 4))
    }

    /// A transaction that proves and prolongs this lease.
    pub(crate) async fn begin(&self, store: &Store) -> Result<Transaction, store::Error> {
        let began = Instant::now();
        let tx = store.begin_held(&self.lease, self.length).await?;
        self.renewed_at(began);
        Ok(tx)
    }

    /// The lease was extended by a request that began then.
    pub(crate) fn renewed_at(&self, began: Instant) {
        let mut renewed = self.renewed.lock().expect("no panic while the lock is held");
        *renewed = began.max(*renewed);
    }
}

impl Keeper {
    pub(crate) fn new(store: Store, lease: Duration) -> Arc<Self> {
        Arc::new(Self { store, lease, held: Mutex::default() })
    }

    /// Takes charge of a lease that was asked for at `began`.
    pub(crate) fn hold(&self, lease: Lease, began: Instant) -> Arc<Held> {
        let held = Arc::new(Held {
            lease,
            length: self.lease,
            renewed: Mutex::new(began),
            lost: CancellationToken::new(),
        });
        self.lock().insert(held.lease.operation, Arc::clone(&held));
        held
    }

    /// Forgets a lease, and not a newer one that this worker has on the same operation by now.
    pub(crate) fn let_go(&self, held: &Arc<Held>) -> bool {
        let mut all = self.lock();
        let ours = all.get(&held.lease.operation).is_some_and(|kept| Arc::ptr_eq(kept, held));
        if ours {
            all.remove(&held.lease.operation);
        }
        ours
    }

    /// Renews until told to stop. Runs as one task of the worker.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(self.lease / 3);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => self.renew().await,
            }
        }
    }

    async fn renew(&self) {
        let held: Vec<_> = self.lock().values().cloned().collect();
        if held.is_empty() {
            return;
        }
        let began = Instant::now();
        let leases: Vec<_> = held.iter().map(|held| held.lease.clone()).collect();
        // A database that does not answer must not keep the expired leases from being noticed.
        let renewed = tokio::time::timeout(self.lease / 3, self.store.renew(&leases, self.lease)).await;
        match renewed {
            Ok(Ok(lost)) => {
                for held in &held {
                    if lost.contains(&held.lease.operation) {
                        self.lose(held);
                    } else {
                        held.renewed_at(began);
                    }
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "leases could not be renewed"),
            Err(_) => tracing::warn!("leases could not be renewed in time"),
        }
        for held in held.iter().filter(|held| held.remaining().is_zero()) {
            self.lose(held);
        }
    }

    /// Gives a lease up for lost; also told by whoever could not write under it.
    pub(crate) fn lose(&self, held: &Arc<Held>) {
        if self.let_go(held) && !guard::is_off(Guard::Fence) {
            tracing::warn!(operation = %held.lease.operation, "the lease is lost; another worker goes on");
            metrics::leases_lost(1);
            held.lost.cancel();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Arc<Held>>> {
        self.held.lock().expect("no panic while the lock is held")
    }
}
