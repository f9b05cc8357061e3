//! What `/readyz` looks at, and what the broker's side of it is counted as.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::amqp::{Health, ServerStats};
use crate::store::Store;
use crate::telemetry::http::HealthCheck;
use crate::telemetry::metrics;

/// The connection that requests come by.
pub(super) struct Broker(pub(super) watch::Receiver<Health>);

#[async_trait]
impl HealthCheck for Broker {
    fn name(&self) -> &'static str {
        "broker"
    }

    async fn check(&self) -> Result<(), String> {
        match &*self.0.borrow() {
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
