//! A PostgreSQL database of this run, with the bays that are read.

use anyhow::Context as _;
use mesos_conductor::bay::{Bay, BayModel, Labels, Status};
use mesos_conductor::store::{Store, StoreSettings, Vault};
use sqlx::{Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

/// How many bays there are to read.
pub(crate) const BAYS: usize = 1000;
/// Whose bays they are.
pub(crate) const PROJECT: &str = "9a0e0000000000000000000000000003";
const USER: &str = "05e20000000000000000000000000003";

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
        let (address, _) = server.rsplit_once('/').context("the PostgreSQL URL names no database")?;
        let name = format!("bench_{}", Uuid::new_v4().simple());
        let url = format!("{address}/{name}");
        let (bays, model) = ((0..BAYS).map(|_| Uuid::new_v4()).collect(), Uuid::new_v4());
        let database = Self { server: server.to_owned(), name, url, bays, model };
        database.on_server(format!("CREATE DATABASE {}", database.name)).await?;
        if let Err(error) = database.fill().await {
            database.remove().await?;
            return Err(error);
        }
        Ok(database)
    }

    /// Connects as the worker does.
    pub(crate) async fn store(url: &str) -> anyhow::Result<Store> {
        let vault = Vault::new(&[Vault::generate_key()])?;
        Ok(Store::connect(&StoreSettings::new(url), vault).await?)
    }

    async fn fill(&self) -> anyhow::Result<()> {
        let store = Self::store(&self.url).await?;
        store.migrate().await?;
        let mut tx = store.begin().await?;
        tx.insert_model(&model(self.model)).await?;
        for (number, uuid) in self.bays.iter().enumerate() {
            tx.insert_bay(&bay(number, *uuid, self.model)).await?;
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
        self.on_server(format!("DROP DATABASE {} WITH (FORCE)", self.name)).await
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

fn bay(number: usize, uuid: Uuid, model: Uuid) -> Bay {
    let text = |text: &str| Some(text.to_owned());
    let addresses =
        |first: usize, count: usize| (0..count).map(|n| format!("172.24.4.{}", first + n)).collect();
    Bay {
        uuid,
        name: Some(format!("bay-{number}")),
        project_id: text(PROJECT),
        user_id: text(USER),
        model_id: Some(model.to_string()),
        stack_id: Some(Uuid::new_v4().to_string()),
        status: Some(Status::CreateComplete),
        status_reason: text("Stack CREATE completed successfully"),
        api_address: text("172.24.4.10"),
        create_timeout: Some(60),
        node_count: Some(3),
        master_count: Some(1),
        node_addresses: addresses(101, 3),
        master_addresses: addresses(11, 1),
        trust_id: Some(Uuid::new_v4().simple().to_string()),
        trustee_username: Some(uuid.to_string()),
        trustee_user_id: Some(Uuid::new_v4().simple().to_string()),
        keypair: text("operators"),
        ..Bay::default()
    }
}
