//! Bays on a real Keystone and Heat: `make e2e`.
//!
//! Every kind of bay is created, scaled up and down and deleted by a real worker over real RPC, and what Keystone and Heat
//! hold is asked of themselves. Only what Nova, Neutron, Octavia and Cinder would do is stood in for
//! (`scripts/openstack/stand_ins`).

mod cases;
mod cloud;
mod conductor;
mod life;
mod mesos;
mod report;
mod row;
mod variants;
mod worker;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use mesos_conductor::amqp::settings::Broker;
use mesos_conductor::client::Client;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::cases::{Case, LEASE};
use crate::cloud::{Cloud, Place};
use crate::conductor::Conductor;
use crate::life::{Seen, Stage};
use crate::row::Rows;
use crate::variants::{VARIANTS, Variant};
use crate::worker::Worker;

/// Any 32 bytes: two workers on one database have to be given a key.
const ENCRYPTION_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

#[derive(Debug, Parser)]
#[command(about = "Builds, scales and deletes a bay of every kind on a real Keystone and Heat")]
struct Options {
    /// The worker's program, a test build
    #[arg(long)]
    worker: PathBuf,
    #[arg(long, env = "CONDUCTOR_E2E_AUTH_URL")]
    auth_url: String,
    #[arg(long, env = "CONDUCTOR_E2E_AMQP_URL")]
    amqp_url: String,
    /// An empty database that several workers may share
    #[arg(long, env = "CONDUCTOR_E2E_DATABASE_URL")]
    database_url: String,
    /// Of every account there
    #[arg(long, env = "CONDUCTOR_E2E_PASSWORD", hide_env_values = true)]
    password: String,
    #[arg(long, env = "CONDUCTOR_E2E_REGION")]
    region: String,
    /// What is to be written about the services
    #[arg(long, env = "CONDUCTOR_E2E_RELEASES")]
    releases: String,
    /// Only bays and cases whose name has one of these texts in it, separated by semicolons
    #[arg(long, value_delimiter = ';')]
    only: Vec<String>,
    /// How many bays live at the same time
    #[arg(long, default_value_t = 3)]
    jobs: usize,
    /// Where the workers' configuration and logs go
    #[arg(long)]
    directory: PathBuf,
    /// The document whose part `e2e` is written
    #[arg(long)]
    document: Option<PathBuf>,
    /// Says what there is and ends
    #[arg(long)]
    list: bool,
}

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
    // Whoever interrupts it wants the workers ended too: dropping the run does that.
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

/// What is to be seen.
#[derive(Debug, Clone, Copy)]
enum Item {
    Life(&'static Variant),
    Case(Case),
}

/// What was seen of it, or what did not hold.
#[derive(Debug)]
enum Outcome {
    Life(anyhow::Result<Seen>),
    Case(anyhow::Result<()>),
}

impl Item {
    fn name(self) -> String {
        match self {
            Self::Life(variant) => variant.name(),
            Self::Case(case) => case.name().to_owned(),
        }
    }

    const fn needs_own_workers(&self) -> bool {
        matches!(self, Self::Case(Case::PausedPastTheLease))
    }

