//! The three dialects, and the only place where SQL text is made at run time.
//!
//! Every statement is written once, with `?` for a parameter and a marker in braces where the databases
//! differ. Statements are put together from literals only: a value from outside is always a parameter.

use sqlx::SqlStr;

/// Which database serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    Sqlite,
    Postgres,
    MySql,
}

impl Backend {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgresql",
            Self::MySql => "mysql",
        }
    }

    /// What a marker stands for. `None`: no such marker.
    fn marker(self, name: &str) -> Option<&'static str> {
        Some(match (name, self) {
            // Milliseconds of the database's clock, at this statement and not at the transaction's start.
            ("now_ms", Self::Sqlite) => "CAST(ROUND(unixepoch('now', 'subsec') * 1000) AS INTEGER)",
            ("now_ms", Self::Postgres) => {
                "CAST(ROUND(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS BIGINT)"
            }
            ("now_ms", Self::MySql) => "CAST(ROUND(UNIX_TIMESTAMP(NOW(3)) * 1000) AS SIGNED)",
            // UTC in whole seconds, for Magnum's columns.
            ("now", Self::Sqlite) => "datetime('now')",
            ("now", Self::Postgres) => "date_trunc('second', timezone('UTC', clock_timestamp()))",
            ("now", Self::MySql) => "UTC_TIMESTAMP()",
            // SQLite has one writer at a time: the transaction itself is the lock.
            ("for_update", Self::Sqlite) => "",
            ("for_update", Self::Postgres | Self::MySql) => "FOR UPDATE",
            // MySQL reports the duplicate as an error of the statement alone, which the caller takes as the
            // answer: INSERT IGNORE would swallow other faults too.
            ("or_nothing", Self::MySql) => "",
            ("or_nothing", Self::Sqlite | Self::Postgres) => "ON CONFLICT DO NOTHING",
            // On a small table MySQL's optimizer may find one row of many conditions by another index and
            // lock that first: two statements on the same row would then wait for each other.
            ("by_key", Self::MySql) => "FORCE INDEX (PRIMARY)",
            ("by_key", Self::Sqlite | Self::Postgres) => "",
            // The name of a column of Magnum's, and a word of SQL's.
            ("binary", Self::MySql) => "`binary`",
            ("binary", Self::Sqlite | Self::Postgres) => "\"binary\"",
            ("returning_id", Self::Postgres) => "RETURNING id",
            ("returning_id", Self::Sqlite | Self::MySql) => "",
            _ => return None,
        })
    }
}

/// Turns a statement into this database's dialect.
///
/// `{exact}` is a parameter compared byte for byte: Magnum's MySQL tables compare without case, and tenancy
/// and names must not.
#[expect(
    clippy::disallowed_methods,
    reason = "the one reviewed place: the text is made of literals, see above"
)]
pub(crate) fn render(backend: Backend, sql: &str) -> SqlStr {
    use sqlx::SqlSafeStr as _;
    sqlx::AssertSqlSafe(translate(backend, sql)).into_sql_str()
}

fn translate(backend: Backend, sql: &str) -> String {
    let mut text = String::with_capacity(sql.len() + 64);
    let mut parameters = 0;
    let mut letters = sql.chars();
    while let Some(letter) = letters.next() {
        let marker = match letter {
            '?' => String::from("?"),
            '{' => letters.by_ref().take_while(|letter| *letter != '}').collect(),
            _ => {
                text.push(letter);
                continue;
            }
        };
        match (marker.as_str(), backend) {
            ("?" | "exact", Backend::Postgres) => {
                parameters += 1;
                text.push_str(&format!("${parameters}"));
            }
            ("exact", Backend::MySql) => text.push_str("CAST(? AS BINARY)"),
            ("?" | "exact", _) => text.push('?'),
            (name, _) => text.push_str(backend.marker(name).expect("our statements use known markers only")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_markers_become_each_dialect() {
        let sql = "UPDATE t SET a = ?, b = {now_ms} WHERE c = {exact} AND d = ? {for_update}";
        assert_eq!(
            translate(Backend::Postgres, sql),
            "UPDATE t SET a = $1, b = CAST(ROUND(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS BIGINT) \
             WHERE c = $2 AND d = $3 FOR UPDATE"
        );
        assert_eq!(
            translate(Backend::MySql, sql),
            "UPDATE t SET a = ?, b = CAST(ROUND(UNIX_TIMESTAMP(NOW(3)) * 1000) AS SIGNED) \
             WHERE c = CAST(? AS BINARY) AND d = ? FOR UPDATE"
        );
        assert_eq!(translate(Backend::Sqlite, "a = {exact} {for_update}"), "a = ? ");
    }
}
