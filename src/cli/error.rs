//! Why a command failed, and with which exit code.

use std::{io, time::Duration};

use mesos_conductor_proto::failure::Failure;

use crate::config::{ConfigFaults, key::KeyError};

/// The command line is wrong (`EX_USAGE`).
pub(super) const USAGE: u8 = 64;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Config(#[from] ConfigFaults),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Telemetry(#[from] crate::telemetry::Error),
    #[error("the runtime cannot start")]
    Runtime(#[source] io::Error),
    #[error("the result cannot be written")]
    Output(#[from] io::Error),
    /// The conductor answered with a failure.
    #[error("the conductor says: {}: {}", .0.class, .0.message)]
    Failure(Box<Failure>),
    #[error("no answer to {method} came within {waited:.1?}; the conductor may still do what it was asked")]
    TimedOut { method: String, waited: Duration },
    #[error("the conductor cannot be reached: {0}")]
    Unreachable(String),
    #[error("the answer makes no sense: {0}")]
    Garbage(String),
    #[error("Keystone: {0}")]
    Identity(String),
    /// What was asked for began well and ended badly.
    #[error("{0}")]
    Ended(String),
    #[error(transparent)]
    Worker(#[from] anyhow::Error),
}

impl Error {
    /// After sysexits.h; 1 when the conductor was asked and said no, or the bay or app failed.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Failure(_) | Self::Ended(_) => 1,
            Self::Usage(_) => USAGE,
            Self::Unreachable(_) => 69,
            Self::Runtime(_) | Self::Garbage(_) | Self::Worker(_) => 70,
            Self::Output(_) => 74,
            Self::TimedOut { .. } => 75,
            Self::Identity(_) => 77,
            Self::Config(_) | Self::Key(_) | Self::Telemetry(_) => 78,
        }
    }

    /// Whether asking again may help: the broker or the workers were away for a moment.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Unreachable(_))
    }

    /// The conductor knows no such bay or app (or it belongs to somebody else). An app goes with its bay.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Failure(failure) if matches!(failure.class.as_str(), "BayNotFound" | "AppNotFound"))
    }
}
