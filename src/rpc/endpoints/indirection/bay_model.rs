//! Bay models as objects.

use std::collections::BTreeSet;

use async_trait::async_trait;
use mesos_conductor_proto::codec::Map;
use mesos_conductor_proto::object::Object;
use mesos_conductor_proto::version::Version;
use serde_json::Value;
use uuid::Uuid;

use super::verbs::{self, Editable, Entity, Listed, Named, PAGE, only_changeable};
use super::{Class, Remotable};
use crate::bay::BayModel;
use crate::error::Fault;
use crate::objects;
use crate::rpc::arguments::required;
use crate::rpc::method::{Call, CallError};
use crate::store::{self, Key, Page, Scope, Store, Transaction, Visibility};

pub(super) static CLASS: Class = Class {
    name: objects::BAY_MODEL,
    methods: &[
        Remotable::read("get", &[required("baymodel_id")], verbs::get::<BayModel>),
        Remotable::read("get_by_id", &[required("baymodel_id")], verbs::by_id::<BayModel>),
        Remotable::read("get_by_uuid", &[required("uuid")], verbs::by_uuid::<BayModel>),
        Remotable::read("get_by_name", &[required("name")], verbs::by_name::<BayModel>),
        Remotable::read("list", PAGE, verbs::list::<BayModel>),
        Remotable::act("create", verbs::create::<BayModel>),
        Remotable::act("save", verbs::save::<BayModel>),
        Remotable::act("destroy", verbs::destroy::<BayModel>),
        Remotable::look("refresh", verbs::refresh::<BayModel>),
    ],
};

/// Fields that no save may change: what a model is, and whose.
const FIXED: [&str; 6] = ["id", "uuid", "project_id", "user_id", "created_at", "updated_at"];

#[async_trait]
impl Entity for BayModel {
    const NAME: &'static str = objects::BAY_MODEL;
    const SPOKEN: (&'static str, &'static str) = ("baymodel", "baymodels");

    fn not_found(ident: String) -> Fault {
        Fault::BayModelNotFound(ident)
    }

    async fn find(store: &Store, scope: &Scope, key: Key) -> Result<Option<Self>, store::Error> {
        store.model(scope, Visibility::OrPublic, key).await
    }

    async fn primitive(&self, _store: &Store, version: Version) -> Result<Value, CallError> {
        Ok(objects::model_primitive(self, version)?)
    }
}

#[async_trait]
impl Named for BayModel {
    async fn named(store: &Store, scope: &Scope, name: &str) -> Result<Vec<Self>, store::Error> {
        store.models_named(scope, Visibility::OrPublic, name).await
    }
}

#[async_trait]
impl Listed for BayModel {
    async fn list(call: &Call<'_>, _filters: &Map, page: &Page) -> Result<Vec<Self>, CallError> {
        Ok(call.shop.store.models(&call.scope, Visibility::OrPublic, page).await?)
    }
}

#[async_trait]
impl Editable for BayModel {
    /// As asked for; its owner is the caller, whatever the object says (I6).
    async fn draft(call: &Call<'_>, object: &Object) -> Result<Self, CallError> {
        let context = &call.request.context;
        let mut model = objects::model_from_object(object);
        model.project_id = context.project_id().map(str::to_owned);
        model.user_id = context.user_id().map(str::to_owned);
        if model.uuid.is_nil() {
            model.uuid = Uuid::new_v4();
        }
        Ok(model)
    }

    async fn insert(&self, tx: &mut Transaction, version: Version) -> Result<Value, CallError> {
        let id = match tx.insert_model(self).await {
            Err(store::Error::Duplicate) => {
                return Err(Fault::BayModelAlreadyExists(self.uuid.to_string()).into());
            }
            other => other?,
        };
        let stored = tx.model(&Scope::All, Visibility::OwnOnly, Key::Id(id)).await?;
        let stored = stored.ok_or_else(|| store::Error::corrupt("a bay model just inserted"))?;
        Ok(objects::model_primitive(&stored, version)?)
    }

    /// Seeing a public model is not owning it.
    async fn own(tx: &mut Transaction, scope: &Scope, key: Key) -> Result<Option<Self>, store::Error> {
        tx.model(scope, Visibility::OwnOnly, key).await
    }

    /// A model that bays were made from stays as it is; it may only be published.
    async fn save(
        self,
        tx: &mut Transaction,
        object: &Object,
        changes: &BTreeSet<String>,
    ) -> Result<(), CallError> {
        let refused: Vec<_> =
            changes.iter().map(String::as_str).filter(|field| FIXED.contains(field)).collect();
        only_changeable::<Self>(&refused)?;
        let published =
            changes.len() == 1 && changes.contains("public") && object.boolean("public") == Some(true);
        if !published && tx.model_in_use(self.uuid).await? {
            return Err(Fault::BayModelReferenced(self.uuid.to_string()).into());
        }
        let wanted = Self { id: self.id, uuid: self.uuid, ..objects::model_from_object(object) };
        tx.update_model(&wanted, changes).await?;
        Ok(())
    }

    async fn destroy(self, tx: &mut Transaction) -> Result<(), CallError> {
        if tx.model_in_use(self.uuid).await? {
            return Err(Fault::BayModelReferenced(self.uuid.to_string()).into());
        }
        tx.delete_model(self.id).await?;
        Ok(())
    }
}
