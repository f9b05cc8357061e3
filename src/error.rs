//! What can go wrong with a request, and the only place that says how each fault looks on the wire.
//!
//! Magnum's API re-raises a failure only if its class is one of `magnum.common.exception`; every other class becomes
//! a bare 500. So each fault names the class, the HTTP code and the text that Magnum's users know.

use mesos_conductor_proto::codec::Map;
use mesos_conductor_proto::failure::Failure;
use mesos_conductor_proto::object::ObjectError;
use mesos_conductor_proto::version::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bay::parameters::{NotSupported, ParameterError};

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
    #[error("A key pair {0} could not be found.")]
    X509KeyPairNotFound(String),
    #[error("A key pair with UUID {0} already exists.")]
    X509KeyPairAlreadyExists(String),
    #[error("A magnum service {0} could not be found.")]
    MagnumServiceNotFound(String),
    #[error("A magnum service with ID {0} already exists.")]
    MagnumServiceAlreadyExists(String),
    #[error("App {0} could not be found.")]
    AppNotFound(String),
    #[error("An app {0} already exists.")]
    AppAlreadyExists(String),
    #[error("App {app} cannot be changed now: {reason}")]
    AppOperationInProgress { app: String, reason: String },
    #[error("The manifest is invalid: {0}")]
    InvalidManifest(String),
    #[error("Task {0} could not be found.")]
    TaskNotFound(String),
    #[error("Deployment {0} could not be found.")]
    DeploymentNotFound(String),
    /// A change that the framework took on and did not bring to its end.
    #[error("{0}")]
    DeploymentFailed(String),
    #[error("The bay's framework cannot be used now: {0}")]
    FrameworkUnavailable(String),
    #[error("{0}")]
    Conflict(String),
    #[error("Expected an uuid or int but received {0}.")]
    InvalidIdentity(String),
    #[error("Bay {0} already has an operation in progress.")]
    OperationInProgress(String),
    #[error("{0}")]
    NotAuthorized(String),
    #[error("{client} connection failed. {message}")]
    AuthorizationFailure { client: String, message: String },
    #[error("Failed to create trustee {username}: {reason}")]
    TrusteeCreateFailed { username: String, reason: String },
    #[error("Failed to create trust for trustee {trustee_user_id}: {reason}")]
    TrustCreateFailed { trustee_user_id: String, reason: String },
    #[error("Failed to create certificates for Cluster: {cluster_uuid}: {reason}")]
    CertificatesToClusterFailed { cluster_uuid: String, reason: String },
    #[error("Could not store certificate: {0}")]
    CertificateStorageException(String),
    #[error("Extension '{0}' not allowed")]
    CertificateValidationError(String),
    #[error("Received invalid csr {csr}. {reason}")]
    InvalidCsr { csr: String, reason: String },
    /// Something of ours or of the cloud's that the caller cannot mend.
    #[error("{0}")]
    Internal(String),
    #[error("Endpoint does not support RPC method {0}")]
    NoSuchMethod(String),
    #[error("Endpoint does not support RPC version {version}. Attempted method: {method}")]
    UnsupportedVersion { version: Version, method: String },
    /// Arguments that the method does not take, worded as Python words it.
    #[error("{0}")]
    WrongArguments(String),
    #[error("Unsupported object type {0}")]
    UnsupportedObject(String),
    #[error("Version {requested} of {name} is not supported, supported version is {supported}")]
    IncompatibleObjectVersion { name: String, requested: String, supported: String },
}

