//! Each fault on the wire, and in the document that tells of it.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error;

use super::*;

const MAGNUM: &str = "magnum.common.exception";

/// A fault and what its failure must be.
struct Row {
    fault: Fault,
    class: &'static str,
    /// The HTTP code that Magnum's API answers with; only its own exceptions have one.
    code: Option<u16>,
    text: String,
    /// Besides the code.
    kwargs: Value,
}

/// Every fault, made of the names of its parts, each followed by `mark`.
#[expect(clippy::too_many_lines, reason = "a table with a row per fault")]
fn rows(mark: &str) -> Vec<Row> {
    let part = |name: &str| format!("{{{name}}}{mark}");
    let magnum =
        |fault, class, code, text: String, kwargs| Row { fault, class, code: Some(code), text, kwargs };
    let other = |fault, class, text: String| Row { fault, class, code: None, text, kwargs: json!({}) };
    let (message, reason, uuid) = (part("message"), part("reason"), part("uuid"));
    let (bay, baymodel, client) = (part("bay"), part("baymodel"), part("client"));
    let (os, coe, server_type) = (part("os"), part("coe"), part("server_type"));
    let (username, trustee, method) = (part("username"), part("trustee_user_id"), part("method"));
    let (operation, heat_param) = (part("operation"), part("heat_param"));
    let (name, requested, supported) = (part("name"), part("requested"), part("supported"));
    let identity = part("identity");
    let bay_name = part("bay_name");
    let (app, task, deployment) = (part("app"), part("task"), part("deployment"));
    let (keypair, service, id) = (part("keypair"), part("magnum_service_id"), part("id"));
    let (cluster, msg, extension, csr) = (part("cluster_uuid"), part("msg"), part("extension"), part("csr"));
    vec![
        magnum(
            Fault::InvalidParameterValue(message.clone()),
            "InvalidParameterValue",
            400,
            message.clone(),
            json!({}),
        ),
        magnum(
            Fault::NotSupported { operation: operation.clone() },
            "NotSupported",
            400,
            format!("{operation} is not supported."),
            json!({ "operation": operation }),
        ),
        magnum(
            Fault::RequiredParameterNotProvided { heat_param: heat_param.clone() },
            "RequiredParameterNotProvided",
            400,
            format!("Required parameter {heat_param} not provided."),
            json!({ "heat_param": heat_param }),
        ),
        magnum(
            Fault::BayTypeNotSupported { server_type: server_type.clone(), os: os.clone(), coe: coe.clone() },
            "BayTypeNotSupported",
            400,
            format!("Bay type ({server_type}, {os}, {coe}) not supported."),
            json!({ "server_type": server_type, "os": os, "coe": coe }),
        ),
        magnum(
            Fault::BayNotFound(bay.clone()),
            "BayNotFound",
            404,
            format!("Bay {bay} could not be found."),
            json!({ "bay": bay }),
        ),
        magnum(
            Fault::BayAlreadyExists(uuid.clone()),
            "BayAlreadyExists",
            409,
            format!("A bay with UUID {uuid} already exists."),
            json!({ "uuid": uuid }),
        ),
        magnum(
            Fault::BayModelNotFound(baymodel.clone()),
            "BayModelNotFound",
            404,
            format!("Baymodel {baymodel} could not be found."),
            json!({ "baymodel": baymodel }),
        ),
        magnum(
            Fault::BayModelAlreadyExists(uuid.clone()),
            "BayModelAlreadyExists",
            409,
            format!("A baymodel with UUID {uuid} already exists."),
            json!({ "uuid": uuid }),
        ),
        magnum(
            Fault::BayModelReferenced(baymodel.clone()),
            "BayModelReferenced",
            400,
            format!("Baymodel {baymodel} is referenced by one or multiple bays."),
            json!({ "baymodel": baymodel }),
        ),
        magnum(
            Fault::X509KeyPairNotFound(keypair.clone()),
            "X509KeyPairNotFound",
            404,
            format!("A key pair {keypair} could not be found."),
            json!({ "keypair": keypair }),
        ),
        magnum(
            Fault::X509KeyPairAlreadyExists(uuid.clone()),
            "X509KeyPairAlreadyExists",
            409,
            format!("A key pair with UUID {uuid} already exists."),
            json!({ "uuid": uuid }),
        ),
        magnum(
            Fault::MagnumServiceNotFound(service.clone()),
            "MagnumServiceNotFound",
            404,
            format!("A magnum service {service} could not be found."),
            json!({ "magnum_service_id": service }),
        ),
        magnum(
            Fault::MagnumServiceAlreadyExists(id.clone()),
            "MagnumServiceAlreadyExists",
            409,
            format!("A magnum service with ID {id} already exists."),
            json!({ "id": id }),
        ),
        magnum(
            Fault::AppNotFound(app.clone()),
            "AppNotFound",
            404,
            format!("App {app} could not be found."),
            json!({ "app": app }),
        ),
        magnum(
            Fault::AppAlreadyExists(app.clone()),
            "AppAlreadyExists",
            409,
            format!("An app {app} already exists."),
            json!({ "app": app }),
        ),
        magnum(
            Fault::AppOperationInProgress { app: app.clone(), reason: reason.clone() },
            "AppOperationInProgress",
            409,
            format!("App {app} cannot be changed now: {reason}"),
            json!({ "app": app, "reason": reason }),
        ),
        magnum(
            Fault::InvalidManifest(reason.clone()),
            "InvalidManifest",
            400,
            format!("The manifest is invalid: {reason}"),
            json!({}),
        ),
        magnum(
            Fault::TaskNotFound(task.clone()),
            "TaskNotFound",
            404,
            format!("Task {task} could not be found."),
            json!({ "task": task }),
        ),
        magnum(
            Fault::DeploymentNotFound(deployment.clone()),
            "DeploymentNotFound",
            404,
            format!("Deployment {deployment} could not be found."),
            json!({ "deployment": deployment }),
        ),
        magnum(Fault::DeploymentFailed(message.clone()), "DeploymentFailed", 500, message.clone(), json!({})),
        magnum(
            Fault::FrameworkUnavailable(reason.clone()),
            "FrameworkUnavailable",
            503,
            format!("The bay's framework cannot be used now: {reason}"),
            json!({}),
        ),
        magnum(Fault::Conflict(message.clone()), "Conflict", 409, message.clone(), json!({})),
        magnum(
            Fault::InvalidIdentity(identity.clone()),
            "InvalidIdentity",
            400,
            format!("Expected an uuid or int but received {identity}."),
            json!({ "identity": identity }),
        ),
        magnum(
            Fault::OperationInProgress(bay_name.clone()),
            "OperationInProgress",
            400,
            format!("Bay {bay_name} already has an operation in progress."),
            json!({ "bay_name": bay_name }),
        ),
        magnum(Fault::NotAuthorized(message.clone()), "NotAuthorized", 403, message.clone(), json!({})),
        magnum(
            Fault::AuthorizationFailure { client: client.clone(), message: message.clone() },
            "AuthorizationFailure",
            403,
            format!("{client} connection failed. {message}"),
            json!({ "client": client }),
        ),
        magnum(
            Fault::TrusteeCreateFailed { username: username.clone(), reason: reason.clone() },
            "TrusteeCreateFailed",
            500,
            format!("Failed to create trustee {username}: {reason}"),
            json!({ "username": username }),
        ),
        magnum(
            Fault::TrustCreateFailed { trustee_user_id: trustee.clone(), reason: reason.clone() },
            "TrustCreateFailed",
            500,
            format!("Failed to create trust for trustee {trustee}: {reason}"),
            json!({ "trustee_user_id": trustee }),
        ),
        magnum(
            Fault::CertificatesToClusterFailed { cluster_uuid: cluster.clone(), reason: reason.clone() },
            "CertificatesToClusterFailed",
            500,
            format!("Failed to create certificates for Cluster: {cluster}: {reason}"),
            json!({ "cluster_uuid": cluster }),
        ),
        magnum(
            Fault::CertificateStorageException(msg.clone()),
            "CertificateStorageException",
            500,
            format!("Could not store certificate: {msg}"),
            json!({ "msg": msg }),
        ),
        magnum(
            Fault::CertificateValidationError(extension.clone()),
            "CertificateValidationError",
            400,
            format!("Extension '{extension}' not allowed"),
            json!({ "extension": extension }),
        ),
        magnum(
            Fault::InvalidCsr { csr: csr.clone(), reason: reason.clone() },
            "InvalidCsr",
            400,
            format!("Received invalid csr {csr}. {reason}"),
            json!({ "csr": csr }),
        ),
        magnum(Fault::Internal(message.clone()), "MagnumException", 500, message.clone(), json!({})),
        other(
            Fault::NoSuchMethod(method.clone()),
            "NoSuchMethod",
            format!("Endpoint does not support RPC method {method}"),
        ),
        other(
            Fault::UnsupportedVersion { version: Version::new(2, 0), method: method.clone() },
            "UnsupportedVersion",
            format!("Endpoint does not support RPC version 2.0. Attempted method: {method}"),
        ),
        other(Fault::WrongArguments(message.clone()), "TypeError", message),
        other(
            Fault::UnsupportedObject(name.clone()),
            "UnsupportedObjectError",
            format!("Unsupported object type {name}"),
        ),
        other(
            Fault::IncompatibleObjectVersion {
                name: name.clone(),
                requested: requested.clone(),
                supported: supported.clone(),
            },
            "IncompatibleObjectVersion",
            format!("Version {requested} of {name} is not supported, supported version is {supported}"),
        ),
    ]
}

