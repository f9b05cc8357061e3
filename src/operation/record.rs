//! The record of an operation, as every worker of the pool sees it in the database.

use std::time::Duration;

use mesos_conductor_proto::message::ReplyAddress;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The step of a create or an update that waits for the stack to be complete, as it is stored.
pub const AWAIT_STACK: &str = "await_stack";
/// The step of a delete that waits for the stack to be gone, as it is stored.
pub const AWAIT_GONE: &str = "await_gone";

/// What a command asks for. The text form is stored and shown in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    BayCreate,
    BayUpdate,
    BayDelete,
    CaRotate,
    AppCreate,
    AppUpdate,
    AppDelete,
    AppScale,
    AppRestart,
    AppRollback,
    AppTaskKill,
    DeploymentCancel,
}

impl Kind {
    pub const ALL: &'static [Self] = &[
        Self::BayCreate,
        Self::BayUpdate,
        Self::BayDelete,
        Self::CaRotate,
        Self::AppCreate,
        Self::AppUpdate,
        Self::AppDelete,
        Self::AppScale,
        Self::AppRestart,
        Self::AppRollback,
        Self::AppTaskKill,
        Self::DeploymentCancel,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::BayCreate => "bay_create",
            Self::BayUpdate => "bay_update",
            Self::BayDelete => "bay_delete",
            Self::CaRotate => "ca_rotate",
            Self::AppCreate => "app_create",
            Self::AppUpdate => "app_update",
            Self::AppDelete => "app_delete",
            Self::AppScale => "app_scale",
            Self::AppRestart => "app_restart",
            Self::AppRollback => "app_rollback",
            Self::AppTaskKill => "app_task_kill",
            Self::DeploymentCancel => "deployment_cancel",
        }
    }

    /// What is left to do when the row that it is about has gone.
    pub fn is_delete(self) -> bool {
        matches!(self, Self::BayDelete | Self::AppDelete)
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

/// Where an operation stands. `Running` covers waiting: only a finished operation is never claimed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    Running,
    Done,
    Failed,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// One durable operation.
#[derive(Debug, Clone)]
pub struct Operation {
    pub uuid: Uuid,
    pub kind: Kind,
    /// The row that it is about: its kind says of which table.
    pub subject: Uuid,
    /// The project that asked for it, in whose share it is run.
    pub project_id: Option<String>,
    pub request_id: Option<String>,
    /// The name of the step to run next.
    pub step: String,
    /// How often the current step was begun.
    pub attempts: u32,
    /// What was asked and what is known so far: MessagePack, encrypted at rest.
    pub progress: Vec<u8>,
    /// The caller's token while it is needed; erased as soon as it is not. Encrypted at rest.
    pub token: Option<SecretString>,
    /// A later delete wants this operation to stop at its next step boundary.
    pub superseded: bool,
    /// Milliseconds of the database's clock after which the current step is not tried again; `None` is no limit.
    pub deadline_ms: Option<i64>,
    /// Milliseconds of the database's clock when it was accepted.
    pub created_ms: i64,
}

/// Whom to answer, how, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplyTo {
    pub address: ReplyAddress,
    /// The object version the caller asked with, so that the answer goes back at it.
    pub object_version: Option<String>,
    /// The caller waits for the operation's end (`wait=true`).
    pub at_end: bool,
}

/// The right to write an operation's rows: who holds it and the fencing number that every write checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub operation: Uuid,
    pub owner: String,
    pub fence: i64,
}

/// A message on its way out. All bodies are published in order, byte for byte as stored, on one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    pub purpose: Purpose,
    /// The empty exchange is RabbitMQ's default one: the routing key is the queue's name.
    pub exchange: String,
    pub routing_key: String,
    pub content_type: String,
    pub bodies: Vec<Vec<u8>>,
    /// How long an unroutable message is tried again before it is dropped and counted.
    pub give_up_after: Option<Duration>,
}

/// What an outgoing message is for: it decides whether a missing queue is declared or waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    Reply,
    Notification,
}
