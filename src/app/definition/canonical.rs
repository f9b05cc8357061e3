//! The newest form of a definition: what old fields say, in the fields that took their place.

use serde_json::{Map, Value, json};

/// Rewrites everything that Marathon itself rewrites between its versions.
pub(super) fn form(body: &Map<String, Value>) -> Map<String, Value> {
    let mut form: Map<_, _> = body
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    fetch(&mut form);
    networks(&mut form);
    ports(&mut form);
    constraints(&mut form);
    form
}

/// `uris` became `fetch`; versions between show both.
fn fetch(form: &mut Map<String, Value>) {
    let Some(Value::Array(uris)) = form.remove("uris") else { return };
    if form.get("fetch").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        form.insert("fetch".to_owned(), uris.into_iter().map(|uri| json!({ "uri": uri })).collect());
    }
}

/// `ipAddress` and the Docker network became `networks`, and port mappings moved up into the container.
fn networks(form: &mut Map<String, Value>) {
    let mut mode = None;
    if let Some(container) = form.get_mut("container").and_then(Value::as_object_mut) {
        let docker = container.get_mut("docker").and_then(Value::as_object_mut);
        let (network, mappings) =
            docker.map_or((None, None), |docker| (docker.remove("network"), docker.remove("portMappings")));
        if let Some(mappings) = mappings.filter(|mappings| !is_empty(mappings)) {
            container.entry("portMappings").or_insert(mappings);
        }
        mode = network.as_ref().and_then(Value::as_str).map(|network| match network {
            "BRIDGE" => "container/bridge",
            "USER" => "container",
            _ => "host",
        });
    }
    let address = form.remove("ipAddress");
    if form.get("networks").is_some_and(|networks| !is_empty(networks)) {
        return;
    }
    let name = address.as_ref().and_then(|address| address.get("networkName")).cloned();
    let mode = mode.or_else(|| address.map(|_| "container"));
    match (mode, name) {
        (None | Some("host"), None) => form.remove("networks"),
        (mode, Some(name)) => {
            form.insert("networks".to_owned(), json!([{ "mode": mode.unwrap_or("container"), "name": name }]))
        }
        (Some(mode), None) => form.insert("networks".to_owned(), json!([{ "mode": mode }])),
    };
}

/// `ports` became `portDefinitions`. A container with mappings has no definitions of its own.
fn ports(form: &mut Map<String, Value>) {
    let mapped = form.get("container").and_then(|container| container.get("portMappings")).is_some();
    match form.remove("ports") {
        Some(Value::Array(_)) if mapped => {}
        Some(Value::Array(ports)) if !form.contains_key("portDefinitions") => {
            let definitions = ports.into_iter().map(|port| json!({ "port": port })).collect();
            form.insert("portDefinitions".to_owned(), definitions);
        }
        Some(_) | None => {}
    }
    if mapped {
        form.remove("portDefinitions");
    }
}

/// Operators are read in any case and shown in capitals.
fn constraints(form: &mut Map<String, Value>) {
    let constraints = form.get_mut("constraints").and_then(Value::as_array_mut);
    for constraint in constraints.into_iter().flatten().filter_map(Value::as_array_mut) {
        if let Some(Value::String(operator)) = constraint.get_mut(1) {
            operator.make_ascii_uppercase();
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}
