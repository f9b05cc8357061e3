//! What Marathon refuses in a definition. All faults of a definition are told at once.

use serde_json::{Map, Value};

use super::path::PathId;
use super::profile::Profile;

/// Where something is wrong, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// With slashes: `/healthChecks(0)/protocol`; `/` is the whole object.
    pub(crate) path: String,
    pub(crate) error: String,
}

impl Fault {
    pub(crate) fn new(path: &str, error: &str) -> Self {
        Self { path: path.to_owned(), error: error.to_owned() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Truth,
    Integer,
    Number,
    List,
    Object,
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Truth => value.is_boolean(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::List => value.is_array(),
            Self::Object => value.is_object(),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Text => "error.expected.jsstring",
            Self::Truth => "error.expected.jsboolean",
            Self::Integer | Self::Number => "error.expected.jsnumber",
            Self::List => "error.expected.jsarray",
            Self::Object => "error.expected.jsobject",
        }
    }
}

const KINDS: [(&str, Kind); 28] = [
    ("id", Kind::Text),
    ("cmd", Kind::Text),
    ("user", Kind::Text),
    ("executor", Kind::Text),
    ("killSelection", Kind::Text),
    ("role", Kind::Text),
    ("requirePorts", Kind::Truth),
    ("tty", Kind::Truth),
    ("instances", Kind::Integer),
    ("taskKillGracePeriodSeconds", Kind::Integer),
    ("gpus", Kind::Integer),
    ("cpus", Kind::Number),
    ("mem", Kind::Number),
    ("disk", Kind::Number),
    ("backoffSeconds", Kind::Number),
    ("backoffFactor", Kind::Number),
    ("maxLaunchDelaySeconds", Kind::Number),
    ("args", Kind::List),
    ("constraints", Kind::List),
    ("dependencies", Kind::List),
    ("fetch", Kind::List),
    ("uris", Kind::List),
    ("healthChecks", Kind::List),
    ("ports", Kind::List),
    ("portDefinitions", Kind::List),
    ("container", Kind::Object),
    ("labels", Kind::Object),
    ("upgradeStrategy", Kind::Object),
];

/// The values of a type that Marathon cannot read, which it tells before it looks at anything else.
pub(crate) fn wrong_types(sent: &Map<String, Value>) -> Vec<Fault> {
    let wrong = KINDS.iter().filter_map(|(name, kind)| {
        let value = sent.get(*name).filter(|value| !value.is_null())?;
        (!kind.fits(value)).then(|| Fault::new(&format!("/{name}"), kind.expected()))
    });
    let labels = sent.get("labels").and_then(Value::as_object).into_iter().flatten();
    let labels = labels.filter(|(_, value)| !value.is_string());
    wrong.chain(labels.map(|(key, _)| Fault::new(&format!("/labels/{key}"), Kind::Text.expected()))).collect()
}

/// What is wrong with a definition whose types are right. `sent` is what the client gave, merged with what
/// was there before.
pub(crate) fn faults(id: &PathId, sent: &Map<String, Value>, profile: &Profile) -> Vec<Fault> {
    let mut faults = Vec::new();
    check_id(id, profile, &mut faults);
    check_command(sent, &mut faults);
    check_ranges(sent, &mut faults);
    check_strategy(sent, &mut faults);
    check_ports(sent, &mut faults);
    check_checks(sent, &mut faults);
    check_constraints(sent, &mut faults);
    faults
}

fn check_id(id: &PathId, profile: &Profile, faults: &mut Vec<Fault>) {
    const RESERVED: [&str; 3] = ["restart", "tasks", "versions"];
    if id.is_root() {
        faults.push(Fault::new("/id", "must not be root"));
    }
    if !id.segments().all(segment_fits) {
        let pattern = "^(([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])\\.)*([a-z0-9]|[a-z0-9][a-z0-9\\-]*[a-z0-9])|(\\.|\\.\\.)$";
        faults.push(Fault::new("/id", &format!("must fully match regular expression '{pattern}'")));
    }
    if profile.since(1, 8) && id.segments().last().is_some_and(|last| RESERVED.contains(&last)) {
        let text =
            "must not end with any of the following reserved keywords: restart, tasks, versions, ., ..";
        faults.push(Fault::new("/id", text));
    }
}

pub(crate) fn segment_fits(segment: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    segment.split('.').all(|part| {
        part.starts_with(plain) && part.ends_with(plain) && part.chars().all(|c| plain(c) || c == '-')
    })
}

fn check_command(sent: &Map<String, Value>, faults: &mut Vec<Fault>) {
    let given = |name: &str| sent.get(name).filter(|value| !value.is_null());
    let command = given("cmd").and_then(Value::as_str);
    if command.is_some_and(|command| command.len() < 2) {
        faults.push(Fault::new("/cmd", "must not be an empty string"));
    }
    let arguments = given("args").is_some_and(|args| args.as_array().is_some_and(|list| !list.is_empty()));
    let container = given("container");
    let image = container.is_some_and(|container| {
        ["/docker/image", "/appc/image"].iter().any(|pointer| container.pointer(pointer).is_some())
    });
    let runnable = match (command.is_some(), arguments) {
        (true, true) => false,
        (true, false) | (false, true) => true,
        (false, false) => image,
    };
    if !runnable {
        let text = "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.";
        faults.push(Fault::new("/", text));
    }
    if container.is_some_and(|c| c["type"] == "DOCKER" && c.pointer("/docker/image").is_none()) {
        faults.push(Fault::new("/container/docker", "not defined"));
    }
}

fn check_ranges(sent: &Map<String, Value>, faults: &mut Vec<Fault>) {
    let at_least = [
        ("instances", 0.0),
        ("cpus", 0.0),
        ("mem", 0.0),
        ("disk", 0.0),
        ("gpus", 0.0),
        ("backoffSeconds", 0.0),
        ("backoffFactor", 1.0),
        ("maxLaunchDelaySeconds", 0.0),
        ("taskKillGracePeriodSeconds", 0.0),
    ];
    for (name, least) in at_least {
        if sent.get(name).and_then(Value::as_f64).is_some_and(|number| number < least) {
            faults.push(Fault::new(
                &format!("/{name}"),
                &format!("got {}, expected {least} or more", sent[name]),
            ));
        }
    }
    if sent.get("uris").zip(sent.get("fetch")).is_some_and(|(uris, fetch)| !same_artifacts(uris, fetch)) {
        faults.push(Fault::new("/uris", "cannot specify both uris and fetch fields"));
    }
}

fn same_artifacts(uris: &Value, fetch: &Value) -> bool {
    let fetched = fetch.as_array().into_iter().flatten().map(|artifact| &artifact["uri"]);
    let listed: Vec<&Value> = uris.as_array().into_iter().flatten().collect();
    listed.is_empty() || listed == fetched.collect::<Vec<_>>()
}

fn check_strategy(sent: &Map<String, Value>, faults: &mut Vec<Fault>) {
    for name in ["minimumHealthCapacity", "maximumOverCapacity"] {
        let value =
            sent.get("upgradeStrategy").and_then(|strategy| strategy.get(name)).and_then(Value::as_f64);
        if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            faults.push(Fault::new(&format!("/upgradeStrategy/{name}"), "is not between 0.0 and 1.0"));
        }
    }
}

