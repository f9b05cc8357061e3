//! What the demo runs on: the broker's names, the processes, the temporary directory, and their end.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lapin::options::{
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, ExchangeKind};
use mesos_conductor::amqp::settings::Broker;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;

use super::{eventually, say};

/// How much faster than a real cloud: a create takes eight seconds.
const SPEED: &str = "40";
/// How much faster than a real Marathon: slow enough that an app is seen to come up.
const MARATHON_SPEED: &str = "6";
/// How long a reply queue outlives a client that was interrupted.
const TRANSIENT_TTL: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that has to be taken away again. Filled bit by bit, so that it knows after any failure.
#[derive(Default)]
pub(crate) struct Stage {
    directory: Option<TempDir>,
    sandbox: Option<Child>,
    worker: Option<Child>,
    amqp: Option<String>,
    pub(crate) names: Names,
    /// How the sandbox introduced itself.
    pub(crate) cloud: Value,
}

/// What the worker is called on the broker.
#[derive(Clone, Default)]
pub(crate) struct Names {
    pub(crate) exchange: String,
    pub(crate) topic: String,
    pub(crate) notifications: String,
}

impl Names {
    /// Magnum's own, unless somebody uses them on this broker.
    async fn free_on(url: &str) -> anyhow::Result<Self> {
        let magnums = Self {
            exchange: "magnum".to_owned(),
            topic: "magnum-conductor".to_owned(),
            notifications: "notifications".to_owned(),
        };
        if !magnums.are_taken(url).await? {
            return Ok(magnums);
        }
        let id = format!("{:08x}", Uuid::new_v4().as_fields().0);
        Ok(Self {
            exchange: format!("magnum-demo-{id}"),
            topic: format!("magnum-conductor-demo-{id}"),
            notifications: format!("notifications-demo-{id}"),
        })
    }

    /// The queues that the worker publishes notifications to.
    fn notification_queues(&self) -> [String; 2] {
        ["info", "error"].map(|priority| format!("{}.{priority}", self.notifications))
    }

    async fn are_taken(&self, url: &str) -> anyhow::Result<bool> {
        // Asking for what does not exist ends the channel, so each question has a connection of its own.
        let connection = connect(url).await?;
        let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let (channel, name) = (connection.create_channel().await?, self.exchange.as_str().into());
        let topic = ExchangeKind::Topic;
        let mut taken = channel.exchange_declare(name, topic, passive, FieldTable::default()).await.is_ok();
        connection.close(200, "done".into()).await?;
        let [info, error] = self.notification_queues();
        for queue in [&self.topic, &info, &error] {
            let connection = connect(url).await?;
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let (channel, name) = (connection.create_channel().await?, queue.as_str().into());
            taken |= channel.queue_declare(name, passive, FieldTable::default()).await.is_ok();
            connection.close(200, "done".into()).await?;
        }
        Ok(taken)
    }
}

async fn connect(url: &str) -> anyhow::Result<Connection> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await;
    connection.context("the RabbitMQ in CONDUCTOR_DEMO_AMQP_URL does not answer")
}

impl Stage {
    /// Starts the sandbox and the worker, and waits until the worker is ready.
    pub(crate) async fn set(&mut self) -> anyhow::Result<()> {
        let url = std::env::var("CONDUCTOR_DEMO_AMQP_URL")
            .context("CONDUCTOR_DEMO_AMQP_URL names no RabbitMQ; `make demo` finds or starts one")?;
        self.names = Names::free_on(&url).await?;
        self.amqp = Some(url);
        self.directory = Some(tempfile::tempdir().context("a temporary directory")?);
        self.start_sandbox().await?;
        self.start_worker().await?;
        say(&format!("   cloud   {}", self.cloud["auth_url"].as_str().unwrap_or_default()));
        let Names { exchange, topic, .. } = &self.names;
        say(&format!("   worker  ready on exchange {exchange}, topic {topic}"));
        Ok(())
    }

