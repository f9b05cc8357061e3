//! The processes of Magnum as objects: what `magnum service-list` shows. They belong to no tenant.

use std::collections::BTreeSet;

use async_trait::async_trait;
use mesos_conductor_proto::codec::Map;
use mesos_conductor_proto::object::Object;
use mesos_conductor_proto::version::Version;
use serde_json::{Value, json};

use super::verbs::{self, Editable, Entity, Listed, PAGE, only_changeable};
use super::{Answer, Ask, Class, Deed, Remotable};
use crate::error::Fault;
use crate::objects;
use crate::rpc::arguments::{self, required};
use crate::rpc::method::{Action, Call, CallError, Write, Written};
use crate::store::{self, Key, MOST_REPORTS, Page, Scope, Service, Store, Transaction};

pub(super) static CLASS: Class = Class {
    name: objects::MAGNUM_SERVICE,
    methods: &[
        Remotable::read(
            "get_by_host_and_binary",
            &[required("host").text(), required("binary").text()],
            by_host,
        ),
        Remotable::read("list", PAGE, verbs::list::<Service>),
        Remotable::act("create", verbs::create::<Service>),
        Remotable::act("save", verbs::save::<Service>),
        Remotable::act("destroy", verbs::destroy::<Service>),
        Remotable::act("report_state_up", report_state_up),
        Remotable::look("refresh", verbs::refresh::<Service>),
    ],
};

/// Fields that no save may change: which process a row is of.
const FIXED: [&str; 5] = ["id", "host", "binary", "created_at", "updated_at"];

#[async_trait]
impl Entity for Service {
    const NAME: &'static str = objects::MAGNUM_SERVICE;
    const SPOKEN: (&'static str, &'static str) = ("magnum service", "magnum services");

    fn not_found(ident: String) -> Fault {
        Fault::MagnumServiceNotFound(ident)
    }

    async fn find(store: &Store, _scope: &Scope, key: Key) -> Result<Option<Self>, store::Error> {
        match key {
            Key::Id(id) => store.service(id).await,
            Key::Uuid(_) => Ok(None),
        }
    }

    async fn primitive(&self, _store: &Store, version: Version) -> Result<Value, CallError> {
        Ok(objects::service_primitive(self, version)?)
    }

    fn identity(object: &Object) -> (Option<Key>, String) {
        let id = object.integer("id");
        (id.map(Key::Id), id.map_or_else(String::new, |id| id.to_string()))
    }
}

/// Null when there is none.
fn by_host<'a>(ask: &'a Ask<'a>) -> Answer<'a> {
    Box::pin(async move {
        let (host, binary) =
            (arguments::text(&ask.arguments, "host")?, arguments::text(&ask.arguments, "binary")?);
        let (Some(host), Some(binary)) = (host, binary) else { return Ok(Action::Answer(Value::Null)) };
        let found = ask.call.shop.store.service_on(host, binary).await?;
        let primitive = found.map(|service| objects::service_primitive(&service, ask.version)).transpose()?;
        Ok(Action::Answer(primitive.unwrap_or(Value::Null)))
    })
}

#[async_trait]
impl Listed for Service {
    async fn list(call: &Call<'_>, _filters: &Map, page: &Page) -> Result<Vec<Self>, CallError> {
        Ok(call.shop.store.services(page).await?)
    }
}

#[async_trait]
impl Editable for Service {
    async fn draft(_call: &Call<'_>, object: &Object) -> Result<Self, CallError> {
        let service = objects::service_from_object(object);
        countable(service.report_count)?;
        Ok(service)
    }

    async fn insert(&self, tx: &mut Transaction, version: Version) -> Result<Value, CallError> {
        let id = match tx.insert_service(self).await {
            Err(store::Error::Duplicate) => {
                let of = |part: &Option<String>| part.clone().unwrap_or_default();
                let name = format!("{} on {}", of(&self.binary), of(&self.host));
                return Err(Fault::MagnumServiceAlreadyExists(name).into());
            }
            other => other?,
        };
        let stored = tx.service(id).await?;
        let stored = stored.ok_or_else(|| store::Error::corrupt("a service just inserted"))?;
        Ok(objects::service_primitive(&stored, version)?)
    }

    async fn own(tx: &mut Transaction, _scope: &Scope, key: Key) -> Result<Option<Self>, store::Error> {
        match key {
            Key::Id(id) => tx.service(id).await,
            Key::Uuid(_) => Ok(None),
        }
    }

    /// One more report means that the process is up now.
    async fn save(
        self,
        tx: &mut Transaction,
        object: &Object,
        changes: &BTreeSet<String>,
    ) -> Result<(), CallError> {
        let refused: Vec<_> =
            changes.iter().map(String::as_str).filter(|field| FIXED.contains(field)).collect();
        only_changeable::<Self>(&refused)?;
        let wanted = Self { id: self.id, ..objects::service_from_object(object) };
        countable(wanted.report_count)?;
        tx.update_service(&wanted, changes).await?;
        if changes.contains("report_count") && wanted.report_count > self.report_count {
            tx.report_service(self.id, wanted.report_count).await?;
        }
        Ok(())
    }

    async fn destroy(self, tx: &mut Transaction) -> Result<(), CallError> {
        tx.delete_service(self.id).await?;
        Ok(())
    }
}

/// A count that leaves room for the reports to come.
fn countable(report_count: i64) -> Result<(), Fault> {
    if (0..=MOST_REPORTS).contains(&report_count) {
        return Ok(());
    }
    Err(Fault::InvalidParameterValue(format!("report_count must be from 0 to {MOST_REPORTS}.")))
}

fn report_state_up<'a>(deed: &'a Deed<'a>) -> Answer<'a> {
    Box::pin(async move { Ok(Action::Write(Box::new(Report { object: deed.object.clone() }))) })
}

struct Report {
    object: Object,
}

#[async_trait]
impl Write for Report {
    async fn apply(&self, tx: &mut Transaction) -> Result<Written, CallError> {
        let service: Service = verbs::locate(tx, &Scope::All, &self.object).await?;
        let report_count = if service.report_count < MOST_REPORTS { service.report_count + 1 } else { 1 };
        tx.report_service(service.id, report_count).await?;
        Ok(Written::Answer(json!([{ "report_count": report_count, "obj_what_changed": [] }, null])))
    }
}
