//! What the fuzzer runs, and `cargo test` with every input that it has left: any bytes at all are decoded, and what
//! decodes is held to what it promises. Of a body, the first byte says the content type that it came with.

use mesos_conductor_proto::codec::{self, Encoding, Map};
use mesos_conductor_proto::message::{Assembly, Reply, ReplyAddress, ReplyContent, ReplyForm, Request};
use mesos_conductor_proto::notification::{Driver, Notification};
use mesos_conductor_proto::object::Object;
use serde_json::Value;

/// A function over an input.
pub(crate) type Target = fn(&[u8]);

/// Every target by name; its corpus is the folder of that name.
pub(crate) const ALL: &[(&str, Target)] = &[
    ("request", request),
    ("round_trip", round_trip),
    ("reply", reply),
    ("notification", notification),
    ("object", object),
];

/// The longest line that an error, or the debug form of what was decoded, may make of a name.
const LINE: usize = 16 * 1024;

/// The content type that the first byte stands for, and the body.
fn split(input: &[u8]) -> Option<(Option<&'static str>, &[u8])> {
    let (first, body) = input.split_first()?;
    let content_type = match first % 4 {
        0 => Some("application/json"),
        1 => Some("application/x-msgpack"),
        2 => None,
        _ => Some("Application/JSON; charset=utf-8"),
    };
    Some((content_type, body))
}

/// What stops a request is told in a line, and its sender hears of it where it can be found.
fn request(input: &[u8]) {
    let Some((content_type, body)) = split(input) else { return };
    match Request::decode(content_type, body) {
        Ok(request) => {
            assert!(request.method.len() <= 255 && !request.method.contains(char::is_control));
            assert!(request.dedupe_key().is_none_or(|key| key.len() <= 255));
            assert!(request.context.request_id().is_none_or(|id| id.len() <= 255));
            request.reply_address().iter().for_each(answer);
            for object in request.args.values().filter(|value| Object::is_primitive(value)) {
                drop(Object::decode(object));
            }
        }
        Err(malformed) => {
            assert!(malformed.to_string().len() < LINE && !malformed.to_string().contains('\n'));
            malformed.reply_to.as_deref().into_iter().for_each(answer);
        }
    }
}

/// Whatever address was read, its replies come to the outcome that they were made of.
fn answer(address: &ReplyAddress) {
    assert!(address.queue.len() <= 255);
    let content_type = Some(address.encoding.content_type());
    let ids = || ["first".to_owned(), "second".to_owned()];
    for outcome in [Ok(Value::Bool(true)), Err(mesos_conductor_proto::failure::Failure::type_error("no"))] {
        let mut assembly = Assembly::default();
        let bodies = address.bodies(&outcome, ids());
        let ended = bodies.iter().filter_map(|body| {
            let reply = Reply::decode(content_type, body).expect("our own reply decodes");
            assert_eq!(reply.msg_id, address.msg_id);
            assembly.accept(reply.content)
        });
        assert_eq!(ended.collect::<Vec<_>>(), [outcome]);
    }
    let beat = Reply::decode(content_type, &address.heartbeat_body("beat".to_owned()));
    assert_eq!(beat.map(|reply| reply.content), Ok(ReplyContent::Heartbeat));
}

/// What was decoded is encoded and decoded again to the same request, in either encoding.
fn round_trip(input: &[u8]) {
    let Some((content_type, body)) = split(input) else { return };
    let Ok(mut request) = Request::decode(content_type, body) else { return };
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        request.encoding = encoding;
        let again = Request::decode(Some(encoding.content_type()), &request.encode());
        let Ok(again) = again else { panic!("{encoding:?}: {again:?} of {request:?}") };
        assert_same(&map(&request), &map(&again));
    }
}

/// Everything that a request says, as its message.
fn map(request: &Request) -> Value {
    let packed = Request { encoding: Encoding::MessagePack, ..request.clone() };
    let mut map = codec::open(Encoding::MessagePack, &packed.encode()).expect("our own request opens");
    map.insert(
        "monitor".to_owned(),
        format!("{:?}", request.reply_address().map(|to| (to.form, to.heartbeat))).into(),
    );
    Value::Object(map)
}

