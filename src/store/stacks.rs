//! Which operations wait for which stack, and which worker of the pool looks at a project's stacks, when.
//!
//! The next look at a project is a row of `periodic`: whoever moves its time on looks, and nobody else meanwhile. A
//! worker that dies over it is followed by another one when that time has come.

use std::collections::HashMap;
use std::time::Duration;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::operation::record::{AWAIT_GONE, AWAIT_STACK};

use super::driver::{Param, Read, Row, params};
use super::error::Error;
use super::{Store, millis};

/// Before the name of every project in `periodic`.
const PREFIX: &str = "stacks:";
/// The look at the stacks of all projects at once.
const EVERYWHERE: &str = "all_stacks";
/// Operations that one statement moves.
const CHUNK: usize = 50;
/// Longer than any statement waits for a row, in milliseconds.
const WAIT: i64 = 10_000;
/// After this long without anything to wait for, a project's row is forgotten.
const FORGOTTEN: i64 = 600_000;

/// Who waits: at a step that waits for a stack, held by nobody, with its time still to come.
const WAITING: &str = "operation o JOIN cluster c ON c.uuid = o.subject_uuid WHERE o.state = 'running' \
     AND o.step IN (?, ?) AND o.after_operation IS NULL AND o.run_at > ? AND o.lease_until <= ? \
     AND c.stack_id IS NOT NULL";

/// Whose stacks one look is at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StackScope {
    /// Bays without a project are one.
    Project(Option<String>),
    Everywhere,
}

/// Operations whose stacks are looked at together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackLot {
    pub scope: StackScope,
    pub waiting: u64,
    /// How long ago the youngest of the operations was accepted.
    pub youngest: Duration,
    /// When the next look is due; not before somebody else has ended his, or given up.
    pub due_in: Duration,
}

/// An operation that waits for a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackWait {
    pub operation: Uuid,
    pub bay: Uuid,
    pub stack_id: String,
    /// What the bay shows of its stack.
    pub status: Option<String>,
    /// When the operation would look by itself.
    pub looks_in: Duration,
}

/// What became of the news about a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StackNews {
    /// No operation waits for it, or the one that does looks in any case.
    Nobody,
    /// The operation that waits looks now.
    Woken,
    /// A worker has the operation in hand, and may have looked before the news.
    InHand,
}

impl Store {
    /// The projects with operations that wait for a stack, and when each is to be looked at.
    pub async fn stack_lots(&self) -> Result<Vec<StackLot>, Error> {
        let now = self.now_ms().await?;
        let sql = format!(
            "SELECT c.project_id AS project_id, COUNT(*) AS waiting, MAX(o.created_ms) AS youngest \
             FROM {WAITING} GROUP BY c.project_id"
        );
        let rows = (&mut &*self).rows(&sql, waiting(now)).await?;
        let rests = self.stack_turns(now).await?;
        let lot = |row: &Row| {
            let scope = StackScope::Project(row.text("project_id")?);
            let due_in = rests.get(&scope.key()).copied().unwrap_or_default();
            let youngest = span(now - row.int("youngest")?);
            Ok(StackLot { waiting: row.count("waiting")?, youngest, due_in, scope })
        };
        rows.iter().map(lot).collect()
    }

    /// When the next look at the stacks of all projects is due.
    pub async fn stack_turn_everywhere(&self) -> Result<Duration, Error> {
        let now = self.now_ms().await?;
        Ok(self.stack_turns(now).await?.get(EVERYWHERE).copied().unwrap_or_default())
    }

    async fn stack_turns(&self, now: i64) -> Result<HashMap<String, Duration>, Error> {
        let sql = "SELECT name, next_ms FROM periodic WHERE name LIKE 'stacks:%' OR name = 'all_stacks'";
        let rows = (&mut &*self).rows(sql, params![]).await?;
        rows.iter().map(|row| Ok((row.string("name")?, span(row.int("next_ms")? - now)))).collect()
    }

    /// Takes a due look for this worker, for as long as `hold`; false when somebody else was first. No look is set
    /// further ahead than `furthest`, but by a clock that has been put right since.
    pub async fn take_stack_turn(
        &self,
        scope: &StackScope,
        owner: &str,
        hold: Duration,
        furthest: Duration,
    ) -> Result<bool, Error> {
        let name = &scope.key();
        let (hold, far) = (millis(hold), millis(hold.max(furthest)).saturating_add(WAIT));
        self.retrying(|| async move {
            let mut tx = self.begin().await?;
            let again = "UPDATE periodic SET owner = ?, next_ms = {now_ms} + ? \
                 WHERE name = ? AND (next_ms <= {now_ms} OR next_ms > {now_ms} + ?)";
            let first =
                "INSERT INTO periodic (name, next_ms, owner) VALUES (?, {now_ms} + ?, ?) {or_nothing}";
            let ours = tx.execute(again, params![owner, hold, name, far]).await? > 0
                || tx.insert_new(first, params![name, hold, owner]).await?;
            tx.commit().await?;
            Ok(ours)
        })
        .await
    }

    /// Says when the next look is due, unless it is somebody else's by now.
    pub async fn set_stack_turn(
        &self,
        scope: &StackScope,
        owner: &str,
        after: Duration,
    ) -> Result<(), Error> {
        let sql = "UPDATE periodic SET next_ms = {now_ms} + ? WHERE name = ? AND owner = ?";
        self.execute(sql, params![millis(after), scope.key(), owner]).await.map(drop)
    }

