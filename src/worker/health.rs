//! What `/readyz` looks at, and what the broker's side of it is counted as.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::amqp::{Health, Publisher, ServerStats};
use crate::store::Store;
use crate::telemetry::http::HealthCheck;
use crate::telemetry::metrics;

/// The connection that requests come by, and the one that answers go by.
pub(super) struct Broker {
    pub(super) requests: watch::Receiver<Health>,
    pub(super) answers: Publisher,
}

#[async_trait]
impl HealthCheck for Broker {
    fn name(&self) -> &'static str {
        "broker"
    }

    async fn check(&self) -> Result<(), String> {
        match &*self.requests.borrow() {
            Health::Consuming if self.answers.is_blocked() => {
                Err("it is short of memory or disk and takes no messages; answers wait in the outbox"
                    .to_owned())
            }
            Health::Consuming => Ok(()),
            Health::Paused => Err("no requests are taken while they cannot be recorded".to_owned()),
            Health::Down(reason) => Err(reason.clone().unwrap_or_else(|| "not connected yet".to_owned())),
        }
    }
}

pub(super) struct Database(pub(super) Store);

#[async_trait]
impl HealthCheck for Database {
    fn name(&self) -> &'static str {
        "database"
    }

    async fn check(&self) -> Result<(), String> {
        self.0.ping().await.map_err(|error| error.to_string())
    }
}

/// A newer program may have migrated the database, or an operator forgot to.
pub(super) struct Migrations(pub(super) Store);

#[async_trait]
impl HealthCheck for Migrations {
    fn name(&self) -> &'static str {
        "migrations"
    }

    async fn check(&self) -> Result<(), String> {
        let status = self.0.migration_status().await.map_err(|error| error.to_string())?;
        if status.is_current() {
            return Ok(());
        }
        Err("the database's schema is not this program's; run `mesos-conductor db migrate`".to_owned())
    }
}

/// Shows the state of the connection that requests come by, and counts its losses.
pub(super) async fn count_broker(
    mut health: watch::Receiver<Health>,
    stats: Arc<ServerStats>,
    stop: CancellationToken,
) {
    let mut sessions = 0;
    loop {
        metrics::broker_connected(!matches!(&*health.borrow_and_update(), Health::Down(_)));
        let seen = stats.sessions.load(Ordering::Relaxed);
        // The first session is no reconnection.
        for _ in sessions.max(1)..seen {
            metrics::broker_reconnected();
        }
        sessions = seen;
        match stop.run_until_cancelled(health.changed()).await {
            Some(Ok(())) => {}
            Some(Err(_)) | None => return,
        }
    }
}

/// Whether the broker takes messages, told when it changes.
#[derive(Default)]
pub(super) struct Blocking {
    blocked: bool,
}

impl Blocking {
    pub(super) fn look(&mut self, publishers: &[&Publisher]) {
        let blocked = publishers.iter().any(|publisher| publisher.is_blocked());
        metrics::broker_blocked(blocked);
        match (self.blocked, blocked) {
            (false, true) => tracing::warn!(
                "the broker is short of memory or disk and takes no messages; what is to be said waits in the outbox"
            ),
            (true, false) => tracing::info!("the broker takes messages again"),
            (true, true) | (false, false) => {}
        }
        self.blocked = blocked;
    }
}
