//! How a worker learns that a stack has come to its end: by Heat's notifications, and by listings that cost the same for
//! one bay and for many.

mod requests;

use std::time::{Duration, Instant};

use lapin::options::{BasicPublishOptions, ExchangeDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use mesos_conductor_sandbox::{Config, Sandbox, Service};
use serde_json::json;
use uuid::Uuid;

use crate::support::database::Backend;
use crate::support::worker::Worker;
use crate::support::{Caller, PATIENCE, World, amqp_url, assert_remaining, data, eventually};

/// Stacks that only move when told to.
fn still() -> Config {
    let long = Duration::from_secs(3600);
    Config { create_time: long, update_time: long, delete_time: long, ..Config::default() }
}

/// A worker with these options in `[conductor]`, in the place of the tests' short interval.
async fn worker(world: &World, conductor: &str) -> Worker {
    let configuration = world.configuration("").replace("poll_interval = \"100ms\"", conductor);
    Worker::start_with(world, &configuration, None).await
}

async fn accept(caller: &Caller<'_>, model: &str) -> String {
    let bay = caller.call("bay_create", Caller::bay_args(model, 2)).await.expect("the bay is accepted");
    data(&bay)["uuid"].as_str().expect("a uuid").to_owned()
}

fn listings(sandbox: &Sandbox) -> usize {
    sandbox.count(Service::Heat, "GET", "/stacks$")
}

fn looks(sandbox: &Sandbox) -> usize {
    sandbox.count(Service::Heat, "GET", "/stacks/")
}

/// Heat's side of the broker.
struct Heat {
    exchange: String,
    channel: Channel,
    _connection: Connection,
}

const TOKEN: &str = "gAAAAABm-a-token-of-heats-owner";

impl Heat {
    async fn new() -> Self {
        let connection = Connection::connect(&amqp_url(), ConnectionProperties::default()).await;
        let connection = connection.expect("a broker");
        let channel = connection.create_channel().await.expect("a channel");
        Self { exchange: format!("heat-{}", Uuid::new_v4().simple()), channel, _connection: connection }
    }

    /// As Heat declares it, by default.
    async fn declare(&self) {
        let options = ExchangeDeclareOptions { auto_delete: true, ..ExchangeDeclareOptions::default() };
        let (name, kind) = (self.exchange.as_str().into(), ExchangeKind::Topic);
        self.channel
            .exchange_declare(name, kind, options, FieldTable::default())
            .await
            .expect("it is declared");
    }

    /// In the form that was recorded of Heat 18.
    async fn publish(&self, event: &str, stack: &str, state: &str) {
        let message = json!({
            "message_id": Uuid::new_v4().to_string(),
            "publisher_id": "orchestration.heat-1",
            "event_type": format!("orchestration.stack.{event}"),
            "priority": if event.ends_with("error") { "ERROR" } else { "INFO" },
            "payload": {
                "tenant_id": "p", "user_id": "u", "username": "demo", "user_identity": "u",
                "stack_identity": stack, "stack_name": "bay", "state": state,
                "state_reason": format!("Stack {state}"), "create_at": "2026-01-01T00:00:00Z",
                "updated_at": null, "deletion_at": null, "description": "", "tags": [],
            },
            "timestamp": "2026-01-01 00:00:00.000000",
            "_unique_id": Uuid::new_v4().simple().to_string(),
            "_context_auth_token": TOKEN,
            "_context_user_id": "u",
        });
        let body = json!({ "oslo.version": "2.0", "oslo.message": message.to_string() }).to_string();
        let key = if event.ends_with("error") { "notifications.error" } else { "notifications.info" };
        let properties = BasicProperties::default().with_content_type("application/json".into());
        let (exchange, options) = (self.exchange.as_str().into(), BasicPublishOptions::default());
        let sent =
            self.channel.basic_publish(exchange, key.into(), options, body.as_bytes(), properties).await;
        sent.expect("it is published").await.expect("the broker has it");
    }
}

/// A worker that listens to Heat, and asks it almost never.
async fn listening(world: &World, heat: &Heat) -> Worker {
    let seldom = "poll_interval = \"1h\"\npoll_interval_max = \"1h\"";
    let listens = format!(
        "[heat_notifications]\nexchange = \"{0}\"\nqueue = \"{0}-ours\"\nretry_interval = \"200ms\"",
        heat.exchange
    );
    let configuration = world
        .configuration("[oslo_messaging_rabbit]\nrabbit_transient_queues_ttl = 60")
        .replace("poll_interval = \"100ms\"", seldom)
        .replace("[heat_notifications]\nenabled = false", &listens);
    Worker::start_with(world, &configuration, None).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notification_of_heats_wakes_who_waits_although_nobody_polls() {
    let world = World::with(Backend::Sqlite, still()).await;
    let heat = Heat::new().await;
    let worker = listening(&world, &heat).await;
    // Without Heat's exchange nothing is made in its place, and nothing stops.
    assert!(worker.logged("still not listening").await, "{}", worker.log_text());
    let refused = worker.log_text().matches("\"message\":\"not listening;").count();
    assert_eq!(refused, 1, "it is said once");
    heat.declare().await;
    assert!(worker.logged("\"message\":\"listening\"").await, "{}", worker.log_text());

    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let uuid = accept(&caller, &model).await;
    let looked = |sandbox: &Sandbox| looks(sandbox) >= 2;
    assert!(world.sandbox.wait_until(PATIENCE, looked).await, "it looks once by itself");
    let stack = world.sandbox.stacks()[0].id.clone();
    world.sandbox.finish_stacks("");
    heat.publish("create.end", "not-one-of-ours", "CREATE_COMPLETE").await;
    let told = Instant::now();
    heat.publish("create.end", &stack, "CREATE_COMPLETE").await;
    let bay = caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    assert!(told.elapsed() < Duration::from_secs(10), "it took {:?}", told.elapsed());
    println!("the bay was complete {:?} after the notification", told.elapsed());
    assert!(data(&bay)["api_address"].is_string(), "what the stack is like comes from Heat itself: {bay}");

    caller.call("bay_delete", json!({ "uuid": uuid })).await.expect("the delete is accepted");
    let waits = |sandbox: &Sandbox| sandbox.count(Service::Heat, "DELETE", "/stacks/") >= 2;
    assert!(world.sandbox.wait_until(PATIENCE, waits).await, "the stack is being deleted");
    world.sandbox.finish_stacks("");
    // However early it comes: whoever has the operation in hand at that moment is told again.
    heat.publish("delete.end", &stack, "DELETE_COMPLETE").await;
    caller.wait_until_gone(&uuid).await;
    assert_remaining(&world.sandbox, 0);
    assert_eq!(worker.metric("mesos_conductor_heat_notifications_total").await, 3.0);
    assert!(!worker.log_text().contains(TOKEN), "a token is in the log");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_listing_serves_all_bays_of_a_project() {
    let world = World::with(Backend::Sqlite, still()).await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let mut bays = Vec::new();
    for _ in 0..4 {
        bays.push(accept(&caller, &model).await);
    }
    let each = |sandbox: &Sandbox| looks(sandbox) >= 2 * 4;
    assert!(world.sandbox.wait_until(PATIENCE, each).await, "each looks once by itself");
    let before = (listings(&world.sandbox), looks(&world.sandbox));
    let listed = |sandbox: &Sandbox| listings(sandbox) >= before.0 + 5;
    assert!(world.sandbox.wait_until(PATIENCE, listed).await, "the project is listed again and again");
    assert_eq!(looks(&world.sandbox), before.1, "nobody looks at a stack that is in progress");
    world.sandbox.finish_stacks("");
    for bay in &bays {
        caller.wait_for_status(bay, "CREATE_COMPLETE").await;
    }
    // One that vanished is missing in the listing.
    caller.call("bay_delete", json!({ "uuid": bays[0] })).await.expect("the delete is accepted");
    let waits = |sandbox: &Sandbox| sandbox.count(Service::Heat, "DELETE", "/stacks/") >= 2;
    assert!(world.sandbox.wait_until(PATIENCE, waits).await, "the stack is being deleted");
    world.sandbox.finish_stacks("");
    caller.wait_until_gone(&bays[0]).await;
    assert_remaining(&world.sandbox, 3);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_is_listed_with_the_trust_of_another_bay_where_one_is_gone() {
    let world = World::with(Backend::Sqlite, still()).await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let first = accept(&caller, &model).await;
    let trustee = world.sandbox.trustees().pop().expect("the first bay's trustee");
    let second = accept(&caller, &model).await;
    assert!(world.sandbox.wait_until(PATIENCE, |sandbox| listings(sandbox) > 2).await, "they are listed");
    assert!(world.sandbox.remove_user(&trustee.id));
    world.sandbox.revoke_all_tokens();
    assert!(worker.logged("the bay's trust lets nobody in; others are tried").await, "{}", worker.log_text());
    let before = listings(&world.sandbox);
    let listed = |sandbox: &Sandbox| listings(sandbox) > before + 2;
    assert!(world.sandbox.wait_until(PATIENCE, listed).await, "they are listed all the same");
    assert_eq!(worker.log_text().matches("lets nobody in").count(), 1, "it is left alone for a while");
    world.sandbox.finish_stacks("");
    caller.wait_for_status(&second, "CREATE_COMPLETE").await;
    caller.wait_for_status(&first, "CREATE_COMPLETE").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_of_all_projects_that_is_refused_is_said_once_and_projects_are_listed() {
    let world = World::new().await;
    let worker = worker(&world, "poll_interval = \"100ms\"\nglobal_stack_list = true").await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    caller.create_bay(&model).await;
    caller.create_bay(&model).await;
    let refused = "the listing of all projects' stacks is not granted";
    assert_eq!(worker.log_text().matches(refused).count(), 1, "{}", worker.log_text());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_projects_are_listed_at_once_where_that_is_granted() {
    let world = World::with(Backend::Sqlite, Config { global_listing: true, ..still() }).await;
    let worker = worker(&world, "poll_interval = \"100ms\"\nglobal_stack_list = true").await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let uuid = accept(&caller, &model).await;
    assert!(world.sandbox.wait_until(PATIENCE, |sandbox| listings(sandbox) > 2).await, "they are listed");
    world.sandbox.finish_stacks("");
    caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    let text = worker.probe("/metrics").await.1;
    assert!(text.contains("stack_listings_total{scope=\"everywhere\",outcome=\"ok\"}"), "{text}");
    assert!(!text.contains("scope=\"project\""), "{text}");
    worker.stop().await;
}

/// A worker that dies over a listing leaves a turn behind, which passes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_worker_lists_when_one_is_killed() {
    let world = World::with(Backend::Postgres, still()).await;
    let dead = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let uuid = accept(&caller, &model).await;
    assert!(world.sandbox.wait_until(PATIENCE, |sandbox| listings(sandbox) > 2).await, "they are listed");
    let (next, _) = world.bystander().await;
    dead.kill().await;
    let before = listings(&world.sandbox);
    let listed = |sandbox: &Sandbox| listings(sandbox) > before + 2;
    assert!(world.sandbox.wait_until(PATIENCE, listed).await, "the next one lists");
    world.sandbox.finish_stacks("");
    let worker = world.worker().await;
    caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    let woken = eventually(async || {
        let woken = "mesos_conductor_stacks_woken_total";
        (next.metric(woken).await + worker.metric(woken).await >= 1.0).then_some(())
    });
    assert!(woken.await.is_some(), "the operation was woken by a listing");
    next.stop().await;
    worker.stop().await;
    world.database.drop_it().await;
}
