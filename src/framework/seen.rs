//! What a framework shows: apps, tasks, deployments and hints, in the worker's words.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::app::{AppId, Definition};

/// A text of the framework's that only it understands.
macro_rules! opaque {
    ($($(#[$about:meta])* $name:ident;)*) => { $(
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )* };
}

opaque! {
    /// A change on its way.
    DeploymentId;
    /// A version of a definition: a time stamp by the framework's clock, later ones sort behind.
    Version;
}

/// Which framework answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    pub name: String,
    pub version: String,
    pub framework_id: Option<String>,
    pub leader: Option<String>,
    /// Whether a deployment is in [`super::Framework::deployments`] as soon as its change is accepted. Elsewhere its
    /// absence from the first list says nothing.
    pub lists_at_once: bool,
}

/// A change that the framework has taken on. It may be done already, or have been nothing to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Several when several requests were needed.
    pub deployments: Vec<DeploymentId>,
    pub version: Option<Version>,
}

/// An app as the framework shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub id: AppId,
    pub definition: Definition,
    pub instances: u32,
    pub tasks_staged: u32,
    pub tasks_running: u32,
    pub tasks_healthy: u32,
    pub tasks_unhealthy: u32,
    pub version: Option<Version>,
    /// Moves with everything but scaling.
    pub last_config_change_at: Option<Version>,
    pub deployments: Vec<DeploymentId>,
    pub last_failure: Option<TaskFailure>,
    /// `host:port` of every running task; empty in a listing without tasks.
    pub endpoints: Vec<String>,
    pub tasks: Vec<Task>,
}

impl Seen {
    /// Whether every task is up and nothing is under way.
    pub fn is_settled(&self) -> bool {
        self.deployments.is_empty() && self.is_up()
    }

    /// Whether as many tasks as asked for run, and are healthy where that is checked.
    pub fn is_up(&self) -> bool {
        let healthy = !self.definition.has_health_checks() || self.tasks_healthy == self.instances;
        self.tasks_running == self.instances && self.tasks_staged == 0 && healthy
    }
}

/// A task of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Task {
    pub id: String,
    pub host: String,
    pub ports: Vec<u16>,
    /// Such as `TASK_RUNNING`.
    pub state: String,
    /// `None` when nobody checks.
    pub healthy: Option<bool>,
    pub version: Option<Version>,
    pub staged_at: Option<String>,
    pub started_at: Option<String>,
    pub agent_id: Option<String>,
    pub addresses: Vec<String>,
}

impl Task {
    pub fn is_running(&self) -> bool {
        self.state == "TASK_RUNNING"
    }

    /// Where it can be reached.
    pub fn endpoints(&self) -> impl Iterator<Item = String> + '_ {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        self.ports.iter().map(move |port| format!("{host}:{port}"))
    }
}

/// How a task of an app failed last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskFailure {
    pub task_id: String,
    pub state: String,
    pub message: String,
    pub host: String,
    pub timestamp: Option<String>,
    /// The version that failed: an older one says nothing of the present.
    pub version: Option<Version>,
}

/// A change that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deployment {
    pub id: DeploymentId,
    pub version: Option<Version>,
    pub apps: Vec<String>,
    pub current_step: u32,
    pub total_steps: u32,
    /// What is done in each step, at the same time.
    pub steps: Vec<Vec<String>>,
    /// What is being done now, such as `RestartApplication /web`.
    pub actions: Vec<String>,
}

/// An app with tasks that wait to be started.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Waiting {
    pub app: String,
    pub count: u32,
    pub delay: Delay,
    pub since: Option<String>,
    pub offers_processed: u64,
    pub offers_unused: u64,
    pub unused: Vec<Unused>,
}

/// Why tasks are not started right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Delay {
    /// They could start: what is missing is an offer that suits them.
    Offers,
    /// They failed before, and are given time.
    Backoff(Duration),
}

/// How many offers were declined for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unused {
    pub reason: String,
    pub declined: u64,
    pub processed: u64,
}

/// Something may have moved: look. What a hint says is never more than that, since events can be lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// From here on changes are told.
    Attached,
    /// A deployment moved, or came to its end.
    Deployment {
        id: DeploymentId,
        ended: Option<Ended>,
    },
    AppChanged(AppId),
    /// Something happened that was too big or too strange to read.
    Unclear,
    /// Nothing was heard for too long, not even a heartbeat.
    Silent,
    /// The other side ended the stream, or the connection broke.
    Closed,
}

/// How the framework says that a deployment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    Success,
    Failure { reason: Option<String> },
}
