//! Instances: listed and killed, for one app or for all.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Call, body, change, ok, unknown};
use crate::marathon::cluster::Cluster;
use crate::marathon::error::Error;
use crate::marathon::path::PathId;
use crate::marathon::tasks::{Task, TaskState};
use crate::marathon::validation::Fault;
use crate::marathon::view;

pub(super) fn answer(
    cluster: &mut Cluster,
    call: &Call,
    rest: &[&str],
    now: OffsetDateTime,
) -> Result<Response, Error> {
    match (call.method.as_str(), rest) {
        ("GET", []) => list(cluster, call),
        ("POST", ["delete"]) => kill_many(cluster, call, now),
        _ => unknown(call),
    }
}

fn list(cluster: &Cluster, call: &Call) -> Result<Response, Error> {
    let states: Vec<&str> = call.values("status").collect();
    let wanted = |task: &&Task| {
        let state = if task.state == TaskState::Staging { "staging" } else { "running" };
        // What is left of an app that is gone belongs to nobody who may see it.
        cluster.root.apps.contains_key(&task.app) && (states.is_empty() || states.contains(&state))
    };
    let tasks = cluster.tasks.iter().filter(wanted);
    if call.accept.contains("text/plain") && !call.accept.contains("json") {
        if cluster.config.profile.since(1, 10) {
            return Ok(StatusCode::NOT_ACCEPTABLE.into_response());
        }
        let line = |task: &Task| format!("{}\t{}\t{}\n", task.app.flat(), task.host, task.ports.len());
        return Ok(tasks.map(line).collect::<String>().into_response());
    }
    ok(json!({"tasks": tasks.map(|task| view::task(cluster, task)).collect::<Vec<_>>()}))
}

/// The path may end in `*` and then means every app of a group.
pub(super) fn list_of_app(cluster: &Cluster, parts: &[&str], id: &PathId) -> Result<Response, Error> {
    let of_group = parts.last() == Some(&"*");
    let group = id.parent();
    if of_group && !cluster.root.has_group(&group) {
        return Err(Error::no_group(&group));
    }
    if !of_group && !cluster.root.apps.contains_key(id) {
        return Err(Error::no_app(id));
    }
    let wanted = |task: &&Task| if of_group { task.app.is_within(&group) } else { task.app == *id };
    let tasks = cluster.tasks.iter().filter(wanted).map(|task| view::task(cluster, task));
    ok(json!({"tasks": tasks.collect::<Vec<_>>()}))
}

/// How instances are to be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kill {
    /// Others take their place. A wipe is one too: nothing here has a volume to keep.
    Replaced,
    /// The app is to have so many fewer.
    ScaledDown,
}

impl Kill {
    fn of(call: &Call) -> Result<Self, Error> {
        match (call.flag("scale", false), call.flag("wipe", false)) {
            (true, true) => {
                Err(Error::BadRequest("You cannot use scale and wipe at the same time.".to_owned()))
            }
            (true, false) => Ok(Self::ScaledDown),
            (false, true | false) => Ok(Self::Replaced),
        }
    }
}

/// Kills these instances; `shown` is the answer when no deployment comes of it.
fn kill(
    cluster: &mut Cluster,
    call: &Call,
    tasks: &[Task],
    shown: Value,
    now: OffsetDateTime,
) -> Result<Response, Error> {
    let accepted = match Kill::of(call)? {
        Kill::Replaced => None,
        Kill::ScaledDown => {
            let mut root = cluster.root.next(cluster.new_version(now));
            for task in tasks {
                if let Some(spec) = root.apps.get(&task.app).cloned() {
                    let mut definition = spec.definition.clone();
                    definition.set_instances(definition.instances().saturating_sub(1));
                    root.put(&task.app, definition);
                }
            }
            let group = tasks.first().map_or_else(PathId::root, |task| task.app.parent());
            Some(cluster.submit(root, &group, call.force(), now)?)
        }
    };
    for task in tasks {
        cluster.kill(&task.id, now);
    }
    match accepted {
        Some(accepted) => change(cluster, &accepted),
        None => ok(shown),
    }
}

pub(super) fn kill_of_app(
    cluster: &mut Cluster,
    call: &Call,
    app: &PathId,
    now: OffsetDateTime,
) -> Result<Response, Error> {
    let how = Kill::of(call)?;
    if !cluster.root.apps.contains_key(app) {
        return Err(Error::no_app(app));
    }
    let host = call.value("host");
    let fits = |task: &&Task| !task.is_dying() && host.is_none_or(|host| task.host == host);
    let tasks: Vec<Task> = cluster.tasks_of(app).filter(fits).cloned().collect();
    if tasks.is_empty() && how == Kill::ScaledDown {
        return Err(Error::NotFound(format!("Path '{app}' does not exist")));
    }
    let shown: Vec<Value> = tasks.iter().map(|task| view::task(cluster, task)).collect();
    kill(cluster, call, &tasks, json!({"tasks": shown}), now)
}

pub(super) fn kill_one(
    cluster: &mut Cluster,
    call: &Call,
    app: &PathId,
    id: &str,
    now: OffsetDateTime,
) -> Result<Response, Error> {
    Kill::of(call)?;
    if !cluster.root.apps.contains_key(app) {
        return Err(Error::no_app(app));
    }
    let task = cluster.tasks_of(app).find(|task| task.id == id).cloned().ok_or_else(|| Error::no_task(id))?;
    let shown = json!({"task": view::task(cluster, &task)});
    kill(cluster, call, &[task], shown, now)
}

/// Ids that are well formed and unknown are passed over.
fn kill_many(cluster: &mut Cluster, call: &Call, now: OffsetDateTime) -> Result<Response, Error> {
    Kill::of(call)?;
    let object = body::object(&call.body)?;
    let ids = object.get("ids").and_then(Value::as_array);
    let ids = ids.ok_or_else(|| Error::WrongTypes(vec![Fault::new("/ids", "error.path.missing")]))?;
    let mut tasks = Vec::new();
    for id in ids.iter().map(|id| id.as_str().unwrap_or_default()) {
        if !id.contains('.') {
            return Err(Error::BadRequest(format!("Invalid task id '{id}'. [no app can be told from it]")));
        }
        tasks.extend(cluster.task(id).cloned());
    }
    let shown: Vec<Value> = tasks.iter().map(|task| view::task(cluster, task)).collect();
    kill(cluster, call, &tasks, json!({"tasks": shown}), now)
}
