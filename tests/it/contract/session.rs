//! What a real worker takes and sends in a short session, judged by the schemas; then the same messages, broken.

use std::collections::BTreeMap;
use std::time::Duration;

use lapin::options::{BasicGetOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use mesos_conductor_proto::message::CallMonitor;
use mesos_conductor_sandbox::Config;

use super::*;
use crate::support::amqp_url;
use crate::support::database::Backend;
use crate::support::peer::Peer;

/// Everything that goes through the world's exchange: requests and notifications.
struct Tap {
    _connection: Connection,
    channel: Channel,
    queue: String,
}

impl Tap {
    async fn open(world: &World) -> Self {
        let connection = Connection::connect(&amqp_url(), ConnectionProperties::default()).await;
        let connection = connection.expect("the broker takes connections");
        let channel = connection.create_channel().await.expect("the broker opens channels");
        let queue = format!("tap-{}", world.broker.topic);
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        channel
            .queue_declare(queue.as_str().into(), exclusive, FieldTable::default())
            .await
            .expect("a queue");
        let (exchange, name) = (world.broker.exchange.as_str().into(), queue.as_str().into());
        let options = QueueBindOptions::default();
        let bound = channel.queue_bind(name, exchange, "#".into(), options, FieldTable::default());
        bound.await.expect("the exchange is there");
        Self { _connection: connection, channel, queue }
    }

    /// The content types and bodies of all that has come.
    async fn all(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = Vec::new();
        let take = BasicGetOptions { no_ack: true };
        while let Some(got) =
            self.channel.basic_get(self.queue.as_str().into(), take).await.expect("it reads")
        {
            let kind =
                got.properties.content_type().as_ref().map(ToString::to_string).expect("it has a type");
            all.push((kind, got.data.clone()));
        }
        all
    }
}

/// A client whose calls are remembered by their ids.
struct Session<'a> {
    world: &'a World,
    peer: Peer,
    methods: BTreeMap<String, String>,
}

impl Session<'_> {
    async fn call(&mut self, encoding: Encoding, monitor: CallMonitor, method: &str, args: Value) -> Value {
        let mut request = self.peer.request(self.world, method, args);
        (request.encoding, request.monitor) = (encoding, monitor);
        let id = request.msg_id.clone().expect("it is a call");
        self.methods.insert(id.clone(), method.to_owned());
        self.peer.send_bytes(encoding.content_type(), &request.encode()).await;
        let ended = crate::support::eventually(|| async {
            let of_it = |body: &Vec<u8>| Some(open(body)).filter(|message| message["_msg_id"] == id.as_str());
            self.peer.seen().iter().filter_map(of_it).find(|message| message["ending"] == true)
        });
        // The first of two replies has the result.
        ended.await.unwrap_or_else(|| panic!("{method} is not answered"));
        let of_it = |body: &Vec<u8>| Some(open(body)).filter(|message| message["_msg_id"] == id.as_str());
        let told = |message: &Value| message["ending"] != false;
        self.peer.seen().iter().filter_map(of_it).find(told).expect("it was answered")["result"].clone()
    }

    /// The schema that a message of this session is to fit.
    fn name(&self, message: &Value) -> String {
        if let Some(event) = message["event_type"].as_str() {
            return format!("{event}.notification");
        }
        if let Some(method) = message["method"].as_str() {
            return format!("{method}.request");
        }
        let method = &self.methods[message["_msg_id"].as_str().expect("a reply has an id")];
        if message["ending"] == false {
            "heartbeat".to_owned()
        } else if message["result"].is_null() && message["failure"].is_null() && method != "bay_delete" {
            "ending".to_owned()
        } else {
            format!("{method}.reply")
        }
    }

    async fn json(&mut self, method: &str, args: Value) -> Value {
        self.call(Encoding::Json, CallMonitor::Off, method, args).await
    }
}

fn encoding_of(body: &[u8]) -> Encoding {
    if body.starts_with(b"{") { Encoding::Json } else { Encoding::MessagePack }
}

fn open(body: &[u8]) -> Value {
    Value::Object(codec::open(encoding_of(body), body).expect("it opens"))
}

