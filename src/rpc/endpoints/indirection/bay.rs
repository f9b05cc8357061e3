//! Bays as objects. What builds and scales them are the methods of `endpoints::bay`; here is the row.

use std::collections::BTreeSet;

use async_trait::async_trait;
use mesos_conductor_proto::codec::Map;
use mesos_conductor_proto::object::Object;
use mesos_conductor_proto::version::Version;
use serde_json::Value;
use uuid::Uuid;

use super::verbs::{self, Editable, Entity, FILTERED_PAGE, Listed, Named, filter_text, only_changeable};
use super::{Class, Remotable};
use crate::bay::{Bay, BayModel, Status};
use crate::error::Fault;
use crate::objects;
use crate::rpc::arguments::{self, required};
use crate::rpc::method::{Call, CallError};
use crate::store::{self, BayFilter, Key, Page, Scope, Store, Transaction, Visibility};

pub(super) static CLASS: Class = Class {
    name: objects::BAY,
    methods: &[
        Remotable::read("get", &[required("bay_id")], verbs::get::<Bay>),
        Remotable::read("get_by_id", &[required("bay_id")], verbs::by_id::<Bay>),
        Remotable::read("get_by_uuid", &[required("uuid")], verbs::by_uuid::<Bay>),
        Remotable::read("get_by_name", &[required("name")], verbs::by_name::<Bay>),
        Remotable::read("list", FILTERED_PAGE, verbs::list::<Bay>),
        Remotable::act("create", verbs::create::<Bay>),
        Remotable::act("save", verbs::save::<Bay>),
        Remotable::act("destroy", verbs::destroy::<Bay>),
        Remotable::look("refresh", verbs::refresh::<Bay>),
    ],
};

#[async_trait]
impl Entity for Bay {
    const NAME: &'static str = objects::BAY;
    const SPOKEN: (&'static str, &'static str) = ("bay", "bays");
    const WITHHELD: &'static [&'static str] = &["trustee_password"];

    fn not_found(ident: String) -> Fault {
        Fault::BayNotFound(ident)
    }

    async fn find(store: &Store, scope: &Scope, key: Key) -> Result<Option<Self>, store::Error> {
        store.bay(scope, key).await
    }

    /// With the model that it was made from, whoever owns that.
    async fn primitive(&self, store: &Store, version: Version) -> Result<Value, CallError> {
        let model = match model_uuid(self).filter(|_| objects::embeds_model(version)) {
            Some(uuid) => store.model(&Scope::All, Visibility::OwnOnly, Key::Uuid(uuid)).await?,
            None => None,
        };
        Ok(objects::bay_primitive(self, model.as_ref(), version)?)
    }
}

#[async_trait]
impl Named for Bay {
    async fn named(store: &Store, scope: &Scope, name: &str) -> Result<Vec<Self>, store::Error> {
        store.bays_named(scope, name).await
    }
}

#[async_trait]
impl Listed for Bay {
    async fn list(call: &Call<'_>, filters: &Map, page: &Page) -> Result<Vec<Self>, CallError> {
        match filter(filters)? {
            Some(filter) => Ok(call.shop.store.bays(&call.scope, &filter, page).await?),
            None => Ok(Vec::new()),
        }
    }
}

