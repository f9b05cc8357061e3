//! The AsyncAPI 3 document: where messages go, which answer which, and how they look.
//!
//! Names of queues and exchanges are those of the default configuration.

use std::collections::BTreeMap;

use mesos_conductor_proto::codec::{Encoding, Map};
use serde_json::{Value, json};

use super::examples;
use super::{DEFS, any_of, notifications, refer};
use crate::notify::Outcome;
use crate::operation::record::Kind;
use crate::operation::steps::about;
use crate::rpc;

/// Replies of any method.
const SIGNS: [&str; 2] = ["heartbeat", "ending"];

pub(super) fn document(components: &BTreeMap<String, Value>) -> Value {
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "mesos-conductor",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A conductor for Mesos bays: OpenStack Magnum's RPC, as oslo.messaging carries it over \
                RabbitMQ. A message may come bare or in the envelope, as JSON (`application/json`) or as MessagePack \
                (`application/x-msgpack`), and is answered in the same encoding, always in the envelope. Names of \
                exchanges and queues are those of the default configuration. docs/RPC.md tells the whole.",
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
            "tags": [{ "name": "openstack" }, { "name": "mesos" }],
        },
        "defaultContentType": Encoding::Json.content_type(),
        "servers": servers(),
        "channels": channels(),
        "operations": operations(),
        "components": {
            "messages": messages(),
            "schemas": components,
            "securitySchemes": {
                "user": { "type": "userPassword", "description": "The user of the virtual host." },
                "certificate": { "type": "X509", "description": "A client's certificate, where the broker asks for one." },
            },
        },
    });
    point_into_components(&mut document);
    document
}

fn servers() -> Value {
    let user = json!({ "$ref": "#/components/securitySchemes/user" });
    let certificate = json!({ "$ref": "#/components/securitySchemes/certificate" });
    let server = |protocol: &str, security: Vec<&Value>| {
        json!({
            "host": "{host}:{port}",
            "protocol": protocol,
            "protocolVersion": "0.9.1",
            "pathname": "/{virtual_host}",
            "security": security,
            "variables": {
                "host": { "default": "localhost" },
                "port": { "default": if protocol == "amqp" { "5672" } else { "5671" } },
                "virtual_host": { "default": "%2f" },
            },
        })
    };
    json!({
        "rabbitmq": server("amqp", vec![&user]),
        "rabbitmq_tls": server("amqps", vec![&user, &certificate]),
    })
}

/// The messages of a channel, by their names among the components.
fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> Map {
    let entry = |name: &str| (key(name), json!({ "$ref": format!("#/components/messages/{}", key(name)) }));
    names.into_iter().map(entry).collect()
}

/// A message of a channel.
fn on(channel: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/channels/{channel}/messages/{}", key(name)) })
}

/// Names of messages without the dots, which some generators make identifiers of.
fn key(name: &str) -> String {
    name.replace(['.', '-'], "_")
}

fn requests() -> Vec<String> {
    rpc::method_names().map(|method| format!("{method}.request")).collect()
}

fn replies() -> Vec<String> {
    let replies = rpc::method_names().map(|method| format!("{method}.reply"));
    replies.chain(SIGNS.map(str::to_owned)).collect()
}

fn events() -> Vec<String> {
    Kind::ALL.iter().map(|kind| notifications::name(*kind)).collect()
}

fn channels() -> Value {
    let (requests, replies, events) = (requests(), replies(), events());
    let of = |names: &[String]| listed(names.iter().map(String::as_str));
    let routed = |exchange: &str, kind: &str| {
        json!({ "amqp": {
            "is": "routingKey",
            "exchange": { "name": exchange, "type": kind, "durable": false, "autoDelete": kind == "fanout" },
            "bindingVersion": "0.3.0",
        }})
    };
    let of_client = |expires: bool| {
        json!({ "amqp": {
            "is": "queue",
            "queue": { "exclusive": false, "durable": false, "autoDelete": !expires },
            "bindingVersion": "0.3.0",
        }})
    };
    let notified = |level: &str| {
        json!({
            "address": format!("notifications.{level}"),
            "description": "A queue of the same name is declared, so that nothing is lost before somebody listens.",
            "messages": of(&events),
            "bindings": routed("magnum", "topic"),
        })
    };
    json!({
        "topic": {
            "address": "magnum-conductor",
            "description": "Requests that any one worker takes.",
            "messages": of(&requests),
            "bindings": routed("magnum", "topic"),
        },
        "server": {
            "address": "magnum-conductor.{server}",
            "description": "Requests to one worker, by the name in its log.",
            "parameters": { "server": { "description": "Twelve random characters, new at every start." } },
            "messages": of(&requests),
            "bindings": routed("magnum", "topic"),
        },
        "fanout": {
            "address": "magnum-conductor",
            "description": "Casts to every worker; a command is still done once.",
            "messages": of(&requests),
            "bindings": routed("magnum-conductor_fanout", "fanout"),
        },
        "reply": {
            "address": null,
            "description": "The caller's queue, by the default exchange. The caller declares it.",
            "messages": of(&replies),
            "bindings": of_client(true),
        },
        "notify_queue": {
            "address": null,
            "description": "The queue that a caller names in `notify_queue`, by the default exchange.",
            "messages": of(&events),
            "bindings": of_client(false),
        },
        "notifications_info": notified("info"),
        "notifications_error": notified("error"),
    })
}

