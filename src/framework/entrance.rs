//! How the worker gets into the masters of a bay that was built with TLS: as whom, and how it knows them.

use async_trait::async_trait;
use uuid::Uuid;

use super::credentials::Login;
use super::error::Result;

/// What a bay was built with.
#[derive(Debug, Clone)]
pub struct Entrance {
    /// The name in the certificate of every node, whatever its address is.
    pub node_name: String,
    /// Who may have signed it; PEM, one or several.
    pub authorities: String,
    /// The framework's user.
    pub framework: Login,
    /// The principal for the Mesos masters.
    pub mesos: Login,
}

/// Knows what each bay was built with.
#[async_trait]
pub trait Entrances: Send + Sync {
    /// `None` for a bay without TLS.
    async fn of(&self, bay: Uuid) -> Result<Option<Entrance>>;
}

/// No bay has credentials of its own.
#[async_trait]
impl Entrances for () {
    async fn of(&self, _: Uuid) -> Result<Option<Entrance>> {
        Ok(None)
    }
}
