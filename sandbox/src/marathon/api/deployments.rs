//! `/v2/deployments` and `/v2/queue`: what is under way, and what it waits for.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use time::OffsetDateTime;

use super::{Call, change, ok, unknown};
use crate::marathon::cluster::Cluster;
use crate::marathon::error::Error;
use crate::marathon::path::PathId;
use crate::marathon::view;

/// There is no route to a single deployment but the one that cancels it.
pub(super) fn answer(
    cluster: &mut Cluster,
    call: &Call,
    rest: &[&str],
    now: OffsetDateTime,
) -> Result<Response, Error> {
    match (call.method.as_str(), rest) {
        ("GET", []) => list(cluster),
        ("DELETE", [id]) if call.force() => {
            if cluster.cancel(id, now) {
                Ok(StatusCode::ACCEPTED.into_response())
            } else {
                Err(unknown_plan(id))
            }
        }
        ("DELETE", [id]) => roll_back(cluster, id, now),
        _ => unknown(call),
    }
}

fn unknown_plan(id: &str) -> Error {
    Error::NotFound(format!("DeploymentPlan {id} does not exist"))
}

fn list(cluster: &Cluster) -> Result<Response, Error> {
    let at_once = cluster.config.profile.listed_at_once;
    let listed = cluster.deployments.iter().filter(|deployment| at_once || deployment.current > 0);
    ok(listed.map(|deployment| view::deployment(cluster, deployment)).collect())
}

/// A new deployment that undoes the other, which it cancels first.
fn roll_back(cluster: &mut Cluster, id: &str, now: OffsetDateTime) -> Result<Response, Error> {
    let found = cluster.deployments.iter().find(|deployment| deployment.id() == id);
    let deployment = found.ok_or_else(|| unknown_plan(id))?;
    let group = deployment.affected.first().map_or_else(PathId::root, PathId::parent);
    let root = deployment.plan.reverted(&cluster.root, cluster.new_version(now));
    let accepted = cluster.submit(root, &group, true, now)?;
    change(cluster, &accepted)
}

pub(super) fn queue(
    cluster: &mut Cluster,
    call: &Call,
    rest: &[&str],
    now: OffsetDateTime,
) -> Result<Response, Error> {
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let with_offers = call.values("embed").any(|value| value == "lastUnusedOffers");
            ok(view::queue(cluster, with_offers, now))
        }
        ("DELETE", [app @ .., "delay"]) => {
            let app = PathId::parse(&app.join("/"));
            if cluster.reset_delay(&app, now) {
                Ok(StatusCode::NO_CONTENT.into_response())
            } else {
                Err(Error::NotFound(format!("Application {app} not found in tasks queue.")))
            }
        }
        _ => unknown(call),
    }
}
