//! Key pairs as objects. The private key goes in and does not come out again: no answer holds it (I7).

use std::collections::BTreeSet;

use async_trait::async_trait;
use mesos_conductor_proto::codec::Map;
use mesos_conductor_proto::object::Object;
use mesos_conductor_proto::version::Version;
use serde_json::Value;
use uuid::Uuid;

use super::verbs::{self, Editable, Entity, FILTERED_PAGE, Listed, Named, filter_text, only_changeable};
use super::{Answer, Ask, Class, Remotable};
use crate::error::Fault;
use crate::objects;
use crate::rpc::arguments::required;
use crate::rpc::method::{Call, CallError};
use crate::store::{self, Key, KeyPair, KeyPairFilter, Page, Scope, Store, Transaction};

pub(super) static CLASS: Class = Class {
    name: objects::X509_KEY_PAIR,
    methods: &[
        Remotable::read("get", &[required("x509keypair_id")], verbs::get::<KeyPair>),
        Remotable::read("get_by_id", &[required("x509keypair_id")], verbs::by_id::<KeyPair>),
        Remotable::read("get_by_uuid", &[required("uuid")], verbs::by_uuid::<KeyPair>),
        Remotable::read("get_by_name", &[required("name")], verbs::by_name::<KeyPair>),
        Remotable::read("get_by_bay_uuid", &[required("bay_uuid")], by_bay),
        Remotable::read("list", FILTERED_PAGE, verbs::list::<KeyPair>),
        Remotable::act("create", verbs::create::<KeyPair>),
        Remotable::act("save", verbs::save::<KeyPair>),
        Remotable::act("destroy", verbs::destroy::<KeyPair>),
        Remotable::look("refresh", verbs::refresh::<KeyPair>),
    ],
};

/// Fields that no save may change: what a key pair is, and whose.
const FIXED: [&str; 6] = ["id", "uuid", "project_id", "user_id", "created_at", "updated_at"];

#[async_trait]
impl Entity for KeyPair {
    const NAME: &'static str = objects::X509_KEY_PAIR;
    const SPOKEN: (&'static str, &'static str) = ("x509keypair", "x509keypairs");
    const WITHHELD: &'static [&'static str] = &["private_key"];

    fn not_found(ident: String) -> Fault {
        Fault::X509KeyPairNotFound(ident)
    }

    async fn find(store: &Store, scope: &Scope, key: Key) -> Result<Option<Self>, store::Error> {
        store.key_pair(scope, key).await
    }

    async fn primitive(&self, _store: &Store, version: Version) -> Result<Value, CallError> {
        Ok(objects::key_pair_primitive(self, version)?)
    }
}

/// Two are enough to know that there are several.
async fn two(store: &Store, scope: &Scope, filter: KeyPairFilter) -> Result<Vec<KeyPair>, store::Error> {
    store.key_pairs(scope, &filter, &Page { limit: Some(2), ..Page::default() }).await
}

#[async_trait]
impl Named for KeyPair {
    async fn named(store: &Store, scope: &Scope, name: &str) -> Result<Vec<Self>, store::Error> {
        two(store, scope, KeyPairFilter { name: Some(name.to_owned()), ..KeyPairFilter::default() }).await
    }
}

fn by_bay<'a>(ask: &'a Ask<'a>) -> Answer<'a> {
    Box::pin(async move {
        let filter = KeyPairFilter { bay_uuid: Some(ask.ident()), ..KeyPairFilter::default() };
        let found = two(&ask.call.shop.store, &ask.call.scope, filter).await?;
        verbs::answer_single(ask, found, "for the same bay").await
    })
}

#[async_trait]
impl Listed for KeyPair {
    async fn list(call: &Call<'_>, filters: &Map, page: &Page) -> Result<Vec<Self>, CallError> {
        let filter = KeyPairFilter {
            name: filter_text(filters, "name")?,
            bay_uuid: filter_text(filters, "bay_uuid")?,
            project_id: filter_text(filters, "project_id")?,
            user_id: filter_text(filters, "user_id")?,
        };
        Ok(call.shop.store.key_pairs(&call.scope, &filter, page).await?)
    }
}

#[async_trait]
impl Editable for KeyPair {
    /// As asked for; its owner is the caller, whatever the object says (I6).
    async fn draft(call: &Call<'_>, object: &Object) -> Result<Self, CallError> {
        let context = &call.request.context;
        let mut pair = objects::key_pair_from_object(object);
        pair.project_id = context.project_id().map(str::to_owned);
        pair.user_id = context.user_id().map(str::to_owned);
        if pair.uuid.is_nil() {
            pair.uuid = Uuid::new_v4();
        }
        Ok(pair)
    }

    async fn insert(&self, tx: &mut Transaction, version: Version) -> Result<Value, CallError> {
        let id = match tx.insert_key_pair(self).await {
            Err(store::Error::Duplicate) => {
                return Err(Fault::X509KeyPairAlreadyExists(self.uuid.to_string()).into());
            }
            other => other?,
        };
        let stored = tx.key_pair(&Scope::All, Key::Id(id)).await?;
        let stored = stored.ok_or_else(|| store::Error::corrupt("a key pair just inserted"))?;
        Ok(objects::key_pair_primitive(&stored, version)?)
    }

    async fn own(tx: &mut Transaction, scope: &Scope, key: Key) -> Result<Option<Self>, store::Error> {
        tx.key_pair(scope, key).await
    }

    async fn save(
        self,
        tx: &mut Transaction,
        object: &Object,
        changes: &BTreeSet<String>,
    ) -> Result<(), CallError> {
        let refused: Vec<_> =
            changes.iter().map(String::as_str).filter(|field| FIXED.contains(field)).collect();
        only_changeable::<Self>(&refused)?;
        let said = objects::key_pair_from_object(object);
        let or = |field: &str, said: Option<String>, had: Option<String>| {
            if changes.contains(field) { said } else { had }
        };
        let wanted = Self {
            id: self.id,
            uuid: self.uuid,
            // These three are one row: what did not change is written as it was.
            name: or("name", said.name, self.name),
            bay_uuid: or("bay_uuid", said.bay_uuid, self.bay_uuid),
            ca_cert: or("ca_cert", said.ca_cert, self.ca_cert),
            ..said
        };
        tx.update_key_pair(&wanted, changes).await?;
        Ok(())
    }

    async fn destroy(self, tx: &mut Transaction) -> Result<(), CallError> {
        tx.delete_key_pair(self.uuid).await?;
        Ok(())
    }
}
