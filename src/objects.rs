//! What is stored as versioned objects, at whichever version a caller asked for, and back.
//!
//! Which fields a version has is the wire contract's table; here every domain attribute is read or written once, under
//! its key in that table.

use std::str::FromStr;

use mesos_conductor_proto::object::{Object, definition};
use mesos_conductor_proto::version::Version;
use secrecy::SecretString;
use serde_json::{Value, json};
use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use uuid::Uuid;

use crate::app::App;
use crate::bay::{Bay, BayModel, Status};
use crate::error::Fault;
use crate::store::{KeyPair, Service};

/// Names of the objects served, as they stand in requests.
pub const APP: &str = "App";
pub const BAY: &str = "Bay";
pub const BAY_MODEL: &str = "BayModel";
pub const BAY_LOCK: &str = "BayLock";
pub const CERTIFICATE: &str = "Certificate";
pub const MAGNUM_SERVICE: &str = "MagnumService";
pub const X509_KEY_PAIR: &str = "X509KeyPair";

/// The version to answer at: the caller's, or the newest where the caller named none.
pub fn version_or_latest(name: &str, requested: Option<&str>) -> Result<Version, Fault> {
    let latest = definition(name)
        .map(|found| found.latest)
        .ok_or_else(|| unsupported(name, requested.unwrap_or("any")))?;
    let Some(requested) = requested else { return Ok(latest) };
    let version = Version::from_str(requested).map_err(|_| unsupported(name, requested))?;
    // Asking for a version checks that it is served.
    Object::new(name, version)?;
    Ok(version)
}

/// An object as it came: in its serialised form, or, where its class is known, as a plain dict of its fields. All of
/// those then count as changed, at the newest version.
pub fn read(value: &Value, class: Option<&str>) -> Result<Object, Fault> {
    if let (Value::Object(fields), Some(class)) = (value, class)
        && !Object::is_primitive(value)
    {
        return Ok(Object::from_fields(class, fields)?);
    }
    Ok(Object::decode(value)?)
}

fn unsupported(name: &str, requested: &str) -> Fault {
    let supported = definition(name).map_or_else(|| "none".to_owned(), |found| found.latest.to_string());
    Fault::IncompatibleObjectVersion { name: name.to_owned(), requested: requested.to_owned(), supported }
}

/// A bay as the object `Bay`; `model` fills the nested object where the version has one.
pub fn bay_primitive(bay: &Bay, model: Option<&BayModel>, version: Version) -> Result<Value, Fault> {
    let mut object = Object::new(BAY, version)?;
    let fields: Vec<_> = object.fields().map(|field| (field.name, field.key)).collect();
    for (name, key) in fields {
        if key == "cluster_template" {
            // The nested object's own version is the one its release had: the newest that this bay's release knew.
            if let Some(model) = model {
                object.set(name, model_primitive(model, nested_model_version(version))?)?;
            }
            continue;
        }
        object.set(name, bay_value(bay, key))?;
    }
    Ok(object.to_primitive())
}

/// Whether a bay at this version has its model in it.
pub fn embeds_model(version: Version) -> bool {
    definition(BAY).is_some_and(|bay| {
        bay.fields.iter().any(|field| field.key == "cluster_template" && field.exists_at(version))
    })
}

/// Bay 1.5 (Mitaka) embeds `BayModel` 1.10; nothing older embeds one.
fn nested_model_version(_bay: Version) -> Version {
    Version::new(1, 10)
}

fn bay_value(bay: &Bay, key: &str) -> Value {
    match key {
        "id" => json!(bay.id),
        "uuid" => json!(bay.uuid.to_string()),
        "name" => json!(bay.name),
        "project_id" => json!(bay.project_id),
        "user_id" => json!(bay.user_id),
        "cluster_template_id" => json!(bay.model_id),
        "stack_id" => json!(bay.stack_id),
        "status" => json!(bay.status.map(|status| in_the_era_of_bays(status).as_str())),
        "status_reason" => json!(bay.status_reason),
        "api_address" => json!(bay.api_address),
        "discovery_url" => json!(bay.discovery_url),
        "create_timeout" => json!(bay.create_timeout),
        "node_count" => json!(bay.node_count),
        "master_count" => json!(bay.master_count),
        "node_addresses" => json!(bay.node_addresses),
        "master_addresses" => json!(bay.master_addresses),
        "ca_cert_ref" => json!(bay.ca_cert_ref),
        "magnum_cert_ref" => json!(bay.magnum_cert_ref),
        "trust_id" => json!(bay.trust_id),
        "trustee_username" => json!(bay.trustee_username),
        "trustee_user_id" => json!(bay.trustee_user_id),
        "keypair" => json!(bay.keypair),
        "labels" => json!(bay.labels),
        "created_at" => timestamp(bay.created_at),
        "updated_at" => timestamp(bay.updated_at),
        // The trustee's password never leaves the database (I7), whatever the field is called.
        _ => Value::Null,
    }
}

