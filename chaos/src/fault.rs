//! What breaks, how it is broken again and again, and how it is mended.

mod broker;
mod cloud;
mod crowd;
mod database;
mod pool;

use std::time::{Duration, Instant};

use tokio::time::sleep;

pub(crate) use self::broker::Broker;
pub(crate) use self::cloud::Cloud;
pub(crate) use self::crowd::{Crowd, POISON, POISONED};
pub(crate) use self::database::Database;
pub(crate) use self::pool::Workers;
use crate::proxy::Proxy;
use crate::row::Ground;

/// How long the workers' lease is.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// What is done to the pool, or to what it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// Every request is sent three times.
    Copies,
    Workers(Workers),
    Broker(Broker),
    Database(Database),
    Cloud(Cloud),
    Crowd(Crowd),
}

impl Fault {
    /// How many copies of each request are sent.
    pub(crate) fn copies(self) -> u32 {
        if self == Self::Copies { 3 } else { 1 }
    }

    /// Whether an operation may end otherwise than asked, with the truth about it.
    pub(crate) fn may_fail(self) -> bool {
        matches!(self, Self::Cloud(_) | Self::Crowd(_))
    }

    /// The point at which all workers end themselves, if this is that fault.
    pub(crate) fn point(self) -> Option<String> {
        (self == Self::Crowd(Crowd::Poison)).then(|| format!("kill:request/{POISON}/begin"))
    }

    /// Strikes again and again until then. How often it struck.
    pub(crate) async fn strike(self, ground: &Ground<'_>, until: Instant) -> anyhow::Result<u32> {
        let mut times = 0;
        while Instant::now() < until {
            times += match self {
                Self::Nothing | Self::Copies => {
                    sleep(until.saturating_duration_since(Instant::now())).await;
                    1
                }
                Self::Workers(workers) => workers.strike(ground).await?,
                Self::Broker(broker) => broker.strike(ground).await?,
                Self::Database(database) => database.strike(ground).await?,
                Self::Cloud(cloud) => cloud.strike(ground).await?,
                Self::Crowd(_) => {
                    sleep(until.saturating_duration_since(Instant::now())).await;
                    0
                }
            };
            sleep(ground.servers.calm.min(until.saturating_duration_since(Instant::now()))).await;
        }
        Ok(times)
    }

    /// Leaves everything as it should be.
    pub(crate) async fn mend(self, ground: &Ground<'_>) -> anyhow::Result<()> {
        ground.sandbox.faults().clear();
        for proxy in [&ground.to_broker, &ground.to_database] {
            proxy.set_open(true);
            proxy.set_silent(false);
            proxy.swallow_commits(0);
        }
        ground.pool.lock().await.kill_sleeper().await?;
        match self {
            Self::Database(database) => database.mend(ground).await,
            Self::Nothing
            | Self::Copies
            | Self::Workers(_)
            | Self::Broker(_)
            | Self::Cloud(_)
            | Self::Crowd(_) => Ok(()),
        }
    }
}

/// Away for a moment, then back for a while.
async fn cut(proxy: &Proxy) {
    proxy.set_open(false);
    proxy.cut();
    sleep(Duration::from_millis(800)).await;
    proxy.set_open(true);
    sleep(Duration::from_millis(1200)).await;
}
