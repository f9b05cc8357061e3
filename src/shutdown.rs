//! Signals: the first stops in order, the second at once.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// `SIGTERM` and `SIGINT`.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first signal; from then on the second one ends the process.
    pub(crate) async fn wait(mut self) {
        self.next().await;
        // The process exits from within: there is nothing to wait for, whatever hangs.
        let second = async move {
            self.next().await;
            tracing::warn!("a second signal: the worker exits now");
            std::process::exit(130);
        };
        drop(tokio_util::task::TaskTracker::new().spawn(second));
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Ends the process after `limit`, from a thread of its own: whatever keeps the runtime busy then, what is committed
/// is safe, and the other workers take over.
#[expect(clippy::disallowed_methods, reason = "this thread exists to be independent of the runtime")]
pub(crate) fn end_after(limit: Duration) -> io::Result<()> {
    let watch = move || {
        std::thread::sleep(limit);
        tracing::error!("the worker did not stop in time; it ends now");
        std::process::exit(70);
    };
    std::thread::Builder::new().name("end-after".to_owned()).spawn(watch).map(drop)
}
