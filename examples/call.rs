//! One message in, one reply out: asks a conductor for the bays of a project.

use mesos_conductor::amqp::settings::Broker;
use mesos_conductor::client::{CallOptions, Client};
use mesos_conductor_proto::context::RequestContext;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("TRANSPORT_URL").unwrap_or("rabbit://guest:guest@127.0.0.1:5672/".to_owned());
    let client = Client::connect(&Broker::from_transport_url(&url)?).await?;
    let context = RequestContext::default().with("project_id", "8a5c6f2e");
    let args = serde_json::from_value(json!({
        "objname": "Bay", "objmethod": "list", "objver": "1.5", "args": [], "kwargs": {},
    }))?;
    let options = CallOptions { context, ..CallOptions::default() };
    let bays = client.call("object_class_action", args, options).await?;
    for bay in bays.as_array().into_iter().flatten().map(|bay| &bay["magnum_object.data"]) {
        show(bay)?;
    }
    client.close().await;
    Ok(())
}

fn show(bay: &Value) -> std::io::Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{} {}", bay["name"], bay["status"])
}
