//! `/v2/apps`.

use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::body::{self, Object, Sent};
use super::selector::Selector;
use super::{Call, change, deployed, locate, ok, tasks, unknown};
use crate::clock::marathon_time;
use crate::marathon::cluster::Cluster;
use crate::marathon::error::Error;
use crate::marathon::events::Event;
use crate::marathon::path::PathId;
use crate::marathon::root::Spec;
use crate::marathon::view::{self, Embed};

pub(super) fn answer(
    cluster: &mut Cluster,
    call: &Call,
    rest: &[&str],
    now: OffsetDateTime,
) -> Result<Response, Error> {
    let id = |parts: &[&str]| PathId::parse(&parts.join("/"));
    match (call.method.as_str(), rest) {
        ("GET", []) => list(cluster, call),
        ("POST", []) => create(cluster, call, now),
        ("PUT", []) => put_many(cluster, call, now, false),
        ("PATCH", []) if cluster.config.profile.since(1, 4) => put_many(cluster, call, now, true),
        ("GET", [group @ .., "*"]) => list_group(cluster, call, &id(group)),
        ("POST", [app @ .., "restart"]) => restart(cluster, call, &id(app), now),
        ("GET", [app @ .., "versions"]) => versions(cluster, &id(app)),
        ("GET", [app @ .., "versions", version]) => show_version(cluster, &id(app), version),
        ("GET", [app @ .., "tasks"]) => tasks::list_of_app(cluster, app, &id(app)),
        ("DELETE", [app @ .., "tasks"]) => tasks::kill_of_app(cluster, call, &id(app), now),
        ("DELETE", [app @ .., "tasks", task]) => tasks::kill_one(cluster, call, &id(app), task, now),
        ("GET", app) => show(cluster, call, &id(app)),
        ("PUT", app) => put(cluster, call, &id(app), now),
        ("PATCH", app) if cluster.config.profile.since(1, 4) => patch(cluster, call, &id(app), now),
        ("DELETE", app) if !app.is_empty() => delete(cluster, call, &id(app), now),
        ("PATCH", _) => Ok(StatusCode::METHOD_NOT_ALLOWED.into_response()),
        _ => unknown(call),
    }
}

fn embed(call: &Call) -> Embed {
    Embed::parse(call.values("embed"))
}

fn list(cluster: &Cluster, call: &Call) -> Result<Response, Error> {
    let selector = call.value("label").map(Selector::parse).transpose()?;
    let (id, command) = (call.value("id").map(str::to_lowercase), call.value("cmd").unwrap_or_default());
    let wanted = |spec: &Spec| {
        id.as_ref().is_none_or(|id| spec.id.as_str().contains(id.as_str()))
            && spec.definition.command().contains(command)
            && selector.as_ref().is_none_or(|selector| selector.fits(&spec.definition))
    };
    let apps = cluster.root.apps.values().filter(|spec| wanted(spec));
    ok(json!({"apps": apps.map(|spec| view::app_info(cluster, spec, embed(call))).collect::<Vec<_>>()}))
}

fn list_group(cluster: &Cluster, call: &Call, group: &PathId) -> Result<Response, Error> {
    if !cluster.root.has_group(group) {
        return Err(Error::no_group(group));
    }
    let apps = cluster.root.apps_within(group);
    ok(json!({"*": apps.map(|spec| view::app_info(cluster, spec, embed(call))).collect::<Vec<_>>()}))
}

fn show(cluster: &Cluster, call: &Call, id: &PathId) -> Result<Response, Error> {
    let spec = cluster.root.apps.get(id).ok_or_else(|| Error::no_app(id))?;
    ok(json!({"app": view::app_info(cluster, spec, embed(call).alone())}))
}

fn versions(cluster: &Cluster, id: &PathId) -> Result<Response, Error> {
    let versions = cluster.versions.get(id).ok_or_else(|| Error::no_app(id))?;
    let newest_first = versions.iter().rev().map(|spec| marathon_time(spec.version));
    ok(json!({"versions": newest_first.collect::<Vec<_>>()}))
}

fn version<'a>(cluster: &'a Cluster, id: &PathId, version: &str) -> Result<&'a Spec, Error> {
    let versions = cluster.versions.get(id).ok_or_else(|| Error::no_app(id))?;
    let found = versions.iter().find(|spec| marathon_time(spec.version) == version);
    found
        .map(AsRef::as_ref)
        .ok_or_else(|| Error::NotFound(format!("App '{id}' does not exist in version {version}")))
}

fn show_version(cluster: &Cluster, id: &PathId, text: &str) -> Result<Response, Error> {
    let spec = version(cluster, id, text)?;
    ok(Value::Object(view::app(&cluster.config.profile, spec)))
}

fn tell(
    cluster: &mut Cluster,
    call: &Call,
    id: &PathId,
    root: &crate::marathon::root::Root,
    now: OffsetDateTime,
) {
    let definition = root.apps.get(id).map(|spec| Value::Object(spec.definition.fields().clone()));
    cluster.publish(Event::api_post(&call.remote, &call.path, definition.unwrap_or_default()), now);
}

