//! What an operation was asked to do and has found out so far, as it is kept in its row.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bay::Status;
use crate::bay::scale_down::Why;
use crate::error::Fault;
use crate::framework::AgentId;
use crate::notify::Initiator;

/// Stored as MessagePack, encrypted; every field that a later release adds needs a default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Who asked.
    pub initiator: Initiator,
    /// Where the caller wants the result's notification besides the topics.
    #[serde(default)]
    pub notify_queue: Option<String>,
    /// What an update or a delete found, to go back to if it is refused.
    #[serde(default)]
    pub before: Option<Before>,
    /// Why the operation is being undone.
    #[serde(default)]
    pub failure: Option<Fault>,
    /// Heat was asked for the stack and the answer is not known: it may still appear.
    #[serde(default)]
    pub stack_may_appear: bool,
    /// The agents that the caller wants to go, by their addresses.
    #[serde(default)]
    pub nodes_to_remove: Vec<String>,
    /// The agents that go.
    #[serde(default)]
    pub removal: Option<Removal>,
    /// The bay is updated although its number of agents stays the same: Heat is to replace what is broken.
    #[serde(default)]
    pub repair: Option<Repair>,
    /// When a stack that is complete without what it was asked for is taken for an end, in milliseconds of the
    /// database's clock: somebody else's update came after ours.
    #[serde(default)]
    pub overtaken_ms: Option<i64>,
    /// What is done to an app.
    #[serde(default)]
    pub work: Option<Work>,
    /// Which deployment is ended.
    #[serde(default)]
    pub cancelled: Option<Cancelled>,
}

/// Which agents an update takes away, and how far that has come. It is committed before anything is done to them, so
/// that whoever goes on with the update goes on with the same ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// The first one goes first.
    pub leaving: Vec<Leaver>,
    /// When their draining is given up, in milliseconds of the database's clock.
    pub until_ms: i64,
    /// Nothing is kept from work any more that was for this update.
    #[serde(default)]
    pub opened: bool,
    /// What the bay's status is to tell of this besides what Heat says.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// An update for the sake of what is broken. Its parameters do not tell it from the one before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// When the stack was updated last before, once that is known.
    #[serde(default)]
    pub updated: Option<String>,
    /// When the update has begun in any case, in milliseconds of the database's clock.
    #[serde(default)]
    pub begun_ms: i64,
}

/// An agent that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaver {
    /// Its private address, as the stack tells it.
    pub address: String,
    pub why: Why,
    /// As the masters know it, unless they do not.
    #[serde(default)]
    pub agent: Option<AgentId>,
    /// Whether it was kept from work before: then it is not for us to open it.
    #[serde(default)]
    pub closed_before: bool,
}

impl Removal {
    /// The agents that this update keeps from work.
    pub fn ours(&self) -> impl Iterator<Item = (&Leaver, &AgentId)> {
        let ours = self.leaving.iter().filter(|leaver| !leaver.closed_before && !self.opened);
        ours.filter_map(|leaver| Some((leaver, leaver.agent.as_ref()?)))
    }

    /// Whether anything was kept from work that has to be given work again.
    pub fn is_to_open(&self) -> bool {
        self.ours().next().is_some()
    }

    pub fn addresses(&self) -> Vec<&str> {
        self.leaving.iter().map(|leaver| leaver.address.as_str()).collect()
    }

    /// A reason with what is to be told besides.
    pub fn told(&self, reason: Option<String>) -> Option<String> {
        let texts: Vec<String> = reason.into_iter().chain(self.notes.iter().cloned()).collect();
        (!texts.is_empty()).then(|| texts.join(" "))
    }
}

/// What was asked of an app, and how far it has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    pub deed: Deed,
    /// Whether a deployment that is in the way is overridden.
    pub force: bool,
    /// How long the deployment may take.
    pub deadline: Duration,
    pub on_deadline: OnDeadline,
    /// The app as it was before: what a change that is taken back goes back to.
    #[serde(default)]
    pub before: Option<AppBefore>,
    /// By app id, where the framework stood before the change.
    #[serde(default)]
    pub marks: BTreeMap<String, Mark>,
    /// What the framework does for this, once it has taken it on.
    #[serde(default)]
    pub deployments: Vec<String>,
    /// When the deployment is given up, in milliseconds of the database's clock.
    #[serde(default)]
    pub until_ms: Option<i64>,
}

/// What is asked of an app. Names are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    Create,
    /// The new manifest, as it was sent.
    Update(String),
    Scale(u32),
    Restart,
    Rollback(String),
    Delete,
    KillTask {
        task: String,
        scale: bool,
        wipe: bool,
    },
}

/// What becomes of a deployment that is not done by its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDeadline {
    /// It goes on.
    Leave,
    /// A new one takes its changes back.
    Rollback,
    /// It ends, and apps stay as far as it has come.
    Cancel,
}

impl OnDeadline {
    pub const ALL: [(&'static str, Self); 3] =
        [("leave", Self::Leave), ("rollback", Self::Rollback), ("cancel", Self::Cancel)];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, value)| *value)
    }
}

/// Where the framework stood with one app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub version: Option<String>,
    /// When anything but the number of instances changed last.
    pub changed: Option<String>,
}

/// What of an app's row an operation may have to put back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppBefore {
    pub manifest: Option<String>,
    pub manifest_url: Option<String>,
    pub status: Option<String>,
    pub status_reason: Option<String>,
}

/// A deployment that is ended by request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    pub bay: Uuid,
    pub deployment: String,
    pub force: bool,
    /// What the framework does to take its changes back.
    #[serde(default)]
    pub reverts: Vec<String>,
}

/// A bay's state before an operation touched it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Before {
    pub node_count: Option<i64>,
    pub status: Option<String>,
    pub status_reason: Option<String>,
}

impl Before {
    pub fn status(&self) -> Option<Status> {
        self.status.as_deref().and_then(|text| text.parse().ok())
    }
}

impl Progress {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self).expect("progress has only maps with text keys")
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, rmp_serde::decode::Error> {
        rmp_serde::from_slice(bytes)
    }
}
