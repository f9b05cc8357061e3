//! One row of the table: a pool of its own, load, a fault again and again, and then the counting.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use mesos_conductor_sandbox::known::{SERVICE_USER, TRUSTEE_DOMAIN_ADMIN};
use mesos_conductor_sandbox::{Config, Sandbox};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::audit::{Audit, Count};
use crate::client::{Client, Place, Queues};
use crate::fault::{Broker, Database, Fault, LEASE};
use crate::load::{self, Stage};
use crate::pool::{Pool, Recipe, migrate};
use crate::proxy::Proxy;
use crate::servers::Server;

/// How many times its share a row may last until enough operations have ended.
const LONGEST: u32 = 10;
/// Into how many pieces a share is cut beyond the first one, to see whether enough have ended.
const PIECES: u32 = 4;
/// How long the pool may take, once all is well again, to answer and to finish.
pub(crate) const SETTLE: Duration = Duration::from_secs(90);
/// Any 32 bytes: the workers of a pool have to be given a key.
const ENCRYPTION_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// The servers of the whole run, and how workers are started.
pub(crate) struct Servers {
    pub(crate) rabbitmq: Server,
    pub(crate) postgres: Server,
    pub(crate) worker: PathBuf,
    pub(crate) old_worker: Option<PathBuf>,
    pub(crate) guard_off: Option<String>,
    pub(crate) directory: PathBuf,
    /// How many bays are built at the same time.
    pub(crate) bays: usize,
    /// How many operations have to end in a row.
    pub(crate) operations: usize,
    /// How long nothing breaks after each strike.
    pub(crate) calm: Duration,
    /// Where the scripts are that start servers.
    pub(crate) scripts: PathBuf,
}

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) fault: Fault,
    /// Part of the short form.
    pub(crate) short: bool,
}

/// What a fault can be done to.
pub(crate) struct Ground<'a> {
    pub(crate) servers: &'a Servers,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) pool: Mutex<Pool>,
    pub(crate) to_broker: Proxy,
    pub(crate) to_database: Proxy,
    pub(crate) place: Place,
    pub(crate) database: String,
    /// Three nodes, where the row needs them.
    cluster: Option<Server>,
    disk: Option<Disk>,
    /// Ids of what vanished behind our back.
    pub(crate) removed: Mutex<HashSet<String>>,
    pub(crate) apps_removed: Mutex<usize>,
    next_node: AtomicU64,
}

/// A small disk that a row's database is on.
struct Disk {
    directory: PathBuf,
}

impl Drop for Disk {
    fn drop(&mut self) {
        std::process::Command::new("umount").arg("--lazy").arg(&self.directory).status().ok();
    }
}

impl Row {
    pub(crate) async fn run(&self, servers: &Servers, lasting: Duration) -> anyhow::Result<Count> {
        let id = Uuid::new_v4().simple().to_string();
        let directory = servers.directory.join(&id);
        std::fs::create_dir_all(&directory)?;
        let (ground, url) = self.prepare(servers, &id, &directory).await?;
        let mut tasks = JoinSet::new();
        let client = Client::open(ground.place.clone(), self.fault.copies(), &mut tasks).await?;
        let model = load::create_model(&client, &ground.sandbox).await?;
        let stage = Arc::new(Stage {
            client: Arc::clone(&client),
            sandbox: Arc::clone(&ground.sandbox),
            over: AtomicBool::new(false),
            patience_ms: AtomicU64::new(u64::from(u32::MAX)),
            began: Instant::now(),
            model,
        });
        let mut actors = JoinSet::new();
        for _ in 0..3 {
            let bay = load::town(&stage).await?;
            actors.spawn(load::apps(Arc::clone(&stage), bay));
        }
        for _ in 0..servers.bays {
            actors.spawn(load::bays(Arc::clone(&stage)));
        }
        let began = Instant::now();
        let came = if let Fault::Crowd(crowd) = self.fault { crowd.come(&ground, &stage).await? } else { 0 };
        let mut struck = came + self.fault.strike(&ground, began + lasting).await?;
        let audit = Audit::new(&url, &ground.sandbox, &client)?;
        while audit.ended().await < servers.operations && began.elapsed() < lasting * LONGEST {
            struck += self.fault.strike(&ground, Instant::now() + lasting / PIECES).await?;
        }
        self.fault.mend(&ground).await?;
        stage.end(SETTLE);
        while actors.join_next().await.is_some() {}
        audit.settle(SETTLE).await;
        let mut count = audit.count(&ground, struck, self.fault).await?;
        if count.operations < servers.operations {
            count.broken.push(format!("too few operations ended, {} were to", servers.operations));
        }
        tasks.shutdown().await;
        let Ground { pool, .. } = ground;
        if let Err(error) = pool.into_inner().stop().await {
            count.broken.push(format!("the pool did not stop in order: {error:#}"));
        }
        Ok(count)
    }

