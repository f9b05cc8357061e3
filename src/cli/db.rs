//! `db migrate|status`.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::{Global, error::Error, output::Output};
use crate::{store, worker};

const COLUMNS: &[&str] = &["version", "state", "description"];

#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum Command {
    /// Brings the database to this program's schema
    Migrate,
    /// Lists what has been applied and what has not; fails when something has not
    Status,
}

impl Command {
    pub(super) async fn run(self, global: &Global, output: &mut Output) -> Result<(), Error> {
        let settings = crate::config::load(&global.sources())?.settings;
        let store = worker::open_store(&settings).await?;
        let outcome = match self {
            Self::Migrate => migrate(&store, output).await,
            Self::Status => status(&store, output).await,
        };
        store.close().await;
        outcome
    }
}

async fn migrate(store: &store::Store, output: &mut Output) -> Result<(), Error> {
    let applied = store.migrate().await.map_err(anyhow::Error::new)?.applied;
    if applied.is_empty() {
        output.note("the schema was up to date");
        return Ok(());
    }
    let rows: Vec<_> = applied.iter().map(|migration| row(migration, "applied")).collect();
    Ok(output.rows(&rows, COLUMNS)?)
}

async fn status(store: &store::Store, output: &mut Output) -> Result<(), Error> {
    let status = store.migration_status().await.map_err(anyhow::Error::new)?;
    let applied = status.applied.iter().map(|migration| row(migration, "applied"));
    let pending = status.pending.iter().map(|migration| row(migration, "pending"));
    let unknown = status.unknown.iter().map(|migration| row(migration, "of another release"));
    output.rows(&applied.chain(pending).chain(unknown).collect::<Vec<_>>(), COLUMNS)?;
    if status.is_current() {
        return Ok(());
    }
    Err(Error::Ended("the schema is not up to date; run: mesos-conductor db migrate".to_owned()))
}

fn row(migration: &store::Migration, state: &str) -> Map<String, Value> {
    [
        ("version", json!(migration.version)),
        ("state", json!(state)),
        ("description", json!(migration.description)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect()
}
