//! The outbox: messages that are committed and not yet confirmed by the broker.

use std::collections::HashSet;
use std::time::Duration;

use uuid::Uuid;

use crate::operation::record::{Outgoing, Purpose};

use super::driver::{Param, Read, Row, Transaction, params};
use super::error::Error;
use super::vault::Vault;
use super::{Store, millis};

/// How long a worker that enqueued a message has it to itself.
const FIRST_CLAIM: Duration = Duration::from_secs(5);
const CONTEXT: &str = "outbox.message";

/// A message that this worker may publish for a while.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    pub id: i64,
    pub outgoing: Outgoing,
    /// Milliseconds of the database's clock when it was committed.
    pub created_ms: i64,
    /// How long ago that was, by the database's clock.
    pub age: Duration,
    /// How often it was claimed, this time included.
    pub attempts: u32,
}

impl Transaction {
    /// Puts a message into the outbox and returns its number. With an owner it is claimed for that worker,
    /// which publishes it at once after the commit; others take it if the worker does not.
    pub async fn enqueue(&mut self, outgoing: &Outgoing, owner: Option<&str>) -> Result<i64, Error> {
        let sealed = pack(self.vault(), CONTEXT, outgoing)?;
        let purpose = match outgoing.purpose {
            Purpose::Reply => "reply",
            Purpose::Notification => "notification",
        };
        let hold = if owner.is_some() { millis(FIRST_CLAIM) } else { 0 };
        let sql = "INSERT INTO outbox (purpose, routing_key, message, attempts, claimed_by, claimed_until, \
             created_ms) VALUES (?, ?, ?, ?, ?, {now_ms} + ?, {now_ms}) {or_nothing} {returning_id}";
        let attempts = i64::from(owner.is_some());
        let params = params![purpose, lane(&outgoing.routing_key), sealed, attempts, owner, hold];
        self.insert_row(sql, params).await?.ok_or(Error::Duplicate)
    }
}

impl Store {
    /// Claims messages for `hold`, oldest first: those that nobody has, and those enqueued for this owner.
    ///
    /// Within one routing key they are claimed in order: none while an earlier one is in other hands or
    /// postponed.
    pub async fn claim_outbox(
        &self,
        owner: &str,
        limit: u32,
        hold: Duration,
    ) -> Result<Vec<OutboxRow>, Error> {
        let free = "SELECT o.id AS id, o.routing_key AS routing_key FROM outbox o \
             WHERE (o.claimed_until <= {now_ms} OR o.claimed_by = ?) \
             AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.routing_key = o.routing_key AND e.id < o.id \
             AND e.claimed_until > {now_ms} AND (e.claimed_by IS NULL OR e.claimed_by <> ?)) ORDER BY o.id LIMIT ?";
        let free = (&mut &*self).rows(free, params![owner, owner, limit]).await?;
        if free.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<(i64, String)> = free
            .iter()
            .map(|row| Ok((row.int("id")?, row.string("routing_key")?)))
            .collect::<Result<_, Error>>()?;
        // A name of this claim alone tells afterwards which of them are ours.
        let claim = format!("{owner} {}", Uuid::new_v4());
        let sql = format!(
            "UPDATE outbox SET claimed_by = ?, claimed_until = {{now_ms}} + ?, attempts = attempts + 1 \
             WHERE (claimed_until <= {{now_ms}} OR claimed_by = ?) AND id IN ({})",
            marks(wanted.len())
        );
        let mut params = params![claim.as_str(), millis(hold), owner];
        params.extend(wanted.iter().map(|(id, _)| Param::from(*id)));
        self.execute(&sql, params).await?;
        let sql = "SELECT id, message, attempts, created_ms, {now_ms} AS now_ms FROM outbox \
             WHERE claimed_by = ? ORDER BY id";
        let rows = (&mut &*self).rows(sql, params![claim]).await?;
        let rows: Vec<OutboxRow> = rows.iter().filter_map(|row| self.readable(row)).collect();
        self.keep_order(&wanted, rows).await
    }

