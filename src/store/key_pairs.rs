//! Key pairs: rows of Magnum's `x509keypair`, with what the era of bays knew of them in a table of ours.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};
use time::PrimitiveDateTime;
use uuid::Uuid;

use super::Store;
use super::columns::{Columns, columns};
use super::driver::{Read, Row, Transaction, params};
use super::error::Error;
use super::page::{Key, Page, Scope, Select, SortKeys};
use super::vault::Vault;

/// A certificate and its key.
#[derive(Debug, Clone, Default)]
pub struct KeyPair {
    /// The row's number, 0 until stored.
    pub id: i64,
    pub uuid: Uuid,
    pub name: Option<String>,
    pub bay_uuid: Option<String>,
    pub ca_cert: Option<String>,
    pub certificate: Option<String>,
    pub private_key: Option<SecretString>,
    /// What the private key is encrypted with.
    pub passphrase: Option<SecretString>,
    /// The certificates between this one and a root.
    pub intermediates: Option<String>,
    pub project_id: Option<String>,
    pub user_id: Option<String>,
    pub created_at: Option<PrimitiveDateTime>,
    pub updated_at: Option<PrimitiveDateTime>,
}

/// Equality filters of a list.
#[derive(Debug, Clone, Default)]
pub struct KeyPairFilter {
    pub name: Option<String>,
    pub bay_uuid: Option<String>,
    pub project_id: Option<String>,
    pub user_id: Option<String>,
}

const FROM: &str = "x509keypair t LEFT JOIN bay_key_pair era ON era.uuid = t.uuid";
const COLUMNS: &str = "t.id, t.uuid, t.certificate, t.private_key, t.private_key_passphrase, t.intermediates, t.project_id, t.user_id, t.created_at, \
     t.updated_at, era.name AS name, era.bay_uuid AS bay_uuid, era.ca_cert AS ca_cert";
const SORT_KEYS: SortKeys = &[
    ("id", "t.id"),
    ("uuid", "t.uuid"),
    ("name", "era.name"),
    ("bay_uuid", "era.bay_uuid"),
    ("project_id", "t.project_id"),
    ("user_id", "t.user_id"),
    ("created_at", "t.created_at"),
    ("updated_at", "t.updated_at"),
];

impl Store {
    pub async fn key_pair(&self, scope: &Scope, key: Key) -> Result<Option<KeyPair>, Error> {
        find(&mut &*self, scope, key).await
    }

    pub async fn key_pairs(
        &self,
        scope: &Scope,
        filter: &KeyPairFilter,
        page: &Page,
    ) -> Result<Vec<KeyPair>, Error> {
        let mut select = visible(scope);
        for (condition, value) in [
            ("era.name = {exact}", &filter.name),
            ("era.bay_uuid = ?", &filter.bay_uuid),
            ("t.project_id = {exact}", &filter.project_id),
            ("t.user_id = {exact}", &filter.user_id),
        ] {
            if value.is_some() {
                select.and(condition, params![value]);
            }
        }
        let rows = select.page(&mut &*self, page).await?;
        rows.iter().map(|row| read(row, &self.vault)).collect()
    }
}

impl Transaction {
    /// Reads a key pair and keeps it from being changed or deleted until the end.
    pub async fn key_pair(&mut self, scope: &Scope, key: Key) -> Result<Option<KeyPair>, Error> {
        match key {
            Key::Id(id) => self.lock("SELECT id FROM x509keypair WHERE id = ?", params![id]).await?,
            Key::Uuid(uuid) => self.lock("SELECT id FROM x509keypair WHERE uuid = ?", params![uuid]).await?,
        }
        find(self, scope, key).await
    }

    /// Inserts a key pair and returns its number, or [`Error::Duplicate`], after which the transaction goes on.
    pub async fn insert_key_pair(&mut self, pair: &KeyPair) -> Result<i64, Error> {
        let columns = columns(pair, self.vault());
        let id = self.insert_columns("x509keypair", columns).await?;
        self.write_era(pair).await?;
        Ok(id)
    }

