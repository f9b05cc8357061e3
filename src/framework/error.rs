//! What can go wrong with a call to a framework, by what the caller can do about it.

use std::fmt;
use std::time::Duration;

use super::seen::DeploymentId;
use crate::error::Fault;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed. `message` is the framework's own text where it has one; none holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something of that id is there: compare it with what was asked.
    #[error("it exists already: {message}")]
    AlreadyExists { message: String },
    /// Deployments are in the way.
    #[error("locked by {}: {message}", listed(.deployments))]
    Locked { message: String, deployments: Vec<DeploymentId> },
    #[error("not found: {message}")]
    NotFound { message: String },
    /// The framework refuses what is asked for, for the reasons in `details`.
    #[error("refused as invalid: {message}{}", told(.details))]
    Invalid { message: String, details: Vec<Detail> },
    #[error("the credentials were refused: {message}")]
    Unauthorized { message: String },
    #[error("not allowed: {message}")]
    Forbidden { message: String },
    #[error("too many deployments are under way: {message}")]
    TooManyDeployments { message: String },
    /// No leader, no connection, overload: nothing was changed.
    #[error("out of service: {message}")]
    Unavailable { message: String, retry_after: Option<Duration> },
    /// It may have happened or not: look before asking again.
    #[error("no clear answer, it may have taken effect: {message}")]
    Unknown { message: String },
    /// The answer is none that the framework gives: wrong address, a proxy in between.
    #[error("the answer cannot be understood: {message}")]
    Protocol { message: String },
    #[error("not supported: {message}")]
    NotSupported { message: String },
    /// Our own settings.
    #[error("{message}")]
    Config { message: String },
}

/// One reason for which a definition was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// Where in the definition, as the framework writes it.
    pub path: String,
    pub problems: Vec<String>,
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problems.join(", "))
    }
}

fn listed(deployments: &[DeploymentId]) -> String {
    match deployments {
        [] => "a deployment".to_owned(),
        ids => ids.iter().map(DeploymentId::as_str).collect::<Vec<_>>().join(", "),
    }
}

fn told(details: &[Detail]) -> String {
    details.iter().map(|detail| format!("; {detail}")).collect()
}

impl Error {
    /// Whether the same call can succeed later without anyone changing what it asks for.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Locked { .. }
            | Self::TooManyDeployments { .. }
            | Self::Unavailable { .. }
            | Self::Unknown { .. }
            | Self::Protocol { .. } => true,
            Self::AlreadyExists { .. }
            | Self::NotFound { .. }
            | Self::Invalid { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotSupported { .. }
            | Self::Config { .. } => false,
        }
    }

    /// Whether the framework may have done what it was asked to do. Only a change gives such an error.
    pub fn effect_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }

    /// How it is told to a caller who asked something of `app`.
    pub fn fault(&self, app: &str) -> Fault {
        let text = self.to_string();
        match self {
            Self::AlreadyExists { message } => Fault::AppAlreadyExists(message.clone()),
            Self::Locked { .. } => Fault::AppOperationInProgress { app: app.to_owned(), reason: text },
            Self::NotFound { .. } => Fault::AppNotFound(app.to_owned()),
            Self::Invalid { .. } => Fault::InvalidManifest(text),
            Self::Unauthorized { .. } | Self::Forbidden { .. } => {
                Fault::AuthorizationFailure { client: "framework".to_owned(), message: text }
            }
            Self::NotSupported { message } => Fault::NotSupported { operation: message.clone() },
            Self::Config { .. }
            | Self::TooManyDeployments { .. }
            | Self::Unavailable { .. }
            | Self::Unknown { .. }
            | Self::Protocol { .. } => Fault::FrameworkUnavailable(text),
        }
    }

    /// How long the framework asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Unavailable { retry_after, .. } = self { *retry_after } else { None }
    }
}
