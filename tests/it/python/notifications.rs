//! Notifications: to an unmodified listener, and to the queue that a caller names.

use mesos_conductor_proto::notification::{Notification, Priority};
use mesos_conductor_sandbox::{Doom, StackAction};
use serde_json::{Value, json};
use uuid::Uuid;

use super::mitaka_bay;
use super::peer::Peer;
use super::wire::Wire;
use crate::support::app::{Town, manifest};
use crate::support::worker::Worker;
use crate::support::{Caller, World, data, object};

fn is(document: &Value, action: &str, outcome: &str, bay: &str) -> bool {
    let payload = &document["payload"];
    document["event_type"] == format!("magnum.cluster.{action}")
        && (&payload["outcome"], &payload["target"]["id"]) == (&json!(outcome), &json!(bay))
}

/// Waits for a lifecycle event and checks what every one has.
async fn event(listener: &Peer, who: &Peer, action: &str, outcome: &str, bay: &str) -> Value {
    let what = format!("{action} {outcome}");
    let found = listener.find(&what, |document| is(document, action, outcome, bay)).await;
    let priority = if outcome == "failure" { "error" } else { "info" };
    assert_eq!(found["priority"], priority, "{what}");
    assert_eq!(found["publisher_id"], "container-infra.worker.test");
    assert_eq!(found["ctxt"]["request_id"], who.context().to_map()["request_id"]);
    for key in ["message_id", "timestamp"] {
        assert!(found["metadata"][key].is_string(), "{what} has no {key}");
    }
    assert_eq!(found["cadf_faults"], json!([]), "{what}");
    let payload = &found["payload"];
    assert_eq!(payload["typeURI"], "http://schemas.dmtf.org/cloud/audit/1.0/event");
    assert_eq!((&payload["eventType"], &payload["action"]), (&json!("activity"), &json!(action)));
    assert!(payload["id"].is_string() && payload["eventTime"].is_string());
    let initiator = &payload["initiator"];
    assert_eq!(initiator["typeURI"], "service/security/account/user");
    assert_eq!(initiator["user_id"].as_str(), who.context().user_id());
    assert_eq!(initiator["project_id"].as_str(), who.context().project_id());
    assert_eq!(payload["observer"]["typeURI"], "service/magnum/cluster");
    assert_eq!(payload["target"]["typeURI"], "service/magnum/cluster");
    assert_eq!(payload["target"]["attachments"][0]["name"], "cluster_data");
    found
}

fn content(event: &Value) -> &Value {
    &event["payload"]["target"]["attachments"][0]["content"]
}

