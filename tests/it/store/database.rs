//! A fresh database per test, and what tests need to look behind the store.

use std::future::Future;
use std::time::{Duration, Instant};

use mesos_conductor::store::{Backend, Store, StoreSettings, Vault};
use secrecy::SecretString;
use sqlx::migrate::MigrateDatabase;
use sqlx::{MySql, MySqlPool, PgPool, Postgres, SqlitePool};
use tokio::task::JoinSet;
use uuid::Uuid;

/// A database of one test.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) store: Store,
    pub(crate) url: String,
    pub(crate) key: SecretString,
}

/// Runs a test on a migrated database of its own; the database goes away even if the test fails.
pub(crate) async fn with<F, Fut>(backend: Backend, test: F)
where
    F: FnOnce(Database) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let directory = tempfile::tempdir().unwrap();
    let url = match backend {
        Backend::Sqlite => format!("sqlite:///{}", directory.path().join("test.sqlite").display()),
        Backend::Postgres => match fresh("CONDUCTOR_TEST_POSTGRES_URL") {
            Some(url) => url,
            None => return,
        },
        Backend::MySql => match fresh("CONDUCTOR_TEST_MYSQL_URL") {
            Some(url) => url,
            None => return,
        },
    };
    match backend {
        Backend::Sqlite => {}
        Backend::Postgres => Postgres::create_database(&url).await.unwrap(),
        Backend::MySql => MySql::create_database(&url).await.unwrap(),
    }
    let key = Vault::generate_key();
    let store = open(&url, &key).await;
    store.migrate().await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(test(Database { store: store.clone(), url: url.clone(), key }));
    let outcome = tasks.join_next().await.unwrap();
    store.close().await;
    match backend {
        Backend::Sqlite => {}
        // The server's own vacuum may be in it, which a user of tests cannot end.
        Backend::Postgres => {
            eventually("the database is dropped", || async {
                Postgres::force_drop_database(&url).await.ok()
            })
            .await;
        }
        Backend::MySql => MySql::drop_database(&url).await.unwrap(),
    }
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure.into_panic());
    }
}

/// The URL of a database that does not exist yet, on the server that a variable names.
fn fresh(variable: &str) -> Option<String> {
    let Ok(server) = std::env::var(variable) else {
        assert!(std::env::var_os("CI").is_none(), "{variable} must name a server in CI");
        println!("skipped: {variable} is not set");
        return None;
    };
    let mut url = url::Url::parse(&server).unwrap();
    url.set_path(&format!("/conductor_test_{}", Uuid::new_v4().simple()));
    Some(url.into())
}

pub(crate) async fn open(url: &str, key: &SecretString) -> Store {
    let vault = Vault::new(std::slice::from_ref(key)).unwrap();
    let settings = StoreSettings { max_connections: 5, ..StoreSettings::new(url) };
    Store::connect(&settings, vault).await.unwrap()
}

impl Database {
    /// Another worker's connections to the same database.
    pub(crate) async fn another(&self) -> Store {
        open(&self.url, &self.key).await
    }

    /// Runs a statement that the store has no method for.
    pub(crate) async fn raw(&self, sql: &'static str) {
        match self.store.backend() {
            Backend::Sqlite => drop(sqlx::query(sql).execute(&self.sqlite().await).await.unwrap()),
            Backend::Postgres => drop(sqlx::query(sql).execute(&self.postgres().await).await.unwrap()),
            Backend::MySql => drop(sqlx::query(sql).execute(&self.mysql().await).await.unwrap()),
        }
    }

    /// Gives tables the collation that Magnum's have on MySQL, which compares without case.
    pub(crate) async fn collate_like_magnum(&self) {
        if self.store.backend() == Backend::MySql {
            self.raw("ALTER TABLE cluster CONVERT TO CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci").await;
            self.raw(
                "ALTER TABLE cluster_template CONVERT TO CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci",
            )
            .await;
            self.raw("ALTER TABLE x509keypair CONVERT TO CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci")
                .await;
        }
    }

    /// The first column of every row as text; `NULL` is the empty text.
    pub(crate) async fn texts(&self, sql: &'static str) -> Vec<String> {
        let found: Vec<Option<String>> = match self.store.backend() {
            Backend::Sqlite => sqlx::query_scalar(sql).fetch_all(&self.sqlite().await).await.unwrap(),
            Backend::Postgres => sqlx::query_scalar(sql).fetch_all(&self.postgres().await).await.unwrap(),
            Backend::MySql => sqlx::query_scalar(sql).fetch_all(&self.mysql().await).await.unwrap(),
        };
        found.into_iter().map(Option::unwrap_or_default).collect()
    }

    async fn sqlite(&self) -> SqlitePool {
        SqlitePool::connect(&self.url.replacen("sqlite:///", "sqlite:", 1)).await.unwrap()
    }

    async fn postgres(&self) -> PgPool {
        PgPool::connect(&self.url).await.unwrap()
    }

    async fn mysql(&self) -> MySqlPool {
        MySqlPool::connect(&self.url).await.unwrap()
    }
}

/// Asks again until the answer is there; fails after ten seconds.
pub(crate) async fn eventually<T, F, Fut>(what: &str, mut ask: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns once the database's clock shows a later millisecond.
pub(crate) async fn next_millisecond(store: &Store) {
    let now = store.now_ms().await.unwrap();
    eventually("the next millisecond", async || (store.now_ms().await.unwrap() > now).then_some(())).await;
}
