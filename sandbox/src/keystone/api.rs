//! Keystone's routes, and what its handlers share.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::auth::AuthRequest;
use super::token::catalog;
use super::{Error, Token, trust_api, user_api};
use crate::known;
use crate::world::{Shared, World};

const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

pub(crate) fn router() -> Router<Shared> {
    Router::new()
        .route("/", get(versions))
        .route("/v3", get(version))
        .route("/v3/", get(version))
        .route("/v3/auth/tokens", post(issue).get(validate).delete(revoke))
        .route("/v3/auth/catalog", get(own_catalog))
        .route("/v3/users", post(user_api::create).get(user_api::list))
        .route("/v3/users/{id}", get(user_api::show).patch(user_api::change).delete(user_api::delete))
        .route("/v3/OS-TRUST/trusts", post(trust_api::create).get(trust_api::list))
        .route("/v3/OS-TRUST/trusts/{id}", get(trust_api::show).delete(trust_api::delete))
        .route("/v3/regions", get(regions))
        .route("/v3/domains", get(domains))
        .route("/v3/services", get(services))
        .fallback(|| async {
            Error::NotFound("(http://localhost/): The resource could not be found.".into())
        })
}

/// The token a request authenticates with.
pub(super) fn caller(world: &World, headers: &HeaderMap) -> Result<Token, Error> {
    let id = headers.get("x-auth-token").and_then(|value| value.to_str().ok());
    let token = id.and_then(|id| world.identity.live_token(id, world.clock.now()));
    token.cloned().ok_or(Error::Unauthorized)
}

/// Reads a request's body. The decoder's message names the field at fault.
pub(super) fn parse<T: DeserializeOwned>(body: &str) -> Result<T, Error> {
    serde_json::from_str(body).map_err(|error| Error::BadRequest(error.to_string()))
}

fn describe_version(shared: &Shared) -> Value {
    json!({
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": format!("{}/", shared.auth_url())}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    })
}

async fn versions(State(shared): State<Shared>) -> Response {
    let body = json!({"versions": {"values": [describe_version(&shared)]}});
    (StatusCode::MULTIPLE_CHOICES, Json(body)).into_response()
}

async fn version(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({"version": describe_version(&shared)}))
}

async fn issue(State(shared): State<Shared>, body: String) -> Result<Response, Error> {
    let request: AuthRequest = parse(&body)?;
    let mut world = shared.world();
    let (now, lifetime) = (world.clock.now(), world.config.token_lifetime);
    let token = world.identity.authenticate(&request, now, lifetime)?;
    let body = json!({"token": world.identity.describe(&token, shared.base_url())});
    Ok((StatusCode::CREATED, [(SUBJECT_TOKEN, token.id)], Json(body)).into_response())
}

/// The token that a call is about: the caller's own, or any if the caller is an admin.
fn subject(world: &World, headers: &HeaderMap, action: &str) -> Result<Token, Error> {
    let caller = caller(world, headers)?;
    let id = headers.get(SUBJECT_TOKEN).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let missing = || Error::NotFound("Failed to validate token".to_owned());
    let subject = world.identity.live_token(id, world.clock.now()).ok_or_else(missing)?;
    let admin = world.identity.roles_of(&caller).iter().any(|role| role == "admin");
    if admin || caller.user_id == subject.user_id {
        Ok(subject.clone())
    } else {
        Err(Error::not_allowed(action))
    }
}

async fn validate(State(shared): State<Shared>, headers: HeaderMap) -> Result<Response, Error> {
    let world = shared.world();
    let token = subject(&world, &headers, "identity:validate_token")?;
    let body = json!({"token": world.identity.describe(&token, shared.base_url())});
    Ok(([(SUBJECT_TOKEN, token.id)], Json(body)).into_response())
}

async fn revoke(State(shared): State<Shared>, headers: HeaderMap) -> Result<StatusCode, Error> {
    let mut world = shared.world();
    let token = subject(&world, &headers, "identity:revoke_token")?;
    world.identity.revoke(&token.id);
    Ok(StatusCode::NO_CONTENT)
}

async fn own_catalog(State(shared): State<Shared>, headers: HeaderMap) -> Result<Json<Value>, Error> {
    let world = shared.world();
    let token = caller(&world, &headers)?;
    let links = json!({"self": format!("{}/auth/catalog", shared.auth_url())});
    Ok(Json(json!({"catalog": catalog(shared.base_url(), token.scope.project()), "links": links})))
}

async fn regions(State(shared): State<Shared>, headers: HeaderMap) -> Result<Json<Value>, Error> {
    caller(&shared.world(), &headers)?;
    let url = shared.auth_url();
    let region = json!({
        "id": known::REGION,
        "description": "",
        "parent_region_id": null,
        "links": {"self": format!("{url}/regions/{}", known::REGION)},
    });
    let links = json!({"self": format!("{url}/regions"), "next": null, "previous": null});
    Ok(Json(json!({"regions": [region], "links": links})))
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

async fn domains(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Query(filter): Query<Named>,
) -> Result<Json<Value>, Error> {
    let world = shared.world();
    let token = caller(&world, &headers)?;
    if !world.identity.roles_of(&token).iter().any(|role| role == "admin") {
        return Err(Error::not_allowed("identity:list_domains"));
    }
    let wanted = known::DOMAINS.iter().filter(|d| filter.name.as_ref().is_none_or(|name| name == d.name));
    let domains: Vec<Value> =
        wanted.map(|d| json!({"id": d.id, "name": d.name, "enabled": true, "description": ""})).collect();
    Ok(Json(json!({"domains": domains, "links": {"next": null, "previous": null}})))
}

#[derive(Deserialize)]
struct Typed {
    r#type: Option<String>,
}

async fn services(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Query(filter): Query<Typed>,
) -> Result<Json<Value>, Error> {
    let world = shared.world();
    let token = caller(&world, &headers)?;
    if !world.identity.roles_of(&token).iter().any(|role| role == "admin") {
        return Err(Error::not_allowed("identity:list_services"));
    }
    let all = [("identity", "keystone"), ("orchestration", "heat")];
    let wanted = all.into_iter().filter(|(kind, _)| filter.r#type.as_deref().is_none_or(|t| t == *kind));
    let services: Vec<Value> =
        wanted.map(|(kind, name)| json!({"id": kind, "type": kind, "name": name, "enabled": true})).collect();
    Ok(Json(json!({"services": services, "links": {"next": null, "previous": null}})))
}
