//! What can go wrong in the store, sorted by what a caller does about it.

use uuid::Uuid;

use crate::operation::record::Kind;

use super::page::Key;
use super::{url, vault};

/// A failure of the store. A variant is a decision of the caller, not a place in the code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another worker may hold the operation now: stop, write nothing, tell nobody.
    #[error("the lease on operation {operation} is lost")]
    LeaseLost { operation: Uuid },
    /// The bay has an unfinished operation.
    #[error("the bay is busy: {} {operation} is not finished", .kind.as_str())]
    Busy { kind: Kind, operation: Uuid },
    /// A row with this uuid exists.
    #[error("a row with this uuid exists")]
    Duplicate,
    /// The list cannot be sorted by this.
    #[error("`{0}` is not a sort key")]
    SortKey(String),
    /// The list cannot start after this row: the caller sees no such row.
    #[error("the marker {0} was not found")]
    Marker(Key),
    /// The database does not answer or refuses every write for now: wait until it is back.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// The database undid the transaction because of another one: run it again.
    #[error("the transaction gave way to another one")]
    Retryable(#[source] sqlx::Error),
    /// An operation began on the row before it could be locked: run the transaction again.
    #[error("an operation began on the row meanwhile")]
    Outrun,
    /// A value does not fit its column: the request is at fault.
    #[error("a value does not fit its column")]
    Unstorable(#[source] sqlx::Error),
    /// A statement failed before, so nothing of this transaction may be committed.
    #[error("a statement of this transaction failed: nothing was committed")]
    Broken,
    /// A row cannot be read.
    #[error("the database holds an unreadable value: {what}")]
    Corrupt { what: String },
    #[error(transparent)]
    Vault(#[from] vault::Error),
    #[error(transparent)]
    Url(#[from] url::Error),
    #[error("the database could not be migrated")]
    Migration(#[source] Box<sqlx::migrate::MigrateError>),
    /// Anything else: a fault of ours or of the set-up.
    #[error("the database refused a statement{}", told(.0))]
    Database(#[source] sqlx::Error),
}

/// Which fault it was, without the text: that may quote what was to be stored.
fn told(error: &sqlx::Error) -> String {
    if let sqlx::Error::Database(cause) = error {
        return cause.code().map(|code| format!(" (code {code})")).unwrap_or_default();
    }
    if matches!(error, sqlx::Error::InvalidSavePointStatement) { " (a transaction is open)" } else { "" }
        .to_owned()
}

impl Error {
    /// Whether the same transaction may succeed when run again at once.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Retryable(_) | Self::Outrun)
    }

    /// Whether nothing can be recorded for now, so that nothing may be acknowledged either.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Whether a row is at fault that this worker cannot read: others can be.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Vault(_))
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::ColumnDecode { index, .. } = &error {
            return Self::corrupt(format!("column {index}"));
        }
        match classify(&error) {
            Class::Retryable => Self::Retryable(error),
            Class::Unavailable => Self::Unavailable(error),
            Class::Unstorable => Self::Unstorable(error),
            Class::Other => Self::Database(error),
        }
    }
}

fn classify(error: &sqlx::Error) -> Class {
    use sqlx::Error as E;
    if let E::Database(cause) = error {
        return class(cause.as_ref());
    }
    let connection = matches!(
        error,
        E::Io(_)
            | E::Tls(_)
            | E::Protocol(_)
            | E::PoolTimedOut
            | E::PoolClosed
            | E::WorkerCrashed
            | E::BeginFailed
    );
    if connection { Class::Unavailable } else { Class::Other }
}

enum Class {
    Retryable,
    Unavailable,
    Unstorable,
    Other,
}

fn class(error: &dyn sqlx::error::DatabaseError) -> Class {
    if let Some(mysql) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return mysql_class(mysql.number());
    }
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        return sqlite_class(code.parse().unwrap_or_default());
    }
    postgres_class(&code)
}

/// The low byte of SQLite's extended code is its primary code.
fn sqlite_class(code: u32) -> Class {
    match code & 0xff {
        5 | 6 => Class::Retryable,                   // BUSY, LOCKED
        8 | 10 | 13 | 14 | 26 => Class::Unavailable, // READONLY, IOERR, FULL, CANTOPEN, NOTADB
        18 | 20 => Class::Unstorable,                // TOOBIG, MISMATCH
        _ => Class::Other,
    }
}

fn postgres_class(code: &str) -> Class {
    match code {
        // Serialization failure, deadlock, lock timeout.
        "40001" | "40P01" | "55P03" => Class::Retryable,
        // Our own limit on idle transactions ended one: the connection is gone, the work may be repeated.
        "25P03" => Class::Retryable,
        // A standby that refuses writes; an old snapshot of a failed-over cluster.
        "25006" => Class::Unavailable,
        // Whoever may come in or write is being changed: a password, a right, the database itself.
        "28000" | "28P01" | "3D000" | "42501" => Class::Unavailable,
        // Connection (08), resources and disk (53), operator's shutdown (57), I/O (58).
        _ if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => Class::Unavailable,
        _ if code.starts_with("22") => Class::Unstorable,
        _ => Class::Other,
    }
}

fn mysql_class(number: u16) -> Class {
    match number {
        // A row that changed under the snapshot, lock wait timeout, deadlock (Galera reports a lost
        // certification so).
        1020 | 1205 | 1213 => Class::Retryable,
        // Disk full or broken, too many connections, shutdown, out of resources, table full, read-only, killed, idle
        // timeout, a node of Galera's without its cluster, a commit that failed.
        3 | 1021 | 1026 | 1030 | 1040 | 1041 | 1047 | 1053 | 1114 | 1180 | 1203 | 1226 | 1290 | 1792
        | 1836 | 1927 | 4031 => Class::Unavailable,
        // Whoever may come in or write is being changed: a password, a right, the database itself.
        1044 | 1045 | 1049 | 1142 | 1143 | 1227 => Class::Unavailable,
        // Out of range, bad string for the character set, too long, truncated.
        1264 | 1265 | 1366 | 1406 => Class::Unstorable,
        _ => Class::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pool_means_unavailable_and_a_missing_row_does_not() {
        assert!(Error::from(sqlx::Error::PoolTimedOut).is_unavailable());
        assert!(Error::from(sqlx::Error::PoolClosed).is_unavailable());
        assert!(matches!(Error::from(sqlx::Error::RowNotFound), Error::Database(_)));
    }

    #[test]
    fn each_backend_tells_a_deadlock_in_its_own_code() {
        assert!(matches!(postgres_class("40P01"), Class::Retryable));
        assert!(matches!(mysql_class(1213), Class::Retryable));
        assert!(matches!(sqlite_class(517), Class::Retryable));
        assert!(matches!(postgres_class("57P01"), Class::Unavailable));
        for refused in [1290, 1047, 1030, 1142] {
            assert!(matches!(mysql_class(refused), Class::Unavailable), "{refused}");
        }
        assert!(matches!(postgres_class("42501"), Class::Unavailable));
        assert!(matches!(sqlite_class(13), Class::Unavailable));
        assert!(matches!(postgres_class("22001"), Class::Unstorable));
        assert!(matches!(mysql_class(1406), Class::Unstorable));
        assert!(matches!(postgres_class("23505"), Class::Other));
    }
}
