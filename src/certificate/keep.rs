//! The port to where pairs of certificate and key are kept, and the choice between the stores there are.
//!
//! A pair is kept under a [`Label`] that was committed before the pair was made: what a step left behind when it was
//! cut off is found again by it, and goes by it. The reference is what Magnum's rows hold.

pub mod barbican;
pub mod database;
pub mod local;

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::Pair;
use crate::{openstack, store};

/// Under what a pair is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub bay: Uuid,
    pub pair: Uuid,
    pub role: Role,
}

/// What a pair is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Signs the bay's certificates.
    Authority,
    /// Shows who the conductor is.
    Client,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authority => "ca",
            Self::Client => "client",
        }
    }
}

/// Where pairs are kept. Every call may be made twice, and ends within the time it is given.
#[async_trait]
pub trait Certificates: Send + Sync {
    /// Keeps a pair and returns its reference. One that is there under this label stays as it is, and is the one meant.
    async fn put(&self, label: &Label, pair: &Pair, within: Duration) -> Result<String>;

    /// The reference of what is there under a label.
    async fn find(&self, label: &Label, within: Duration) -> Result<Option<String>>;

    async fn get(&self, reference: &str, within: Duration) -> Result<Option<Pair>>;

    /// Deletes what a reference means. What is gone counts as deleted.
    async fn delete(&self, reference: &str, within: Duration) -> Result<()>;

    /// Deletes what is there under a label, parts of a pair included.
    async fn forget(&self, label: &Label, within: Duration) -> Result<()>;
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a store did not do what it was asked to. Holds no key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Cloud(#[from] openstack::Error),
    #[error("{what}: {error}")]
    File { what: String, error: io::Error },
    #[error("{0}")]
    Unusable(String),
}

impl Error {
    /// Whether the same may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable() || error.is_unavailable(),
            Self::Cloud(error) => error.is_retryable() || error.effect_unknown(),
            // A full disk, a share that is away.
            Self::File { .. } => true,
            Self::Unusable(_) => false,
        }
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Cloud(error) => error.retry_after(),
            Self::Store(_) | Self::File { .. } | Self::Unusable(_) => None,
        }
    }
}

/// Which store takes new pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Barbican,
    Database,
    Local,
}

/// All stores: new pairs go to one of them, and older ones are found wherever they are.
pub struct Stores {
    pub kind: Kind,
    pub barbican: barbican::Barbican,
    pub database: database::Database,
    pub local: local::Local,
}

impl Stores {
    fn chosen(&self) -> &dyn Certificates {
        match self.kind {
            Kind::Barbican => &self.barbican,
            Kind::Database => &self.database,
            Kind::Local => &self.local,
        }
    }

    /// Barbican's references are addresses, those of the other two are alike.
    fn holders(&self, reference: &str) -> Vec<&dyn Certificates> {
        if barbican::is_reference(reference) {
            return vec![&self.barbican];
        }
        match self.kind {
            Kind::Local => vec![&self.local, &self.database],
            Kind::Barbican | Kind::Database => vec![&self.database, &self.local],
        }
    }
}

#[async_trait]
impl Certificates for Stores {
    async fn put(&self, label: &Label, pair: &Pair, within: Duration) -> Result<String> {
        self.chosen().put(label, pair, within).await
    }

    async fn find(&self, label: &Label, within: Duration) -> Result<Option<String>> {
        self.chosen().find(label, within).await
    }

    async fn get(&self, reference: &str, within: Duration) -> Result<Option<Pair>> {
        for holder in self.holders(reference) {
            if let Some(pair) = holder.get(reference, within).await? {
                return Ok(Some(pair));
            }
        }
        Ok(None)
    }

    async fn delete(&self, reference: &str, within: Duration) -> Result<()> {
        for holder in self.holders(reference) {
            holder.delete(reference, within).await?;
        }
        Ok(())
    }

    async fn forget(&self, label: &Label, within: Duration) -> Result<()> {
        self.chosen().forget(label, within).await
    }
}
