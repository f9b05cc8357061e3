//! The narrow layer under every query: parameters, rows and transactions of three databases under one type
//! each.

use std::sync::Arc;

use sqlx::mysql::{MySqlArguments, MySqlPool, MySqlRow};
use sqlx::postgres::{PgArguments, PgPool, PgRow};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqlitePool, SqliteRow};
use sqlx::{MySql, Postgres, Row as _, SqlStr, Sqlite};
use time::PrimitiveDateTime;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::error::Error;
use super::sql::{Backend, render};
use super::vault::Vault;

/// A value for a `?`. `NULL` is typed, because PostgreSQL wants to know.
#[derive(Debug, Clone)]
pub(crate) enum Param {
    Text(Option<String>),
    Int(Option<i64>),
    Bool(bool),
    Time(Option<PrimitiveDateTime>),
}

macro_rules! param_from {
    ($($type:ty => |$value:ident| $param:expr),+ $(,)?) => {
        $(impl From<$type> for Param {
            fn from($value: $type) -> Self {
                $param
            }
        })+
    };
}

param_from! {
    &str => |text| Self::Text(Some(text.to_owned())),
    &String => |text| Self::Text(Some(text.clone())),
    String => |text| Self::Text(Some(text)),
    Option<String> => |text| Self::Text(text),
    &Option<String> => |text| Self::Text(text.clone()),
    Option<&str> => |text| Self::Text(text.map(str::to_owned)),
    Uuid => |uuid| Self::Text(Some(uuid.to_string())),
    i64 => |number| Self::Int(Some(number)),
    u32 => |number| Self::Int(Some(number.into())),
    Option<i64> => |number| Self::Int(number),
    bool => |flag| Self::Bool(flag),
    Option<PrimitiveDateTime> => |time| Self::Time(time),
}

macro_rules! params {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::driver::Param::from($value)),*] };
}
pub(crate) use params;

/// Runs the same code on whichever database it is.
macro_rules! each {
    ($target:expr, $kind:ident, $inner:ident => $body:expr) => {
        match $target {
            $kind::Sqlite($inner) => $body,
            $kind::Postgres($inner) => $body,
            $kind::MySql($inner) => $body,
        }
    };
}

/// Makes a query of one database with its parameters bound.
trait Bind: sqlx::Database {
    fn query(sql: SqlStr, params: Vec<Param>) -> Query<'static, Self, Self::Arguments>;
}

macro_rules! bind {
    ($($database:ty, $arguments:ty);+ $(;)?) => {
        $(impl Bind for $database {
            fn query(sql: SqlStr, params: Vec<Param>) -> Query<'static, Self, $arguments> {
                params.into_iter().fold(sqlx::query(sql), |query, param| match param {
                    Param::Text(value) => query.bind(value),
                    Param::Int(value) => query.bind(value),
                    Param::Bool(value) => query.bind(value),
                    Param::Time(value) => query.bind(value),
                })
            }
        })+
    };
}

bind! {
    Sqlite, SqliteArguments;
    Postgres, PgArguments;
    MySql, MySqlArguments;
}

/// The connections.
#[derive(Debug, Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
    MySql(MySqlPool),
}

impl Pool {
    pub(crate) fn backend(&self) -> Backend {
        match self {
            Self::Sqlite(_) => Backend::Sqlite,
            Self::Postgres(_) => Backend::Postgres,
            Self::MySql(_) => Backend::MySql,
        }
    }

    pub(crate) async fn rows(&self, sql: &str, params: Vec<Param>) -> Result<Vec<Row>, Error> {
        let sql = render(self.backend(), sql);
        Ok(match self {
            Self::Sqlite(pool) => rows(Sqlite::query(sql, params).fetch_all(pool).await?, Row::Sqlite),
            Self::Postgres(pool) => rows(Postgres::query(sql, params).fetch_all(pool).await?, Row::Postgres),
            Self::MySql(pool) => rows(MySql::query(sql, params).fetch_all(pool).await?, Row::MySql),
        })
    }

    /// Returns how many rows matched, changed or not, on every database.
    pub(crate) async fn execute(&self, sql: &str, params: Vec<Param>) -> Result<u64, Error> {
        let sql = render(self.backend(), sql);
        Ok(match self {
            Self::Sqlite(pool) => Sqlite::query(sql, params).execute(pool).await?.rows_affected(),
            Self::Postgres(pool) => Postgres::query(sql, params).execute(pool).await?.rows_affected(),
            Self::MySql(pool) => MySql::query(sql, params).execute(pool).await?.rows_affected(),
        })
    }

    pub(crate) async fn begin(&self) -> Result<Inner, Error> {
        Ok(match self {
            // A deferred transaction that turns into a writer later can fail at once, whatever the busy
            // timeout.
            Self::Sqlite(pool) => Inner::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Inner::Postgres(pool.begin().await?),
            Self::MySql(pool) => Inner::MySql(pool.begin().await?),
        })
    }

