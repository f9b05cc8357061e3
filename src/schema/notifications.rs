//! Schemas of notifications, out of their envelope.

use std::collections::BTreeMap;

use mesos_conductor_proto::codec::Map;
use mesos_conductor_proto::context::RequestContext;
use serde_json::{Value, json};

use super::messages::context;
use super::{objects, or_null, refer};
use crate::notify::{About, Outcome, cadf_action};
use crate::operation::record::Kind;
use crate::operation::steps::about;

pub(super) fn components() -> BTreeMap<String, Value> {
    let events = Kind::ALL.iter().map(|kind| (name(*kind), notification(*kind)));
    let data = Kind::ALL.iter().map(|kind| about(*kind)).map(|about| (about.data.to_owned(), data(&about)));
    events.chain(data).collect()
}

/// The name of the schema of an event.
pub(super) fn name(kind: Kind) -> String {
    format!("{}.notification", about(kind).event_type)
}

fn notification(kind: Kind) -> Value {
    let text = json!({ "type": "string" });
    let mut properties = json!({
        "message_id": { "type": "string", "format": "uuid" },
        "publisher_id": text,
        "event_type": { "const": about(kind).event_type },
        "priority": { "enum": priorities() },
        "timestamp": { "type": "string", "pattern": r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}$" },
        "_unique_id": text,
        "payload": payload(kind),
    });
    let required: Vec<String> = properties.as_object().expect("it was made as one").keys().cloned().collect();
    // Of the context only what is harmless, whatever its type was.
    let known = properties.as_object_mut().expect("it was made as one");
    known.extend(context(RequestContext::harmless_keys(), &json!({})));
    json!({
        "title": format!("{}: it began, it is done, or it failed", about(kind).event_type),
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
        "anyOf": Outcome::ALL.map(|outcome| json!({
            "properties": {
                "priority": { "const": outcome.priority().upper() },
                "payload": { "properties": { "outcome": { "const": outcome.as_str() } } },
            },
        })),
    })
}

fn priorities() -> Vec<&'static str> {
    let mut priorities = Outcome::ALL.map(|outcome| outcome.priority().upper()).to_vec();
    priorities.dedup();
    priorities
}

/// A CADF event.
fn payload(kind: Kind) -> Value {
    let About { type_uri, data, .. } = about(kind);
    let uuid = json!({ "type": "string", "format": "uuid" });
    let optional = json!({ "type": "string" });
    json!({
        "type": "object",
        "properties": {
            "typeURI": { "const": "http://schemas.dmtf.org/cloud/audit/1.0/event" },
            "eventType": { "const": "activity" },
            "id": uuid,
            "eventTime": { "type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+0000$" },
            "action": { "const": cadf_action(kind) },
            "outcome": { "enum": Outcome::ALL.map(Outcome::as_str) },
            "initiator": {
                "type": "object",
                "properties": {
                    "id": uuid,
                    "typeURI": { "const": "service/security/account/user" },
                    "user_id": optional,
                    "project_id": optional,
                    "domain_id": optional,
                },
                "required": ["id", "typeURI"],
                "additionalProperties": false,
            },
            "observer": {
                "type": "object",
                "properties": { "id": uuid, "typeURI": { "const": type_uri } },
                "required": ["id", "typeURI"],
                "additionalProperties": false,
            },
            "target": {
                "type": "object",
                "properties": {
                    "id": uuid,
                    "name": { "type": ["string", "null"] },
                    "typeURI": { "const": type_uri },
                    "attachments": {
                        "type": "array",
                        "items": refer(data),
                        "minItems": 1,
                        "maxItems": 1,
                    },
                },
                "required": ["id", "name", "typeURI", "attachments"],
                "additionalProperties": false,
            },
        },
        "required": ["typeURI", "eventType", "id", "eventTime", "action", "outcome", "initiator", "observer", "target"],
        "additionalProperties": false,
    })
}

/// What is said of the thing itself.
fn data(about: &About) -> Value {
    let content: Map =
        about.parts.iter().map(|(name, kind)| ((*name).to_owned(), or_null(objects::value(*kind)))).collect();
    json!({
        "title": format!("What notifications say of it: {}", about.data),
        "type": "object",
        "properties": {
            "typeURI": { "const": about.type_uri },
            "name": { "const": about.data },
            "content": {
                "type": "object",
                "properties": content,
                "required": about.parts.iter().map(|(name, _)| name).collect::<Vec<_>>(),
                "additionalProperties": false,
            },
        },
        "required": ["typeURI", "name", "content"],
        "additionalProperties": false,
    })
}
