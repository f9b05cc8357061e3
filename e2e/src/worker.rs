//! Workers: processes of the built program.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::process::{Child, Command};

/// How long one may take to start, to stop or to reach a point.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    log: PathBuf,
}

impl Worker {
    /// Starts one and waits until it can work. At `point` it stops itself, as by `SIGSTOP`.
    pub(crate) async fn start(
        program: &Path,
        configuration: &Path,
        name: &str,
        point: Option<&str>,
    ) -> anyhow::Result<Self> {
        let log = configuration.with_file_name(format!("{name}.log"));
        let mut command = Command::new(program);
        command.arg("serve").arg("--config-file").arg(configuration).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log)?);
        if let Some(point) = point {
            command.env("MESOS_CONDUCTOR_FAULT", format!("pause:{point}"));
        }
        let child = command.spawn().context("the worker cannot be started")?;
        let mut worker = Self { child, log };
        let began = Instant::now();
        while !worker.is_ready().await {
            if let Some(status) = worker.child.try_wait()? {
                bail!("a worker ended with {status}:\n{}", worker.last_words());
            }
            if began.elapsed() > PATIENCE {
                bail!("a worker does not serve:\n{}", worker.last_words());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(worker)
    }

    /// Waits until it has stopped itself.
    pub(crate) async fn paused(&self) -> anyhow::Result<()> {
        let stat = format!("/proc/{}/stat", self.child.id().context("the worker runs")?);
        let began = Instant::now();
        // The state comes after the name, which is in parentheses.
        while !std::fs::read_to_string(&stat)?
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
        {
            if began.elapsed() > PATIENCE {
                bail!("the worker does not reach the point:\n{}", self.last_words());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// `STOP`, `CONT` or `TERM`.
    pub(crate) async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.child.id().context("the worker runs")?;
        Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().await?;
        Ok(())
    }

    /// Ends it, also while it is stopped.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Ends it in order.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.signal("TERM").await?;
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.with_context(|| format!("a worker does not stop:\n{}", self.last_words()))??;
        if !status.success() {
            bail!("a worker stopped with {status}:\n{}", self.last_words());
        }
        Ok(())
    }

    async fn is_ready(&self) -> bool {
        let Some(address) = self.address() else { return false };
        let answer = reqwest::get(format!("http://{address}/readyz")).await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Where its probes are, as it says itself.
    fn address(&self) -> Option<String> {
        let log = std::fs::read_to_string(&self.log).ok()?;
        log.lines().find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            (line["message"] == "the worker starts").then(|| line["address"].as_str().map(str::to_owned))?
        })
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.iter().rev().take(8).rev().copied().collect::<Vec<_>>().join("\n")
    }
}

/// Brings the database up to date, as its operator would.
pub(crate) async fn migrate(program: &Path, configuration: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.args(["db", "migrate", "--config-file"]).arg(configuration).stdin(Stdio::null());
    let output = command.output().await?;
    if !output.status.success() {
        bail!("the database cannot be migrated: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
