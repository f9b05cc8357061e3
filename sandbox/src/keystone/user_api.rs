//! The user calls: the domain admin makes and removes the users of trusts here.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{caller, parse};
use super::{Error, Identity, Scope, Token, User, domain_by};
use crate::known;
use crate::world::Shared;

#[derive(Deserialize)]
struct CreateRequest {
    user: NewUser,
}

#[derive(Deserialize)]
struct NewUser {
    name: String,
    password: Option<String>,
    domain_id: Option<String>,
    enabled: Option<bool>,
}

#[derive(Deserialize)]
struct ChangeRequest {
    user: UserChange,
}

#[derive(Deserialize)]
struct UserChange {
    password: Option<String>,
    enabled: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct Filter {
    name: Option<String>,
    domain_id: Option<String>,
}

/// An admin scoped to a domain rules over that domain's users; one scoped to a project over all of them.
fn require_admin(identity: &Identity, token: &Token, domain_id: &str, action: &str) -> Result<(), Error> {
    let admin = identity.roles_of(token).iter().any(|role| role == "admin");
    let within = match &token.scope {
        Scope::Domain(domain) => domain == domain_id,
        Scope::Project(_) => true,
        Scope::Unscoped | Scope::Trust { .. } => false,
    };
    if admin && within { Ok(()) } else { Err(Error::not_allowed(action)) }
}

fn describe(user: &User, auth_url: &str) -> Value {
    json!({
        "id": user.id,
        "name": user.name,
        "domain_id": user.domain_id,
        "enabled": user.enabled,
        "options": {},
        "password_expires_at": null,
        "links": {"self": format!("{auth_url}/users/{}", user.id)},
    })
}

pub(super) async fn create(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, Error> {
    let mut world = shared.world();
    let token = caller(&world, &headers)?;
    let NewUser { name, password, domain_id, enabled } = parse::<CreateRequest>(&body)?.user;
    let domain_id = domain_id.unwrap_or_else(|| match &token.scope {
        Scope::Domain(domain) => domain.clone(),
        Scope::Unscoped | Scope::Project(_) | Scope::Trust { .. } => known::DEFAULT_DOMAIN.id.to_owned(),
    });
    require_admin(&world.identity, &token, &domain_id, "identity:create_user")?;
    domain_by(Some(&domain_id), None).ok_or_else(|| Error::not_found("domain", &domain_id))?;
    let password = password.unwrap_or_default();
    let user = world.identity.add_user(&name, &domain_id, &password, enabled.unwrap_or(true))?;
    Ok((StatusCode::CREATED, Json(json!({"user": describe(&user, &shared.auth_url())}))).into_response())
}

pub(super) async fn list(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, Error> {
    let world = shared.world();
    let token = caller(&world, &headers)?;
    // Without a filter, a domain-scoped token lists the users of its domain.
    let domain_id = match (&filter.domain_id, &token.scope) {
        (Some(id), _) | (None, Scope::Domain(id)) => Some(id.as_str()),
        (None, Scope::Unscoped | Scope::Project(_) | Scope::Trust { .. }) => None,
    };
    require_admin(&world.identity, &token, domain_id.unwrap_or_default(), "identity:list_users")?;
    let wanted = |user: &&User| {
        filter.name.as_ref().is_none_or(|name| *name == user.name)
            && domain_id.is_none_or(|id| id == user.domain_id)
    };
    let url = shared.auth_url();
    let users: Vec<Value> = world.identity.users().filter(wanted).map(|user| describe(user, &url)).collect();
    let links = json!({"self": format!("{url}/users"), "next": null, "previous": null});
    Ok(Json(json!({"users": users, "links": links})))
}

pub(super) async fn show(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    let world = shared.world();
    let token = caller(&world, &headers)?;
    let user = world.identity.user(&id).ok_or_else(|| Error::not_found("user", &id))?;
    if token.user_id != id {
        require_admin(&world.identity, &token, &user.domain_id, "identity:get_user")?;
    }
    Ok(Json(json!({"user": describe(user, &shared.auth_url())})))
}

pub(super) async fn change(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: String,
) -> Result<Json<Value>, Error> {
    let mut world = shared.world();
    let token = caller(&world, &headers)?;
    let UserChange { password, enabled } = parse::<ChangeRequest>(&body)?.user;
    let domain_id = world.identity.user(&id).ok_or_else(|| Error::not_found("user", &id))?.domain_id.clone();
    require_admin(&world.identity, &token, &domain_id, "identity:update_user")?;
    let user = world.identity.change_user(&id, password, enabled)?;
    Ok(Json(json!({"user": describe(&user, &shared.auth_url())})))
}

pub(super) async fn delete(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<StatusCode, Error> {
    let mut world = shared.world();
    let token = caller(&world, &headers)?;
    let domain_id = world.identity.user(&id).ok_or_else(|| Error::not_found("user", &id))?.domain_id.clone();
    require_admin(&world.identity, &token, &domain_id, "identity:delete_user")?;
    world.identity.remove_user(&id)?;
    Ok(StatusCode::NO_CONTENT)
}
