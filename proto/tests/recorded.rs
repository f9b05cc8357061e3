//! Bodies recorded between unmodified Python services decode, and encode again to an equal message.
//!
//! The files in `recorded/` are bodies as they were on the wire, named `<what>.<kind>.json`: another
//! recording needs no code, only a file.

use std::collections::BTreeMap;
use std::path::Path;

use mesos_conductor_proto::codec::{self, Encoding, Map};
use mesos_conductor_proto::failure::Failure;
use mesos_conductor_proto::message::{
    Assembly, CallMonitor, Reply, ReplyAddress, ReplyContent, ReplyForm, Request,
};
use mesos_conductor_proto::notification::{Driver, Notification, Priority};
use mesos_conductor_proto::object::Object;
use serde_json::{Value, json};

const JSON: Option<&str> = Some("application/json");

/// The bodies of a kind, by name.
fn recorded(kind: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let mut bodies = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("the folder is part of the crate") {
        let path = entry.expect("the folder can be listed").path();
        let file = path.file_name().and_then(|name| name.to_str()).expect("names are plain");
        if let Some(name) = file.strip_suffix(&format!(".{kind}.json")) {
            bodies.insert(name.to_owned(), std::fs::read(&path).expect("the file can be read"));
        }
    }
    assert!(!bodies.is_empty(), "nothing recorded of kind {kind}");
    bodies
}

fn open(body: &[u8]) -> Map {
    codec::open(Encoding::Json, body).expect("recorded bodies open")
}

/// Replies nest their failure as text, whose order of keys means nothing.
fn open_reply(body: &[u8]) -> Map {
    let mut message = open(body);
    if let Some(Value::String(text)) = message.get("failure") {
        let failure = serde_json::from_str(text).expect("failures are JSON");
        message.insert("failure".to_owned(), failure);
    }
    message
}

/// The address that a recorded reply went to, as far as its body shows it.
fn address(reply: &Reply) -> ReplyAddress {
    ReplyAddress {
        queue: String::new(),
        msg_id: reply.msg_id.clone(),
        form: ReplyForm::Single,
        encoding: Encoding::Json,
        heartbeat: None,
    }
}

/// Every serialised object inside a value, outermost only.
fn objects(value: &Value) -> Vec<&Value> {
    if Object::is_primitive(value) {
        return vec![value];
    }
    match value {
        Value::Array(items) => items.iter().flat_map(objects).collect(),
        Value::Object(map) => map.values().flat_map(objects).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => vec![],
    }
}

/// The list of changes is a set, written in any order.
fn sort_changes(value: &mut Value) {
    if let Some(changes) = value.get_mut("magnum_object.changes").and_then(Value::as_array_mut) {
        changes.sort_by_key(ToString::to_string);
    }
}

#[test]
fn requests_encode_to_what_was_recorded() {
    for (name, body) in recorded("request") {
        let request = Request::decode(JSON, &body).unwrap();
        assert_eq!(open(&request.encode()), open(&body), "{name}");
        let packed = Request { encoding: Encoding::MessagePack, ..request.clone() };
        let decoded = Request::decode(Some("application/x-msgpack"), &packed.encode()).unwrap();
        assert_eq!(Request { encoding: Encoding::Json, ..decoded }, request, "{name}");
    }
}

#[test]
fn replies_encode_to_what_was_recorded() {
    for (name, body) in recorded("reply") {
        let reply = Reply::decode(JSON, &body).unwrap();
        let outcome = Assembly::default().accept(reply.content.clone()).expect("all of them end their call");
        let ids = [reply.unique_id.clone().unwrap(), String::new()];
        let bodies = address(&reply).bodies(&outcome, ids);
        assert_eq!(bodies.len(), 1);
        assert_eq!(open_reply(&bodies[0]), open_reply(&body), "{name}");
    }
}

#[test]
fn heartbeats_encode_to_what_was_recorded() {
    for (name, body) in recorded("heartbeat") {
        let reply = Reply::decode(JSON, &body).unwrap();
        assert_eq!(reply.content, ReplyContent::Heartbeat, "{name}");
        let encoded = address(&reply).heartbeat_body(reply.unique_id.clone().unwrap());
        assert_eq!(open(&encoded), open(&body), "{name}");
    }
}

#[test]
fn notifications_encode_to_what_was_recorded() {
    for (name, body) in recorded("notification") {
        let notification = Notification::decode(JSON, &body).unwrap();
        let bare = serde_json::from_slice::<Map>(&body).unwrap().contains_key("event_type");
        let driver = if bare { Driver::Messaging } else { Driver::Messagingv2 };
        assert_eq!(open(&notification.encode(driver)), open(&body), "{name}");
    }
}

#[test]
fn objects_encode_to_what_was_recorded() {
    let mut seen = 0;
    for (name, body) in recorded("request").into_iter().chain(recorded("reply")) {
        let message = open(&body);
        for value in ["args", "result"].into_iter().filter_map(|key| message.get(key)).flat_map(objects) {
            let mut expected = value.clone();
            sort_changes(&mut expected);
            let object = Object::decode(value).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(object.to_primitive(), expected, "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 6, "only {seen} objects were recorded");
}

#[test]
fn a_mitaka_bay_create_reads_as_its_api_meant_it() {
    let request = Request::decode(JSON, &recorded("request")["mitaka_bay_create"]).unwrap();
    assert_eq!(request.method, "bay_create");
    assert_eq!(request.monitor, CallMonitor::Unsupported);
    assert_eq!(request.reply_address().unwrap().form, ReplyForm::Double);
    assert_eq!(request.context.project_id(), Some("11111111111111111111111111111111"));
    assert_eq!(request.context.roles(), ["member", "heat_stack_owner"]);
    assert_eq!(request.context.token_expires_at(), Some("2099-01-01T00:00:00.000000Z"));
    assert!(request.context.catalog().is_some());
    let bay = Object::decode(&request.args["bay"]).unwrap();
    assert_eq!((bay.text("name"), bay.integer("node_count")), (Some("b355"), Some(2)));
    assert!(bay.is_changed("baymodel_id") && !bay.is_changed("stack_id"));
}

#[test]
fn recorded_failures_read_as_what_python_raised() {
    let failure = |name: &str| {
        let content = Reply::decode(JSON, &recorded("reply")[name]).unwrap().content;
        let ReplyContent::Failure { failure, ending: true } = content else {
            panic!("{name} is {content:?}")
        };
        failure
    };
    let without_traceback = |failure: Failure| Failure { tb: Box::default(), ..failure };
    let ours = Failure::no_such_method("nosuch");
    assert_eq!(without_traceback(failure("oslo_18_no_such_method")), without_traceback(ours));
    let ours = Failure::unsupported_version("2.0".parse().unwrap(), "echo");
    assert_eq!(without_traceback(failure("oslo_18_unsupported_version")), without_traceback(ours));
    let ours = Failure::type_error("Endpoint.echo() got an unexpected keyword argument 'wrong'");
    assert_eq!(without_traceback(failure("oslo_18_wrong_argument")), without_traceback(ours));
    let custom = failure("oslo_18_failure_with_kwargs");
    assert_eq!(Value::Object(*custom.kwargs), json!({ "code": 409, "details": "kw" }));
}

#[test]
fn a_recorded_notification_reads_as_what_was_published() {
    let notification = Notification::decode(JSON, &recorded("notification")["xena_cluster_create"]).unwrap();
    assert_eq!(notification.event_type, "magnum.cluster.create");
    assert_eq!(notification.priority, Priority::Info);
    assert_eq!(notification.payload["outcome"], "pending");
    assert_eq!(notification.context["domain"], "default");
}
