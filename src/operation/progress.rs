//! What an operation was asked to do and has found out so far, as it is kept in its row.

use serde::{Deserialize, Serialize};

use crate::bay::Status;
use crate::error::Fault;
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
