//! `x509keypair_create` and `x509keypair_delete`: the commands of the bay era for key pairs.

use async_trait::async_trait;
use mesos_conductor_proto::version::Version;
use serde_json::Value;
use uuid::Uuid;

use super::indirection::Editable;
use crate::error::Fault;
use crate::objects;
use crate::rpc::arguments::{self, Argument, required};
use crate::rpc::method::{Action, Answers, Call, CallError, Method, Write, Written};
use crate::store::{Key, KeyPair, Scope, Transaction};

pub(super) struct Create;

#[async_trait]
impl Method for Create {
    fn name(&self) -> &'static str {
        "x509keypair_create"
    }

    fn answers(&self) -> Answers {
        Answers::Object(objects::X509_KEY_PAIR)
    }

    fn writes(&self, _call: &Call<'_>) -> bool {
        true
    }

    fn arguments(&self) -> &'static [Argument] {
        const TAKES: &[Argument] = &[required("x509keypair").object(objects::X509_KEY_PAIR)];
        TAKES
    }

    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
        let object = arguments::object(call.args(), "x509keypair", objects::X509_KEY_PAIR)?;
        let pair = KeyPair::draft(call, &object).await?;
        Ok(Action::Write(Box::new(CreateKeyPair { pair, version: object.version() })))
    }
}

struct CreateKeyPair {
    pair: KeyPair,
    version: Version,
}

#[async_trait]
impl Write for CreateKeyPair {
    async fn apply(&self, tx: &mut Transaction) -> Result<Written, CallError> {
        Ok(Written::Answer(self.pair.insert(tx, self.version).await?))
    }
}

pub(super) struct Delete;

#[async_trait]
impl Method for Delete {
    fn name(&self) -> &'static str {
        "x509keypair_delete"
    }

    fn answers(&self) -> Answers {
        Answers::Nothing
    }

    fn writes(&self, _call: &Call<'_>) -> bool {
        true
    }

    fn arguments(&self) -> &'static [Argument] {
        const TAKES: &[Argument] = &[required("uuid").text()];
        TAKES
    }

    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
        let ident = arguments::text(call.args(), "uuid")?.unwrap_or_default().to_owned();
        Ok(Action::Write(Box::new(DeleteKeyPair { scope: call.scope.clone(), ident })))
    }
}

struct DeleteKeyPair {
    scope: Scope,
    ident: String,
}

#[async_trait]
impl Write for DeleteKeyPair {
    async fn apply(&self, tx: &mut Transaction) -> Result<Written, CallError> {
        let not_found = || Fault::X509KeyPairNotFound(self.ident.clone());
        let uuid = Uuid::parse_str(&self.ident).map_err(|_| not_found())?;
        let pair = KeyPair::own(tx, &self.scope, Key::Uuid(uuid)).await?.ok_or_else(not_found)?;
        pair.destroy(tx).await?;
        Ok(Written::Answer(Value::Null))
    }
}
