//! A PostgreSQL database of this run, with the bays that are read, or those that have apps.

use anyhow::Context as _;
use mesos_conductor::app::{self, App};
use mesos_conductor::bay::{Bay, BayModel, Labels, Status};
use mesos_conductor::store::{Store, StoreSettings, Vault};
use sqlx::{Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

/// How many bays there are to read.
pub(crate) const BAYS: usize = 1000;
/// Whose bays they are.
pub(crate) const PROJECT: &str = "9a0e0000000000000000000000000003";
const USER: &str = "05e20000000000000000000000000003";
/// Seals what is secret in it, which protects nothing.
pub(crate) const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The app that each bay with apps has, by its name.
pub(crate) const APP: &str = "web";
/// Its definition, as it was sent.
pub(crate) const MANIFEST: &str =
    r#"{"id": "/web", "cmd": "sleep 1000", "cpus": 0.1, "mem": 16, "instances": 1}"#;

/// A database that is there for one run.
#[derive(Debug)]
pub(crate) struct Database {
    /// The server's own database, for creating and dropping this one.
    server: String,
    name: String,
    pub(crate) url: String,
    pub(crate) bays: Vec<Uuid>,
    pub(crate) model: Uuid,
}

impl Database {
    /// Creates it, with [`BAYS`] bays of one bay model.
    pub(crate) async fn create(server: &str) -> anyhow::Result<Self> {
        let addresses = |_| nodes(11, 1);
        Self::with_rows(server, (0..BAYS).map(addresses).collect(), false).await
    }

    /// Creates it, with a bay for each master, as `host:port`, and an app that runs on each bay.
    pub(crate) async fn with_apps(server: &str, masters: &[String]) -> anyhow::Result<Self> {
        let addresses = masters.iter().map(|master| vec![master.clone()]).collect();
        Self::with_rows(server, addresses, true).await
    }

    async fn with_rows(server: &str, masters: Vec<Vec<String>>, apps: bool) -> anyhow::Result<Self> {
        let (address, _) = server.rsplit_once('/').context("the PostgreSQL URL names no database")?;
        let name = format!("bench_{}", Uuid::new_v4().simple());
        let url = format!("{address}/{name}");
        let (bays, model) = (masters.iter().map(|_| Uuid::new_v4()).collect(), Uuid::new_v4());
        let database = Self { server: server.to_owned(), name, url, bays, model };
        database.on_server(format!("CREATE DATABASE {}", database.name)).await?;
        if let Err(error) = database.fill(masters, apps).await {
            database.remove().await?;
            return Err(error);
        }
        Ok(database)
    }

    /// Connects as the worker does.
    pub(crate) async fn store(url: &str) -> anyhow::Result<Store> {
        let vault = Vault::new(&[KEY.into()])?;
        Ok(Store::connect(&StoreSettings::new(url), vault).await?)
    }

    async fn fill(&self, masters: Vec<Vec<String>>, apps: bool) -> anyhow::Result<()> {
        let store = Self::store(&self.url).await?;
        store.migrate().await?;
        let mut tx = store.begin().await?;
        tx.insert_model(&model(self.model)).await?;
        for (number, (uuid, masters)) in self.bays.iter().zip(masters).enumerate() {
            // Whoever looks for the bay's framework looks here too.
            let api_address = (!apps).then(|| "172.24.4.10".to_owned());
            let bay = bay(number, *uuid, self.model);
            tx.insert_bay(&Bay { master_addresses: masters, api_address, ..bay }).await?;
            if apps {
                tx.insert_app(&app(*uuid)).await?;
            }
        }
        tx.commit().await?;
        store.close().await;
        let mut connection = PgConnection::connect(&self.url).await?;
        // Else it is done by itself some time later: in the middle of a round.
        connection.execute("VACUUM ANALYZE").await?;
        Ok(())
    }

    /// The server's version.
    pub(crate) async fn version(&self) -> anyhow::Result<String> {
        let mut connection = PgConnection::connect(&self.url).await?;
        Ok(sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await?)
    }

    pub(crate) async fn remove(&self) -> anyhow::Result<()> {
        let forced = self.on_server(format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
        if forced.is_ok() {
            return Ok(());
        }
        // Only a superuser may end an autovacuum by force; without it, the server ends one by itself.
        self.on_server(format!("DROP DATABASE {}", self.name)).await
    }

    #[expect(clippy::disallowed_methods, reason = "the statement holds nothing but a generated name")]
    async fn on_server(&self, sql: String) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.server).await.context("PostgreSQL")?;
        connection.execute(sqlx::AssertSqlSafe(sql)).await?;
        Ok(())
    }
}

fn model(uuid: Uuid) -> BayModel {
    let text = |text: &str| Some(text.to_owned());
    BayModel {
        uuid,
        name: text("mesos"),
        project_id: text(PROJECT),
        user_id: text(USER),
        image_id: text("ubuntu-mesos"),
        flavor_id: text("m1.small"),
        master_flavor_id: text("m1.small"),
        keypair_id: text("operators"),
        dns_nameserver: text("8.8.8.8"),
        external_network_id: text("public"),
        network_driver: text("docker"),
        cluster_distro: text("ubuntu"),
        coe: text("mesos"),
        server_type: text("vm"),
        floating_ip_enabled: true,
        labels: Labels::from([("mesos_slave_work_dir".to_owned(), "/tmp/mesos".to_owned())]),
        ..BayModel::default()
    }
}

fn nodes(first: usize, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("172.24.4.{}", first + n)).collect()
}

fn bay(number: usize, uuid: Uuid, model: Uuid) -> Bay {
    let text = |text: &str| Some(text.to_owned());
    Bay {
        uuid,
        name: Some(format!("bay-{number}")),
        project_id: text(PROJECT),
        user_id: text(USER),
        model_id: Some(model.to_string()),
        stack_id: Some(Uuid::new_v4().to_string()),
        status: Some(Status::CreateComplete),
        status_reason: text("Stack CREATE completed successfully"),
        create_timeout: Some(60),
        node_count: Some(3),
        master_count: Some(1),
        node_addresses: nodes(101, 3),
        trust_id: Some(Uuid::new_v4().simple().to_string()),
        trustee_username: Some(uuid.to_string()),
        trustee_user_id: Some(Uuid::new_v4().simple().to_string()),
        keypair: text("operators"),
        ..Bay::default()
    }
}

/// A row that was complete before anybody counted its tasks.
fn app(bay: Uuid) -> App {
    let text = |text: &str| Some(text.to_owned());
    App {
        uuid: Uuid::new_v4(),
        name: text(APP),
        bay_uuid: bay,
        project_id: text(PROJECT),
        user_id: text(USER),
        manifest: text(MANIFEST),
        framework_id: text("/web"),
        instances: Some(1),
        status: Some(app::Status { action: app::Action::Create, phase: app::Phase::Complete }),
        ..App::default()
    }
}
