//! What bays with apps take: a worker for each number of bays, once where every bay's Marathon has a stream of
//! events and once where none has, so that the worker polls. Each bay has a Marathon of its own, which runs one app.
//!
//! First nothing happens, then every app is scaled once.

mod field;
mod report;
mod stand_in;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures_util::future::try_join_all;

use crate::database::Database;
use crate::machine::Machine;
use crate::report::write;
use crate::say;
use field::{Changed, Field, Rest};
use report::Report;
use stand_in::StandIn;

/// What a run is.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The worker's program
    #[arg(long)]
    worker: PathBuf,
    /// The sandbox's program
    #[arg(long)]
    sandbox: PathBuf,
    #[arg(long, env = "CONDUCTOR_TEST_AMQP_URL")]
    amqp: String,
    #[arg(long, env = "CONDUCTOR_TEST_POSTGRES_URL")]
    postgres: String,
    /// How many bays there are, one number for each run
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000")]
    bays: Vec<usize>,
    /// How long nothing happens; a stream's bay is looked at once a minute
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// How many apps are scaled in a second
    #[arg(long, default_value_t = 20.0)]
    changes: f64,
    /// The document whose part `apps` is written
    #[arg(long)]
    document: Option<PathBuf>,
}

/// How the worker learns that something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Stream,
    Polling,
}

impl Way {
    const ALL: [Self; 2] = [Self::Stream, Self::Polling];

    /// A release that has streams, and one that had none yet.
    fn release(self) -> &'static str {
        match self {
            Self::Stream => "1.11",
            Self::Polling => "0.8",
        }
    }
}

/// Everything that was seen of one worker.
#[derive(Debug)]
pub(crate) struct Seen {
    bays: usize,
    way: Way,
    /// From the start of the process until every app's row showed what its Marathon shows.
    watched_in: Duration,
    rest: Rest,
    changed: Changed,
}

pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let machine = Machine::look()?;
        say(&format!("load average at the start: {}", machine.load));
        let directory = tempfile::tempdir()?;
        let wanted = Way::ALL.iter().flat_map(|way| options.bays.iter().map(|bays| (*way, *bays)));
        let start = |(way, bays)| StandIn::start(&options.sandbox, directory.path(), way, bays);
        let stand_ins = try_join_all(wanted.map(start)).await?;
        say("every app runs");
        let mut databases = Vec::new();
        let seen = async {
            for stand_in in &stand_ins {
                databases.push(Database::with_apps(&options.postgres, &stand_in.masters()).await?);
            }
            let postgres = match databases.first() {
                Some(database) => database.version().await?,
                None => anyhow::bail!("no number of bays is given"),
            };
            Ok((postgres, measure(&options, directory.path(), stand_ins, &databases).await?))
        };
        // What was measured is told before anything else can go wrong.
        let told = match seen.await {
            Ok((postgres, seen)) => tell(&options, machine, postgres, seen),
            Err(error) => Err(error),
        };
        for database in databases {
            database.remove().await?;
        }
        told
    })
}

fn tell(options: &Options, machine: Machine, postgres: String, seen: Vec<Seen>) -> anyhow::Result<()> {
    let report = Report { machine, postgres, seen, seconds: options.seconds, changes: options.changes };
    let text = report.text()?;
    match &options.document {
        None => write!(std::io::stdout(), "{text}")?,
        Some(document) => write(document, "apps", &text)?,
    }
    Ok(())
}

/// They start one after another, rest together, and change one after another: who polls most first, so that it
/// disturbs nobody's changes.
async fn measure(
    options: &Options,
    directory: &std::path::Path,
    stand_ins: Vec<StandIn>,
    databases: &[Database],
) -> anyhow::Result<Vec<Seen>> {
    let mut fields = Vec::new();
    for (stand_in, database) in stand_ins.into_iter().zip(databases) {
        let field = Field::start(&options.worker, directory, &options.amqp, stand_in, database).await?;
        say(&format!("{field}: watched in {:.1} s", field.watched_in.as_secs_f64()));
        fields.push(field);
    }
    let lasting = Duration::from_secs_f64(options.seconds);
    say(&format!("nothing happens for {} s", options.seconds));
    let rests = try_join_all(fields.iter().map(|field| field.rest(lasting))).await?;
    let mut seen = Vec::new();
    for (mut field, rest) in fields.into_iter().zip(rests).rev() {
        say(&format!("{field}: every app is scaled"));
        let changed = field.change(options.changes, &rest).await?;
        let (bays, way, watched_in) = (field.bays(), field.way(), field.watched_in);
        field.end().await?;
        seen.push(Seen { bays, way, watched_in, rest, changed });
    }
    seen.reverse();
    Ok(seen)
}
