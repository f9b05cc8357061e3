//! In whose name a call is made, and what Keystone gave for it.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;
use time::OffsetDateTime;

use super::catalog::Catalog;

/// In whose name a call is made.
///
/// Cheap to clone; holds what must be stored with an operation or a bay and nothing that Keystone can tell.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// The caller's own token. Its project, roles and catalog are asked of Keystone, not taken from the
    /// message: an RPC context is not signed.
    Token(SecretString),
    /// The service user, in its configured project (`None`) or in another one where it has a role.
    Service { project_id: Option<String> },
    /// The trustor, by way of a bay's trust.
    Trust { trustee: Trustee, trust_id: String },
    /// The trustee as itself. It may only look at the trusts given to it.
    TrusteeUnscoped(Trustee),
    /// The administrator of the trustees' domain.
    DomainAdmin,
}

/// The user that a bay's trust is given to.
#[derive(Debug, Clone)]
pub struct Trustee {
    pub user_id: String,
    pub password: SecretString,
}

/// A token that works, and what Keystone says of it. Clones share the catalog.
#[derive(Clone)]
pub struct Session {
    pub token: SecretString,
    pub catalog: Arc<Catalog>,
    pub user_id: String,
    pub project_id: Option<String>,
    /// The domain that the token is scoped to, not the user's.
    pub domain_id: Option<String>,
    pub roles: Vec<String>,
    pub expires_at: OffsetDateTime,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("user_id", &self.user_id)
            .field("project_id", &self.project_id)
            .field("domain_id", &self.domain_id)
            .field("roles", &self.roles)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
