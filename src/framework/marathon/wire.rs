//! Marathon's JSON, from every release, in the worker's words.
//!
//! Fields come and go between releases: whatever is missing or null has an empty value.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::app::{AppId, Definition};
use crate::framework::error::{Error, Result};
use crate::framework::seen::{
    Delay, Deployment, DeploymentId, Seen, Task, TaskFailure, Unused, Version, Waiting,
};

/// Null as absent.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

#[derive(Deserialize)]
pub(super) struct OneApp {
    app: Map<String, Value>,
}

#[derive(Deserialize)]
pub(super) struct Apps {
    #[serde(default, deserialize_with = "or_default")]
    apps: Vec<Map<String, Value>>,
}

impl OneApp {
    pub(super) fn seen(self) -> Result<Seen> {
        seen(self.app)?.ok_or_else(|| protocol("it shows an app without an id"))
    }
}

impl Apps {
    /// An app whose name no release would accept today is not one of ours.
    pub(super) fn seen(self) -> Result<Vec<Seen>> {
        self.apps.into_iter().filter_map(|app| seen(app).transpose()).collect()
    }
}

/// What Marathon says of an app beside its definition.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AppInfo {
    #[serde(default, deserialize_with = "or_default")]
    tasks_staged: u32,
    #[serde(default, deserialize_with = "or_default")]
    tasks_running: u32,
    #[serde(default, deserialize_with = "or_default")]
    tasks_healthy: u32,
    #[serde(default, deserialize_with = "or_default")]
    tasks_unhealthy: u32,
    version: Option<Version>,
    version_info: Option<VersionInfo>,
    #[serde(default, deserialize_with = "or_default")]
    deployments: Vec<Id>,
    last_task_failure: Option<WireFailure>,
    #[serde(default, deserialize_with = "or_default")]
    tasks: Vec<WireTask>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionInfo {
    last_config_change_at: Option<Version>,
}

