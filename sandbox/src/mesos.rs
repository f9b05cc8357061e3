//! A stand-in Mesos master: the state of the cluster as Marathon's framework has made it.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, LOCATION, WWW_AUTHENTICATE};
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::clusters::Place;
use crate::marathon::{Agent, Cluster, Foreign, Resources, Task, TaskState};
use crate::world::Shared;

/// The schedule of a large cluster is some kilobytes.
const LARGEST_BODY: usize = 1024 * 1024;

/// The framework that is not Marathon.
const FOREIGN: &str = "foreign-0000";

/// What only the master that leads answers.
const LED: [&str; 11] = [
    "/redirect",
    "/state",
    "/state.json",
    "/slaves",
    "/tasks",
    "/frameworks",
    "/api/v1",
    "/maintenance/schedule",
    "/maintenance/status",
    "/machine/down",
    "/machine/up",
];

/// Any master redirects to the one that leads; only that one knows the state.
pub(crate) async fn serve(shared: &Shared, place: Place, request: Request<Incoming>) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(Body::new(body), LARGEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let mut world = shared.world();
    let now = world.clock.now();
    let Some(cluster) = world.clusters.get_mut(place.cluster) else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if cluster.config.mesos_access.check(authorization, false).is_err() {
        let realm = "Basic realm=\"mesos-master-readonly\"";
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, realm)]).into_response();
    }
    let path = parts.uri.path().trim_end_matches('/');
    let path = path.strip_prefix("/master").unwrap_or(path);
    let leader = cluster.masters.first().filter(|_| place.node != 0);
    match leader {
        Some(leader) if LED.contains(&path) => {
            let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
            let to = if path == "/redirect" { "/" } else { target };
            (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, format!("//{leader}{to}"))]).into_response()
        }
        _ if parts.method == Method::POST => {
            let done = change(cluster, path, &body, now);
            cluster.progress(now);
            match done {
                Ok(()) => Body::empty().into_response(),
                Err(why) => (StatusCode::BAD_REQUEST, why).into_response(),
            }
        }
        _ => show(cluster, path),
    }
}

fn show(cluster: &Cluster, path: &str) -> Response {
    match path {
        "/redirect" => {
            let to = format!("//{}", cluster.masters.first().map(ToString::to_string).unwrap_or_default());
            (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]).into_response()
        }
        "/state" | "/state.json" => Json(state(cluster)).into_response(),
        "/slaves" => Json(json!({"slaves": agents(cluster)})).into_response(),
        "/tasks" => {
            let all = cluster.tasks.iter().chain(&cluster.ended).map(|one| task(cluster, one));
            Json(json!({"tasks": all.collect::<Vec<_>>()})).into_response()
        }
        "/frameworks" => {
            Json(json!({"frameworks": frameworks(cluster), "completed_frameworks": []})).into_response()
        }
        "/maintenance/schedule" => Json(json!({"windows": cluster.service.windows})).into_response(),
        "/maintenance/status" => Json(cluster.maintenance_status()).into_response(),
        "/health" => Body::empty().into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// What operators ask for; a refusal is told in Mesos's manner, as plain text.
fn change(cluster: &mut Cluster, path: &str, body: &[u8], now: OffsetDateTime) -> Result<(), String> {
    let body: Value =
        serde_json::from_slice(body).map_err(|_| "Failed to parse body into JSON".to_owned())?;
    match path {
        "/maintenance/schedule" => cluster.plan_maintenance(&body),
        "/machine/down" => cluster.take_down(&body, now),
        "/machine/up" => cluster.bring_up(&body, now),
        "/api/v1" => {
            let agent = |verb: &str| body[verb]["agent_id"]["value"].as_str().unwrap_or_default().to_owned();
            match body["type"].as_str() {
                // These came with 1.9.
                Some("DRAIN_AGENT") if drains(cluster) => cluster.drain(&agent("drain_agent"), now),
                Some("REACTIVATE_AGENT") if drains(cluster) => cluster.reactivate(&agent("reactivate_agent")),
                _ => Err("Failed to validate master::Call: Expecting 'type' to be present".to_owned()),
            }
        }
        _ => Err(format!("There is nothing to change at {path}")),
    }
}

fn drains(cluster: &Cluster) -> bool {
    let mut numbers = cluster.config.mesos_version.split('.').map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(1), Some(9))
}

fn state(cluster: &Cluster) -> Value {
    let leader = cluster.masters.first();
    let count = |state: TaskState| cluster.tasks.iter().filter(|task| task.state == state).count();
    json!({
        "version": cluster.config.mesos_version,
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
        "frameworks": frameworks(cluster),
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
        let mut told = json!({
            "id": agent.id,
            "hostname": agent.host,
            "pid": format!("slave(1)@{}:5051", agent.host),
            "active": true,
            "deactivated": !cluster.is_offered(agent),
            "attributes": {},
            "resources": total,
            "used_resources": resources(cluster.used(agent)),
            "reserved_resources": {},
        });
        if let Some(state) = cluster.drain_state(agent) {
            told["drain_info"] = json!({"state": state, "config": {"mark_gone": false}});
        }
        told
    };
    cluster.agents.iter().map(tell).collect()
}

/// Marathon, and whatever else runs something.
fn frameworks(cluster: &Cluster) -> Vec<Value> {
    let foreign = |task: &Foreign| {
        json!({
            "id": task.id,
            "name": task.id,
            "framework_id": FOREIGN,
            "slave_id": task.agent,
            "state": "TASK_RUNNING",
            "statuses": [],
        })
    };
    let mut all = vec![framework(cluster)];
    if !cluster.foreign.is_empty() {
        let tasks: Vec<Value> = cluster.foreign.iter().map(foreign).collect();
        all.push(json!({
            "id": FOREIGN, "name": "batch", "active": true, "connected": true, "tasks": tasks, "completed_tasks": [],
        }));
    }
    all
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
