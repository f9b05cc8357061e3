//! What the worker asks of the cloud: Keystone for identities and trusts, Heat for stacks, Barbican for secrets.
//!
//! Operations depend on the port [`Cloud`] only. Everything here may be called twice: what has a name is
//! found by its name before it is made again, and what is gone counts as deleted.
//!
//! Every call takes the time it may last, `within`. A worker passes less than what remains of its lease, so
//! that a call that ends late cannot write on behalf of an operation that another worker holds by then.

pub mod barbican;
pub mod catalog;
pub mod credentials;
pub mod error;
pub mod heat;
pub mod http;
pub mod keystone;
pub mod settings;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

pub use barbican::Barbican;
pub use credentials::{Credentials, Session, Trustee};
pub use error::{Error, Kind, Result};
pub use heat::{Heat, IDS_PER_LISTING, NewStack, Outputs, Stack, StackPatch, StackResource, StackSummary};
pub use keystone::Keystone;
pub use settings::Settings;

/// What the steps of an operation need of the cloud.
#[async_trait]
pub trait Cloud: Send + Sync {
    /// Whether bays get a trustee and a trust. Without them the service user looks after the stacks.
    fn trusts_configured(&self) -> bool;

    /// What a caller's token is worth, as Keystone says, or said a short time ago.
    async fn verify(&self, token: &SecretString, within: Duration) -> Result<Session>;

    /// Makes the trustee user, or finds it by its name and sees to it that its password is this one. Returns
    /// its id.
    async fn ensure_trustee(&self, name: &str, password: &SecretString, within: Duration) -> Result<String>;

    /// Finds the id of a trustee whose creation was never answered, so that it can be deleted.
    async fn find_trustee(&self, name: &str, within: Duration) -> Result<Option<String>>;

    /// Leaves exactly one trust from the caller to the trustee, and returns its id. `caller` is a
    /// [`Credentials::Token`].
    async fn ensure_trust(&self, caller: &Credentials, trustee: &Trustee, within: Duration)
    -> Result<String>;

    /// Deletes a trust, with the caller's token or the trust itself. One that is gone counts as deleted; one
    /// that admits nobody any more is left to the deletion of its trustee.
    async fn delete_trust(&self, credentials: &Credentials, trust_id: &str, within: Duration) -> Result<()>;

    /// Deletes a trustee user and with it every trust to it. One that is gone counts as deleted.
    async fn delete_trustee(&self, user_id: &str, within: Duration) -> Result<()>;

    /// Makes a stack and returns its id. A name that is taken is [`Kind::Conflict`]: find it by its name
    /// then, as after any error whose [`Error::effect_unknown`] is true.
    async fn stack_create(&self, caller: &Credentials, stack: &NewStack, within: Duration) -> Result<String>;

    /// The living stack of this name, without its outputs.
    async fn stack_find(&self, actor: &Credentials, name: &str, within: Duration) -> Result<Option<Stack>>;

    /// One stack by its id. Heat may go on showing a deleted stack as `DELETE_COMPLETE` for a while.
    async fn stack_show(
        &self,
        actor: &Credentials,
        id: &str,
        outputs: Outputs,
        within: Duration,
    ) -> Result<Option<Stack>>;

    /// The states of many stacks of one project. An id that is missing from the answer is gone or of another
    /// project: [`Cloud::stack_show`] tells.
    async fn stack_list(
        &self,
        actor: &Credentials,
        ids: &[String],
        within: Duration,
    ) -> Result<Vec<StackSummary>>;

    /// The states of a project's stacks, the newest first: up to `limit` of those after the one named.
    async fn stack_page(
        &self,
        actor: &Credentials,
        limit: usize,
        after: Option<&str>,
        within: Duration,
    ) -> Result<Vec<StackSummary>>;

    /// The states of many stacks, whatever their projects. [`Kind::Forbidden`] where the deployment does not grant it,
    /// as Heat's own policy does not.
    async fn stack_list_everywhere(
        &self,
        actor: &Credentials,
        ids: &[String],
        within: Duration,
    ) -> Result<Vec<StackSummary>>;

    /// The servers in a stack, at any depth, that Heat takes to be broken: it replaces them when the stack is updated.
    async fn stack_broken_servers(
        &self,
        actor: &Credentials,
        id: &str,
        within: Duration,
    ) -> Result<Vec<StackResource>>;