/// Equality, but for the last bit of a fraction: JSON's reader rounds there.
fn assert_same(one: &Value, other: &Value) {
    match (one, other) {
        (Value::Array(ones), Value::Array(others)) => {
            assert_eq!(ones.len(), others.len());
            ones.iter().zip(others).for_each(|(one, other)| assert_same(one, other));
        }
        (Value::Object(ones), Value::Object(others)) => {
            assert!(ones.keys().eq(others.keys()), "{ones:?} and {others:?}");
            ones.values().zip(others.values()).for_each(|(one, other)| assert_same(one, other));
        }
        (Value::Number(one), Value::Number(other)) if one != other => {
            let (Some(one), Some(other)) = (one.as_f64(), other.as_f64()) else {
                panic!("{one} and {other}")
            };
            assert!((one - other).abs() <= one.abs() * 1e-15, "{one} and {other}");
        }
        (one, other) => assert_eq!(one, other),
    }
}

/// Several bodies, each on a line of its own, as replies of one call.
fn reply(input: &[u8]) {
    let Some((content_type, bodies)) = split(input) else { return };
    let mut assembly = Assembly::default();
    for body in bodies.split(|byte| *byte == b'\n') {
        match Reply::decode(content_type, body) {
            Ok(reply) => {
                if let ReplyContent::Failure { failure, .. } = &reply.content {
                    let again = mesos_conductor_proto::failure::Failure::from_text(&failure.to_text());
                    let again = again.expect("our own failure decodes");
                    assert_eq!(
                        (&again.class, &again.message, &again.tb),
                        (&failure.class, &failure.message, &failure.tb)
                    );
                }
                if let Some(outcome) = assembly.accept(reply.content.clone()) {
                    give(&reply.msg_id, &outcome);
                }
            }
            Err(error) => assert!(error.to_string().len() < LINE),
        }
    }
}

/// An outcome that a client had can be given to another one.
fn give(msg_id: &str, outcome: &Result<Value, mesos_conductor_proto::failure::Failure>) {
    let address = ReplyAddress {
        queue: "reply".to_owned(),
        msg_id: msg_id.to_owned(),
        form: ReplyForm::Double,
        encoding: Encoding::MessagePack,
        heartbeat: None,
    };
    for body in address.bodies(outcome, ["first".to_owned(), "second".to_owned()]) {
        let again = Reply::decode(Some(address.encoding.content_type()), &body);
        assert_eq!(again.expect("our own reply decodes").msg_id, msg_id);
    }
}

/// A notification goes on in either form as it came.
fn notification(input: &[u8]) {
    let Some((content_type, body)) = split(input) else { return };
    match Notification::decode(content_type, body) {
        Ok(notification) => {
            for driver in [Driver::Messaging, Driver::Messagingv2] {
                let again = Notification::decode(None, &notification.encode(driver));
                let Ok(again) = again else { panic!("{driver:?}: {again:?} of {notification:?}") };
                assert_same(&notification.payload, &again.payload);
                let plain = |of: &Notification| Notification {
                    payload: Value::Null,
                    context: Map::new(),
                    ..of.clone()
                };
                assert_eq!(plain(&again), plain(&notification));
            }
        }
        Err(error) => assert!(error.to_string().len() < LINE),
    }
}

/// An object is written as it was read, fields that its version does not have left out.
fn object(input: &[u8]) {
    let Ok(map) = codec::open(Encoding::Json, input) else { return };
    match Object::decode(&Value::Object(map)) {
        Ok(object) => {
            let again = Object::decode(&object.to_primitive());
            assert_eq!(again.as_ref(), Ok(&object), "an object decodes to itself");
            for field in object.fields() {
                assert_eq!(object.is_set(field.name), object.get(field.name).is_some());
            }
            let mut whole = object;
            whole.set_defaults();
            assert!(Object::decode(&whole.to_primitive()).is_ok());
        }
        Err(error) => assert!(error.to_string().len() < LINE),
    }
}
