//! What operators watch: how much is going on and how long it has been.

use crate::operation::record::{Kind, State};

use super::Store;
use super::driver::{Read, params};
use super::error::Error;
use super::operations::{kind, state};

/// A count of everything that waits, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gauges {
    pub operations: Vec<(Kind, State, u64)>,
    /// How long ago the oldest unfinished operation was accepted.
    pub oldest_running_ms: Option<i64>,
    pub outbox_depth: u64,
    /// How long ago the oldest message in the outbox was committed.
    pub oldest_outbox_ms: Option<i64>,
    /// Messages that wait for an operator.
    pub set_aside: u64,
}

impl Store {
    pub async fn gauges(&self) -> Result<Gauges, Error> {
        let db = &mut &*self;
        let sql =
            "SELECT kind, state, COUNT(*) AS number FROM operation GROUP BY kind, state ORDER BY kind, state";
        let counts = db.rows(sql, params![]).await?;
        let count = |row| Ok::<_, Error>((kind(row)?, state(row)?, row.count("number")?));
        let operations = counts.iter().map(count).collect::<Result<_, _>>()?;
        let sql = "SELECT {now_ms} - MIN(created_ms) AS age FROM operation WHERE state = 'running'";
        let running = db.row(sql, params![]).await?;
        let outbox =
            db.row("SELECT COUNT(*) AS number, {now_ms} - MIN(created_ms) AS age FROM outbox", params![]);
        let outbox = outbox.await?.ok_or_else(|| Error::corrupt("outbox"))?;
        let aside = db.row("SELECT COUNT(*) AS number FROM set_aside", params![]).await?;
        let aside = aside.ok_or_else(|| Error::corrupt("set_aside"))?;
        Ok(Gauges {
            operations,
            oldest_running_ms: running.map(|row| row.int_opt("age")).transpose()?.flatten(),
            outbox_depth: outbox.count("number")?,
            oldest_outbox_ms: outbox.int_opt("age")?,
            set_aside: aside.count("number")?,
        })
    }
}
