//! Pairs in Barbican: a certificate container each, and the secrets in it, as Magnum lays them out.
//!
//! They are the service user's. Barbican gives out references when something is made, so that what was made and not
//! recorded is found by its name.

use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Certificates, Error, Label, Result};
use crate::certificate::Pair;
use crate::openstack::barbican::{Barbican as Client, Container, SecretRef};

const CERTIFICATE: &str = "certificate";
const PRIVATE_KEY: &str = "private_key";
const PASSPHRASE: &str = "private_key_passphrase";
const INTERMEDIATES: &str = "intermediates";
/// As whom the container is registered to be in use, as Magnum does.
const CONSUMER: &str = "Magnum";

pub struct Barbican(pub Client);

/// Whether this is an address, as Barbican's references are.
pub(super) fn is_reference(reference: &str) -> bool {
    reference.starts_with("http://") || reference.starts_with("https://")
}

/// The name of a pair's container and secrets.
fn name(label: &Label) -> String {
    format!("magnum-bay-{}-{}-{}", label.bay, label.role.as_str(), label.pair)
}

impl Barbican {
    async fn container(&self, label: &Label, within: Duration) -> Result<Option<Container>> {
        Ok(self.0.containers_named(&name(label), within).await?.into_iter().next())
    }

    async fn secrets(&self, name: &str, pair: &Pair, within: Duration) -> Result<Vec<SecretRef>> {
        let parts = [
            (CERTIFICATE, Some(SecretString::from(pair.certificate.as_str()))),
            (PRIVATE_KEY, Some(pair.private_key.clone())),
            (PASSPHRASE, pair.passphrase.clone()),
            (INTERMEDIATES, pair.intermediates.as_deref().map(SecretString::from)),
        ];
        let mut made = Vec::new();
        for (part, payload) in parts {
            if let Some(payload) = payload {
                let reference = self.0.create_secret(name, &payload, within).await?;
                made.push(SecretRef { name: part.to_owned(), secret_ref: reference });
            }
        }
        Ok(made)
    }

    /// The container goes first: without it the secrets are found by their name.
    async fn remove(&self, container: &Container, within: Duration) -> Result<()> {
        self.0.delete_container(&container.container_ref, within).await?;
        for secret in &container.secret_refs {
            self.0.delete_secret(&secret.secret_ref, within).await?;
        }
        Ok(())
    }

    async fn remove_loose(&self, name: &str, within: Duration) -> Result<()> {
        for secret in self.0.secrets_named(name, within).await? {
            self.0.delete_secret(&secret, within).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Certificates for Barbican {
    async fn put(&self, label: &Label, pair: &Pair, within: Duration) -> Result<String> {
        let container = match self.container(label, within).await? {
            Some(container) => container.container_ref,
            None => {
                let name = name(label);
                // Parts of another pair: they fit nothing.
                self.remove_loose(&name, within).await?;
                let secrets = self.secrets(&name, pair, within).await?;
                self.0.create_container(&name, &secrets, within).await?
            }
        };
        self.0.add_consumer(&container, CONSUMER, &label.bay.to_string(), within).await?;
        Ok(container)
    }

    async fn find(&self, label: &Label, within: Duration) -> Result<Option<String>> {
        Ok(self.container(label, within).await?.map(|container| container.container_ref))
    }

    async fn get(&self, reference: &str, within: Duration) -> Result<Option<Pair>> {
        let Some(container) = self.0.container(reference, within).await? else { return Ok(None) };
        let part = async |wanted: &str| -> Result<Option<SecretString>> {
            let found = container.secret_refs.iter().find(|secret| secret.name == wanted);
            let Some(found) = found else { return Ok(None) };
            Ok(self.0.payload(&found.secret_ref, within).await?)
        };
        let clear = |text: SecretString| text.expose_secret().to_owned();
        let (Some(certificate), Some(private_key)) = (part(CERTIFICATE).await?, part(PRIVATE_KEY).await?)
        else {
            return Err(Error::Unusable("the container lacks its certificate or its key".to_owned()));
        };
        Ok(Some(Pair {
            certificate: clear(certificate),
            private_key,
            passphrase: part(PASSPHRASE).await?,
            intermediates: part(INTERMEDIATES).await?.map(clear),
        }))
    }

    async fn delete(&self, reference: &str, within: Duration) -> Result<()> {
        let Some(container) = self.0.container(reference, within).await? else { return Ok(()) };
        self.remove(&container, within).await?;
        // Between the two deletions nobody would know the secrets any more but by their name.
        self.remove_loose(&container.name, within).await
    }

    async fn forget(&self, label: &Label, within: Duration) -> Result<()> {
        let name = name(label);
        for container in self.0.containers_named(&name, within).await? {
            self.remove(&container, within).await?;
        }
        self.remove_loose(&name, within).await
    }
}
