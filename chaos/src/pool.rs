//! The workers: processes of the built program on one queue and one database.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// How long a worker may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(40);

/// How the workers of a row are started.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) program: PathBuf,
    /// An earlier build, for a pool of two versions.
    pub(crate) old: Option<PathBuf>,
    pub(crate) configuration: String,
    pub(crate) directory: PathBuf,
    pub(crate) guard_off: Option<String>,
    /// Where the workers end themselves.
    pub(crate) point: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Pool {
    recipe: Recipe,
    workers: Vec<Worker>,
    started: usize,
    /// Which of them stops itself at a point.
    sleeper: Option<usize>,
}

#[derive(Debug)]
struct Worker {
    child: Child,
    log: PathBuf,
}

impl Pool {
    pub(crate) async fn start(recipe: Recipe, workers: usize) -> anyhow::Result<Self> {
        std::fs::write(recipe.directory.join("worker.toml"), &recipe.configuration)?;
        let mut pool = Self { recipe, workers: Vec::new(), started: 0, sleeper: None };
        for _ in 0..workers {
            pool.add(false).await?;
        }
        Ok(pool)
    }

    pub(crate) fn len(&self) -> usize {
        self.workers.len()
    }

    /// One more, without waiting until it can work.
    fn spawn(&mut self, old: bool, point: Option<&str>) -> anyhow::Result<()> {
        self.started += 1;
        let log = self.recipe.directory.join(format!("worker-{}.log", self.started));
        let program = match (&self.recipe.old, old) {
            (Some(earlier), true) => earlier,
            _ => &self.recipe.program,
        };
        let mut command = Command::new(program);
        command.arg("serve").arg("--config-file").arg(self.recipe.directory.join("worker.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log)?);
        if let Some(guard) = &self.recipe.guard_off {
            command.env("MESOS_CONDUCTOR_GUARD_OFF", guard);
        }
        if let Some(point) = point.or(self.recipe.point.as_deref()) {
            command.env("MESOS_CONDUCTOR_FAULT", point);
        }
        let child = command.kill_on_drop(true).spawn().context("a worker cannot be started")?;
        self.workers.push(Worker { child, log });
        Ok(())
    }

    /// One more, ready to work.
    pub(crate) async fn add(&mut self, old: bool) -> anyhow::Result<()> {
        self.spawn(old, None)?;
        self.until_ready().await
    }

    /// Until the newest can work. One that takes up an operation at once may pass its point, and stop itself, before
    /// it has told anybody that it can.
    async fn until_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let may_sleep = self.sleeper.is_some_and(|sleeper| sleeper + 1 == self.workers.len());
            let worker = self.workers.last_mut().context("it was just added")?;
            if worker.is_ready().await || (may_sleep && worker.is_asleep()) {
                return Ok(());
            }
            if let Some(status) = worker.child.try_wait()? {
                bail!("a worker ended with {status}:\n{}", worker.last_words());
            }
            if Instant::now() > deadline {
                bail!("a worker does not serve:\n{}", worker.last_words());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// One more, which stops itself, as by `SIGSTOP`, whenever it passes that point.
    pub(crate) async fn add_sleeper(&mut self, point: &str) -> anyhow::Result<usize> {
        self.spawn(false, Some(point))?;
        let sleeper = self.workers.len() - 1;
        self.sleeper = Some(sleeper);
        self.until_ready().await?;
        Ok(sleeper)
    }

    pub(crate) fn sleeper(&self) -> Option<usize> {
        self.sleeper
    }

    pub(crate) async fn kill_sleeper(&mut self) -> anyhow::Result<()> {
        if let Some(sleeper) = self.sleeper.take() {
            self.workers.remove(sleeper).child.kill().await?;
        }
        Ok(())
    }

    /// Whether it has been stopped.
    pub(crate) fn is_asleep(&self, which: usize) -> bool {
        self.workers.get(which).is_some_and(Worker::is_asleep)
    }

    /// Ends the longest-lived one as `kill -9` does.
    pub(crate) async fn kill_oldest(&mut self) -> anyhow::Result<()> {
        if !self.workers.is_empty() {
            self.workers.remove(0).child.kill().await?;
        }
        Ok(())
    }

    /// Ends the longest-lived one in order, and waits until it has left.
    pub(crate) async fn stop_oldest(&mut self) -> anyhow::Result<()> {
        if self.workers.is_empty() {
            return Ok(());
        }
        let mut worker = self.workers.remove(0);
        worker.signal("TERM").await?;
        let ended = tokio::time::timeout(PATIENCE, worker.child.wait()).await;
        let status = ended.with_context(|| format!("a worker does not stop:\n{}", worker.last_words()))??;
        if !status.success() {
            bail!("a worker stopped with {status}:\n{}", worker.last_words());
        }
        Ok(())
    }

    /// `STOP` or `CONT` to one of them.
    pub(crate) async fn signal(&self, which: usize, name: &str) -> anyhow::Result<()> {
        match self.workers.get(which) {
            Some(worker) => worker.signal(name).await,
            None => Ok(()),
        }
    }

    /// Starts anew what has ended by itself. How many had.
    pub(crate) fn replace_ended(&mut self) -> anyhow::Result<u32> {
        let mut ended = 0;
        for mut worker in std::mem::take(&mut self.workers) {
            match worker.child.try_wait()? {
                Some(_) => ended += 1,
                None => self.workers.push(worker),
            }
        }
        for _ in 0..ended {
            self.spawn(false, None)?;
        }
        Ok(ended)
    }

    /// Ends all of them in order.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        while self.len() > 0 {
            self.stop_oldest().await?;
        }
        Ok(())
    }
}

impl Worker {
    async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let Some(pid) = self.child.id() else { return Ok(()) };
        Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().await?;
        Ok(())
    }

    fn is_asleep(&self) -> bool {
        let stat = self.child.id().and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
        // The state comes after the name, which is in parentheses.
        stat.is_some_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
    }

    /// Whether its probe says that it can work.
    async fn is_ready(&self) -> bool {
        let Some(address) = self.address() else { return false };
        let asked = async {
            let mut connection = TcpStream::connect(address).await?;
            connection.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await?;
            let mut answer = String::new();
            connection.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"))
        };
        matches!(tokio::time::timeout(Duration::from_secs(3), asked).await, Ok(Ok(true)))
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

/// Brings a row's database up to date, as its operator would.
pub(crate) async fn migrate(program: &Path, configuration: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.args(["db", "migrate", "--config-file"]).arg(configuration).stdin(Stdio::null());
    let output = command.output().await?;
    if !output.status.success() {
        bail!("the database cannot be migrated: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
