//! What `/readyz` looks at, and the watch that stops consuming while the database is away.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::amqp::{Health, Pause};
use crate::store::Store;
use crate::telemetry::http::HealthCheck;

/// The connection that requests come by.
pub(super) struct Broker(pub(super) watch::Receiver<Health>);

#[async_trait]
impl HealthCheck for Broker {
    fn name(&self) -> &'static str {
        "broker"
    }

    async fn check(&self) -> Result<(), String> {
        self.0.borrow().as_result()
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

/// Cancels the consumers while nothing could be recorded (I9: nothing is requeued in a loop), and lets them consume
/// again when the database is back.
pub(super) async fn watch_database(store: Store, pause: Pause, stop: CancellationToken) {
    let mut paused = pause.subscribe();
    loop {
        // The server pauses itself when a request could not be recorded; here it is only resumed.
        let waiting = async {
            drop(paused.wait_for(|paused| *paused).await);
            while store.ping().await.is_err() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        if stop.run_until_cancelled(waiting).await.is_none() {
            return;
        }
        tracing::info!("the database is back; requests are taken again");
        pause.resume();
    }
}
