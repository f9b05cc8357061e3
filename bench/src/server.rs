//! The servers that are measured, each on an exchange and a topic of its own, with a client each.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, ExchangeKind};
use mesos_conductor::amqp::settings::Broker;
use mesos_conductor::client::{CallOptions, Client};
use mesos_conductor_proto::codec::Map;
use mesos_conductor_proto::context::RequestContext;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::database::{KEY, PROJECT};
use crate::process::Process;

/// How many requests a server handles at once: the default of the worker and of oslo.messaging.
const AT_ONCE: u16 = 64;
/// How many connections to the database a server has: the worker's default.
pub(crate) const CONNECTIONS: u32 = 10;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the servers' programs are.
#[derive(Debug, Clone, Args)]
pub(crate) struct Programs {
    /// The worker's program
    #[arg(long)]
    worker: PathBuf,
    /// The bare server's program
    #[arg(long)]
    bare: PathBuf,
    /// A Python that has what bench/requirements.txt names
    #[arg(long)]
    pub(crate) python: PathBuf,
    /// The Python server
    #[arg(long, default_value = "bench/server.py")]
    script: PathBuf,
}

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Conductor,
    Bare,
    /// The bare server, with a channel of its own for every message on its way: as the worker publishes.
    BareChannels,
    Python,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Conductor, Self::Bare, Self::BareChannels, Self::Python];
}

/// What every server is started with.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) programs: Programs,
    pub(crate) amqp: String,
    pub(crate) database: String,
    pub(crate) directory: tempfile::TempDir,
}

/// A server that has answered, and the client that asked.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) client: Client,
    /// From the start of the process to its first answer.
    pub(crate) began_in: Duration,
}

impl Server {
    /// Starts one while a first request waits in its queue, so that no polling adds to the time.
    pub(crate) async fn start(site: &Site, kind: Kind) -> anyhow::Result<Self> {
        let (broker, client) = place(&site.amqp).await?;
        let command = match kind {
            Kind::Conductor => site.worker(&broker)?,
            Kind::Bare => site.bare(&broker),
            Kind::BareChannels => {
                let mut command = site.bare(&broker);
                command.arg("--channel-per-message");
                command
            }
            Kind::Python => site.python(&broker),
        };
        let log = site.directory.path().join(format!("{}.log", broker.topic));
        let first = client.call("ping_conductor", Map::new(), options());
        let start = async {
            let began = Instant::now();
            Process::start(command, &log).map(|process| (process, began))
        };
        let (first, started) = tokio::join!(first, start);
        let (process, began) = started?;
        let began_in = began.elapsed();
        first.with_context(|| format!("{kind:?} does not answer:\n{}", process.last_words()))?;
        Ok(Self { process, client, began_in })
    }

    pub(crate) async fn end(self) -> anyhow::Result<()> {
        self.process.end().await?;
        self.client.close().await;
        Ok(())
    }
}

impl Site {
    fn worker(&self, broker: &Broker) -> anyhow::Result<Command> {
        worker(&self.programs.worker, self.directory.path(), &self.amqp, &self.database, broker)
    }

    fn bare(&self, broker: &Broker) -> Command {
        let mut command = Command::new(&self.programs.bare);
        command.args(["--amqp", &self.amqp, "--exchange", &broker.exchange, "--topic", &broker.topic]);
        command.args(["--prefetch", &AT_ONCE.to_string()]);
        command
    }

    fn python(&self, broker: &Broker) -> Command {
        let mut command = Command::new(&self.programs.python);
        command.arg(&self.programs.script);
        command.args(["--amqp", &self.amqp, "--exchange", &broker.exchange, "--topic", &broker.topic]);
        command.args(["--database", &self.database, "--connections", &CONNECTIONS.to_string()]);
        command
    }
}

/// The worker as it is by default, logs included; only the probes' port is any.
pub(crate) fn worker(
    program: &Path,
    directory: &Path,
    amqp: &str,
    database: &str,
    broker: &Broker,
) -> anyhow::Result<Command> {
    let path = directory.join(format!("{}.toml", broker.topic));
    std::fs::write(&path, configuration(amqp, database, broker))?;
    let mut command = Command::new(program);
    command.arg("serve").arg("--config-file").arg(path);
    Ok(command)
}