    async fn run(self, stage: &Stage) -> Outcome {
        match self {
            Self::Life(variant) => Outcome::Life(stage.live(variant).await),
            Self::Case(case) => Outcome::Case(case.run(stage).await),
        }
    }
}

impl Outcome {
    fn error(&self) -> Option<&anyhow::Error> {
        match self {
            Self::Life(outcome) => outcome.as_ref().err(),
            Self::Case(outcome) => outcome.as_ref().err(),
        }
    }
}

fn items(only: &[String]) -> Vec<Item> {
    let all = VARIANTS.iter().map(Item::Life).chain(Case::ALL.iter().copied().map(Item::Case));
    all.filter(|item| only.is_empty() || only.iter().any(|text| item.name().contains(text.as_str())))
        .collect()
}

/// Whether everything is as it has to be.
async fn run(options: &Options) -> anyhow::Result<bool> {
    rustls::crypto::ring::default_provider().install_default().ok();
    let items = items(&options.only);
    anyhow::ensure!(!items.is_empty(), "nothing has such a name");
    if options.list {
        for item in &items {
            writeln!(std::io::stdout(), "{}", item.name())?;
        }
        return Ok(true);
    }
    let (stage, configuration) = prepare(options).await?;
    let before = stage.cloud.holdings(&stage.admin, &stage.owner).await?;
    let (seen, worker) = see(options, &stage, &configuration, &items).await?;
    worker.stop().await?;
    let left = stage.cloud.holdings(&stage.admin, &stage.owner).await?.since(&before);
    let (heats_own, left): (Vec<String>, Vec<String>) =
        left.into_iter().partition(|thing| cloud::is_heats_own(thing));
    if !heats_own.is_empty() {
        say(&format!("{} trusts that Heat made for itself are left by Heat", heats_own.len()));
    }
    for thing in &left {
        say(&format!("left behind: {thing}"));
    }
    let failed = seen.iter().filter(|told| told.outcome.error().is_some()).count();
    print(options, &seen)?;
    say(&format!(
        "{} of {} hold; {} left in Keystone and Heat",
        seen.len() - failed,
        seen.len(),
        if left.is_empty() { "nothing is".to_owned() } else { format!("{} things are", left.len()) }
    ));
    Ok(failed == 0 && left.is_empty())
}

/// Lets everybody in, and brings the database up to date.
async fn prepare(options: &Options) -> anyhow::Result<(Stage, PathBuf)> {
    let id = Uuid::new_v4().simple().to_string();
    let mut broker = Broker::from_transport_url(&options.amqp_url)?;
    broker.exchange = format!("magnum-{id}");
    broker.topic = format!("conductor-{id}");
    let place = Place { auth_url: options.auth_url.clone(), password: options.password.clone() };
    let cloud = Cloud::new(place);
    std::fs::create_dir_all(&options.directory)?;
    let configuration = options.directory.join("worker.toml");
    std::fs::write(&configuration, worker_configuration(options, &broker))?;
    worker::migrate(&options.worker, &configuration).await?;
    let stage = Stage {
        admin: cloud.user("admin", "admin").await?,
        owner: cloud.user("demo", "demo").await?,
        colleague: cloud.user("colleague", "demo").await?,
        stranger: cloud.user("stranger", "other").await?,
        rows: Rows::open(&options.database_url).await?,
        conductor: Conductor::new(Client::connect(&broker).await?, options.auth_url.clone()),
        cloud,
    };
    Ok((stage, configuration))
}

fn worker_configuration(options: &Options, broker: &Broker) -> String {
    format!(
        r#"
[DEFAULT]
host = "worker.e2e"
transport_url = "{transport}"
control_exchange = "{exchange}"
[conductor]
topic = "{topic}"
operation_lease = "{lease}s"
encryption_key = "{ENCRYPTION_KEY}"
poll_interval = "1s"
[telemetry]
health_listen = "127.0.0.1:0"
log_format = "json"
log_filter = "info,mesos_conductor=debug"
[database]
connection = "{database}"
[keystone_auth]
auth_url = "{auth_url}"
username = "conductor"
password = "{password}"
project_name = "service"
user_domain_id = "default"
project_domain_id = "default"
[trust]
trustee_domain_name = "bays"
trustee_domain_admin_name = "bays_domain_admin"
trustee_domain_admin_domain_name = "bays"
trustee_domain_admin_password = "{password}"
[certificates]
cert_manager_type = "x509keypair"
[heat_client]
region_name = "{region}"
[oslo_messaging_notifications]
driver = "messagingv2"
"#,
        transport = options.amqp_url.replace("amqp://", "rabbit://"),
        exchange = broker.exchange,
        topic = broker.topic,
        lease = LEASE.as_secs(),
        database = options.database_url,
        auth_url = options.auth_url,
        password = options.password,
        region = options.region,
    )
}

/// Sees everything, and tells of each as it ends. Returns the worker that is left.
async fn see(
    options: &Options,
    stage: &Stage,
    configuration: &Path,
    items: &[Item],
) -> anyhow::Result<(Vec<Told>, Worker)> {
    let start = async |name, point| Worker::start(&options.worker, configuration, name, point).await;
    let (alone, together): (Vec<Item>, Vec<Item>) = items.iter().partition(|item| item.needs_own_workers());
    let (mut told, mut worker) = (Vec::new(), None);
    if let Some(item) = alone.first() {
        let began = Instant::now();
        let sleeper = start("sleeper", Some("bay_create/trust/effect")).await?;
        let outcome =
            cases::paused_past_the_lease(stage, &sleeper, async || start("worker", None).await).await;
        let outcome = Outcome::Case(outcome.map(|other| worker = Some(other)));
        told.push(Told::now(usize::MAX, *item, outcome, began));
        // The others are not to be served by one that stops itself.
        sleeper.kill().await?;
    }
    let worker = match worker {
        Some(worker) => worker,
        None => start("worker", None).await?,
    };
    let places = Arc::new(Semaphore::new(options.jobs.max(1)));
    let mut running = JoinSet::new();
    for (number, item) in together.into_iter().enumerate() {
        let (stage, places) = (stage.clone(), Arc::clone(&places));
        running.spawn(async move {
            let _place = places.acquire_owned().await;
            let began = Instant::now();
            Told::now(number, item, item.run(&stage).await, began)
        });
    }
    while let Some(ended) = running.join_next().await {
        told.push(ended?);
    }
    told.sort_by_key(|told| told.number);
    Ok((told, worker))
}

/// What became of an item.
struct Told {
    /// Its place in the table.
    number: usize,
    item: Item,
    outcome: Outcome,
    took: Duration,
}

impl Told {
    /// Of what has just ended.
    fn now(number: usize, item: Item, outcome: Outcome, began: Instant) -> Self {
        let took = began.elapsed();
        let (name, seconds) = (item.name(), took.as_secs_f64());
        match outcome.error() {
            None => say(&format!("ok     {seconds:6.1} s  {name}")),
            Some(error) => say(&format!("FAILED {seconds:6.1} s  {name}: {error:#}")),
        }
        Self { number, item, outcome, took }
    }
}

/// Prints the tables, and writes them where it is wanted.
fn print(options: &Options, told: &[Told]) -> anyhow::Result<()> {
    let (mut lives, mut cases) = (Vec::new(), Vec::new());
    for Told { item, outcome, took, .. } in told {
        match outcome {
            Outcome::Life(seen) => lives.push(report::life(&item.name(), seen)),
            Outcome::Case(Ok(())) => cases.push(report::case(&item.name(), Some(*took))),
            Outcome::Case(Err(_)) => cases.push(report::case(&item.name(), None)),
        }
    }
    let tables = report::tables(&lives, &cases);
    writeln!(std::io::stdout(), "{tables}")?;
    match &options.document {
        Some(document) => report::write(document, &options.releases, options.jobs, &tables),
        None => Ok(()),
    }
}
