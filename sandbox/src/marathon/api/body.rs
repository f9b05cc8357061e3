//! Bodies: from text to a definition that may be put into the root.

use serde_json::{Map, Value};

use super::super::cluster::Cluster;
use super::super::definition::Definition;
use super::super::error::Error;
use super::super::path::PathId;
use super::super::root::Root;
use super::super::validation::{self, Fault};

pub(super) type Object = Map<String, Value>;

pub(super) fn parse(body: &str) -> Result<Value, Error> {
    if body.trim().is_empty() {
        return Err(Error::NoBody);
    }
    serde_json::from_str(body).map_err(|error| Error::NotJson(error.to_string()))
}

pub(super) fn object(body: &str) -> Result<Object, Error> {
    into_object(parse(body)?)
}

pub(super) fn into_object(value: Value) -> Result<Object, Error> {
    if let Value::Object(object) = value {
        Ok(object)
    } else {
        Err(Error::WrongTypes(vec![Fault::new("/", "error.expected.jsobject")]))
    }
}

pub(super) fn objects(body: &str) -> Result<Vec<Object>, Error> {
    match parse(body)? {
        Value::Array(items) => items.into_iter().map(into_object).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err(Error::WrongTypes(vec![Fault::new("/", "error.expected.jsarray")]))
        }
    }
}

/// What a definition that was sent does to one that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Replaces,
    Patches,
}

/// The id in a body.
pub(super) fn id_of(object: &Object, group: &PathId) -> Result<PathId, Error> {
    match object.get("id") {
        Some(Value::String(id)) => Ok(group.resolve(id)),
        Some(_) => Err(Error::WrongTypes(vec![Fault::new("/id", "error.expected.jsstring")])),
        None => Err(Error::Invalid(vec![Fault::new("/id", "is undefined")])),
    }
}

/// Puts what was sent into the root under that id, if it is valid.
pub(super) fn put(
    cluster: &mut Cluster,
    root: &mut Root,
    id: &PathId,
    object: &Object,
    sent: Sent,
) -> Result<(), Error> {
    let wrong = validation::wrong_types(object);
    if !wrong.is_empty() {
        return Err(Error::WrongTypes(wrong));
    }
    let profile = cluster.config.profile;
    let before = root.apps.get(id).map(|spec| spec.definition.clone());
    let merged = match before.as_ref().filter(|_| sent == Sent::Patches) {
        Some(before) => before.merged(object),
        None => object.clone(),
    };
    let mut faults = validation::faults(id, &merged, &profile);
    let app_is_group = root.groups.contains_key(id);
    let group_is_app = id.ancestors().any(|group| root.apps.contains_key(&group));
    if app_is_group || group_is_app {
        faults.push(Fault::new("/", "Groups and Applications may not have the same identifier."));
    }
    if !faults.is_empty() {
        return Err(Error::Invalid(faults));
    }
    let mut definition = Definition::new(id, merged, &profile);
    let ports = before.map(|before| before.service_ports()).unwrap_or_default();
    definition.assign_service_ports(&ports, || cluster.next_service_port(root));
    root.put(id, definition);
    Ok(())
}