fn configuration(amqp: &str, database: &str, broker: &Broker) -> String {
    let Broker { exchange, topic, .. } = broker;
    let amqp = amqp.replacen("amqp://", "rabbit://", 1);
    format!(
        r#"
[DEFAULT]
transport_url = "{amqp}"
control_exchange = "{exchange}"
executor_thread_pool_size = {AT_ONCE}
[conductor]
topic = "{topic}"
encryption_key = "{KEY}"
[database]
connection = "{database}"
max_pool_size = {CONNECTIONS}
[oslo_messaging_rabbit]
amqp_auto_delete = true
[keystone_auth]
auth_url = "http://127.0.0.1:5000/v3"
username = "magnum"
password = "none"
project_name = "service"
[telemetry]
health_listen = "127.0.0.1:0"
"#
    )
}

/// An exchange and a topic that nobody else has, and a client there.
pub(crate) async fn place(amqp: &str) -> anyhow::Result<(Broker, Client)> {
    let id = Uuid::new_v4().simple().to_string();
    let mut broker = Broker::from_transport_url(amqp)?;
    broker.exchange = format!("bench-{id}");
    broker.topic = format!("bench-{id}");
    // Nothing is left on the broker when all are gone.
    broker.queues.auto_delete = true;
    declare(amqp, &broker).await?;
    let client = Client::connect(&broker).await?;
    Ok((broker, client))
}

/// The exchange and queue as each of the servers declares them.
async fn declare(amqp: &str, broker: &Broker) -> anyhow::Result<()> {
    let connection = Connection::connect(amqp, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let (exchange, topic) = (broker.exchange.as_str(), broker.topic.as_str());
    let flags = ExchangeDeclareOptions { auto_delete: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(exchange.into(), ExchangeKind::Topic, flags, FieldTable::default()).await?;
    let flags = QueueDeclareOptions { auto_delete: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(topic.into(), flags, FieldTable::default()).await?;
    let flags = QueueBindOptions::default();
    channel.queue_bind(topic.into(), exchange.into(), topic.into(), flags, FieldTable::default()).await?;
    connection.close(200, "OK".into()).await?;
    Ok(())
}

/// A call as a service of OpenStack makes it: with a token, its details and a service catalog in the context.
pub(crate) fn options() -> CallOptions {
    CallOptions { timeout: PATIENCE, context: context(), ..CallOptions::default() }
}

fn context() -> RequestContext {
    RequestContext::default()
        .with("auth_token", "x".repeat(180))
        .with("auth_token_info", json!({"token": token()}))
        .with("auth_url", "http://127.0.0.1:5000/v3")
        .with("project_id", PROJECT)
        .with("project_name", "demo")
        .with("user_id", "05e20000000000000000000000000003")
        .with("user_name", "demo")
        .with("domain_id", "default")
        .with("domain_name", "Default")
        .with("roles", json!(["member", "reader"]))
        .with("is_admin", false)
        .with("all_tenants", false)
        .with("read_only", false)
        .with("show_deleted", false)
        .with("request_id", format!("req-{}", Uuid::new_v4()))
        .with("trust_id", Value::Null)
}

fn token() -> Value {
    let services = ["identity", "orchestration", "compute", "network", "image", "volumev3"];
    let catalog = services.map(|service| {
        let endpoints = ["public", "internal", "admin"].map(|interface| {
            json!({
                "id": Uuid::new_v4().simple().to_string(),
                "interface": interface,
                "region": "RegionOne",
                "region_id": "RegionOne",
                "url": format!("http://127.0.0.1:8000/{service}/v1/{PROJECT}"),
            })
        });
        json!({
            "id": Uuid::new_v4().simple().to_string(),
            "name": service,
            "type": service,
            "endpoints": endpoints,
        })
    });
    json!({
        "methods": ["password"],
        "expires_at": "2099-01-01T00:00:00.000000Z",
        "project": {"id": PROJECT, "name": "demo", "domain": {"id": "default", "name": "Default"}},
        "catalog": catalog,
    })
}
