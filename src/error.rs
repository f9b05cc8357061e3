//! What can go wrong with a request, and the only place that says how each fault looks on the wire.
//!
//! Magnum's API re-raises a failure only if its class is one of `magnum.common.exception`; every other class becomes
//! a bare 500. So each fault names the class, the HTTP code and the text that Magnum's users know.

use mesos_conductor_proto::failure::Failure;
use serde::{Deserialize, Serialize};

/// Why a request was refused or an operation failed. Stored with an operation, so that whoever finishes it can say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Fault {
    #[error("{0}")]
    InvalidParameterValue(String),
    #[error("{operation} is not supported.")]
    NotSupported { operation: String },
    #[error("Required parameter {heat_param} not provided.")]
    RequiredParameterNotProvided { heat_param: String },
    #[error("Bay type ({server_type}, {os}, {coe}) not supported.")]
    BayTypeNotSupported { server_type: String, os: String, coe: String },
    #[error("Bay {0} could not be found.")]
    BayNotFound(String),
    #[error("A bay with UUID {0} already exists.")]
    BayAlreadyExists(String),
    #[error("Baymodel {0} could not be found.")]
    BayModelNotFound(String),
    #[error("A baymodel with UUID {0} already exists.")]
    BayModelAlreadyExists(String),
    #[error("Baymodel {0} is referenced by one or multiple bays.")]
    BayModelReferenced(String),
    #[error("{0}")]
    Conflict(String),
    #[error("Expected an uuid or int but received {0}.")]
    InvalidIdentity(String),
    #[error("Bay {0} already has an operation in progress.")]
    OperationInProgress(String),
    #[error("{client} connection failed. {message}")]
    AuthorizationFailure { client: String, message: String },
    #[error("Failed to create trustee {username}: {reason}")]
    TrusteeCreateFailed { username: String, reason: String },
    #[error("Failed to create trust for trustee {trustee_user_id}: {reason}")]
    TrustCreateFailed { trustee_user_id: String, reason: String },
    /// Something of ours or of the cloud's that the caller cannot mend.
    #[error("{0}")]
    Internal(String),
    #[error("Endpoint does not support RPC method {0}")]
    NoSuchMethod(String),
    #[error("Endpoint does not support RPC version {version}. Attempted method: {method}")]
    UnsupportedVersion { version: String, method: String },
    /// Arguments that the method does not take, worded as Python words it.
    #[error("{0}")]
    WrongArguments(String),
    #[error("Version {requested} of {name} is not supported, supported version is {supported}")]
    IncompatibleObjectVersion { name: String, requested: String, supported: String },
}

impl Fault {
    /// The failure a client re-raises.
    pub fn to_failure(&self) -> Failure {
        let (class, code) = match self {
            Self::InvalidParameterValue(_) => ("InvalidParameterValue", 400),
            Self::NotSupported { .. } => ("NotSupported", 400),
            Self::RequiredParameterNotProvided { .. } => ("RequiredParameterNotProvided", 400),
            Self::BayTypeNotSupported { .. } => ("BayTypeNotSupported", 400),
            Self::BayNotFound(_) => ("BayNotFound", 404),
            Self::BayAlreadyExists(_) => ("BayAlreadyExists", 409),
            Self::BayModelNotFound(_) => ("BayModelNotFound", 404),
            Self::BayModelAlreadyExists(_) => ("BayModelAlreadyExists", 409),
            Self::BayModelReferenced(_) => ("BayModelReferenced", 400),
            Self::Conflict(_) => ("Conflict", 409),
            Self::InvalidIdentity(_) => ("InvalidIdentity", 400),
            Self::OperationInProgress(_) => ("OperationInProgress", 400),
            Self::AuthorizationFailure { .. } => ("AuthorizationFailure", 403),
            Self::TrusteeCreateFailed { .. } => ("TrusteeCreateFailed", 500),
            Self::TrustCreateFailed { .. } => ("TrustCreateFailed", 500),
            Self::Internal(_) => ("MagnumException", 500),
            Self::NoSuchMethod(method) => return Failure::no_such_method(method),
            Self::UnsupportedVersion { version, method } => {
                return Failure::unsupported_version(version, method);
            }
            Self::WrongArguments(message) => return Failure::type_error(message),
            Self::IncompatibleObjectVersion { .. } => {
                return Failure::remote(
                    "IncompatibleObjectVersion",
                    "oslo_versionedobjects.exception",
                    &self.to_string(),
                );
            }
        };
        Failure::magnum(class, code, &self.to_string())
    }
}

impl From<mesos_conductor_proto::object::ObjectError> for Fault {
    fn from(error: mesos_conductor_proto::object::ObjectError) -> Self {
        use mesos_conductor_proto::object::ObjectError;
        match error {
            ObjectError::IncompatibleVersion { name, requested, supported } => {
                Self::IncompatibleObjectVersion {
                    name,
                    requested: requested.to_string(),
                    supported: supported.to_string(),
                }
            }
            other => Self::InvalidParameterValue(other.to_string()),
        }
    }
}