impl Fault {
    /// The failure a client re-raises.
    pub fn to_failure(&self) -> Failure {
        let (class, code, kwargs) = match self {
            Self::InvalidParameterValue(_) => ("InvalidParameterValue", 400, json!({})),
            Self::NotSupported { operation } => ("NotSupported", 400, json!({ "operation": operation })),
            Self::RequiredParameterNotProvided { heat_param } => {
                ("RequiredParameterNotProvided", 400, json!({ "heat_param": heat_param }))
            }
            Self::BayTypeNotSupported { server_type, os, coe } => {
                ("BayTypeNotSupported", 400, json!({ "server_type": server_type, "os": os, "coe": coe }))
            }
            Self::BayNotFound(bay) => ("BayNotFound", 404, json!({ "bay": bay })),
            Self::BayAlreadyExists(uuid) => ("BayAlreadyExists", 409, json!({ "uuid": uuid })),
            Self::BayModelNotFound(model) => ("BayModelNotFound", 404, json!({ "baymodel": model })),
            Self::BayModelAlreadyExists(uuid) => ("BayModelAlreadyExists", 409, json!({ "uuid": uuid })),
            Self::BayModelReferenced(model) => ("BayModelReferenced", 400, json!({ "baymodel": model })),
            Self::X509KeyPairNotFound(pair) => ("X509KeyPairNotFound", 404, json!({ "keypair": pair })),
            Self::X509KeyPairAlreadyExists(uuid) => {
                ("X509KeyPairAlreadyExists", 409, json!({ "uuid": uuid }))
            }
            Self::MagnumServiceNotFound(id) => {
                ("MagnumServiceNotFound", 404, json!({ "magnum_service_id": id }))
            }
            Self::MagnumServiceAlreadyExists(id) => ("MagnumServiceAlreadyExists", 409, json!({ "id": id })),
            Self::AppNotFound(app) => ("AppNotFound", 404, json!({ "app": app })),
            Self::AppAlreadyExists(app) => ("AppAlreadyExists", 409, json!({ "app": app })),
            Self::AppOperationInProgress { app, reason } => {
                ("AppOperationInProgress", 409, json!({ "app": app, "reason": reason }))
            }
            Self::InvalidManifest(_) => ("InvalidManifest", 400, json!({})),
            Self::TaskNotFound(task) => ("TaskNotFound", 404, json!({ "task": task })),
            Self::DeploymentNotFound(deployment) => {
                ("DeploymentNotFound", 404, json!({ "deployment": deployment }))
            }
            Self::DeploymentFailed(_) => ("DeploymentFailed", 500, json!({})),
            Self::FrameworkUnavailable(_) => ("FrameworkUnavailable", 503, json!({})),
            Self::Conflict(_) => ("Conflict", 409, json!({})),
            Self::InvalidIdentity(identity) => ("InvalidIdentity", 400, json!({ "identity": identity })),
            Self::OperationInProgress(bay) => ("OperationInProgress", 400, json!({ "bay_name": bay })),
            Self::NotAuthorized(_) => ("NotAuthorized", 403, json!({})),
            // Its `message` is the constructor's first argument, so it must not be among the others too.
            Self::AuthorizationFailure { client, .. } => {
                ("AuthorizationFailure", 403, json!({ "client": client }))
            }
            Self::TrusteeCreateFailed { username, .. } => {
                ("TrusteeCreateFailed", 500, json!({ "username": username }))
            }
            Self::TrustCreateFailed { trustee_user_id, .. } => {
                ("TrustCreateFailed", 500, json!({ "trustee_user_id": trustee_user_id }))
            }
            Self::CertificatesToClusterFailed { cluster_uuid, .. } => {
                ("CertificatesToClusterFailed", 500, json!({ "cluster_uuid": cluster_uuid }))
            }
            Self::CertificateStorageException(msg) => {
                ("CertificateStorageException", 500, json!({ "msg": msg }))
            }
            Self::CertificateValidationError(extension) => {
                ("CertificateValidationError", 400, json!({ "extension": extension }))
            }
            Self::InvalidCsr { csr, .. } => ("InvalidCsr", 400, json!({ "csr": csr })),
            Self::Internal(_) => ("MagnumException", 500, json!({})),
            Self::NoSuchMethod(method) => return Failure::no_such_method(method),
            Self::UnsupportedVersion { version, method } => {
                return Failure::unsupported_version(*version, method);
            }
            Self::WrongArguments(message) => return Failure::type_error(message),
            Self::UnsupportedObject(_) => return self.object_failure("UnsupportedObjectError"),
            Self::IncompatibleObjectVersion { .. } => {
                return self.object_failure("IncompatibleObjectVersion");
            }
        };
        let kwargs = if let Value::Object(kwargs) = kwargs { kwargs } else { Map::new() };
        Failure::magnum_with(class, code, &self.to_string(), kwargs)
    }

    fn object_failure(&self, class: &str) -> Failure {
        Failure::remote(class, "oslo_versionedobjects.exception", &self.to_string())
    }
}

impl From<ObjectError> for Fault {
    fn from(error: ObjectError) -> Self {
        let text = error.to_string();
        if let ObjectError::IncompatibleVersion { name, requested, supported } = error {
            return Self::IncompatibleObjectVersion {
                name: name.to_owned(),
                requested: requested.to_string(),
                supported: supported.to_string(),
            };
        }
        if let ObjectError::UnknownObject { name } = error {
            return Self::UnsupportedObject(name);
        }
        Self::InvalidParameterValue(text)
    }
}

impl From<NotSupported> for Fault {
    fn from(error: NotSupported) -> Self {
        Self::BayTypeNotSupported { server_type: error.server_type, os: error.os, coe: error.coe }
    }
}

impl From<ParameterError> for Fault {
    fn from(error: ParameterError) -> Self {
        match error {
            ParameterError::Missing(heat_param) => {
                Self::RequiredParameterNotProvided { heat_param: heat_param.to_owned() }
            }
            other @ (ParameterError::EvenMasters(_)
            | ParameterError::TooFew { .. }
            | ParameterError::Label { .. }
            | ParameterError::Cidr(_)
            | ParameterError::VolumeDriver(_)
            | ParameterError::Registry) => Self::InvalidParameterValue(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
