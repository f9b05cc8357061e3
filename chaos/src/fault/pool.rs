//! Workers that die, leave, fall asleep, and are replaced by others.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::LEASE;
use crate::pool::Pool;
use crate::row::Ground;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workers {
    Killed,
    /// Each is stopped in order, one after another, when a new one serves.
    RollingRestart,
    /// Stopped for longer than a lease, then woken.
    Paused,
    /// Workers of an earlier build and of this one take turns.
    TwoVersions,
}

impl Workers {
    pub(super) async fn strike(self, ground: &Ground<'_>) -> anyhow::Result<u32> {
        match self {
            Self::Killed => {
                sleep(Duration::from_millis(900)).await;
                let mut pool = ground.pool.lock().await;
                pool.kill_oldest().await?;
                pool.add(false).await?;
                Ok(1)
            }
            Self::RollingRestart => {
                let mut pool = ground.pool.lock().await;
                pool.add(false).await?;
                pool.stop_oldest().await?;
                Ok(1)
            }
            Self::TwoVersions => {
                let mut pool = ground.pool.lock().await;
                for old in [true, false] {
                    pool.add(old).await?;
                    pool.stop_oldest().await?;
                }
                Ok(2)
            }
            Self::Paused => pause(ground).await,
        }
    }
}

/// A worker falls asleep right before it records the end of an operation, and wakes up when others have done its work.
/// Another one sleeps wherever it happens to be: a request that it waits for has timed out when it wakes, so that it
/// would rarely write.
async fn pause(ground: &Ground<'_>) -> anyhow::Result<u32> {
    let mut pool = ground.pool.lock().await;
    let sleeper = match pool.sleeper() {
        Some(sleeper) => sleeper,
        None => pool.add_sleeper("pause:operation/end").await?,
    };
    let deadline = Instant::now() + Duration::from_secs(15);
    while !pool.is_asleep(sleeper) && Instant::now() < deadline {
        leave_it_to(sleeper, &pool).await?;
    }
    let other = rand::random_range(0..sleeper);
    pool.signal(other, "STOP").await?;
    sleep(LEASE + Duration::from_millis(1_200)).await;
    let times = if pool.is_asleep(sleeper) { 2 } else { 1 };
    pool.signal(sleeper, "CONT").await?;
    sleep(Duration::from_millis(300)).await;
    pool.signal(other, "CONT").await?;
    Ok(times)
}

/// The others stand still for less than a lease, so that what is due is this one's.
async fn leave_it_to(sleeper: usize, pool: &Pool) -> anyhow::Result<()> {
    for other in 0..sleeper {
        pool.signal(other, "STOP").await?;
    }
    let until = Instant::now() + LEASE / 2;
    while !pool.is_asleep(sleeper) && Instant::now() < until {
        sleep(Duration::from_millis(20)).await;
    }
    for other in 0..sleeper {
        pool.signal(other, "CONT").await?;
    }
    if !pool.is_asleep(sleeper) {
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}
