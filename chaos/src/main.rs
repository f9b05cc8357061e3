//! Breaks what a pool of workers stands on, and counts what is lost, doubled or left behind: `make chaos`.
//!
//! Each row of the table is a pool of real processes on a RabbitMQ, a PostgreSQL and a sandbox cloud of the run's own.
//! While clients ask it to build, change and delete bays and apps, one fault strikes again and again; then everything is
//! mended, the pool may finish, and what it promised is counted.

mod audit;
mod client;
mod fault;
mod load;
mod pool;
mod proxy;
mod report;
mod row;
mod servers;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::audit::Count;
use crate::fault::{Broker, Cloud, Crowd, Database, Fault, Workers};
use crate::row::{Row, Servers};
use crate::servers::Server;

#[derive(Debug, Parser)]
#[command(about = "Breaks what a pool of workers stands on, and counts what is lost, doubled or left behind")]
struct Options {
    /// The worker's program
    #[arg(long)]
    worker: PathBuf,
    /// An earlier build of it, for the pool of two versions
    #[arg(long)]
    old_worker: Option<PathBuf>,
    /// Where the scripts are that start RabbitMQ and PostgreSQL
    #[arg(long)]
    scripts: PathBuf,
    /// How long faults strike in all, shared by the rows
    #[arg(long, default_value_t = 180.0)]
    seconds: f64,
    /// Only rows whose name has one of these texts in it, separated by commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The rows of the short form only
    #[arg(long)]
    short: bool,
    /// Leaves one guard out: dedupe, fence, outbox, undo or names (a test build only)
    #[arg(long)]
    guard_off: Option<String>,
    /// Leaves out each guard in turn, and fails unless the absence of each is noticed (a test build only)
    #[arg(long, conflicts_with = "guard_off")]
    prove_guards: bool,
    /// How many bays are built at the same time [default: 8, and 16 in the long form]
    #[arg(long)]
    bays: Option<usize>,
    /// How many operations have to end in each row, which lasts up to ten times as long for it [default: 1000 in the
    /// long form, that of an hour and more]
    #[arg(long)]
    operations: Option<usize>,
    /// The document whose part `chaos` is written; with --only these rows of it
    #[arg(long)]
    document: Option<PathBuf>,
    /// Where the logs of a row that broke a promise are kept
    #[arg(long)]
    keep: Option<PathBuf>,
}

const fn row(name: &'static str, fault: Fault, short: bool) -> Row {
    Row { name, fault, short }
}

/// The table.
const ROWS: &[Row] = &[
    row("nothing", Fault::Nothing, false),
    row("each request sent three times", Fault::Copies, true),
    row("pool: kill -9", Fault::Workers(Workers::Killed), true),
    row("pool: rolling restart", Fault::Workers(Workers::RollingRestart), false),
    row("pool: paused past the lease", Fault::Workers(Workers::Paused), true),
    row("pool: two versions", Fault::Workers(Workers::TwoVersions), false),
    row("broker: restarted", Fault::Broker(Broker::Restarted), false),
    row("broker: connections closed", Fault::Broker(Broker::ConnectionsClosed), false),
    row("broker: channels closed", Fault::Broker(Broker::ChannelsClosed), false),
    row("broker: queue deleted", Fault::Broker(Broker::QueueDeleted), false),
    row("broker: memory alarm", Fault::Broker(Broker::MemoryAlarm), false),
    row("broker: cut off", Fault::Broker(Broker::Cut), false),
    row("broker: cut off, workers killed", Fault::Broker(Broker::CutAndKilled), true),
    row("broker: half-open", Fault::Broker(Broker::HalfOpen), false),
    row("broker: node of three killed", Fault::Broker(Broker::NodeKilled), false),
    row("database: restarted", Fault::Database(Database::Restarted), true),
    row("database: cut off", Fault::Database(Database::Cut), false),
    row("database: refuses writes", Fault::Database(Database::RefusesWrites), false),
    row("database: serializable", Fault::Database(Database::Serializable), false),
    row("database: no connection free", Fault::Database(Database::NoConnectionFree), false),
    row("database: commits unanswered", Fault::Database(Database::CommitsUnanswered), true),
    row("database: SQLite's disk full", Fault::Database(Database::DiskFull), true),
    row("cloud: 500", Fault::Cloud(Cloud::Fails), false),
    row("cloud: 503, Retry-After", Fault::Cloud(Cloud::Overloaded), false),
    row("cloud: stacks refused", Fault::Cloud(Cloud::Refuses), false),
    row("cloud: 401, tokens revoked", Fault::Cloud(Cloud::TokensRevoked), false),
    row("cloud: 409", Fault::Cloud(Cloud::Conflicts), false),
    row("cloud: garbage", Fault::Cloud(Cloud::Garbles), false),
    row("cloud: no answer", Fault::Cloud(Cloud::Silent), false),
    row("cloud: answers lost", Fault::Cloud(Cloud::AnswersLost), true),
    row("cloud: deleted behind our back", Fault::Cloud(Cloud::BehindOurBack), true),
    row("flood: 10,000 at once", Fault::Crowd(Crowd::Flood), false),
    row("flood: replies never consumed", Fault::Crowd(Crowd::DeafCaller), false),
    row("flood: one tenant", Fault::Crowd(Crowd::OneTenant), false),
    row("poison: ends its worker each time", Fault::Crowd(Crowd::Poison), false),
];