fn create(cluster: &mut Cluster, call: &Call, now: OffsetDateTime) -> Result<Response, Error> {
    let object = body::object(&call.body)?;
    let id = body::id_of(&object, &PathId::root())?;
    let mut root = cluster.root.next(cluster.new_version(now));
    body::put(cluster, &mut root, &id, &object, Sent::Replaces)?;
    if cluster.root.apps.contains_key(&id) {
        return Err(Error::Exists(format!("An app with id [{id}] already exists.")));
    }
    tell(cluster, call, &id, &root, now);
    let accepted = cluster.submit(root, &id.parent(), call.force(), now)?;
    let shown = cluster.root.apps.get(&id).cloned().ok_or_else(|| Error::no_app(&id))?;
    let body = view::app_info(cluster, &shown, Embed { tasks: true, ..Embed::default() });
    let mut response = deployed(cluster, StatusCode::CREATED, &accepted, body);
    if let Ok(location) = locate(cluster, call, &id).parse() {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// What a `PUT` does: by default it changes what it mentions.
fn sent(cluster: &Cluster, call: &Call) -> Sent {
    if cluster.config.profile.since(1, 4) && !call.flag("partialUpdate", true) {
        Sent::Replaces
    } else {
        Sent::Patches
    }
}

fn put_many(
    cluster: &mut Cluster,
    call: &Call,
    now: OffsetDateTime,
    only_known: bool,
) -> Result<Response, Error> {
    let objects = body::objects(&call.body)?;
    let how = if only_known { Sent::Patches } else { sent(cluster, call) };
    let mut root = cluster.root.next(cluster.new_version(now));
    for object in objects {
        let id = body::id_of(&object, &PathId::root())?;
        if only_known && !root.apps.contains_key(&id) {
            return Err(Error::no_app(&id));
        }
        put_one(cluster, &mut root, &id, &object, how)?;
    }
    let accepted = cluster.submit(root, &PathId::root(), call.force(), now)?;
    change(cluster, &accepted)
}

/// A definition, or only a version: then the app is to be again what it was in that one.
fn put_one(
    cluster: &mut Cluster,
    root: &mut crate::marathon::root::Root,
    id: &PathId,
    object: &Object,
    how: Sent,
) -> Result<(), Error> {
    let given = object.get("version").filter(|version| !version.is_null());
    let Some(text) = given.and_then(Value::as_str).filter(|_| how == Sent::Patches) else {
        return body::put(cluster, root, id, object, how);
    };
    if object.iter().any(|(name, value)| name != "id" && name != "version" && !value.is_null()) {
        let text = "The 'version' field may only be combined with the 'id' field.";
        return Err(Error::Unprocessable(text.to_owned()));
    }
    let definition = version(cluster, id, text)?.definition.clone();
    root.put(id, definition);
    Ok(())
}

fn put(cluster: &mut Cluster, call: &Call, id: &PathId, now: OffsetDateTime) -> Result<Response, Error> {
    let object = body::object(&call.body)?;
    let mut root = cluster.root.next(cluster.new_version(now));
    let how = sent(cluster, call);
    put_one(cluster, &mut root, id, &object, how)?;
    let new = !cluster.root.apps.contains_key(id);
    tell(cluster, call, id, &root, now);
    let accepted = cluster.submit(root, &id.parent(), call.force(), now)?;
    if !new {
        return change(cluster, &accepted);
    }
    let app = cluster.root.apps.get(id).cloned().filter(|_| cluster.config.profile.put_shows_the_app);
    let body = match app {
        Some(spec) => view::app_info(cluster, &spec, Embed::default()),
        None => view::accepted(&accepted),
    };
    let mut response = deployed(cluster, StatusCode::CREATED, &accepted, body);
    if let Ok(location) = locate(cluster, call, id).parse() {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

fn patch(cluster: &mut Cluster, call: &Call, id: &PathId, now: OffsetDateTime) -> Result<Response, Error> {
    let object = body::object(&call.body)?;
    if !cluster.root.apps.contains_key(id) {
        return Err(Error::no_app(id));
    }
    let mut root = cluster.root.next(cluster.new_version(now));
    put_one(cluster, &mut root, id, &object, Sent::Patches)?;
    tell(cluster, call, id, &root, now);
    let accepted = cluster.submit(root, &id.parent(), call.force(), now)?;
    change(cluster, &accepted)
}

fn restart(cluster: &mut Cluster, call: &Call, id: &PathId, now: OffsetDateTime) -> Result<Response, Error> {
    if !cluster.root.apps.contains_key(id) {
        return Err(Error::no_app(id));
    }
    let mut root = cluster.root.next(cluster.new_version(now));
    root.restart(id);
    let accepted = cluster.submit(root, &id.parent(), call.force(), now)?;
    change(cluster, &accepted)
}

/// Here, and only here, `force` is true unless somebody says otherwise.
fn delete(cluster: &mut Cluster, call: &Call, id: &PathId, now: OffsetDateTime) -> Result<Response, Error> {
    let mut root = cluster.root.next(cluster.new_version(now));
    if root.apps.remove(id).is_none() {
        return Err(Error::no_app(id));
    }
    let accepted = cluster.submit(root, &id.parent(), call.flag("force", true), now)?;
    change(cluster, &accepted)
}
