//! Opens the pools with the settings that the invariants rest on.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlPoolOptions};
use sqlx::pool::PoolConnectionMetadata;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection as _, Executor as _};

use super::StoreSettings;
use super::driver::Pool;
use super::error::Error;
use super::url::Target;

/// A worker that was stopped in the middle of a transaction must not hold its row locks for ever, and whoever
/// waits for them must not wait longer than a lease.
const POSTGRES_SESSION: &str = "SET default_transaction_isolation = 'read committed'; \
     SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '10s'";
/// Strict, so that a value that does not fit is an error and not cut.
const MYSQL_SESSION: &str = "SET SESSION transaction_isolation = 'READ-COMMITTED', \
     sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), innodb_lock_wait_timeout = 5";
/// MariaDB before 11.1 knows the isolation level by this name only.
const MARIADB_SESSION: &str = "SET SESSION tx_isolation = 'READ-COMMITTED', \
     sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), innodb_lock_wait_timeout = 5";
const MARIADB_IDLE: &str = "SET SESSION idle_transaction_timeout = 10";
/// MySQL itself can only limit how long a session is idle, in a transaction or not.
const MYSQL_IDLE: &str = "SET SESSION wait_timeout = 60";
const IDLE: Duration = Duration::from_secs(30);
/// A connection that was well this recently is not asked for a sign of life again before it is used: sqlx asks
/// already when it takes one back, and a question costs as much as a small query.
const FRESH: Duration = Duration::from_secs(1);

pub(super) async fn open(target: Target, settings: &StoreSettings) -> Result<Pool, Error> {
    match target {
        Target::Sqlite(path) => sqlite(path.as_deref(), settings).await,
        Target::Postgres(options) => postgres(*options, settings).await,
        Target::MySql(options) => mysql(*options, settings).await,
    }
}

async fn sqlite(path: Option<&Path>, settings: &StoreSettings) -> Result<Pool, Error> {
    let options = SqliteConnectOptions::new()
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .journal_mode(SqliteJournalMode::Wal)
        // A message is acknowledged once its row is committed: the commit must survive a power cut.
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().acquire_timeout(settings.acquire_timeout);
    let Some(path) = path else {
        // Every connection to memory is a database of its own: there is one, and it is never closed.
        let pool = pool.max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None);
        return Ok(Pool::Sqlite(pool.connect_with(options.in_memory(true)).await?));
    };
    let options = options.filename(path).create_if_missing(true);
    // Whoever else opens a new file at this moment sets its journal up, and does not wait to be waited for.
    let deadline = Instant::now() + settings.acquire_timeout;
    while let Err(error) = probe(&options).await {
        if !error.is_retryable() || Instant::now() > deadline {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let pool = pool.max_connections(settings.max_connections);
    let pool = pool.after_release(|connection, _| Box::pin(is_between_transactions(connection)));
    Ok(Pool::Sqlite(pool.connect_lazy_with(options)))
}

/// Where the disk is full SQLite ends a transaction by itself, and the driver goes on believing in it: such a connection
/// would refuse every later transaction.
async fn is_between_transactions(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    // Behind the rollback of a transaction that was dropped.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

async fn postgres(options: PgConnectOptions, settings: &StoreSettings) -> Result<Pool, Error> {
    probe(&options).await?;
    let pool = PgPoolOptions::new()
        .max_connections(settings.max_connections)
        .acquire_timeout(settings.acquire_timeout)
        .max_lifetime(settings.recycle_after)
        .test_before_acquire(false)
        .before_acquire(|connection, seen| Box::pin(is_well(connection, seen)))
        .after_connect(|connection, _| {
            Box::pin(async { connection.execute(POSTGRES_SESSION).await.map(drop) })
        });
    Ok(Pool::Postgres(pool.connect_lazy_with(options)))
}

async fn mysql(options: MySqlConnectOptions, settings: &StoreSettings) -> Result<Pool, Error> {
    probe(&options).await?;
    let pool = MySqlPoolOptions::new()
        .max_connections(settings.max_connections)
        .acquire_timeout(settings.acquire_timeout)
        .max_lifetime(settings.recycle_after)
        .idle_timeout(IDLE)
        .test_before_acquire(false)
        .before_acquire(|connection, seen| Box::pin(is_well(connection, seen)))
        .after_connect(|connection, _| Box::pin(mysql_session(connection)));
    Ok(Pool::MySql(pool.connect_lazy_with(options)))
}

async fn mysql_session(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    let version: String = sqlx::query_scalar("SELECT VERSION()").fetch_one(&mut *connection).await?;
    let statements = if version.to_ascii_lowercase().contains("mariadb") {
        [MARIADB_SESSION, MARIADB_IDLE]
    } else {
        [MYSQL_SESSION, MYSQL_IDLE]
    };
    for statement in statements {
        connection.execute(statement).await?;
    }
    Ok(())
}

/// An error makes the pool take another connection, as its own test would.
async fn is_well<C: sqlx::Connection>(
    connection: &mut C,
    seen: PoolConnectionMetadata,
) -> sqlx::Result<bool> {
    if seen.idle_for >= FRESH {
        connection.ping().await?;
    }
    Ok(true)
}

/// Connects once without the pool, so that a refused connection is reported as one.
async fn probe<O: ConnectOptions<Connection: Sized>>(options: &O) -> Result<(), Error> {
    let connection = options.connect().await?;
    Ok(connection.close().await?)
}
