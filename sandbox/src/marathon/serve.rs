//! From a request at one of the nodes to its answer: by the leader, through another node, or not at all.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Query;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, EXPIRES, LOCATION, PRAGMA};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use super::api::{self, Call};
use super::cluster::Cluster;
use super::error::{Error, html};
use super::pace;
use super::profile::EventStream;
use super::stream;
use crate::clusters::Place;
use crate::world::Shared;

/// More than any definition, and not more than a test can afford.
const LARGEST_BODY: usize = 32 * 1024 * 1024;

pub(crate) async fn serve(
    shared: &Shared,
    place: Place,
    remote: SocketAddr,
    request: Request<Incoming>,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(Body::new(body), LARGEST_BODY).await else {
        return html(StatusCode::PAYLOAD_TOO_LARGE, "Request is too large");
    };
    let Ok(Query(query)) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri) else {
        return html(StatusCode::BAD_REQUEST, "Bad URI");
    };
    let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy().into_owned();
    let target = parts.uri.path_and_query().map_or_else(|| path.clone(), ToString::to_string);
    let call = Call {
        method: parts.method.to_string(),
        path,
        query,
        body: String::from_utf8_lossy(&body).into_owned(),
        accept: text(&parts.headers, "accept").unwrap_or_default().to_owned(),
        authorization: text(&parts.headers, AUTHORIZATION.as_str()).map(str::to_owned),
        node: place.node,
        remote: remote.ip().to_string(),
    };
    if !await_leader(shared, place).await {
        let world = shared.world();
        let profile = world.clusters.get(place.cluster).map(|cluster| cluster.config.profile);
        return profile.map_or_else(gone, |profile| plain(Error::NoLeader.response(&profile)));
    }
    answer(shared, place, &call, &target)
}

/// What is left to say when the whole cluster went away meanwhile.
fn gone() -> Response {
    html(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Waits a little while for somebody to lead; says whether somebody does.
async fn await_leader(shared: &Shared, place: Place) -> bool {
    let leads = || shared.world().clusters.get(place.cluster).is_none_or(|cluster| cluster.leader.is_some());
    let patience = shared.world().clusters.get(place.cluster).map(|cluster| cluster.pace);
    let patience = patience.map_or(Duration::ZERO, |pace| pace.scaled(pace::LEADER_WAIT));
    let led = async {
        loop {
            let activity = shared.activity.notified();
            if leads() {
                return;
            }
            activity.await;
        }
    };
    tokio::time::timeout(patience, led).await.is_ok()
}

fn answer(shared: &Shared, place: Place, call: &Call, target: &str) -> Response {
    let mut world = shared.world();
    let now = world.clock.now();
    let Some(cluster) = world.clusters.get_mut(place.cluster) else { return gone() };
    let profile = cluster.config.profile;
    let Some(leader) = cluster.leader else { return plain(Error::NoLeader.response(&profile)) };
    let (leads, leader_url) = (leader == place.node, cluster.node_url(leader));
    if !leads && profile.events == EventStream::Redirected && call.path.starts_with("/v2/events") {
        let to = format!("{leader_url}{target}");
        return plain((StatusCode::FOUND, [(LOCATION, to)]).into_response());
    }
    let mut response = if call.is_for_events() && profile.events != EventStream::Absent {
        listen(shared, cluster, call, place, now)
    } else {
        api::answer(cluster, call, now).unwrap_or_else(|refusal| refusal.response(&profile))
    };
    cluster.progress(now);
    let mut add = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    };
    add("x-marathon-leader", &leader_url);
    if !leads {
        add("x-marathon-via", &format!("1.1 {}", cluster.node_name(place.node)));
    }
    if profile.since(1, 7) {
        add("x-frame-options", "DENY");
        add("x-xss-protection", "1; mode=block");
    }
    plain(response)
}

fn listen(
    shared: &Shared,
    cluster: &mut Cluster,
    call: &Call,
    place: Place,
    now: time::OffsetDateTime,
) -> Response {
    let profile = cluster.config.profile;
    let wish = cluster.config.access.check(call.authorization.as_deref(), false).and_then(|()| call.wish());
    match wish {
        Ok(wish) => {
            let heartbeat = cluster.pace.scaled(pace::HEARTBEAT);
            stream::response(cluster.listen(wish, now), heartbeat, shared.clone(), place)
        }
        Err(refusal) => refusal.response(&profile),
    }
}

/// What every answer has.
fn plain(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(EXPIRES, HeaderValue::from_static("0"));
    response
}
