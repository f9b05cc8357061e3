//! What an operation was asked to do and has found out so far, as it is kept in its row.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bay::Status;
use crate::error::Fault;
use crate::notify::Initiator;

/// Stored as MessagePack, encrypted; every field that a later release adds needs a default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Who asked.
    pub initiator: Initiator,
    /// The caller's name and domain, which a stack takes as parameters.
    #[serde(default)]
    pub caller: Caller,
    /// Where the caller wants the result's notification besides the topics.
    #[serde(default)]
    pub notify_queue: Option<String>,
    /// A stack may exist although its id is not known: its creation was begun.
    #[serde(default)]
    pub stack_begun: bool,
    /// What an update or a delete found, to go back to if it is refused.
    #[serde(default)]
    pub before: Option<Before>,
    /// Why the operation is being undone.
    #[serde(default)]
    pub failure: Option<Fault>,
}

/// What the request's context said of the caller, beyond ids.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Caller {
    pub user_name: Option<String>,
    pub domain_name: Option<String>,
    pub auth_url: Option<String>,
    /// The service catalog that came with the caller's token.
    pub catalog: Option<Value>,
    pub token_expires_at: Option<String>,
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
