//! Heat's routes: the life of a stack as a client drives it.

use std::sync::Arc;

use axum::extract::{Path, Query, RawQuery, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::request::StackRequest;
use super::stack::{Pending, Progress, Stack, StackAction};
use super::template::Template;
use super::{Error, Heat, view};
use crate::keystone::{Token, TokenKind};
use crate::world::{Shared, World};

pub(crate) fn router() -> Router<Shared> {
    Router::new()
        .route("/", get(versions))
        .route("/v1/{project}/stacks", post(create).get(list))
        .route("/v1/{project}/stacks/{name}", any(find))
        .route("/v1/{project}/stacks/{name}/resources", get(find_resources))
        .route("/v1/{project}/stacks/{name}/{id}/resources", get(resources))
        .route("/v1/{project}/stacks/{name}/{id}", get(show).put(replace).patch(patch).delete(delete))
        .fallback(|| async { StatusCode::NOT_FOUND })
}

async fn versions(State(shared): State<Shared>) -> Response {
    let link = json!([{"rel": "self", "href": format!("{}/heat/v1/", shared.base_url())}]);
    let body = json!({"versions": [{"id": "v1.0", "status": "CURRENT", "links": link}]});
    (StatusCode::MULTIPLE_CHOICES, Json(body)).into_response()
}

/// The caller's token; it must be scoped to the project the path names.
fn caller(shared: &Shared, world: &World, headers: &HeaderMap, project: &str) -> Result<Token, Error> {
    let id = headers.get("x-auth-token").and_then(|value| value.to_str().ok());
    let token = id.and_then(|id| world.identity.live_token(id, world.clock.now()));
    let token = token.ok_or_else(|| Error::Unauthorized { auth_url: shared.auth_url() })?;
    if token.scope.project() == Some(project) {
        Ok(token.clone())
    } else {
        Err(Error::Forbidden("You are not authorized to use the tenant named in the request.".to_owned()))
    }
}

impl Heat {
    /// A stack of the project by name, or by id; one that was deleted only by its id.
    fn find(&self, project: &str, name_or_id: &str) -> Option<&Stack> {
        let mut own = self.stacks.iter().filter(|stack| stack.project_id == project);
        own.find(|stack| stack.id == name_or_id || (stack.name == name_or_id && !stack.is_deleted()))
    }

    /// The stack that both name and id of a full path mean, if it still is there.
    fn living(&mut self, project: &str, name: &str, id: &str) -> Result<&mut Stack, Error> {
        let named = self.stacks.iter_mut().find(|stack| {
            stack.project_id == project && stack.name == name && stack.id == id && !stack.is_deleted()
        });
        named.ok_or_else(|| Error::NotFound(name.to_owned()))
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let fits = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.len() <= 255
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if fits {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "Invalid stack name {name} must contain only alphanumeric or \"_-.\" characters, must start with \
         alpha and must be 255 characters or less."
    )))
}

