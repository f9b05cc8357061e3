//! What stored objects have in common: to be found, listed, made, changed, deleted and looked at again.
//!
//! An object says how its rows are reached ([`Entity`] and its extensions); the verbs are written once.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use async_trait::async_trait;
use mesos_conductor_proto::codec::Map;
use mesos_conductor_proto::object::Object;
use mesos_conductor_proto::version::Version;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, Ask, Deed};
use crate::error::Fault;
use crate::objects;
use crate::rpc::arguments::{self, Argument, optional};
use crate::rpc::method::{Action, Call, CallError, Write, Written};
use crate::store::{self, Key, Page, Scope, Store, Transaction};

/// The arguments of a list, and of one that can be filtered.
pub(super) const PAGE: &[Argument] = &[
    optional("limit").integer(),
    optional("marker").any_object(),
    optional("sort_key").text(),
    optional("sort_dir").text(),
];
pub(super) const FILTERED_PAGE: &[Argument] = &[
    optional("limit").integer(),
    optional("marker").any_object(),
    optional("sort_key").text(),
    optional("sort_dir").text(),
    optional("filters").dict(),
];

/// An object that is a row.
#[async_trait]
pub(in crate::rpc::endpoints) trait Entity: Sized + Send + Sync + 'static {
    /// The object's name on the wire.
    const NAME: &'static str;
    /// As it is called in texts: one, and several.
    const SPOKEN: (&'static str, &'static str);

    /// Fields that no answer holds: what the sender has of them is left to it.
    const WITHHELD: &'static [&'static str] = &[];

    fn not_found(ident: String) -> Fault;

    /// One that the caller may see.
    async fn find(store: &Store, scope: &Scope, key: Key) -> Result<Option<Self>, store::Error>;

    /// The object at a version, with those that are within it.
    async fn primitive(&self, store: &Store, version: Version) -> Result<Value, CallError>;

    /// Which row an object stands for, and what it is called where there is none.
    fn identity(object: &Object) -> (Option<Key>, String) {
        let ident = object.text("uuid").unwrap_or_default();
        (Uuid::parse_str(ident).ok().map(Key::Uuid), ident.to_owned())
    }
}

/// An object that can be asked for by name.
#[async_trait]
pub(super) trait Named: Entity {
    /// At most two: one is the answer, two are a conflict.
    async fn named(store: &Store, scope: &Scope, name: &str) -> Result<Vec<Self>, store::Error>;
}