    async fn prepare<'a>(
        &self,
        servers: &'a Servers,
        id: &str,
        directory: &Path,
    ) -> anyhow::Result<(Ground<'a>, String)> {
        let sandbox = Arc::new(Sandbox::start(Config::default()).await?);
        let to_broker = Proxy::before(servers.rabbitmq.address()?).await?;
        let to_database = Proxy::before(servers.postgres.address()?).await?;
        let database = format!("chaos_{id}");
        let cluster = self.cluster(servers, directory).await?;
        let urls: Vec<String> = match &cluster {
            Some(cluster) => cluster.url.split(',').map(str::to_owned).collect(),
            None => vec![servers.rabbitmq.url.clone()],
        };
        let place = Place {
            exchange: format!("magnum-{id}"),
            topic: format!("conductor-{id}"),
            notifications: format!("notifications-{id}"),
            queues: if cluster.is_some() { Queues::Quorum } else { Queues::Durable },
            urls,
        };
        let transport = match &cluster {
            Some(_) => transport_of(&place.urls),
            None => servers.rabbitmq.via(to_broker.port)?.replace("amqp://", "rabbit://"),
        };
        let disk = (self.fault == Fault::Database(Database::DiskFull))
            .then(|| Disk::mount(&directory.join("disk")))
            .transpose()?;
        let (audited, used) = match &disk {
            Some(disk) => {
                let file = disk.directory.join("conductor.sqlite");
                // The worker reads URLs as SQLAlchemy does: an absolute path is the fourth slash.
                (format!("sqlite://{}", file.display()), format!("sqlite:///{}", file.display()))
            }
            None => {
                let create = format!("CREATE DATABASE {database} OWNER conductor");
                servers.postgres.tell(&create).await?;
                let url = servers.postgres.url.clone();
                let (head, _) = url.rsplit_once('/').context("a URL with a database")?;
                let via = servers.postgres.via(to_database.port)?;
                let (via, _) = via.rsplit_once('/').context("a URL with a database")?;
                (format!("{head}/{database}"), format!("{via}/{database}"))
            }
        };
        let recipe = Recipe {
            program: servers.worker.clone(),
            old: servers.old_worker.clone(),
            configuration: configuration(&place, &transport, &used, &sandbox),
            directory: directory.to_owned(),
            guard_off: servers.guard_off.clone(),
            point: self.fault.point(),
        };
        if disk.is_none() {
            std::fs::write(directory.join("worker.toml"), &recipe.configuration)?;
            migrate(&servers.worker, &directory.join("worker.toml")).await?;
        }
        let workers = if disk.is_some() { 1 } else { 3 };
        let pool = Mutex::new(Pool::start(recipe, workers).await?);
        let ground = Ground {
            servers,
            sandbox,
            pool,
            to_broker,
            to_database,
            place,
            database,
            cluster,
            disk,
            removed: Mutex::default(),
            apps_removed: Mutex::default(),
            next_node: AtomicU64::new(0),
        };
        Ok((ground, audited))
    }

    async fn cluster(&self, servers: &Servers, directory: &Path) -> anyhow::Result<Option<Server>> {
        if self.fault != Fault::Broker(Broker::NodeKilled) {
            return Ok(None);
        }
        let script = servers.scripts.join("private-rabbitmq-cluster.sh");
        Server::start(&script, &directory.join("cluster"), 28_100).await.map(Some)
    }
}

/// The transport URL of several nodes.
fn transport_of(urls: &[String]) -> String {
    let hosts: Vec<&str> = urls
        .iter()
        .filter_map(|url| url.strip_prefix("amqp://"))
        .filter_map(|rest| rest.split('/').next())
        .collect();
    format!("rabbit://{}//", hosts.join(","))
}

