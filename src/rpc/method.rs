//! What an endpoint's method is.

use std::sync::Arc;

use async_trait::async_trait;
use mesos_conductor_proto::codec::Map;
use mesos_conductor_proto::context::RequestContext;
use mesos_conductor_proto::message::Request;
use serde_json::Value;

use crate::error::Fault;
use crate::operation::record::ReplyTo;
use crate::operation::runner::Workshop;
use crate::rpc::Settings;
use crate::rpc::arguments::Argument;
use crate::store::{self, Scope, Transaction};

/// A method of the conductor.
#[async_trait]
pub(crate) trait Method: Send + Sync {
    fn name(&self) -> &'static str;

    fn arguments(&self) -> &'static [Argument];

    /// What it answers with when it succeeds, for its schema.
    fn answers(&self) -> Answers {
        Answers::Anything
    }

    /// Whether anybody may call it: it tells nothing and changes nothing.
    fn is_open(&self) -> bool {
        false
    }

    /// Whether this call changes anything: then it is recorded, its refusal too.
    fn writes(&self, _call: &Call<'_>) -> bool {
        false
    }

    /// Checks, reads, and says what to answer or to write. Writes nothing itself.
    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError>;
}

/// What a method answers with when it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// Nobody has said.
    Anything,
    /// Nothing: null.
    Nothing,
    True,
    /// Always this text.
    Word(&'static str),
    /// An object of this class.
    Object(&'static str),
    /// A list of such objects.
    Objects(&'static str),
    /// A plain value whose schema has this name.
    Shape(&'static str),
    /// Whatever the method of an object's class returned.
    ClassMethod,
    /// What an object's method changed in it, and what the method returned.
    Changes,
}

/// What a method makes of a call.
pub(crate) enum Action {
    Answer(Value),
    Write(Box<dyn Write>),
}

/// A change, applied in the transaction that also records the request.
#[async_trait]
pub(crate) trait Write: Send + Sync {
    /// May be applied again after a deadlock, in a new transaction.
    async fn apply(&self, tx: &mut Transaction) -> Result<Written, CallError>;
}

/// What a change left to say.
pub(crate) enum Written {
    /// The answer is known.
    Answer(Value),
    /// An operation will answer.
    Operation,
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error(transparent)]
    Store(store::Error),
}

impl From<store::Error> for CallError {
    fn from(error: store::Error) -> Self {
        if let store::Error::Unstorable(_) = error {
            let text = "A value is too long, or too large, for what Magnum keeps.";
            return Self::Fault(Fault::InvalidParameterValue(text.to_owned()));
        }
        Self::Store(error)
    }
}

impl From<mesos_conductor_proto::object::ObjectError> for CallError {
    fn from(error: mesos_conductor_proto::object::ObjectError) -> Self {
        Self::Fault(error.into())
    }
}

/// Whose rows a caller sees (reference: Magnum's tenancy rule of the bay era).
pub(crate) fn scope(context: &RequestContext) -> Scope {
    if context.is_admin() && context.all_tenants() {
        return Scope::All;
    }
    match context.project_id() {
        Some(project) => Scope::Project(project.to_owned()),
        // Without either nothing is seen: no row has an empty owner.
        None => Scope::User(context.user_id().unwrap_or_default().to_owned()),
    }
}

/// One request on its way through a method.
pub(crate) struct Call<'a> {
    pub(crate) request: &'a Request,
    pub(crate) shop: &'a Arc<Workshop>,
    pub(crate) settings: &'a Settings,
    pub(crate) scope: Scope,
}

impl Call<'_> {
    pub(crate) fn args(&self) -> &Map {
        &self.request.args
    }

    /// The key that tells a repeated request; `None` for one that carries no id.
    pub(crate) fn key(&self) -> Option<String> {
        self.request.dedupe_key().map(str::to_owned)
    }

    /// Whom an operation is to answer.
    pub(crate) fn reply_to(&self, object_version: Option<String>, at_end: bool) -> Option<ReplyTo> {
        let address = self.request.reply_address()?;
        Some(ReplyTo { address, object_version, at_end })
    }
}
