//! A stand-in Mesos master: the state of the cluster as Marathon's framework has made it.

use axum::Json;
use axum::body::Body;
use axum::http::header::LOCATION;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::clusters::Place;
use crate::marathon::{Agent, Cluster, Resources, Task, TaskState};
use crate::world::Shared;

/// Any master redirects to the one that leads; only that one knows the state.
pub(crate) fn serve(shared: &Shared, place: Place, request: &Request<Incoming>) -> Response {
    let world = shared.world();
    let Some(cluster) = world.clusters.get(place.cluster) else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let path = request.uri().path().trim_end_matches('/');
    let path = path.strip_prefix("/master").unwrap_or(path);
    let leader = cluster.masters.first().filter(|_| place.node != 0);
    match (path, leader) {
        ("/redirect" | "/state" | "/state.json" | "/slaves" | "/tasks" | "/frameworks", Some(leader)) => {
            let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
            let to = if path == "/redirect" { "/" } else { target };
            (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, format!("//{leader}{to}"))]).into_response()
        }
        ("/redirect", None) => {
            let to = format!("//{}", cluster.masters.first().map(ToString::to_string).unwrap_or_default());
            (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]).into_response()
        }
        ("/state" | "/state.json", None) => Json(state(cluster)).into_response(),
        ("/slaves", None) => Json(json!({"slaves": agents(cluster)})).into_response(),
        ("/tasks", None) => {
            let all = cluster.tasks.iter().chain(&cluster.ended).map(|one| task(cluster, one));
            Json(json!({"tasks": all.collect::<Vec<_>>()})).into_response()
        }
        ("/frameworks", None) => {
            Json(json!({"frameworks": [framework(cluster)], "completed_frameworks": []})).into_response()
        }
        ("/health", _) => Body::empty().into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn state(cluster: &Cluster) -> Value {
    let leader = cluster.masters.first();
    let count = |state: TaskState| cluster.tasks.iter().filter(|task| task.state == state).count();
    json!({
        "version": "1.11.0",
        "id": cluster.framework_id.trim_end_matches("-0000"),
        "pid": leader.map(|address| format!("master@{address}")),
        "leader": leader.map(|address| format!("master@{address}")),
        "leader_info": leader.map(|address| json!({"hostname": address.ip(), "port": address.port()})),
        "hostname": leader.map(|address| address.ip().to_string()),
        "cluster": cluster.name,
        "activated_slaves": cluster.agents.len(),
        "deactivated_slaves": 0,
        "unreachable_slaves": 0,
        "staging_tasks": count(TaskState::Staging),
        "running_tasks": count(TaskState::Running),
        "slaves": agents(cluster),
        "frameworks": [framework(cluster)],
        "completed_frameworks": [],
        "unregistered_frameworks": [],
    })
}

fn resources(resources: Resources) -> Value {
    let Resources { cpus, mem, disk, gpus } = resources;
    json!({"cpus": cpus, "mem": mem, "disk": disk, "gpus": gpus})
}

fn agents(cluster: &Cluster) -> Value {
    let tell = |agent: &Agent| {
        let mut total = resources(agent.total);
        total["ports"] = json!("[31000-32000]");
        json!({
            "id": agent.id,
            "hostname": agent.host,
            "pid": format!("slave(1)@{}:5051", agent.host),
            "active": true,
            "attributes": {},
            "resources": total,
            "used_resources": resources(cluster.used(agent)),
            "reserved_resources": {},
        })
    };
    cluster.agents.iter().map(tell).collect()
}

fn framework(cluster: &Cluster) -> Value {
    let sum =
        cluster.agents.iter().map(|agent| cluster.used(agent)).fold(Resources::default(), Resources::plus);
    json!({
        "id": cluster.framework_id,
        "name": "marathon",
        "active": cluster.leader.is_some(),
        "connected": cluster.leader.is_some(),
        "hostname": cluster.leader.and_then(|leader| cluster.nodes.get(leader)).map(|n| n.address.ip().to_string()),
        "role": "*",
        "user": "root",
        "webui_url": cluster.leader.map(|leader| cluster.node_url(leader)),
        "used_resources": resources(sum),
        "tasks": cluster.tasks.iter().map(|one| task(cluster, one)).collect::<Vec<_>>(),
        "completed_tasks": cluster.ended.iter().map(|one| task(cluster, one)).collect::<Vec<_>>(),
    })
}

fn task(cluster: &Cluster, task: &Task) -> Value {
    let seconds = |at: OffsetDateTime| at.unix_timestamp();
    let statuses = task.started.map(|at| json!({"state": "TASK_RUNNING", "timestamp": seconds(at)}));
    json!({
        "id": task.id,
        // What the task's part of the service discovery is called: the innermost group last.
        "name": task.app.segments().collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("."),
        "framework_id": cluster.framework_id,
        "slave_id": task.agent,
        "executor_id": "",
        "state": task.state.name(),
        "resources": resources(task.resources),
        "statuses": statuses.into_iter().collect::<Vec<_>>(),
    })
}
