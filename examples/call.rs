//! One message in, one reply out: asks a conductor for the bays of a project.

use std::{env, io::Write as _};

use mesos_conductor::amqp::settings::Broker;
use mesos_conductor::client::{CallOptions, Client};
use mesos_conductor_proto::context::RequestContext;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let project = env::args().nth(1).unwrap_or_default();
    // oslo.messaging's names and defaults: exchange `magnum`, topic `magnum-conductor`.
    let broker = Broker::from_transport_url(&env::var("TRANSPORT_URL")?)?;
    writeln!(std::io::stdout(), "{}", bays(&broker, &project).await?)?;
    Ok(())
}

pub(crate) async fn bays(broker: &Broker, project: &str) -> anyhow::Result<Value> {
    let client = Client::connect(broker).await?;
    let context = RequestContext::default().with("project_id", project);
    let options = CallOptions { context, ..CallOptions::default() };
    let args = json!({ "objname": "Bay", "objmethod": "list", "objver": "1.5", "args": [], "kwargs": {} });
    let bays = client.call("object_class_action", serde_json::from_value(args)?, options).await?;
    client.close().await;
    Ok(bays)
}
