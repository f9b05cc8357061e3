//! What a step is: it looks, acts on the outside, and says what changed. Recording that is the runner's.
//!
//! **Invariant:** a step may run twice (the process can die between its effect and its record), so each finds what it
//! made before by a name or an id that was recorded first.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::bay::parameters::Placement;
use crate::bay::template::Templates;
use crate::bay::{Bay, Status};
use crate::certificate::{Certificates, Forge};
use crate::error::Fault;
use crate::framework::Frameworks;
use crate::framework::manifest_url::Fetcher;
use crate::notify::Outcome;
use crate::openstack::{Cloud, Credentials, Trustee};
use crate::operation::keeper::Held;
use crate::operation::progress::OnDeadline;
use crate::operation::progress::Progress;
use crate::operation::record::Operation;
use crate::operation::subject::Subject;
use crate::store::{self, Ending, Store, Transaction};

/// One step of an operation.
#[async_trait]
pub trait Step<S: Subject = Bay>: Send + Sync {
    /// The stored name: never changed once released, or operations in flight would not find it.
    fn name(&self) -> &'static str;

    /// Whether the operation's deadline ends its retries. Waiting for a stack goes on as long as Heat does.
    fn bounded(&self) -> bool {
        true
    }

    async fn run(&self, scene: &Scene<'_, S>) -> Result<Change<S>, StepError>;
}

/// The steps of one kind of operation, and what becomes of it when it cannot go on.
pub trait Plan<S: Subject = Bay>: Send + Sync {
    fn steps(&self) -> &'static [&'static dyn Step<S>];

    /// After a fault that no retry mends.
    fn failed(&self, scene: &Scene<'_, S>, fault: Fault) -> Change<S>;

    /// When a later delete wants this operation to stop; `None` lets it go on.
    fn superseded(&self, scene: &Scene<'_, S>) -> Option<Change<S>>;
}

/// What a step sees.
pub struct Scene<'a, S: Subject = Bay> {
    pub operation: &'a Operation,
    pub progress: &'a Progress,
    /// What the operation is about, as it is stored; a step that changes it saves a changed copy.
    pub subject: &'a S,
    pub store: &'a Store,
    pub cloud: &'a dyn Cloud,
    pub certificates: &'a dyn Certificates,
    pub forge: &'a Forge,
    pub frameworks: &'a dyn Frameworks,
    pub fetcher: &'a Fetcher,
    pub templates: &'a Templates,
    pub settings: &'a Settings,
    pub(crate) held: &'a Held,
}

/// What the steps need to be told by the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long between two looks at a stack that has to be asked again and again.
    pub poll_interval: Duration,
    /// After how long a stack in progress is looked at although nothing hints at a change. Who listens and who lists
    /// (`watch`) wake the operation before.
    pub poll_fallback: Duration,
    /// The longest that one request to the cloud may take, whatever the lease.
    pub request_timeout: Duration,
    /// Whether a service user is configured, who looks after bays without a trust.
    pub service_user: bool,
    /// What the deployment says about every stack.
    pub placement: Placement,
    /// Minutes that Heat gives a stack when the request names none.
    pub default_create_timeout: Option<i64>,
    pub deployments: Deployments,
    pub draining: Draining,
}

/// How agents are emptied before they go.
#[derive(Debug, Clone, Copy)]
pub struct Draining {
    /// How long it may take.
    pub deadline: Duration,
    /// What follows when it takes longer.
    pub on_deadline: Undrained,
    /// What follows when nobody says what runs on them.
    pub unreachable: Undrained,
}

/// What becomes of an update whose agents are not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undrained {
    Remove,
    Fail,
}

/// How a framework's deployments are waited for.
#[derive(Debug, Clone, Copy)]
pub struct Deployments {
    /// How long between two looks while nothing hints at a change.
    pub poll_interval: Duration,
    /// How long one may take when the request does not say.
    pub deadline: Duration,
    /// What becomes of it then, when the request does not say.
    pub on_deadline: OnDeadline,
}

impl<S: Subject> Scene<'_, S> {
    /// How long the next request to the outside may take: it must end before the lease does (I2).
    pub fn budget(&self) -> Duration {
        self.held.remaining().min(self.settings.request_timeout)
    }

    /// Begins a transaction as the holder of the lease, for what must be written before the step's own record.
    pub async fn begin(&self) -> Result<Transaction, store::Error> {
        self.held.begin(self.store).await
    }
}

impl Scene<'_, Bay> {
    /// The caller's own token, while it is kept.
    pub fn caller(&self) -> Option<Credentials> {
        self.operation.token.clone().map(Credentials::Token)
    }

    /// What long work is done with: the bay's trust, else the service user.
    pub fn standing(&self) -> Option<Credentials> {
        standing(self.subject, self.settings)
    }

    /// The service user in the bay's project, if one is configured.
    pub fn service(&self) -> Option<Credentials> {
        service(self.subject, self.settings)
    }

    /// The user that the bay's trust is given to, once it is known.
    pub fn trustee(&self) -> Option<Trustee> {
        trustee(self.subject)
    }
}

