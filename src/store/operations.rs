//! Operations: reading them, and every write that accepts, moves or ends one.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::operation::guard::{self, Guard};
use crate::operation::record::{Kind, Lease, Operation, State};

use super::driver::{Param, Read, Row, Transaction, params};
use super::error::Error;
use super::text::reason;
use super::vault::Vault;
use super::{Store, millis};

/// When an operation is looked at next, and whether its worker keeps it until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// At once, by the same worker.
    Now,
    /// Later, by any worker.
    Release { after: Duration },
}

/// How an operation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Done,
    Failed,
}

/// Where an operation stands, for whoever waits for its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub state: State,
    pub reason: Option<String>,
    pub finished_ms: Option<i64>,
}

/// How often a free subject is looked at again before its row is called corrupt.
const TRIES: usize = 10;

pub(super) const COLUMNS: &str = "uuid, kind, subject_uuid, project_id, state, step, attempts, superseded, request_id, \
     progress, token, deadline_ms, created_ms, fence";

impl Store {
    pub async fn operation(&self, uuid: Uuid) -> Result<Option<Operation>, Error> {
        find(&mut &*self, uuid).await
    }

    /// The unfinished operation that a bay or an app is busy with.
    pub async fn active_operation(&self, subject: Uuid) -> Result<Option<Operation>, Error> {
        active(&mut &*self, subject).await
    }

    /// How an operation stands or ended; `None` when it is unknown or was purged.
    pub async fn outcome(&self, operation: Uuid) -> Result<Option<Outcome>, Error> {
        let sql = "SELECT state, reason, finished_ms FROM operation WHERE uuid = ?";
        let row = (&mut &*self).row(sql, params![operation]).await?;
        let read = |row: Row| {
            let (reason, finished_ms) = (row.text("reason")?, row.int_opt("finished_ms")?);
            Ok(Outcome { state: state(&row)?, reason, finished_ms })
        };
        row.map(read).transpose()
    }
}

impl Transaction {
    /// Reads an operation and keeps it from being changed by others until the end.
    pub async fn operation(&mut self, uuid: Uuid) -> Result<Option<Operation>, Error> {
        self.lock("SELECT uuid FROM operation WHERE uuid = ?", params![uuid]).await?;
        find(self, uuid).await
    }

    /// The operation that a bay or an app is busy with; it cannot end before this transaction does.
    pub async fn active_operation(&mut self, subject: Uuid) -> Result<Option<Operation>, Error> {
        loop {
            let Some(seen) = active(self, subject).await? else { return Ok(None) };
            let locked = self.operation(seen.uuid).await?;
            // It may have ended, and another begun, before the lock was ours.
            if active(self, subject).await?.is_some_and(|now| now.uuid == seen.uuid) {
                return Ok(locked);
            }
        }
    }

    /// Locks a row behind the operation that is active on it: a worker locks its operation first, and in the other
    /// order the two would wait for each other.
    pub(super) async fn lock_behind_operation(&mut self, subject: Uuid, row: &str) -> Result<(), Error> {
        let locked = self.active_operation(subject).await?.map(|operation| operation.uuid);
        self.lock(row, params![subject]).await?;
        if active(self, subject).await?.map(|operation| operation.uuid) == locked {
            return Ok(());
        }
        self.spoil();
        Err(Error::Outrun)
    }

