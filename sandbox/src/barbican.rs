//! A stand-in Barbican, as far as certificates go: secrets, certificate containers, and who uses them.
//!
//! Only the project that made something sees it, and only the roles that Barbican's policy names are let in.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::world::{Shared, World};

/// The most that one answer lists.
const LONGEST_PAGE: usize = 100;

pub(crate) fn router() -> Router<Shared> {
    Router::new()
        .route("/v1/secrets", post(create_secret).get(list_secrets))
        .route("/v1/secrets/{id}", get(show_secret).delete(delete_secret))
        .route("/v1/secrets/{id}/payload", get(payload))
        .route("/v1/containers", post(create_container).get(list_containers))
        .route("/v1/containers/{id}", get(show_container).delete(delete_container))
        .route("/v1/containers/{id}/consumers", post(add_consumer).delete(remove_consumer))
        .fallback(|| async { Error(StatusCode::NOT_FOUND, "Not Found.".to_owned()) })
}

/// All that Barbican knows, by id.
#[derive(Debug, Default)]
pub(crate) struct Barbican {
    secrets: BTreeMap<String, Secret>,
    containers: BTreeMap<String, Container>,
    made: u64,
}

struct Secret {
    number: u64,
    project: String,
    name: Option<String>,
    payload: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Container {
    number: u64,
    project: String,
    name: Option<String>,
    secret_refs: Vec<SecretRef>,
    consumers: Vec<Consumer>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct SecretRef {
    name: Option<String>,
    secret_ref: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Consumer {
    name: String,
    #[serde(rename = "URL")]
    url: String,
}

impl Barbican {
    fn next(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    /// The names of the containers that there are, oldest first.
    pub(crate) fn containers(&self) -> Vec<String> {
        let mut containers: Vec<_> = self.containers.values().collect();
        containers.sort_unstable_by_key(|container| container.number);
        containers.into_iter().map(|container| container.name.clone().unwrap_or_default()).collect()
    }

    /// The names of the secrets that there are, oldest first.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let mut secrets: Vec<_> = self.secrets.values().collect();
        secrets.sort_unstable_by_key(|secret| secret.number);
        secrets.into_iter().map(|secret| secret.name.clone().unwrap_or_default()).collect()
    }
}

struct Error(StatusCode, String);

impl Error {
    fn not_found(what: &str) -> Self {
        Self(StatusCode::NOT_FOUND, format!("{what} not found."))
    }

    fn bad(text: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, text.into())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let Self(status, description) = self;
        let title = status.canonical_reason().unwrap_or_default();
        let body = json!({"code": status.as_u16(), "title": title, "description": description});
        (status, Json(body)).into_response()
    }
}

/// The project of the caller's token, if its roles let it use Barbican.
fn project(world: &World, headers: &HeaderMap) -> Result<String, Error> {
    let id = headers.get("x-auth-token").and_then(|value| value.to_str().ok());
    let token = id.and_then(|id| world.identity.live_token(id, world.clock.now()));
    let unauthorized =
        || Error(StatusCode::UNAUTHORIZED, "The request you have made requires authentication.".to_owned());
    let token = token.ok_or_else(unauthorized)?;
    let allowed = world.identity.roles_of(token).iter().any(|role| role == "admin" || role == "creator");
    match token.scope.project() {
        Some(project) if allowed => Ok(project.to_owned()),
        _ => Err(Error(StatusCode::FORBIDDEN, "Your role does not allow this.".to_owned())),
    }
}

fn address(shared: &Shared, kind: &str, id: &str) -> String {
    format!("{}/key-manager/v1/{kind}/{id}", shared.base_url())
}

#[derive(Deserialize)]
struct NewSecret {
    name: Option<String>,
    payload: String,
    payload_content_type: Option<String>,
}

async fn create_secret(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, Error> {
    let mut world = shared.world();
    let project = project(&world, &headers)?;
    let sent: NewSecret = serde_json::from_str(&body).map_err(|error| Error::bad(error.to_string()))?;
    if sent.payload.is_empty() || sent.payload_content_type.is_none() {
        return Err(Error::bad("A payload needs a payload_content_type, and must not be empty."));
    }
    let (id, number) = (Uuid::new_v4().to_string(), world.barbican.next());
    let answer = json!({"secret_ref": address(&shared, "secrets", &id)});
    world.barbican.secrets.insert(id, Secret { number, project, name: sent.name, payload: sent.payload });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

#[derive(Deserialize)]
struct Listing {
    name: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

impl Listing {
    fn page<'a, T>(
        &self,
        all: impl Iterator<Item = (&'a String, &'a T)>,
        name: impl Fn(&T) -> &Option<String>,
        number: impl Fn(&T) -> u64,
    ) -> (usize, Vec<(&'a String, &'a T)>) {
        let wanted = |one: &T| self.name.is_none() || *name(one) == self.name;
        let mut all: Vec<_> = all.filter(|(_, one)| wanted(one)).collect();
        all.sort_unstable_by_key(|(_, one)| number(one));
        let limit = self.limit.unwrap_or(10).min(LONGEST_PAGE);
        (all.len(), all.into_iter().skip(self.offset.unwrap_or(0)).take(limit).collect())
    }
}

async fn list_secrets(
    State(shared): State<Shared>,
    Query(listing): Query<Listing>,
    headers: HeaderMap,
) -> Result<Json<Value>, Error> {
    let world = shared.world();
    let project = project(&world, &headers)?;
    let own = world.barbican.secrets.iter().filter(|(_, secret)| secret.project == project);
    let (total, page) = listing.page(own, |secret| &secret.name, |secret| secret.number);
    let shown = page
        .into_iter()
        .map(|(id, secret)| json!({"secret_ref": address(&shared, "secrets", id), "name": secret.name}));
    Ok(Json(json!({"total": total, "secrets": shown.collect::<Vec<_>>()})))
}

fn secret<'a>(world: &'a World, headers: &HeaderMap, id: &str) -> Result<&'a Secret, Error> {
    let project = project(world, headers)?;
    let found = world.barbican.secrets.get(id).filter(|secret| secret.project == project);
    found.ok_or_else(|| Error::not_found("Secret"))
}

async fn show_secret(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Error> {
    let world = shared.world();
    let secret = secret(&world, &headers, &id)?;
    Ok(Json(json!({"secret_ref": address(&shared, "secrets", &id), "name": secret.name, "status": "ACTIVE"})))
}

async fn payload(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let world = shared.world();
    let secret = secret(&world, &headers, &id)?;
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    if !["text/plain", "*/*"].contains(&accepted) {
        return Err(Error(StatusCode::NOT_ACCEPTABLE, "Secret payload retrieval issue seen.".to_owned()));
    }
    Ok(([(CONTENT_TYPE, "text/plain")], secret.payload.clone()).into_response())
}

async fn delete_secret(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Error> {
    let mut world = shared.world();
    secret(&world, &headers, &id)?;
    world.barbican.secrets.remove(&id);
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct NewContainer {
    name: Option<String>,
    r#type: String,
    #[serde(default)]
    secret_refs: Vec<SecretRef>,
}

async fn create_container(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, Error> {
    let mut world = shared.world();
    let project = project(&world, &headers)?;
    let sent: NewContainer = serde_json::from_str(&body).map_err(|error| Error::bad(error.to_string()))?;
    let parts = ["certificate", "private_key", "private_key_passphrase", "intermediates"];
    let named = |name: &str| sent.secret_refs.iter().any(|secret| secret.name.as_deref() == Some(name));
    let known = sent.secret_refs.iter().all(|secret| {
        let id = secret.secret_ref.rsplit('/').next().unwrap_or_default();
        parts.iter().any(|part| secret.name.as_deref() == Some(part))
            && world.barbican.secrets.contains_key(id)
    });
    if sent.r#type != "certificate" || !known || !named("certificate") {
        return Err(Error::bad("A certificate container needs its certificate, and no unknown secrets."));
    }
    let (id, number) = (Uuid::new_v4().to_string(), world.barbican.next());
    let answer = json!({"container_ref": address(&shared, "containers", &id)});
    let NewContainer { name, secret_refs, .. } = sent;
    let container = Container { number, project, name, secret_refs, consumers: Vec::new() };
    world.barbican.containers.insert(id, container);
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

fn view(shared: &Shared, id: &str, container: &Container) -> Value {
    json!({
        "container_ref": address(shared, "containers", id), "name": container.name, "type": "certificate",
        "status": "ACTIVE", "secret_refs": container.secret_refs, "consumers": container.consumers,
    })
}

async fn list_containers(
    State(shared): State<Shared>,
    Query(listing): Query<Listing>,
    headers: HeaderMap,
) -> Result<Json<Value>, Error> {
    let world = shared.world();
    let project = project(&world, &headers)?;
    let own = world.barbican.containers.iter().filter(|(_, container)| container.project == project);
    let (total, page) = listing.page(own, |container| &container.name, |container| container.number);
    let shown: Vec<_> = page.into_iter().map(|(id, container)| view(&shared, id, container)).collect();
    Ok(Json(json!({"total": total, "containers": shown})))
}

fn container<'a>(world: &'a mut World, headers: &HeaderMap, id: &str) -> Result<&'a mut Container, Error> {
    let project = project(world, headers)?;
    let found = world.barbican.containers.get_mut(id).filter(|container| container.project == project);
    found.ok_or_else(|| Error::not_found("Container"))
}

async fn show_container(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Error> {
    let mut world = shared.world();
    let container = container(&mut world, &headers, &id)?;
    Ok(Json(view(&shared, &id, container)))
}

async fn delete_container(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Error> {
    let mut world = shared.world();
    container(&mut world, &headers, &id)?;
    world.barbican.containers.remove(&id);
    Ok(StatusCode::NO_CONTENT)
}

/// The same again changes nothing.
async fn add_consumer(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Result<Json<Value>, Error> {
    let mut world = shared.world();
    let sent: Consumer = serde_json::from_str(&body).map_err(|error| Error::bad(error.to_string()))?;
    let container = container(&mut world, &headers, &id)?;
    if !container.consumers.contains(&sent) {
        container.consumers.push(sent);
    }
    Ok(Json(view(&shared, &id, container)))
}

async fn remove_consumer(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Result<Json<Value>, Error> {
    let mut world = shared.world();
    let sent: Consumer = serde_json::from_str(&body).map_err(|error| Error::bad(error.to_string()))?;
    let container = container(&mut world, &headers, &id)?;
    container.consumers.retain(|consumer| *consumer != sent);
    Ok(Json(view(&shared, &id, container)))
}
