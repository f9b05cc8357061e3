//! Apps as objects. What deploys, scales and deletes them are the methods of `endpoints::app`: a row without its app
//! in the framework would be a lie, so here it is read, and renamed.

use std::collections::BTreeSet;

use async_trait::async_trait;
use mesos_conductor_proto::codec::Map;
use mesos_conductor_proto::object::Object;
use mesos_conductor_proto::version::Version;
use serde_json::Value;
use uuid::Uuid;

use super::verbs::{self, Editable, Entity, FILTERED_PAGE, Listed, Named, filter_text, only_changeable};
use super::{Class, Remotable};
use crate::app::{App, Status};
use crate::error::Fault;
use crate::objects;
use crate::rpc::arguments::required;
use crate::rpc::method::{Call, CallError};
use crate::store::{self, AppFilter, Key, Page, Scope, Store, Transaction};

pub(super) static CLASS: Class = Class {
    name: objects::APP,
    methods: &[
        Remotable::read("get", &[required("app_id")], verbs::get::<App>),
        Remotable::read("get_by_id", &[required("app_id")], verbs::by_id::<App>),
        Remotable::read("get_by_uuid", &[required("uuid")], verbs::by_uuid::<App>),
        Remotable::read("get_by_name", &[required("name")], verbs::by_name::<App>),
        Remotable::read("list", FILTERED_PAGE, verbs::list::<App>),
        Remotable::act("create", verbs::create::<App>),
        Remotable::act("save", verbs::save::<App>),
        Remotable::act("destroy", verbs::destroy::<App>),
        Remotable::look("refresh", verbs::refresh::<App>),
    ],
};

#[async_trait]
impl Entity for App {
    const NAME: &'static str = objects::APP;
    const SPOKEN: (&'static str, &'static str) = ("app", "apps");

    fn not_found(ident: String) -> Fault {
        Fault::AppNotFound(ident)
    }

    async fn find(store: &Store, scope: &Scope, key: Key) -> Result<Option<Self>, store::Error> {
        store.app(scope, key).await
    }

    async fn primitive(&self, _store: &Store, version: Version) -> Result<Value, CallError> {
        Ok(objects::app_primitive(self, version)?)
    }
}

#[async_trait]
impl Named for App {
    async fn named(store: &Store, scope: &Scope, name: &str) -> Result<Vec<Self>, store::Error> {
        let filter = AppFilter { name: Some(name.to_owned()), ..AppFilter::default() };
        store.apps(scope, &filter, &Page { limit: Some(2), ..Page::default() }).await
    }
}

#[async_trait]
impl Listed for App {
    async fn list(call: &Call<'_>, filters: &Map, page: &Page) -> Result<Vec<Self>, CallError> {
        match filter(filters)? {
            Some(filter) => Ok(call.shop.store.apps(&call.scope, &filter, page).await?),
            None => Ok(Vec::new()),
        }
    }
}

/// `None` is a filter that no app passes.
pub(in crate::rpc::endpoints) fn filter(filters: &Map) -> Result<Option<AppFilter>, Fault> {
    let mut filter = AppFilter {
        name: filter_text(filters, "name")?,
        framework_id: filter_text(filters, "framework_id")?,
        project_id: filter_text(filters, "project_id")?,
        user_id: filter_text(filters, "user_id")?,
        ..AppFilter::default()
    };
    if let Some(bay) = filter_text(filters, "bay_uuid")? {
        let Ok(uuid) = Uuid::parse_str(&bay) else { return Ok(None) };
        filter.bay_uuid = Some(uuid);
    }
    if let Some(status) = filter_text(filters, "status")? {
        let Ok(status) = status.parse::<Status>() else { return Ok(None) };
        filter.status = Some(status);
    }
    Ok(Some(filter))
}

fn unsupported(what: &str) -> Fault {
    Fault::NotSupported { operation: what.to_owned() }
}

const CREATE: &str = "App.create without deploying anything (app_create does both)";
const DESTROY: &str = "App.destroy without deleting anything on the bay (app_delete does both)";

#[async_trait]
impl Editable for App {
    async fn draft(_call: &Call<'_>, _object: &Object) -> Result<Self, CallError> {
        Err(unsupported(CREATE).into())
    }

    async fn insert(&self, _tx: &mut Transaction, _version: Version) -> Result<Value, CallError> {
        Err(unsupported(CREATE).into())
    }

    async fn own(tx: &mut Transaction, scope: &Scope, key: Key) -> Result<Option<Self>, store::Error> {
        tx.app(scope, key).await
    }

    /// Only the name is the client's: everything else is the framework's or an operation's.
    async fn save(
        self,
        tx: &mut Transaction,
        object: &Object,
        changes: &BTreeSet<String>,
    ) -> Result<(), CallError> {
        let refused: Vec<_> = changes.iter().map(String::as_str).filter(|field| *field != "name").collect();
        only_changeable::<Self>(&refused)?;
        if !changes.contains("name") {
            return Ok(());
        }
        let name = object.text("name").filter(|name| !name.is_empty()).map(str::to_owned);
        if name.as_ref().is_some_and(|name| Uuid::parse_str(name).is_ok()) {
            let text = "name must not look like a uuid: apps are asked for by either.".to_owned();
            return Err(Fault::InvalidParameterValue(text).into());
        }
        tx.bay(&Scope::All, Key::Uuid(self.bay_uuid)).await?;
        let renamed = Self { name, framework_id: None, ..self };
        if let Some(rival) = tx.rival(&renamed).await? {
            return Err(Fault::AppAlreadyExists(rival).into());
        }
        tx.rename_app(renamed.uuid, renamed.name.as_deref()).await?;
        Ok(())
    }

    async fn destroy(self, _tx: &mut Transaction) -> Result<(), CallError> {
        Err(unsupported(DESTROY).into())
    }
}
