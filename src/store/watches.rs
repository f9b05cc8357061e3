//! Which worker of the pool watches which bay's framework: one each, for as long as it says so.

use std::collections::HashSet;
use std::time::Duration;

use uuid::Uuid;

use super::driver::{Read, params};
use super::error::Error;
use super::{Store, millis};

impl Store {
    /// Bays with apps that nobody watches, up to `limit`.
    pub async fn unwatched_bays(&self, limit: u32) -> Result<Vec<Uuid>, Error> {
        let sql = "SELECT DISTINCT a.bay_uuid AS bay_uuid FROM app a LEFT JOIN bay_watch w \
             ON w.bay_uuid = a.bay_uuid AND w.until_ms > {now_ms} WHERE w.bay_uuid IS NULL LIMIT ?";
        let rows = (&mut &*self).rows(sql, params![limit]).await?;
        rows.iter().map(|row| row.uuid("bay_uuid")).collect()
    }

    /// Takes a bay to be watched; false when somebody else was first.
    pub async fn claim_watch(&self, bay: Uuid, owner: &str, hold: Duration) -> Result<bool, Error> {
        let mut tx = self.begin().await?;
        let first =
            "INSERT INTO bay_watch (bay_uuid, owner, until_ms) VALUES (?, ?, {now_ms} + ?) {or_nothing}";
        let taken = tx.insert_new(first, params![bay, owner, millis(hold)]).await? || {
            let again = "UPDATE bay_watch SET owner = ?, until_ms = {now_ms} + ? \
                 WHERE bay_uuid = ? AND until_ms <= {now_ms}";
            tx.execute(again, params![owner, millis(hold), bay]).await? > 0
        };
        tx.commit().await?;
        Ok(taken)
    }

    /// Goes on watching, and says which bays with apps are still watched by this worker.
    pub async fn keep_watches(&self, owner: &str, hold: Duration) -> Result<HashSet<Uuid>, Error> {
        // What has run out is anybody's, also where nobody has taken it.
        let sql = "UPDATE bay_watch SET until_ms = {now_ms} + ? WHERE owner = ? AND until_ms > {now_ms}";
        self.execute(sql, params![millis(hold), owner]).await?;
        let sql = "SELECT w.bay_uuid AS bay_uuid FROM bay_watch w WHERE w.owner = ? AND w.until_ms > {now_ms} \
             AND EXISTS (SELECT 1 FROM app a WHERE a.bay_uuid = w.bay_uuid)";
        let rows = (&mut &*self).rows(sql, params![owner]).await?;
        rows.iter().map(|row| row.uuid("bay_uuid")).collect()
    }

    /// Leaves a bay to others.
    pub async fn leave_watch(&self, bay: Uuid, owner: &str) -> Result<(), Error> {
        let sql = "DELETE FROM bay_watch WHERE bay_uuid = ? AND owner = ?";
        self.execute(sql, params![bay, owner]).await.map(drop)
    }

    /// Leaves every bay to others.
    pub async fn leave_watches(&self, owner: &str) -> Result<(), Error> {
        self.execute("DELETE FROM bay_watch WHERE owner = ?", params![owner]).await.map(drop)
    }
}
