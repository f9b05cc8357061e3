//! Schemas of requests and replies, out of their envelope.

use std::collections::BTreeMap;

use mesos_conductor_proto::codec::Map;
use mesos_conductor_proto::context::RequestContext;
use serde_json::{Value, json};

use super::{any_of, objects, or_null, refer};
use crate::rpc::arguments::{Argument, Takes};
use crate::rpc::endpoints::METHODS;
use crate::rpc::method::{Answers, Method};

pub(super) fn components() -> BTreeMap<String, Value> {
    let mut components = BTreeMap::from([
        ("envelope".to_owned(), envelope()),
        ("failure".to_owned(), failure()),
        ("reply".to_owned(), any_of(["reply.failure", "heartbeat", "ending"].map(refer))),
        ("reply.failure".to_owned(), failed()),
        ("heartbeat".to_owned(), heartbeat()),
        ("ending".to_owned(), ending()),
    ]);
    for method in METHODS {
        let name = method.name();
        components.insert(format!("{name}.request"), request(*method));
        components.insert(format!("{name}.reply"), reply(*method));
    }
    components
}

/// The form around every message but the bare ones.
fn envelope() -> Value {
    json!({
        "title": "The envelope around a message",
        "type": "object",
        "properties": {
            "oslo.version": { "type": "string", "pattern": r"^2(\.0(\.[0-9]+)?)?$" },
            "oslo.message": {
                "description": "In JSON the message as JSON text; in MessagePack the message itself.",
                "anyOf": [{ "type": "string", "contentMediaType": "application/json" }, { "type": "object" }],
            },
        },
        "required": ["oslo.version", "oslo.message"],
    })
}

fn request(method: &dyn Method) -> Value {
    let args = arguments(method.arguments());
    let mut required = vec!["method"];
    if method.arguments().iter().any(|argument| argument.required) {
        required.push("args");
    }
    let text = || json!({ "type": ["string", "null"] });
    let mut properties = json!({
        "method": { "const": method.name() },
        "args": args,
        "namespace": { "type": "null" },
        "version": { "type": ["string", "null"], "pattern": r"^1(\.0(\.[0-9]+)?)?$" },
        "_msg_id": text(),
        "_reply_q": text(),
        "_unique_id": text(),
        "_timeout": { "type": ["number", "string", "null"] },
    });
    let known = properties.as_object_mut().expect("it was made as one");
    known.extend(context(RequestContext::text_keys(), &json!({ "type": ["string", "null"] })));
    known.extend(context(RequestContext::boolean_keys(), &json!({ "type": ["boolean", "null"] })));
    known.extend(context(&["auth_token_info"], &json!({ "type": ["object", "null"] })));
    known.extend(context(&["roles"], &or_null(json!({ "type": "array", "items": { "type": "string" } }))));
    json!({
        "title": format!("A call or cast of {}", method.name()),
        "description": "A call has `_msg_id` and `_reply_q`, a cast neither.",
        "type": "object",
        "properties": properties,
        "required": required,
    })
}

/// Entries of the request context, as a message carries them.
pub(super) fn context(keys: &[&str], schema: &Value) -> Map {
    keys.iter().map(|key| (format!("_context_{key}"), schema.clone())).collect()
}

fn arguments(arguments: &[Argument]) -> Value {
    let properties: Map =
        arguments.iter().map(|argument| (argument.name.to_owned(), takes(argument.takes))).collect();
    let required = arguments.iter().filter(|argument| argument.required).map(|argument| argument.name);
    json!({
        "type": "object",
        "properties": properties,
        "required": required.collect::<Vec<_>>(),
        "additionalProperties": false,
    })
}

fn takes(takes: Takes) -> Value {
    or_null(match takes {
        Takes::Anything => return json!({}),
        Takes::Text => json!({ "type": "string" }),
        Takes::Integer => any_of([json!({ "type": "integer" }), objects::numeric_text()]),
        Takes::Flag => json!({ "type": "boolean" }),
        Takes::List => json!({ "type": "array" }),
        Takes::Dict => json!({ "type": "object" }),
        Takes::Object(class) => return refer(&format!("{class}.sent")),
        Takes::AnyObject => return any_of(objects::classes().map(|class| refer(&format!("{class}.sent")))),
    })
}

