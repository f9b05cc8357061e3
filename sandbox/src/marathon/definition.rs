//! An app's definition: the JSON object that was sent, with what this Marathon fills in.

use serde_json::{Map, Value, json};

use super::path::PathId;
use super::profile::Profile;

/// What only Marathon writes, and what has no meaning any more; a client that sends it is not heard.
const READ_ONLY: [&str; 13] = [
    "storeUrls",
    "version",
    "versionInfo",
    "tasks",
    "tasksStaged",
    "tasksRunning",
    "tasksHealthy",
    "tasksUnhealthy",
    "deployments",
    "lastTaskFailure",
    "readinessCheckResults",
    "taskStats",
    "tasksStats",
];

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Definition(Map<String, Value>);

/// How often a failed launch is tried again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retry {
    pub(crate) seconds: f64,
    pub(crate) factor: f64,
    pub(crate) max_seconds: f64,
}

/// What an instance takes of an agent.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Resources {
    pub(crate) cpus: f64,
    pub(crate) mem: f64,
    pub(crate) disk: f64,
    pub(crate) gpus: f64,
}

impl Resources {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            cpus: self.cpus + other.cpus,
            mem: self.mem + other.mem,
            disk: self.disk + other.disk,
            gpus: self.gpus + other.gpus,
        }
    }
}

impl Definition {
    /// What was sent, with everything else that this Marathon fills in.
    pub(crate) fn new(id: &PathId, mut fields: Map<String, Value>, profile: &Profile) -> Self {
        fields.retain(|name, value| !value.is_null() && !READ_ONLY.contains(&name.as_str()));
        fields.insert("id".to_owned(), json!(id));
        unify(&mut fields, profile);
        for (name, since, default) in defaults(profile) {
            if profile.since(since.0, since.1) && !fields.contains_key(name) {
                fields.insert(name.to_owned(), default);
            }
        }
        for name in ["cpus", "mem", "disk", "backoffFactor"] {
            // 1 and 1.0 are the same number of CPUs, and must compare so.
            if let Some(number) = fields.get(name).and_then(Value::as_f64) {
                fields.insert(name.to_owned(), json!(number));
            }
        }
        fill_strategy(&mut fields);
        fill_checks(&mut fields);
        resolve_dependencies(&mut fields, &id.parent());
        Self(fields)
    }

    /// This definition with what `sent` mentions put over it; null stands for the default.
    pub(crate) fn merged(&self, sent: &Map<String, Value>) -> Map<String, Value> {
        let mut merged = self.0.clone();
        for (given, superseded) in
            [("ports", "portDefinitions"), ("portDefinitions", "ports"), ("uris", "fetch"), ("fetch", "uris")]
        {
            if sent.contains_key(given) && !sent.contains_key(superseded) {
                merged.remove(superseded);
            }
        }
        merged.extend(sent.clone());
        merged
    }

    pub(crate) fn fields(&self) -> &Map<String, Value> {
        &self.0
    }

