//! Other forms of the protocol: recorded messages byte for byte, MessagePack, and the double reply.

use mesos_conductor::client::{CallOptions, Client};
use mesos_conductor_proto::codec::Encoding;
use mesos_conductor_proto::context::RequestContext;
use mesos_conductor_proto::failure::Failure;
use mesos_conductor_proto::message::{CallMonitor, Request};
use mesos_conductor_sandbox::known::{DEMO_PROJECT, DEMO_USER};
use serde_json::{Value, json};
use uuid::Uuid;

use super::wire::Wire;
use super::{mitaka_model, recorded, recorded_request};
use crate::support::{Caller, PATIENCE, World, data, eventually, failure_class, map};

const JSON: &str = "application/json";
const MESSAGEPACK: &str = "application/x-msgpack";
/// The uuids that stand in the recorded messages.
const MODEL: &str = "d1739d26-c497-4a49-91ce-db8f52c12c7b";
const BAY: &str = "6182a4b0-32ec-4df8-8138-eacf02f38708";

/// Publishes a recorded request as it is and collects what comes to the reply queue that it names.
async fn replay(world: &World, name: &str) -> Result<Value, Failure> {
    let request = recorded_request(name);
    let wire = Wire::open(request.reply_q.as_deref().expect("a call")).await;
    wire.publish(world, JSON, &recorded(&format!("{name}.request"))).await;
    let (letters, outcome) = wire.outcome(request.msg_id.as_deref().expect("a call")).await;
    // Mitaka's client says nothing of heartbeats: it gets the reply in two messages.
    assert_eq!(letters.len(), 2);
    assert!(letters.iter().all(|letter| letter.content_type == JSON));
    outcome
}

/// Calls as the user of the recorded messages.
struct Mitaka {
    client: Client,
    options: CallOptions,
}

impl Mitaka {
    async fn new(world: &World) -> Self {
        let context: RequestContext = recorded_request("mitaka_bay_create").context;
        let options = CallOptions { timeout: PATIENCE, context, ..CallOptions::default() };
        Self { client: world.client().await, options }
    }