/// A status that no release with bays knows, as the nearest that they do: an object with it would not be read there.
fn in_the_era_of_bays(status: Status) -> Status {
    if status == Status::RollbackInProgress {
        return Status::UpdateInProgress;
    }
    if matches!(status, Status::RollbackFailed | Status::ResumeFailed) {
        Status::UpdateFailed
    } else {
        status
    }
}

/// A bay model as the object `BayModel`.
pub fn model_primitive(model: &BayModel, version: Version) -> Result<Value, Fault> {
    filled(BAY_MODEL, version, |key| model_value(model, key))
}

/// An object of which every field has a plain value.
fn filled(name: &str, version: Version, value: impl Fn(&str) -> Value) -> Result<Value, Fault> {
    let mut object = Object::new(name, version)?;
    let fields: Vec<_> = object.fields().map(|field| (field.name, field.key)).collect();
    for (name, key) in fields {
        object.set(name, value(key))?;
    }
    Ok(object.to_primitive())
}

/// What no answer holds (I7).
const WITHHELD: [&str; 3] = ["private_key", "private_key_passphrase", "trustee_password"];

/// An object at another version: the fields that it has there, objects within it as that version's release had them.
pub fn backport(object: &Object, version: Version) -> Result<Object, Fault> {
    let mut at = Object::new(object.name(), version)?;
    for field in object.fields().filter(|field| field.exists_at(version)) {
        let Some(value) = object.get(field.name) else { continue };
        let value = match object.object(field.name) {
            _ if WITHHELD.contains(&field.name) => Value::Null,
            Some(nested) => {
                backport(nested, nested.version().min(nested_model_version(version)))?.to_primitive()
            }
            None => value.to_value(),
        };
        if object.is_changed(field.name) {
            at.change(field.name, value)?;
        } else {
            at.set(field.name, value)?;
        }
    }
    Ok(at)
}

fn model_value(model: &BayModel, key: &str) -> Value {
    match key {
        "id" => json!(model.id),
        "uuid" => json!(model.uuid.to_string()),
        "name" => json!(model.name),
        "project_id" => json!(model.project_id),
        "user_id" => json!(model.user_id),
        "image_id" => json!(model.image_id),
        "flavor_id" => json!(model.flavor_id),
        "master_flavor_id" => json!(model.master_flavor_id),
        "keypair_id" => json!(model.keypair_id),
        "dns_nameserver" => json!(model.dns_nameserver),
        "external_network_id" => json!(model.external_network_id),
        "fixed_network" => json!(model.fixed_network),
        "fixed_subnet" => json!(model.fixed_subnet),
        "network_driver" => json!(model.network_driver),
        "volume_driver" => json!(model.volume_driver),
        "apiserver_port" => json!(model.apiserver_port),
        "docker_volume_size" => json!(model.docker_volume_size),
        "docker_storage_driver" => json!(model.docker_storage_driver),
        "insecure_registry" => json!(model.insecure_registry),
        "cluster_distro" => json!(model.cluster_distro),
        "coe" => json!(model.coe),
        "server_type" => json!(model.server_type),
        "http_proxy" => json!(model.http_proxy),
        "https_proxy" => json!(model.https_proxy),
        "no_proxy" => json!(model.no_proxy),
        "registry_enabled" => json!(model.registry_enabled),
        "tls_disabled" => json!(model.tls_disabled),
        "public" => json!(model.public),
        "master_lb_enabled" => json!(model.master_lb_enabled),
        "floating_ip_enabled" => json!(model.floating_ip_enabled),
        "hidden" => json!(model.hidden),
        "tags" => json!(model.tags),
        "labels" => json!(model.labels),
        "created_at" => timestamp(model.created_at),
        "updated_at" => timestamp(model.updated_at),
        _ => Value::Null,
    }
}

/// The bay model that a client asks to create: its set fields, except what only the conductor may say.
pub fn model_from_object(object: &Object) -> BayModel {
    let text = |name: &str| object.text(name).map(str::to_owned);
    let flag = |name: &str| object.boolean(name).unwrap_or_default();
    BayModel {
        id: 0,
        uuid: object.text("uuid").and_then(|text| Uuid::parse_str(text).ok()).unwrap_or_default(),
        name: text("name"),
        project_id: text("project_id"),
        user_id: text("user_id"),
        image_id: text("image_id"),
        flavor_id: text("flavor_id"),
        master_flavor_id: text("master_flavor_id"),
        keypair_id: text("keypair_id"),
        dns_nameserver: text("dns_nameserver"),
        external_network_id: text("external_network_id"),
        fixed_network: text("fixed_network"),
        fixed_subnet: text("fixed_subnet"),
        network_driver: text("network_driver"),
        volume_driver: text("volume_driver"),
        apiserver_port: object.integer("apiserver_port"),
        docker_volume_size: object.integer("docker_volume_size"),
        docker_storage_driver: text("docker_storage_driver"),
        insecure_registry: text("insecure_registry"),
        cluster_distro: text("cluster_distro"),
        coe: text("coe"),
        // Liberty has no such field: every server was a virtual machine.
        server_type: text("server_type").or_else(|| Some("vm".to_owned())),
        http_proxy: text("http_proxy"),
        https_proxy: text("https_proxy"),
        no_proxy: text("no_proxy"),
        registry_enabled: flag("registry_enabled"),
        tls_disabled: flag("tls_disabled"),
        public: flag("public"),
        master_lb_enabled: flag("master_lb_enabled"),
        floating_ip_enabled: object.boolean("floating_ip_enabled").unwrap_or(true),
        hidden: flag("hidden"),
        tags: text("tags"),
        labels: object.dict("labels").cloned().unwrap_or_default(),
        created_at: None,
        updated_at: None,
    }
}