    /// Changes some parameters of a stack and keeps its template and all others.
    async fn stack_update(
        &self,
        actor: &Credentials,
        id: &str,
        patch: &StackPatch,
        within: Duration,
    ) -> Result<()>;

    /// Asks Heat to delete a stack; `false` when it was gone already.
    async fn stack_delete(&self, actor: &Credentials, id: &str, within: Duration) -> Result<bool>;
}

/// The real cloud: its clients over one token cache. Clones share everything.
#[derive(Clone)]
pub struct OpenStack {
    pub keystone: Keystone,
    pub heat: Heat,
    pub barbican: Barbican,
}

impl OpenStack {
    pub fn new(settings: Settings, observer: Arc<dyn http::Observer>) -> Result<Self> {
        let heat_settings = settings.heat.clone();
        let barbican_settings = settings.barbican.clone();
        let limits = settings.limits;
        let keystone = Keystone::new(settings, Arc::clone(&observer))?;
        let heat = Heat::new(keystone.clone(), &heat_settings, limits, Arc::clone(&observer))?;
        let barbican = Barbican::new(keystone.clone(), &barbican_settings, limits, observer)?;
        Ok(Self { keystone, heat, barbican })
    }
}

#[async_trait]
impl Cloud for OpenStack {
    fn trusts_configured(&self) -> bool {
        self.keystone.trusts_configured()
    }

    async fn verify(&self, token: &SecretString, within: Duration) -> Result<Session> {
        self.keystone.session(&Credentials::Token(token.clone()), within).await
    }

    async fn ensure_trustee(&self, name: &str, password: &SecretString, within: Duration) -> Result<String> {
        self.keystone.ensure_trustee(name, password, within).await
    }

    async fn find_trustee(&self, name: &str, within: Duration) -> Result<Option<String>> {
        self.keystone.find_trustee(name, within).await
    }

    async fn ensure_trust(
        &self,
        caller: &Credentials,
        trustee: &Trustee,
        within: Duration,
    ) -> Result<String> {
        self.keystone.ensure_trust(caller, trustee, within).await
    }

    async fn delete_trust(&self, credentials: &Credentials, trust_id: &str, within: Duration) -> Result<()> {
        self.keystone.delete_trust(credentials, trust_id, within).await
    }

    async fn delete_trustee(&self, user_id: &str, within: Duration) -> Result<()> {
        self.keystone.delete_trustee(user_id, within).await
    }

    async fn stack_create(&self, caller: &Credentials, stack: &NewStack, within: Duration) -> Result<String> {
        self.heat.create(caller, stack, within).await
    }

    async fn stack_find(&self, actor: &Credentials, name: &str, within: Duration) -> Result<Option<Stack>> {
        self.heat.find(actor, name, within).await
    }

    async fn stack_show(
        &self,
        actor: &Credentials,
        id: &str,
        outputs: Outputs,
        within: Duration,
    ) -> Result<Option<Stack>> {
        self.heat.show(actor, id, outputs, within).await
    }

    async fn stack_list(
        &self,
        actor: &Credentials,
        ids: &[String],
        within: Duration,
    ) -> Result<Vec<StackSummary>> {
        self.heat.list(actor, ids, within).await
    }

    async fn stack_page(
        &self,
        actor: &Credentials,
        limit: usize,
        after: Option<&str>,
        within: Duration,
    ) -> Result<Vec<StackSummary>> {
        self.heat.page(actor, limit, after, within).await
    }

    async fn stack_list_everywhere(
        &self,
        actor: &Credentials,
        ids: &[String],
        within: Duration,
    ) -> Result<Vec<StackSummary>> {
        self.heat.list_everywhere(actor, ids, within).await
    }

    async fn stack_broken_servers(
        &self,
        actor: &Credentials,
        id: &str,
        within: Duration,
    ) -> Result<Vec<StackResource>> {
        self.heat.broken_servers(actor, id, within).await
    }

    async fn stack_update(
        &self,
        actor: &Credentials,
        id: &str,
        patch: &StackPatch,
        within: Duration,
    ) -> Result<()> {
        self.heat.update(actor, id, patch, within).await
    }

    async fn stack_delete(&self, actor: &Credentials, id: &str, within: Duration) -> Result<bool> {
        self.heat.delete(actor, id, within).await
    }
}
