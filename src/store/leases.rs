//! Who works on which operation: due, claimed, renewed, given back. All times are the database's.

use std::collections::HashSet;
use std::time::Duration;

use uuid::Uuid;

use crate::operation::guard::{self, Guard};
use crate::operation::record::{Kind, Lease, Operation};
use crate::telemetry::metrics;

use super::driver::{Param, Read, Row, Transaction, params};
use super::error::Error;
use super::operations::{COLUMNS, held_by_us, holder, read};
use super::{Store, millis};

/// Leases that one statement renews.
const CHUNK: usize = 50;

/// An operation that anyone may claim, and the project whose turn that would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub operation: Uuid,
    pub project: Option<String>,
}

impl Store {
    /// Of each project the operation that has been due the longest and that anyone may claim now; the longest due first.
    ///
    /// One row per project, found by an index, however many operations are due. Projects without a name are one.
    pub async fn due_operations(&self) -> Result<Vec<Due>, Error> {
        // Asked for once: PostgreSQL would read its clock for every row, and use no index to compare with it.
        let now = self.now_ms().await?;
        let first = format!(
            "SELECT d.uuid FROM operation d WHERE d.state = 'running' AND d.run_at <= ? \
             AND d.lease_until <= ? AND d.after_operation IS NULL AND d.kind IN ({})",
            known_kinds()
        );
        let sql = format!(
            "SELECT o.uuid AS uuid, o.project_id AS project_id FROM (\
             SELECT ({first} AND d.project_id = p.project_id ORDER BY d.run_at LIMIT 1) AS uuid FROM \
             (SELECT DISTINCT project_id FROM operation WHERE state = 'running' AND project_id IS NOT NULL) p \
             UNION ALL SELECT ({first} AND d.project_id IS NULL ORDER BY d.run_at LIMIT 1) AS uuid) h \
             JOIN operation o ON o.uuid = h.uuid ORDER BY o.run_at, o.created_ms, o.uuid"
        );
        let rows = (&mut &*self).rows(&sql, params![now, now, now, now]).await?;
        let due = |row: &Row| Ok(Due { operation: row.uuid("uuid")?, project: row.text("project_id")? });
        rows.iter().map(due).collect()
    }

    /// The earliest moment at which an operation becomes due: its time has come and no lease covers it any
    /// more.
    ///
    /// Leases that are held now count with their end, so that a crashed worker's operations are found in
    /// time.
    pub async fn next_due_ms(&self) -> Result<Option<i64>, Error> {
        let sql = "SELECT MIN(CASE WHEN lease_until > run_at THEN lease_until ELSE run_at END) AS due \
             FROM operation WHERE state = 'running' AND after_operation IS NULL";
        let sql = format!("{sql} AND kind IN ({})", known_kinds());
        let row = (&mut &*self).row(&sql, params![]).await?;
        row.map(|row| row.int_opt("due")).transpose().map(Option::flatten)
    }

    /// Takes a due operation for `lease`. `None`: it is not due, or another worker was first.
    pub async fn claim(
        &self,
        operation: Uuid,
        owner: &str,
        lease: Duration,
    ) -> Result<Option<(Operation, Lease)>, Error> {
        let mut tx = self.begin().await?;
        let left = tx.row("SELECT lease_owner FROM operation WHERE uuid = ?", params![operation]).await?;
        let left_by = left.map(|row| row.text("lease_owner")).transpose()?.flatten();
        let sql = "UPDATE operation {by_key} \
             SET lease_owner = ?, lease_until = {now_ms} + ?, fence = fence + 1 \
             WHERE uuid = ? AND state = 'running' AND after_operation IS NULL \
             AND run_at <= {now_ms} AND lease_until <= {now_ms}";
        if tx.execute(sql, params![owner, millis(lease), operation]).await? == 0 {
            return Ok(None);
        }
        let row =
            tx.row(&format!("SELECT {COLUMNS} FROM operation WHERE uuid = ?"), params![operation]).await?;
        let row = row.ok_or_else(|| Error::corrupt("an operation that was just claimed"))?;
        let (record, fence) = (read(&row, tx.vault()), row.int("fence")?);
        // One that cannot be read is claimed too: it comes back when the lease ends, and not at every look.
        tx.commit().await?;
        let record = record?;
        // Who gives a lease back leaves no name.
        if let Some(before) = left_by.filter(|before| before != owner) {
            tracing::info!(%operation, from = before, "an operation is taken over from a worker whose lease ran out");
            metrics::taken_over(record.kind);
        }
        Ok(Some((record, Lease { operation, owner: owner.to_owned(), fence })))
    }

