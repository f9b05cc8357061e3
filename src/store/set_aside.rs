//! Messages that came back too often: kept as they came, until an operator deals with them.
//!
//! What came from the wire is sealed, and split: a body may be larger than what one statement may hold on MySQL.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Store;
use super::driver::{Read, Row, Transaction, params};
use super::error::Error;
use super::messages::message_key;

/// Far below the smallest `max_allowed_packet` in use.
const PART: usize = 1 << 20;
const COLUMNS: &str =
    "id, times, attempts, bytes, method, project_id, request_id, reason, created_ms FROM set_aside";

/// A message as it came, not decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Original {
    pub content_type: Option<String>,
    /// The header `compression`.
    pub compression: Option<String>,
    pub body: Vec<u8>,
}

impl fmt::Debug for Original {
    /// Without the body, which carries tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Original").field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

/// What is known of a message that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    pub id: Uuid,
    /// How often it was set aside: once more when it came back after a retry.
    pub times: u32,
    /// How often the broker had delivered it again.
    pub attempts: u32,
    pub bytes: u64,
    /// Unknown, as the next two, when it was not decoded.
    pub method: Option<String>,
    pub project_id: Option<String>,
    pub request_id: Option<String>,
    pub reason: String,
    /// Milliseconds of the database's clock when it was first set aside.
    pub created_ms: i64,
}

/// What decoding a message told of it.
#[derive(Debug, Clone, Default)]
pub struct Described<'a> {
    pub method: &'a str,
    pub project_id: Option<&'a str>,
    pub request_id: Option<&'a str>,
    /// The key under which its refusal was recorded.
    pub key: Option<&'a str>,
    pub reason: &'a str,
}

impl Store {
    /// Keeps a message. `None`: it was kept before, and is counted once more.
    pub async fn set_aside(
        &self,
        body_hash: &str,
        attempts: u32,
        reason: &str,
        original: &Original,
    ) -> Result<Option<Uuid>, Error> {
        let id = Uuid::new_v4();
        let sealed = self.vault.seal(&context(id), &packed(original)?);
        self.retrying(|| self.keep(id, body_hash, (attempts, original.body.len()), reason, &sealed)).await
    }

    async fn keep(
        &self,
        id: Uuid,
        body_hash: &str,
        (attempts, bytes): (u32, usize),
        reason: &str,
        sealed: &str,
    ) -> Result<Option<Uuid>, Error> {
        let mut tx = self.begin().await?;
        // Before the insert, as attempts are counted: see there.
        let again = "UPDATE set_aside SET times = times + 1, attempts = ?, reason = ? WHERE body_hash = ?";
        let first = "INSERT INTO set_aside (id, body_hash, times, attempts, bytes, reason, created_ms) \
             VALUES (?, ?, 1, ?, ?, ?, {now_ms}) {or_nothing}";
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        if tx.execute(again, params![attempts, reason, body_hash]).await? > 0 {
            tx.commit().await?;
            return Ok(None);
        }
        if !tx.insert_new(first, params![id, body_hash, attempts, bytes, reason]).await? {
            // Another one was first.
            tx.execute(again, params![attempts, reason, body_hash]).await?;
            tx.commit().await?;
            return Ok(None);
        }
        let sql = "INSERT INTO set_aside_part (set_aside_id, part, sealed) VALUES (?, ?, ?)";
        let mut rest = sealed;
        let mut number = 0_u32;
        while !rest.is_empty() {
            // It is base64: any place is between two letters.
            let (part, after) = rest.split_at(rest.len().min(PART));
            tx.execute(sql, params![id, number, part]).await?;
            (rest, number) = (after, number + 1);
        }
        tx.commit().await?;
        Ok(Some(id))
    }

    /// All of them, oldest first.
    pub async fn all_set_aside(&self) -> Result<Vec<SetAside>, Error> {
        let sql = format!("SELECT {COLUMNS} ORDER BY created_ms, id");
        (&mut &*self).rows(&sql, params![]).await?.iter().map(read).collect()
    }

    pub async fn one_set_aside(&self, id: Uuid) -> Result<Option<SetAside>, Error> {
        let sql = format!("SELECT {COLUMNS} WHERE id = ?");
        (&mut &*self).row(&sql, params![id]).await?.as_ref().map(read).transpose()
    }

    /// The message itself.
    pub async fn original(&self, id: Uuid) -> Result<Option<Original>, Error> {
        let sql = "SELECT sealed FROM set_aside_part WHERE set_aside_id = ? ORDER BY part";
        let parts = (&mut &*self).rows(sql, params![id]).await?;
        if parts.is_empty() {
            return Ok(None);
        }
        let parts = parts.iter().map(|row| row.string("sealed")).collect::<Result<Vec<_>, _>>()?;
        let opened = self.vault.open(&context(id), &parts.concat())?;
        unpacked(&opened).map(Some)
    }