fn check_ports(sent: &Map<String, Value>, faults: &mut Vec<Fault>) {
    let list = |name: &str| sent.get(name).and_then(Value::as_array);
    if list("ports").is_some() && list("portDefinitions").is_some() {
        faults.push(Fault::new("/", "cannot specify both ports and port definitions"));
    }
    let definitions = || list("portDefinitions").into_iter().flatten();
    let numbers = definitions().filter_map(|definition| definition["port"].as_u64());
    let numbers = numbers.chain(list("ports").into_iter().flatten().filter_map(Value::as_u64));
    let mut numbers: Vec<u64> = numbers.filter(|port| *port != 0).collect();
    if numbers.iter().any(|port| *port > 65_535) {
        faults.push(Fault::new("/portDefinitions", "got a port that is not between 0 and 65535"));
    }
    if has_repeats(&mut numbers) {
        faults.push(Fault::new("/portDefinitions", "Ports must be unique."));
    }
    let mappings = sent.get("container").and_then(|container| {
        container.get("portMappings").or_else(|| container.pointer("/docker/portMappings"))
    });
    let mappings = mappings.and_then(Value::as_array).into_iter().flatten();
    let mut names: Vec<&str> =
        definitions().chain(mappings).filter_map(|port| port["name"].as_str()).collect();
    if has_repeats(&mut names) {
        faults.push(Fault::new("/portDefinitions", "Port names must be unique."));
    }
}

