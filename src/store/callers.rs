//! Callers: who waits for an operation's answer, and when they are told next that it has not been forgotten.

use mesos_conductor_proto::message::ReplyAddress;
use uuid::Uuid;

use crate::operation::record::ReplyTo;

use super::driver::{Read, Row, Transaction, params};
use super::error::Error;
use super::messages::message_key;
use super::{Store, millis};

/// How many heartbeats a worker takes on at once.
pub(crate) const AT_ONCE: usize = 100;

/// Somebody who waits for an operation's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Caller {
    pub id: i64,
    pub reply_to: ReplyTo,
    /// The dedupe key of the caller's message, for storing the reply beside it.
    pub message_key: Option<String>,
}

impl Transaction {
    /// Lets a caller wait for an operation's answer.
    pub async fn add_caller(
        &mut self,
        operation: Uuid,
        reply_to: &ReplyTo,
        key: Option<&str>,
    ) -> Result<(), Error> {
        let json = serde_json::to_string(reply_to)
            .map_err(|_| Error::corrupt("a reply address that is not text"))?;
        let interval = reply_to.address.heartbeat.map(millis);
        let sql = "INSERT INTO caller (operation_uuid, reply_to, message_key, beat_at) \
             VALUES (?, ?, ?, {now_ms} + ?)";
        self.execute(sql, params![operation, json, key.map(message_key), interval]).await.map(drop)
    }

    /// Everyone who waits for an operation, in the order they came.
    pub async fn callers(&mut self, operation: Uuid) -> Result<Vec<Caller>, Error> {
        let sql = "SELECT id, reply_to, message_key FROM caller WHERE operation_uuid = ? ORDER BY id";
        self.rows(sql, params![operation]).await?.iter().map(read).collect()
    }

    /// Forgets a caller who has been answered.
    pub async fn remove_caller(&mut self, id: i64) -> Result<(), Error> {
        self.execute("DELETE FROM caller WHERE id = ?", params![id]).await.map(drop)
    }
}

impl Store {
    /// Takes on the heartbeats that are due: no other worker of the pool sends these ones.
    pub async fn claim_heartbeats(&self) -> Result<Vec<(i64, ReplyAddress)>, Error> {
        let db = &mut &*self;
        let sql = format!(
            "SELECT id, reply_to, message_key, beat_at FROM caller WHERE beat_at <= {{now_ms}} \
             ORDER BY beat_at LIMIT {AT_ONCE}"
        );
        let mut claimed = Vec::new();
        for row in db.rows(&sql, params![]).await? {
            let caller = match read(&row) {
                Ok(caller) => caller,
                // Written by a newer worker, perhaps. The others must not wait behind it.
                Err(error) => {
                    let id = row.int("id")?;
                    tracing::error!(%error, caller = id, "a caller cannot be read; it gets no heartbeats");
                    self.stop_heartbeats(id).await?;
                    continue;
                }
            };
            let address = caller.reply_to.address;
            let next = address.heartbeat.map(millis);
            let sql = "UPDATE caller SET beat_at = {now_ms} + ? WHERE id = ? AND beat_at = ?";
            if self.execute(sql, params![next, caller.id, row.int("beat_at")?]).await? > 0 {
                claimed.push((caller.id, address));
            }
        }
        Ok(claimed)
    }

    /// Sends no more heartbeats to a caller: its reply queue is gone.
    pub async fn stop_heartbeats(&self, caller: i64) -> Result<(), Error> {
        self.execute("UPDATE caller SET beat_at = NULL WHERE id = ?", params![caller]).await.map(drop)
    }
}

fn read(row: &Row) -> Result<Caller, Error> {
    let reply_to = serde_json::from_str(&row.string("reply_to")?);
    Ok(Caller {
        id: row.int("id")?,
        reply_to: reply_to.map_err(|_| Error::corrupt("caller.reply_to"))?,
        message_key: row.text("message_key")?,
    })
}
