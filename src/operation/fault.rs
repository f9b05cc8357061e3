//! Named points at which a test can stop the process, to prove that nothing is lost there.
//!
//! Compiled away unless the feature `fault-points` is on. `MESOS_CONDUCTOR_FAULT=kill:bay_create/stack/effect` ends the
//! process at that point as `kill -9` does; `pause:` stops it as `SIGSTOP` does, and `panic:` is a bug at that point.

use std::fmt;

/// Where in a step, or beside it, the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The step is about to run.
    Begin,
    /// What the step does to the outside is done, and not yet recorded.
    Effect,
    /// The step is recorded.
    Committed,
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Effect => "effect",
            Self::Committed => "committed",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The point between the broker's confirm and the outbox's delete.
pub(crate) const OUTBOX_CONFIRMED: &str = "outbox/confirmed";
/// The point before a message is decoded. Before its method runs, there is `request/<method>/begin`.
pub(crate) const REQUEST_DECODE: &str = "request/decode";
/// The point between the commit of a request and its acknowledgement.
pub(crate) const REQUEST_COMMITTED: &str = "request/committed";

/// Passes one named point.
#[cfg(not(feature = "fault-points"))]
pub(crate) fn point(_name: impl fmt::Display) {}

/// Passes one named point, or does not.
#[cfg(feature = "fault-points")]
pub(crate) fn point(name: impl fmt::Display) {
    let Ok(wanted) = std::env::var("MESOS_CONDUCTOR_FAULT") else { return };
    let Some((action, at)) = wanted.split_once(':') else { return };
    if at != name.to_string() {
        return;
    }
    let signal = match action {
        "kill" => "-KILL",
        "pause" => "-STOP",
        "panic" => panic!("the test's fault point {at} is reached"),
        _ => return,
    };
    tracing::warn!(point = at, signal, "the test's fault point is reached");
    // Sent by another process, as an operator or the kernel would: no destructor, no flush.
    let sent = std::process::Command::new("kill").arg(signal).arg(std::process::id().to_string()).status();
    tracing::warn!(?sent, "the process goes on");
}
