//! A database of the test's own, and what the test does behind the store's back.

use std::path::Path;

use mesos_conductor::store::{Backend, Store, StoreSettings, Vault};
use sqlx::migrate::MigrateDatabase;
use sqlx::{PgPool, Postgres, SqlitePool};
use uuid::Uuid;

pub(crate) struct Database {
    pub(crate) store: Store,
    behind: Pool,
    url: String,
}

enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Database {
    pub(crate) async fn sqlite(path: &Path) -> Self {
        let url = format!("sqlite:///{}", path.display());
        let store = open(&url).await;
        let behind = SqlitePool::connect(&format!("sqlite:{}", path.display())).await.unwrap();
        Self { store, behind: Pool::Sqlite(behind), url }
    }

    /// `None` where no server is named.
    pub(crate) async fn postgres() -> Option<Self> {
        let variable = "CONDUCTOR_TEST_POSTGRES_URL";
        let Ok(server) = std::env::var(variable) else {
            assert!(std::env::var_os("CI").is_none(), "{variable} must name a server in CI");
            println!("skipped: {variable} is not set");
            return None;
        };
        let mut url = url::Url::parse(&server).unwrap();
        url.set_path(&format!("/conductor_test_{}", Uuid::new_v4().simple()));
        let url = String::from(url);
        Postgres::create_database(&url).await.unwrap();
        let store = open(&url).await;
        let behind = PgPool::connect(&url).await.unwrap();
        Some(Self { store, behind: Pool::Postgres(behind), url })
    }

    pub(crate) fn backend(&self) -> Backend {
        self.store.backend()
    }

    pub(crate) async fn close(self) {
        self.store.close().await;
    }

    pub(crate) async fn drop(self) {
        self.store.close().await;
        if let Pool::Postgres(pool) = &self.behind {
            pool.close().await;
        }
        Postgres::force_drop_database(&self.url).await.unwrap();
    }

    /// Runs a statement that the store has no function for.
    pub(crate) async fn run(&self, sql: &'static str) {
        match &self.behind {
            Pool::Sqlite(pool) => drop(sqlx::query(sql).execute(pool).await.unwrap()),
            Pool::Postgres(pool) => drop(sqlx::query(sql).execute(pool).await.unwrap()),
        }
    }

    /// Likewise, for the row that `$1` names.
    pub(crate) async fn run_for(&self, sql: &'static str, row: String) {
        match &self.behind {
            Pool::Sqlite(pool) => drop(sqlx::query(sql).bind(row).execute(pool).await.unwrap()),
            Pool::Postgres(pool) => drop(sqlx::query(sql).bind(row).execute(pool).await.unwrap()),
        }
    }

    /// The one column of every row.
    pub(crate) async fn texts(&self, sql: &'static str) -> Vec<String> {
        match &self.behind {
            Pool::Sqlite(pool) => sqlx::query_scalar(sql).fetch_all(pool).await.unwrap(),
            Pool::Postgres(pool) => sqlx::query_scalar(sql).fetch_all(pool).await.unwrap(),
        }
    }
}

async fn open(url: &str) -> Store {
    let vault = Vault::new(&[Vault::generate_key()]).unwrap();
    let store = Store::connect(&StoreSettings { max_connections: 4, ..StoreSettings::new(url) }, vault)
        .await
        .unwrap();
    store.migrate().await.unwrap();
    store
}
