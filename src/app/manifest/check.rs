//! What the fields of an app must be together.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde_json::{Map, Value};

use super::fault::{Faults, Place};
use super::schema::{self, whole};
use crate::app::definition::Definition;
use crate::app::id::AppId;

type Object = Map<String, Value>;

/// Everything about one app but its id.
pub(super) fn app(at: &Place<'_>, app: &Object, faults: &mut Faults) {
    schema::object(at, app, schema::APP, faults);
    command(at, app, faults);
    container(at, app, faults);
    ports(at, app, faults);
    health_checks(at, app, faults);
    readiness_checks(at, app, faults);
    fetch(at, app, faults);
    single_instance(at, app, faults);
    unreachable_strategy(at, app, faults);
    if app.get("acceptedResourceRoles").is_some_and(|roles| roles.as_array().is_some_and(Vec::is_empty)) {
        faults.add(&at.key("acceptedResourceRoles"), "must not be empty");
    }
}

fn items<'a>(object: &'a Object, name: &str) -> &'a [Value] {
    object.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn inner<'a>(object: &'a Object, name: &str) -> Option<&'a Object> {
    object.get(name).and_then(Value::as_object)
}

fn objects<'a>(object: &'a Object, name: &str) -> impl Iterator<Item = (usize, &'a Object)> {
    items(object, name).iter().enumerate().filter_map(|(index, item)| Some((index, item.as_object()?)))
}

fn given(object: &Object, name: &str) -> bool {
    object.get(name).is_some_and(|value| !value.is_null())
}

fn docker(app: &Object) -> Option<&Object> {
    inner(inner(app, "container")?, "docker")
}

fn command(at: &Place<'_>, app: &Object, faults: &mut Faults) {
    let cmd = app.get("cmd").and_then(Value::as_str);
    // Marathon's own rule against an empty command wants more than one character.
    if cmd.is_some_and(|cmd| cmd.chars().count() < 2) {
        faults.add(&at.key("cmd"), "must have at least two characters");
    }
    let (cmd, args) = (given(app, "cmd"), !items(app, "args").is_empty());
    let image = docker(app).is_some_and(|docker| given(docker, "image"));
    match (cmd, args) {
        (true, true) => faults.add(at, "has both cmd and args: keep one of them"),
        (false, false) if !image => faults.add(at, "needs one of cmd and args, or a container with an image"),
        (true, false) | (false, _) => {}
    }
}

fn container(at: &Place<'_>, app: &Object, faults: &mut Faults) {
    let Some(container) = inner(app, "container") else { return };
    let at = at.key("container");
    let is_docker = container.get("type").and_then(Value::as_str) == Some("DOCKER");
    if is_docker && !given(container, "docker") {
        faults.add(&at.key("docker"), "is required for a container of type DOCKER");
    }
    let docker_at = at.key("docker");
    if let Some(image) = docker(app).and_then(|docker| docker.get("image")).and_then(Value::as_str)
        && image.trim().is_empty()
    {
        faults.add(&docker_at.key("image"), "must not be empty");
    }
    let old = docker(app).is_some_and(|docker| !items(docker, "portMappings").is_empty());
    if old && !items(container, "portMappings").is_empty() {
        faults.add(&at.key("portMappings"), "are given here and in docker: keep one of them");
    }
    for (index, volume) in objects(container, "volumes") {
        if volume.get("containerPath").and_then(Value::as_str) == Some("") {
            faults.add(&at.key("volumes").index(index).key("containerPath"), "must not be empty");
        }
    }
}

/// How many ports an app has, when it says so.
fn port_count(app: &Object) -> Option<usize> {
    let container = inner(app, "container");
    let lists = [(container, "portMappings"), (docker(app), "portMappings")];
    let mapped = lists.into_iter().find_map(|(holder, name)| holder?.get(name)?.as_array());
    let defined = ["portDefinitions", "ports"].into_iter().find_map(|name| app.get(name)?.as_array());
    mapped.or(defined).map(Vec::len)
}