fn result(answers: Answers) -> Value {
    match answers {
        Answers::Anything => json!({}),
        Answers::Nothing => json!({ "type": "null" }),
        Answers::True => json!({ "const": true }),
        Answers::Word(word) => json!({ "const": word }),
        Answers::Object(class) => refer(class),
        Answers::Objects(class) => json!({ "type": "array", "items": refer(class) }),
        Answers::Shape(name) => refer(name),
        Answers::ClassMethod => {
            let object = any_of(objects::classes().map(refer));
            let one_or_many = any_of([object.clone(), json!({ "type": "array", "items": object })]);
            // Locks and look-ups that may find nothing answer in plain values.
            any_of([one_or_many, json!({ "type": ["string", "boolean", "null"] })])
        }
        Answers::Changes => json!({
            "description": "A list of two: the fields that changed, and what the method returned.",
            "type": "array",
            "items": { "type": ["object", "string", "number", "boolean", "null"] },
            "minItems": 2,
            "maxItems": 2,
        }),
    }
}

fn reply(method: &dyn Method) -> Value {
    let name = method.name();
    let mut reply = body(&result(method.answers()), &json!({ "type": "null" }), true);
    reply["title"] = json!(format!("The result of {name}"));
    reply["description"] =
        json!("Without `ending` it is the first of the two replies that old clients are sent.");
    json!({
        "title": format!("A reply to {name}: its result or its failure"),
        "anyOf": [reply, refer("reply.failure")],
    })
}

fn failed() -> Value {
    let text = json!({ "type": "string", "contentMediaType": "application/json", "contentSchema": refer("failure") });
    let mut reply = body(&json!({ "type": "null" }), &text, true);
    reply["title"] = json!("A reply that tells of a failure");
    reply
}

fn heartbeat() -> Value {
    let mut reply = body(&json!({ "type": "null" }), &json!({ "type": "null" }), false);
    reply["title"] = json!("A sign of life of a call that is still running");
    reply
}

fn ending() -> Value {
    let mut reply = body(&json!({ "type": "null" }), &json!({ "type": "null" }), true);
    reply["title"] = json!("The end of a call");
    reply["description"] =
        json!("The second of the two replies that old clients are sent, or a result that is null.");
    reply["required"].as_array_mut().expect("it was made with one").push(json!("ending"));
    reply
}

/// Clients index `result` and `failure`, so both are always there.
fn body(result: &Value, failure: &Value, ends: bool) -> Value {
    let mut required = vec!["_msg_id", "_unique_id", "result", "failure"];
    if !ends {
        required.push("ending");
    }
    json!({
        "type": "object",
        "properties": {
            "_msg_id": { "type": "string" },
            "_unique_id": { "type": "string" },
            "result": result,
            "failure": failure,
            "ending": { "const": ends },
        },
        "required": required,
        "additionalProperties": false,
    })
}

/// The exception that a client raises again.
fn failure() -> Value {
    json!({
        "title": "A failure: the text under `failure` of a reply",
        "description": "`class` and `module` say what went wrong (docs/RPC.md lists them), `message` says it to people.",
        "type": "object",
        "properties": {
            "class": { "type": "string" },
            "module": { "type": "string" },
            "message": { "type": "string" },
            "args": { "type": "array", "items": { "type": "string" } },
            "kwargs": {
                "type": "object",
                "properties": { "code": { "type": "integer", "minimum": 400, "maximum": 599 } },
                "additionalProperties": { "type": "string" },
            },
            "tb": { "type": "array", "items": { "type": "string" } },
        },
        "required": ["class", "module", "message", "args", "kwargs", "tb"],
        "additionalProperties": false,
    })
}
