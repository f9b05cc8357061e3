//! The `OS-TRUST` calls: who may make, see and delete which trust.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{caller, parse};
use super::{Error, Identity, Token, TokenKind, Trust, new_id, project_by_id};
use crate::clock::parse_keystone_time;
use crate::known;
use crate::world::Shared;

#[derive(Deserialize)]
struct CreateRequest {
    trust: NewTrust,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTrust {
    trustor_user_id: String,
    trustee_user_id: String,
    impersonation: bool,
    project_id: Option<String>,
    expires_at: Option<String>,
    remaining_uses: Option<u32>,
    #[serde(default)]
    roles: Vec<RoleReference>,
    #[serde(default)]
    allow_redelegation: bool,
    redelegation_count: Option<u32>,
}

#[derive(Deserialize)]
struct RoleReference {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Filter {
    trustor_user_id: Option<String>,
    trustee_user_id: Option<String>,
}

pub(super) async fn create(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, Error> {
    let mut world = shared.world();
    let now = world.clock.now();
    let token = caller(&world, &headers)?;
    let request: CreateRequest = parse(&body)?;
    let trust = plan(&world.identity, &token, request.trust)?;
    if trust.is_expired(now) {
        return Err(Error::BadRequest("The trust would already have expired.".to_owned()));
    }
    let answer = json!({"trust": trust.details(&shared.auth_url())});
    world.identity.add_trust(trust);
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

fn plan(identity: &Identity, token: &Token, new: NewTrust) -> Result<Trust, Error> {
    if token.scope.kind() == TokenKind::Trust {
        return Err(Error::Forbidden("This trust does not allow redelegation.".to_owned()));
    }
    if token.user_id != new.trustor_user_id {
        return Err(Error::Forbidden("Only the trustor itself can make a trust.".to_owned()));
    }
    if new.remaining_uses == Some(0) || (new.allow_redelegation && new.redelegation_count == Some(0)) {
        return Err(Error::BadRequest("remaining_uses and redelegation_count start at 1.".to_owned()));
    }
    identity.user(&new.trustee_user_id).ok_or_else(|| Error::not_found("user", &new.trustee_user_id))?;
    if let Some(project) = &new.project_id {
        project_by_id(project).ok_or_else(|| Error::not_found("project", project))?;
        if new.roles.is_empty() {
            return Err(Error::Forbidden("At least one role should be specified".to_owned()));
        }
    }
    let project = new.project_id.as_deref().unwrap_or_default();
    let owned = identity.project_roles(&token.user_id, project);
    let roles = new.roles.iter().map(|role| delegated_role(role, &owned)).collect::<Result<_, _>>()?;
    let expires_at = match new.expires_at.as_deref().map(|text| (parse_keystone_time(text), text)) {
        None => None,
        Some((Some(at), _)) => Some(at),
        Some((None, text)) => return Err(Error::BadRequest(format!("'{text}' is not a time."))),
    };
    Ok(Trust {
        id: new_id(),
        trustor_user_id: new.trustor_user_id,
        trustee_user_id: new.trustee_user_id,
        project_id: new.project_id,
        impersonation: new.impersonation,
        roles,
        expires_at,
        remaining_uses: new.remaining_uses,
    })
}

/// The name of a role to delegate. One that the trustor lacks is "not found", as one that does not exist.
fn delegated_role(role: &RoleReference, owned: &[&'static str]) -> Result<String, Error> {
    let known = known::ROLES.into_iter().find(|(id, name)| {
        role.id.as_deref() == Some(id) || (role.id.is_none() && role.name.as_deref() == Some(name))
    });
    match known {
        Some((_, name)) if owned.contains(&name) => Ok(name.to_owned()),
        _ => {
            let asked = role.id.as_deref().or(role.name.as_deref()).unwrap_or_default();
            Err(Error::not_found("role", asked))
        }
    }
}

pub(super) async fn list(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, Error> {
    let world = shared.world();
    let now = world.clock.now();
    let token = caller(&world, &headers)?;
    let Filter { trustor_user_id: trustor, trustee_user_id: trustee } = filter;
    let own = |user: &Option<String>| user.as_ref().is_none_or(|id| *id == token.user_id);
    let unfiltered = trustor.is_none() && trustee.is_none();
    let admin = world.identity.roles_of(&token).iter().any(|role| role == "admin");
    if !admin && (unfiltered || !own(&trustor) || !own(&trustee)) {
        return Err(Error::not_allowed("identity:list_trusts"));
    }
    let wanted = |trust: &&Trust| {
        trustor.as_ref().is_none_or(|id| *id == trust.trustor_user_id)
            && trustee.as_ref().is_none_or(|id| *id == trust.trustee_user_id)
            && !trust.is_expired(now)
    };
    let url = shared.auth_url();
    let trusts: Vec<Value> =
        world.identity.trusts().filter(wanted).map(|trust| trust.summary(&url)).collect();
    let links = json!({"self": format!("{url}/OS-TRUST/trusts"), "next": null, "previous": null});
    Ok(Json(json!({"trusts": trusts, "links": links})))
}

pub(super) async fn show(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    let world = shared.world();
    let token = caller(&world, &headers)?;
    let trust = world.identity.trust(&id, world.clock.now())?;
    if token.user_id != trust.trustor_user_id && token.user_id != trust.trustee_user_id {
        return Err(Error::not_allowed("identity:get_trust"));
    }
    Ok(Json(json!({"trust": trust.details(&shared.auth_url())})))
}

/// The trustor deletes its trust; so does the trust's own token, as it speaks for the trustor.
pub(super) async fn delete(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<StatusCode, Error> {
    let mut world = shared.world();
    let token = caller(&world, &headers)?;
    let trust = world.identity.trust(&id, world.clock.now())?;
    let admin = world.identity.roles_of(&token).iter().any(|role| role == "admin");
    if token.user_id != trust.trustor_user_id && !admin {
        return Err(Error::not_allowed("identity:delete_trust"));
    }
    world.identity.remove_trust(&id);
    Ok(StatusCode::NO_CONTENT)
}