    /// Writes the named fields of a key pair and no others; false when it is gone.
    pub async fn update_key_pair(
        &mut self,
        pair: &KeyPair,
        fields: &BTreeSet<String>,
    ) -> Result<bool, Error> {
        let columns = columns(pair, self.vault()).only(|name| fields.contains(name));
        if !self.update_columns("x509keypair", pair.id, columns).await? {
            return Ok(false);
        }
        if ["name", "bay_uuid", "ca_cert"].iter().any(|name| fields.contains(*name)) {
            self.write_era(pair).await?;
        }
        Ok(true)
    }

    /// Deletes a key pair; false when there is none.
    pub async fn delete_key_pair(&mut self, uuid: Uuid) -> Result<bool, Error> {
        self.execute("DELETE FROM bay_key_pair WHERE uuid = ?", params![uuid]).await?;
        Ok(self.execute("DELETE FROM x509keypair WHERE uuid = ?", params![uuid]).await? > 0)
    }

    /// What Magnum's table has no place for. Its row in `x509keypair` is this transaction's: nobody else writes here.
    async fn write_era(&mut self, pair: &KeyPair) -> Result<(), Error> {
        self.execute("DELETE FROM bay_key_pair WHERE uuid = ?", params![pair.uuid]).await?;
        let sql = "INSERT INTO bay_key_pair (uuid, name, bay_uuid, ca_cert) VALUES (?, ?, ?, ?)";
        let params = params![pair.uuid, &pair.name, &pair.bay_uuid, &pair.ca_cert];
        self.execute(sql, params).await.map(drop)
    }
}

/// What Magnum's own table holds.
fn columns(pair: &KeyPair, vault: &Vault) -> Columns {
    let seal = |secret: &Option<SecretString>, place: String| {
        secret.as_ref().map(|secret| vault.seal(&place, secret.expose_secret().as_bytes()))
    };
    columns! {
        "uuid": pair.uuid,
        "certificate": &pair.certificate,
        "private_key": seal(&pair.private_key, private_key_of(pair.uuid)),
        "private_key_passphrase": seal(&pair.passphrase, passphrase_of(pair.uuid)),
        "intermediates": &pair.intermediates,
        "project_id": &pair.project_id,
        "user_id": &pair.user_id,
    }
}

fn private_key_of(pair: Uuid) -> String {
    format!("x509keypair.private_key:{pair}")
}

fn passphrase_of(pair: Uuid) -> String {
    format!("x509keypair.private_key_passphrase:{pair}")
}

fn visible(scope: &Scope) -> Select {
    let mut select = Select::new(COLUMNS, FROM, SORT_KEYS);
    select.within(scope, "");
    select
}

async fn find<R: Read>(db: &mut R, scope: &Scope, key: Key) -> Result<Option<KeyPair>, Error> {
    let mut select = visible(scope);
    select.key(key);
    let rows = select.all(db).await?;
    rows.first().map(|row| read(row, db.vault())).transpose()
}

fn read(row: &Row, vault: &Vault) -> Result<KeyPair, Error> {
    let uuid = row.uuid("uuid")?;
    let private_key = row.text("private_key")?;
    let passphrase = row.text("private_key_passphrase")?;
    Ok(KeyPair {
        id: row.int("id")?,
        uuid,
        name: row.text("name")?,
        bay_uuid: row.text("bay_uuid")?,
        ca_cert: row.text("ca_cert")?,
        certificate: row.text("certificate")?,
        private_key: private_key.map(|stored| vault.reveal(&private_key_of(uuid), stored)).transpose()?,
        passphrase: passphrase.map(|stored| vault.reveal(&passphrase_of(uuid), stored)).transpose()?,
        intermediates: row.text("intermediates")?,
        project_id: row.text("project_id")?,
        user_id: row.text("user_id")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
