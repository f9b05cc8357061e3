//! Apps, their instances and their groups.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::deployment::readiness;
use crate::clock::marathon_time;
use crate::marathon::cluster::Cluster;
use crate::marathon::path::PathId;
use crate::marathon::profile::Profile;
use crate::marathon::root::{Root, Spec};
use crate::marathon::tasks::{Failure, Task, TaskState};

/// What is shown with an app beside its definition, counts and deployments.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Embed {
    pub(crate) tasks: bool,
    pub(crate) last_failure: bool,
    pub(crate) readiness: bool,
    pub(crate) stats: bool,
}

impl Embed {
    /// What an app shown alone always has.
    pub(crate) fn alone(self) -> Self {
        Self { tasks: true, last_failure: true, ..self }
    }

    /// Reads the values of `embed`; unknown ones mean nothing.
    pub(crate) fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut embed = Self::default();
        for value in values {
            let plain = ["group.apps.", "apps.", "app."].iter().find_map(|prefix| value.strip_prefix(prefix));
            match plain.unwrap_or(value) {
                "tasks" => embed.tasks = true,
                "lastTaskFailure" => embed.last_failure = true,
                "failures" => (embed.last_failure, embed.tasks) = (true, true),
                "readiness" => embed.readiness = true,
                "taskStats" => embed.stats = true,
                _ => {}
            }
        }
        embed
    }
}

/// An app's definition as a version of it is shown.
pub(crate) fn app(profile: &Profile, spec: &Spec) -> Map<String, Value> {
    let mut told = spec.definition.fields().clone();
    if !profile.since(1, 5) {
        add_older_forms(&mut told, spec, profile);
    }
    told.insert("version".to_owned(), json!(marathon_time(spec.version)));
    if profile.since(0, 11) {
        let info = json!({
            "lastScalingAt": marathon_time(spec.scaled),
            "lastConfigChangeAt": marathon_time(spec.configured),
        });
        told.insert("versionInfo".to_owned(), info);
    }
    told
}

/// Before 1.5 nothing is left out: what is not set is null, and what can be said in two ways is said in both.
fn add_older_forms(told: &mut Map<String, Value>, spec: &Spec, profile: &Profile) {
    for name in ["acceptedResourceRoles", "args", "cmd", "container", "user"] {
        told.entry(name).or_insert(Value::Null);
    }
    told.entry("storeUrls").or_insert_with(|| json!([]));
    if profile.since(0, 15) {
        let fetch = told.get("fetch").and_then(Value::as_array).into_iter().flatten();
        let uris: Value = fetch.map(|artifact| artifact["uri"].clone()).collect();
        told.insert("uris".to_owned(), uris);
    } else {
        told.entry("uris").or_insert_with(|| json!([]));
    }
    told.entry("ports").or_insert_with(|| json!(spec.definition.service_ports()));
}

pub(crate) fn app_info(cluster: &Cluster, spec: &Spec, embed: Embed) -> Value {
    let mut told = Value::Object(app(&cluster.config.profile, spec));
    let tasks: Vec<&Task> = cluster.tasks_of(&spec.id).collect();
    let count = |fits: &dyn Fn(&Task) -> bool| tasks.iter().filter(|task| fits(task)).count();
    let checked = !spec.definition.health_checks().is_empty();
    told["tasksStaged"] = json!(count(&|task| task.state == TaskState::Staging));
    told["tasksRunning"] = json!(count(&|task| task.state == TaskState::Running));
    told["tasksHealthy"] = json!(if checked { count(&Task::is_healthy) } else { 0 });
    told["tasksUnhealthy"] = json!(count(&|task| task.health.alive == Some(false)));
    let deployments = cluster.deployments.iter().filter(|d| d.affected.contains(&spec.id));
    told["deployments"] = deployments.map(|d| json!({"id": d.id()})).collect();
    if embed.tasks {
        told["tasks"] = tasks.iter().map(|task_| task(cluster, task_)).collect();
    }
    if embed.readiness {
        told["readinessCheckResults"] = readiness(cluster, &spec.id);
    }
    if let Some(failed) = cluster.failures.get(&spec.id).filter(|_| embed.last_failure) {
        told["lastTaskFailure"] = failure(failed);
    }
    if embed.stats {
        let counts = json!({
            "staged": told["tasksStaged"], "running": told["tasksRunning"], "healthy": told["tasksHealthy"],
            "unhealthy": told["tasksUnhealthy"],
        });
        told["taskStats"] = json!({"totalSummary": {"stats": {"counts": counts}}});
    }
    told
}

