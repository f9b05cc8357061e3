//! What a node says about itself: `/ping`, `/v2/info`, `/v2/leader`.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Call, ok, unknown};
use crate::marathon::cluster::Cluster;
use crate::marathon::error::Error;

pub(super) fn answer(
    cluster: &mut Cluster,
    call: &Call,
    parts: &[&str],
    now: OffsetDateTime,
) -> Result<Response, Error> {
    match (call.method.as_str(), parts) {
        ("GET" | "HEAD", []) => Ok((StatusCode::FOUND, [(LOCATION, "/ui/")]).into_response()),
        ("GET" | "HEAD", ["ping"]) => Ok(ping(call)),
        ("GET", ["v2", "info"]) => ok(info(cluster)),
        ("GET", ["v2", "leader"]) => match cluster.leader {
            Some(leader) => ok(json!({"leader": cluster.node_name(leader)})),
            None => Err(Error::NotFound("There is no leader".to_owned())),
        },
        ("DELETE", ["v2", "leader"]) => {
            cluster.fail_over(now);
            ok(json!({"message": "Leadership abdicated"}))
        }
        ("HEAD", ["v2", "pods"]) if cluster.config.profile.since(1, 4) => Ok(StatusCode::OK.into_response()),
        ("GET", ["v2", "pods"]) if cluster.config.profile.since(1, 4) => ok(json!([])),
        _ => unknown(call),
    }
}

fn ping(call: &Call) -> Response {
    let accepts = |kind: &str| call.accept.contains(kind);
    if call.accept.is_empty() || accepts("text/") || accepts("*/*") {
        ([(CONTENT_TYPE, "text/plain;charset=utf-8")], "pong\n").into_response()
    } else if accepts("json") {
        Json(json!("pong")).into_response()
    } else {
        StatusCode::NO_CONTENT.into_response()
    }
}

fn info(cluster: &Cluster) -> Value {
    let profile = &cluster.config.profile;
    let leader = cluster.leader.unwrap_or_default();
    let node = cluster.nodes.get(leader).map(|node| node.address);
    let mut told = json!({
        "name": "marathon",
        "version": profile.version,
        "elected": true,
        "leader": cluster.node_name(leader),
        "frameworkId": cluster.framework_id,
        "marathon_config": {
            "checkpoint": true,
            "executor": "//cmd",
            "failover_timeout": 604_800,
            "framework_name": "marathon",
            "ha": true,
            "hostname": node.map(|address| address.ip().to_string()),
            "local_port_min": 10_000,
            "local_port_max": 20_000,
            "master": format!("zk://{}:2181/mesos", node.map(|a| a.ip().to_string()).unwrap_or_default()),
            "mesos_leader_ui_url": cluster.masters.first().map(|master| format!("http://{master}/")),
            "mesos_role": null,
            "mesos_user": "root",
            "reconciliation_interval": 600_000,
            "scale_apps_interval": 300_000,
            "task_launch_timeout": 300_000,
        },
        "zookeeper_config": {
            "zk": format!("zk://{}:2181/marathon", node.map(|a| a.ip().to_string()).unwrap_or_default()),
            "zk_max_versions": profile.versions_kept,
            "zk_timeout": 10_000,
        },
        "http_config": {"http_port": node.map(|address| address.port()), "https_port": 8443},
    });
    if profile.since(1, 4) {
        told["buildref"] = json!("unknown");
    } else {
        told["event_subscriber"] = json!({"type": "http_callback", "http_endpoints": null});
    }
    told
}
