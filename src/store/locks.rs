//! Locks on bays, as conductors of Liberty take them. Nothing here heeds them: one operation per bay is active by
//! another rule (`active_operation`).

use super::driver::{Read, Transaction, params};
use super::error::Error;

/// What became of an attempt to take a lock from its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Steal {
    Stolen,
    /// Another one holds it.
    Held(String),
    /// Nobody does.
    Free,
}

impl Transaction {
    /// Takes the lock on a bay; if it is taken, by whom.
    pub async fn take_bay_lock(&mut self, bay: &str, conductor: &str) -> Result<Option<String>, Error> {
        let sql = "INSERT INTO bay_lock (bay_uuid, conductor_id) VALUES (?, ?) {or_nothing}";
        loop {
            if self.insert_new(sql, params![bay, conductor]).await? {
                return Ok(None);
            }
            // It may have been released between the two statements.
            if let Some(holder) = self.bay_lock_holder(bay).await? {
                return Ok(Some(holder));
            }
        }
    }

    pub async fn steal_bay_lock(&mut self, bay: &str, from: &str, to: &str) -> Result<Steal, Error> {
        let sql = "UPDATE bay_lock SET conductor_id = ? WHERE bay_uuid = ? AND conductor_id = ?";
        if self.execute(sql, params![to, bay, from]).await? > 0 {
            return Ok(Steal::Stolen);
        }
        Ok(self.bay_lock_holder(bay).await?.map_or(Steal::Free, Steal::Held))
    }

    /// False when this holder had no such lock.
    pub async fn release_bay_lock(&mut self, bay: &str, conductor: &str) -> Result<bool, Error> {
        let sql = "DELETE FROM bay_lock WHERE bay_uuid = ? AND conductor_id = ?";
        Ok(self.execute(sql, params![bay, conductor]).await? > 0)
    }

    async fn bay_lock_holder(&mut self, bay: &str) -> Result<Option<String>, Error> {
        let row = self.row("SELECT conductor_id FROM bay_lock WHERE bay_uuid = ?", params![bay]).await?;
        row.map(|row| row.string("conductor_id")).transpose()
    }
}
