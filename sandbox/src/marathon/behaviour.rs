//! How instances of an app fare once they are launched: scripted from outside, never read from the definition.

use serde::{Deserialize, Serialize};

/// What an instance does. Times are Marathon's own: the sandbox's speed divides them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Runs, and passes its checks from so many seconds after its start.
    Healthy {
        #[serde(default)]
        after_seconds: u32,
    },
    /// Runs, and fails every health check.
    NeverHealthy,
    /// Runs and is healthy, and never becomes ready.
    NeverReady,
    /// Ends with `TASK_FAILED` so many seconds after its start.
    CrashLoop {
        message: String,
        #[serde(default)]
        after_seconds: u32,
    },
    /// Ends with `TASK_FINISHED` so many seconds after its start.
    Finishes {
        #[serde(default)]
        after_seconds: u32,
    },
    /// No offer is good enough, for this reason of the launch queue, such as `InsufficientCpus`.
    Unschedulable { reason: String },
    /// Stays `TASK_STAGING`, as while an image is pulled.
    StuckStaging,
    /// Runs healthily and does not go away when it is killed.
    Unkillable,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self::Healthy { after_seconds: 0 }
    }
}

impl Behaviour {
    /// Fails at once with this message, again and again.
    #[must_use]
    pub fn crash_loop(message: &str) -> Self {
        Self::CrashLoop { message: message.to_owned(), after_seconds: 0 }
    }

    #[must_use]
    pub fn unschedulable(reason: &str) -> Self {
        Self::Unschedulable { reason: reason.to_owned() }
    }
}

/// Which instances behave so. Of several scripts that fit, the latest counts; instances that run already keep
/// the behaviour they were launched with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The app's id with its leading slash; empty means every app.
    #[serde(default)]
    pub app: String,
    /// A text that the app's definition must contain, such as an image's tag: so one version of an app can be
    /// bad and the one before it good.
    #[serde(default)]
    pub containing: String,
    pub behaviour: Behaviour,
}

impl Script {
    /// Every instance of that app.
    #[must_use]
    pub fn new(app: &str, behaviour: Behaviour) -> Self {
        Self { app: app.to_owned(), containing: String::new(), behaviour }
    }

    /// Only instances of definitions with that text.
    #[must_use]
    pub fn containing(self, text: &str) -> Self {
        Self { containing: text.to_owned(), ..self }
    }

    pub(crate) fn fits(&self, app: &str, definition: &str) -> bool {
        (self.app.is_empty() || self.app == app) && definition.contains(&self.containing)
    }
}
