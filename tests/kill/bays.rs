//! Commands on bays.

use std::time::Duration;

use mesos_conductor::client::CallError;
use mesos_conductor::operation::record::Kind;
use mesos_conductor::store::{Store, StoreSettings, Vault};
use mesos_conductor_sandbox::{Action, Rule, Sandbox, Service};
use serde_json::{Value, json};

use crate::support::{Caller, ENCRYPTION_KEY, World, data, failure_class, object};
use crate::{assert_one_reply, call_the_doomed};

/// One command whose worker dies at `point`.
pub(crate) async fn survives(kind: Kind, point: &str) {
    let world = World::new().await;
    let undoing = point.contains("/undo_");
    let bay = match kind {
        Kind::BayCreate => None,
        Kind::BayUpdate | Kind::BayDelete | Kind::CaRotate => {
            let bay = existing_bay(&world).await;
            occupy(&world.sandbox);
            Some(bay)
        }
        Kind::AppCreate
        | Kind::AppUpdate
        | Kind::AppDelete
        | Kind::AppScale
        | Kind::AppRestart
        | Kind::AppRollback
        | Kind::AppTaskKill
        | Kind::DeploymentCancel => panic!("no command on a bay"),
    };
    if undoing {
        refuse_stacks(&world.sandbox);
    }
    if unsettled(point) {
        lose_then_refuse_updates(&world.sandbox);
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
    let caller = Caller::new(&world).await;
    let (method, args) = command(kind, &model, bay.as_ref().map(|(uuid, _)| uuid.as_str()));
    let (answer, worker) = call_the_doomed(&caller, point, method, args).await;
    match &bay {
        Some((bay, _)) if unsettled(point) => check_unchanged(&caller, bay, answer).await,
        _ => check_end(&caller, kind, undoing, answer, bay.map(|(uuid, _)| uuid)).await,
    }
    assert_one_reply(&caller);
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

/// Both agents have work, and the second one has less: it is the one that is emptied and goes.
fn occupy(sandbox: &Sandbox) {
    let marathon = sandbox.marathons().into_iter().next().expect("the bay has a Marathon");
    for (host, tasks) in marathon.agents().iter().zip([2, 1]) {
        assert!(marathon.occupy(host, tasks));
    }
}

/// Heat understands and refuses: what was made before is undone.
fn refuse_stacks(sandbox: &Sandbox) {
    let body = json!({ "code": 400, "title": "Bad Request", "explanation": "refused", "error": {
        "type": "StackValidationFailed", "message": "Property error: 100% wrong", "traceback": null } });
    let action = Action::Status { code: 400, body: body.to_string(), headers: [].into() };
    sandbox.faults().add(Rule::new(Service::Heat, "POST", "/stacks$", action.clone()));
    sandbox.faults().add(Rule::new(Service::Heat, "PATCH", "", action));
}

/// Whether an update has to come to where it is not known if the stack was changed.
fn unsettled(point: &str) -> bool {
    point.contains("/settle/")
}

/// The first update does not reach Heat, which nobody can know; the next one is refused.
fn lose_then_refuse_updates(sandbox: &Sandbox) {
    let body = json!({ "code": 400, "title": "Bad Request", "explanation": "refused", "error": {
        "type": "StackValidationFailed", "message": "no quota, 100%", "traceback": null } });
    let refuse = Action::Status { code: 400, body: body.to_string(), headers: [].into() };
    sandbox.faults().add(Rule::new(Service::Heat, "PATCH", "/stacks/*/", Action::ResetBefore).times(1));
    sandbox.faults().add(Rule::new(Service::Heat, "PATCH", "/stacks/*/", refuse));
}

/// The update is refused, and everything is as it was.
async fn check_unchanged(caller: &Caller<'_>, bay: &str, answer: Result<Value, CallError>) {
    let error = answer.expect_err("the update is refused");
    assert_eq!(failure_class(&error), "InvalidParameterValue", "{error}");
    let shown = caller.wait_for_status(bay, "CREATE_COMPLETE").await;
    assert_eq!(data(&shown)["node_count"], 2);
    let sandbox = &caller.world.sandbox;
    assert_eq!(sandbox.stacks()[0].slaves.len(), 2);
    let marathon = sandbox.marathons().into_iter().next().expect("the bay has a Marathon");
    assert!(marathon.closed().is_empty(), "every agent has work again");
    assert_remaining(sandbox, 1);
}

fn command<'a>(kind: Kind, model: &str, bay: Option<&str>) -> (&'a str, Value) {
    let bay = bay.unwrap_or_default();
    match kind {
        Kind::BayCreate => ("bay_create", Caller::bay_args(model, 2)),
        Kind::BayUpdate => {
            ("bay_update", json!({ "bay": object("Bay", "1.5", json!({ "uuid": bay, "node_count": 1 })) }))
        }
        Kind::BayDelete => ("bay_delete", json!({ "uuid": bay })),
        Kind::CaRotate => (
            "rotate_ca_certificate",
            json!({ "bay": object("Bay", "1.5", json!({ "uuid": bay })), "wait": true }),
        ),
        Kind::AppCreate
        | Kind::AppUpdate
        | Kind::AppDelete
        | Kind::AppScale
        | Kind::AppRestart
        | Kind::AppRollback
        | Kind::AppTaskKill
        | Kind::DeploymentCancel => panic!("no command on a bay"),
    }
}

async fn check_end(
    caller: &Caller<'_>,
    kind: Kind,
    undoing: bool,
    answer: Result<Value, CallError>,
    bay: Option<String>,
) {
    let sandbox = &caller.world.sandbox;
    if undoing {
        let error = answer.expect_err("the create is refused");
        assert_eq!(failure_class(&error), "InvalidParameterValue");
        if kind == Kind::CaRotate {
            let bay = caller.bay(&bay.expect("a bay")).await.expect("it is there");
            assert_eq!(data(&bay)["status"], "CREATE_COMPLETE");
            assert_past(caller.world, &bay, 0).await;
            assert_remaining(sandbox, 1);
            return assert_pairs(caller.world, 1).await;
        }
        assert!(caller.bays().await.is_empty(), "no row is left");
        assert_remaining(sandbox, 0);
        return assert_pairs(caller.world, 0).await;
    }
    let answer = answer.expect("the command is answered");
    match kind {
        Kind::BayCreate => {
            let uuid = data(&answer)["uuid"].as_str().expect("a uuid").to_owned();
            let bay = caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
            assert_eq!(data(&bay)["node_addresses"].as_array().map(Vec::len), Some(2));
            assert_eq!(caller.bays().await.len(), 1);
            assert_remaining(sandbox, 1);
            assert_pairs(caller.world, 1).await;
        }
        Kind::BayUpdate => {
            let bay = caller.wait_for_status(&bay.expect("a bay"), "UPDATE_COMPLETE").await;
            assert_eq!(data(&bay)["node_count"], 1);
            assert_eq!(data(&bay)["node_addresses"].as_array().map(Vec::len), Some(1));
            let members: Vec<u32> = sandbox.stacks()[0].slaves.iter().map(|slave| slave.index).collect();
            assert_eq!(members, [0], "the one that was chosen first is the one that goes");
            let marathon = sandbox.marathons().into_iter().next().expect("the bay has a Marathon");
            assert!(marathon.closed().is_empty(), "no agent is kept from work");
            assert_eq!(sandbox.count(Service::Mesos, "POST", "/api/v1"), 1, "one agent is drained, once");
            assert_remaining(sandbox, 1);
        }
        Kind::CaRotate => {
            assert_eq!(data(&answer)["status"], "UPDATE_COMPLETE");
            assert_past(caller.world, &answer, 1).await;
            assert_remaining(sandbox, 1);
            assert_pairs(caller.world, 1).await;
        }
        Kind::AppCreate
        | Kind::AppUpdate
        | Kind::AppDelete
        | Kind::AppScale
        | Kind::AppRestart
        | Kind::AppRollback
        | Kind::AppTaskKill
        | Kind::DeploymentCancel => panic!("no command on a bay"),
        Kind::BayDelete => {
            assert_eq!(answer, Value::Null);
            caller.wait_until_gone(&bay.expect("a bay")).await;
            let clean = sandbox.wait_until(Duration::from_secs(30), |sandbox| sandbox.trustees().is_empty());
            assert!(clean.await, "the trustee goes");
            assert_remaining(sandbox, 0);
            assert_pairs(caller.world, 0).await;
        }
    }
}

/// An authority and what it signed for each bay, and nothing else, with what is kept of it.
async fn assert_pairs(world: &World, bays: usize) {
    let pairs = world.database.texts("SELECT uuid FROM x509keypair").await;
    assert_eq!(pairs.len(), bays * 2, "pairs: {pairs:?}");
    assert_eq!(world.database.texts("SELECT bay_uuid FROM bay_secret").await.len(), bays);
}

/// As many authorities before the one in force, and a way to each.
async fn assert_past(world: &World, bay: &Value, generations: usize) {
    let vault = Vault::new(&[ENCRYPTION_KEY.into()]).expect("it is a key");
    let settings = StoreSettings::new(world.database_url.as_str());
    let store = Store::connect(&settings, vault).await.expect("the database answers");
    let uuid = data(bay)["uuid"].as_str().expect("a uuid").parse().expect("it is one");
    let kept = store.bay_secrets(uuid).await.expect("it can be read").expect("it is kept");
    let nodes = kept.current.node.expect("TLS is on");
    assert_eq!((nodes.older.len(), nodes.crosses.len()), (generations, generations));
    store.close().await;
}

/// One of everything that a living bay needs, and nothing else.
fn assert_remaining(sandbox: &Sandbox, bays: usize) {
    assert_eq!(sandbox.stacks().len(), bays, "stacks: {:?}", sandbox.stacks());
    assert_eq!(sandbox.trusts().len(), bays, "trusts: {:?}", sandbox.trusts());
    assert_eq!(sandbox.trustees().len(), bays, "trustees: {:?}", sandbox.trustees());
}