/// From how many seconds on it is the long form.
const LONG: f64 = 3_600.0;

/// How long nothing breaks after each strike in the long form: what strikes as fast as it can leaves no time for work.
const CALM: Duration = Duration::from_secs(3);

/// How many broken promises of a row are told in words.
const TOLD: usize = 10;

/// How often a row is run to see that its guard is missing.
const TRIES: u32 = 6;

/// The guards that a test build can leave out, each with the row that then has to turn red.
const GUARDS: &[(&str, Fault)] = &[
    ("dedupe", Fault::Copies),
    ("fence", Fault::Workers(Workers::Paused)),
    ("outbox", Fault::Broker(Broker::CutAndKilled)),
    ("undo", Fault::Cloud(Cloud::Refuses)),
    ("names", Fault::Cloud(Cloud::AnswersLost)),
];

fn say(text: &str) {
    writeln!(std::io::stderr(), "{text}").ok();
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("error: {error}"));
            return ExitCode::from(2);
        }
    };
    // Whoever interrupts it wants the workers and the servers ended too: dropping the run does that.
    let interrupted = async {
        let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed?,
            _ = terminated.recv() => {}
        }
        anyhow::bail!("interrupted")
    };
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = run(&options) => outcome,
            interrupted = interrupted => interrupted,
        }
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// Whether everything is as it has to be.
async fn run(options: &Options) -> anyhow::Result<bool> {
    rustls::crypto::ring::default_provider().install_default().ok();
    if let Some(guard) = &options.guard_off {
        let names: Vec<&str> = GUARDS.iter().map(|(name, _)| *name).collect();
        anyhow::ensure!(
            names.contains(&guard.as_str()),
            "there is no guard {guard}; there are {}",
            names.join(", ")
        );
    }
    let directory = tempfile::tempdir()?;
    let servers = start(options, directory.path()).await?;
    if options.prove_guards {
        return prove_guards(options, servers).await;
    }
    table(options, &servers).await
}

async fn start(options: &Options, directory: &Path) -> anyhow::Result<Servers> {
    let rabbitmq = options.scripts.join("private-rabbitmq.sh");
    let postgres = options.scripts.join("private-postgres.sh");
    say("starting a RabbitMQ and a PostgreSQL to break ...");
    let (in_rabbitmq, in_postgres) = (directory.join("broker"), directory.join("database"));
    let (rabbitmq, postgres) = tokio::try_join!(
        Server::start(&rabbitmq, &in_rabbitmq, 28_000),
        Server::start(&postgres, &in_postgres, 28_050)
    )?;
    let long = options.seconds >= LONG;
    Ok(Servers {
        rabbitmq,
        postgres,
        worker: options.worker.clone(),
        old_worker: options.old_worker.clone(),
        guard_off: options.guard_off.clone(),
        directory: directory.to_owned(),
        scripts: options.scripts.clone(),
        bays: options.bays.unwrap_or(if long { 16 } else { 8 }),
        operations: options.operations.unwrap_or(if long { 1_000 } else { 0 }),
        calm: if long { CALM } else { Duration::ZERO },
    })
}

/// The rows that were asked for, and why others are left out.
fn chosen(options: &Options) -> (Vec<&'static Row>, Vec<String>) {
    let guarded = options.guard_off.as_deref().filter(|_| options.only.is_empty());
    let wanted = |row: &&Row| match guarded {
        Some(guard) => GUARDS.contains(&(guard, row.fault)),
        None => {
            (!options.short || row.short)
                && (options.only.is_empty()
                    || options.only.iter().any(|text| row.name.contains(text.as_str())))
        }
    };
    let small_disks = row::small_disks();
    let lacks = |row: &Row| {
        if row.fault == Fault::Workers(Workers::TwoVersions) && options.old_worker.is_none() {
            return Some("no earlier build was given");
        }
        let mounts = row.fault == Fault::Database(Database::DiskFull);
        (mounts && !small_disks).then_some("only root can mount a small disk")
    };
    let (mut rows, mut left_out) = (Vec::new(), Vec::new());
    for row in ROWS.iter().filter(wanted) {
        match lacks(row) {
            None => rows.push(row),
            Some(why) => left_out.push(format!("`{}`, since {why}", row.name)),
        }
    }
    (rows, left_out)
}

