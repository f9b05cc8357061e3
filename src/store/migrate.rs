//! Migrations, embedded in the binary: one directory per dialect, the same versions in each.
//!
//! Every statement of theirs may run twice (`IF NOT EXISTS`): on a database of Magnum's only our tables are
//! added, and on MySQL, which commits each statement by itself, a migration that was cut off is simply run
//! again.

use sqlx::MySqlConnection;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migrator};

use super::Store;
use super::driver::{Pool, Read, params};
use super::error::Error;

const TABLE: &str = "conductor_migration";

/// One step of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    pub version: i64,
    pub description: String,
}

/// What the database has and what it lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationStatus {
    pub applied: Vec<Migration>,
    pub pending: Vec<Migration>,
    /// Applied by another release of this program, which this one knows nothing of.
    pub unknown: Vec<Migration>,
}

impl MigrationStatus {
    /// Whether this program can work on the database. A newer schema is fine: migrations only ever add.
    pub fn is_current(&self) -> bool {
        self.pending.is_empty()
    }
}

/// What a migration did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationReport {
    pub applied: Vec<Migration>,
}

impl Store {
    /// Brings the schema up to date. Several processes may do this at once; one does, the others find it
    /// done.
    pub async fn migrate(&self) -> Result<MigrationReport, Error> {
        let before = self.migration_status().await?;
        let migrator = self.migrator();
        let _writer = self.writer().await?;
        match &self.pool {
            Pool::Sqlite(pool) => {
                // SQLite has no lock for migrators: the transaction that writes first is one.
                let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
                let result = run(&migrator, &mut *tx).await;
                tx.commit().await?;
                result
            }
            Pool::Postgres(pool) => run(&migrator, &mut *pool.acquire().await?).await,
            Pool::MySql(pool) => {
                let mut connection = pool.acquire().await?;
                let result = run_on_mysql(&migrator, &mut connection).await;
                // The lock is the session's: it must not go back into the pool with it.
                connection.close().await?;
                result
            }
        }
        .map_err(failed)?;
        Ok(MigrationReport { applied: before.pending })
    }

    /// Compares the database with this program, changing nothing.
    pub async fn migration_status(&self) -> Result<MigrationStatus, Error> {
        let applied = if self.has_table().await? { self.applied().await? } else { Vec::new() };
        let mut status = MigrationStatus::default();
        let migrator = self.migrator();
        for known in migrator.iter() {
            let migration = Migration { version: known.version, description: known.description.to_string() };
            match applied.iter().find(|applied| applied.version == known.version) {
                Some(applied) if applied.checksum != known.checksum => {
                    return Err(failed(MigrateError::VersionMismatch(known.version)));
                }
                Some(_) => status.applied.push(migration),
                None => status.pending.push(migration),
            }
        }
        let strange = applied.iter().filter(|applied| !migrator.version_exists(applied.version));
        status.unknown = strange
            .map(|applied| Migration { version: applied.version, description: String::new() })
            .collect();
        Ok(status)
    }

    async fn applied(&self) -> Result<Vec<AppliedMigration>, Error> {
        match &self.pool {
            Pool::Sqlite(pool) => pool.acquire().await?.list_applied_migrations(TABLE).await,
            Pool::Postgres(pool) => pool.acquire().await?.list_applied_migrations(TABLE).await,
            Pool::MySql(pool) => pool.acquire().await?.list_applied_migrations(TABLE).await,
        }
        .map_err(failed)
    }

    async fn has_table(&self) -> Result<bool, Error> {
        let sql = match self.pool {
            Pool::Sqlite(_) => "SELECT 1 AS found FROM sqlite_master WHERE type = 'table' AND name = ?",
            Pool::Postgres(_) => "SELECT 1 AS found FROM pg_catalog.pg_class WHERE oid = to_regclass(?)",
            Pool::MySql(_) => {
                "SELECT 1 AS found FROM information_schema.tables \
                 WHERE table_schema = DATABASE() AND table_name = ?"
            }
        };
        Ok((&mut &*self).row(sql, params![TABLE]).await?.is_some())
    }

    fn migrator(&self) -> Migrator {
        let mut migrator = match self.pool {
            Pool::Sqlite(_) => sqlx::migrate!("migrations/sqlite"),
            Pool::Postgres(_) => sqlx::migrate!("migrations/postgres"),
            Pool::MySql(_) => sqlx::migrate!("migrations/mysql"),
        };
        migrator.dangerous_set_table_name(TABLE);
        // During a rolling upgrade an older worker meets a newer schema.
        migrator.set_ignore_missing(true);
        migrator
    }
}

/// Runs under the migrator's lock, which a failed run leaves behind on the connection.
async fn run<C: Migrate>(migrator: &Migrator, connection: &mut C) -> Result<(), MigrateError> {
    let result = migrator.run_direct(None, connection, false).await;
    if result.is_err() {
        connection.unlock().await.ok();
    }
    result
}

/// sqlx's own lock asks for an endless wait, which MariaDB refuses without an error: this one is ours.
///
/// Under it, a migration that is marked as unfinished was cut off and may be run again.
async fn run_on_mysql(migrator: &Migrator, connection: &mut MySqlConnection) -> Result<(), MigrateError> {
    let lock = "SELECT GET_LOCK(CONCAT('conductor_migration:', MD5(DATABASE())), 60)";
    let locked: Option<i64> = sqlx::query_scalar(lock).fetch_one(&mut *connection).await?;
    if locked != Some(1) {
        return Err(sqlx::Error::PoolTimedOut.into());
    }
    match run(migrator, connection).await {
        Err(MigrateError::Dirty(version)) => {
            let unfinished = "DELETE FROM conductor_migration WHERE version = ? AND success = FALSE";
            sqlx::query(unfinished).bind(version).execute(&mut *connection).await?;
            run(migrator, connection).await
        }
        result => result,
    }
}

fn failed(error: MigrateError) -> Error {
    // A lost connection is told as such.
    if let MigrateError::Execute(cause) = error {
        return Error::from(cause);
    }
    Error::Migration(Box::new(error))
}
