//! Work that is done once per interval in the whole pool, by whichever worker comes first.

use std::time::Duration;

use super::driver::{Read, params};
use super::error::Error;
use super::{Store, millis};

/// A task of the whole pool. The name is stored: never change one that was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Periodic {
    /// Forgets what is past its retention.
    Purge,
}

impl Periodic {
    pub const ALL: &'static [Self] = &[Self::Purge];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Purge => "purge",
        }
    }
}

/// Whether a task is this worker's to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Ours,
    /// Somebody does it, or has done it: it is not due before this has passed.
    Later(Duration),
}

/// Longer than any statement waits for a row, in milliseconds.
const WAIT: i64 = 10_000;

/// The row that is written to see that one can be.
const TRACE: &str = "writable";

impl Store {
    pub(super) async fn leave_trace(&self) -> Result<(), Error> {
        let mut tx = self.begin().await?;
        let first = "INSERT INTO periodic (name, next_ms, owner) VALUES (?, {now_ms}, '') {or_nothing}";
        if !tx.insert_new(first, params![TRACE]).await? {
            tx.execute("UPDATE periodic SET next_ms = {now_ms} WHERE name = ?", params![TRACE]).await?;
        }
        tx.commit().await
    }

    /// Takes a task for this interval if it is due, by the database's clock.
    ///
    /// Whoever moves the time on does the work. If it dies over it the next interval's does it: such work can be done
    /// twice or late.
    pub async fn take_turn(&self, task: Periodic, owner: &str, every: Duration) -> Result<Turn, Error> {
        self.retrying(|| self.turn(task, owner, millis(every))).await
    }

    async fn turn(&self, task: Periodic, owner: &str, every: i64) -> Result<Turn, Error> {
        let mut tx = self.begin().await?;
        // From when it was due, so that looking late does not add up; from now, if that has passed too. A time that is
        // further away than an interval was set with a longer one, or by a clock that has been put right since: much
        // further, because who waited for the row has the time of before it waited.
        let again = "UPDATE periodic SET owner = ?, \
             next_ms = CASE WHEN next_ms <= {now_ms} AND next_ms + ? > {now_ms} THEN next_ms + ? ELSE {now_ms} + ? END \
             WHERE name = ? AND (next_ms <= {now_ms} OR next_ms > {now_ms} + ?)";
        let far = every.saturating_add(WAIT);
        let first = "INSERT INTO periodic (name, next_ms, owner) VALUES (?, {now_ms} + ?, ?) {or_nothing}";
        let name = task.as_str();
        let ours = tx.execute(again, params![owner, every, every, every, name, far]).await? > 0
            || tx.insert_new(first, params![name, every, owner]).await?;
        tx.commit().await?;
        if ours {
            return Ok(Turn::Ours);
        }
        let sql = "SELECT next_ms - {now_ms} AS rest FROM periodic WHERE name = ?";
        let row = (&mut &*self).row(sql, params![name]).await?;
        let rest = row.map_or(Ok(0), |row| row.int("rest"))?.clamp(0, every);
        Ok(Turn::Later(Duration::from_millis(rest.unsigned_abs())))
    }
}
