//! `kill -9` at every step of every operation, before it acts, after it acted, after it was recorded.
//!
//! The tests are made from the lists of steps, so that a new step cannot escape them.

#[path = "../it/support.rs"]
#[expect(dead_code, reason = "shared with the other integration tests")]
mod support;

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use mesos_conductor::operation::record::Kind;
use mesos_conductor::operation::steps;
use mesos_conductor_sandbox::{Action, Rule, Sandbox, Service};
use serde_json::{Value, json};
use support::{Caller, World, data, failure_class, map, object};

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
        runtime.block_on(survives(kind, &point));
        Ok(())
    })
}

/// One command whose worker dies at `point`; another worker ends it, and the caller notices nothing but time.
async fn survives(kind: Kind, point: &str) {
    let world = World::new().await;
    let undoing = point.contains("/undo_");
    let bay = match kind {
        Kind::BayCreate => None,
        Kind::BayUpdate | Kind::BayDelete => Some(existing_bay(&world).await),
    };
    if undoing {
        refuse_stacks(&world.sandbox);
    }
    let model = match &bay {
        Some((_, model)) => model.clone(),
        None => {
            let worker = world.worker().await;
            let model = Caller::new(&world).await.create_model().await;
            worker.stop().await;
            model
        }
    };
    let mut doomed = world.doomed_worker(&format!("kill:{point}")).await;
    let caller = Caller::new(&world).await;
    let (method, args) = command(kind, &model, bay.as_ref().map(|(uuid, _)| uuid.as_str()));
    let call = caller.client.call(method, map(args), world.options());
    let recover = async {
        let status = doomed.ended().await;
        assert_eq!(status.signal(), Some(9), "the worker died otherwise: {status}\n{}", doomed.log_text());
        world.worker().await
    };
    let (answer, worker) = tokio::join!(call, recover);
    check_end(&caller, kind, undoing, answer, bay.map(|(uuid, _)| uuid)).await;
    // A reply may come twice, byte for byte; another one never comes.
    let stats = caller.client.stats();
    assert_eq!((stats.unmatched, stats.unreadable), (0, 0), "{stats:?}");
    worker.stop().await;
}

async fn existing_bay(world: &World) -> (String, String) {
    let worker = world.worker().await;
    let caller = Caller::new(world).await;
    let model = caller.create_model().await;
    let uuid = caller.create_bay(&model).await;
    worker.stop().await;
    (uuid, model)
}

/// Heat understands and refuses: what was made before is undone.
fn refuse_stacks(sandbox: &Sandbox) {
    let body = json!({ "code": 400, "title": "Bad Request", "explanation": "refused", "error": {
        "type": "StackValidationFailed", "message": "Property error: 100% wrong", "traceback": null } });
    let action = Action::Status { code: 400, body: body.to_string(), headers: [].into() };
    sandbox.faults().add(Rule::new(Service::Heat, "POST", "/stacks$", action));
}

fn command<'a>(kind: Kind, model: &str, bay: Option<&str>) -> (&'a str, Value) {
    let bay = bay.unwrap_or_default();
    match kind {
        Kind::BayCreate => ("bay_create", Caller::bay_args(model, 2)),
        Kind::BayUpdate => {
            ("bay_update", json!({ "bay": object("Bay", "1.5", json!({ "uuid": bay, "node_count": 4 })) }))
        }
        Kind::BayDelete => ("bay_delete", json!({ "uuid": bay })),
    }
}

async fn check_end(
    caller: &Caller<'_>,
    kind: Kind,
    undoing: bool,
    answer: Result<Value, mesos_conductor::client::CallError>,
    bay: Option<String>,
) {
    let sandbox = &caller.world.sandbox;
    if undoing {
        let error = answer.expect_err("the create is refused");
        assert_eq!(failure_class(&error), "InvalidParameterValue");
        assert!(caller.bays().await.is_empty(), "no row is left");
        assert_remaining(sandbox, 0);
        return;
    }
    let answer = answer.expect("the command is answered");
    match kind {
        Kind::BayCreate => {
            let uuid = data(&answer)["uuid"].as_str().expect("a uuid").to_owned();
            let bay = caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
            assert_eq!(data(&bay)["node_addresses"].as_array().map(Vec::len), Some(2));
            assert_eq!(caller.bays().await.len(), 1);
            assert_remaining(sandbox, 1);
        }
        Kind::BayUpdate => {
            let bay = caller.wait_for_status(&bay.expect("a bay"), "UPDATE_COMPLETE").await;
            assert_eq!(data(&bay)["node_count"], 4);
            assert_eq!(data(&bay)["node_addresses"].as_array().map(Vec::len), Some(4));
            assert_remaining(sandbox, 1);
        }
        Kind::BayDelete => {
            assert_eq!(answer, Value::Null);
            caller.wait_until_gone(&bay.expect("a bay")).await;
            let clean = sandbox.wait_until(Duration::from_secs(30), |sandbox| sandbox.trustees().is_empty());
            assert!(clean.await, "the trustee goes");
            assert_remaining(sandbox, 0);
        }
    }
}

/// One of everything that a living bay needs, and nothing else.
fn assert_remaining(sandbox: &Sandbox, bays: usize) {
    assert_eq!(sandbox.stacks().len(), bays, "stacks: {:?}", sandbox.stacks());
    assert_eq!(sandbox.trusts().len(), bays, "trusts: {:?}", sandbox.trusts());
    assert_eq!(sandbox.trustees().len(), bays, "trustees: {:?}", sandbox.trustees());
}
