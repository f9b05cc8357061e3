//! The Marathons by the control API. A name is that of a bay's stack, a part of it, or its id.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::BadRequest;
use crate::marathon::{Access, Marathon, MarathonConfig, Profile, Script};
use crate::world::Shared;

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/", get(list).post(start))
        .route("/{name}", get(show))
        .route("/{name}/events", get(events))
        .route("/{name}/behaviours", post(behave).delete(clear_behaviours))
        .route("/{name}/tasks/fail", post(fail_tasks))
        .route("/{name}/agents/lose", post(lose_agent))
        .route("/{name}/leader", post(set_leader))
        .route("/{name}/nodes", post(set_node))
        .route("/{name}/streams", post(set_streams))
}

enum Refusal {
    Unreadable(BadRequest),
    Unknown(String),
    NotStarted(String),
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::Unreadable(BadRequest::from(error))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Unreadable(error) => error.into_response(),
            Self::Unknown(what) => {
                (StatusCode::NOT_FOUND, Json(json!({"error": format!("there is no {what}")}))).into_response()
            }
            Self::NotStarted(why) => {
                (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": why}))).into_response()
            }
        }
    }
}

fn find(shared: &Shared, name: &str) -> Result<Marathon, Refusal> {
    let id = shared.world().clusters.find(name);
    let id = id.ok_or_else(|| Refusal::Unknown(format!("Marathon of that name: {name}")))?;
    Ok(Marathon::new(shared.clone(), id))
}

fn tell(marathon: &Marathon) -> Value {
    let apps = marathon.apps();
    json!({
        "name": marathon.name(),
        "urls": marathon.urls(),
        "mesos_urls": marathon.mesos_urls(),
        "leader": marathon.leader(),
        "apps": apps.iter().filter_map(|id| marathon.app(id)).collect::<Vec<_>>(),
        "deployments": marathon.deployments(),
        "streams": marathon.streams(),
    })
}

async fn list(State(shared): State<Shared>) -> Json<Value> {
    let ids: Vec<_> = shared.world().clusters.iter().map(|(id, _)| id).collect();
    let all = ids.into_iter().map(|id| tell(&Marathon::new(shared.clone(), id)));
    Json(json!({"marathons": all.collect::<Vec<_>>()}))
}

async fn show(State(shared): State<Shared>, Path(name): Path<String>) -> Result<Json<Value>, Refusal> {
    Ok(Json(tell(&find(&shared, &name)?)))
}

async fn events(State(shared): State<Shared>, Path(name): Path<String>) -> Result<Json<Value>, Refusal> {
    Ok(Json(json!({"events": find(&shared, &name)?.events()})))
}

/// A Marathon that belongs to no bay. Everything but the name may be left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    name: String,
    /// A release such as `1.3`.
    profile: Option<String>,
    nodes: Option<usize>,
    speed: Option<u32>,
    #[serde(default)]
    tls: bool,
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
}

async fn start(State(shared): State<Shared>, body: String) -> Result<Response, Refusal> {
    let asked: Start = serde_json::from_str(&body)?;
    let usual = shared.world().config.bays.clone().unwrap_or_default();
    let profile = match &asked.profile {
        None => usual.profile,
        Some(name) => Profile::of_release(name)
            .ok_or_else(|| Refusal::Unknown(format!("profile of Marathon {name}")))?,
    };
    let access = match (asked.token, asked.user.zip(asked.password)) {
        (Some(token), _) => Access::token(&token),
        (None, Some((user, password))) => Access::basic(&user, &password),
        (None, None) => Access::Open,
    };
    let (nodes, speed) = (asked.nodes.unwrap_or(1), asked.speed.unwrap_or(usual.speed));
    let config = MarathonConfig { profile, nodes, speed, access, tls: asked.tls, ..usual };
    let failed = |error: std::io::Error| Refusal::NotStarted(error.to_string());
    let (id, ca) = {
        let mut world = shared.world();
        let now = world.clock.now();
        let ca = asked.tls.then(|| world.clusters.ca_pem()).transpose().map_err(failed)?;
        (world.clusters.start(&asked.name, config, now).map_err(failed)?, ca)
    };
    let mut told = tell(&Marathon::new(shared, id));
    told["ca_pem"] = json!(ca);
    Ok((StatusCode::CREATED, Json(told)).into_response())
}

async fn behave(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: String,
) -> Result<StatusCode, Refusal> {
    let script: Script = serde_json::from_str(&body)?;
    find(&shared, &name)?.behave(script);
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_behaviours(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    find(&shared, &name)?.clear_scripts();
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FailTasks {
    app: String,
    #[serde(default = "told_to_fail")]
    message: String,
}

fn told_to_fail() -> String {
    "the sandbox was told to fail it".to_owned()
}

async fn fail_tasks(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: String,
) -> Result<Json<Value>, Refusal> {
    let FailTasks { app, message } = serde_json::from_str(&body)?;
    Ok(Json(json!({"failed": find(&shared, &name)?.fail_tasks(&app, &message)})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoseAgent {
    host: String,
}

async fn lose_agent(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: String,
) -> Result<StatusCode, Refusal> {
    let LoseAgent { host } = serde_json::from_str(&body)?;
    if find(&shared, &name)?.lose_agent(&host) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Refusal::Unknown(format!("agent {host}")))
    }
}

/// What becomes of the leadership.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum SetLeader {
    /// The next node leads after an election.
    FailOver,
    /// Nobody leads.
    Depose,
    /// That node leads now.
    Elect(usize),
}

async fn set_leader(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: String,
) -> Result<StatusCode, Refusal> {
    let marathon = find(&shared, &name)?;
    match serde_json::from_str(&body)? {
        SetLeader::FailOver => marathon.fail_over(),
        SetLeader::Depose => marathon.depose(),
        SetLeader::Elect(node) => marathon.elect(node),
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetNode {
    node: usize,
    up: bool,
}

async fn set_node(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: String,
) -> Result<StatusCode, Refusal> {
    let SetNode { node, up } = serde_json::from_str(&body)?;
    find(&shared, &name)?.set_up(node, up);
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum SetStreams {
    /// Open streams and new ones say nothing.
    Silent,
    Speaking,
    /// Open ones end.
    Closed,
}

async fn set_streams(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: String,
) -> Result<StatusCode, Refusal> {
    let marathon = find(&shared, &name)?;
    match serde_json::from_str(&body)? {
        SetStreams::Silent => marathon.set_silent(true),
        SetStreams::Speaking => marathon.set_silent(false),
        SetStreams::Closed => marathon.close_streams(),
    }
    Ok(StatusCode::NO_CONTENT)
}
