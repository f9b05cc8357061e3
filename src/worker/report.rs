//! The worker's row in `magnum_service`, by which `magnum service-list` calls it up.

use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// The program's name in the row: Magnum's, whose place this worker takes.
const BINARY: &str = "magnum-conductor";

/// Reports again and again that this host's conductor is up.
pub(super) struct Reports {
    pub(super) store: Store,
    pub(super) host: String,
    pub(super) interval: Duration,
}

impl Reports {
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(self.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let report = self.store.report_up(&self.host, BINARY);
            match stop.run_until_cancelled(report).await {
                Some(Ok(())) => {}
                // The row grows old meanwhile, which tells the truth: nothing can be recorded.
                Some(Err(error)) => {
                    tracing::warn!(%error, "the report in magnum_service waits for the next time")
                }
                None => return,
            }
        }
    }
}
