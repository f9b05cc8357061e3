//! Marathon's routes. Ids contain slashes, so that paths are taken apart here and not by a router.

mod apps;
mod body;
mod deployments;
mod groups;
mod node;
mod selector;
mod tasks;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use time::OffsetDateTime;

use super::cluster::Cluster;
use super::deployment::Accepted;
use super::error::Error;
use super::events::Wish;
use super::path::PathId;
use super::view;

/// A request as the leader sees it.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// Decoded; always begins with a slash.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) accept: String,
    pub(crate) authorization: Option<String>,
    /// The node that was asked.
    pub(crate) node: usize,
    pub(crate) remote: String,
}

impl Call {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        // Lists are sent as `name=a&name=b` or as `name[]=a&name[]=b`.
        let named = move |(key, _): &&(String, String)| key.strip_suffix("[]").unwrap_or(key) == name;
        self.query.iter().filter(named).map(|(_, value)| value.as_str())
    }

    fn value<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.values(name).next()
    }

    fn flag(&self, name: &str, default: bool) -> bool {
        self.value(name).map_or(default, |value| value.eq_ignore_ascii_case("true"))
    }

    fn force(&self) -> bool {
        self.flag("force", false)
    }

    pub(crate) fn is_for_events(&self) -> bool {
        self.path.trim_end_matches('/') == "/v2/events"
    }

    /// What it asks of an event stream.
    pub(crate) fn wish(&self) -> Result<Wish, Error> {
        if self.method != "GET" || !self.accept.contains("text/event-stream") {
            return Err(Error::MethodNotAllowed);
        }
        Ok(Wish {
            node: self.node,
            remote: self.remote.clone(),
            types: self.values("event_type").map(str::to_owned).collect(),
            light: self.value("plan-format") == Some("light"),
        })
    }
}

/// Answers as the leader.
pub(crate) fn answer(cluster: &mut Cluster, call: &Call, now: OffsetDateTime) -> Result<Response, Error> {
    let writes = !matches!(call.method.as_str(), "GET" | "HEAD");
    cluster.config.access.check(call.authorization.as_deref(), writes)?;
    let parts: Vec<&str> = call.path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["v2", "apps", rest @ ..] => apps::answer(cluster, call, rest, now),
        ["v2", "groups", rest @ ..] => groups::answer(cluster, call, rest, now),
        ["v2", "tasks", rest @ ..] => tasks::answer(cluster, call, rest, now),
        ["v2", "deployments", rest @ ..] => deployments::answer(cluster, call, rest, now),
        ["v2", "queue", rest @ ..] => deployments::queue(cluster, call, rest, now),
        _ => node::answer(cluster, call, &parts, now),
    }
}

fn unknown<T>(call: &Call) -> Result<T, Error> {
    Err(Error::UnknownRoute(call.path.clone()))
}

fn ok(body: Value) -> Result<Response, Error> {
    Ok(Json(body).into_response())
}

/// The answer to a change, with the deployment's id where that version tells it.
fn deployed(cluster: &Cluster, status: StatusCode, accepted: &Accepted, body: Value) -> Response {
    let mut response = (status, Json(body)).into_response();
    if cluster.config.profile.since(1, 4)
        && let Ok(id) = HeaderValue::from_str(&accepted.id)
    {
        response.headers_mut().insert(HeaderName::from_static("marathon-deployment-id"), id);
    }
    response
}

fn change(cluster: &Cluster, accepted: &Accepted) -> Result<Response, Error> {
    Ok(deployed(cluster, StatusCode::OK, accepted, view::accepted(accepted)))
}

fn locate(cluster: &Cluster, call: &Call, id: &PathId) -> String {
    format!("{}{id}", cluster.node_url(call.node))
}
