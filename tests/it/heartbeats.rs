//! Whoever waits for an operation's end hears of it, also while nobody is at work on it.

use std::time::Duration;

use mesos_conductor_sandbox::{Action, Rule, Service};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::worker::Worker;
use crate::support::{Caller, PATIENCE, World, data, eventually, map};

/// A client gives up when it hears nothing for so long; a heartbeat is due in half of it.
const MONITOR: Duration = Duration::from_secs(4);
/// More than the client would wait in silence.
const HEARD: u64 = 3;
/// Longer than it takes to hear so many.
const LONG: Action = Action::Latency(9000);

/// Calls and waits for the end of the operation, as long as there are heartbeats.
async fn wait(caller: &Caller<'_>, method: &str, mut args: Value) -> Value {
    args["wait"] = json!(true);
    let options =
        mesos_conductor::client::CallOptions { monitor_timeout: Some(MONITOR), ..caller.world.options() };
    let answer = caller.client.call(method, map(args), options).await;
    answer.unwrap_or_else(|error| panic!("{method}: {error}"))
}

async fn heard(caller: &Caller<'_>) {
    let enough = || async { (caller.client.stats().heartbeats >= HEARD).then_some(()) };
    assert!(eventually(enough).await.is_some(), "{:?}", caller.client.stats());
}

fn heat(world: &World, method: &str, path: &str, action: Action) {
    world.sandbox.faults().add(Rule::new(Service::Heat, method, path, action));
}

async fn asked(world: &World, method: &str, path: &str) {
    let arrived =
        world.sandbox.wait_until(PATIENCE, |sandbox| sandbox.count(Service::Heat, method, path) > 0);
    assert!(arrived.await, "Heat was never asked to {method} {path}");
}

fn bay(model: &str, uuid: Uuid) -> Value {
    let mut args = Caller::bay_args(model, 1);
    args["bay"]["magnum_object.data"]["uuid"] = json!(uuid.to_string());
    args
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_that_joined_another_is_kept_alive() {
    let world = World::new().await;
    let worker = world.worker().await;
    let (first, second) = (Caller::new(&world).await, Caller::new(&world).await);
    let model = first.create_model().await;
    let uuid = first.create_bay(&model).await;
    heat(&world, "GET", "/stacks", Action::status(503));
    let delete = json!({ "uuid": uuid });
    let both = async {
        tokio::join!(wait(&first, "bay_delete", delete.clone()), wait(&second, "bay_delete", delete.clone()))
    };
    let until_heard = async {
        tokio::join!(heard(&first), heard(&second));
        world.sandbox.faults().clear();
    };
    let (answers, ()) = tokio::join!(both, until_heard);
    assert_eq!(answers, (Value::Null, Value::Null));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_behind_another_operation_is_kept_alive() {
    let world = World::new().await;
    let worker = world.worker().await;
    let (creator, deleter) = (Caller::new(&world).await, Caller::new(&world).await);
    let model = creator.create_model().await;
    heat(&world, "POST", "/stacks$", LONG);
    let uuid = Uuid::new_v4();
    let create = creator.call("bay_create", bay(&model, uuid));
    let delete = async {
        asked(&world, "POST", "/stacks$").await;
        wait(&deleter, "bay_delete", json!({ "uuid": uuid.to_string() })).await
    };
    let (created, deleted, ()) = tokio::join!(create, delete, heard(&deleter));
    created.expect_err("the create is superseded");
    assert_eq!(deleted, Value::Null);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_no_worker_is_free_for_is_kept_alive() {
    let mut world = World::new().await;
    // A request to Heat may take as long as the lease.
    world.lease = 30;
    let configuration =
        world.configuration("").replace("[DEFAULT]", "[DEFAULT]\nexecutor_thread_pool_size = 1");
    let worker = Worker::start_with(&world, &configuration, None).await;
    let (busy, patient) = (Caller::new(&world).await, Caller::new(&world).await);
    let model = busy.create_model().await;
    world.sandbox.faults().add(Rule::new(Service::Heat, "POST", "/stacks$", LONG).once());
    let first = busy.call("bay_create", bay(&model, Uuid::new_v4()));
    let second = async {
        asked(&world, "POST", "/stacks$").await;
        wait(&patient, "bay_create", bay(&model, Uuid::new_v4())).await
    };
    let (first, second, ()) = tokio::join!(first, second, heard(&patient));
    first.expect("the first bay is begun");
    assert_eq!(data(&second)["status"], "CREATE_COMPLETE");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_is_gone_gets_no_more_heartbeats() {
    let world = World::new().await;
    let more = "[oslo_messaging_rabbit]\nkombu_missing_consumer_retry_timeout = 1";
    let worker = Worker::start(&world, more, None).await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    heat(&world, "GET", "/stacks/", Action::status(503));
    let uuid = Uuid::new_v4();
    let leaving = Caller::new(&world).await;
    tokio::select! {
        answer = wait(&leaving, "bay_create", bay(&model, uuid)) => panic!("{answer}"),
        () = async {
            let once = || async { (leaving.client.stats().heartbeats > 0).then_some(()) };
            assert!(eventually(once).await.is_some());
        } => {}
    }
    drop(leaving);
    assert!(worker.logged("no more heartbeats: the caller is gone").await);
    world.sandbox.faults().clear();
    caller.wait_for_status(&uuid.to_string(), "CREATE_COMPLETE").await;
    worker.stop().await;
}
