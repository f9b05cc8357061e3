//! What the pool does once per interval, however many workers it has.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::operation::runner::Workshop;
use crate::store::{self, Periodic, Turn};
use crate::telemetry::metrics;

/// Forgets what is past its retention, when it is this worker's turn.
pub(super) struct Purge {
    pub(super) shop: Arc<Workshop>,
    pub(super) retention: Duration,
    pub(super) every: Duration,
}

impl Purge {
    pub(super) async fn run(self, stop: CancellationToken) {
        loop {
            let pause = self.look().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "old records stay for now");
                self.every
            });
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Purges if it is due, and says how long it is not.
    async fn look(&self) -> Result<Duration, store::Error> {
        match self.shop.store.take_turn(Periodic::Purge, &self.shop.owner, self.every).await? {
            Turn::Later(rest) => Ok(rest),
            Turn::Ours => {
                let purged = self.shop.store.purge(self.retention).await?;
                tracing::debug!(records = purged.records, "old records are gone");
                if purged.replies > 0 {
                    tracing::warn!(
                        replies = purged.replies,
                        "replies that their queues did not take in all the time of [conductor] retention are dropped"
                    );
                    metrics::replies_dropped(purged.replies);
                }
                metrics::periodic_run(Periodic::Purge);
                // The next look says when the next turn is.
                Ok(Duration::ZERO)
            }
        }
    }
}
