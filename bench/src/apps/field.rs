//! One worker, its bays with their Marathons, and what is read from it.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use mesos_conductor::client::Client;
use mesos_conductor::telemetry::metrics::FRAMEWORK_REQUESTS;
use mesos_conductor_proto::codec::Map;
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};
use uuid::Uuid;

use super::Way;
use super::stand_in::{StandIn, as_milliseconds};
use crate::database::{APP, Database};
use crate::load::percentile;
use crate::process::{Cpu, Process};
use crate::server::{options, place, worker};

/// How long it may take until every row shows what it should.
const PATIENCE: Duration = Duration::from_secs(120);
/// After the last change: what is still looked at because of it.
const AFTERMATH: Duration = Duration::from_secs(3);

/// Has the database note when an app's row first showed a number of tasks: asking all the time would be a load.
const NOTES: &str = "
    CREATE TABLE shown (bay_uuid TEXT, tasks BIGINT, at FLOAT8, PRIMARY KEY (bay_uuid, tasks));
    CREATE FUNCTION note_shown() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO shown VALUES
            (NEW.bay_uuid, NEW.tasks_running, EXTRACT(EPOCH FROM clock_timestamp())::FLOAT8 * 1000)
            ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$;
    CREATE TRIGGER app_shown AFTER UPDATE ON app FOR EACH ROW
        WHEN (NEW.tasks_running IS DISTINCT FROM OLD.tasks_running) EXECUTE FUNCTION note_shown();
";

/// A worker that watches its bays.
#[derive(Debug)]
pub(super) struct Field {
    stand_in: StandIn,
    database: PgConnection,
    bays: Vec<Uuid>,
    process: Process,
    cpu: Cpu,
    client: Client,
    http: reqwest::Client,
    metrics: String,
    pub(super) watched_in: Duration,
}

/// What the worker took while nothing happened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest {
    /// To the Marathons.
    pub(super) requests_per_minute: f64,
    /// To the Marathons, the most that were seen.
    pub(super) connections: usize,
    pub(super) mebibytes: f64,
    /// In percent of one core.
    pub(super) cpu: f64,
}

/// What the changes took, without what would have been at rest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changed {
    pub(super) requests_each: f64,
    pub(super) cpu_ms_each: f64,
    pub(super) mebibytes: f64,
    /// From the moment at which an app's new task ran until its row showed it.
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bays, {:?}", self.bays(), self.way())
    }
}

impl Field {
    /// Starts a worker and waits until every row shows what its app's Marathon shows.
    pub(super) async fn start(
        program: &Path,
        directory: &Path,
        amqp: &str,
        stand_in: StandIn,
        database: &Database,
    ) -> anyhow::Result<Self> {
        let mut connection = PgConnection::connect(&database.url).await?;
        connection.execute(NOTES).await?;
        let (broker, client) = place(amqp).await?;
        let command = worker(program, directory, amqp, &database.url, &broker)?;
        let began = as_milliseconds(OffsetDateTime::now_utc());
        let mut process = Process::start(command, &directory.join(format!("{}.log", broker.topic)))?;
        let health = process.logged(health_address).await?;
        let mut field = Self {
            stand_in,
            database: connection,
            bays: database.bays.clone(),
            cpu: process.cpu()?,
            process,
            client,
            http: reqwest::Client::new(),
            metrics: format!("http://{health}/metrics"),
            watched_in: Duration::ZERO,
        };
        let shown = field.shown(1).await?;
        let last = shown.values().copied().reduce(f64::max).context("there are bays")?;
        field.watched_in = Duration::from_secs_f64((last - began).max(0.0) / 1000.0);
        Ok(field)
    }

    pub(super) fn bays(&self) -> usize {
        self.stand_in.bays()
    }

    pub(super) fn way(&self) -> Way {
        self.stand_in.way
    }