fn inner(objname: &str, objmethod: &str, kwargs: Value) -> Value {
    json!({ "objname": objname, "objmethod": objmethod, "objver": null, "args": [], "kwargs": kwargs })
}

/// A little of everything.
async fn talk(session: &mut Session<'_>) {
    assert_eq!(session.json("ping_conductor", json!({})).await, true);
    assert_eq!(
        session.call(Encoding::MessagePack, CallMonitor::Off, "oslo_rpc_server_ping", json!({})).await,
        "pong"
    );

    let plain = json!({
        "objname": "BayModel", "objinst": model_fields(), "objmethod": "create", "args": [], "kwargs": {},
    });
    let model = session.json("object_action", plain).await[0]["uuid"].clone();
    let whole = json!({
        "objinst": object("BayModel", "1.7", json!({ "name": "m2", "coe": "mesos" })), "objmethod": "create",
        "args": [], "kwargs": {},
    });
    session.call(Encoding::MessagePack, CallMonitor::Off, "object_action", whole).await;
    let list = session.json("object_class_action", inner("BayModel", "list", json!({ "limit": 5 }))).await;
    assert_eq!(list.as_array().map(Vec::len), Some(2));

    let watched = CallMonitor::Every(Duration::from_secs(1));
    let queue = session.peer.request(session.world, "", json!({})).reply_q;
    let fields = json!({ "name": "b1", "baymodel_id": model, "node_count": "2" });
    let plain = json!({ "bay": fields, "wait": true, "notify_queue": queue });
    let bay = session.call(Encoding::MessagePack, watched, "bay_create", plain).await;
    assert_eq!(data(&bay)["status"], "CREATE_COMPLETE");
    let liberty = json!({ "bay": object("Bay", "1.0", fields), "bay_create_timeout": 10 });
    let second = session.call(Encoding::Json, CallMonitor::Unsupported, "bay_create", liberty).await;
    let uuid = data(&bay)["uuid"].clone();
    session.json("object_class_action", inner("Bay", "get_by_uuid", json!({ "uuid": uuid }))).await;
    session.json("object_class_action", inner("Bay", "list", json!({}))).await;
    let scaled = json!({ "bay": { "uuid": uuid, "node_count": 3 }, "wait": true });
    session.json("bay_update", scaled).await;

    // Refusals: by a command, by a query, by the dispatcher.
    let nobody = json!("00000000-0000-4000-8000-000000000000");
    session.json("bay_delete", json!({ "uuid": nobody })).await;
    session.json("object_class_action", inner("Bay", "get_by_uuid", json!({ "uuid": nobody }))).await;
    session.json("ping_conductor", json!({ "x": 1 })).await;
    for uuid in [uuid, data(&second)["uuid"].clone()] {
        session.json("bay_delete", json!({ "uuid": uuid, "wait": true })).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_takes_and_sends_fits_and_broken_it_does_not() {
    let contract = Contract::new();
    let slow = Config { create_time: Duration::from_millis(1500), ..Config::default() };
    let world = World::with(Backend::Sqlite, slow).await;
    let worker = world.worker().await;
    let (tap, peer) = (Tap::open(&world).await, Peer::open(&world).await);
    let mut session = Session { world: &world, peer, methods: BTreeMap::new() };
    talk(&mut session).await;
    let seen = seen(&contract, &tap, &session).await;
    worker.stop().await;
    for (name, messages) in &seen {
        for message in messages {
            assert_broken_does_not_fit(&contract, name, message);
        }
    }
}

/// What was taken and sent, by its schema, which it fits. Notifications may come after the answer.
async fn seen(contract: &Contract, tap: &Tap, session: &Session<'_>) -> BTreeMap<String, Vec<Value>> {
    let called = |method: &&str| session.methods.values().any(|called| called == method);
    let messages = rpc::method_names().filter(called);
    let expected: BTreeSet<String> = messages
        .flat_map(|method| [format!("{method}.reply"), format!("{method}.request")])
        .chain(["create", "update", "delete"].map(|event| format!("magnum.cluster.{event}.notification")))
        .chain(["heartbeat", "ending"].map(str::to_owned))
        .collect();
    let mut seen = BTreeMap::<String, Vec<Value>>::new();
    for body in session.peer.seen() {
        let (name, content_type) = (session.name(&open(&body)), encoding_of(&body).content_type());
        seen.entry(name.clone()).or_default().push(contract.assert_body_fits(&name, content_type, &body));
    }
    let seen = tokio::sync::Mutex::new(seen);
    let all = crate::support::eventually(|| async {
        let mut seen = seen.lock().await;
        for (content_type, body) in tap.all().await {
            let message = open(&body);
            let name = session.name(&message);
            // One call is made to be refused.
            if message["args"].get("x").is_some() {
                contract.assert_does_not_fit(&name, &message, "an argument that nobody takes");
                continue;
            }
            seen.entry(name.clone()).or_default().push(contract.assert_body_fits(
                &name,
                &content_type,
                &body,
            ));
        }
        expected.iter().all(|name| seen.contains_key(name)).then_some(())
    });
    let complete = all.await.is_some();
    let seen = seen.into_inner();
    let missing: Vec<_> = expected.iter().filter(|name| !seen.contains_key(*name)).collect();
    assert!(complete, "never seen: {missing:?}");
    seen
}

/// Takes away and spoils what a reader relies on, one thing at a time.
fn assert_broken_does_not_fit(contract: &Contract, name: &str, message: &Value) {
    let kind = name.rsplit('.').next().expect("a name has parts");
    let (needed, spoiled): (&[&str], &[(&str, Value)]) = match kind {
        "request" => (
            &["/method"],
            &[
                ("/method", json!("ping")),
                ("/args", json!([])),
                ("/namespace", json!("other")),
                ("/version", json!("2.0")),
                ("/_context_roles", json!("admin")),
                ("/_context_project_id", json!(7)),
                ("/args/unknown", json!(1)),
            ],
        ),
        "notification" => (
            &["/event_type", "/payload", "/priority", "/_unique_id", "/payload/target", "/payload/outcome"],
            &[
                ("/event_type", json!("magnum.bay.create")),
                ("/priority", json!("WARN")),
                ("/payload/outcome", json!("maybe")),
                ("/payload/eventTime", json!("yesterday")),
                ("/payload/target/attachments/0/content/node_count", json!("2")),
                ("/_context_auth_token", json!("it has no place here")),
            ],
        ),
        _ => (
            &["/_msg_id", "/_unique_id", "/result", "/failure"],
            &[("/ending", json!("yes")), ("/failure", json!(true)), ("/unknown", json!(1))],
        ),
    };
    for pointer in needed {
        let mut broken = message.clone();
        remove(&mut broken, pointer);
        contract.assert_does_not_fit(name, &broken, &format!("without {pointer}"));
    }
    for (pointer, value) in spoiled {
        let mut broken = message.clone();
        put(&mut broken, pointer, value.clone());
        contract.assert_does_not_fit(name, &broken, &format!("with another {pointer}"));
    }
    // An object, wherever there is one.
    for pointer in ["/args/bay", "/result"] {
        if message.pointer(pointer).is_some_and(|object| object.get("magnum_object.name").is_some()) {
            for (part, value) in [
                ("magnum_object.version", json!("9.9")),
                ("magnum_object.namespace", json!("nova")),
                ("magnum_object.data/node_count", json!([2])),
            ] {
                let mut broken = message.clone();
                put(&mut broken, &format!("{pointer}/{part}"), value);
                contract.assert_does_not_fit(name, &broken, &format!("with another {pointer}/{part}"));
            }
        }
    }
}

fn parent<'a>(message: &'a mut Value, pointer: &str) -> (&'a mut Map, String) {
    let (above, key) = pointer.rsplit_once('/').expect("a pointer begins with a slash");
    let above = message.pointer_mut(above).unwrap_or_else(|| panic!("there is no {above}"));
    (above.as_object_mut().expect("it is a map"), key.to_owned())
}

fn remove(message: &mut Value, pointer: &str) {
    let (above, key) = parent(message, pointer);
    assert!(above.remove(&key).is_some(), "there is no {pointer}");
}

fn put(message: &mut Value, pointer: &str, value: Value) {
    let (above, key) = parent(message, pointer);
    above.insert(key, value);
}