fn module(class: &str) -> &'static str {
    match class {
        "NoSuchMethod" | "UnsupportedVersion" => "oslo_messaging.rpc.dispatcher",
        "TypeError" => "builtins",
        "UnsupportedObjectError" | "IncompatibleObjectVersion" => "oslo_versionedobjects.exception",
        _ => MAGNUM,
    }
}

/// The variant's name, as a stored fault has it.
fn variant(fault: &Fault) -> String {
    let stored = serde_json::to_value(fault).unwrap();
    stored.as_object().unwrap().keys().next().unwrap().clone()
}

/// The names of all variants: serde lists them to whoever asks for one that there is not.
fn variants() -> BTreeSet<String> {
    let asked: Result<Fault, Error> = Fault::deserialize("?".into_deserializer());
    let said = asked.unwrap_err().to_string();
    let (_, names) = said.split_once("expected one of ").unwrap();
    names.split(", ").map(|name| name.trim_matches('`').to_owned()).collect()
}

#[test]
fn every_fault_is_in_the_table() {
    let in_table: BTreeSet<String> = rows("").iter().map(|row| variant(&row.fault)).collect();
    assert_eq!(in_table, variants());
    assert!(in_table.len() > 20, "serde names the variants otherwise now");
}

/// A literal `%` is in every part, as it is in what Heat says of a quota.
#[test]
fn every_fault_becomes_the_failure_that_clients_know() {
    for row in rows(" 100%s") {
        let failure = row.fault.to_failure();
        assert_eq!((failure.class.as_str(), failure.module.as_str()), (row.class, module(row.class)));
        assert_eq!(failure.message, row.text, "{}", row.class);
        assert!(row.text.contains("100%s"), "{}", row.class);
        let mut kwargs = row.kwargs;
        let mut text = row.text;
        if let Some(code) = row.code {
            // Magnum's exceptions format their message again; the others take it as it is.
            text = text.replace('%', "%%");
            kwargs["code"] = json!(code);
        }
        assert_eq!(failure.args, vec![json!(text)], "{}", row.class);
        assert_eq!(Value::Object(*failure.kwargs), kwargs, "{}", row.class);
    }
}

#[test]
fn every_fault_survives_being_stored_with_its_operation() {
    for row in rows(" 100%s") {
        let stored = rmp_serde::to_vec_named(&row.fault).unwrap();
        assert_eq!(rmp_serde::from_slice::<Fault>(&stored).unwrap(), row.fault);
    }
}

#[test]
fn every_fault_is_documented_with_its_class_code_and_text() {
    let document = include_str!("../../docs/RPC.md");
    for row in rows("") {
        let code = row.code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        let kwargs: Vec<_> = row.kwargs.as_object().unwrap().keys().map(|key| format!("`{key}`")).collect();
        let line = format!("| `{}` | {code} | {} | {} |", row.class, row.text, kwargs.join(", "));
        assert!(document.contains(&line), "docs/RPC.md lacks the row\n{line}");
    }
}
