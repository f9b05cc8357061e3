//! What is kept of a bay beside Magnum's row: one sealed text.

use uuid::Uuid;

use super::Store;
use super::driver::{Read, Transaction, params};
use super::error::Error;
use crate::bay::secrets::Kept;

impl Store {
    /// What is kept of a bay; `None` of one that was taken over, or made by an older release.
    pub async fn bay_secrets(&self, bay: Uuid) -> Result<Option<Kept>, Error> {
        read(&mut &*self, bay).await
    }
}

impl Transaction {
    /// Keeps this, and nothing else, of a bay. The caller holds the operation that is active on the bay.
    pub async fn write_bay_secrets(&mut self, bay: Uuid, kept: &Kept) -> Result<(), Error> {
        let sealed = self.vault().seal(&content_of(bay), &kept.encode());
        self.delete_bay_secrets(bay).await?;
        let sql = "INSERT INTO bay_secret (bay_uuid, content) VALUES (?, ?)";
        self.execute(sql, params![bay, sealed]).await.map(drop)
    }

    pub(super) async fn delete_bay_secrets(&mut self, bay: Uuid) -> Result<(), Error> {
        self.execute("DELETE FROM bay_secret WHERE bay_uuid = ?", params![bay]).await.map(drop)
    }
}

fn content_of(bay: Uuid) -> String {
    format!("bay_secret.content:{bay}")
}

async fn read<R: Read>(db: &mut R, bay: Uuid) -> Result<Option<Kept>, Error> {
    let row = db.row("SELECT content FROM bay_secret WHERE bay_uuid = ?", params![bay]).await?;
    let Some(sealed) = row.map(|row| row.text("content")).transpose()?.flatten() else { return Ok(None) };
    let clear = db.vault().open(&content_of(bay), &sealed)?;
    Kept::decode(&clear).map(Some).map_err(|_| Error::corrupt("bay_secret.content"))
}
