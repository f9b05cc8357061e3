//! `/v2/groups`.

use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::Response;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::body::{self, Object, Sent};
use super::{Call, change, deployed, locate, ok, unknown};
use crate::clock::marathon_time;
use crate::marathon::cluster::Cluster;
use crate::marathon::error::Error;
use crate::marathon::path::PathId;
use crate::marathon::plan::Plan;
use crate::marathon::root::Root;
use crate::marathon::validation::{Fault, segment_fits};
use crate::marathon::view;

pub(super) fn answer(
    cluster: &mut Cluster,
    call: &Call,
    rest: &[&str],
    now: OffsetDateTime,
) -> Result<Response, Error> {
    let id = |parts: &[&str]| PathId::parse(&parts.join("/"));
    match (call.method.as_str(), rest) {
        ("GET", [group @ .., "versions"]) => versions(cluster, &id(group)),
        ("GET", [group @ .., "versions", version]) => show_version(cluster, &id(group), version),
        ("GET", [group @ .., "apps"]) => show_apps(cluster, &id(group)),
        ("GET", group) => show(cluster, &cluster.root, &id(group)),
        ("POST", group) => create(cluster, call, &id(group), now),
        ("PUT", group) => update(cluster, call, &id(group), now),
        ("DELETE", group) => delete(cluster, call, &id(group), now),
        _ => unknown(call),
    }
}

fn show(cluster: &Cluster, root: &Root, id: &PathId) -> Result<Response, Error> {
    if !root.has_group(id) {
        return Err(Error::no_group(id));
    }
    ok(view::group(&cluster.config.profile, root, id))
}

fn show_apps(cluster: &Cluster, id: &PathId) -> Result<Response, Error> {
    if !cluster.root.has_group(id) {
        return Err(Error::no_group(id));
    }
    let apps = cluster.root.apps_within(id).map(|spec| view::app(&cluster.config.profile, spec));
    ok(json!({"apps": apps.collect::<Vec<_>>()}))
}

fn versions(cluster: &Cluster, id: &PathId) -> Result<Response, Error> {
    let roots = cluster.roots.iter().rev().filter(|root| root.has_group(id));
    let versions: Vec<String> = roots.map(|root| marathon_time(root.version)).collect();
    if versions.is_empty() { Err(Error::no_group(id)) } else { ok(json!(versions)) }
}

fn root_of_version<'a>(cluster: &'a Cluster, id: &PathId, version: &str) -> Result<&'a Root, Error> {
    let found = cluster.roots.iter().find(|root| marathon_time(root.version) == version);
    let refuse = || Error::NotFound(format!("Group '{id}' does not exist in version {version}"));
    found.filter(|root| root.has_group(id)).ok_or_else(refuse)
}

fn show_version(cluster: &Cluster, id: &PathId, version: &str) -> Result<Response, Error> {
    show(cluster, root_of_version(cluster, id, version)?, id)
}

