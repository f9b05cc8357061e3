//! `kill -9` at every step of every operation, before it acts, after it acted, after it was recorded.
//!
//! The tests are made from the lists of steps, so that a new step cannot escape them.

#[path = "../it/support.rs"]
#[expect(dead_code, reason = "shared with the other integration tests")]
mod support;

mod apps;
mod bays;

use std::os::unix::process::ExitStatusExt;

use libtest_mimic::{Arguments, Trial};
use mesos_conductor::client::CallError;
use mesos_conductor::operation::record::Kind;
use mesos_conductor::operation::steps::{self, PlanOf};
use serde_json::Value;
use support::worker::Worker;
use support::{Caller, map};

const PHASES: [&str; 3] = ["begin", "effect", "committed"];

fn main() {
    let mut trials = Vec::new();
    for kind in Kind::ALL {
        for step in steps::names(*kind) {
            for phase in PHASES {
                trials.push(trial(*kind, &format!("{}/{}/{phase}", kind.as_str(), step)));
            }
        }
        for beside in ["request/committed", "outbox/confirmed"] {
            trials.push(trial(*kind, beside));
        }
    }
    let mut arguments = Arguments::from_args();
    // Most of a test's time is waiting for a lease to run out.
    arguments.test_threads = arguments.test_threads.or(Some(8));
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(kind: Kind, point: &str) -> Trial {
    let point = point.to_owned();
    Trial::test(format!("{}::killed_at::{point}", kind.as_str()), move || {
        rustls::crypto::ring::default_provider().install_default().ok();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            match steps::plan(kind) {
                PlanOf::Bay(_) => bays::survives(kind, &point).await,
                PlanOf::App(_) | PlanOf::Deployment(_) => apps::survives(kind, &point).await,
            }
        });
        Ok(())
    })
}

/// Calls a method of a worker that dies at `point`, and lets another one end it. The caller notices nothing but time.
async fn call_the_doomed(
    caller: &Caller<'_>,
    point: &str,
    method: &str,
    args: Value,
) -> (Result<Value, CallError>, Worker) {
    let world = caller.world;
    let mut doomed = world.doomed_worker(&format!("kill:{point}")).await;
    let call = caller.client.call(method, map(args), world.options());
    let recover = async {
        let status = doomed.ended().await;
        assert_eq!(status.signal(), Some(9), "the worker died otherwise: {status}\n{}", doomed.log_text());
        world.worker().await
    };
    tokio::join!(call, recover)
}

/// A reply may come twice, byte for byte; another one never comes.
fn assert_one_reply(caller: &Caller<'_>) {
    let stats = caller.client.stats();
    assert_eq!((stats.unmatched, stats.unreadable), (0, 0), "{stats:?}");
}
