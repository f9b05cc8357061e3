//! A worker process: the built program, its log, and its end.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use tokio::process::{Child, Command};
use uuid::Uuid;

use super::{PATIENCE, World, eventually};

pub(crate) struct Worker {
    child: Child,
    pub(crate) log: PathBuf,
    pub(crate) health: String,
}

impl Worker {
    pub(crate) async fn start(world: &World, more: &str, fault: Option<&str>) -> Self {
        Self::start_with(world, &world.configuration(more), fault).await
    }

    pub(crate) async fn start_with(world: &World, configuration: &str, fault: Option<&str>) -> Self {
        let mut worker = Self::launch(world, configuration, fault);
        worker.health = worker.find_health().await;
        worker.wait_until_ready().await;
        worker
    }

    /// Starts one that may be dead before it is ready.
    pub(crate) fn launch(world: &World, configuration: &str, fault: Option<&str>) -> Self {
        let id = Uuid::new_v4().simple().to_string();
        let config = world.directory.path().join(format!("{id}.toml"));
        let log = world.directory.path().join(format!("{id}.log"));
        std::fs::write(&config, configuration).expect("the configuration is written");
        let stderr = std::fs::File::create(&log).expect("the log is opened");
        let mut command = Command::new(env!("CARGO_BIN_EXE_mesos-conductor"));
        command.arg("serve").arg("--config-file").arg(&config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).kill_on_drop(true);
        if let Some(fault) = fault {
            command.env("MESOS_CONDUCTOR_FAULT", fault);
        }
        let child = command.spawn().expect("the worker starts");
        Self { child, log, health: String::new() }
    }

    /// The address of the probes, from the line that says the worker starts.
    async fn find_health(&mut self) -> String {
        let log = self.log.clone();
        let found = eventually(|| {
            let text = self.log_text();
            async move { log_field(&text, "the worker starts", "address") }
        });
        let found = found.await;
        found.unwrap_or_else(|| {
            panic!("the worker did not start:\n{}", std::fs::read_to_string(log).unwrap_or_default())
        })
    }

    async fn wait_until_ready(&mut self) {
        let url = format!("http://{}/readyz", self.health);
        let http = reqwest::Client::new();
        let ready = eventually(|| async {
            http.get(&url).send().await.ok().filter(|answer| answer.status().is_success()).map(|_| ())
        });
        assert!(ready.await.is_some(), "the worker is not ready:\n{}", self.log_text());
    }

    pub(crate) fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("the worker runs")
    }

    /// Sends a signal by name: `TERM`, `KILL`, `STOP`, `CONT`.
    pub(crate) async fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().await;
        assert!(sent.expect("kill runs").success(), "the signal is sent");
    }

    /// Waits until the process has been stopped, as by `SIGSTOP`.
    pub(crate) async fn paused(&self) {
        let stat = format!("/proc/{}/stat", self.pid());
        let stopped = eventually(|| async {
            let text = std::fs::read_to_string(&stat).expect("the worker is there");
            // The state comes after the name, which is in parentheses.
            text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')).then_some(())
        });
        assert!(stopped.await.is_some(), "the worker was not stopped:\n{}", self.log_text());
    }

    /// The answer of a probe: its status and its body.
    pub(crate) async fn probe(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("http://{}{path}", self.health)).await.expect("the probes answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    /// Waits until the process has ended by itself or by a signal.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => status.expect("the process can be waited for"),
            Err(_) => panic!("the worker still runs:\n{}", self.log_text()),
        }
    }

    pub(crate) async fn kill(mut self) {
        self.signal("KILL").await;
        self.ended().await;
    }

    /// Stops in order.
    pub(crate) async fn stop(mut self) {
        self.signal("TERM").await;
        let status = self.ended().await;
        assert!(status.success(), "the worker stopped with {status}:\n{}", self.log_text());
    }

    /// The value of a metric, summed over its labels; 0 when it was never counted.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = reqwest::get(format!("http://{}/metrics", self.health)).await.expect("metrics are served");
        let text = text.text().await.expect("metrics are text");
        text.lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Waits for a log line with this text.
    pub(crate) async fn logged(&self, text: &str) -> bool {
        eventually(|| async { self.log_text().contains(text).then_some(()) }).await.is_some()
    }
}

fn log_field(log: &str, message: &str, field: &str) -> Option<String> {
    log.lines().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        (line["message"] == message).then(|| line[field].as_str().map(str::to_owned))?
    })
}

/// Brings the world's database up to date, as its operator would.
pub(crate) async fn migrate(world: &World) {
    let output = command(world, &["db", "migrate"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a command of the program with the workers' configuration.
pub(crate) async fn command(world: &World, arguments: &[&str]) -> std::process::Output {
    let config = world.directory.path().join(format!("{}.toml", Uuid::new_v4().simple()));
    std::fs::write(&config, world.configuration("")).expect("the configuration is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mesos-conductor"));
    command.args(arguments).arg("--config-file").arg(&config).stdin(Stdio::null());
    command.output().await.expect("the program runs")
}