/// A `POST` names the group in its path or in its body, or in both.
fn create(cluster: &mut Cluster, call: &Call, base: &PathId, now: OffsetDateTime) -> Result<Response, Error> {
    let object = body::object(&call.body)?;
    let id = match object.get("id").and_then(Value::as_str) {
        Some(id) => base.resolve(id),
        None => base.clone(),
    };
    if cluster.root.has_group(&id) {
        return Err(Error::Exists(format!("Group {id} is already created. Use PUT to change this group.")));
    }
    if cluster.root.apps.contains_key(&id) {
        return Err(Error::Exists(format!("An app with the path {id} already exists.")));
    }
    let mut root = cluster.root.next(cluster.new_version(now));
    put(cluster, &mut root, &id, &object)?;
    let accepted = cluster.submit(root, &id, call.force(), now)?;
    let mut response = deployed(cluster, StatusCode::CREATED, &accepted, view::accepted(&accepted));
    if let Ok(location) = locate(cluster, call, &id).parse() {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

fn update(cluster: &mut Cluster, call: &Call, id: &PathId, now: OffsetDateTime) -> Result<Response, Error> {
    let object = body::object(&call.body)?;
    let mut root = cluster.root.next(cluster.new_version(now));
    let existed = root.has_group(id);
    let version = object.get("version").and_then(Value::as_str);
    if let Some(factor) = object.get("scaleBy").and_then(Value::as_f64) {
        if !existed {
            return Err(Error::no_group(id));
        }
        scale(&mut root, id, factor);
    } else if let Some(version) = version.filter(|_| object.keys().all(|key| key == "id" || key == "version"))
    {
        let before = root_of_version(cluster, id, version)?.clone();
        restore(&mut root, id, &before);
    } else {
        put(cluster, &mut root, id, &object)?;
    }
    if call.flag("dryRun", false) {
        let cyclic = || Error::Unprocessable("Dependency graph has cyclic dependencies.".to_owned());
        let plan = Plan::between(&cluster.root, &root).ok_or_else(cyclic)?;
        return ok(json!({"steps": view::steps(&plan, cluster.config.profile.steps)}));
    }
    let accepted = cluster.submit(root, id, call.force(), now)?;
    if existed {
        return change(cluster, &accepted);
    }
    Ok(deployed(cluster, StatusCode::CREATED, &accepted, view::accepted(&accepted)))
}

fn scale(root: &mut Root, id: &PathId, factor: f64) {
    let apps: Vec<_> = root.apps_within(id).cloned().collect();
    for spec in apps {
        let mut definition = spec.definition.clone();
        let instances = u32::try_from(definition.instances()).unwrap_or(u32::MAX);
        let scaled = (f64::from(instances) * factor).ceil().max(0.0);
        #[expect(clippy::cast_possible_truncation, reason = "a count of instances that somebody asked for")]
        let scaled = scaled as i64;
        definition.set_instances(usize::try_from(scaled).unwrap_or(0));
        root.put(&spec.id, definition);
    }
}

/// Makes a group what it was in an earlier root.
fn restore(root: &mut Root, id: &PathId, before: &Root) {
    root.apps.retain(|app, _| !app.is_within(id) || before.apps.contains_key(app));
    root.groups.retain(|group, _| !group.is_within(id) || before.groups.contains_key(group));
    for (group, content) in before.groups.iter().filter(|(group, _)| group.is_within(id)) {
        root.groups.insert(group.clone(), content.clone());
    }
    for spec in before.apps_within(id) {
        root.put(&spec.id, spec.definition.clone());
    }
}

/// Puts a group and everything in it. What is mentioned replaces what is there: an app that is missing from
/// `apps` goes, a group that is missing from `groups` too.
fn put(cluster: &mut Cluster, root: &mut Root, id: &PathId, object: &Object) -> Result<(), Error> {
    if !id.segments().all(segment_fits) {
        return Err(Error::Invalid(vec![Fault::new(
            "/id",
            "must fully match the pattern of a path segment",
        )]));
    }
    if root.apps.contains_key(id) {
        let text = "Groups and Applications may not have the same identifier.";
        return Err(Error::Invalid(vec![Fault::new("/", text)]));
    }
    let dependencies = object.get("dependencies").and_then(Value::as_array);
    let dependencies = dependencies.into_iter().flatten().filter_map(Value::as_str);
    root.add_group(id, dependencies.map(|name| id.parent().resolve(name)).collect());
    if let Some(apps) = object.get("apps").filter(|apps| !apps.is_null()) {
        let apps = children(apps, "/apps")?;
        let ids: Vec<PathId> = apps.iter().map(|app| body::id_of(app, id)).collect::<Result<_, _>>()?;
        root.apps.retain(|app, _| app.parent() != *id || ids.contains(app));
        for (index, (app, app_id)) in apps.iter().zip(&ids).enumerate() {
            let within = |error| at(error, &format!("/apps({index})"));
            body::put(cluster, root, app_id, app, Sent::Replaces).map_err(within)?;
        }
    }
    if let Some(groups) = object.get("groups").filter(|groups| !groups.is_null()) {
        let groups = children(groups, "/groups")?;
        let ids: Vec<PathId> = groups.iter().map(|group| body::id_of(group, id)).collect::<Result<_, _>>()?;
        let gone = root.groups.keys().filter(|group| group.parent() == *id && !ids.contains(group));
        for group in gone.cloned().collect::<Vec<_>>() {
            root.remove_group(&group);
        }
        for (index, (group, group_id)) in groups.iter().zip(&ids).enumerate() {
            let within = |error| at(error, &format!("/groups({index})"));
            put(cluster, root, group_id, group).map_err(within)?;
        }
    }
    Ok(())
}

fn children(value: &Value, path: &str) -> Result<Vec<Object>, Error> {
    let list = value.as_array();
    let list = list.ok_or_else(|| Error::WrongTypes(vec![Fault::new(path, "error.expected.jsarray")]))?;
    list.iter().cloned().map(body::into_object).collect()
}

/// The same refusal, told from further outside.
fn at(error: Error, prefix: &str) -> Error {
    let below = |faults: Vec<Fault>| {
        let path = |path: &str| format!("{prefix}{}", path.trim_end_matches('/'));
        faults.into_iter().map(|fault| Fault { path: path(&fault.path), ..fault }).collect()
    };
    if let Error::Invalid(faults) = error {
        Error::Invalid(below(faults))
    } else if let Error::WrongTypes(faults) = error {
        Error::WrongTypes(below(faults))
    } else {
        error
    }
}

fn delete(cluster: &mut Cluster, call: &Call, id: &PathId, now: OffsetDateTime) -> Result<Response, Error> {
    let mut root = cluster.root.next(cluster.new_version(now));
    if !root.has_group(id) {
        return Err(Error::no_group(id));
    }
    root.remove_group(id);
    let accepted = cluster.submit(root, id, call.force(), now)?;
    change(cluster, &accepted)
}
