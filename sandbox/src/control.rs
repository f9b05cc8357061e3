//! The sandbox's own API, for other processes and for curl: see what happened, and make things go wrong.

mod marathons;

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::fault::Rule;
use crate::heat::{Doom, StackAction};
use crate::log::{Service, path_fits};
use crate::world::Shared;

pub(crate) fn router() -> Router<Shared> {
    Router::new()
        .route("/requests", get(requests).delete(clear_requests))
        .route("/faults", get(faults).post(add_faults).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
        .route("/state", get(state))
        .route("/stacks/{name}/fail", post(fail_stack))
        .route("/stacks/{name}/finish", post(finish_stack))
        .route("/tokens", delete(revoke_tokens))
        .route("/advance", post(advance))
        .nest("/marathons", marathons::router())
}

#[derive(Deserialize)]
struct RequestFilter {
    service: Option<Service>,
    method: Option<String>,
    path: Option<String>,
}

async fn requests(State(shared): State<Shared>, Query(filter): Query<RequestFilter>) -> Json<Value> {
    let world = shared.world();
    let RequestFilter { service, method, path } = filter;
    let wanted = world.log.requests().iter().filter(|request| {
        service.is_none_or(|service| service == request.service)
            && method.as_ref().is_none_or(|method| method.eq_ignore_ascii_case(&request.method))
            && path.as_ref().is_none_or(|pattern| path_fits(pattern, &request.path))
    });
    Json(json!({"requests": wanted.collect::<Vec<_>>()}))
}

async fn clear_requests(State(shared): State<Shared>) -> StatusCode {
    shared.world().log.clear();
    StatusCode::NO_CONTENT
}

async fn faults(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({"faults": shared.world().rules.armed()}))
}

/// Takes one rule or a list of them; a list is taken whole or not at all.
async fn add_faults(State(shared): State<Shared>, body: String) -> Result<Response, BadRequest> {
    let sent: Value = serde_json::from_str(&body)?;
    let rules: Vec<Rule> =
        if sent.is_array() { serde_json::from_value(sent)? } else { vec![serde_json::from_value(sent)?] };
    let mut world = shared.world();
    let ids: Vec<u64> = rules.into_iter().map(|rule| world.rules.add(rule)).collect();
    Ok((StatusCode::CREATED, Json(json!({"ids": ids}))).into_response())
}

/// A body that cannot be read; curl need not say what type it is.
struct BadRequest(serde_json::Error);

impl From<serde_json::Error> for BadRequest {
    fn from(error: serde_json::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for BadRequest {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({"error": self.0.to_string()}))).into_response()
    }
}

async fn clear_faults(State(shared): State<Shared>) -> StatusCode {
    shared.world().rules.clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(shared): State<Shared>, Path(id): Path<u64>) -> StatusCode {
    if shared.world().rules.remove(id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn state(State(shared): State<Shared>) -> Json<Value> {
    let world = shared.world();
    let stack = |stack| {
        let mut body = json!(crate::Stack::redacted(stack));
        body["status"] = json!(crate::Stack::status(stack));
        body
    };
    Json(json!({
        "stacks": world.heat.all().iter().map(stack).collect::<Vec<_>>(),
        "users": world.identity.users().collect::<Vec<_>>(),
        "trusts": world.identity.trusts().collect::<Vec<_>>(),
        "tokens": world.identity.token_count(),
    }))
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Failure {
    action: Option<StackAction>,
    reason: Option<String>,
}

/// The name may be a part of a stack's name, also of a stack still to come. An empty body is enough.
async fn fail_stack(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    body: String,
) -> Result<StatusCode, BadRequest> {
    let Failure { action, reason } =
        if body.is_empty() { Failure::default() } else { serde_json::from_str(&body)? };
    let reason = reason.unwrap_or_else(|| "the sandbox was told to fail it".to_owned());
    let mut world = shared.world();
    let now = world.clock.now();
    world.heat.fail(Doom { name, action, reason }, now);
    Ok(StatusCode::NO_CONTENT)
}

async fn finish_stack(State(shared): State<Shared>, Path(name): Path<String>) -> Json<Value> {
    let mut world = shared.world();
    let now = world.clock.now();
    Json(json!({"finished": world.heat.finish(&name, now)}))
}

async fn revoke_tokens(State(shared): State<Shared>) -> StatusCode {
    shared.world().identity.revoke_all_tokens();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Advance {
    ms: u64,
}

async fn advance(State(shared): State<Shared>, body: String) -> Result<StatusCode, BadRequest> {
    let Advance { ms } = serde_json::from_str(&body)?;
    shared.world().clock.advance(Duration::from_millis(ms));
    Ok(StatusCode::NO_CONTENT)
}
