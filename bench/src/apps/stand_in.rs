//! The Marathons of some bays, all in one process that is not the worker's.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::sleep;
use uuid::Uuid;

use super::Way;
use crate::database::{APP, MANIFEST};
use crate::process::Process;

/// How many requests are on their way at once.
const AT_ONCE: usize = 16;
/// How long the apps may take to run.
const PATIENCE: Duration = Duration::from_secs(60);

/// As many Marathons as there are bays, each with an app that runs. They take their time as real ones do.
#[derive(Debug)]
pub(super) struct StandIn {
    pub(super) way: Way,
    process: Process,
    http: reqwest::Client,
    urls: Vec<String>,
}

impl StandIn {
    pub(super) async fn start(
        program: &Path,
        directory: &Path,
        way: Way,
        bays: usize,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(["serve", "--marathon-speed", "1", "--marathon-release", way.release()]);
        let log = directory.join(format!("{}.log", Uuid::new_v4().simple()));
        let mut process = Process::start(command, &log)?;
        let control = process.logged(control_url).await?;
        let http = reqwest::Client::new();
        let urls = stream::iter(0..bays).map(|bay| begin(&http, &control, bay));
        let urls = urls.buffered(AT_ONCE).try_collect().await?;
        let stand_in = Self { way, process, http, urls };
        stand_in.each(|url| stand_in.deploy(url)).await?;
        stand_in.each(|url| stand_in.await_task(url)).await?;
        Ok(stand_in)
    }

    pub(super) fn bays(&self) -> usize {
        self.urls.len()
    }

    /// Where each bay's Marathon is, as `host:port`.
    pub(super) fn masters(&self) -> Vec<String> {
        self.urls.iter().map(|url| url.trim_start_matches("http://").to_owned()).collect()
    }

    pub(super) fn ports(&self) -> HashSet<u16> {
        self.masters().iter().filter_map(|master| master.rsplit_once(':')?.1.parse().ok()).collect()
    }

    /// When each bay's youngest task began to run, in milliseconds since 1970.
    pub(super) async fn youngest_tasks(&self) -> anyhow::Result<Vec<f64>> {
        self.each(|url| async move {
            let tasks = self.tasks(url).await?;
            let started = tasks.iter().filter_map(|task| task["startedAt"].as_str());
            let youngest = started.max().context("no task runs")?;
            let at = OffsetDateTime::parse(youngest, &Rfc3339)?;
            Ok(as_milliseconds(at))
        })
        .await
    }

    pub(super) async fn end(self) -> anyhow::Result<()> {
        self.process.end().await
    }

    async fn each<'a, Done, T>(&'a self, work: impl Fn(&'a str) -> Done) -> anyhow::Result<Vec<T>>
    where
        Done: Future<Output = anyhow::Result<T>>,
    {
        stream::iter(&self.urls).map(|url| work(url)).buffered(AT_ONCE).try_collect().await
    }

    async fn deploy(&self, url: &str) -> anyhow::Result<()> {
        let manifest: Value = serde_json::from_str(MANIFEST)?;
        self.http.post(format!("{url}/v2/apps")).json(&manifest).send().await?.error_for_status()?;
        Ok(())
    }

    async fn await_task(&self, url: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.tasks(url).await?.iter().all(|task| task["startedAt"].is_null()) {
            ensure!(Instant::now() < deadline, "an app does not run");
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    async fn tasks(&self, url: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.http.get(format!("{url}/v2/apps/{APP}/tasks")).send().await?.error_for_status()?;
        let mut answer: Value = answer.json().await?;
        Ok(serde_json::from_value(answer["tasks"].take())?)
    }
}

/// What its first line says.
fn control_url(line: &str) -> Option<String> {
    let said: Value = serde_json::from_str(line).ok()?;
    said["marathons_url"].as_str().map(str::to_owned)
}

/// Starts one Marathon, and says where.
async fn begin(http: &reqwest::Client, control: &str, bay: usize) -> anyhow::Result<String> {
    let answer = http.post(control).body(json!({"name": format!("bay-{bay}")}).to_string());
    let told: Value = answer.send().await?.error_for_status()?.json().await?;
    Ok(told["urls"][0].as_str().context("where the Marathon is")?.to_owned())
}

/// Since 1970; exact to the microsecond for some centuries.
#[expect(clippy::cast_precision_loss, reason = "a float holds microseconds of this time exactly")]
pub(super) fn as_milliseconds(at: OffsetDateTime) -> f64 {
    (at.unix_timestamp_nanos() / 1000) as f64 / 1000.0
}