    async fn call(&self, method: &str, args: Value) -> Value {
        let answer = self.client.call(method, map(args), self.options.clone()).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The model that the recorded bay is made from.
    async fn create_model(&self) {
        let mut args = mitaka_model();
        args["objinst"]["magnum_object.data"]["uuid"] = json!(MODEL);
        self.call("object_action", args).await;
    }

    /// The bay that the recorded update and delete mean.
    async fn create_bay(&self) {
        let mut args = Value::Object(recorded_request("mitaka_bay_create").args);
        args["bay"]["magnum_object.data"]["uuid"] = json!(BAY);
        self.call("bay_create", args).await;
    }

    async fn bays(&self) -> Vec<Value> {
        let listed =
            self.call("object_class_action", Value::Object(recorded_request("mitaka_bay_list").args)).await;
        listed.as_array().expect("a list").iter().map(|bay| data(bay).clone()).collect()
    }

    /// Waits until the bays' statuses are these.
    async fn wait_for(&self, statuses: &[&str]) -> Vec<Value> {
        let found = eventually(|| async {
            let bays = self.bays().await;
            let seen: Vec<_> = bays.iter().map(|bay| bay["status"].as_str().unwrap_or_default()).collect();
            (seen == statuses).then_some(bays)
        });
        match found.await {
            Some(bays) => bays,
            None => panic!("not {statuses:?}: {:?}", self.bays().await),
        }
    }
}

/// The names of an object's fields, as they were recorded in a reply and as they are now.
fn assert_same_fields(now: &Value, reply: &str) {
    let recorded: Value = serde_json::from_slice(&recorded(reply)).expect("JSON");
    let recorded: Value =
        serde_json::from_str(recorded["oslo.message"].as_str().expect("text")).expect("JSON");
    let names = |object: &Value| -> Vec<String> {
        let mut names: Vec<_> = data(object).as_object().expect("an object").keys().cloned().collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(now), names(&recorded["result"]));
    assert_eq!(names(&data(now)["baymodel"]), names(&data(&recorded["result"])["baymodel"]));
}

#[tokio::test]
async fn a_recorded_create_of_a_model_is_answered_with_what_it_changed() {
    let world = World::new().await;
    let worker = world.worker().await;
    let answer = replay(&world, "mitaka_bay_model_create").await.expect("the model is created");
    let recorded: Value = serde_json::from_slice(&recorded("mitaka_bay_model_create.reply")).unwrap();
    let recorded: Value = serde_json::from_str(recorded["oslo.message"].as_str().unwrap()).unwrap();
    let names = |answer: &Value| -> Vec<String> {
        let mut names: Vec<_> = answer[0].as_object().expect("updates").keys().cloned().collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(&answer), names(&recorded["result"]));
    assert_eq!((&answer[0]["obj_what_changed"], &answer[1]), (&json!([]), &Value::Null));
    worker.stop().await;
}

#[tokio::test]
async fn recorded_commands_build_scale_and_delete_a_bay() {
    let world = World::new().await;
    let worker = world.worker().await;
    let mitaka = Mitaka::new(&world).await;
    let token = mitaka.options.context.auth_token().expect("a token").to_owned();
    world.sandbox.accept_token(&token, DEMO_USER, DEMO_PROJECT);
    mitaka.create_model().await;

    let created = replay(&world, "mitaka_bay_create").await.expect("the bay is created");
    assert_same_fields(&created, "mitaka_bay_create.reply");
    assert_eq!((&data(&created)["name"], &data(&created)["baymodel_id"]), (&json!("b355"), &json!(MODEL)));
    assert_eq!(data(&created)["status"], "CREATE_IN_PROGRESS");
    assert_eq!(data(&created)["trustee_password"], Value::Null);
    mitaka.wait_for(&["CREATE_COMPLETE"]).await;
    let listed = replay(&world, "mitaka_bay_list").await.expect("bays are listed");
    assert_eq!(
        (listed.as_array().map(Vec::len), &data(&listed[0])["uuid"]),
        (Some(1), &data(&created)["uuid"])
    );

    mitaka.create_bay().await;
    mitaka.wait_for(&["CREATE_COMPLETE", "CREATE_COMPLETE"]).await;
    let before = mitaka.bays().await.pop().expect("the second bay");
    let updated = replay(&world, "mitaka_bay_update").await.expect("the bay is updated");
    assert_same_fields(&updated, "mitaka_bay_update.reply");
    assert_eq!((&data(&updated)["uuid"], &data(&updated)["node_count"]), (&json!(BAY), &json!(3)));
    let bays = mitaka.wait_for(&["CREATE_COMPLETE", "UPDATE_COMPLETE"]).await;
    assert_eq!(bays[1]["node_addresses"].as_array().map(Vec::len), Some(3));
    // The client echoed fields that it may not change: another stack, trust and trustee.
    for field in ["stack_id", "trust_id", "trustee_user_id", "trustee_username", "created_at"] {
        assert_eq!(bays[1][field], before[field], "{field}");
    }
    assert_eq!(replay(&world, "mitaka_bay_delete").await, Ok(Value::Null));
    mitaka.wait_for(&["CREATE_COMPLETE"]).await;
    // The trust was still good for it.
    let clean = world.sandbox.wait_until(PATIENCE, |sandbox| {
        (sandbox.stacks().len(), sandbox.trusts().len(), sandbox.trustees().len()) == (1, 1, 1)
    });
    assert!(clean.await, "stacks {:?}, trusts {:?}", world.sandbox.stacks(), world.sandbox.trusts());
    worker.stop().await;
}

#[tokio::test]
async fn a_recorded_create_whose_token_opens_nothing_leaves_nothing() {
    let world = World::new().await;
    let worker = world.worker().await;
    let mitaka = Mitaka::new(&world).await;
    mitaka.create_model().await;
    let failure = replay(&world, "mitaka_bay_create").await.expect_err("Keystone does not know the token");
    assert_eq!(
        (failure.class.as_str(), failure.module.as_str()),
        ("AuthorizationFailure", "magnum.common.exception")
    );
    assert_eq!(failure.kwargs["code"], 403);
    assert!(!failure.message.contains("goodtoken"), "{}", failure.message);
    assert!(mitaka.bays().await.is_empty());
    let sandbox = &world.sandbox;
    assert_eq!((sandbox.stacks().len(), sandbox.trusts().len(), sandbox.trustees().len()), (0, 0, 0));
    worker.stop().await;
}

#[tokio::test]
async fn a_request_in_messagepack_is_answered_in_messagepack() {
    let world = World::new().await;
    let worker = world.worker().await;
    let wire = Wire::open(&format!("reply_{}", Uuid::new_v4().simple())).await;
    let ask = async |method: &str, args: Value| {
        let request = Request {
            msg_id: Some(Uuid::new_v4().simple().to_string()),
            reply_q: Some(wire.queue.clone()),
            monitor: CallMonitor::Off,
            unique_id: Some(Uuid::new_v4().simple().to_string()),
            context: world.demo(),
            encoding: Encoding::MessagePack,
            ..Request::new(method, map(args))
        };
        wire.publish(&world, MESSAGEPACK, &request.encode()).await;
        let (letters, outcome) = wire.outcome(request.msg_id.as_deref().expect("a call")).await;
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].content_type, MESSAGEPACK);
        assert!(serde_json::from_slice::<Value>(&letters[0].body).is_err(), "that is JSON");
        outcome
    };
    // Published directly, by the outbox, at once as a refusal, and by an operation.
    assert_eq!(ask("ping_conductor", json!({})).await, Ok(json!(true)));
    let model = ask("object_action", mitaka_model()).await.expect("the model is created");
    let failure = ask("bay_delete", json!({ "uuid": BAY })).await.expect_err("there is no such bay");
    assert_eq!(failure.class, "BayNotFound");
    let mut args = Caller::bay_args(model[0]["uuid"].as_str().expect("a uuid"), 2);
    args["wait"] = json!(true);
    let bay = ask("bay_create", args).await.expect("the bay is built");
    assert_eq!(data(&bay)["status"], "CREATE_COMPLETE");
    worker.stop().await;
}