    /// Forgets the projects that have had nothing to wait for since long ago.
    pub async fn forget_stack_turns(&self) -> Result<u64, Error> {
        let sql = "DELETE FROM periodic WHERE name LIKE 'stacks:%' AND next_ms < {now_ms} - ?";
        self.execute(sql, params![FORGOTTEN]).await
    }

    /// The operations that wait, the oldest first.
    pub async fn stack_waits(&self, scope: &StackScope) -> Result<Vec<StackWait>, Error> {
        let now = self.now_ms().await?;
        let mut params = waiting(now);
        let of = match scope {
            StackScope::Everywhere => "",
            StackScope::Project(None) => " AND c.project_id IS NULL",
            StackScope::Project(Some(project)) => {
                params.push(Param::from(project));
                " AND c.project_id = {exact}"
            }
        };
        let sql = format!(
            "SELECT o.uuid AS uuid, o.run_at AS run_at, c.uuid AS bay_uuid, c.stack_id AS stack_id, \
             c.status AS status FROM {WAITING}{of} ORDER BY o.created_ms, o.uuid"
        );
        let rows = (&mut &*self).rows(&sql, params).await?;
        let wait = |row: &Row| {
            Ok(StackWait {
                operation: row.uuid("uuid")?,
                bay: row.uuid("bay_uuid")?,
                stack_id: row.string("stack_id")?,
                status: row.text("status")?,
                looks_in: span(row.int("run_at")? - now),
            })
        };
        rows.iter().map(wait).collect()
    }

    /// Lets operations that wait for their stacks look now; says how many do.
    pub async fn wake_stack_waits(&self, operations: &[Uuid]) -> Result<u64, Error> {
        self.move_stack_waits(operations, Duration::ZERO).await
    }

    /// Spares operations their own look for a while: somebody has looked for them.
    pub async fn put_off_stack_waits(&self, operations: &[Uuid], until: Duration) -> Result<u64, Error> {
        self.move_stack_waits(operations, until).await
    }

    /// One that was woken meanwhile is left as it is.
    async fn move_stack_waits(&self, operations: &[Uuid], after: Duration) -> Result<u64, Error> {
        let mut moved = 0;
        for chunk in operations.chunks(CHUNK) {
            let any = vec!["?"; chunk.len()].join(", ");
            let sql = format!(
                "UPDATE operation {{by_key}} SET run_at = {{now_ms}} + ? WHERE uuid IN ({any}) \
                 AND state = 'running' AND step IN (?, ?) AND after_operation IS NULL \
                 AND run_at > {{now_ms}} AND lease_until <= {{now_ms}}"
            );
            let mut params = params![millis(after)];
            params.extend(chunk.iter().map(|uuid| Param::from(*uuid)));
            params.extend(params![AWAIT_STACK, AWAIT_GONE]);
            moved += self.execute(&sql, params).await?;
        }
        Ok(moved)
    }

    /// Lets the operation that waits for a stack look now.
    pub async fn stack_moved(&self, stack_id: &str) -> Result<StackNews, Error> {
        let sql = "SELECT o.uuid AS uuid, o.lease_until AS lease_until FROM operation o \
             JOIN cluster c ON c.uuid = o.subject_uuid WHERE o.state = 'running' AND c.stack_id = ? \
             AND o.step IN (?, ?) AND o.after_operation IS NULL";
        let rows = (&mut &*self).rows(sql, params![stack_id, AWAIT_STACK, AWAIT_GONE]).await?;
        let Some(row) = rows.first() else { return Ok(StackNews::Nobody) };
        if row.int("lease_until")? > self.now_ms().await? {
            return Ok(StackNews::InHand);
        }
        let woken = self.wake_stack_waits(&[row.uuid("uuid")?]).await?;
        Ok(if woken > 0 { StackNews::Woken } else { StackNews::Nobody })
    }
}

impl StackScope {
    /// The row's name, which has less room than a project's.
    fn key(&self) -> String {
        match self {
            Self::Everywhere => EVERYWHERE.to_owned(),
            Self::Project(None) => PREFIX.to_owned(),
            Self::Project(Some(project)) if is_short(project) => format!("{PREFIX}{project}"),
            Self::Project(Some(project)) => {
                let digest = Sha256::digest(project);
                digest.iter().take(20).fold(format!("{PREFIX}#"), |text, byte| text + &format!("{byte:02x}"))
            }
        }
    }
}

/// As Keystone makes them.
fn is_short(project: &str) -> bool {
    (1..=50).contains(&project.len()) && project.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// The parameters of [`WAITING`].
fn waiting(now: i64) -> Vec<Param> {
    params![AWAIT_STACK, AWAIT_GONE, now, now]
}

/// Milliseconds of the database's clock, none where they have passed.
fn span(milliseconds: i64) -> Duration {
    Duration::from_millis(milliseconds.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_project_has_a_key_of_its_own_that_fits_the_column() {
        let key = |project: &str| StackScope::Project(Some(project.to_owned())).key();
        assert_eq!(key("5b9d1b2f7e8a4b5c8d1e2f3a4b5c6d7e"), "stacks:5b9d1b2f7e8a4b5c8d1e2f3a4b5c6d7e");
        let long = "x".repeat(255);
        for odd in ["", "a b", "ü", "all_stacks", long.as_str()] {
            assert!(key(odd).len() <= 64, "{odd}: {}", key(odd));
            assert_ne!(key(odd), StackScope::Project(None).key());
            assert_ne!(key(odd), StackScope::Everywhere.key());
        }
        assert_ne!(key(&long), key(&format!("{long}x")));
    }
}
