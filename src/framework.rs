//! What the worker asks of the framework that runs apps on a bay, Marathon today, and of the machines below it.
//!
//! Operations depend on the port [`Framework`] only, which speaks of apps and deployments and leaves it to an adapter
//! how these are spelled. Every call takes the time it may last, `within`: a worker passes less than what remains of
//! its lease, so that a call that ends late cannot act for an operation that another worker holds by then.
//!
//! Nothing here repeats a change by itself: an error says whether it may have taken effect, and the caller looks.

pub mod account;
pub mod agents;
pub mod credentials;
pub mod diagnosis;
pub mod directory;
pub mod endpoint;
pub mod entrance;
pub mod error;
pub mod kind;
pub mod manifest_url;
pub mod marathon;
pub mod mesos;
pub mod seen;
mod trust;

use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::app::{AppId, Definition, Manifest, Subject};
pub use agents::{Agent, AgentId, Agents, Census, Closed, Load, Means, Share};
pub use credentials::Credentials;
pub use diagnosis::explain;
pub use directory::{Directory, Frameworks, Settings};
pub use endpoint::Endpoint;
pub use entrance::{Entrance, Entrances};
pub use error::{Detail, Error, Result};
pub use kind::{Kind, KindFault};
pub use seen::{
    Accepted, Delay, Deployment, DeploymentId, Ended, Hint, Info, Seen, Task, TaskFailure, Unused, Version,
    Waiting,
};

/// Learns of every request to a framework, for the metrics.
pub trait Observer: Send + Sync {
    /// `status` is the answer's code, or `None` when there was no answer.
    fn request(&self, method: &str, status: Option<u16>, took: Duration);
}

/// Counts nothing.
impl Observer for () {
    fn request(&self, _: &str, _: Option<u16>, _: Duration) {}
}

/// Which apps a listing is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection<'a> {
    All,
    /// An app of this id, and every app below it.
    At(&'a AppId),
}

/// How much of each app a listing is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Counts and deployments: enough to see what moved.
    Counts,
    /// Tasks and the last failure too.
    Tasks,
}

/// Whether a change takes precedence over a deployment that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// A deployment in the way is [`Error::Locked`].
    Respect,
    /// It is cancelled.
    Override,
}

impl Force {
    /// As callers say it.
    pub fn asked(force: bool) -> Self {
        if force { Self::Override } else { Self::Respect }
    }
}

/// What else becomes of a task that is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    /// Another one takes its place.
    Replace,
    /// There is one instance less from now on.
    ScaleDown,
    /// Another one takes its place, without what this one has stored.
    Wipe,
}

/// What operations need of a framework.
#[async_trait]
pub trait Framework: Send + Sync {
    async fn info(&self, within: Duration) -> Result<Info>;

    /// Starts everything in a manifest, or nothing. What exists already, alike or not, is [`Error::AlreadyExists`]:
    /// show it and compare, as after any error whose [`Error::effect_unknown`] is true.
    async fn create(&self, manifest: &Manifest, within: Duration) -> Result<Accepted>;

    /// Puts a manifest in the place of what its ids name now. Apps that it does not name are not touched, but those
    /// of its group are deleted.
    async fn update(&self, manifest: &Manifest, force: Force, within: Duration) -> Result<Accepted>;

    async fn scale(&self, id: &AppId, instances: u32, force: Force, within: Duration) -> Result<Accepted>;

    /// Replaces every task. Asking twice does it twice: [`Seen::last_config_change_at`] tells whether it was heard.
    async fn restart(&self, id: &AppId, force: Force, within: Duration) -> Result<Accepted>;

    /// Goes back to a version of [`Framework::versions`]. A subject of several apps has none.
    async fn rollback(
        &self,
        subject: &Subject,
        version: &Version,
        force: Force,
        within: Duration,
    ) -> Result<Accepted>;

    /// Deletes everything of a subject; apps that are gone count as deleted. [`Error::NotFound`] when there was
    /// nothing at all.
    async fn delete(&self, subject: &Subject, force: Force, within: Duration) -> Result<Accepted>;

    async fn show(&self, id: &AppId, within: Duration) -> Result<Option<Seen>>;

    /// Many apps by one request.
    async fn list(&self, selection: Selection<'_>, depth: Depth, within: Duration) -> Result<Vec<Seen>>;

    /// The newest first.
    async fn versions(&self, subject: &Subject, within: Duration) -> Result<Vec<Version>>;

    async fn tasks(&self, id: &AppId, within: Duration) -> Result<Vec<Task>>;

    /// A task that is not there is [`Error::NotFound`].
    async fn kill_task(
        &self,
        id: &AppId,
        task_id: &str,
        kill: Kill,
        force: Force,
        within: Duration,
    ) -> Result<Accepted>;

    async fn deployments(&self, within: Duration) -> Result<Vec<Deployment>>;

    /// Ends a deployment: [`Force::Respect`] by a new one that takes its changes back, [`Force::Override`] at once,
    /// leaving apps as they are. One that is gone is [`Error::NotFound`].
    async fn cancel(&self, id: &DeploymentId, force: Force, within: Duration) -> Result<Accepted>;

    /// Apps whose tasks wait to be started, and why.
    async fn waiting(&self, within: Duration) -> Result<Vec<Waiting>>;

    /// Hints that something moved. The stream begins with [`Hint::Attached`] and ends after [`Hint::Silent`] or
    /// [`Hint::Closed`]; what happens between two streams is not told, so look after attaching.
    async fn events(&self, within: Duration) -> Result<BoxStream<'static, Hint>>;
}

/// Whether what a framework shows is what a definition asks for, with every task up.
///
/// The absence of a deployment is no success: one may have been cancelled, or be hidden from our eyes.
pub fn achieved(asked: &Definition, seen: &Seen) -> bool {
    crate::app::same_definition(asked, &seen.definition) && seen.is_settled()
}
