//! What can go wrong with a call, by what the caller can do about it.

use std::fmt;
use std::time::Duration;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A call that failed: which one, and why. Holds no token, no password and no query.
#[derive(Debug)]
pub struct Error {
    pub kind: Kind,
    pub call: Option<Box<Call>>,
}

/// Which call it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub service: &'static str,
    pub method: String,
    pub path: String,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Kind {
    #[error("401, the credentials or the token were refused: {message}")]
    Unauthorized { message: String },
    #[error("403, not allowed: {message}")]
    Forbidden { message: String },
    #[error("404, not found: {message}")]
    NotFound { message: String, error_type: Option<String> },
    #[error("409, in conflict with what exists or is under way: {message}")]
    Conflict { message: String, error_type: Option<String> },
    /// The service understood the request and refuses what it asks for; `message` is its own text.
    #[error("{code}, refused: {message}")]
    BadRequest { code: u16, message: String, error_type: Option<String> },
    /// The service takes no more at the moment (429, 503).
    #[error("{code}, overloaded or out of service: {message}")]
    Busy { code: u16, message: String, retry_after: Option<Duration> },
    #[error("unexpected status {code}: {message}")]
    Status { code: u16, message: String },
    #[error("no answer in time{}", if *.sent { "; the request may have taken effect" } else { "" })]
    Timeout { sent: bool },
    /// No connection to the host was made, so nothing was sent.
    #[error("no connection to {0}")]
    Connect(String),
    /// The connection broke when the request may have been sent.
    #[error("the connection broke before the answer was complete: {0}")]
    Lost(String),
    #[error("the answer cannot be understood: {0}")]
    Garbage(String),
    #[error("{0}")]
    Catalog(String),
    #[error("{0}")]
    Config(String),
}

impl Error {
    pub fn config(text: impl Into<String>) -> Self {
        Kind::Config(text.into()).into()
    }

    pub(crate) fn catalog(text: impl Into<String>) -> Self {
        Kind::Catalog(text.into()).into()
    }

    pub(crate) fn at(mut self, call: &Call) -> Self {
        self.call.get_or_insert_with(|| Box::new(call.clone()));
        self
    }

    /// Whether the same call can succeed later without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        match &self.kind {
            Kind::Busy { .. }
            | Kind::Timeout { .. }
            | Kind::Connect(_)
            | Kind::Lost(_)
            | Kind::Garbage(_) => true,
            Kind::Status { code, .. } => *code >= 500,
            Kind::BadRequest { code, .. } => *code == 408,
            Kind::Unauthorized { .. }
            | Kind::Forbidden { .. }
            | Kind::NotFound { .. }
            | Kind::Conflict { .. }
            | Kind::Catalog(_)
            | Kind::Config(_) => false,
        }
    }

    /// How long the service asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Kind::Busy { retry_after, .. } = &self.kind { *retry_after } else { None }
    }

    /// Whether the service may have done what it was asked to do: look before asking again.
    pub fn effect_unknown(&self) -> bool {
        match &self.kind {
            Kind::Timeout { sent } => *sent,
            Kind::Lost(_) | Kind::Garbage(_) => true,
            Kind::Status { code, .. } => *code >= 500,
            // A proxy's 503 says that no server was there; the services' own come before any work is done.
            Kind::Busy { .. }
            | Kind::Connect(_)
            | Kind::Unauthorized { .. }
            | Kind::Forbidden { .. }
            | Kind::NotFound { .. }
            | Kind::Conflict { .. }
            | Kind::BadRequest { .. }
            | Kind::Catalog(_)
            | Kind::Config(_) => false,
        }
    }

    /// The service's own words, for a status reason or a failure that the caller reads.
    pub fn service_message(&self) -> Option<&str> {
        match &self.kind {
            Kind::Unauthorized { message }
            | Kind::Forbidden { message }
            | Kind::NotFound { message, .. }
            | Kind::Conflict { message, .. }
            | Kind::BadRequest { message, .. }
            | Kind::Busy { message, .. }
            | Kind::Status { message, .. } => Some(message),
            Kind::Timeout { .. }
            | Kind::Connect(_)
            | Kind::Lost(_)
            | Kind::Garbage(_)
            | Kind::Catalog(_)
            | Kind::Config(_) => None,
        }
    }

    pub fn is_unauthorized(&self) -> bool {
        matches!(self.kind, Kind::Unauthorized { .. })
    }

    pub fn is_forbidden(&self) -> bool {
        matches!(self.kind, Kind::Forbidden { .. })
    }

    pub fn is_not_found(&self) -> bool {
        matches!(self.kind, Kind::NotFound { .. })
    }

    pub fn is_conflict(&self) -> bool {
        matches!(self.kind, Kind::Conflict { .. })
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self { kind, call: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.call {
            Some(call) => write!(f, "{}: {} {}: {}", call.service, call.method, call.path, self.kind),
            None => self.kind.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