    /// A message that cannot be read stays claimed, so that it holds up its own lane and nobody else's.
    fn readable(&self, row: &Row) -> Option<OutboxRow> {
        read(row, &self.vault)
            .inspect_err(
                |error| tracing::error!(%error, "a message in the outbox cannot be read; it waits there"),
            )
            .ok()
    }

    pub async fn delete_outbox(&self, id: i64) -> Result<(), Error> {
        self.execute("DELETE FROM outbox WHERE id = ?", params![id]).await.map(drop)
    }

    /// Lets nobody take a message before `delay` is over.
    pub async fn postpone_outbox(&self, id: i64, delay: Duration) -> Result<(), Error> {
        let sql = "UPDATE outbox SET claimed_by = NULL, claimed_until = {now_ms} + ? WHERE id = ?";
        self.execute(sql, params![millis(delay), id]).await.map(drop)
    }

    /// Gives back what was claimed behind a message that another worker took first.
    async fn keep_order(
        &self,
        wanted: &[(i64, String)],
        rows: Vec<OutboxRow>,
    ) -> Result<Vec<OutboxRow>, Error> {
        let behind = behind(wanted, &rows.iter().map(|row| row.id).collect());
        if !behind.is_empty() {
            let sql = format!(
                "UPDATE outbox SET claimed_by = NULL, claimed_until = 0, attempts = attempts - 1 \
                 WHERE id IN ({})",
                marks(behind.len())
            );
            self.execute(&sql, behind.iter().map(|id| Param::from(*id)).collect()).await?;
        }
        Ok(rows.into_iter().filter(|row| !behind.contains(&row.id)).collect())
    }
}

/// Which of ours stand behind one of the same routing key that we wanted and did not get.
fn behind(wanted: &[(i64, String)], ours: &HashSet<i64>) -> HashSet<i64> {
    let mut taken: HashSet<&str> = HashSet::new();
    let mut behind = HashSet::new();
    for (id, lane) in wanted {
        if !ours.contains(id) {
            taken.insert(lane);
        } else if taken.contains(lane.as_str()) {
            behind.insert(*id);
        }
    }
    behind
}

/// A message sealed for its place.
pub(super) fn pack(vault: &Vault, context: &str, outgoing: &Outgoing) -> Result<String, Error> {
    let packed = rmp_serde::to_vec_named(outgoing).map_err(|error| Error::corrupt(error.to_string()))?;
    Ok(vault.seal(context, &packed))
}

pub(super) fn unpack(vault: &Vault, context: &str, stored: &str) -> Result<Outgoing, Error> {
    let packed = vault.open(context, stored)?;
    rmp_serde::from_slice(&packed).map_err(|_| Error::corrupt(context))
}

fn read(row: &Row, vault: &Vault) -> Result<OutboxRow, Error> {
    let created_ms = row.int("created_ms")?;
    let age = row.int("now_ms")?.saturating_sub(created_ms);
    Ok(OutboxRow {
        id: row.int("id")?,
        outgoing: unpack(vault, CONTEXT, &row.string("message")?)?,
        created_ms,
        age: Duration::from_millis(u64::try_from(age).unwrap_or_default()),
        attempts: row.small("attempts")?,
    })
}

fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// The column only orders: a key that does not fit is told apart well enough by its beginning.
fn lane(routing_key: &str) -> String {
    routing_key.chars().filter(|letter| *letter != '\0').take(255).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_published_before_what_another_worker_took_first() {
        let wanted =
            [(1, "a"), (2, "b"), (3, "a"), (4, "b"), (5, "a")].map(|(id, lane)| (id, lane.to_owned()));
        let check = |ours: &[i64], expected: &[i64]| {
            let found = behind(&wanted, &ours.iter().copied().collect());
            assert_eq!(found, expected.iter().copied().collect(), "{ours:?}");
        };
        check(&[1, 2, 3, 4, 5], &[]);
        check(&[2, 3, 4, 5], &[3, 5]);
        check(&[1, 2, 4, 5], &[5]);
        check(&[4], &[4]);
        check(&[], &[]);
    }
}
