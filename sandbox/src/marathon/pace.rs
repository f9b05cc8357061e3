//! How long things take, divided by the speed of the stand-in.

use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    speed: u32,
}

impl Pace {
    pub(crate) fn new(speed: u32) -> Self {
        Self { speed: speed.max(1) }
    }

    pub(crate) fn scaled(self, real: Duration) -> Duration {
        real / self.speed
    }

    pub(crate) fn seconds(self, seconds: f64) -> Duration {
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX) / self.speed
    }

    /// A scaled time as Marathon would tell it.
    pub(crate) fn told(self, scaled: Duration) -> Duration {
        scaled.saturating_mul(self.speed)
    }
}

/// Between the acceptance of a deployment and its first step.
pub(crate) const ACCEPTANCE: Duration = Duration::from_secs(1);
/// Between the queueing of an instance and the offer that is matched for it.
pub(crate) const OFFER: Duration = Duration::from_millis(500);
/// Between two offers that are declined.
pub(crate) const REVIVE: Duration = Duration::from_secs(5);
/// From `TASK_STAGING` to `TASK_RUNNING`.
pub(crate) const LAUNCH: Duration = Duration::from_secs(2);
/// From a kill to `TASK_KILLED`.
pub(crate) const KILL: Duration = Duration::from_secs(1);
/// Until an app whose deployment was cancelled by force is brought to its number of instances again.
pub(crate) const SCALE_APPS: Duration = Duration::from_secs(300);
/// From the loss of a leader to the election of the next.
pub(crate) const ELECTION: Duration = Duration::from_secs(10);
/// How long a node without a leader keeps a request waiting.
pub(crate) const LEADER_WAIT: Duration = Duration::from_millis(2500);
/// Between two heartbeats of an event stream.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(10);
