//! The store: everything that outlives a process, in SQLite, PostgreSQL or MySQL/MariaDB.
//!
//! There is one [`Store`] and every statement is written once: `sql` turns it into each database's dialect
//! and `driver` hides whose row or transaction it is. What an entity needs is in the module of its name.
//! Writes go through a [`Transaction`], so that a message's key, its effect and its reply are one commit; the
//! writes of an operation go through [`Store::begin_held`], whose first statement proves the lease.
//!
//! Lock order, for whoever adds a write: message set aside, message key, bay model, an app's operation, a bay's operation,
//! bay, app, active operation, outbox. Key pairs, services, bay locks, watches and periodic tasks are written alone.

mod apps;
mod bay_secrets;
mod bays;
mod callers;
mod columns;
mod connect;
mod driver;
mod error;
mod gauges;
mod key_pairs;
mod leases;
mod locks;
mod messages;
mod migrate;
mod models;
mod operations;
mod outbox;
mod page;
mod periodic;
mod services;
mod set_aside;
mod sql;
mod stacks;
mod text;
mod url;
mod vault;
mod watches;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use driver::{Param, Pool, Read, Row, params};

pub use apps::AppFilter;
pub use bays::BayFilter;
pub(crate) use callers::AT_ONCE;
pub use callers::Caller;
pub use driver::Transaction;
pub use error::Error;
pub use gauges::Gauges;
pub use key_pairs::{KeyPair, KeyPairFilter};
pub use leases::Due;
pub use locks::Steal;
pub use messages::{Purged, Seen};
pub use migrate::{Migration, MigrationReport, MigrationStatus};
pub use models::Visibility;
pub use operations::{Ending, Outcome, Wake};
pub use outbox::OutboxRow;
pub use page::{Key, Page, Scope};
pub use periodic::{Periodic, Turn};
pub use services::{MOST_REPORTS, Service};
pub use set_aside::{Described, Original, SetAside};
pub use sql::Backend;
pub use stacks::{StackLot, StackNews, StackScope, StackWait};
pub use url::Error as UrlError;
pub use vault::{Error as VaultError, Vault};

const TRIES: u32 = 5;
const PATIENCE: Duration = Duration::from_secs(5);

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// `SQLAlchemy`'s or sqlx's URL.
    pub url: SecretString,
    pub max_connections: u32,
    /// How long a caller waits for a free connection, or for SQLite's only writer.
    pub acquire_timeout: Duration,
    /// After how long a connection is replaced; not in SQLite.
    pub recycle_after: Duration,
}

impl StoreSettings {
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            max_connections: 10,
            acquire_timeout: Duration::from_secs(10),
            recycle_after: Duration::from_secs(3600),
        }
    }
}

/// The database. Clones share the connections.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    vault: Arc<Vault>,
    /// SQLite's only writer; the other databases have no such thing.
    writer: Option<Arc<Semaphore>>,
    acquire_timeout: Duration,
    ignored_options: Arc<[String]>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("backend", &self.backend()).finish_non_exhaustive()
    }
}

impl Store {
    /// Connects. The first connection is made outside the pool, which would report every cause as a timeout.
    pub async fn connect(settings: &StoreSettings, vault: Vault) -> Result<Self, Error> {
        let parsed = url::parse(&settings.url)?;
        let pool = connect::open(parsed.target, settings).await?;
        let writer = matches!(pool, Pool::Sqlite(_)).then(|| Arc::new(Semaphore::new(1)));
        Ok(Self {
            pool,
            vault: Arc::new(vault),
            writer,
            acquire_timeout: settings.acquire_timeout,
            ignored_options: parsed.ignored.into(),
        })
    }

    pub fn backend(&self) -> Backend {
        self.pool.backend()
    }

    /// Options of the URL that mean nothing here.
    pub fn ignored_options(&self) -> &[String] {
        &self.ignored_options
    }

    /// Whether the database takes writes now: it may well answer questions and refuse those.
    pub async fn check_writable(&self) -> Result<(), Error> {
        self.retrying(|| self.leave_trace()).await
    }

    /// Asks the database for a sign of life.
    pub async fn ping(&self) -> Result<(), Error> {
        self.now_ms().await.map(drop)
    }

    /// Milliseconds of the database's clock, the only clock that leases, deadlines and ages are measured by.
    pub async fn now_ms(&self) -> Result<i64, Error> {
        clock(&mut &*self).await
    }

    /// Begins a transaction. On SQLite it waits for its turn to write: never begin one while holding another.
    pub async fn begin(&self) -> Result<Transaction, Error> {
        let writer = self.writer().await?;
        Ok(Transaction::new(self.pool.begin().await?, Arc::clone(&self.vault), writer))
    }

    /// Runs a transaction again as long as it gives way to others: up to five times, for five seconds.
    pub async fn retrying<T, F, Fut>(&self, mut work: F) -> Result<T, Error>
    where
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Result<T, Error>> + Send,
    {
        let begun = Instant::now();
        let mut pause = Duration::from_millis(5);
        for _ in 1..TRIES {
            match work().await {
                Err(error) if error.is_retryable() && begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(pause.mul_f64(rand::random::<f64>())).await;
                }
                result => return result,
            }
            pause *= 4;
        }
        work().await
    }

    /// Closes every connection once its user is done.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// One statement by itself, run again if it gives way.
    async fn execute(&self, sql: &str, params: Vec<Param>) -> Result<u64, Error> {
        let _writer = self.writer().await?;
        self.retrying(|| self.pool.execute(sql, params.clone())).await
    }

    async fn writer(&self) -> Result<Option<OwnedSemaphorePermit>, Error> {
        let Some(writer) = &self.writer else { return Ok(None) };
        match tokio::time::timeout(self.acquire_timeout, Arc::clone(writer).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            Ok(Err(_)) => Err(Error::Unavailable(sqlx::Error::PoolClosed)),
            Err(_) => Err(Error::Unavailable(sqlx::Error::PoolTimedOut)),
        }
    }
}

impl Read for &Store {
    fn backend(&self) -> Backend {
        self.pool.backend()
    }

    fn vault(&self) -> &Vault {
        &self.vault
    }

    async fn rows(&mut self, sql: &str, params: Vec<Param>) -> Result<Vec<Row>, Error> {
        self.pool.rows(sql, params).await
    }
}

/// Whole milliseconds, for the databases' integers.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}
/// The database's clock, read within or outside a transaction.
async fn clock(db: &mut impl driver::Read) -> Result<i64, Error> {
    let row = db.row("SELECT {now_ms} AS now_ms", params![]).await?;
    row.ok_or_else(|| Error::corrupt("the clock"))?.int("now_ms")
}

impl Transaction {
    /// As [`Store::now_ms`].
    pub async fn now_ms(&mut self) -> Result<i64, Error> {
        clock(self).await
    }
}
