//! A fresh database per test, on any of the three kinds.

use std::path::Path;

use sqlx::{Connection, Executor};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
    MySql,
}

pub(crate) struct Database {
    backend: Backend,
    url: String,
    /// The server's own database, for creating and dropping this one.
    server: String,
    name: String,
}

impl Database {
    pub(crate) async fn create(backend: Backend, directory: &Path) -> Self {
        let name = format!("t{}", Uuid::new_v4().simple());
        let (server, url) = match backend {
            Backend::Sqlite => (String::new(), format!("sqlite:///{}/{name}.sqlite", directory.display())),
            Backend::Postgres => named("CONDUCTOR_TEST_POSTGRES_URL", &name),
            Backend::MySql => named("CONDUCTOR_TEST_MYSQL_URL", &name),
        };
        let database = Self { backend, url, server, name };
        let created = database.on_server(&format!("CREATE DATABASE {}", database.name)).await;
        created.expect("the server answers and makes a database");
        database
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A column of text, looked at past the program under test.
    pub(crate) async fn texts(&self, sql: &'static str) -> Vec<String> {
        match self.backend {
            Backend::Sqlite => {
                let mut database = sqlx::SqliteConnection::connect(&self.url).await.expect("SQLite opens");
                sqlx::query_scalar(sql).fetch_all(&mut database).await.expect("the statement is accepted")
            }
            Backend::Postgres => {
                let mut database = sqlx::PgConnection::connect(&self.url).await.expect("PostgreSQL answers");
                sqlx::query_scalar(sql).fetch_all(&mut database).await.expect("the statement is accepted")
            }
            Backend::MySql => {
                let mut database = sqlx::MySqlConnection::connect(&self.url).await.expect("MySQL answers");
                sqlx::query_scalar(sql).fetch_all(&mut database).await.expect("the statement is accepted")
            }
        }
    }

    /// Test data is worth nothing afterwards, but servers of developers live long.
    pub(crate) async fn drop_it(&self) {
        let force = if self.backend == Backend::Postgres { " WITH (FORCE)" } else { "" };
        let drop = format!("DROP DATABASE {}{force}", self.name);
        // The server's own vacuum may be in it, which a user of tests cannot end.
        let dropped = super::eventually(async || self.on_server(&drop).await.ok()).await;
        assert!(dropped.is_some(), "the database {} cannot be dropped", self.name);
    }

    /// PostgreSQL answers questions and refuses to write, or writes again.
    pub(crate) async fn set_read_only(&self, read_only: bool) {
        let change = format!("ALTER DATABASE {} SET default_transaction_read_only = {read_only}", self.name);
        self.on_server(&change).await.expect("the setting is changed");
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND backend_type = \
             'client backend'",
            self.name
        );
        self.on_server(&end).await.expect("sessions are ended");
    }

    #[expect(clippy::disallowed_methods, reason = "the statement holds nothing but a generated name")]
    async fn on_server(&self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        match self.backend {
            Backend::Sqlite => {}
            Backend::Postgres => {
                sqlx::PgConnection::connect(&self.server).await?.execute(sql).await?;
            }
            Backend::MySql => {
                sqlx::MySqlConnection::connect(&self.server).await?.execute(sql).await?;
            }
        }
        Ok(())
    }
}

fn named(variable: &str, name: &str) -> (String, String) {
    let server = std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} names a server; `make test` starts one"));
    let (address, _) = server.rsplit_once('/').expect("the URL names a database");
    let url = format!("{address}/{name}");
    (server.clone(), url)
}
