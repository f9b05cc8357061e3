//! The sandbox's own API, for other processes and for curl: see what happened, and make things go wrong.

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

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Value>),
    One(Value),
}

/// Takes one rule or a list of them; a list is taken whole or not at all.
async fn add_faults(State(shared): State<Shared>, Json(body): Json<OneOrMany>) -> Response {
    let rules = match body {
        OneOrMany::Many(rules) => rules,
        OneOrMany::One(rule) => vec![rule],
    };
    let rules: Result<Vec<Rule>, _> = rules.into_iter().map(serde_json::from_value).collect();
    match rules {
        Ok(rules) => {
            let mut world = shared.world();
            let ids: Vec<u64> = rules.into_iter().map(|rule| world.rules.add(rule)).collect();
            (StatusCode::CREATED, Json(json!({"ids": ids}))).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({"error": error.to_string()}))).into_response(),
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
        let mut body = json!(stack);
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
#[serde(default)]
struct Failure {
    action: Option<StackAction>,
    reason: Option<String>,
}

/// The name may be a part of a stack's name, also of a stack still to come. An empty body is enough.
async fn fail_stack(State(shared): State<Shared>, Path(name): Path<String>, body: String) -> Response {
    let failure = if body.is_empty() { Ok(Failure::default()) } else { serde_json::from_str(&body) };
    let Failure { action, reason } = match failure {
        Ok(failure) => failure,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let reason = reason.unwrap_or_else(|| "the sandbox was told to fail it".to_owned());
    let mut world = shared.world();
    let now = world.clock.now();
    world.heat.fail(Doom { name, action, reason }, now);
    StatusCode::NO_CONTENT.into_response()
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

async fn advance(State(shared): State<Shared>, Json(Advance { ms }): Json<Advance>) -> StatusCode {
    shared.world().clock.advance(Duration::from_millis(ms));
    StatusCode::NO_CONTENT
}
