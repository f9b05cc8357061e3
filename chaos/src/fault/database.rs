//! A database that restarts, refuses, gives way, has no room, and does not answer.

use std::time::Duration;

use tokio::time::sleep;

use super::cut;
use crate::row::Ground;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    Restarted,
    Cut,
    RefusesWrites,
    /// Transactions at the same rows give way to each other.
    Serializable,
    NoConnectionFree,
    CommitsUnanswered,
    DiskFull,
}

impl Database {
    pub(super) async fn strike(self, ground: &Ground<'_>) -> anyhow::Result<u32> {
        match self {
            Self::Restarted => {
                ground.servers.postgres.tell("restart").await?;
                sleep(Duration::from_secs(1)).await;
            }
            Self::Cut => cut(&ground.to_database).await,
            Self::RefusesWrites => {
                ground.alter("SET default_transaction_read_only = on").await?;
                sleep(Duration::from_millis(800)).await;
                ground.alter("RESET default_transaction_read_only").await?;
                sleep(Duration::from_millis(800)).await;
            }
            Self::Serializable => {
                ground.alter("SET default_transaction_isolation = 'serializable'").await?;
                sleep(Duration::from_secs(3)).await;
            }
            Self::NoConnectionFree => {
                ground.alter("CONNECTION LIMIT 3").await?;
                sleep(Duration::from_millis(1500)).await;
                ground.alter("CONNECTION LIMIT -1").await?;
                sleep(Duration::from_secs(1)).await;
            }
            Self::CommitsUnanswered => {
                let before = ground.to_database.swallowed();
                ground.to_database.swallow_commits(9);
                sleep(Duration::from_millis(500)).await;
                return Ok(ground.to_database.swallowed() - before);
            }
            Self::DiskFull => ground.fill_disk().await?,
        }
        Ok(1)
    }

    pub(super) async fn mend(self, ground: &Ground<'_>) -> anyhow::Result<()> {
        match self {
            Self::Serializable => ground.alter("RESET default_transaction_isolation").await,
            Self::DiskFull => ground.empty_disk(),
            Self::Restarted
            | Self::Cut
            | Self::RefusesWrites
            | Self::NoConnectionFree
            | Self::CommitsUnanswered => Ok(()),
        }
    }
}