    /// Prolongs leases and returns the operations whose lease is lost. An expired lease is lost even if
    /// nobody took it.
    pub async fn renew(&self, leases: &[Lease], lease: Duration) -> Result<Vec<Uuid>, Error> {
        let mut lost = Vec::new();
        for chunk in leases.chunks(CHUNK) {
            let ours = vec!["(uuid = ? AND fence = ? AND lease_owner = ?)"; chunk.len()].join(" OR ");
            let ours = format!("state = 'running' AND lease_until > {{now_ms}} AND ({ours})");
            let holders: Vec<Param> = chunk.iter().flat_map(holder).collect();
            let mut params = params![millis(lease)];
            params.extend(holders.iter().cloned());
            let sql = format!("UPDATE operation {{by_key}} SET lease_until = {{now_ms}} + ? WHERE {ours}");
            let renewed = self.execute(&sql, params).await?;
            if usize::try_from(renewed).is_ok_and(|renewed| renewed == chunk.len()) {
                continue;
            }
            let rows =
                (&mut &*self).rows(&format!("SELECT uuid FROM operation WHERE {ours}"), holders).await?;
            let kept: HashSet<Uuid> = rows.iter().map(|row| row.uuid("uuid")).collect::<Result<_, _>>()?;
            lost.extend(
                chunk.iter().map(|lease| lease.operation).filter(|operation| !kept.contains(operation)),
            );
        }
        Ok(lost)
    }

    /// Gives an operation back, so that another worker may take it when it is due.
    pub async fn release(&self, lease: &Lease) -> Result<(), Error> {
        let sql = "UPDATE operation {by_key} SET lease_owner = NULL, lease_until = 0 \
             WHERE uuid = ? AND fence = ? AND lease_owner = ?";
        self.execute(sql, holder(lease)).await.map(drop)
    }

    /// Lets nobody claim an operation before `delay` is over, unless somebody has it.
    pub async fn postpone(&self, operation: Uuid, delay: Duration) -> Result<(), Error> {
        let sql = "UPDATE operation SET run_at = {now_ms} + ? WHERE uuid = ? AND lease_until <= {now_ms}";
        self.execute(sql, params![millis(delay), operation]).await.map(drop)
    }

    /// Begins a transaction that proves and prolongs a lease first and holds the operation's row until its
    /// end: whatever it writes, it writes as the holder. [`Error::LeaseLost`] otherwise.
    pub async fn begin_held(&self, lease: &Lease, extend: Duration) -> Result<Transaction, Error> {
        let mut tx = self.begin().await?;
        let live = if guard::is_off(Guard::Fence) { "" } else { " AND lease_until > {now_ms}" };
        let sql = format!(
            "UPDATE operation {{by_key}} SET lease_until = {{now_ms}} + ? WHERE {}{live}",
            held_by_us()
        );
        let mut params = params![millis(extend)];
        params.extend(holder(lease));
        if tx.execute(&sql, params).await? == 0 {
            tx.rollback().await?;
            return Err(Error::LeaseLost { operation: lease.operation });
        }
        Ok(tx)
    }
}

/// The kinds of operations that this worker can run. One of another kind waits for a newer worker of the pool, which
/// would only wait longer if this one had claimed it.
fn known_kinds() -> String {
    let kinds: Vec<String> = Kind::ALL.iter().map(|kind| format!("'{}'", kind.as_str())).collect();
    kinds.join(", ")
}