    async fn start_sandbox(&mut self) -> anyhow::Result<()> {
        let mut command = self.command("mesos-conductor-sandbox")?;
        command.args(["serve", "--speed", SPEED, "--marathon-speed", MARATHON_SPEED]);
        command.stdout(Stdio::piped()).stderr(self.log("sandbox.log")?);
        let sandbox = self
            .sandbox
            .insert(command.process_group(0).kill_on_drop(true).spawn().context("starting the sandbox")?);
        let mut introduction = String::new();
        let stdout = sandbox.stdout.take().context("the sandbox has a standard output")?;
        let read = BufReader::new(stdout);
        let line = tokio::time::timeout(PATIENCE, { read }.read_line(&mut introduction)).await;
        line.context("the sandbox does not say where it is")??;
        self.cloud = serde_json::from_str(&introduction).context("the sandbox's first line is not JSON")?;
        Ok(())
    }

    async fn start_worker(&mut self) -> anyhow::Result<()> {
        let config = self.path("mesos-conductor.conf")?;
        std::fs::write(&config, self.configuration()?)?;
        let mut command = self.command("mesos-conductor")?;
        command.arg("serve").arg("--config-file").arg(&config).stderr(self.log("worker.log")?);
        self.worker =
            Some(command.process_group(0).kill_on_drop(true).spawn().context("starting the worker")?);
        eventually(PATIENCE, async || {
            let started = log_lines(&self.worker_log()?).find(|line| line["message"] == "the worker starts");
            let started = started.context("the worker does not start")?;
            let address = started["address"].as_str().context("the worker's probes have an address")?;
            let ready = reqwest::get(format!("http://{address}/readyz")).await?;
            let (status, why) = (ready.status(), ready.text().await?);
            ensure!(status.is_success(), "the worker is not ready: {why}");
            Ok(())
        })
        .await
    }

    /// The file that the worker is started with; the command line is given the same by the environment.
    fn configuration(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        for (section, name, value) in self.options()? {
            text.push_str(&format!("[{section}]\n{name} = {value}\n"));
        }
        Ok(text)
    }

    fn options(&self) -> anyhow::Result<Vec<(&'static str, &'static str, String)>> {
        let of = |pointer: &str| {
            let text = self.cloud.pointer(pointer).and_then(Value::as_str);
            text.map(str::to_owned).with_context(|| format!("the sandbox did not say {pointer}"))
        };
        let directory = self.path("mesos-conductor.sqlite")?;
        let mut options = self.broker_options()?;
        options.extend([
            ("conductor", "poll_interval", "1s".to_owned()),
            ("telemetry", "health_listen", "127.0.0.1:0".to_owned()),
            ("telemetry", "log_format", "json".to_owned()),
            ("telemetry", "log_filter", "info,mesos_conductor=debug".to_owned()),
            ("database", "connection", format!("sqlite:///{}", directory.display())),
            ("keystone_auth", "auth_url", of("/auth_url")?),
            ("keystone_auth", "username", of("/users/service/name")?),
            ("keystone_auth", "password", of("/users/service/password")?),
            ("keystone_auth", "project_name", of("/projects/service/name")?),
            ("keystone_auth", "user_domain_id", "default".to_owned()),
            ("keystone_auth", "project_domain_id", "default".to_owned()),
            ("trust", "trustee_domain_id", of("/trustee_domain/id")?),
            ("trust", "trustee_domain_admin_id", of("/users/trustee_domain_admin/id")?),
            ("trust", "trustee_domain_admin_password", of("/users/trustee_domain_admin/password")?),
            ("oslo_messaging_notifications", "driver", "messagingv2".to_owned()),
            ("oslo_messaging_notifications", "topics", self.names.notifications.clone()),
        ]);
        Ok(options)
    }

    fn broker_options(&self) -> anyhow::Result<Vec<(&'static str, &'static str, String)>> {
        Ok(vec![
            ("DEFAULT", "transport_url", self.amqp()?.to_owned()),
            ("DEFAULT", "control_exchange", self.names.exchange.clone()),
            ("conductor", "topic", self.names.topic.clone()),
            // Queues and exchanges go with their last user: nothing stays on a broker that is not ours.
            ("oslo_messaging_rabbit", "amqp_auto_delete", "true".to_owned()),
            ("oslo_messaging_rabbit", "rabbit_transient_queues_ttl", TRANSIENT_TTL.as_secs().to_string()),
        ])
    }