fn ports(at: &Place<'_>, app: &Object, faults: &mut Faults) {
    if given(app, "ports") && given(app, "portDefinitions") {
        faults.add(&at.key("ports"), "are given along with portDefinitions: keep one of them");
    }
    let plain = items(app, "ports").iter().filter_map(whole).enumerate();
    unique_ports(&at.key("ports"), plain, faults);
    let defined = objects(app, "portDefinitions")
        .filter_map(|(index, definition)| Some((index, whole(definition.get("port")?)?)));
    unique_ports(&at.key("portDefinitions"), defined, faults);
    unique_names(&at.key("portDefinitions"), objects(app, "portDefinitions"), faults);
    let container_at = at.key("container");
    if let Some(container) = inner(app, "container") {
        unique_names(&container_at.key("portMappings"), objects(container, "portMappings"), faults);
    }
    if let Some(docker) = docker(app) {
        let docker_at = container_at.key("docker");
        unique_names(&docker_at.key("portMappings"), objects(docker, "portMappings"), faults);
    }
}

fn unique_ports(at: &Place<'_>, ports: impl Iterator<Item = (usize, i64)>, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for (index, port) in ports {
        // 0 stands for any free port.
        if port != 0 && !seen.insert(port) {
            faults.add(&at.index(index), format!("the port {port} is given twice"));
        }
    }
}

fn unique_names<'a>(at: &Place<'_>, ports: impl Iterator<Item = (usize, &'a Object)>, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for (index, port) in ports {
        if let Some(name) = port.get("name").and_then(Value::as_str)
            && !seen.insert(name)
        {
            faults.add(&at.index(index).key("name"), "is the name of another port too");
        }
    }
}

fn health_checks(at: &Place<'_>, app: &Object, faults: &mut Faults) {
    let at = at.key("healthChecks");
    let count = port_count(app);
    let mut run_by_mesos = 0;
    for (index, check) in objects(app, "healthChecks") {
        let at = at.index(index);
        let protocol = check.get("protocol").and_then(Value::as_str).unwrap_or("HTTP");
        if protocol == "COMMAND" || protocol.starts_with("MESOS_") {
            run_by_mesos += 1;
        }
        let command = inner(check, "command").and_then(|command| command.get("value")?.as_str());
        if protocol == "COMMAND" && command.is_none_or(str::is_empty) {
            faults.add(&at.key("command"), "needs a value for the protocol COMMAND");
        }
        let index = check.get("portIndex").and_then(whole).and_then(|index| usize::try_from(index).ok());
        if let (Some(index), Some(count)) = (index, count)
            && index >= count
        {
            faults.add(&at.key("portIndex"), format!("{index} is not the index of one of the {count} ports"));
        }
    }
    if run_by_mesos > 1 {
        faults.add(&at, "has more than one check that Mesos runs (COMMAND and MESOS_*)");
    }
}

fn readiness_checks(at: &Place<'_>, app: &Object, faults: &mut Faults) {
    let at = at.key("readinessChecks");
    if items(app, "readinessChecks").len() > 1 {
        faults.add(&at, "has more than one check");
    }
    for (index, check) in objects(app, "readinessChecks") {
        let seconds = |name, default| check.get(name).and_then(whole).unwrap_or(default);
        let (timeout, interval) = (seconds("timeoutSeconds", 10), seconds("intervalSeconds", 30));
        if timeout >= interval {
            let problem = format!("{timeout} must be less than intervalSeconds, {interval}");
            faults.add(&at.index(index).key("timeoutSeconds"), problem);
        }
    }
}