fn operations() -> Value {
    let mut operations = Map::new();
    for method in rpc::method_names() {
        let (request, reply) = (format!("{method}.request"), format!("{method}.reply"));
        operations.insert(method.to_owned(), served(method, "topic", &[request], &[reply]));
    }
    let (requests, replies) = (requests(), replies());
    let server = served("Any method, of one worker", "server", &requests, &replies);
    operations.insert("ask_one".to_owned(), server);
    let mut fanout = served("Any method, of every worker", "fanout", &requests, &[]);
    fanout.as_object_mut().expect("it was made as one").remove("reply");
    operations.insert("ask_all".to_owned(), fanout);
    for (outcome, channel) in
        [(Outcome::Success, "notifications_info"), (Outcome::Failure, "notifications_error")]
    {
        let messages: Vec<_> = events().iter().map(|event| on(channel, event)).collect();
        operations.insert(
            format!("tell_{}", outcome.priority().lower()),
            json!({
                "action": "send",
                "title": "Tells what became of a bay",
                "channel": { "$ref": format!("#/channels/{channel}") },
                "messages": messages,
                "bindings": persistent(),
            }),
        );
    }
    let messages: Vec<_> = events().iter().map(|event| on("notify_queue", event)).collect();
    operations.insert(
        "tell_caller".to_owned(),
        json!({
            "action": "send",
            "title": "Tells the caller's queue how its operation ended",
            "channel": { "$ref": "#/channels/notify_queue" },
            "messages": messages,
            "bindings": persistent(),
        }),
    );
    Value::Object(operations)
}

fn persistent() -> Value {
    json!({ "amqp": { "deliveryMode": 2, "bindingVersion": "0.3.0" } })
}

fn served(title: &str, channel: &str, requests: &[String], replies: &[String]) -> Value {
    let signs = SIGNS.iter().copied().filter(|sign| replies.iter().all(|reply| reply != sign));
    let replies = replies.iter().map(String::as_str).chain(signs).map(|name| on("reply", name));
    json!({
        "action": "receive",
        "title": title,
        "channel": { "$ref": format!("#/channels/{channel}") },
        "messages": requests.iter().map(|name| on(channel, name)).collect::<Vec<_>>(),
        "bindings": { "amqp": { "ack": true, "bindingVersion": "0.3.0" } },
        "reply": {
            "address": {
                "location": "$message.payload#/_reply_q",
                "description": "Within the envelope. A message without `_msg_id` is a cast and is not answered.",
            },
            "channel": { "$ref": "#/channels/reply" },
            "messages": replies.collect::<Vec<_>>(),
        },
    })
}

fn messages() -> Value {
    let mut messages = Map::new();
    for method in rpc::method_names() {
        // What a call and its answers have in common.
        let by_id = json!({ "location": "$message.payload#/_msg_id" });
        let name = format!("{method}.request");
        let mut request = message(&name, any_of([refer(&name), sealed(&name)]));
        request["correlationId"] = by_id.clone();
        messages.insert(key(&name), request);
        let name = format!("{method}.reply");
        let mut reply = message(&name, sealed(&name));
        reply["correlationId"] = by_id;
        messages.insert(key(&name), reply);
    }
    for name in SIGNS {
        messages.insert(key(name), message(name, sealed(name)));
    }
    for kind in Kind::ALL {
        let name = notifications::name(*kind);
        // The driver `messaging` sends them bare.
        let mut event = message(&name, any_of([refer(&name), sealed(&name)]));
        event["summary"] = json!(about(*kind).event_type);
        messages.insert(key(&name), event);
    }
    Value::Object(messages)
}

fn message(name: &str, payload: Value) -> Value {
    let mut message = json!({
        "name": name,
        "contentType": Encoding::Json.content_type(),
        "payload": payload,
        "bindings": { "amqp": { "contentEncoding": Encoding::Json.content_encoding(), "bindingVersion": "0.3.0" } },
    });
    let examples = examples::of(name);
    if !examples.is_empty() {
        message["examples"] = json!(examples);
    }
    message
}

/// The message in the envelope: as text in JSON, as itself in MessagePack.
fn sealed(name: &str) -> Value {
    json!({
        "type": "object",
        "properties": {
            "oslo.version": { "const": "2.0" },
            "oslo.message": any_of([
                json!({ "type": "string", "contentMediaType": Encoding::Json.content_type() }),
                refer(name),
            ]),
        },
        "required": ["oslo.version", "oslo.message"],
    })
}

/// In this document the components are elsewhere than in a schema of its own.
fn point_into_components(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get_mut("$ref")
                && let Some(name) = target.strip_prefix(DEFS)
            {
                *target = format!("#/components/schemas/{name}");
            }
            map.values_mut().for_each(point_into_components);
        }
        Value::Array(items) => items.iter_mut().for_each(point_into_components),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
