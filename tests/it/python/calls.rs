//! Calls and casts of an unmodified client.

use serde_json::{Value, json};

use super::peer::Peer;
use super::{counted, mitaka_bay};
use crate::support::database::Backend;
use crate::support::worker::Worker;
use crate::support::{Caller, World, data, eventually};

/// The name by which the worker alone is called, from the line that says it starts.
pub(crate) fn server_name(worker: &Worker) -> String {
    let lines = worker.log_text();
    let mut lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let started = lines.find(|line| line["message"] == "the worker starts").expect("it says that it starts");
    started["server"].as_str().expect("the name").to_owned()
}

/// Every request but so many was answered, and once. Holds only while none is on its way.
async fn assert_unanswered(worker: &Worker, casts: f64) {
    let unanswered = async || {
        let replies = counted(worker, "mesos_conductor_published_total", "purpose=\"reply\"").await;
        counted(worker, "mesos_conductor_requests_total", "").await - replies
    };
    let settled = eventually(|| async { (unanswered().await == casts).then_some(()) }).await;
    assert!(settled.is_some(), "{} requests more than replies", unanswered().await);
}

#[tokio::test]
async fn mitakas_calls_build_a_bay_and_are_answered_once() {
    let world = World::new().await;
    let worker = world.worker().await;
    let (peer, caller) = (Peer::client(&world).await, Caller::new(&world).await);
    let model = peer.create_model().await;
    let answer = peer.call("bay_create", mitaka_bay(&model)).await.expect("the bay is created");
    assert_eq!(
        (&answer["magnum_object.name"], &answer["magnum_object.version"]),
        (&json!("Bay"), &json!("1.5"))
    );
    assert_eq!(answer["magnum_object.changes"], Value::Null);
    let bay = data(&answer);
    assert_eq!((&bay["name"], &bay["status"]), (&json!("b355"), &json!("CREATE_IN_PROGRESS")));
    assert_eq!((&bay["node_count"], &bay["bay_create_timeout"]), (&json!(2), &json!(10)));
    assert_eq!(data(&bay["baymodel"])["name"], "mesos-bm");
    // Who owns it says the context, not the object.
    assert_eq!(Some(bay["project_id"].as_str().unwrap()), peer.context().project_id());
    let uuid = bay["uuid"].as_str().expect("a uuid");
    assert_eq!(world.sandbox.stacks()[0].id, bay["stack_id"]);
    let complete = caller.wait_for_status(uuid, "CREATE_COMPLETE").await;
    assert_eq!(data(&complete)["node_addresses"].as_array().map(Vec::len), Some(2));
    assert_eq!(peer.stray_replies().await, 0);
    assert_unanswered(&worker, 0.0).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_cast_builds_a_bay_and_is_not_answered() {
    let world = World::new().await;
    let worker = world.worker().await;
    let (peer, caller) = (Peer::client(&world).await, Caller::new(&world).await);
    let model = peer.create_model().await;
    peer.cast("cast", "bay_create", mitaka_bay(&model)).await;
    let made = eventually(|| async { caller.bays().await.pop() }).await.expect("a bay");
    caller.wait_for_status(data(&made)["uuid"].as_str().unwrap(), "CREATE_COMPLETE").await;
    assert_eq!(caller.bays().await.len(), 1);
    assert_eq!(peer.stray_replies().await, 0);
    assert_unanswered(&worker, 1.0).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_command_cast_to_all_workers_runs_once() {
    let world = World::on(Backend::Postgres).await;
    let workers = [world.worker().await, world.worker().await];
    let (peer, caller) = (Peer::client(&world).await, Caller::new(&world).await);
    let model = peer.create_model().await;
    peer.cast("fanout", "bay_create", mitaka_bay(&model)).await;
    for worker in &workers {
        let handled = eventually(|| async {
            let count = counted(worker, "mesos_conductor_requests_total", "method=\"bay_create\"").await;
            (count > 0.0).then_some(count)
        });
        assert_eq!(handled.await, Some(1.0), "each worker gets it");
    }
    let bays = caller.bays().await;
    assert_eq!(bays.len(), 1, "{bays:?}");
    caller.wait_for_status(data(&bays[0])["uuid"].as_str().unwrap(), "CREATE_COMPLETE").await;
    assert_eq!(caller.bays().await.len(), 1);
    assert_eq!((world.sandbox.stacks().len(), world.sandbox.trusts().len()), (1, 1));
    for worker in workers {
        worker.stop().await;
    }
    world.database.drop_it().await;
}

#[tokio::test]
async fn pings_are_answered_by_any_worker_and_by_the_one_that_is_named() {
    let world = World::on(Backend::Postgres).await;
    let workers = [world.worker().await, world.worker().await];
    let peer = Peer::client(&world).await;
    assert_eq!(peer.call("oslo_rpc_server_ping", json!({})).await, Ok(json!("pong")));
    assert_eq!(peer.call("ping_conductor", json!({})).await, Ok(json!(true)));
    let [first, second] = &workers;
    let pinged =
        async |worker| counted(worker, "mesos_conductor_requests_total", "method=\"ping_conductor\"").await;
    let before = (pinged(first).await, pinged(second).await);
    for _ in 0..3 {
        let named = json!({ "server": server_name(second) });
        assert_eq!(peer.call_with("ping_conductor", json!({}), named).await, Ok(json!(true)));
    }
    // A request is counted after it was answered.
    let after = eventually(|| async { (pinged(second).await >= before.1 + 3.0).then_some(()) });
    assert!(after.await.is_some(), "the named worker answers");
    assert_eq!(pinged(first).await, before.0, "the other one does not");
    for worker in workers {
        worker.stop().await;
    }
    world.database.drop_it().await;
}