/// An object that can be listed.
#[async_trait]
pub(super) trait Listed: Entity {
    async fn list(call: &Call<'_>, filters: &Map, page: &Page) -> Result<Vec<Self>, CallError>;
}

/// An object that clients make, change and delete.
#[async_trait]
pub(in crate::rpc::endpoints) trait Editable: Entity {
    /// The row that a new object asks for.
    async fn draft(call: &Call<'_>, object: &Object) -> Result<Self, CallError>;

    /// Stores it and returns the object as it is then.
    async fn insert(&self, tx: &mut Transaction, version: Version) -> Result<Value, CallError>;

    /// One that the caller may change, kept from being changed by others until the end.
    async fn own(tx: &mut Transaction, scope: &Scope, key: Key) -> Result<Option<Self>, store::Error>;

    /// Writes the fields that the caller changed, and no others.
    async fn save(
        self,
        tx: &mut Transaction,
        object: &Object,
        changes: &BTreeSet<String>,
    ) -> Result<(), CallError>;

    async fn destroy(self, tx: &mut Transaction) -> Result<(), CallError>;
}

/// By number or uuid.
pub(super) fn get<'a, E: Entity>(ask: &'a Ask<'a>) -> Answer<'a> {
    Box::pin(async move {
        let ident = ask.ident();
        let key = number(&ident).or_else(|| uuid(&ident)).ok_or(Fault::InvalidIdentity(ident))?;
        one::<E>(ask, Some(key)).await
    })
}

pub(super) fn by_id<'a, E: Entity>(ask: &'a Ask<'a>) -> Answer<'a> {
    Box::pin(one::<E>(ask, number(&ask.ident())))
}

pub(super) fn by_uuid<'a, E: Entity>(ask: &'a Ask<'a>) -> Answer<'a> {
    Box::pin(one::<E>(ask, uuid(&ask.ident())))
}

async fn one<E: Entity>(ask: &Ask<'_>, key: Option<Key>) -> Result<Action, CallError> {
    let store = &ask.call.shop.store;
    let found = match key {
        Some(key) => E::find(store, &ask.call.scope, key).await?,
        None => None,
    };
    answer_one(ask, found).await
}

pub(super) fn by_name<'a, E: Named>(ask: &'a Ask<'a>) -> Answer<'a> {
    Box::pin(async move {
        let found = E::named(&ask.call.shop.store, &ask.call.scope, &ask.ident()).await?;
        answer_single(ask, found, "with same name").await
    })
}

/// The only one there is; of several it cannot be said which is meant.
pub(super) async fn answer_single<E: Entity>(
    ask: &Ask<'_>,
    mut found: Vec<E>,
    how: &str,
) -> Result<Action, CallError> {
    let first = found.pop();
    if !found.is_empty() {
        let (one, many) = E::SPOKEN;
        let text = format!("Multiple {many} exist {how}. Please use the {one} uuid instead.");
        return Err(Fault::Conflict(text).into());
    }
    answer_one(ask, first).await
}

async fn answer_one<E: Entity>(ask: &Ask<'_>, found: Option<E>) -> Result<Action, CallError> {
    let found = found.ok_or_else(|| E::not_found(ask.ident()))?;
    Ok(Action::Answer(found.primitive(&ask.call.shop.store, ask.version).await?))
}

pub(super) fn list<'a, E: Listed>(ask: &'a Ask<'a>) -> Answer<'a> {
    Box::pin(async move {
        let page = page::<E>(&ask.arguments)?;
        let none = Map::new();
        let filters = ask.arguments.get("filters").and_then(Value::as_object).unwrap_or(&none);
        let found = E::list(ask.call, filters, &page).await.map_err(sorted)?;
        let mut primitives = Vec::with_capacity(found.len());
        for row in &found {
            primitives.push(row.primitive(&ask.call.shop.store, ask.version).await?);
        }
        Ok(Action::Answer(Value::Array(primitives)))
    })
}

pub(super) fn create<'a, E: Editable>(deed: &'a Deed<'a>) -> Answer<'a> {
    Box::pin(async move {
        let draft = E::draft(deed.call, &deed.object).await?;
        Ok(Action::Write(Box::new(Create { draft, object: deed.object.clone() })))
    })
}

pub(super) fn save<'a, E: Editable>(deed: &'a Deed<'a>) -> Answer<'a> {
    Box::pin(async move {
        let object = deed.object.clone();
        if object.is_changed("uuid") {
            let text = format!("Cannot overwrite UUID for an existing {}.", E::NAME);
            return Err(Fault::InvalidParameterValue(text).into());
        }
        let scope = deed.call.scope.clone();
        Ok(Action::Write(Box::new(Save::<E> { scope, object, entity: PhantomData })))
    })
}

pub(super) fn destroy<'a, E: Editable>(deed: &'a Deed<'a>) -> Answer<'a> {
    Box::pin(async move {
        let (scope, object) = (deed.call.scope.clone(), deed.object.clone());
        Ok(Action::Write(Box::new(Destroy::<E> { scope, object, entity: PhantomData })))
    })
}

/// Tells what has changed since the sender read the object.
pub(super) fn refresh<'a, E: Entity>(deed: &'a Deed<'a>) -> Answer<'a> {
    Box::pin(async move {
        let (key, ident) = E::identity(&deed.object);
        let store = &deed.call.shop.store;
        let found = match key {
            Some(key) => E::find(store, &deed.call.scope, key).await?,
            None => None,
        };
        let found = found.ok_or_else(|| E::not_found(ident))?;
        let now = found.primitive(store, deed.object.version()).await?;
        Ok(Action::Answer(updates::<E>(&deed.object, &now, |field| deed.object.is_set(field))))
    })
}

struct Create<E> {
    draft: E,
    object: Object,
}

#[async_trait]
impl<E: Editable> Write for Create<E> {
    async fn apply(&self, tx: &mut Transaction) -> Result<Written, CallError> {
        let stored = self.draft.insert(tx, self.object.version()).await?;
        Ok(Written::Answer(updates::<E>(&self.object, &stored, |_| true)))
    }
}

struct Save<E> {
    scope: Scope,
    object: Object,
    entity: PhantomData<fn() -> E>,
}

#[async_trait]
impl<E: Editable> Write for Save<E> {
    async fn apply(&self, tx: &mut Transaction) -> Result<Written, CallError> {
        let own = locate::<E>(tx, &self.scope, &self.object).await?;
        // A name among the changes without a value says nothing.
        let changes =
            self.object.changes().iter().filter(|field| self.object.is_set(field)).cloned().collect();
        own.save(tx, &self.object, &changes).await?;
        Ok(Written::Answer(nothing_changed()))
    }
}

struct Destroy<E> {
    scope: Scope,
    object: Object,
    entity: PhantomData<fn() -> E>,
}

#[async_trait]
impl<E: Editable> Write for Destroy<E> {
    async fn apply(&self, tx: &mut Transaction) -> Result<Written, CallError> {
        locate::<E>(tx, &self.scope, &self.object).await?.destroy(tx).await?;
        Ok(Written::Answer(nothing_changed()))
    }
}

/// The row that an object stands for, if it is the caller's to change.
pub(super) async fn locate<E: Editable>(
    tx: &mut Transaction,
    scope: &Scope,
    object: &Object,
) -> Result<E, CallError> {
    let (key, ident) = E::identity(object);
    let found = match key {
        Some(key) => E::own(tx, scope, key).await?,
        None => None,
    };
    Ok(found.ok_or_else(|| E::not_found(ident))?)
}

/// Refuses changes to what is not the caller's to change.
pub(super) fn only_changeable<E: Entity>(refused: &[&str]) -> Result<(), Fault> {
    if refused.is_empty() {
        return Ok(());
    }
    let (one, fields) = (E::SPOKEN.0, refused.join(", "));
    Err(Fault::InvalidParameterValue(format!("cannot change {one} property(ies) {fields}.")))
}

/// What an instance's method did to its object: the fields that the sender lacks or has otherwise, and its result.
fn updates<E: Entity>(sent: &Object, now: &Value, of: impl Fn(&str) -> bool) -> Value {
    let data = |primitive: &Value| primitive.get("magnum_object.data").and_then(Value::as_object).cloned();
    let before = data(&sent.to_primitive()).unwrap_or_default();
    let mut changed = data(now).unwrap_or_default();
    changed.retain(|name, value| {
        of(name) && !E::WITHHELD.contains(&name.as_str()) && before.get(name) != Some(value)
    });
    changed.insert("obj_what_changed".to_owned(), json!([]));
    json!([changed, null])
}

fn nothing_changed() -> Value {
    json!([{ "obj_what_changed": [] }, null])
}

impl Ask<'_> {
    /// The method's first argument. What is no text is the name of nothing.
    pub(super) fn ident(&self) -> String {
        let first = self.takes.first().and_then(|taken| self.arguments.get(taken.name));
        match first {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }
}

fn number(ident: &str) -> Option<Key> {
    let number: i64 = ident.parse().ok()?;
    // As Python tells a number: `007` and `+7` are none.
    (number.to_string() == ident).then_some(Key::Id(number))
}

fn uuid(ident: &str) -> Option<Key> {
    Uuid::parse_str(ident).ok().map(Key::Uuid)
}

pub(in crate::rpc::endpoints) fn sorted(error: CallError) -> CallError {
    let text = match &error {
        CallError::Store(store::Error::SortKey(key)) => {
            format!("The sort_key value \"{key}\" is an invalid field for sorting")
        }
        CallError::Store(store::Error::Marker(marker)) => format!("The marker {marker} could not be found."),
        CallError::Store(_) | CallError::Fault(_) => return error,
    };
    Fault::InvalidParameterValue(text).into()
}

pub(in crate::rpc::endpoints) fn page<E: Entity>(asked: &Map) -> Result<Page, CallError> {
    let marker = match asked.get("marker") {
        None | Some(Value::Null) => None,
        // The whole object, as the API read it before.
        Some(value) => {
            let marker = objects::read(value, Some(E::NAME))?;
            if marker.name() != E::NAME {
                let text = "The marker is an object of another class.".to_owned();
                return Err(Fault::InvalidParameterValue(text).into());
            }
            let nothing =
                || Fault::InvalidParameterValue("The marker does not say which object it is.".to_owned());
            Some(E::identity(&marker).0.ok_or_else(nothing)?)
        }
    };
    let limit = arguments::integer(asked, "limit")?.map(u32::try_from).transpose();
    let limit =
        limit.map_err(|_| Fault::InvalidParameterValue("The limit must be a number from 0.".to_owned()))?;
    let sort_key = arguments::text(asked, "sort_key")?.map(str::to_owned);
    let descending = arguments::text(asked, "sort_dir")?.is_some_and(|dir| dir.eq_ignore_ascii_case("desc"));
    Ok(Page { limit, marker, sort_key, descending })
}

/// A text filter's value.
pub(super) fn filter_text(filters: &Map, name: &str) -> Result<Option<String>, Fault> {
    Ok(arguments::text(filters, name)?.map(str::to_owned))
}