    pub(crate) fn text(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    fn number(&self, name: &str, default: f64) -> f64 {
        self.0.get(name).and_then(Value::as_f64).unwrap_or(default)
    }

    pub(crate) fn instances(&self) -> usize {
        self.0.get("instances").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or(1)
    }

    pub(crate) fn set_instances(&mut self, instances: usize) {
        self.0.insert("instances".to_owned(), json!(instances));
    }

    /// Whether the two differ in nothing, or only in their number of instances.
    pub(crate) fn differs_only_in_scale(&self, other: &Self) -> bool {
        let mut scaled = self.clone();
        scaled.set_instances(other.instances());
        scaled == *other
    }

    pub(crate) fn resources(&self) -> Resources {
        Resources {
            cpus: self.number("cpus", 1.0),
            mem: self.number("mem", 128.0),
            disk: self.number("disk", 0.0),
            gpus: self.number("gpus", 0.0),
        }
    }

    pub(crate) fn retry(&self) -> Retry {
        Retry {
            seconds: self.number("backoffSeconds", 1.0),
            factor: self.number("backoffFactor", 1.15),
            max_seconds: self.number("maxLaunchDelaySeconds", 300.0),
        }
    }

    fn list(&self, name: &str) -> &[Value] {
        self.0.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn health_checks(&self) -> &[Value] {
        self.list("healthChecks")
    }

    pub(crate) fn readiness_check(&self) -> Option<&Value> {
        self.list("readinessChecks").first()
    }

    pub(crate) fn constraints(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.list("constraints").iter().filter_map(|constraint| {
            let part = |index: usize| constraint.get(index).and_then(Value::as_str);
            Some((part(0)?, part(1)?, part(2).unwrap_or_default()))
        })
    }

    pub(crate) fn accepts_any_role(&self) -> bool {
        let roles = self.list("acceptedResourceRoles");
        roles.is_empty() || roles.iter().any(|role| role == "*")
    }

    pub(crate) fn dependencies(&self) -> impl Iterator<Item = PathId> {
        self.list("dependencies").iter().filter_map(Value::as_str).map(PathId::parse)
    }

    /// `minimumHealthCapacity` and `maximumOverCapacity`.
    pub(crate) fn capacities(&self) -> (f64, f64) {
        let part = |name: &str| {
            self.0.get("upgradeStrategy").and_then(|s| s.get(name)).and_then(Value::as_f64).unwrap_or(1.0)
        };
        (part("minimumHealthCapacity"), part("maximumOverCapacity"))
    }

    pub(crate) fn kills_oldest_first(&self) -> bool {
        self.0.get("killSelection").is_some_and(|selection| selection == "OLDEST_FIRST")
    }

    pub(crate) fn is_resident(&self) -> bool {
        is_resident(&self.0)
    }

    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.0.get("labels")?.get(name)?.as_str()
    }

    pub(crate) fn command(&self) -> &str {
        self.0.get("cmd").and_then(Value::as_str).unwrap_or_default()
    }

    /// Every place that holds a service port, whatever the networking.
    fn service_port_slots(&mut self) -> Vec<&mut Value> {
        let mut slots = Vec::new();
        for (name, value) in &mut self.0 {
            match name.as_str() {
                "portDefinitions" => {
                    slots.extend(items(value).filter_map(|definition| definition.get_mut("port")));
                }
                "container" => {
                    let mappings = if value.get("portMappings").is_some() {
                        value.get_mut("portMappings")
                    } else {
                        value.pointer_mut("/docker/portMappings")
                    };
                    let mappings = mappings.into_iter().flat_map(items);
                    slots.extend(mappings.filter_map(|mapping| mapping.get_mut("servicePort")));
                }
                // Beside `portDefinitions` it says the same.
                "ports" => slots.extend(items(value)),
                _ => {}
            }
        }
        slots
    }

    pub(crate) fn service_ports(&self) -> Vec<u64> {
        let mut copy = self.clone();
        copy.service_port_slots().into_iter().filter_map(|slot| slot.as_u64()).collect()
    }

    /// Gives every service port that was left open a number: the one it had before, or the next free one.
    pub(crate) fn assign_service_ports(&mut self, before: &[u64], mut next: impl FnMut() -> u64) {
        for (place, slot) in self.service_port_slots().into_iter().enumerate() {
            if slot.as_u64() == Some(0) {
                *slot = json!(before.get(place).copied().unwrap_or_else(&mut next));
            }
        }
    }
}

fn items(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_array_mut().into_iter().flatten()
}

fn is_resident(fields: &Map<String, Value>) -> bool {
    let volumes = fields.get("container").and_then(|container| container.get("volumes"));
    let volumes = volumes.and_then(Value::as_array).into_iter().flatten();
    volumes.into_iter().any(|volume| volume.get("persistent").is_some())
}

type Since = (u32, u32);

/// What a definition has when nobody says otherwise, with the release that introduced it.
fn defaults(profile: &Profile) -> Vec<(&'static str, Since, Value)> {
    let unreachable = if profile.since(1, 6) { 0 } else { 300 };
    let longest_delay = if profile.since(1, 8) { 300 } else { 3600 };
    vec![
        ("instances", (0, 0), json!(1)),
        ("cpus", (0, 0), json!(1.0)),
        ("mem", (0, 0), json!(128.0)),
        ("disk", (0, 0), json!(0.0)),
        ("gpus", (1, 3), json!(0)),
        ("executor", (0, 0), json!("")),
        ("constraints", (0, 0), json!([])),
        ("dependencies", (0, 0), json!([])),
        ("env", (0, 0), json!({})),
        ("labels", (0, 8), json!({})),
        ("fetch", (0, 15), json!([])),
        ("healthChecks", (0, 0), json!([])),
        ("readinessChecks", (1, 1), json!([])),
        ("requirePorts", (0, 8), json!(false)),
        ("backoffSeconds", (0, 0), json!(1)),
        ("backoffFactor", (0, 0), json!(1.15)),
        ("maxLaunchDelaySeconds", (0, 0), json!(longest_delay)),
        ("upgradeStrategy", (0, 8), json!({})),
        ("secrets", (1, 3), json!({})),
        ("killSelection", (1, 4), json!("YOUNGEST_FIRST")),
        (
            "unreachableStrategy",
            (1, 4),
            json!({"inactiveAfterSeconds": unreachable, "expungeAfterSeconds": unreachable * 2}),
        ),
        ("role", (1, 9), json!("*")),
    ]
}

fn fill_strategy(fields: &mut Map<String, Value>) {
    let (health, over) = if is_resident(fields) { (0.5, 0.0) } else { (1.0, 1.0) };
    if let Some(strategy) = fields.get_mut("upgradeStrategy").and_then(Value::as_object_mut) {
        for (name, default) in [("minimumHealthCapacity", health), ("maximumOverCapacity", over)] {
            let given = strategy.get(name).and_then(Value::as_f64);
            strategy.insert(name.to_owned(), json!(given.unwrap_or(default)));
        }
    }
}

fn fill_checks(fields: &mut Map<String, Value>) {
    let health = json!({
        "protocol": "HTTP", "gracePeriodSeconds": 300, "intervalSeconds": 60, "timeoutSeconds": 20,
        "maxConsecutiveFailures": 3,
    });
    let readiness = json!({
        "name": "readinessCheck", "protocol": "HTTP", "path": "/", "portName": "http-api", "intervalSeconds": 30,
        "timeoutSeconds": 10, "httpStatusCodesForReady": [200], "preserveLastResponse": false,
    });
    for (name, defaults) in [("healthChecks", health), ("readinessChecks", readiness)] {
        for check in fields.get_mut(name).into_iter().flat_map(items).filter_map(Value::as_object_mut) {
            for (field, default) in defaults.as_object().into_iter().flatten() {
                check.entry(field).or_insert_with(|| default.clone());
            }
        }
    }
}

fn resolve_dependencies(fields: &mut Map<String, Value>, group: &PathId) {
    for dependency in fields.get_mut("dependencies").into_iter().flat_map(items) {
        let resolved = dependency.as_str().map(|text| json!(group.resolve(text)));
        *dependency = resolved.unwrap_or(Value::Null);
    }
}

/// Brings the older ways to say networks, ports and artifacts into the form that the release keeps them in.
fn unify(fields: &mut Map<String, Value>, profile: &Profile) {
    if profile.since(0, 15)
        && let Some(uris) = fields.remove("uris")
        && !fields.contains_key("fetch")
    {
        let uris = uris.as_array().cloned().unwrap_or_default();
        fields.insert("fetch".to_owned(), uris.into_iter().map(|uri| json!({"uri": uri})).collect());
    }
    if profile.since(1, 5) {
        unify_networks(fields);
    }
    for pointer in ["/portMappings", "/docker/portMappings"] {
        let mappings = fields.get_mut("container").and_then(|container| container.pointer_mut(pointer));
        for mapping in mappings.into_iter().flat_map(items).filter_map(Value::as_object_mut) {
            for (name, default) in
                [("hostPort", json!(0)), ("protocol", json!("tcp")), ("servicePort", json!(0))]
            {
                mapping.entry(name).or_insert(default);
            }
        }
    }
    unify_ports(fields, profile);
}

fn unify_networks(fields: &mut Map<String, Value>) {
    let address = fields.remove("ipAddress");
    let docker = fields.get_mut("container").and_then(|container| container.get_mut("docker"));
    let docker = docker.and_then(Value::as_object_mut);
    let (network, mappings) = match docker {
        Some(docker) => (docker.remove("network"), docker.remove("portMappings")),
        None => (None, None),
    };
    if let Some(mappings) = mappings {
        fields["container"]["portMappings"] = mappings;
    }
    if fields.contains_key("networks") {
        return;
    }
    let name = address.as_ref().and_then(|address| address.get("networkName")).cloned();
    let networks = match network.as_ref().and_then(Value::as_str) {
        Some("BRIDGE") => json!([{"mode": "container/bridge"}]),
        Some("USER") => json!([{"mode": "container", "name": name}]),
        Some(_) | None if name.is_some() => json!([{"mode": "container", "name": name}]),
        Some(_) | None => json!([{"mode": "host"}]),
    };
    fields.insert("networks".to_owned(), networks);
}

/// Whether the app's ports are those of its host.
fn on_host(fields: &Map<String, Value>) -> bool {
    let network = fields.get("container").and_then(|container| container.pointer("/docker/network"));
    let modern = fields.get("networks").and_then(Value::as_array);
    let modern = modern.is_none_or(|all| all.iter().all(|network| network["mode"] == "host"));
    modern && network.is_none_or(|network| network == "HOST") && !fields.contains_key("ipAddress")
}

fn unify_ports(fields: &mut Map<String, Value>, profile: &Profile) {
    if !on_host(fields) {
        fields.remove("ports");
        return;
    }
    if !profile.since(1, 0) {
        fields.entry("ports").or_insert_with(|| json!([0]));
        return;
    }
    let ports = fields.remove("ports");
    if !fields.contains_key("portDefinitions") {
        let definition = |port: &Value| json!({"port": port, "protocol": "tcp", "labels": {}});
        let ports = ports.as_ref().and_then(Value::as_array);
        let definitions = ports.map(|ports| ports.iter().map(definition).collect());
        let fallback = || json!([{"port": 0, "protocol": "tcp", "name": "default", "labels": {}}]);
        fields.insert("portDefinitions".to_owned(), definitions.unwrap_or_else(fallback));
    }
    let definitions = fields.get_mut("portDefinitions").into_iter().flat_map(items);
    for definition in definitions.filter_map(Value::as_object_mut) {
        for (name, default) in [("port", json!(0)), ("protocol", json!("tcp")), ("labels", json!({}))] {
            definition.entry(name).or_insert(default);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(sent: Value, profile: &Profile) -> Definition {
        Definition::new(&PathId::parse("/shop/web"), sent.as_object().unwrap().clone(), profile)
    }

    #[test]
    fn sending_a_definition_back_changes_nothing() {
        for profile in Profile::ALL {
            let sent = json!({"cmd": "sleep 1", "cpus": 1, "uris": ["http://x/y"], "dependencies": ["db"],
                "healthChecks": [{"path": "/"}], "ports": [0, 80]});
            let mut first = definition(sent.clone(), &profile);
            let mut port = 10_000;
            first.assign_service_ports(&[], || {
                port += 1;
                port
            });
            let id = PathId::parse("/shop/web");
            assert_eq!(
                Definition::new(&id, first.merged(first.fields()), &profile),
                first,
                "{}",
                profile.version
            );
            assert_eq!(first.service_ports(), [10_001, 80], "{}", profile.version);
            assert_eq!(first.dependencies().next(), Some(PathId::parse("/shop/db")));
        }
    }

    #[test]
    fn docker_networks_become_networks_of_their_own_in_1_5() {
        let sent = json!({"container": {"type": "DOCKER", "docker": {"image": "a", "network": "BRIDGE",
            "portMappings": [{"containerPort": 80}]}}});
        let new = definition(sent.clone(), &Profile::V1_8);
        assert_eq!(new.fields()["networks"], json!([{"mode": "container/bridge"}]));
        assert_eq!(new.fields()["container"]["portMappings"][0]["containerPort"], 80);
        assert!(new.fields().get("portDefinitions").is_none());
        let old = definition(sent, &Profile::V1_3);
        assert_eq!(old.fields()["container"]["docker"]["portMappings"][0]["servicePort"], 0);
    }

    #[test]
    fn instances_alone_are_a_change_of_scale() {
        let one = definition(json!({"cmd": "a b"}), &Profile::V1_11);
        let two = definition(json!({"cmd": "a b", "instances": 2}), &Profile::V1_11);
        let other = definition(json!({"cmd": "a b", "labels": {"a": "b"}}), &Profile::V1_11);
        assert!(one.differs_only_in_scale(&two) && !one.differs_only_in_scale(&other));
    }
}