#[derive(Deserialize)]
struct Id {
    id: DeploymentId,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireFailure {
    #[serde(default, deserialize_with = "or_default")]
    task_id: String,
    #[serde(default, deserialize_with = "or_default")]
    state: String,
    #[serde(default, deserialize_with = "or_default")]
    message: String,
    #[serde(default, deserialize_with = "or_default")]
    host: String,
    timestamp: Option<String>,
    version: Option<Version>,
}

fn seen(app: Map<String, Value>) -> Result<Option<Seen>> {
    let Some(id) = app.get("id").and_then(Value::as_str).and_then(|id| AppId::parse(id).ok()) else {
        return Ok(None);
    };
    let info: AppInfo = serde_json::from_value(Value::Object(app.clone()))
        .map_err(|_| protocol(&format!("it shows {id} in an unknown form")))?;
    let definition = Definition::new(id.clone(), app);
    let tasks: Vec<Task> = info.tasks.into_iter().map(Task::from).collect();
    Ok(Some(Seen {
        id,
        instances: definition.instances(),
        definition,
        tasks_staged: info.tasks_staged,
        tasks_running: info.tasks_running,
        tasks_healthy: info.tasks_healthy,
        tasks_unhealthy: info.tasks_unhealthy,
        version: info.version,
        last_config_change_at: info.version_info.and_then(|info| info.last_config_change_at),
        deployments: info.deployments.into_iter().map(|deployment| deployment.id).collect(),
        last_failure: info.last_task_failure.map(TaskFailure::from),
        endpoints: tasks.iter().filter(|task| task.is_running()).flat_map(Task::endpoints).collect(),
        tasks,
    }))
}

impl From<WireFailure> for TaskFailure {
    fn from(wire: WireFailure) -> Self {
        let WireFailure { task_id, state, message, host, timestamp, version } = wire;
        Self { task_id, state, message, host, timestamp, version }
    }
}

#[derive(Deserialize)]
pub(super) struct Tasks {
    #[serde(default, deserialize_with = "or_default")]
    tasks: Vec<WireTask>,
}

impl From<Tasks> for Vec<Task> {
    fn from(wire: Tasks) -> Self {
        wire.tasks.into_iter().map(Task::from).collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireTask {
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    host: String,
    #[serde(default, deserialize_with = "or_default")]
    ports: Vec<u16>,
    state: Option<String>,
    version: Option<Version>,
    staged_at: Option<String>,
    started_at: Option<String>,
    slave_id: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    ip_addresses: Vec<Address>,
    /// Null for a check that has no result yet.
    #[serde(default, deserialize_with = "or_default")]
    health_check_results: Vec<Option<HealthResult>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Address {
    ip_address: Option<String>,
}

#[derive(Deserialize)]
struct HealthResult {
    alive: Option<bool>,
}

impl From<WireTask> for Task {
    fn from(wire: WireTask) -> Self {
        // Before 1.3 no state is told; a task that has started runs.
        let derived = if wire.started_at.is_some() { "TASK_RUNNING" } else { "TASK_STAGING" };
        let results: Vec<bool> =
            wire.health_check_results.into_iter().flatten().filter_map(|result| result.alive).collect();
        Self {
            id: wire.id,
            host: wire.host,
            ports: wire.ports,
            state: wire.state.unwrap_or_else(|| derived.to_owned()),
            healthy: (!results.is_empty()).then(|| results.iter().all(|alive| *alive)),
            version: wire.version,
            staged_at: wire.staged_at,
            started_at: wire.started_at,
            agent_id: wire.slave_id,
            addresses: wire.ip_addresses.into_iter().filter_map(|address| address.ip_address).collect(),
        }
    }
}

/// What a change is answered with, in all forms.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Changed {
    pub(super) deployment_id: Option<DeploymentId>,
    #[serde(deserialize_with = "or_default")]
    deployments: Vec<Id>,
    pub(super) version: Option<Version>,
}

impl Changed {
    /// Before 1.4 a created app shows its deployment among its own fields.
    pub(super) fn deployment(&self) -> Option<&DeploymentId> {
        self.deployment_id.as_ref().or_else(|| self.deployments.first().map(|deployment| &deployment.id))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireDeployment {
    id: DeploymentId,
    version: Option<Version>,
    #[serde(default, deserialize_with = "or_default")]
    affected_apps: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    affected_pods: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    steps: Vec<Step>,
    #[serde(default, deserialize_with = "or_default")]
    current_actions: Vec<Act>,
    #[serde(default, deserialize_with = "or_default")]
    current_step: u32,
    total_steps: Option<u32>,
}

/// A bare list of actions before 1.0.
#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    Bare(Vec<Act>),
    Named { actions: Vec<Act> },
}

/// `type` from 1.0 to 1.1.1, `action` before and after.
#[derive(Deserialize)]
struct Act {
    #[serde(alias = "type")]
    action: Option<String>,
    #[serde(alias = "pod")]
    app: Option<String>,
}

impl Act {
    fn text(&self) -> String {
        let parts = [&self.action, &self.app];
        parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

impl From<WireDeployment> for Deployment {
    fn from(wire: WireDeployment) -> Self {
        let steps: Vec<Vec<String>> = wire
            .steps
            .iter()
            .map(|step| match step {
                Step::Bare(acts) | Step::Named { actions: acts } => acts.iter().map(Act::text).collect(),
            })
            .collect();
        let mut apps = wire.affected_apps;
        apps.extend(wire.affected_pods);
        Self {
            id: wire.id,
            version: wire.version,
            apps,
            current_step: wire.current_step,
            total_steps: wire.total_steps.unwrap_or_else(|| u32::try_from(steps.len()).unwrap_or(u32::MAX)),
            actions: wire.current_actions.iter().map(Act::text).collect(),
            steps,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Queue {
    #[serde(default, deserialize_with = "or_default")]
    queue: Vec<Queued>,
}

impl From<Queue> for Vec<Waiting> {
    fn from(wire: Queue) -> Self {
        wire.queue.into_iter().map(Waiting::from).collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Queued {
    #[serde(alias = "pod")]
    app: QueuedApp,
    #[serde(default, deserialize_with = "or_default")]
    count: u32,
    #[serde(default, deserialize_with = "or_default")]
    delay: WireDelay,
    since: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    processed_offers_summary: Offers,
}

#[derive(Deserialize)]
struct QueuedApp {
    id: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireDelay {
    #[serde(deserialize_with = "or_default")]
    time_left_seconds: u64,
    #[serde(deserialize_with = "or_default")]
    overdue: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Offers {
    #[serde(deserialize_with = "or_default")]
    processed_offers_count: u64,
    #[serde(deserialize_with = "or_default")]
    unused_offers_count: u64,
    #[serde(deserialize_with = "or_default")]
    reject_summary_last_offers: Vec<Rejected>,
}

#[derive(Deserialize)]
struct Rejected {
    reason: String,
    #[serde(default)]
    declined: u64,
    #[serde(default)]
    processed: u64,
}

impl From<Queued> for Waiting {
    fn from(wire: Queued) -> Self {
        let left = wire.delay.time_left_seconds;
        let delay = if wire.delay.overdue || left == 0 {
            Delay::Offers
        } else {
            Delay::Backoff(Duration::from_secs(left))
        };
        let offers = wire.processed_offers_summary;
        // Every reason there is, is listed: those that declined nothing explain nothing.
        let unused = offers
            .reject_summary_last_offers
            .into_iter()
            .filter(|rejected| rejected.declined > 0)
            .map(|Rejected { reason, declined, processed }| Unused { reason, declined, processed })
            .collect();
        Self {
            app: wire.app.id,
            count: wire.count,
            delay,
            since: wire.since,
            offers_processed: offers.processed_offers_count,
            offers_unused: offers.unused_offers_count,
            unused,
        }
    }
}

/// Bare for a group, under a name for an app.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Versions {
    Named { versions: Vec<Version> },
    Bare(Vec<Version>),
}

impl From<Versions> for Vec<Version> {
    fn from(wire: Versions) -> Self {
        let mut versions = match wire {
            Versions::Named { versions } | Versions::Bare(versions) => versions,
        };
        versions.sort_unstable_by(|one, other| other.cmp(one));
        versions
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireInfo {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) version: String,
    pub(super) framework_id: Option<String>,
    pub(super) leader: Option<String>,
}

fn protocol(text: &str) -> Error {
    Error::Protocol { message: text.to_owned() }
}

#[cfg(test)]
mod tests;