    /// The operation that begins when this one ends.
    pub async fn successor(&mut self, of: Uuid) -> Result<Option<Operation>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM operation WHERE after_operation = ?");
        let row = self.row(&sql, params![of]).await?;
        row.map(|row| read(&row, self.vault())).transpose()
    }

    /// The last of the unfinished operations on a subject, which stand in a row behind the active one. Whoever holds
    /// the active one's lock sees none come or go.
    pub async fn last_operation(&mut self, subject: Uuid) -> Result<Option<Operation>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM operation WHERE subject_uuid = ? AND state = 'running' AND uuid NOT IN \
             (SELECT after_operation FROM operation WHERE subject_uuid = ? AND after_operation IS NOT NULL)"
        );
        let row = self.row(&sql, params![subject, subject]).await?;
        row.map(|row| read(&row, self.vault())).transpose()
    }

    /// How many operations on a subject are unfinished.
    pub async fn unfinished(&mut self, subject: Uuid) -> Result<u64, Error> {
        let sql = "SELECT COUNT(*) AS number FROM operation WHERE subject_uuid = ? AND state = 'running'";
        let row = self.row(sql, params![subject]).await?;
        row.map_or(Ok(0), |row| row.count("number"))
    }

    /// Asks every unfinished operation on a subject to stop at its next step boundary, soon.
    pub async fn supersede_all(&mut self, subject: Uuid) -> Result<u64, Error> {
        let sql = "UPDATE operation SET superseded = TRUE, run_at = {now_ms} \
             WHERE subject_uuid = ? AND state = 'running'";
        self.execute(sql, params![subject]).await
    }

    /// Records a new operation, due at once, or says what its subject is busy with; then the transaction goes on.
    ///
    /// `created_ms` is the database's clock, whatever the record says.
    pub async fn insert_operation(&mut self, operation: &Operation) -> Result<(), Error> {
        let sql = "INSERT INTO active_operation (subject_uuid, operation_uuid) VALUES (?, ?) {or_nothing}";
        for _ in 0..TRIES {
            if self.insert_new(sql, params![operation.subject, operation.uuid]).await? {
                return match self.insert(operation, None).await? {
                    true => Ok(()),
                    false => {
                        // The subject must not stay busy with an operation that is another's.
                        self.spoil();
                        Err(Error::Duplicate)
                    }
                };
            }
            // What was in the way may have ended since: then the subject is free.
            if let Some(active) = active(self, operation.subject).await? {
                return Err(Error::Busy { kind: active.kind, operation: active.uuid });
            }
        }
        Err(Error::corrupt("active_operation names an operation that does not exist"))
    }

    /// Records an operation that begins when `predecessor` ends, in the transaction that ends it; at once if
    /// it has ended. [`Error::Busy`] names another successor that came first.
    pub async fn insert_successor(&mut self, operation: &Operation, predecessor: Uuid) -> Result<(), Error> {
        self.operation(predecessor).await?;
        let still = "SELECT uuid FROM operation WHERE uuid = ? AND state = 'running'";
        if self.row(still, params![predecessor]).await?.is_none() {
            return self.insert_operation(operation).await;
        }
        if self.insert(operation, Some(predecessor)).await? {
            return Ok(());
        }
        match self.successor(predecessor).await? {
            Some(first) => Err(Error::Busy { kind: first.kind, operation: first.uuid }),
            None => Err(Error::Duplicate),
        }
    }

    /// Asks an unfinished operation to stop at its next step boundary, soon. False when it has ended.
    pub async fn supersede(&mut self, operation: Uuid) -> Result<bool, Error> {
        let sql = "UPDATE operation {by_key} SET superseded = TRUE, run_at = {now_ms} \
             WHERE uuid = ? AND state = 'running'";
        Ok(self.execute(sql, params![operation]).await? > 0)
    }

    /// Writes an operation's progress under its lease and says when it is looked at next.
    ///
    /// If a delete superseded it since `operation` was read, it is looked at at once.
    pub async fn advance(&mut self, lease: &Lease, operation: &Operation, wake: Wake) -> Result<(), Error> {
        let (delay, keep) = match wake {
            Wake::Now => (Duration::ZERO, true),
            Wake::Release { after } => (after, false),
        };
        let give_back = if keep { "" } else { ", lease_owner = NULL, lease_until = 0" };
        let sql = format!(
            "UPDATE operation {{by_key}} SET step = ?, attempts = ?, progress = ?, token = ?, deadline_ms = ?, \
             run_at = {{now_ms}} + CASE WHEN superseded = TRUE AND ? = FALSE THEN 0 ELSE ? END{give_back} \
             WHERE {}",
            held_by_us()
        );
        let mut params = params![operation.step.as_str(), operation.attempts];
        params.extend(secrets(operation, self.vault()));
        params.extend(params![operation.deadline_ms, operation.superseded, millis(delay)]);
        params.extend(holder(lease));
        self.fenced(lease, &sql, params).await
    }

    /// Ends an operation under its lease: its secrets are erased, nobody waits for it any more, and the bay is
    /// free, or its successor's, which is due at once and returned.
    pub async fn finish(
        &mut self,
        lease: &Lease,
        ending: Ending,
        why: Option<&str>,
    ) -> Result<Option<Uuid>, Error> {
        let state = match ending {
            Ending::Done => State::Done,
            Ending::Failed => State::Failed,
        };
        let sql = format!(
            "UPDATE operation {{by_key}} SET state = ?, reason = ?, finished_ms = {{now_ms}}, \
             progress = NULL, token = NULL, lease_owner = NULL, lease_until = 0 WHERE {}",
            held_by_us()
        );
        let mut params = params![state.as_str(), why.map(reason)];
        params.extend(holder(lease));
        self.fenced(lease, &sql, params).await?;
        self.execute("DELETE FROM caller WHERE operation_uuid = ?", params![lease.operation]).await?;
        self.hand_over(lease.operation).await
    }

    async fn hand_over(&mut self, from: Uuid) -> Result<Option<Uuid>, Error> {
        let waiting = self.row("SELECT uuid FROM operation WHERE after_operation = ?", params![from]).await?;
        let Some(to) = waiting.map(|row| row.uuid("uuid")).transpose()? else {
            self.execute("DELETE FROM active_operation WHERE operation_uuid = ?", params![from]).await?;
            return Ok(None);
        };
        let sql = "UPDATE active_operation SET operation_uuid = ? WHERE operation_uuid = ?";
        self.execute(sql, params![to, from]).await?;
        let sql = "UPDATE operation SET after_operation = NULL, run_at = {now_ms} WHERE uuid = ?";
        self.execute(sql, params![to]).await?;
        Ok(Some(to))
    }

    async fn insert(&mut self, operation: &Operation, after: Option<Uuid>) -> Result<bool, Error> {
        let sql = "INSERT INTO operation (uuid, kind, subject_uuid, project_id, state, step, attempts, superseded, \
             request_id, progress, token, deadline_ms, after_operation, run_at, lease_until, fence, \
             created_ms) VALUES (?, ?, ?, ?, 'running', ?, ?, ?, ?, ?, ?, ?, ?, {now_ms}, 0, 0, {now_ms}) {or_nothing}";
        let mut params = params![
            operation.uuid,
            operation.kind.as_str(),
            operation.subject,
            operation.project_id.as_deref().map(project),
            operation.step.as_str(),
            operation.attempts,
            operation.superseded,
            &operation.request_id,
        ];
        params.extend(secrets(operation, self.vault()));
        params.extend(params![operation.deadline_ms, after.map(|uuid| uuid.to_string())]);
        self.insert_new(sql, params).await
    }

    async fn fenced(&mut self, lease: &Lease, sql: &str, params: Vec<Param>) -> Result<(), Error> {
        if self.execute(sql, params).await? > 0 {
            return Ok(());
        }
        // Whatever else the transaction wrote, it wrote without the right to.
        self.spoil();
        Err(Error::LeaseLost { operation: lease.operation })
    }
}