    /// Shows a command and runs it, as the demo user of the sandbox.
    pub(crate) async fn cli(&self, arguments: &str) -> anyhow::Result<()> {
        let mut command = self.cli_command(arguments)?;
        // A new model is shown by the list that follows, and of an app that is known by now the progress says enough.
        let quiet = ["baymodel create", "app scale", "app rollback"];
        let quiet = quiet.iter().any(|command| arguments.starts_with(command));
        command.stdout(if quiet { Stdio::null() } else { Stdio::inherit() });
        let status = command.status().await.context("running the command line")?;
        ensure!(status.success(), "`mesos-conductor {arguments}` ended with {status}");
        Ok(())
    }

    /// The same for a command that has to tell a failure.
    pub(crate) async fn cli_fails(&self, arguments: &str) -> anyhow::Result<()> {
        let mut command = self.cli_command(arguments)?;
        let status = command.stdout(Stdio::null()).status().await.context("running the command line")?;
        ensure!(status.code() == Some(1), "`mesos-conductor {arguments}` ended with {status}, not with 1");
        say("(exit status 1, as it should be)");
        Ok(())
    }

    /// The same, and gives what the command printed.
    pub(crate) async fn cli_says(&self, arguments: &str) -> anyhow::Result<String> {
        let mut command = self.cli_command(arguments)?;
        let output = command.stderr(Stdio::inherit()).output().await.context("running the command line")?;
        let (status, text) = (output.status, String::from_utf8(output.stdout)?);
        say(text.trim_end());
        ensure!(status.success(), "`mesos-conductor {arguments}` ended with {status}");
        Ok(text)
    }

    fn cli_command(&self, arguments: &str) -> anyhow::Result<Command> {
        say(&format!("$ mesos-conductor {arguments}"));
        let mut command = self.command("mesos-conductor")?;
        command.args(arguments.split_whitespace()).kill_on_drop(true).envs(self.identity());
        for (section, name, value) in self.broker_options()? {
            command.env(format!("CONDUCTOR__{}__{}", section.to_uppercase(), name.to_uppercase()), value);
        }
        // The manifests are named as a reader finds them.
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        Ok(command)
    }

    fn identity(&self) -> impl Iterator<Item = (&'static str, String)> {
        let of = |pointer: &str| {
            self.cloud.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        [
            ("OS_AUTH_URL", of("/auth_url")),
            ("OS_USERNAME", of("/users/demo/name")),
            ("OS_PASSWORD", of("/users/demo/password")),
            ("OS_PROJECT_NAME", of("/projects/demo/name")),
        ]
        .into_iter()
    }

    /// A program that was built beside this one, without the settings of whoever runs the demo.
    fn command(&self, program: &str) -> anyhow::Result<Command> {
        let example = std::env::current_exe()?;
        let built =
            example.parent().and_then(Path::parent).context("this example lies in target/*/examples")?;
        let path = built.join(program);
        ensure!(path.exists(), "{} is not built; `make demo` builds it", path.display());
        let mut command = Command::new(path);
        for (name, _) in std::env::vars_os() {
            let foreign =
                name.to_str().is_some_and(|name| name.starts_with("CONDUCTOR__") || name.starts_with("OS_"));
            if foreign {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null());
        Ok(command)
    }

    /// The broker's settings for the demo's own clients.
    pub(crate) fn broker(&self) -> anyhow::Result<Broker> {
        let mut broker = Broker::from_transport_url(self.amqp()?)?;
        broker.exchange.clone_from(&self.names.exchange);
        broker.topic.clone_from(&self.names.topic);
        broker.queues.auto_delete = true;
        broker.queues.transient_ttl = Some(TRANSIENT_TTL);
        Ok(broker)
    }

    pub(crate) fn amqp(&self) -> anyhow::Result<&str> {
        self.amqp.as_deref().context("the broker is known")
    }

    pub(crate) fn worker_log(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.path("worker.log")?)?)
    }