/// Whether every promise was kept.
async fn table(options: &Options, servers: &Servers) -> anyhow::Result<bool> {
    let (rows, left_out) = chosen(options);
    anyhow::ensure!(!rows.is_empty(), "no row has such a name");
    // In the long form a row is the same whether or not the others are there.
    let sharing = if options.seconds >= LONG { ROWS.len() } else { rows.len() };
    let each = Duration::from_secs_f64(options.seconds / f64::from(u32::try_from(sharing)?));
    say(&format!("{} rows, {:.1} s of faults each", rows.len(), each.as_secs_f64()));
    writeln!(std::io::stdout(), "{}", report::HEAD)?;
    let (mut lines, mut kept) = (Vec::new(), true);
    for (number, row) in rows.iter().enumerate() {
        progress(&format!("[{}/{}] {} ...", number + 1, rows.len(), row.name));
        let count = counted(options, servers, row, each).await?;
        lines.push(report::line(row.name, &count));
        kept &= count.holds();
    }
    if let Some(document) = &options.document {
        let seen = report::Seen { seconds: each.as_secs_f64(), lines: &lines, left_out: &left_out };
        if options.only.is_empty() { seen.write(document)? } else { seen.replace(document)? }
    }
    for reason in &left_out {
        say(&format!("left out: {reason}"));
    }
    say(if kept { "every promise was kept" } else { "a promise was broken" });
    Ok(kept)
}

/// Whether the absence of each guard is noticed.
async fn prove_guards(options: &Options, mut servers: Servers) -> anyhow::Result<bool> {
    let each = Duration::from_secs_f64(options.seconds / f64::from(u32::try_from(GUARDS.len())?));
    say(&format!("{} guards, {:.1} s of faults without each", GUARDS.len(), each.as_secs_f64()));
    writeln!(std::io::stdout(), "{}", report::HEAD)?;
    let mut noticed = true;
    for (guard, fault) in GUARDS {
        let Some(row) = ROWS.iter().find(|row| row.fault == *fault) else { continue };
        progress(&format!("without {guard}: {} ...", row.name));
        servers.guard_off = Some((*guard).to_owned());
        // What is missing strikes by chance: the hole is there for a moment at a time.
        let mut seen = false;
        for _ in 0..TRIES {
            let count = counted(options, &servers, row, each).await?;
            seen = count.lost + count.duplicates + count.leaked > 0;
            if seen {
                break;
            }
        }
        if !seen {
            say(&format!("nobody notices that the guard {guard} is missing"));
            noticed = false;
        }
    }
    say(if noticed { "each missing guard was noticed" } else { "a missing guard was not noticed" });
    Ok(noticed)
}

/// Runs one row, tells of it, and clears up behind it.
async fn counted(options: &Options, servers: &Servers, row: &Row, each: Duration) -> anyhow::Result<Count> {
    let began = Instant::now();
    let count = row.run(servers, each).await.unwrap_or_else(|error| Count {
        broken: vec![format!("the row could not be run: {error:#}")],
        ..Count::default()
    });
    progress("");
    writeln!(std::io::stdout(), "{}", report::line(row.name, &count))?;
    for broken in count.broken.iter().take(TOLD) {
        say(&format!("  {}: {broken}", row.name));
    }
    if let Some(more) = count.broken.len().checked_sub(TOLD).filter(|more| *more > 0) {
        say(&format!("  ... and {more} more"));
    }
    clean(options, &servers.directory, row, count.holds(), began)?;
    Ok(count)
}

/// Removes what a row wrote; the logs of one that broke a promise are kept where the caller says.
fn clean(options: &Options, directory: &Path, row: &Row, held: bool, began: Instant) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(directory)?.flatten() {
        let name = entry.file_name();
        if name == "broker" || name == "database" {
            continue;
        }
        if let (false, Some(keep)) = (held, &options.keep) {
            let to = keep.join(row.name.replace([' ', ':', ',', '\''], "-"));
            audit::keep(&entry.path(), &to)?;
            say(&format!("  its logs are in {}, {:.1} s", to.display(), began.elapsed().as_secs_f64()));
        }
        std::fs::remove_dir_all(entry.path()).ok();
    }
    Ok(())
}

/// On a terminal one line that is overwritten; elsewhere nothing, since the table itself shows how far it is.
fn progress(text: &str) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        write!(out, "\r\x1b[K{text}").ok();
        out.flush().ok();
    }
}