fn failure(failure: &Failure) -> Value {
    json!({
        "appId": failure.task.app,
        "host": failure.task.host,
        "message": failure.message,
        "state": failure.state.name(),
        "taskId": failure.task.id,
        "timestamp": marathon_time(failure.at),
        "version": marathon_time(failure.task.version),
        "slaveId": failure.task.agent,
    })
}

pub(crate) fn task(cluster: &Cluster, task: &Task) -> Value {
    let profile = &cluster.config.profile;
    let spec = cluster.root.apps.get(&task.app);
    let mut told = json!({
        "id": task.id,
        "appId": task.app,
        "host": task.host,
        "slaveId": task.agent,
        "ports": task.ports,
        "servicePorts": spec.map(|spec| spec.definition.service_ports()).unwrap_or_default(),
        "stagedAt": marathon_time(task.staged),
        "version": marathon_time(task.version),
        "ipAddresses": [{"ipAddress": task.host, "protocol": "IPv4"}],
    });
    if task.started.is_some() || !profile.since(1, 5) {
        told["startedAt"] = json!(task.started.map(marathon_time));
    }
    if profile.since(1, 3) {
        told["state"] = json!(task.state.name());
        told["localVolumes"] = json!([]);
    }
    if profile.since(1, 9) {
        told["role"] = json!("*");
    }
    if task.health.alive.is_some() {
        let checks = spec.map_or(0, |spec| spec.definition.health_checks().len());
        told["healthCheckResults"] = (0..checks).map(|_| health(profile, task)).collect();
    }
    told
}

fn health(profile: &Profile, task: &Task) -> Value {
    let health = &task.health;
    let time = |at: Option<OffsetDateTime>| at.map(marathon_time);
    let mut told = json!({
        "alive": health.alive,
        "consecutiveFailures": health.failures,
        "firstSuccess": time(health.first_success),
        "lastSuccess": time(health.last_success),
        "lastFailure": time(health.last_failure),
    });
    let name = if profile.since(1, 4) { "instanceId" } else { "taskId" };
    told[name] = json!(if profile.since(1, 4) { task.instance_id() } else { &task.id });
    if health.alive == Some(false) && profile.since(1, 0) {
        told["lastFailureCause"] = json!("the check did not pass");
    }
    told
}

/// A group with everything in it.
pub(crate) fn group(profile: &Profile, root: &Root, id: &PathId) -> Value {
    let directly = |child: &PathId| !child.is_root() && child.parent() == *id;
    let apps = root.apps.values().filter(|spec| directly(&spec.id)).map(|spec| app(profile, spec));
    let groups = root.groups.keys().filter(|child| directly(child)).map(|child| group(profile, root, child));
    let dependencies = root.groups.get(id).map(|group| group.dependencies.clone()).unwrap_or_default();
    let mut told = json!({
        "id": id,
        "apps": apps.collect::<Vec<_>>(),
        "groups": groups.collect::<Vec<_>>(),
        "dependencies": dependencies,
        "version": marathon_time(root.version),
    });
    if profile.since(1, 4) {
        told["pods"] = json!([]);
    }
    if profile.since(1, 9) {
        told["enforceRole"] = json!(false);
    }
    told
}
