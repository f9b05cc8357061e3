//! Schemas of what methods answer about a bay's framework in plain values.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{or_null, refer};

pub(super) fn components() -> BTreeMap<String, Value> {
    let list = |of: &str| json!({ "type": "array", "items": refer(of) });
    let parts = [
        ("Task", task()),
        ("Tasks", list("Task")),
        ("TaskFailure", failure()),
        ("Versions", versions()),
        ("Deployment", deployment()),
        ("Deployments", list("Deployment")),
        ("Diagnosis", diagnosis()),
        ("Cancelled", cancelled()),
    ];
    parts.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn texts() -> Value {
    json!({ "type": "array", "items": text() })
}

/// An object with all of these and nothing else.
fn object(title: &str, properties: Value) -> Value {
    let names: Vec<String> = properties.as_object().into_iter().flat_map(|map| map.keys().cloned()).collect();
    json!({
        "title": title,
        "type": "object",
        "properties": properties,
        "required": names,
        "additionalProperties": false,
    })
}

fn task() -> Value {
    object(
        "A task of an app",
        json!({
            "app": text(),
            "id": text(),
            "host": text(),
            "ports": { "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 65535 } },
            "state": text(),
            "healthy": { "type": ["boolean", "null"] },
            "version": or_null(text()),
            "staged_at": or_null(text()),
            "started_at": or_null(text()),
            "agent_id": or_null(text()),
            "addresses": texts(),
        }),
    )
}

fn failure() -> Value {
    object(
        "How a task failed",
        json!({
            "task_id": text(),
            "state": text(),
            "message": text(),
            "host": text(),
            "timestamp": or_null(text()),
            "version": or_null(text()),
        }),
    )
}

fn versions() -> Value {
    json!({ "title": "The versions of an app, the newest first", "type": "array", "items": text() })
}

fn deployment() -> Value {
    let number = json!({ "type": "integer", "minimum": 0 });
    object(
        "A change that is under way",
        json!({
            "id": text(),
            "version": or_null(text()),
            "apps": texts(),
            "current_step": number,
            "total_steps": number,
            "steps": { "type": "array", "items": texts() },
            "actions": texts(),
        }),
    )
}

fn diagnosis() -> Value {
    object(
        "Why an app is not running, the nearest cause first",
        json!({
            "uuid": text(),
            "name": or_null(text()),
            "status": or_null(text()),
            "running": { "type": "boolean" },
            "reasons": texts(),
            "last_failures": { "type": "array", "items": refer("TaskFailure") },
        }),
    )
}

fn cancelled() -> Value {
    object(
        "A deployment that is ended: which other one takes its changes back, if one does",
        json!({ "deployment_id": or_null(text()) }),
    )
}
