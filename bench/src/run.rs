//! A run: starts, then rounds in which every load meets every server, one right after the other.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use mesos_conductor::client::Client;
use mesos_conductor_proto::codec::Map;
use serde_json::{Value, json};

use crate::database::Database;
use crate::load::{self, Sample};
use crate::machine::{Machine, python_versions};
use crate::report::Report;
use crate::server::{CONNECTIONS, Kind, Programs, Server, Site, options};
use crate::{plot, report, say};

/// What a run is.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    programs: Programs,
    #[arg(long, env = "CONDUCTOR_TEST_AMQP_URL")]
    amqp: String,
    #[arg(long, env = "CONDUCTOR_TEST_POSTGRES_URL")]
    postgres: String,
    /// How often everything is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long one load lasts
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How often each server is started
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// The document whose part `measured` is written
    #[arg(long)]
    document: Option<PathBuf>,
    /// The drawing that is written
    #[arg(long)]
    plot: Option<PathBuf>,
}

/// How long a load lasts in the round that does not count.
const WARM_UP: f64 = 0.4;
/// How many calls are on their way at once.
pub(crate) const IN_FLIGHT: [usize; 3] = [1, 64, 512];

/// Which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Method {
    Ping,
    Read,
}

/// Whom a load meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Server(Kind),
    Driver,
}

impl Method {
    pub(crate) const ALL: [Self; 2] = [Self::Ping, Self::Read];

    pub(crate) fn subjects(self) -> Vec<Subject> {
        match self {
            Self::Ping => Kind::ALL.map(Subject::Server).to_vec(),
            Self::Read => {
                vec![Subject::Server(Kind::Conductor), Subject::Driver, Subject::Server(Kind::Python)]
            }
        }
    }
}

/// One line of the tables.
pub(crate) type Cell = (Method, usize, Subject);

/// Everything that was seen, a value per round.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) samples: BTreeMap<Cell, Vec<Sample>>,
    pub(crate) starts: BTreeMap<Kind, Vec<Duration>>,
    /// MiB after the first answer, per start.
    pub(crate) fresh: BTreeMap<Kind, Vec<f64>>,
    /// MiB after each round.
    pub(crate) loaded: BTreeMap<Kind, Vec<f64>>,
}

pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let machine = Machine::look()?;
        say(&format!("load average at the start: {}", machine.load));
        let database = Database::create(&options.postgres).await?;
        let seen = measure(&options, &database).await;
        let postgres = database.version().await;
        database.remove().await?;
        let report = Report {
            machine,
            python: python_versions(&options.programs.python)?,
            postgres: postgres?,
            seen: seen?,
            rounds: options.rounds,
            seconds: options.seconds,
        };
        let text = report.text()?;
        match &options.document {
            None => write!(std::io::stdout(), "{text}")?,
            Some(document) => report::write(document, "measured", &text)?,
        }
        if let Some(path) = &options.plot {
            std::fs::write(path, plot::draw(&report.seen)?)?;
        }
        Ok(())
    })
}

async fn measure(options: &Options, database: &Database) -> anyhow::Result<Seen> {
    let site = Site {
        programs: options.programs.clone(),
        amqp: options.amqp.clone(),
        database: database.url.clone(),
        directory: tempfile::tempdir()?,
    };
    let mut seen = Seen::default();
    for start in 1..=options.starts {
        say(&format!("start {start} of {}", options.starts));
        for kind in Kind::ALL {
            let server = Server::start(&site, kind).await?;
            seen.starts.entry(kind).or_default().push(server.began_in);
            seen.fresh.entry(kind).or_default().push(server.process.resident()?);
            server.end().await?;
        }
    }
    let mut servers = BTreeMap::new();
    for kind in Kind::ALL {
        servers.insert(kind, Server::start(&site, kind).await?);
    }
    alike(&servers, database).await?;
    let rounds = Rounds { servers: &servers, database, seconds: options.seconds };
    rounds.one(0, WARM_UP, &mut Seen::default()).await.context("while warming up")?;
    for round in 1..=options.rounds {
        say(&format!("round {round} of {}", options.rounds));
        rounds.one(round, rounds.seconds, &mut seen).await?;
    }
    for server in servers.into_values() {
        server.end().await?;
    }
    Ok(seen)
}