/// Every text in a document, keys too.
fn texts(document: &Value, found: &mut Vec<String>) {
    match document {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(map) => {
            for (key, value) in map {
                found.push(key.clone());
                texts(value, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn assert_no_secret(world: &World, who: &Peer, listener: &Peer) {
    let mut found = Vec::new();
    texts(&json!(listener.said()), &mut found);
    let token = who.context().auth_token().expect("a token");
    for text in &found {
        assert!(!text.contains(token), "the caller's token was told");
        for word in ["password", "token", "secret"] {
            assert!(!text.to_lowercase().contains(word), "{text:?} was told");
        }
        for trustee in world.sandbox.trustees() {
            assert!(!world.sandbox.password_is(&trustee.id, text), "the trustee's password was told");
        }
    }
}

#[tokio::test]
async fn a_listener_hears_of_every_bay_from_its_create_to_its_delete() {
    let world = World::new().await;
    let topic = format!("notifications-{}", Uuid::new_v4().simple());
    let worker = Worker::start(&world, &format!("topics = [\"{topic}\"]"), None).await;
    let (peer, listener) = (Peer::client(&world).await, Peer::listener(&world, &topic).await);
    let caller = Caller::new(&world).await;
    let model = peer.create_model().await;
    let answer = peer.call("bay_create", mitaka_bay(&model)).await.expect("the bay is created");
    let bay = data(&answer)["uuid"].as_str().expect("a uuid");
    let pending = event(&listener, &peer, "create", "pending", bay).await;
    assert_eq!(pending["payload"]["target"]["name"], "b355");
    assert_eq!(content(&pending)["status"], "CREATE_IN_PROGRESS");
    let success = event(&listener, &peer, "create", "success", bay).await;
    assert_eq!(
        (&content(&success)["status"], &content(&success)["node_count"]),
        (&json!("CREATE_COMPLETE"), &json!(2))
    );
    assert_eq!(content(&success)["stack_id"], data(&answer)["stack_id"]);
    assert_eq!(content(&success)["cluster_template_id"], model);
    assert_eq!(content(&success)["node_addresses"].as_array().map(Vec::len), Some(2));
    assert_no_secret(&world, &peer, &listener);

    let change = object("Bay", "1.5", json!({ "uuid": bay, "node_count": 3 }));
    peer.call("bay_update", json!({ "bay": change })).await.expect("the bay is updated");
    event(&listener, &peer, "update", "pending", bay).await;
    let success = event(&listener, &peer, "update", "success", bay).await;
    assert_eq!(
        (&content(&success)["status"], &content(&success)["node_count"]),
        (&json!("UPDATE_COMPLETE"), &json!(3))
    );

    peer.call("bay_delete", json!({ "uuid": bay })).await.expect("the bay is deleted");
    event(&listener, &peer, "delete", "pending", bay).await;
    event(&listener, &peer, "delete", "success", bay).await;
    caller.wait_until_gone(bay).await;

    world.sandbox.fail_stack(Doom::new("", "no valid host, 100%").of(StackAction::Create));
    let answer = peer.call("bay_create", mitaka_bay(&model)).await.expect("the stack begins");
    let bay = data(&answer)["uuid"].as_str().expect("a uuid");
    event(&listener, &peer, "create", "pending", bay).await;
    let failure = event(&listener, &peer, "create", "failure", bay).await;
    assert_eq!(content(&failure)["status"], "CREATE_FAILED");
    let reason = content(&failure)["status_reason"].as_str().expect("a reason");
    assert!(reason.ends_with("no valid host, 100%"), "{reason}");
    assert_no_secret(&world, &peer, &listener);
    // Each was told once: the listener drops repeated messages, so what it shows twice was said twice.
    assert_eq!(listener.said().iter().filter(|said| said.get("event_type").is_some()).count(), 8);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_to_an_app_is_told_as_valid_cadf() {
    let world = World::new().await;
    let topic = format!("notifications-{}", Uuid::new_v4().simple());
    let worker = Worker::start(&world, &format!("topics = [\"{topic}\"]"), None).await;
    let (listener, caller) = (Peer::listener(&world, &topic).await, Caller::new(&world).await);
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    town.done("app_scale", "web", json!({ "instances": 2 })).await.unwrap();
    town.done("app_restart", "web", json!({})).await.unwrap();
    let tasks = town.ask("app_tasks", "web", json!({})).await.unwrap();
    town.done("app_task_kill", "web", json!({ "task_id": tasks[0]["id"] })).await.unwrap();
    town.done("app_delete", "web", json!({})).await.unwrap();
    for (action, cadf) in [
        ("create", "create"),
        ("scale", "update/scale"),
        ("restart", "update/restart"),
        ("task_kill", "stop/task"),
        ("delete", "delete"),
    ] {
        for outcome in ["pending", "success"] {
            let what = format!("{action} {outcome}");
            let told = |said: &Value| {
                said["event_type"] == format!("magnum.app.{action}") && said["payload"]["outcome"] == outcome
            };
            let found = listener.find(&what, told).await;
            assert_eq!(found["cadf_faults"], json!([]), "{what}");
            assert_eq!(found["payload"]["action"], cadf);
        }
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_queue_that_the_caller_names_gets_the_result_and_nothing_else() {
    let world = World::new().await;
    let worker = world.worker().await;
    let (peer, caller) = (Peer::client(&world).await, Caller::new(&world).await);
    let wire = Wire::open(&format!("reply_{}", Uuid::new_v4().simple())).await;
    let model = peer.create_model().await;
    let told = async || {
        let letter = wire.next().await;
        let told = Notification::decode(Some(&letter.content_type), &letter.body).expect("a notification");
        (
            told.event_type.clone(),
            told.priority,
            told.payload["outcome"].clone(),
            told.payload["target"]["id"].clone(),
        )
    };

    let mut args = mitaka_bay(&model);
    args["notify_queue"] = json!(wire.queue);
    let answer = peer.call("bay_create", args).await.expect("the bay is created");
    let bay = data(&answer)["uuid"].clone();
    let created = ("magnum.cluster.create".to_owned(), Priority::Info, json!("success"), bay.clone());
    assert_eq!(told().await, created);

    let change = object("Bay", "1.5", json!({ "uuid": bay, "node_count": 3 }));
    peer.cast("cast", "bay_update", json!({ "bay": change, "notify_queue": wire.queue })).await;
    let updated = ("magnum.cluster.update".to_owned(), Priority::Info, json!("success"), bay.clone());
    assert_eq!(told().await, updated);

    world.sandbox.fail_stack(Doom::new("", "stuck").of(StackAction::Delete));
    peer.cast("cast", "bay_delete", json!({ "uuid": bay, "notify_queue": wire.queue })).await;
    let failed = ("magnum.cluster.delete".to_owned(), Priority::Error, json!("failure"), bay.clone());
    assert_eq!(told().await, failed);
    caller.wait_for_status(bay.as_str().unwrap(), "DELETE_FAILED").await;
    assert!(wire.look().await.is_none(), "there was more than the three results");
    worker.stop().await;
}

#[tokio::test]
async fn a_queue_whose_name_is_not_allowed_is_refused() {
    let world = World::new().await;
    let worker = world.worker().await;
    let (peer, caller) = (Peer::client(&world).await, Caller::new(&world).await);
    let model = peer.create_model().await;
    let mut args = mitaka_bay(&model);
    args["notify_queue"] = json!("100%s_of_others");
    let error = peer.call("bay_create", args).await.expect_err("the queue is somebody else's");
    assert_eq!(error["base_classes"][0], "magnum.common.exception.InvalidParameterValue");
    let message = "notify_queue `100%s_of_others` does not match the configured pattern `^reply_`.";
    assert_eq!((&error["args"], &error["code"]), (&json!([message]), &json!(400)));
    assert!(caller.bays().await.is_empty());
    assert!(world.sandbox.stacks().is_empty() && world.sandbox.trustees().is_empty());
    worker.stop().await;
}