/// Finds the row if the lease in [`holder`] still is its own.
pub(super) fn held_by_us() -> &'static str {
    if guard::is_off(Guard::Fence) {
        return "uuid = ? AND (fence = ? OR lease_owner = ? OR TRUE)";
    }
    "uuid = ? AND fence = ? AND lease_owner = ? AND state = 'running'"
}

/// Who must hold the row, in the order of every fenced statement.
pub(super) fn holder(lease: &Lease) -> Vec<Param> {
    params![lease.operation, lease.fence, lease.owner.as_str()]
}

/// Progress and token, as every statement writes them.
fn secrets(operation: &Operation, vault: &Vault) -> Vec<Param> {
    let token = operation.token.as_ref().map(|token| {
        vault.seal(&format!("operation.token:{}", operation.uuid), token.expose_secret().as_bytes())
    });
    let progress = vault.seal(&format!("operation.progress:{}", operation.uuid), &operation.progress);
    params![progress, token]
}

/// The column only tells projects apart: a name that does not fit is told apart well enough by its beginning.
fn project(name: &str) -> String {
    name.chars().filter(|letter| *letter != '\0').take(255).collect()
}

async fn find(db: &mut impl Read, uuid: Uuid) -> Result<Option<Operation>, Error> {
    let row = db.row(&format!("SELECT {COLUMNS} FROM operation WHERE uuid = ?"), params![uuid]).await?;
    row.map(|row| read(&row, db.vault())).transpose()
}

async fn active(db: &mut impl Read, subject: Uuid) -> Result<Option<Operation>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM operation \
         WHERE uuid IN (SELECT operation_uuid FROM active_operation WHERE active_operation.subject_uuid = ?)"
    );
    let row = db.row(&sql, params![subject]).await?;
    row.map(|row| read(&row, db.vault())).transpose()
}

pub(super) fn state(row: &Row) -> Result<State, Error> {
    let text = row.string("state")?;
    let states = [State::Running, State::Done, State::Failed];
    states.into_iter().find(|state| state.as_str() == text).ok_or_else(|| Error::corrupt("operation.state"))
}

pub(super) fn kind(row: &Row) -> Result<Kind, Error> {
    Kind::parse(&row.string("kind")?).ok_or_else(|| Error::corrupt("operation.kind"))
}

pub(super) fn read(row: &Row, vault: &Vault) -> Result<Operation, Error> {
    let uuid = row.uuid("uuid")?;
    let open = |column: &str| -> Result<Option<Vec<u8>>, Error> {
        let stored = row.text(column)?;
        Ok(stored.map(|stored| vault.open(&format!("operation.{column}:{uuid}"), &stored)).transpose()?)
    };
    let token = open("token")?.map(String::from_utf8).transpose();
    Ok(Operation {
        uuid,
        kind: kind(row)?,
        subject: row.uuid("subject_uuid")?,
        project_id: row.text("project_id")?,
        request_id: row.text("request_id")?,
        step: row.string("step")?,
        attempts: row.small("attempts")?,
        progress: open("progress")?.unwrap_or_default(),
        token: token.map_err(|_| Error::corrupt("operation.token"))?.map(SecretString::from),
        superseded: row.flag("superseded")?,
        deadline_ms: row.int_opt("deadline_ms")?,
        created_ms: row.int("created_ms")?,
    })
}