/// What work on a bay is done with when its caller is not there: the bay's trust, else the service user.
pub(crate) fn standing(bay: &Bay, settings: &Settings) -> Option<Credentials> {
    trust(bay).or_else(|| service(bay, settings))
}

fn service(bay: &Bay, settings: &Settings) -> Option<Credentials> {
    let project_id = bay.project_id.clone();
    settings.service_user.then_some(Credentials::Service { project_id })
}

fn trustee(bay: &Bay) -> Option<Trustee> {
    let (user_id, password) = (bay.trustee_user_id.clone()?, bay.trustee_password.clone()?);
    Some(Trustee { user_id, password })
}

/// The bay's trust, which is good for every stack of its project.
pub(crate) fn trust(bay: &Bay) -> Option<Credentials> {
    Some(Credentials::Trust { trustee: trustee(bay)?, trust_id: bay.trust_id.clone()? })
}

/// What a step has done or decided, to be recorded in one transaction.
#[derive(Debug, Clone)]
#[must_use]
pub struct Change<S: Subject = Bay> {
    pub next: Next,
    pub row: RowChange<S>,
    pub progress: Option<Progress>,
    /// What to answer a caller who has not been answered yet. One who waits for the end is answered only by the last
    /// change.
    pub reply: Option<Answer>,
    pub event: Option<Outcome>,
    /// The caller's token is not needed any more.
    pub erase_token: bool,
    /// What is waited for was seen: the time in which somebody has to be let in begins anew.
    pub seen: bool,
}

/// Where the operation goes from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The step after this one.
    Proceed,
    /// A step by name: the way into undoing.
    Step(&'static str),
    /// This step once more, after a while.
    Again(Duration),
    /// The operation is over; the reason is kept for a failed one.
    End(Ending, Option<String>),
}

/// What becomes of the row that the operation is about.
#[derive(Debug, Clone)]
pub enum RowChange<S> {
    Keep,
    Save(Box<S>),
    Remove(Box<S>),
}

/// The answer to the caller.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The object as it is after the change.
    Object,
    Null,
    Value(Value),
    Fault(Fault),
}

impl<S: Subject> Change<S> {
    fn to(next: Next) -> Self {
        Self {
            next,
            row: RowChange::Keep,
            progress: None,
            reply: None,
            event: None,
            erase_token: false,
            seen: false,
        }
    }

    pub fn proceed() -> Self {
        Self::to(Next::Proceed)
    }

    pub fn step(name: &'static str) -> Self {
        Self::to(Next::Step(name))
    }

    pub fn again(after: Duration) -> Self {
        Self::to(Next::Again(after))
    }

    pub fn done() -> Self {
        Self { erase_token: true, ..Self::to(Next::End(Ending::Done, None)) }
    }

    pub fn failed(reason: impl Into<String>) -> Self {
        Self { erase_token: true, ..Self::to(Next::End(Ending::Failed, Some(reason.into()))) }
    }

    pub fn save(mut self, subject: S) -> Self {
        self.row = RowChange::Save(Box::new(subject));
        self
    }

    /// `last` is what it was in the end, for the notification of it.
    pub fn remove(mut self, last: S) -> Self {
        self.row = RowChange::Remove(Box::new(last));
        self
    }

    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = Some(progress);
        self
    }

    pub fn reply(mut self, answer: Answer) -> Self {
        self.reply = Some(answer);
        self
    }

    pub fn event(mut self, outcome: Outcome) -> Self {
        self.event = Some(outcome);
        self
    }

    pub fn erase_token(mut self) -> Self {
        self.erase_token = true;
        self
    }
}

/// Why a step could not be done.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Worth another try: the fault is logged, and told if the deadline passes.
    #[error("{fault}")]
    Retry { fault: Fault, after: Option<Duration> },
    #[error("{0}")]
    Fatal(Fault),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl StepError {
    /// Worth another try, for a reason that has no name of its own.
    pub fn retry(reason: impl Into<String>, after: Option<Duration>) -> Self {
        Self::Retry { fault: Fault::Internal(reason.into()), after }
    }

    /// Sorts an answer of the cloud's: what may pass is tried again, the rest is told as `fault` words it.
    pub fn from_cloud(error: &crate::openstack::Error, fault: impl FnOnce(String) -> Fault) -> Self {
        if error.is_retryable() || error.effect_unknown() {
            return Self::retry(error.to_string(), error.retry_after());
        }
        Self::Fatal(fault(error.to_string()))
    }
}

/// A copy of the bay in another state.
pub fn with_status(bay: &Bay, status: Status, reason: Option<String>) -> Bay {
    Bay { status: Some(status), status_reason: reason, ..bay.clone() }
}
