//! Values of fields, and how what arrives is made to fit: Python clients send numbers as text and the
//! reverse.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use crate::codec::Shape;

use super::{DefaultValue, Field, Kind, Object, ObjectError};

/// The value of a field. Uuids, enums and times are text that was checked.
///
/// `Debug` shows what it is, not its contents, because some fields are secret.
#[derive(Clone, PartialEq)]
pub enum FieldValue {
    /// No value.
    Null,
    /// A number.
    Integer(i64),
    /// A truth value.
    Boolean(bool),
    /// Text, a uuid, a member of an enum, or a time as `YYYY-MM-DDTHH:MM:SSZ`.
    Text(String),
    /// Texts in order.
    List(Vec<String>),
    /// Texts by name.
    Dict(BTreeMap<String, String>),
    /// Another object.
    Object(Box<Object>),
}

impl FieldValue {
    /// The serialised form.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => (*number).into(),
            Self::Boolean(boolean) => (*boolean).into(),
            Self::Text(text) => text.clone().into(),
            Self::List(list) => json!(list),
            Self::Dict(dict) => json!(dict),
            Self::Object(object) => object.to_primitive(),
        }
    }
}

impl fmt::Debug for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Object(object) = self { object.fmt(f) } else { Shape(&self.to_value()).fmt(f) }
    }
}

impl From<DefaultValue> for FieldValue {
    fn from(default: DefaultValue) -> Self {
        match default {
            DefaultValue::Boolean(boolean) => Self::Boolean(boolean),
            DefaultValue::Integer(number) => Self::Integer(number),
        }
    }
}

/// Makes a value fit its field.
pub(super) fn coerce(
    object: &'static str,
    field: &'static Field,
    value: &Value,
    depth: usize,
) -> Result<FieldValue, ObjectError> {
    let wrong = |expected| ObjectError::FieldValue { object, field: field.name, expected };
    if value.is_null() {
        return if field.nullable { Ok(FieldValue::Null) } else { Err(wrong("anything but null")) };
    }
    match field.kind {
        Kind::Integer => integer(value).map(FieldValue::Integer).ok_or_else(|| wrong("a whole number")),
        Kind::Boolean => boolean(value).map(FieldValue::Boolean).ok_or_else(|| wrong("a boolean")),
        Kind::Text | Kind::Uuid => text(value).map(FieldValue::Text).ok_or_else(|| wrong("text")),
        Kind::Enum(members) => {
            let member = value.as_str().filter(|text| members.contains(text));
            member
                .map(|text| FieldValue::Text(text.to_owned()))
                .ok_or_else(|| wrong("one of its valid values"))
        }
        Kind::DateTime => {
            value.as_str().and_then(date_time).map(FieldValue::Text).ok_or_else(|| wrong("an ISO 8601 time"))
        }
        Kind::TextList => {
            let list = value.as_array().and_then(|items| items.iter().map(text).collect());
            list.map(FieldValue::List).ok_or_else(|| wrong("a list of texts"))
        }
        Kind::TextDict => {
            let entry = |(key, value): (&String, &Value)| Some((key.clone(), text(value)?));
            let dict = value.as_object().and_then(|entries| entries.into_iter().map(entry).collect());
            dict.map(FieldValue::Dict).ok_or_else(|| wrong("a map of texts"))
        }
        Kind::Object(name) => {
            let nested = if let Value::Object(fields) = value
                && !Object::is_primitive(value)
            {
                Object::from_fields_at(name, fields, depth + 1)?
            } else {
                Object::decode_at(value, depth + 1)?
            };
            if nested.name() != name {
                return Err(wrong("an object of its kind"));
            }
            Ok(FieldValue::Object(Box::new(nested)))
        }
    }
}

/// Numbers, and text that holds one. A fraction is refused, not cut off: half a node is a mistake.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Booleans, and the words and numbers that Python's strict reading takes for one.
fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(boolean) => Some(*boolean),
        Value::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            Some(_) | None => None,
        },
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "1" | "t" | "true" | "on" | "y" | "yes" => Some(true),
            "0" | "f" | "false" | "off" | "n" | "no" => Some(false),
            _ => None,
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Text, and numbers and booleans as Python prints them.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Times in UTC to the second, as objects carry them; a time without a zone is UTC.
fn date_time(text: &str) -> Option<String> {
    const FORM: &[time::format_description::BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let text = text.trim().replacen(' ', "T", 1);
    let parsed = OffsetDateTime::parse(&text, &Rfc3339);
    let parsed = parsed.or_else(|_| OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339)).ok()?;
    let utc = parsed.checked_to_offset(UtcOffset::UTC)?;
    // The form is fixed at four digits of year; shifting the zone may leave them.
    (0..=9999).contains(&utc.year()).then(|| utc.format(FORM).ok()).flatten()
}