    pub(super) async fn rest(&self, lasting: Duration) -> anyhow::Result<Rest> {
        let ports = self.stand_in.ports();
        let (requests, used, began) = (self.requests().await?, self.cpu.read()?, Instant::now());
        let mut connections = 0;
        while began.elapsed() < lasting {
            connections = connections.max(self.process.connections(&ports)?);
            sleep(Duration::from_secs(1).min(lasting.saturating_sub(began.elapsed()))).await;
        }
        let took = began.elapsed().as_secs_f64();
        Ok(Rest {
            requests_per_minute: (self.requests().await? - requests) / took * 60.0,
            connections,
            mebibytes: self.process.resident()?,
            cpu: self.cpu.read()?.saturating_sub(used).as_secs_f64() / took * 100.0,
        })
    }

    /// Has every app scaled to two instances, so many in a second, and waits until every row shows both.
    pub(super) async fn change(&mut self, per_second: f64, rest: &Rest) -> anyhow::Result<Changed> {
        let (requests, used, began) = (self.requests().await?, self.cpu.read()?, tokio::time::Instant::now());
        let mut calls = JoinSet::new();
        for (number, bay) in (0_u32..).zip(&self.bays) {
            let due = began + Duration::from_secs_f64(f64::from(number) / per_second);
            let (client, arguments) = (self.client.clone(), scale(*bay));
            calls.spawn(async move {
                sleep_until(due).await;
                client.call("app_scale", arguments, options()).await
            });
        }
        while let Some(call) = calls.join_next().await {
            call??;
        }
        let shown = self.shown(2).await?;
        sleep(AFTERMATH).await;
        let took = began.elapsed().as_secs_f64();
        let requests = self.requests().await? - requests - rest.requests_per_minute * took / 60.0;
        let used = self.cpu.read()?.saturating_sub(used).as_secs_f64() - rest.cpu * took / 100.0;
        let count = f64::from(u32::try_from(self.bays())?);
        let mut late = Vec::new();
        for (bay, ran) in self.bays.iter().zip(self.stand_in.youngest_tasks().await?) {
            let at = shown.get(&bay.to_string()).context("a bay's row was never changed")?;
            late.push(Duration::from_secs_f64((at - ran).max(0.0) / 1000.0));
        }
        late.sort_unstable();
        Ok(Changed {
            requests_each: requests / count,
            cpu_ms_each: used * 1000.0 / count,
            mebibytes: self.process.resident()?,
            p50_ms: percentile(&late, 50),
            p99_ms: percentile(&late, 99),
        })
    }

    pub(super) async fn end(self) -> anyhow::Result<()> {
        self.process.end().await?;
        self.client.close().await;
        self.database.close().await?;
        self.stand_in.end().await
    }

    /// When each bay's row first showed so many running tasks, as soon as all have.
    async fn shown(&mut self, tasks: i64) -> anyhow::Result<HashMap<String, f64>> {
        let deadline = Instant::now() + PATIENCE;
        let all = i64::try_from(self.bays())?;
        loop {
            let count = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM shown WHERE tasks = $1");
            let count = count.bind(tasks).fetch_one(&mut self.database).await?;
            if count == all {
                break;
            }
            let words = || self.process.last_words();
            ensure!(Instant::now() < deadline, "{count} rows of {all} show it; last words:\n{}", words());
            sleep(Duration::from_millis(200)).await;
        }
        let rows = sqlx::query_as::<_, (String, f64)>("SELECT bay_uuid, at FROM shown WHERE tasks = $1");
        Ok(rows.bind(tasks).fetch_all(&mut self.database).await?.into_iter().collect())
    }

    /// How many requests the worker has sent to Marathons.
    async fn requests(&self) -> anyhow::Result<f64> {
        let text = self.http.get(&self.metrics).send().await?.error_for_status()?.text().await?;
        let series = text.lines().filter(|line| {
            line.strip_prefix(FRAMEWORK_REQUESTS).is_some_and(|rest| rest.starts_with([' ', '{']))
        });
        Ok(series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }
}

/// Where the probes are, in the line that says that the worker starts.
fn health_address(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("the worker starts address=")?;
    rest.split(' ').next().map(str::to_owned)
}

fn scale(bay: Uuid) -> Map {
    let arguments = json!({"app_ident": APP, "bay_ident": bay, "instances": 2});
    arguments.as_object().cloned().unwrap_or_default()
}