fn configuration(place: &Place, transport: &str, database: &str, sandbox: &Sandbox) -> String {
    let (service, trustee) = (SERVICE_USER, TRUSTEE_DOMAIN_ADMIN);
    let quorum = place.queues == Queues::Quorum;
    format!(
        r#"
[DEFAULT]
host = "worker.chaos"
transport_url = "{transport}"
control_exchange = "{exchange}"
executor_thread_pool_size = 24
[conductor]
topic = "{topic}"
operation_lease = "{lease}s"
operation_deadline = "20s"
http_connect_timeout = "1s"
http_timeout = "1500ms"
encryption_key = "{ENCRYPTION_KEY}"
poll_interval = "100ms"
drain_timeout = "15s"
[marathon]
bay_credentials = false
poll_interval = "1s"
[telemetry]
health_listen = "127.0.0.1:0"
log_format = "json"
log_filter = "info"
[database]
connection = "{database}"
[oslo_messaging_rabbit]
amqp_durable_queues = true
rabbit_quorum_queue = {quorum}
heartbeat_timeout_threshold = 2
rabbit_retry_interval = "100ms"
kombu_reconnect_delay = "100ms"
[keystone_auth]
auth_url = "{auth_url}"
username = "{service_name}"
password = "{service_password}"
project_name = "service"
user_domain_id = "default"
project_domain_id = "default"
[trust]
trustee_domain_id = "{trustee_domain}"
trustee_domain_admin_id = "{trustee_admin}"
trustee_domain_admin_password = "{trustee_password}"
[certificates]
cert_manager_type = "x509keypair"
[x509]
rsa_key_size = 1024
[oslo_messaging_notifications]
driver = "messagingv2"
topics = "{notifications}"
"#,
        exchange = place.exchange,
        topic = place.topic,
        lease = LEASE.as_secs(),
        notifications = place.notifications,
        auth_url = sandbox.auth_url(),
        service_name = service.name,
        service_password = service.password,
        trustee_domain = trustee.domain.id,
        trustee_admin = trustee.id,
        trustee_password = trustee.password,
    )
}

impl Ground<'_> {
    /// Changes a setting of the database, and ends its sessions, so that all work with it.
    pub(crate) async fn alter(&self, what: &str) -> anyhow::Result<()> {
        let change = format!("ALTER DATABASE {} {what}", self.database);
        self.servers.postgres.tell(&change).await?;
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
            self.database
        );
        self.servers.postgres.tell(&end).await
    }

    /// One node after another dies and comes back.
    pub(crate) async fn kill_a_node(&self) -> anyhow::Result<()> {
        let cluster = self.cluster.as_ref().context("a cluster")?;
        let node = self.next_node.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 3;
        cluster.tell(&format!("kill {node}")).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        cluster.tell(&format!("start {node}")).await?;
        tokio::time::sleep(Duration::from_secs(4)).await;
        Ok(())
    }

    /// Not a byte is free for a while.
    pub(crate) async fn fill_disk(&self) -> anyhow::Result<()> {
        let disk = self.disk.as_ref().context("a small disk")?;
        let filler = disk.directory.join("filler");
        // The copy ends when nothing is left, which is what is wanted.
        let source = std::fs::File::open("/dev/zero")?;
        std::io::copy(&mut std::io::Read::take(source, 1 << 30), &mut std::fs::File::create(&filler)?).ok();
        tokio::time::sleep(Duration::from_millis(800)).await;
        std::fs::remove_file(&filler)?;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        Ok(())
    }

    pub(crate) fn empty_disk(&self) -> anyhow::Result<()> {
        let disk = self.disk.as_ref().context("a small disk")?;
        std::fs::remove_file(disk.directory.join("filler")).ok();
        Ok(())
    }
}

/// Whether small disks can be mounted here.
pub(crate) fn small_disks() -> bool {
    tempfile::tempdir().is_ok_and(|directory| Disk::mount(&directory.path().join("disk")).is_ok())
}

impl Disk {
    fn mount(directory: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let mut command = std::process::Command::new("mount");
        let status = command.args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(directory).status()?;
        anyhow::ensure!(status.success(), "a small disk can be mounted by root only");
        Ok(Self { directory: directory.to_owned() })
    }
}
