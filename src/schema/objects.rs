//! Schemas of versioned objects: as the worker answers them, and as it takes them.

use std::collections::BTreeMap;

use mesos_conductor_proto::codec::Map;
use mesos_conductor_proto::object::{DEFINITIONS, Field, Kind, ObjectDef};
use mesos_conductor_proto::version::Version;
use serde_json::{Value, json};

use super::{any_of, or_null, refer};

/// Who wrote the object decides how strict its schema is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    /// By the worker: every field, each of its own type.
    Answered,
    /// By a client: any of the fields; numbers may be text.
    Sent,
}

pub(super) fn components() -> BTreeMap<String, Value> {
    let mut components = BTreeMap::new();
    for definition in DEFINITIONS {
        let name = definition.name;
        for version in definition.forms() {
            components.insert(format!("{name}-{version}"), object(definition, version, Written::Answered));
            components.insert(format!("{name}-{version}.sent"), object(definition, version, Written::Sent));
        }
        let forms = |suffix: &str| {
            any_of(definition.forms().iter().map(|version| refer(&format!("{name}-{version}{suffix}"))))
        };
        components.insert(name.to_owned(), forms(""));
        let mut sent = forms(".sent");
        sent["anyOf"].as_array_mut().expect("it was made with one").push(refer(&format!("{name}.fields")));
        components.insert(format!("{name}.sent"), sent);
        components.insert(format!("{name}.fields"), plain(definition));
    }
    components
}

/// The classes that have schemas.
pub(super) fn classes() -> impl Iterator<Item = &'static str> {
    DEFINITIONS.iter().map(|definition| definition.name)
}

/// An object from this version until its next form.
fn object(definition: &'static ObjectDef, form: Version, written: Written) -> Value {
    let next = definition.forms().into_iter().find(|version| *version > form);
    let last = next.map_or(definition.latest.minor, |next| next.minor - 1);
    let versions: Vec<_> = (form.minor..=last).map(|minor| Version::new(form.major, minor)).collect();
    let data = match written {
        Written::Answered => {
            // What is nested may be missing: the row that it stands for may be.
            let always = definition.fields_at(form).filter(|field| !matches!(field.kind, Kind::Object(_)));
            json!({
                "type": "object",
                "properties": fields(definition, form, written),
                "required": always.map(|field| field.name).collect::<Vec<_>>(),
                "additionalProperties": false,
            })
        }
        // What a version does not know is not looked at.
        Written::Sent => json!({ "type": "object", "properties": fields(definition, form, written) }),
    };
    let mut properties = json!({
        "magnum_object.name": { "const": definition.name },
        "magnum_object.namespace": { "const": "magnum" },
        "magnum_object.version": { "enum": versions },
        "magnum_object.data": data,
    });
    if written == Written::Sent {
        properties["magnum_object.changes"] =
            or_null(json!({ "type": "array", "items": { "type": "string" } }));
    }
    let by = if written == Written::Sent { "a client sends" } else { "the conductor answers with" };
    json!({
        "title": format!("{} {form}, as {by} it", definition.name),
        "type": "object",
        "properties": properties,
        "required":
            ["magnum_object.name", "magnum_object.namespace", "magnum_object.version", "magnum_object.data"],
        "additionalProperties": written == Written::Sent,
    })
}

/// An object as a plain dict of its fields.
fn plain(definition: &'static ObjectDef) -> Value {
    json!({
        "title": format!("The fields of {}, without the object around them", definition.name),
        "description": format!("Taken wherever the object is, as version {}; all count as changed.", definition.latest),
        "type": "object",
        "properties": fields(definition, definition.latest, Written::Sent),
        "additionalProperties": false,
    })
}

fn fields(definition: &'static ObjectDef, version: Version, written: Written) -> Map {
    definition.fields_at(version).map(|field| (field.name.to_owned(), field_value(field, written))).collect()
}

fn field_value(field: &Field, written: Written) -> Value {
    let schema = match (field.kind, written) {
        (Kind::Object(class), Written::Sent) => refer(&format!("{class}.sent")),
        (Kind::Integer, Written::Sent) => any_of([value(Kind::Integer), numeric_text()]),
        (kind, Written::Sent | Written::Answered) => value(kind),
    };
    if field.nullable { or_null(schema) } else { schema }
}

/// Text that holds a whole number: Python clients send that too.
pub(super) fn numeric_text() -> Value {
    json!({ "type": "string", "pattern": r"^\s*[+-]?[0-9]+\s*$" })
}

/// A value of that kind, and nothing that has to be made to fit.
pub(super) fn value(kind: Kind) -> Value {
    let text = json!({ "type": "string" });
    match kind {
        Kind::Integer => json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Text | Kind::Uuid => text,
        Kind::Enum(members) => json!({ "enum": members }),
        Kind::DateTime => json!({ "type": "string", "format": "date-time" }),
        Kind::TextList => json!({ "type": "array", "items": text }),
        Kind::TextDict => json!({ "type": "object", "additionalProperties": text }),
        Kind::Object(class) => refer(class),
    }
}