fn fetch(at: &Place<'_>, app: &Object, faults: &mut Faults) {
    if !given(app, "uris") || !given(app, "fetch") {
        return;
    }
    let fetched: Vec<_> = objects(app, "fetch").filter_map(|(_, fetch)| fetch.get("uri")?.as_str()).collect();
    let uris: Vec<_> = items(app, "uris").iter().filter_map(Value::as_str).collect();
    if uris != fetched {
        faults.add(&at.key("uris"), "says something else than fetch: keep one of them");
    }
}

fn single_instance(at: &Place<'_>, app: &Object, faults: &mut Faults) {
    let label = inner(app, "labels").and_then(|labels| labels.get("MARATHON_SINGLE_INSTANCE_APP"));
    if label.and_then(Value::as_str) != Some("true") {
        return;
    }
    if app.get("instances").and_then(whole).is_some_and(|instances| instances > 1) {
        faults.add(&at.key("instances"), "must be at most 1 for a single-instance app");
    }
    let strategy_at = at.key("upgradeStrategy");
    for name in ["minimumHealthCapacity", "maximumOverCapacity"] {
        let share = inner(app, "upgradeStrategy").and_then(|strategy| strategy.get(name)?.as_f64());
        if share.is_some_and(|share| share > 0.0) {
            faults.add(&strategy_at.key(name), "must be 0 for a single-instance app");
        }
    }
}

fn unreachable_strategy(at: &Place<'_>, app: &Object, faults: &mut Faults) {
    let at = at.key("unreachableStrategy");
    if let Some(word) = app.get("unreachableStrategy").and_then(Value::as_str)
        && word != "disabled"
    {
        faults.add(&at, "must be disabled or an object");
    }
    let Some(strategy) = inner(app, "unreachableStrategy") else { return };
    let seconds = |name| strategy.get(name).and_then(whole);
    if let (Some(inactive), Some(expunge)) = (seconds("inactiveAfterSeconds"), seconds("expungeAfterSeconds"))
        && inactive > expunge
    {
        faults.add(&at.key("inactiveAfterSeconds"), "must not be more than expungeAfterSeconds");
    }
}

/// Dependencies are ids too, relative to the app's own.
pub(super) fn dependencies(at: &Place<'_>, app: &Object, id: &AppId, faults: &mut Faults) {
    let at = at.key("dependencies");
    for (index, text) in items(app, "dependencies").iter().enumerate() {
        if let Some(Err(fault)) = text.as_str().map(|text| AppId::resolve(text, Some(id))) {
            faults.add(&at.index(index), fault.to_string());
        }
    }
}

/// An app whose dependencies lead back to it, if there is one.
pub(super) fn cycle(apps: &[Definition]) -> Option<&AppId> {
    let ids: BTreeSet<_> = apps.iter().map(Definition::id).collect();
    let mut needs = BTreeMap::new();
    for app in apps {
        let named: BTreeSet<_> = items(app.body(), "dependencies")
            .iter()
            .filter_map(|text| AppId::resolve(text.as_str()?, Some(app.id())).ok())
            .collect();
        needs.insert(app.id(), named.iter().flat_map(|named| meant(&ids, named)).collect::<BTreeSet<_>>());
    }
    // Apps that need nothing that is left are set aside until none can be: what remains is in or behind a cycle.
    loop {
        let free: BTreeSet<_> =
            needs.iter().filter(|(_, needed)| needed.is_empty()).map(|(id, _)| *id).collect();
        if free.is_empty() {
            return needs.keys().next().copied();
        }
        needs.retain(|id, needed| {
            needed.retain(|id| !free.contains(id));
            !free.contains(id)
        });
    }
}

/// The apps that a dependency names: one, or all in a group, which are sorted right behind its name.
fn meant<'a>(ids: &BTreeSet<&'a AppId>, named: &AppId) -> Vec<&'a AppId> {
    let behind = ids.range::<AppId, _>((Bound::Included(named), Bound::Unbounded));
    behind
        .copied()
        .take_while(|id| id.as_str().starts_with(named.as_str()))
        .filter(|id| *id == named || id.is_below(named))
        .collect()
}