/// `None` is a filter that no bay passes.
fn filter(filters: &Map) -> Result<Option<BayFilter>, Fault> {
    let mut filter = BayFilter {
        model_id: filter_text(filters, "baymodel_id")?,
        name: filter_text(filters, "name")?,
        stack_id: filter_text(filters, "stack_id")?,
        api_address: filter_text(filters, "api_address")?,
        project_id: filter_text(filters, "project_id")?,
        user_id: filter_text(filters, "user_id")?,
        node_count: arguments::integer(filters, "node_count")?,
        master_count: arguments::integer(filters, "master_count")?,
        ..BayFilter::default()
    };
    if let Some(addresses) = filters.get("node_addresses").and_then(Value::as_array) {
        filter.node_addresses = Some(addresses.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    }
    if let Some(statuses) = filters.get("status").filter(|status| !status.is_null()) {
        let listed = statuses.as_array().cloned().unwrap_or_else(|| vec![statuses.clone()]);
        // A status that no bay can have selects nothing by itself.
        let known = listed.iter().filter_map(|status| status.as_str()?.parse::<Status>().ok());
        filter.status = known.collect();
        if filter.status.is_empty() && !listed.is_empty() {
            return Ok(None);
        }
    }
    Ok(Some(filter))
}

#[async_trait]
impl Editable for Bay {
    /// A row and nothing else: no stack, no trust. Its owner is the caller (I6).
    async fn draft(call: &Call<'_>, object: &Object) -> Result<Self, CallError> {
        let ident = object.text("baymodel_id").unwrap_or_default().to_owned();
        let model = match Uuid::parse_str(&ident) {
            // A bay keeps its model from being deleted: it must be one that the caller may use.
            Ok(uuid) => call.shop.store.model(&call.scope, Visibility::OrPublic, Key::Uuid(uuid)).await?,
            Err(_) => None,
        };
        let model = model.ok_or(Fault::BayModelNotFound(ident))?;
        let owner = |of_context: Option<&str>| of_context.map(str::to_owned);
        let mut bay = Self {
            uuid: object
                .text("uuid")
                .and_then(|text| Uuid::parse_str(text).ok())
                .unwrap_or_else(Uuid::new_v4),
            project_id: owner(call.request.context.project_id()),
            user_id: owner(call.request.context.user_id()),
            model_id: Some(model.uuid.to_string()),
            keypair: model.keypair_id,
            labels: model.labels,
            ..Self::default()
        };
        let said = ["uuid", "project_id", "user_id", "baymodel_id"];
        change(&mut bay, object, object.changes().iter().filter(|field| !said.contains(&field.as_str())))?;
        Ok(bay)
    }

    async fn insert(&self, tx: &mut Transaction, version: Version) -> Result<Value, CallError> {
        // The model may have gone since it was read.
        let model = match model_uuid(self) {
            Some(uuid) => tx.model(&Scope::All, Visibility::OwnOnly, Key::Uuid(uuid)).await?,
            None => None,
        };
        let model: BayModel =
            model.ok_or_else(|| Fault::BayModelNotFound(self.model_id.clone().unwrap_or_default()))?;
        match tx.insert_bay(self).await {
            Err(store::Error::Duplicate) => return Err(Fault::BayAlreadyExists(self.uuid.to_string()).into()),
            other => other?,
        };
        let stored = tx.bay(&Scope::All, Key::Uuid(self.uuid)).await?;
        let stored = stored.ok_or_else(|| store::Error::corrupt("a bay just inserted"))?;
        Ok(objects::bay_primitive(&stored, Some(&model), version)?)
    }

    async fn own(tx: &mut Transaction, scope: &Scope, key: Key) -> Result<Option<Self>, store::Error> {
        tx.bay(scope, key).await
    }

    /// While an operation is under way the row is the operation's.
    async fn save(
        mut self,
        tx: &mut Transaction,
        object: &Object,
        changes: &BTreeSet<String>,
    ) -> Result<(), CallError> {
        idle(tx, &self).await?;
        change(&mut self, object, changes.iter())?;
        if changes.contains("name") {
            // A stack whose creation answer was lost is found again by this name only.
            if self.stack_id.is_none() {
                let text = "The name of a bay without a known stack cannot be changed.";
                return Err(Fault::InvalidParameterValue(text.to_owned()).into());
            }
            tx.rename_bay(self.uuid, self.name.as_deref()).await?;
        }
        tx.update_bay(&self).await?;
        Ok(())
    }

    /// Only the row: an operation under way would lose its bay, and nobody would delete the stack it makes.
    async fn destroy(self, tx: &mut Transaction) -> Result<(), CallError> {
        idle(tx, &self).await?;
        tx.delete_bay(self.uuid).await?;
        Ok(())
    }
}

fn model_uuid(bay: &Bay) -> Option<Uuid> {
    bay.model_id.as_deref().and_then(|id| Uuid::parse_str(id).ok())
}

async fn idle(tx: &mut Transaction, bay: &Bay) -> Result<(), CallError> {
    match tx.active_operation(bay.uuid).await? {
        Some(_) => Err(Fault::OperationInProgress(bay.name.clone().unwrap_or_default()).into()),
        None => Ok(()),
    }
}

/// Takes over what a client may say of a bay. Stack, trust, trustee and certificates are the conductor's alone, and
/// neither owner nor model of a bay ever change (I6, I7).
fn change<'a>(bay: &mut Bay, object: &Object, fields: impl Iterator<Item = &'a String>) -> Result<(), Fault> {
    let text = |name: &str| object.text(name).map(str::to_owned);
    let list = |name: &str| object.list(name).map(<[String]>::to_vec).unwrap_or_default();
    let mut refused = Vec::new();
    for field in fields {
        match field.as_str() {
            "name" => bay.name = text(field),
            "status" => bay.status = object.text(field).and_then(|status| status.parse().ok()),
            "status_reason" => bay.status_reason = text(field),
            "api_address" => bay.api_address = text(field),
            "discovery_url" => bay.discovery_url = text(field),
            "bay_create_timeout" => bay.create_timeout = object.integer(field),
            "node_count" => bay.node_count = object.integer(field),
            "master_count" => bay.master_count = object.integer(field),
            "node_addresses" => bay.node_addresses = list(field),
            "master_addresses" => bay.master_addresses = list(field),
            _ => refused.push(field.as_str()),
        }
    }
    only_changeable::<Bay>(&refused)
}