#[tokio::test]
async fn a_client_that_knows_no_heartbeats_gets_two_messages_for_each_reply() {
    let world = World::new().await;
    let worker = world.worker().await;
    let client = world.client().await;
    let options = CallOptions { legacy: true, ..world.options() };
    let call = async |method: &str, args: Value| client.call(method, map(args), options.clone()).await;
    assert_eq!(call("ping_conductor", json!({})).await.expect("an answer"), json!(true));
    let model = call("object_action", mitaka_model()).await.expect("the model is created");
    let bay = call("bay_create", Caller::bay_args(model[0]["uuid"].as_str().expect("a uuid"), 1)).await;
    let bay = bay.expect("the bay is created");
    let error = call("bay_delete", json!({ "uuid": BAY })).await.expect_err("there is no such bay");
    assert_eq!(failure_class(&error), "BayNotFound");
    // A null result looks like the end of a reply; the end itself still follows.
    Caller::new(&world).await.wait_for_status(data(&bay)["uuid"].as_str().unwrap(), "CREATE_COMPLETE").await;
    assert_eq!(
        call("bay_delete", json!({ "uuid": data(&bay)["uuid"] })).await.expect("it goes"),
        Value::Null
    );
    assert_eq!(call("ping_conductor", json!({})).await.expect("an answer"), json!(true));
    let stats = eventually(|| async { Some(client.stats()).filter(|stats| stats.messages >= 12) }).await;
    let stats = stats.expect("two for each of the six");
    assert_eq!((stats.messages, stats.duplicates, stats.unreadable), (12, 0, 0), "{stats:?}");
    worker.stop().await;
}
