//! What `/readyz` looks at.

use async_trait::async_trait;
use tokio::sync::watch;

use crate::amqp::Health;
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
