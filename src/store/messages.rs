//! Which messages were seen, what came of them, and how often a message came back.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::operation::record::Outgoing;

use super::driver::{Read, Transaction, params};
use super::error::Error;
use super::outbox::{pack, unpack};
use super::{Store, millis};

/// What came of a message that was seen before.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The operation that it began or joined.
    pub operation: Option<Uuid>,
    /// The reply that it got, to be sent again.
    pub reply: Option<Outgoing>,
}

/// How much was deleted because it was old.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    pub records: u64,
    /// Replies that were never taken.
    pub replies: u64,
}

impl Transaction {
    /// Records a message; `None` means that it is new. While another transaction records the same key, this
    /// waits.
    pub async fn record_message(&mut self, key: &str) -> Result<Option<Seen>, Error> {
        let key = message_key(key);
        let sql = "INSERT INTO message (message_key, created_ms) VALUES (?, {now_ms}) {or_nothing}";
        loop {
            if self.insert_new(sql, params![key.as_str()]).await? {
                return Ok(None);
            }
            let sql = "SELECT operation_uuid, reply FROM message WHERE message_key = ?";
            // It may have been purged between the two statements.
            let Some(row) = self.row(sql, params![key.as_str()]).await? else { continue };
            let reply = row
                .text("reply")?
                .map(|stored| unpack(self.vault(), &reply_of(&key), &stored))
                .transpose()?;
            return Ok(Some(Seen { operation: row.uuid_opt("operation_uuid")?, reply }));
        }
    }

    /// Notes which operation a message began or joined.
    pub async fn attach_operation(&mut self, key: &str, operation: Uuid) -> Result<(), Error> {
        let sql = "UPDATE message SET operation_uuid = ? WHERE message_key = ?";
        self.execute(sql, params![operation, message_key(key)]).await.map(drop)
    }

    /// Keeps the reply to a message for the day that it comes again.
    pub async fn store_reply(&mut self, key: &str, reply: &Outgoing) -> Result<(), Error> {
        let key = message_key(key);
        let sealed = pack(self.vault(), &reply_of(&key), reply)?;
        self.execute("UPDATE message SET reply = ? WHERE message_key = ?", params![sealed, key])
            .await
            .map(drop)
    }
}

impl Store {
    /// How many deliveries of a body have been counted.
    pub async fn attempts(&self, body_hash: &str) -> Result<u32, Error> {
        let sql = "SELECT attempts FROM delivery_attempt WHERE body_hash = ?";
        let row = (&mut &*self).row(sql, params![message_key(body_hash)]).await?;
        row.map_or(Ok(0), |row| row.small("attempts"))
    }

    /// Counts one more delivery of a body and returns how many there were, this one included.
    pub async fn count_attempt(&self, body_hash: &str) -> Result<u32, Error> {
        let hash = message_key(body_hash);
        self.retrying(|| self.count(&hash)).await
    }

    /// Updates before it inserts: two that had failed to insert would both hold a share of the row on MySQL,
    /// and each would wait for the other's.
    async fn count(&self, hash: &str) -> Result<u32, Error> {
        let more =
            "UPDATE delivery_attempt SET attempts = attempts + 1, last_ms = {now_ms} WHERE body_hash = ?";
        let first = "INSERT INTO delivery_attempt (body_hash, attempts, last_ms) VALUES (?, 1, {now_ms}) \
             {or_nothing}";
        let mut tx = self.begin().await?;
        if tx.execute(more, params![hash]).await? == 0 && !tx.insert_new(first, params![hash]).await? {
            tx.execute(more, params![hash]).await?;
        }
        let row = tx.row("SELECT attempts FROM delivery_attempt WHERE body_hash = ?", params![hash]).await?;
        let attempts =
            row.ok_or_else(|| Error::corrupt("an attempt that was just counted"))?.small("attempts")?;
        tx.commit().await?;
        Ok(attempts)
    }

    /// Forgets a body: it was handled.
    pub async fn forget_attempt(&self, body_hash: &str) -> Result<(), Error> {
        let sql = "DELETE FROM delivery_attempt WHERE body_hash = ?";
        self.execute(sql, params![message_key(body_hash)]).await.map(drop)
    }

    /// Deletes what is older than `age`: message keys with their replies, ended operations, counted attempts, and
    /// replies that no queue has taken in all that time.
    ///
    /// A message whose operation is not finished stays, however old. The longest outage and the client's
    /// longest retry must be shorter than `age`.
    pub async fn purge(&self, age: Duration) -> Result<Purged, Error> {
        let cutoff = self.now_ms().await?.saturating_sub(millis(age));
        let mut purged = Purged::default();
        for sql in [
            "DELETE FROM message WHERE created_ms < ? AND NOT EXISTS (SELECT 1 FROM operation \
             WHERE operation.uuid = message.operation_uuid AND operation.state = 'running')",
            "DELETE FROM operation WHERE finished_ms < ? AND state <> 'running'",
            "DELETE FROM delivery_attempt WHERE last_ms < ?",
        ] {
            purged.records += self.execute(sql, params![cutoff]).await?;
        }
        let untaken = "DELETE FROM outbox WHERE purpose = 'reply' AND created_ms < ?";
        purged.replies = self.execute(untaken, params![cutoff]).await?;
        Ok(purged)
    }
}

/// A key as the column takes it: the wire promises neither length nor letters.
pub(super) fn message_key(key: &str) -> String {
    if key.len() <= 100 && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return key.to_owned();
    }
    let digest = Sha256::digest(key.as_bytes());
    digest.iter().fold(String::from("sha256:"), |text, byte| text + &format!("{byte:02x}"))
}

fn reply_of(key: &str) -> String {
    format!("message.reply:{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_fits_its_column_and_keeps_its_identity() {
        assert_eq!(message_key("0f9c"), "0f9c");
        for odd in ["a b", "\0", "é", &"x".repeat(500)] {
            assert_eq!(message_key(odd).len(), "sha256:".len() + 64);
            assert_eq!(message_key(&message_key(odd)), message_key(odd));
        }
        assert_ne!(message_key("a b"), message_key("a c"));
    }
}
