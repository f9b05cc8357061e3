//! Pairs in Magnum's table `x509keypair`, the key and its passphrase encrypted once more.
//!
//! The rows belong to no project: whoever owns the bay gets certificates from the conductor, and must not be able to
//! delete its authority.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{Certificates, Label, Result};
use crate::certificate::Pair;
use crate::store::{Error, Key, KeyPair, Scope, Store};

pub struct Database(pub Store);

#[async_trait]
impl Certificates for Database {
    async fn put(&self, label: &Label, pair: &Pair, _: Duration) -> Result<String> {
        let row = KeyPair {
            uuid: label.pair,
            name: Some(label.role.as_str().to_owned()),
            bay_uuid: Some(label.bay.to_string()),
            certificate: Some(pair.certificate.clone()),
            private_key: Some(pair.private_key.clone()),
            passphrase: pair.passphrase.clone(),
            intermediates: pair.intermediates.clone(),
            ..KeyPair::default()
        };
        let insert = || async {
            let mut tx = self.0.begin().await?;
            match tx.insert_key_pair(&row).await {
                Ok(_) | Err(Error::Duplicate) => tx.commit().await,
                Err(error) => Err(error),
            }
        };
        self.0.retrying(insert).await?;
        Ok(label.pair.to_string())
    }

    async fn find(&self, label: &Label, _: Duration) -> Result<Option<String>> {
        let found = self.0.key_pair(&Scope::All, Key::Uuid(label.pair)).await?;
        Ok(found.map(|row| row.uuid.to_string()))
    }

    async fn get(&self, reference: &str, _: Duration) -> Result<Option<Pair>> {
        let Ok(uuid) = Uuid::parse_str(reference) else { return Ok(None) };
        let Some(row) = self.0.key_pair(&Scope::All, Key::Uuid(uuid)).await? else { return Ok(None) };
        let KeyPair { certificate, private_key, passphrase, intermediates, .. } = row;
        let (Some(certificate), Some(private_key)) = (certificate, private_key) else { return Ok(None) };
        Ok(Some(Pair { certificate, private_key, passphrase, intermediates }))
    }

    async fn delete(&self, reference: &str, _: Duration) -> Result<()> {
        let Ok(uuid) = Uuid::parse_str(reference) else { return Ok(()) };
        let delete = || async {
            let mut tx = self.0.begin().await?;
            tx.delete_key_pair(uuid).await?;
            tx.commit().await
        };
        Ok(self.0.retrying(delete).await?)
    }

    async fn forget(&self, label: &Label, within: Duration) -> Result<()> {
        self.delete(&label.pair.to_string(), within).await
    }
}
