//! Opening the database: its key, its address, and whether its schema is this program's.

use anyhow::{Context as _, bail};

use crate::config::{Settings, key};
use crate::store::{Backend, Store, StoreSettings, Vault};

/// Connects, with the keys that secrets are encrypted with.
pub async fn open(settings: &Settings) -> anyhow::Result<Store> {
    let keys = key::load_or_create(settings)?;
    for warning in &keys.warnings {
        tracing::warn!("{warning}");
    }
    let vault = Vault::new(&keys.keys).context("the encryption keys of [conductor]")?;
    let database = &settings.database;
    let store_settings = StoreSettings {
        url: database.connection.clone(),
        max_connections: database.max_pool_size,
        acquire_timeout: database.pool_timeout,
        recycle_after: database.connection_recycle_time,
    };
    let store = Store::connect(&store_settings, vault).await.context("[database] connection")?;
    for option in store.ignored_options() {
        tracing::warn!(option, "an option of the database URL is not used");
    }
    Ok(store)
}

/// Connects to a database whose schema is current. The embedded one is brought up to date: it has no other operator.
pub(super) async fn open_current(settings: &Settings) -> anyhow::Result<Store> {
    let store = open(settings).await?;
    let status = store.migration_status().await?;
    if !status.unknown.is_empty() {
        let versions: Vec<i64> = status.unknown.iter().map(|migration| migration.version).collect();
        tracing::warn!(
            ?versions,
            "another release of this program has migrated the database; this one works on beside it"
        );
    }
    if status.is_current() {
        return Ok(store);
    }
    if store.backend() == Backend::Sqlite {
        store.migrate().await.context("the embedded database's migrations")?;
        return Ok(store);
    }
    bail!(
        "the database's schema is not this program's: run `mesos-conductor db migrate` with the same configuration"
    )
}
