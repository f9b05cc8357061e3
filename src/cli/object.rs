//! Reads and writes of objects through the conductor, as magnum-api does them.

use mesos_conductor_proto::{
    codec::Map,
    object::{Object, ObjectError, definition},
    version::Version,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{conductor::Conductor, error::Error};

/// The objects that the command line deals with, at the version it speaks (Mitaka's, where Mitaka has them).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Bay,
    BayModel,
    App,
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Self::Bay => "Bay",
            Self::BayModel => "BayModel",
            Self::App => "App",
        }
    }

    pub(super) fn is_of(self, object: &Object) -> bool {
        object.name() == self.name()
    }

    fn version(self) -> Version {
        definition(self.name()).expect("the wire contract defines them all").latest
    }
}

impl From<ObjectError> for Error {
    fn from(error: ObjectError) -> Self {
        Self::Garbage(error.to_string())
    }
}

/// An object of which the given fields are set and count as changed.
pub(super) fn new(
    class: Class,
    fields: impl IntoIterator<Item = (&'static str, Value)>,
) -> Result<Object, Error> {
    let mut object = Object::new(class.name(), class.version())?;
    for (name, value) in fields {
        if !value.is_null() {
            object.change(name, value).map_err(|error| Error::Usage(error.to_string()))?;
        }
    }
    Ok(object)
}

/// By uuid when it is one, else by name.
pub(super) async fn get(conductor: &dyn Conductor, class: Class, ident: &str) -> Result<Object, Error> {
    let method = if Uuid::parse_str(ident).is_ok() { "get_by_uuid" } else { "get_by_name" };
    decode(&class_action(conductor, class, method, json!([ident])).await?)
}

/// An app has no meaning without its bay; each by uuid or name.
pub(super) async fn get_app(conductor: &dyn Conductor, app: &str, bay: &str) -> Result<Object, Error> {
    let args = arguments([("app_ident", app.into()), ("bay_ident", bay.into())]);
    decode(&conductor.call("app_show", args).await?)
}

pub(super) async fn list(conductor: &dyn Conductor, class: Class, page: &Page) -> Result<Vec<Object>, Error> {
    // The API sends the marker as the object itself.
    let marker = match &page.marker {
        Some(ident) => get(conductor, class, ident).await?.to_primitive(),
        None => Value::Null,
    };
    let args = json!([page.limit, marker, page.sort_key, page.sort_dir]);
    decode_list(&class_action(conductor, class, "list", args).await?)
}

pub(super) fn decode_list(answer: &Value) -> Result<Vec<Object>, Error> {
    items(answer)?.iter().map(decode).collect()
}

/// What an answer lists.
pub(super) fn items(answer: &Value) -> Result<&Vec<Value>, Error> {
    answer
        .as_array()
        .ok_or_else(|| Error::Garbage(format!("a list was asked for, and {} came", kind(answer))))
}

/// Plain values as they are listed, for printing.
pub(super) fn rows(answer: &Value) -> Result<Vec<Map>, Error> {
    let row = |item: &Value| item.as_object().cloned();
    let wrong = || Error::Garbage("a list of maps was asked for, and something else came".to_owned());
    items(answer)?.iter().map(|item| row(item).ok_or_else(wrong)).collect()
}

/// Which part of a list, in which order.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Page {
    /// At most this many
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<u32>,
    /// Those after this one, by uuid or name
    #[arg(long, value_name = "ID")]
    pub(super) marker: Option<String>,
    /// The field to sort by
    #[arg(long, value_name = "FIELD", default_value = "id")]
    pub(super) sort_key: String,
    /// The direction
    #[arg(long, value_name = "DIR", default_value = "asc", value_parser = ["asc", "desc"])]
    pub(super) sort_dir: String,
}

/// Runs a method of the object itself and applies what it changed.
pub(super) async fn act(
    conductor: &dyn Conductor,
    mut object: Object,
    method: &str,
) -> Result<Object, Error> {
    let args = arguments([
        ("objinst", object.to_primitive()),
        ("objmethod", method.into()),
        ("args", json!([])),
        ("kwargs", json!({})),
    ]);
    let answer = conductor.call("object_action", args).await?;
    let updates = answer.get(0).and_then(Value::as_object);
    let updates =
        updates.ok_or_else(|| Error::Garbage(format!("{method} answered with {}", kind(&answer))))?;
    for (name, value) in updates {
        if name != "obj_what_changed" {
            object.set(name, value.clone())?;
        }
    }
    Ok(object)
}

/// The fields that are set, for printing.
pub(super) fn fields(object: &Object) -> Map {
    object
        .fields()
        .filter_map(|field| Some((field.name.to_owned(), object.get(field.name)?.to_value())))
        .collect()
}

pub(super) fn decode(value: &Value) -> Result<Object, Error> {
    Ok(Object::decode(value)?)
}

pub(super) fn arguments(arguments: impl IntoIterator<Item = (&'static str, Value)>) -> Map {
    arguments.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

async fn class_action(
    conductor: &dyn Conductor,
    class: Class,
    method: &str,
    args: Value,
) -> Result<Value, Error> {
    let args = arguments([
        ("objname", class.name().into()),
        ("objmethod", method.into()),
        ("objver", class.version().to_string().into()),
        ("args", args),
        ("kwargs", json!({})),
    ]);
    conductor.call("object_class_action", args).await
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