fn has_repeats<T: Ord>(items: &mut [T]) -> bool {
    items.sort();
    items.windows(2).any(|pair| pair[0] == pair[1])
}

/// How many ports a definition's checks can point at; `None` when nobody can tell.
fn port_count(sent: &Map<String, Value>) -> Option<usize> {
    let length = |value: Option<&Value>| value.and_then(Value::as_array).map(Vec::len);
    let container = sent.get("container");
    let mapped = length(container.and_then(|container| container.get("portMappings")))
        .or_else(|| length(container.and_then(|container| container.pointer("/docker/portMappings"))));
    let own = length(sent.get("portDefinitions")).or_else(|| length(sent.get("ports")));
    let networked = sent.contains_key("networks") || sent.contains_key("ipAddress");
    mapped.or(own).or(if networked { None } else { Some(1) })
}

fn check_checks(sent: &Map<String, Value>, faults: &mut Vec<Fault>) {
    const PROTOCOLS: [&str; 7] =
        ["HTTP", "HTTPS", "TCP", "COMMAND", "MESOS_HTTP", "MESOS_HTTPS", "MESOS_TCP"];
    let list = |name: &str| sent.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let health = list("healthChecks");
    for (index, check) in health.iter().enumerate() {
        let path = |field: &str| format!("/healthChecks({index})/{field}");
        if check["protocol"].as_str().is_some_and(|protocol| !PROTOCOLS.contains(&protocol)) {
            faults.push(Fault::new(&path("protocol"), &format!("unknown value {}", check["protocol"])));
        }
        if check["protocol"] == "COMMAND" && check["command"]["value"].as_str().is_none() {
            faults.push(Fault::new(&path("command"), "must be defined for the protocol COMMAND"));
        }
        let index = check["portIndex"].as_u64().and_then(|index| usize::try_from(index).ok());
        if index.zip(port_count(sent)).is_some_and(|(index, count)| index >= count) {
            let text = "Health check port indices must address an element of the ports array or container port \
                        mappings.";
            faults.push(Fault::new(&path("portIndex"), text));
        }
    }
    let by_mesos = |check: &&Value| {
        check["protocol"].as_str().is_some_and(|p| p.starts_with("MESOS_") || p == "COMMAND")
    };
    if health.iter().filter(by_mesos).count() > 1 {
        faults.push(Fault::new("/healthChecks", "AppDefinition can contain at most one Mesos health check"));
    }
    let readiness = list("readinessChecks");
    if readiness.len() > 1 {
        faults.push(Fault::new("/readinessChecks", "may not have more than 1 elements"));
    }
    for (index, check) in readiness.iter().enumerate() {
        let seconds = |name: &str, default: f64| check[name].as_f64().unwrap_or(default);
        if seconds("timeoutSeconds", 10.0) >= seconds("intervalSeconds", 30.0) {
            let text = "Timeout (timeoutSeconds) must be less than the interval (intervalSeconds)";
            faults.push(Fault::new(&format!("/readinessChecks({index})/timeoutSeconds"), text));
        }
    }
}