/// A key pair as the object `X509KeyPair`, without its private key (I7).
pub fn key_pair_primitive(pair: &KeyPair, version: Version) -> Result<Value, Fault> {
    filled(X509_KEY_PAIR, version, |key| match key {
        "id" => json!(pair.id),
        "uuid" => json!(pair.uuid.to_string()),
        "name" => json!(pair.name),
        "bay_uuid" => json!(pair.bay_uuid),
        "ca_cert" => json!(pair.ca_cert),
        "certificate" => json!(pair.certificate),
        "project_id" => json!(pair.project_id),
        "user_id" => json!(pair.user_id),
        "created_at" => timestamp(pair.created_at),
        "updated_at" => timestamp(pair.updated_at),
        _ => Value::Null,
    })
}

/// The key pair that a client asks to create.
pub fn key_pair_from_object(object: &Object) -> KeyPair {
    let text = |name: &str| object.text(name).map(str::to_owned);
    KeyPair {
        uuid: object.text("uuid").and_then(|text| Uuid::parse_str(text).ok()).unwrap_or_default(),
        name: text("name"),
        bay_uuid: text("bay_uuid"),
        ca_cert: text("ca_cert"),
        certificate: text("certificate"),
        private_key: object.text("private_key").map(SecretString::from),
        ..KeyPair::default()
    }
}

/// An app as the object `App`.
pub fn app_primitive(app: &App, version: Version) -> Result<Value, Fault> {
    filled(APP, version, |key| match key {
        "id" => json!(app.id),
        "uuid" => json!(app.uuid.to_string()),
        "name" => json!(app.name),
        "bay_uuid" => json!(app.bay_uuid.to_string()),
        "project_id" => json!(app.project_id),
        "user_id" => json!(app.user_id),
        "manifest" => json!(app.manifest),
        "manifest_url" => json!(app.manifest_url),
        "framework_id" => json!(app.framework_id),
        "instances" => json!(app.instances),
        "status" => json!(app.status.map(|status| status.as_str())),
        "status_reason" => json!(app.status_reason),
        "version" => json!(app.version),
        "deployment_id" => json!(app.deployment_id),
        "tasks_staged" => json!(app.tasks_staged),
        "tasks_running" => json!(app.tasks_running),
        "tasks_healthy" => json!(app.tasks_healthy),
        "tasks_unhealthy" => json!(app.tasks_unhealthy),
        "endpoints" => json!(app.endpoints),
        "created_at" => timestamp(app.created_at),
        "updated_at" => timestamp(app.updated_at),
        _ => Value::Null,
    })
}

/// A service as the object `MagnumService`.
pub fn service_primitive(service: &Service, version: Version) -> Result<Value, Fault> {
    filled(MAGNUM_SERVICE, version, |key| match key {
        "id" => json!(service.id),
        "host" => json!(service.host),
        "binary" => json!(service.binary),
        "disabled" => json!(service.disabled),
        "disabled_reason" => json!(service.disabled_reason),
        "last_seen_up" => timestamp(service.last_seen_up),
        "forced_down" => json!(service.forced_down),
        "report_count" => json!(service.report_count),
        "created_at" => timestamp(service.created_at),
        "updated_at" => timestamp(service.updated_at),
        _ => Value::Null,
    })
}

/// The service that a client asks to create.
pub fn service_from_object(object: &Object) -> Service {
    let text = |name: &str| object.text(name).map(str::to_owned);
    Service {
        host: text("host"),
        binary: text("binary"),
        disabled: object.boolean("disabled").unwrap_or_default(),
        disabled_reason: text("disabled_reason"),
        last_seen_up: object.text("last_seen_up").and_then(|at| PrimitiveDateTime::parse(at, TIME).ok()),
        forced_down: object.boolean("forced_down").unwrap_or_default(),
        report_count: object.integer("report_count").unwrap_or_default(),
        ..Service::default()
    }
}

/// Times as objects carry them, in UTC.
const TIME: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");

fn timestamp(at: Option<PrimitiveDateTime>) -> Value {
    at.and_then(|at| at.format(TIME).ok()).map_or(Value::Null, Value::String)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bay_in_any_status_can_be_told_at_every_version() {
        for version in [Version::new(1, 0), Version::new(1, 5)] {
            for status in Status::ALL {
                let bay = Bay { status: Some(*status), ..Bay::default() };
                assert!(bay_primitive(&bay, None, version).is_ok(), "{status} at {version}");
            }
        }
    }
}