    pub(crate) async fn close(&self) {
        each!(self, Self, pool => pool.close().await);
    }
}

fn rows<R>(rows: Vec<R>, kind: fn(R) -> Row) -> Vec<Row> {
    rows.into_iter().map(kind).collect()
}

pub(crate) enum Inner {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
    MySql(sqlx::Transaction<'static, MySql>),
}

/// A transaction: undone when dropped, and never committed after one of its statements failed.
///
/// PostgreSQL would answer such a commit with a silent rollback and MySQL would commit the rest.
pub struct Transaction {
    inner: Inner,
    vault: Arc<Vault>,
    broken: bool,
    /// SQLite has one writer; waiting for it here is fair and holds no connection.
    _writer: Option<OwnedSemaphorePermit>,
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("backend", &self.backend()).field("broken", &self.broken).finish()
    }
}

impl Transaction {
    pub(crate) fn new(inner: Inner, vault: Arc<Vault>, writer: Option<OwnedSemaphorePermit>) -> Self {
        Self { inner, vault, broken: false, _writer: writer }
    }

    /// Commits. After [`Error::Unavailable`] nobody knows whether it did: the message's key tells the next
    /// attempt.
    pub async fn commit(self) -> Result<(), Error> {
        if self.broken {
            each!(self.inner, Inner, tx => tx.rollback().await)?;
            return Err(Error::Broken);
        }
        Ok(each!(self.inner, Inner, tx => tx.commit().await)?)
    }

    /// Undoes everything now. Dropping the transaction does the same a little later.
    pub async fn rollback(self) -> Result<(), Error> {
        Ok(each!(self.inner, Inner, tx => tx.rollback().await)?)
    }

    pub(crate) async fn execute(&mut self, sql: &str, params: Vec<Param>) -> Result<u64, Error> {
        let done = self.try_execute(sql, params).await;
        self.note(done.map(|done| done.affected).map_err(Error::from))
    }

    /// Inserts unless a unique key is taken; false when it is. The statement ends with `{or_nothing}`.
    ///
    /// When another transaction is inserting the same key, this waits for its end.
    pub(crate) async fn insert_new(&mut self, sql: &str, params: Vec<Param>) -> Result<bool, Error> {
        let done = match self.try_execute(sql, params).await {
            Ok(done) => Ok(done.affected > 0),
            Err(sqlx::Error::Database(error)) if self.is_mysql() && error.is_unique_violation() => Ok(false),
            Err(error) => Err(error.into()),
        };
        self.note(done)
    }

    /// As [`Self::insert_new`], for a table with an `id`; the statement ends with `{or_nothing}
    /// {returning_id}`.
    pub(crate) async fn insert_row(&mut self, sql: &str, params: Vec<Param>) -> Result<Option<i64>, Error> {
        if matches!(self.inner, Inner::Postgres(_)) {
            let rows = self.rows(sql, params).await?;
            return rows.first().map(|row| row.int("id")).transpose();
        }
        let done = match self.try_execute(sql, params).await {
            Ok(done) => Ok((done.affected > 0).then_some(done.id)),
            Err(sqlx::Error::Database(error)) if self.is_mysql() && error.is_unique_violation() => Ok(None),
            Err(error) => Err(error.into()),
        };
        self.note(done)
    }

    async fn try_execute(&mut self, sql: &str, params: Vec<Param>) -> Result<Done, sqlx::Error> {
        let sql = render(self.backend(), sql);
        Ok(match &mut self.inner {
            Inner::Sqlite(tx) => {
                let done = Sqlite::query(sql, params).execute(&mut **tx).await?;
                Done { affected: done.rows_affected(), id: done.last_insert_rowid() }
            }
            Inner::Postgres(tx) => {
                let done = Postgres::query(sql, params).execute(&mut **tx).await?;
                Done { affected: done.rows_affected(), id: 0 }
            }
            Inner::MySql(tx) => {
                let done = MySql::query(sql, params).execute(&mut **tx).await?;
                let id = i64::try_from(done.last_insert_id()).unwrap_or_default();
                Done { affected: done.rows_affected(), id }
            }
        })
    }

    async fn try_rows(&mut self, sql: SqlStr, params: Vec<Param>) -> Result<Vec<Row>, sqlx::Error> {
        Ok(match &mut self.inner {
            Inner::Sqlite(tx) => rows(Sqlite::query(sql, params).fetch_all(&mut **tx).await?, Row::Sqlite),
            Inner::Postgres(tx) => {
                rows(Postgres::query(sql, params).fetch_all(&mut **tx).await?, Row::Postgres)
            }
            Inner::MySql(tx) => rows(MySql::query(sql, params).fetch_all(&mut **tx).await?, Row::MySql),
        })
    }