fn check_constraints(sent: &Map<String, Value>, faults: &mut Vec<Fault>) {
    const OPERATORS: [&str; 7] = ["UNIQUE", "CLUSTER", "GROUP_BY", "LIKE", "UNLIKE", "MAX_PER", "IS"];
    let constraints = sent.get("constraints").and_then(Value::as_array).into_iter().flatten();
    for (index, constraint) in constraints.enumerate() {
        let parts: Vec<&str> =
            constraint.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let path = format!("/constraints({index})");
        match parts.as_slice() {
            [_, operator] | [_, operator, _] if !OPERATORS.contains(operator) => {
                let text = "operator must be one of the following UNIQUE, CLUSTER, GROUP_BY, LIKE, MAX_PER or UNLIKE";
                faults.push(Fault::new(&path, text));
            }
            [_, _] | [_, _, _] => {}
            _ => faults.push(Fault::new(&path, "each constraint must have either 2 or 3 fields")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(sent: Value, expected: &[&str]) {
        let sent = sent.as_object().unwrap();
        let found = faults(&PathId::parse(sent["id"].as_str().unwrap()), sent, &Profile::V1_11);
        let paths: Vec<&str> = found.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(paths, expected, "{found:?}");
    }

    #[test]
    fn each_limit_is_told_at_its_path() {
        check(json!({"id": "/a", "cmd": "sleep"}), &[]);
        check(json!({"id": "/a"}), &["/"]);
        check(json!({"id": "/", "cmd": "sleep"}), &["/id"]);
        check(json!({"id": "/A_b", "cmd": "sleep"}), &["/id"]);
        check(json!({"id": "/a/restart", "cmd": "sleep"}), &["/id"]);
        check(json!({"id": "/a", "cmd": "x"}), &["/cmd"]);
        check(json!({"id": "/a", "cmd": "sleep", "args": ["a"]}), &["/"]);
        check(json!({"id": "/a", "container": {"type": "DOCKER", "docker": {"image": "i"}}}), &[]);
        check(
            json!({"id": "/a", "cmd": "sleep", "instances": -1, "backoffFactor": 0.5}),
            &["/instances", "/backoffFactor"],
        );
        check(
            json!({"id": "/a", "cmd": "sleep", "upgradeStrategy": {"minimumHealthCapacity": 1.5}}),
            &["/upgradeStrategy/minimumHealthCapacity"],
        );
        check(json!({"id": "/a", "cmd": "sleep", "ports": [1], "portDefinitions": [{"port": 2}]}), &["/"]);
        check(json!({"id": "/a", "cmd": "sleep", "ports": [80, 80]}), &["/portDefinitions"]);
        check(
            json!({"id": "/a", "cmd": "sleep", "healthChecks": [{"portIndex": 3}]}),
            &["/healthChecks(0)/portIndex"],
        );
        check(
            json!({"id": "/a", "cmd": "sleep", "readinessChecks": [{"timeoutSeconds": 30}]}),
            &["/readinessChecks(0)/timeoutSeconds"],
        );
        check(
            json!({"id": "/a", "cmd": "sleep", "constraints": [["hostname", "NEAR"], ["hostname"]]}),
            &["/constraints(0)", "/constraints(1)"],
        );
        check(json!({"id": "/a", "cmd": "sleep", "uris": ["a"], "fetch": [{"uri": "b"}]}), &["/uris"]);
    }

    #[test]
    fn values_of_a_wrong_type_are_found_whatever_else_is_wrong() {
        let sent = json!({"id": "/A", "instances": 1.5, "labels": {"a": 1}, "cpus": "two", "mem": null});
        let paths: Vec<String> =
            wrong_types(sent.as_object().unwrap()).into_iter().map(|fault| fault.path).collect();
        assert_eq!(paths, ["/instances", "/cpus", "/labels/a"]);
    }
}
