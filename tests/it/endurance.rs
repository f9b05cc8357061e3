//! What a worker bears: names that no queue can have, waits that hold nothing, and commands that meet each other.

use std::sync::Arc;
use std::time::Duration;

use mesos_conductor::amqp::{Message, PublishError, Publisher};
use mesos_conductor::client::CallOptions;
use mesos_conductor_proto::message::Request;
use mesos_conductor_sandbox::{Action, Rule, Sandbox, Service};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::worker::Worker;
use crate::support::{Caller, PATIENCE, World, data, failure_class, map};

/// A request as it is published, with an id of its own.
async fn send(world: &World, publisher: &Publisher, mut request: Request) {
    request.unique_id = Some(Uuid::new_v4().simple().to_string());
    request.context = world.demo();
    let message = Message {
        exchange: world.broker.exchange.clone(),
        routing_key: world.broker.topic.clone(),
        content_type: "application/json".to_owned(),
        content_encoding: "utf-8".to_owned(),
        body: request.encode(),
        mandatory: true,
        ..Message::default()
    };
    publisher.publish(&message).await.expect("the request is taken");
}

#[tokio::test]
async fn a_name_that_no_queue_can_have_is_unroutable() {
    let publisher = Publisher::new(Arc::new(World::new().await.broker));
    let long = "q".repeat(256);
    let message = Message { routing_key: long.clone(), mandatory: true, ..Message::default() };
    let refused = publisher.publish(&message).await;
    assert!(matches!(refused, Err(PublishError::Unroutable { .. })), "{refused:?}");
    let refused = publisher.declare_notification_queue("x", &long).await;
    assert!(matches!(refused, Err(PublishError::Unroutable { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_queue_with_an_impossible_name_stops_nobody() {
    let world = World::new().await;
    let worker = world.worker().await;
    let publisher = Publisher::new(Arc::new(world.broker.clone()));
    for (method, args) in
        [("ping_conductor", json!({})), ("bay_delete", json!({ "uuid": Uuid::new_v4().to_string() }))]
    {
        let mut request = Request::new(method, map(args));
        request.msg_id = Some(Uuid::new_v4().simple().to_string());
        request.reply_q = Some("reply_".repeat(50));
        send(&world, &publisher, request).await;
    }
    assert!(worker.logged("\\\"_reply_q\\\" is not a name").await, "{}", worker.log_text());
    // Others are answered, and a name that only a notification would go to is refused in an answer.
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let mut args = bay_args(&model, Uuid::new_v4());
    args["notify_queue"] = json!("reply_".repeat(50));
    let refused = caller.call("bay_create", args).await.expect_err("no queue can be called so");
    assert_eq!(failure_class(&refused), "InvalidParameterValue");
    assert_eq!(worker.metric("mesos_conductor_rejects_total").await, 2.0);
    worker.stop().await;
}

/// Heat is overloaded wherever this fits.
fn overload(world: &World, method: &str, path: &str) {
    world.sandbox.faults().add(Rule::new(Service::Heat, method, path, Action::status(503)));
}

fn bay_args(model: &str, uuid: Uuid) -> Value {
    let mut args = Caller::bay_args(model, 1);
    args["bay"]["magnum_object.data"]["uuid"] = json!(uuid.to_string());
    args
}

fn assert_nothing_is_left(world: &World) {
    assert!(world.sandbox.stacks().is_empty(), "{:?}", world.sandbox.stacks());
    assert!(world.sandbox.trusts().is_empty(), "{:?}", world.sandbox.trusts());
    assert!(world.sandbox.trustees().is_empty(), "{:?}", world.sandbox.trustees());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_delete_behind_a_delete_that_waits_joins_it() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    overload(&world, "POST", "/stacks$");
    let uuid = Uuid::new_v4();
    let create = caller.call("bay_create", bay_args(&model, uuid));
    let deletes = async {
        let asked = |sandbox: &Sandbox| sandbox.count(Service::Heat, "POST", "/stacks$") > 0;
        assert!(world.sandbox.wait_until(PATIENCE, asked).await, "Heat is asked for the stack");
        let delete = || caller.call("bay_delete", json!({ "uuid": uuid.to_string() }));
        tokio::join!(delete(), delete())
    };
    let (created, (first, second)) = tokio::join!(create, deletes);
    assert_eq!(failure_class(&created.expect_err("the create is superseded")), "Conflict");
    assert_eq!((first.expect("deleted"), second.expect("deleted too")), (Value::Null, Value::Null));
    caller.wait_until_gone(&uuid.to_string()).await;
    assert_nothing_is_left(&world);
    worker.stop().await;
}

/// Else the delete would come next, and would not know that there may be a stack soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_that_may_appear_is_looked_for_although_a_look_is_refused() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    overload(&world, "POST", "/stacks$");
    let uuid = Uuid::new_v4();
    let create = caller.call("bay_create", bay_args(&model, uuid));
    let delete = async {
        let tried = |sandbox: &Sandbox| sandbox.count(Service::Heat, "POST", "/stacks$") > 1;
        assert!(world.sandbox.wait_until(PATIENCE, tried).await, "Heat is asked for the stack again");
        world.sandbox.faults().clear();
        overload(&world, "POST", "/stacks$");
        let refused = Rule::new(Service::Heat, "GET", "/stacks", Action::status(400));
        world.sandbox.faults().add(refused);
        let before = world.sandbox.count(Service::Heat, "GET", "/stacks");
        let looks = async || {
            let looked = |sandbox: &Sandbox| sandbox.count(Service::Heat, "GET", "/stacks") > before + 3;
            assert!(world.sandbox.wait_until(PATIENCE, looked).await, "the looks go on");
            world.sandbox.faults().clear();
        };
        tokio::join!(caller.call("bay_delete", json!({ "uuid": uuid.to_string() })), looks())
    };
    let (created, (deleted, ())) = tokio::join!(create, delete);
    created.expect_err("the create is undone");
    assert_eq!(deleted.expect("deleted"), Value::Null);
    caller.wait_until_gone(&uuid.to_string()).await;
    assert_nothing_is_left(&world);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_finds_the_stack_that_nobody_could_undo() {
    let world = World::new().await;
    let configuration =
        world.configuration("").replace("[conductor]", "[conductor]\noperation_deadline = \"4s\"");
    let worker = Worker::start_with(&world, &configuration, None).await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    // Heat makes the stack, and from then on nobody hears from it.
    world.sandbox.faults().add(Rule::new(Service::Heat, "POST", "/stacks$", Action::ResetAfter).once());
    overload(&world, "GET", "/stacks");
    let uuid = Uuid::new_v4();
    let created = caller.call("bay_create", bay_args(&model, uuid)).await;
    created.expect_err("the create is given up");
    caller.wait_for_status(&uuid.to_string(), "CREATE_FAILED").await;
    assert_eq!(world.sandbox.stacks().len(), 1);
    world.sandbox.faults().clear();
    let deleted = caller.call("bay_delete", json!({ "uuid": uuid.to_string() })).await;
    assert_eq!(deleted.expect("the delete is accepted"), Value::Null);
    caller.wait_until_gone(&uuid.to_string()).await;
    assert_nothing_is_left(&world);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g34_a_caller_who_waits_with_heartbeats_takes_no_permit() {
    let world = World::new().await;
    let configuration =
        world.configuration("").replace("[DEFAULT]", "[DEFAULT]\nexecutor_thread_pool_size = 1");
    let worker = Worker::start_with(&world, &configuration, None).await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    overload(&world, "GET", "/stacks/");
    let mut patient = bay_args(&model, Uuid::new_v4());
    patient["wait"] = json!(true);
    let options = CallOptions { monitor_timeout: Some(Duration::from_secs(4)), ..world.options() };
    let waiting = caller.client.call("bay_create", map(patient), options);
    let others = async {
        let looked = |sandbox: &Sandbox| sandbox.count(Service::Heat, "GET", "/stacks/") > 0;
        assert!(world.sandbox.wait_until(PATIENCE, looked).await, "the first stack is waited for");
        let second = Uuid::new_v4();
        caller.call("bay_create", bay_args(&model, second)).await.expect("another bay is begun meanwhile");
        world.sandbox.faults().clear();
        caller.wait_for_status(&second.to_string(), "CREATE_COMPLETE").await;
    };
    let (answer, ()) = tokio::join!(waiting, others);
    assert_eq!(data(&answer.expect("the first bay is complete"))["status"], "CREATE_COMPLETE");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_for_a_queue_that_is_gone_is_dropped_in_the_end() {
    let world = World::new().await;
    let more = "[oslo_messaging_rabbit]\nkombu_missing_consumer_retry_timeout = 1";
    let worker = Worker::start(&world, more, None).await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let mut args = bay_args(&model, Uuid::new_v4());
    args["notify_queue"] = json!(format!("reply_{}", Uuid::new_v4().simple()));
    caller.call("bay_create", args).await.expect("the bay is begun");
    assert!(worker.logged("the caller's queue is gone; the message is dropped").await);
    worker.stop().await;
}