    /// Locks the rows that `sql` selects until the end, where rows are what is locked.
    pub(crate) async fn lock(&mut self, sql: &str, params: Vec<Param>) -> Result<(), Error> {
        if matches!(self.inner, Inner::Sqlite(_)) {
            return Ok(());
        }
        self.rows(&format!("{sql} {{for_update}}"), params).await.map(drop)
    }

    /// Makes sure that nothing of this is committed.
    pub(crate) fn spoil(&mut self) {
        self.broken = true;
    }

    fn is_mysql(&self) -> bool {
        matches!(self.inner, Inner::MySql(_))
    }

    fn note<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        self.broken |= result.is_err();
        result
    }
}

struct Done {
    affected: u64,
    id: i64,
}

/// Where a read may run: on the pool or inside a transaction.
pub(crate) trait Read: Send {
    fn backend(&self) -> Backend;
    fn vault(&self) -> &Vault;
    fn rows(&mut self, sql: &str, params: Vec<Param>)
    -> impl Future<Output = Result<Vec<Row>, Error>> + Send;

    fn row(
        &mut self,
        sql: &str,
        params: Vec<Param>,
    ) -> impl Future<Output = Result<Option<Row>, Error>> + Send {
        async move { Ok(self.rows(sql, params).await?.into_iter().next()) }
    }
}

impl Read for Transaction {
    fn backend(&self) -> Backend {
        match self.inner {
            Inner::Sqlite(_) => Backend::Sqlite,
            Inner::Postgres(_) => Backend::Postgres,
            Inner::MySql(_) => Backend::MySql,
        }
    }

    fn vault(&self) -> &Vault {
        &self.vault
    }

    async fn rows(&mut self, sql: &str, params: Vec<Param>) -> Result<Vec<Row>, Error> {
        let sql = render(self.backend(), sql);
        let rows = self.try_rows(sql, params).await;
        self.note(rows.map_err(Error::from))
    }
}

/// A row, read by column name.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
    MySql(MySqlRow),
}

impl Row {
    // MySQL calls text with a binary collation bytes, hence the getters that do not ask for the column's
    // type.

    pub(crate) fn text(&self, column: &str) -> Result<Option<String>, Error> {
        Ok(each!(self, Self, row => row.try_get_unchecked(column))?)
    }

    pub(crate) fn int_opt(&self, column: &str) -> Result<Option<i64>, Error> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get_unchecked(column)?,
            Self::MySql(row) => row.try_get_unchecked(column)?,
            // PostgreSQL sends four bytes for INTEGER and eight for BIGINT.
            Self::Postgres(row) => match row.try_get::<Option<i64>, _>(column) {
                Ok(number) => number,
                Err(_) => row.try_get::<Option<i32>, _>(column)?.map(i64::from),
            },
        })
    }

    pub(crate) fn flag_opt(&self, column: &str) -> Result<Option<bool>, Error> {
        Ok(each!(self, Self, row => row.try_get_unchecked(column))?)
    }

    pub(crate) fn time(&self, column: &str) -> Result<Option<PrimitiveDateTime>, Error> {
        Ok(each!(self, Self, row => row.try_get_unchecked(column))?)
    }

    pub(crate) fn int(&self, column: &str) -> Result<i64, Error> {
        self.int_opt(column)?.ok_or_else(|| missing(column))
    }

    pub(crate) fn count(&self, column: &str) -> Result<u64, Error> {
        u64::try_from(self.int(column)?).map_err(|_| Error::corrupt(format!("{column} is negative")))
    }

    pub(crate) fn small(&self, column: &str) -> Result<u32, Error> {
        u32::try_from(self.int(column)?).map_err(|_| Error::corrupt(format!("{column} is out of range")))
    }

    pub(crate) fn flag(&self, column: &str) -> Result<bool, Error> {
        self.flag_opt(column)?.ok_or_else(|| missing(column))
    }

    pub(crate) fn string(&self, column: &str) -> Result<String, Error> {
        self.text(column)?.ok_or_else(|| missing(column))
    }

    pub(crate) fn uuid_opt(&self, column: &str) -> Result<Option<Uuid>, Error> {
        let parse =
            |text: String| Uuid::parse_str(&text).map_err(|_| Error::corrupt(format!("{column} is no uuid")));
        self.text(column)?.map(parse).transpose()
    }

    pub(crate) fn uuid(&self, column: &str) -> Result<Uuid, Error> {
        self.uuid_opt(column)?.ok_or_else(|| missing(column))
    }
}

fn missing(column: &str) -> Error {
    Error::corrupt(format!("{column} is NULL"))
}