    pub(crate) async fn cloud_requests(&self) -> anyhow::Result<Value> {
        self.ask_cloud("requests").await
    }

    pub(crate) async fn ask_cloud(&self, what: &str) -> anyhow::Result<Value> {
        let control = self.cloud["control_url"].as_str().context("the sandbox has a control API")?;
        Ok(reqwest::get(format!("{control}/{what}")).await?.json().await?)
    }

    pub(crate) async fn tell_cloud(&self, what: &str, body: &Value) -> anyhow::Result<()> {
        let control = self.cloud["control_url"].as_str().context("the sandbox has a control API")?;
        let told =
            reqwest::Client::new().post(format!("{control}/{what}")).body(body.to_string()).send().await?;
        let (status, text) = (told.status(), told.text().await?);
        ensure!(status.is_success(), "the sandbox does not take {what}: {status}: {text}");
        Ok(())
    }

    /// The end of the worker's log, for a demo that failed.
    pub(crate) fn last_words(&self) -> String {
        let Ok(log) = self.worker_log() else { return String::new() };
        let lines: Vec<_> = log.lines().rev().take(20).collect();
        let mut text = "\nThe worker's last lines:".to_owned();
        lines.into_iter().rev().for_each(|line| text.push_str(&format!("\n  {line}")));
        text
    }

    /// Ends the processes and takes away what was declared and written.
    pub(crate) async fn clear(mut self) -> anyhow::Result<()> {
        let worker = stop("worker", self.worker.take()).await;
        let sandbox = stop("sandbox", self.sandbox.take()).await;
        let broker = self.clear_broker().await;
        let directory = self.directory.take().map_or(Ok(()), TempDir::close);
        worker.and(sandbox).and(broker)?;
        Ok(directory?)
    }

    async fn clear_broker(&self) -> anyhow::Result<()> {
        let Some(url) = &self.amqp else { return Ok(()) };
        let connection = connect(url).await?;
        let channel = connection.create_channel().await?;
        for queue in self.names.notification_queues() {
            channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await?;
        }
        // It is gone by now, unless the story was interrupted and a queue that waits for its end is still bound.
        let (exchange, options) = (self.names.exchange.as_str().into(), ExchangeDeleteOptions::default());
        channel.exchange_delete(exchange, options).await?;
        connection.close(200, "done".into()).await?;
        eventually(Duration::from_secs(5), async || {
            ensure!(!self.names.are_taken(url).await?, "the exchange or a queue is left on the broker");
            Ok(())
        })
        .await
    }

    fn path(&self, name: &str) -> anyhow::Result<PathBuf> {
        Ok(self.directory.as_ref().context("the temporary directory is made")?.path().join(name))
    }

    fn log(&self, name: &str) -> anyhow::Result<std::fs::File> {
        Ok(std::fs::File::create(self.path(name)?)?)
    }
}

/// Asks a process to end, and ends it when it does not.
async fn stop(name: &str, child: Option<Child>) -> anyhow::Result<()> {
    let Some(mut child) = child else { return Ok(()) };
    let Some(pid) = child.id() else { return Ok(()) };
    Command::new("kill").arg(pid.to_string()).status().await.context("kill cannot be run")?;
    match tokio::time::timeout(Duration::from_secs(15), child.wait()).await {
        Ok(status) => {
            let status = status?;
            ensure!(status.success(), "the {name} ended with {status}");
        }
        Err(_) => {
            child.kill().await?;
            anyhow::bail!("the {name} did not stop when asked to");
        }
    }
    Ok(())
}

/// The lines of a JSON log; a line that is none (the last one may be half written) is passed over.
pub(crate) fn log_lines(log: &str) -> impl Iterator<Item = Value> {
    log.lines().filter_map(|line| serde_json::from_str(line).ok())
}