async fn create(
    State(shared): State<Shared>,
    Path(project): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, Error> {
    let mut world = shared.world();
    let token = caller(&shared, &world, &headers, &project)?;
    let request = StackRequest::parse(&body)?;
    let name =
        request.stack_name.clone().ok_or_else(|| Error::BadRequest("No stack name specified".to_owned()))?;
    let template =
        request.template()?.ok_or_else(|| Error::BadRequest("No template specified".to_owned()))?;
    check_name(&name)?;
    if world.heat.stacks.iter().any(|s| s.project_id == project && s.name == name && !s.is_deleted()) {
        return Err(Error::Exists(name));
    }
    let mut stack = plan(&request, template, name, &token, world.clock.now())?;
    // To store a stack Heat makes a trust of its own, which a trust-scoped token may not do.
    if token.scope.kind() == TokenKind::Trust {
        return Err(Error::Internal);
    }
    let takes = world.config.create_time;
    let pending = world.heat.pending(&stack.name, StackAction::Create, stack.created, takes);
    stack.begin(StackAction::Create, pending);
    let url = shared.heat_url(&project);
    let answer = Json(json!({"stack": view::identity(&stack, &url)}));
    let location = [(LOCATION, view::link(&stack, &url))];
    world.heat.stacks.push(stack);
    Ok((StatusCode::CREATED, location, answer).into_response())
}

fn plan(
    request: &StackRequest,
    template: Template,
    name: String,
    token: &Token,
    now: OffsetDateTime,
) -> Result<Stack, Error> {
    let given = request.given()?;
    let parameters = template.resolve(&given)?;
    Ok(Stack {
        id: Uuid::new_v4().to_string(),
        name,
        project_id: token.scope.project().unwrap_or_default().to_owned(),
        owner_id: token.user_id.clone(),
        action: StackAction::Create,
        progress: Progress::InProgress,
        reason: String::new(),
        given,
        parameters,
        timeout_mins: request.timeout_mins()?,
        disable_rollback: request.disable_rollback.unwrap_or(true),
        masters: Vec::new(),
        slaves: Vec::new(),
        created: now,
        updated: None,
        deleted: None,
        template: Arc::new(template),
        removable_by_address: request.names_members(),
        removed: Vec::new(),
        pending: None,
    })
}

/// A path with a name or an id alone: Heat redirects to the full path, whatever the method.
async fn find(
    State(shared): State<Shared>,
    Path((project, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let world = shared.world();
    caller(&shared, &world, &headers, &project)?;
    let stack = world.heat.find(&project, &name).ok_or(Error::NotFound(name))?;
    let mut location = view::link(stack, &shared.heat_url(&project));
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        location = format!("{location}?{query}");
    }
    Ok((StatusCode::FOUND, [(LOCATION, location)]).into_response())
}

async fn find_resources(
    State(shared): State<Shared>,
    Path((project, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let world = shared.world();
    caller(&shared, &world, &headers, &project)?;
    let stack = world.heat.find(&project, &name).ok_or(Error::NotFound(name))?;
    let link = view::link(stack, &shared.heat_url(&project));
    let location = format!("{link}/resources?{}", query.unwrap_or_default());
    Ok((StatusCode::FOUND, [(LOCATION, location)]).into_response())
}

/// The servers of a stack's nodes, which are in stacks nested in it: nothing without a depth.
async fn resources(
    State(shared): State<Shared>,
    Path((project, name, id)): Path<(String, String, String)>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Error> {
    let world = shared.world();
    caller(&shared, &world, &headers, &project)?;
    let stack = world.heat.find(&project, &id).filter(|stack| stack.id == id && stack.name == name);
    let stack = stack.ok_or(Error::NotFound(name))?;
    let asked = |key: &str| query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let deep = asked("nested_depth").and_then(|depth| depth.parse::<u32>().ok()).unwrap_or_default() >= 2;
    let mut servers = if deep { view::servers(stack) } else { Vec::new() };
    servers.retain(|server| {
        let status = server["resource_status"].as_str().unwrap_or_default();
        asked("status").is_none_or(|wanted| status.ends_with(wanted))
            && asked("type").is_none_or(|wanted| server["resource_type"] == wanted)
    });
    Ok(Json(json!({"resources": servers})))
}

#[derive(Deserialize)]
struct ShowQuery {
    resolve_outputs: Option<String>,
}

async fn show(
    State(shared): State<Shared>,
    Path((project, name, id)): Path<(String, String, String)>,
    Query(query): Query<ShowQuery>,
    headers: HeaderMap,
) -> Result<Json<Value>, Error> {
    let world = shared.world();
    caller(&shared, &world, &headers, &project)?;
    let stack = world.heat.find(&project, &id).filter(|stack| stack.id == id && stack.name == name);
    let stack = stack.ok_or(Error::NotFound(name))?;
    let resolve = query.resolve_outputs.is_none_or(|text| !text.eq_ignore_ascii_case("false"));
    Ok(Json(json!({"stack": view::details(stack, &shared.heat_url(&project), resolve)})))
}

async fn replace(
    State(shared): State<Shared>,
    Path(path): Path<(String, String, String)>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, Error> {
    update(&shared, &path, &headers, &body, Kept::Nothing)
}

async fn patch(
    State(shared): State<Shared>,
    Path(path): Path<(String, String, String)>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, Error> {
    update(&shared, &path, &headers, &body, Kept::Existing)
}

/// What an update leaves as it was when the request does not mention it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Nothing,
    Existing,
}

fn update(
    shared: &Shared,
    (project, name, id): &(String, String, String),
    headers: &HeaderMap,
    body: &str,
    kept: Kept,
) -> Result<Response, Error> {
    let mut world = shared.world();
    caller(shared, &world, headers, project)?;
    let request = StackRequest::parse(body)?;
    let template = request.template()?.map(Arc::new);
    let (now, takes) = (world.clock.now(), world.config.update_time);
    let stack = world.heat.living(project, name, id)?;
    let (template, given) = match (template, kept) {
        (Some(template), Kept::Nothing) => (template, request.given()?),
        (Some(template), Kept::Existing) => (template, request.given_over(&stack.given)?),
        (None, Kept::Existing) => (Arc::clone(&stack.template), request.given_over(&stack.given)?),
        (None, Kept::Nothing) => return Err(Error::BadRequest("No template specified".to_owned())),
    };
    if stack.progress == Progress::InProgress {
        return Err(Error::InProgress { name: name.clone(), action: stack.action.name() });
    }
    let parameters = template.resolve(&given)?;
    if let Some(minutes) = request.timeout_mins()? {
        stack.timeout_mins = Some(minutes);
    }
    stack.removable_by_address |= request.names_members();
    stack.disable_rollback = request.disable_rollback.unwrap_or(stack.disable_rollback);
    (stack.template, stack.given, stack.parameters) = (template, given, parameters);
    stack.updated = Some(now);
    start(&mut world.heat, (project, name, id), StackAction::Update, now, takes)?;
    Ok((StatusCode::ACCEPTED, "202 Accepted\n\nThe request is accepted for processing.\n\n   ")
        .into_response())
}

/// A second delete joins the first; one during a create or an update takes over.
async fn delete(
    State(shared): State<Shared>,
    Path((project, name, id)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Error> {
    let mut world = shared.world();
    caller(&shared, &world, &headers, &project)?;
    let (now, takes) = (world.clock.now(), world.config.delete_time);
    let stack = world.heat.living(&project, &name, &id)?;
    if stack.action != StackAction::Delete || stack.progress != Progress::InProgress {
        start(&mut world.heat, (&project, &name, &id), StackAction::Delete, now, takes)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn start(
    heat: &mut Heat,
    (project, name, id): (&str, &str, &str),
    action: StackAction,
    now: OffsetDateTime,
    takes: std::time::Duration,
) -> Result<(), Error> {
    let pending: Pending = heat.pending(name, action, now, takes);
    heat.living(project, name, id)?.begin(action, pending);
    Ok(())
}

/// The filters of a listing; `id`, `name` and `status` may be repeated.
#[derive(Default)]
struct Listing {
    ids: Vec<String>,
    names: Vec<String>,
    statuses: Vec<String>,
    marker: Option<String>,
    limit: Option<usize>,
    show_deleted: bool,
    everywhere: bool,
}

impl Listing {
    fn parse(query: Vec<(String, String)>) -> Result<Self, Error> {
        let mut listing = Self::default();
        let yes = |value: &str| value.eq_ignore_ascii_case("true") || value == "1";
        for (key, value) in query {
            match key.as_str() {
                "id" => listing.ids.push(value),
                "name" | "stack_name" => listing.names.push(value),
                "status" => listing.statuses.push(value),
                "marker" => listing.marker = Some(value),
                "limit" => {
                    let limit = value.parse().map_err(|_| {
                        Error::BadRequest(format!("Only integer is allowed for limit, not {value}."))
                    })?;
                    listing.limit = Some(limit);
                }
                "show_deleted" => listing.show_deleted = yes(&value),
                "global_tenant" => listing.everywhere = yes(&value),
                _ => {}
            }
        }
        Ok(listing)
    }

    fn wants(&self, stack: &Stack) -> bool {
        let among = |wanted: &[String], value: &str| wanted.is_empty() || wanted.iter().any(|w| w == value);
        (self.show_deleted || !stack.is_deleted())
            && among(&self.ids, &stack.id)
            && among(&self.names, &stack.name)
            && (among(&self.statuses, &stack.status()))
    }
}

async fn list(
    State(shared): State<Shared>,
    Path(project): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Error> {
    let world = shared.world();
    caller(&shared, &world, &headers, &project)?;
    let listing = Listing::parse(query)?;
    // The default policy gives nobody the listing of all projects, the cloud's admin included.
    if listing.everywhere && !world.config.global_listing {
        return Err(Error::Forbidden("You are not authorized to list all projects' stacks.".to_owned()));
    }
    let shown = |stack: &&Stack| listing.everywhere || stack.project_id == project;
    let own = world.heat.stacks.iter().filter(shown);
    // The newest comes first.
    let mut stacks: Vec<&Stack> = own.filter(|stack| listing.wants(stack)).rev().collect();
    if let Some(marker) = &listing.marker {
        let place = stacks.iter().position(|stack| stack.id == *marker);
        let place = place.ok_or_else(|| Error::NotFound(marker.clone()))?;
        stacks.drain(..=place);
    }
    stacks.truncate(listing.limit.unwrap_or(usize::MAX));
    let url = shared.heat_url(&project);
    let stacks: Vec<Value> = stacks.into_iter().map(|stack| view::summary(stack, &url)).collect();
    Ok(Json(json!({"stacks": stacks})))
}
