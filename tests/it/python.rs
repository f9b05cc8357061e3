//! What unmodified Python peers, and messages that such peers once sent, see of a real worker.

mod calls;
mod failures;
mod notifications;
mod peer;
mod recorded;
mod waiting;
mod wire;

pub(crate) use calls::server_name;
pub(crate) use failures::{assert_magnum, assert_remote};
pub(crate) use peer::{Peer, interpreter};
pub(crate) use wire::Wire;

use mesos_conductor_proto::message::Request;
use serde_json::{Value, json};

use crate::support::worker::Worker;

/// The body of a recorded message: `mitaka_bay_create.request`.
fn recorded(name: &str) -> Vec<u8> {
    let path = format!("{}/proto/tests/recorded/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn recorded_request(name: &str) -> Request {
    Request::decode(Some("application/json"), &recorded(&format!("{name}.request"))).expect("it is a request")
}

/// The arguments that Mitaka's API sent with `bay_create`, for another bay model.
pub(crate) fn mitaka_bay(model: &str) -> Value {
    let mut args = recorded_request("mitaka_bay_create").args;
    args["bay"]["magnum_object.data"]["baymodel_id"] = json!(model);
    Value::Object(args)
}

/// The arguments that Mitaka's API sent to create a bay model.
fn mitaka_model() -> Value {
    Value::Object(recorded_request("mitaka_bay_model_create").args)
}

/// The value of a metric, summed over the series with this label.
async fn counted(worker: &Worker, name: &str, label: &str) -> f64 {
    let text = reqwest::get(format!("http://{}/metrics", worker.health)).await.expect("metrics are served");
    let text = text.text().await.expect("metrics are text");
    text.lines()
        .filter(|line| line.starts_with(name) && line.contains(label))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