/// The worker and the Python server must say the same, or it is not the same work.
async fn alike(servers: &BTreeMap<Kind, Server>, database: &Database) -> anyhow::Result<()> {
    let bay = database.bays.first().context("there are bays")?.to_string();
    let ours = read(&servers[&Kind::Conductor].client, &bay).await?;
    let theirs = read(&servers[&Kind::Python].client, &bay).await?;
    ensure!(ours == theirs, "the servers answer differently:\n{ours}\n{theirs}");
    say(&format!("a bay's answer has {} bytes", ours.to_string().len()));
    Ok(())
}

async fn read(client: &Client, bay: &str) -> anyhow::Result<Value> {
    Ok(client.call("object_class_action", arguments(bay), options()).await?)
}

fn arguments(bay: &str) -> Map {
    let arguments = json!({
        "objname": "Bay", "objmethod": "get_by_uuid", "objver": "1.5", "args": [bay], "kwargs": {},
    });
    arguments.as_object().cloned().unwrap_or_default()
}

struct Rounds<'a> {
    servers: &'a BTreeMap<Kind, Server>,
    database: &'a Database,
    seconds: f64,
}

impl Rounds<'_> {
    /// Every load meets every server once. Who is first changes from round to round.
    async fn one(&self, round: usize, seconds: f64, seen: &mut Seen) -> anyhow::Result<()> {
        for method in Method::ALL {
            for in_flight in IN_FLIGHT {
                let mut subjects = method.subjects();
                let first = round % subjects.len();
                subjects.rotate_left(first);
                for subject in subjects {
                    let cell = (method, in_flight, subject);
                    let sample = self.sample(cell, seconds).await.with_context(|| format!("{cell:?}"))?;
                    seen.samples.entry(cell).or_default().push(sample);
                }
            }
        }
        for (kind, server) in self.servers {
            seen.loaded.entry(*kind).or_default().push(server.process.resident()?);
        }
        Ok(())
    }

    async fn sample(&self, (method, in_flight, subject): Cell, seconds: f64) -> anyhow::Result<Sample> {
        let Subject::Server(kind) = subject else { return self.driver(in_flight, seconds).await };
        let server = &self.servers[&kind];
        let client = server.client.clone();
        let bays = self.database.bays.clone();
        let (lasting, asked) = (Duration::from_secs_f64(seconds), options());
        let call = move |number: usize| {
            let (client, asked, bay) = (client.clone(), asked.clone(), bays[number % bays.len()].to_string());
            async move {
                let (name, arguments) = match method {
                    Method::Ping => ("ping_conductor", Map::new()),
                    Method::Read => ("object_class_action", arguments(&bay)),
                };
                let answer = client.call(name, arguments, asked).await?;
                let right = match method {
                    Method::Ping => answer == Value::Bool(true),
                    Method::Read => answer["magnum_object.data"]["uuid"] == bay.as_str(),
                };
                ensure!(right, "a wrong answer");
                Ok(())
            }
        };
        load::measure(in_flight, lasting, &server.process.cpu()?, call).await
    }

    /// In a process of its own, whose CPU time is nothing else's.
    async fn driver(&self, in_flight: usize, seconds: f64) -> anyhow::Result<Sample> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["driver", "--database", &self.database.url]);
        command.args(["--connections", &CONNECTIONS.to_string(), "--in-flight", &in_flight.to_string()]);
        command.args(["--seconds", &seconds.to_string(), "--bay", &self.database.bays[0].to_string()]);
        command.args(["--model", &self.database.model.to_string()]);
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