    /// Lets a message be sent again: its deliveries count from the start, and its refusal does not answer it any more.
    /// Whatever else was recorded under its key stays, so that nothing is done twice.
    pub async fn release_set_aside(&self, id: Uuid) -> Result<(), Error> {
        self.retrying(|| async {
            let mut tx = self.begin().await?;
            // Locked: two that release it at once would both delete the key, and what was done between them is forgotten.
            let sql = "SELECT body_hash, message_key FROM set_aside WHERE id = ? {for_update}";
            if let Some(row) = tx.row(sql, params![id]).await? {
                let sql = "UPDATE set_aside SET message_key = NULL WHERE id = ?";
                tx.execute(sql, params![id]).await?;
                if let Some(key) = row.text("message_key")? {
                    tx.execute("DELETE FROM message WHERE message_key = ?", params![key]).await?;
                }
                let sql = "DELETE FROM delivery_attempt WHERE body_hash = ?";
                tx.execute(sql, params![row.string("body_hash")?]).await?;
            }
            tx.commit().await
        })
        .await
    }

    /// Forgets a message, unless it was set aside once more since it was read.
    pub async fn forget_set_aside(&self, message: &SetAside) -> Result<bool, Error> {
        self.retrying(|| async {
            let mut tx = self.begin().await?;
            let sql = "DELETE FROM set_aside WHERE id = ? AND times = ?";
            let forgotten = tx.execute(sql, params![message.id, message.times]).await? > 0;
            if forgotten {
                tx.forget_parts(message.id).await?;
            }
            tx.commit().await?;
            Ok(forgotten)
        })
        .await
    }
}

impl Transaction {
    /// Notes what decoding a message has told.
    pub async fn describe_set_aside(&mut self, id: Uuid, described: &Described<'_>) -> Result<(), Error> {
        let sql = "UPDATE set_aside SET method = ?, project_id = ?, request_id = ?, message_key = ?, reason = ? \
             WHERE id = ?";
        let Described { method, project_id, request_id, key, reason } = described;
        let (project, request) = (project_id.map(fitting), request_id.map(fitting));
        let key = key.map(message_key);
        self.execute(sql, params![fitting(method), project, request, key, *reason, id]).await.map(drop)
    }

    /// Forgets a message that has been dealt with after all.
    pub async fn remove_set_aside(&mut self, id: Uuid) -> Result<(), Error> {
        self.execute("DELETE FROM set_aside WHERE id = ?", params![id]).await?;
        self.forget_parts(id).await
    }

    async fn forget_parts(&mut self, id: Uuid) -> Result<(), Error> {
        self.execute("DELETE FROM set_aside_part WHERE set_aside_id = ?", params![id]).await.map(drop)
    }
}

/// What stands before the body.
#[derive(Serialize, Deserialize)]
struct Head {
    content_type: Option<String>,
    compression: Option<String>,
}

/// The head as a line of JSON, then the body.
fn packed(original: &Original) -> Result<Vec<u8>, Error> {
    let Original { content_type, compression, body } = original;
    let head = Head { content_type: content_type.clone(), compression: compression.clone() };
    let mut packed = serde_json::to_vec(&head).map_err(|error| Error::corrupt(error.to_string()))?;
    packed.push(b'\n');
    packed.extend_from_slice(body);
    Ok(packed)
}

fn unpacked(packed: &[u8]) -> Result<Original, Error> {
    let corrupt = || Error::corrupt("a message that was set aside");
    let end = packed.iter().position(|byte| *byte == b'\n').ok_or_else(corrupt)?;
    let (head, body) = packed.split_at(end);
    let Head { content_type, compression } = serde_json::from_slice(head).map_err(|_| corrupt())?;
    Ok(Original { content_type, compression, body: body.get(1..).unwrap_or_default().to_vec() })
}

fn read(row: &Row) -> Result<SetAside, Error> {
    Ok(SetAside {
        id: row.uuid("id")?,
        times: row.small("times")?,
        attempts: row.small("attempts")?,
        bytes: row.count("bytes")?,
        method: row.text("method")?,
        project_id: row.text("project_id")?,
        request_id: row.text("request_id")?,
        reason: row.string("reason")?,
        created_ms: row.int("created_ms")?,
    })
}

fn context(id: Uuid) -> String {
    format!("set_aside.message:{id}")
}

/// A name from the wire as the column takes it.
fn fitting(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(255).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_unpacked_as_it_was() {
        for (content_type, body) in [(None, &b""[..]), (Some("a\nb\0".to_owned()), &b"\n\n\xff"[..])] {
            let original = Original { content_type, compression: Some("x".to_owned()), body: body.to_vec() };
            assert_eq!(unpacked(&packed(&original).unwrap()).unwrap(), original);
        }
        assert!(unpacked(b"no line").is_err());
    }
}
