//! `sign_certificate`, `get_ca_certificate`, `rotate_ca_certificate`: what a bay's authority is asked for.

use async_trait::async_trait;
use mesos_conductor_proto::object::Object;
use mesos_conductor_proto::version::Version;
use serde_json::json;
use uuid::Uuid;

use super::bay::{begin_update, locate};
use crate::bay::Bay;
use crate::certificate::{self, Pair, keep};
use crate::error::Fault;
use crate::objects;
use crate::operation::record::Kind;
use crate::rpc::arguments::{self, Argument, optional, required};
use crate::rpc::endpoints::command::{Command, NOTIFY_QUEUE, WAIT};
use crate::rpc::method::{Action, Answers, Call, CallError, Method, Write, Written};
use crate::store::{Key, Scope, Transaction};

const BAY: Argument = required("bay").object(objects::BAY);
/// The version of Certificate that goes with bays.
const OF_BAYS: Version = Version::new(1, 0);
/// As much of a request that is none as a failure repeats.
const LONGEST_CSR: usize = 10_000;

pub(super) struct Sign;

#[async_trait]
impl Method for Sign {
    fn name(&self) -> &'static str {
        "sign_certificate"
    }

    fn answers(&self) -> Answers {
        Answers::Object(objects::CERTIFICATE)
    }

    fn arguments(&self) -> &'static [Argument] {
        const TAKES: &[Argument] = &[BAY, required("certificate").object(objects::CERTIFICATE)];
        TAKES
    }

    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
        let mut certificate = arguments::object(call.args(), "certificate", objects::CERTIFICATE)?;
        let bay = find_bay(call).await?;
        let csr = certificate.text("csr").unwrap_or_default().to_owned();
        let authority = authority(call, &bay).await?;
        let signed = call.shop.forge.sign(authority, csr.clone()).await;
        let pem = signed.map_err(|error| match error {
            certificate::Error::Request(reason) => {
                Fault::InvalidCsr { csr: csr.chars().take(LONGEST_CSR).collect(), reason }
            }
            certificate::Error::Extension(extension) => Fault::CertificateValidationError(extension),
            certificate::Error::Unusable(reason) => Fault::CertificateStorageException(reason),
        })?;
        certificate.change("pem", json!(pem))?;
        Ok(Action::Answer(certificate.to_primitive()))
    }
}

pub(super) struct GetAuthority;

#[async_trait]
impl Method for GetAuthority {
    fn name(&self) -> &'static str {
        "get_ca_certificate"
    }

    fn answers(&self) -> Answers {
        Answers::Object(objects::CERTIFICATE)
    }

    fn arguments(&self) -> &'static [Argument] {
        // Later releases name the kind of authority; a Mesos bay has one.
        const TAKES: &[Argument] = &[BAY, optional("ca_cert_type").text()];
        TAKES
    }

    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
        let bay = find_bay(call).await?;
        let Pair { certificate: pem, .. } = authority(call, &bay).await?;
        let mut certificate = Object::new(objects::CERTIFICATE, OF_BAYS)?;
        for (field, value) in [
            ("project_id", json!(bay.project_id)),
            ("user_id", json!(bay.user_id)),
            ("bay_uuid", json!(bay.uuid.to_string())),
            ("pem", json!(pem)),
        ] {
            certificate.change(field, value)?;
        }
        Ok(Action::Answer(certificate.to_primitive()))
    }
}

pub(super) struct Rotate;

#[async_trait]
impl Method for Rotate {
    fn name(&self) -> &'static str {
        "rotate_ca_certificate"
    }

    fn answers(&self) -> Answers {
        Answers::Object(objects::BAY)
    }

    fn writes(&self, _call: &Call<'_>) -> bool {
        true
    }

    fn arguments(&self) -> &'static [Argument] {
        const TAKES: &[Argument] = &[BAY, WAIT, NOTIFY_QUEUE];
        TAKES
    }

    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
        let object = arguments::object(call.args(), "bay", objects::BAY)?;
        let command = Command::read(call, Kind::CaRotate, Some(&object))?;
        let uuid = uuid_of(&object)?;
        Ok(Action::Write(Box::new(RotateAuthority { command, uuid, scope: call.scope.clone() })))
    }
}

struct RotateAuthority {
    command: Command,
    uuid: Uuid,
    scope: Scope,
}

#[async_trait]
impl Write for RotateAuthority {
    async fn apply(&self, tx: &mut Transaction) -> Result<Written, CallError> {
        let bay = locate(tx, &self.scope, self.uuid).await?;
        let node_count = bay.node_count;
        begin_update(tx, &self.command, bay, node_count, self.command.progress()).await
    }
}

fn uuid_of(bay: &Object) -> Result<Uuid, Fault> {
    let ident = bay.text("uuid").unwrap_or_default();
    Uuid::parse_str(ident).map_err(|_| Fault::BayNotFound(ident.to_owned()))
}

/// The bay that is meant, if the caller sees it. All else that the argument says of it is its sender's.
async fn find_bay(call: &Call<'_>) -> Result<Bay, CallError> {
    let uuid = uuid_of(&arguments::object(call.args(), "bay", objects::BAY)?)?;
    let found = call.shop.store.bay(&call.scope, Key::Uuid(uuid)).await?;
    Ok(found.ok_or_else(|| Fault::BayNotFound(uuid.to_string()))?)
}

async fn authority(call: &Call<'_>, bay: &Bay) -> Result<Pair, CallError> {
    let missing = |why: &str| Fault::CertificateStorageException(format!("Bay {} {why}", bay.uuid));
    let Some(reference) = &bay.ca_cert_ref else {
        return Err(missing("has no certificates; rotate_ca_certificate makes some.").into());
    };
    let found = call.shop.certificates.get(reference, call.shop.settings.request_timeout).await;
    match found {
        Ok(Some(pair)) => Ok(pair),
        Ok(None) => Err(missing("has an authority that is not where it was kept.").into()),
        Err(keep::Error::Store(error)) => Err(error.into()),
        Err(error) => Err(Fault::CertificateStorageException(error.to_string()).into()),
    }
}
