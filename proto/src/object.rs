//! Versioned objects: bays, bay models and certificates as they travel, at the version that the peer speaks.
//!
//! One definition per object says at which version each field came and went ([`definition`]), so another
//! release is more rows of data, not another code path.

mod definitions;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value, json};

use crate::codec::{Map, shortened};
use crate::version::Version;

pub use definitions::{DEFINITIONS, DefaultValue, Field, Kind, ObjectDef, definition};
pub use value::FieldValue;

const NAME_KEY: &str = "magnum_object.name";
const NAMESPACE_KEY: &str = "magnum_object.namespace";
const VERSION_KEY: &str = "magnum_object.version";
const DATA_KEY: &str = "magnum_object.data";
const CHANGES_KEY: &str = "magnum_object.changes";
const NAMESPACE: &str = "magnum";

/// No object of ours nests deeper; a hostile one may.
const MAX_DEPTH: usize = 8;

/// An error names no more fields than this.
const MAX_NAMED: usize = 8;

/// Why a value is not an object that we know. Never holds a field's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// The value is no serialised object.
    #[error("not a versioned object: {key:?} is missing or not {expected}")]
    NotAnObject {
        /// The key at fault.
        key: &'static str,
        /// What it should have been.
        expected: &'static str,
    },
    /// The object belongs to another service.
    #[error("object namespace {namespace:?} is not magnum")]
    ForeignNamespace {
        /// The namespace, shortened.
        namespace: String,
    },
    /// No definition has that name.
    #[error("unknown object {name:?}")]
    UnknownObject {
        /// The name, shortened.
        name: String,
    },
    /// The definition cannot serve that version.
    #[error("version {requested} of {name} is not supported, {supported} is")]
    IncompatibleVersion {
        /// The object.
        name: &'static str,
        /// The version asked for.
        requested: Version,
        /// The version of the definition.
        supported: Version,
    },
    /// The object has no such field at its version.
    #[error("{object} {version} has no field {field:?}")]
    NoSuchField {
        /// The object.
        object: &'static str,
        /// Its version.
        version: Version,
        /// The field, shortened.
        field: String,
    },
    /// A dict has keys that are no fields of the object.
    #[error("{object} {version} has no field {}", fields.join(", "))]
    UnknownFields {
        /// The object.
        object: &'static str,
        /// Its newest version.
        version: Version,
        /// The keys, shortened.
        fields: Vec<String>,
    },
    /// A field's value is not of its kind.
    #[error("field {field:?} of {object} is not {expected}")]
    FieldValue {
        /// The object.
        object: &'static str,
        /// The field.
        field: &'static str,
        /// What it should have been.
        expected: &'static str,
    },
    /// Objects nest too deep.
    #[error("objects nest deeper than {MAX_DEPTH}")]
    TooDeep,
}

/// An object at a version: the fields that are set, checked and coerced, and which of them its sender
/// changed.
///
/// `Debug` shows the names of fields, not their values.
#[derive(Clone, PartialEq)]
pub struct Object {
    definition: &'static ObjectDef,
    version: Version,
    data: BTreeMap<&'static str, FieldValue>,
    changes: BTreeSet<String>,
}

/// What says which object it is.
const IDENTITY: [&str; 2] = ["id", "uuid"];

impl Object {
    /// An object with no field set.
    ///
    /// # Errors
    /// When no definition has the name or it cannot serve the version.
    pub fn new(name: &str, version: Version) -> Result<Self, ObjectError> {
        let definition =
            definition(name).ok_or_else(|| ObjectError::UnknownObject { name: shortened(name) })?;
        if !definition.latest.can_serve(version) {
            return Err(ObjectError::IncompatibleVersion {
                name: definition.name,
                requested: version,
                supported: definition.latest,
            });
        }
        Ok(Self { definition, version, data: BTreeMap::new(), changes: BTreeSet::new() })
    }

    /// Whether a value is meant to be a serialised object, valid or not.
    #[must_use]
    pub fn is_primitive(value: &Value) -> bool {
        value.get(NAME_KEY).is_some()
    }

    /// The name that a serialised object claims to have.
    #[must_use]
    pub fn name_in(value: &Value) -> Option<&Value> {
        value.get(NAME_KEY)
    }

    /// Reads a serialised object. Keys that its version does not know are ignored, as oslo does.
    ///
    /// # Errors
    /// When it is not one, or a field's value is not of its kind. Never panics, whatever the value.
    pub fn decode(value: &Value) -> Result<Self, ObjectError> {
        Self::decode_at(value, 0)
    }

    /// Makes an object of a plain dict of fields: all of them count as changed, at the newest version. Unlike a
    /// serialised object, whose sender may be newer than we are, a dict with an unknown key is a mistake.
    ///
    /// # Errors
    /// When no definition has the name, it has no such fields, or a value is not of its kind.
    pub fn from_fields(name: &str, fields: &Map) -> Result<Self, ObjectError> {
        Self::from_fields_at(name, fields, 0)
    }

    fn from_fields_at(name: &str, fields: &Map, depth: usize) -> Result<Self, ObjectError> {
        if depth >= MAX_DEPTH {
            return Err(ObjectError::TooDeep);
        }
        let definition =
            definition(name).ok_or_else(|| ObjectError::UnknownObject { name: shortened(name) })?;
        let mut object = Self::new(name, definition.latest)?;
        let mut unknown = Vec::new();
        for (name, value) in fields {
            let Some(field) = definition.field(name, definition.latest) else {
                unknown.push(shortened(name));
                continue;
            };
            let value = value::coerce(definition.name, field, value, depth)?;
            object.data.insert(field.name, value);
            // Which object it is, is no change of it.
            if !IDENTITY.contains(&field.name) {
                object.changes.insert(name.clone());
            }
        }
        if unknown.is_empty() {
            return Ok(object);
        }
        unknown.truncate(MAX_NAMED);
        Err(ObjectError::UnknownFields {
            object: definition.name,
            version: definition.latest,
            fields: unknown,
        })
    }

    fn decode_at(value: &Value, depth: usize) -> Result<Self, ObjectError> {
        if depth >= MAX_DEPTH {
            return Err(ObjectError::TooDeep);
        }
        let namespace = text_of(value, NAMESPACE_KEY)?;
        if namespace != NAMESPACE {
            return Err(ObjectError::ForeignNamespace { namespace: shortened(namespace) });
        }
        let version = text_of(value, VERSION_KEY)?.parse();
        let version =
            version.map_err(|_| ObjectError::NotAnObject { key: VERSION_KEY, expected: "a version" })?;
        let mut object = Self::new(text_of(value, NAME_KEY)?, version)?;
        let not_a_map = ObjectError::NotAnObject { key: DATA_KEY, expected: "a map" };
        for (name, value) in value.get(DATA_KEY).and_then(Value::as_object).ok_or(not_a_map)? {
            if let Some(field) = object.definition.field(name, version) {
                let value = value::coerce(object.definition.name, field, value, depth)?;
                object.data.insert(field.name, value);
            }
        }
        object.changes = changes_of(value)?;
        object.changes.retain(|name| object.definition.field(name, version).is_some());
        Ok(object)
    }

    /// The object's name, such as `Bay`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.definition.name
    }

    /// The version at which the object is written.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The fields that the object has at its version.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.definition.fields_at(self.version)
    }

    /// Whether a field is set, be it to null.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.data.contains_key(name)
    }

    /// A field's value, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&FieldValue> {
        self.data.get(name)
    }

    /// A field's text, if it is set and not null.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        if let FieldValue::Text(text) = self.get(name)? { Some(text) } else { None }
    }

    /// A field's number, if it is set and not null.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<i64> {
        if let FieldValue::Integer(number) = self.get(name)? { Some(*number) } else { None }
    }

    /// A field's boolean, if it is set and not null.
    #[must_use]
    pub fn boolean(&self, name: &str) -> Option<bool> {
        if let FieldValue::Boolean(boolean) = self.get(name)? { Some(*boolean) } else { None }
    }

    /// A field's list, if it is set and not null.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<&[String]> {
        if let FieldValue::List(list) = self.get(name)? { Some(list) } else { None }
    }

    /// A field's map, if it is set and not null.
    #[must_use]
    pub fn dict(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        if let FieldValue::Dict(dict) = self.get(name)? { Some(dict) } else { None }
    }

    /// A field's object, if it is set and not null.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<&Self> {
        if let FieldValue::Object(object) = self.get(name)? { Some(object) } else { None }
    }

    /// The fields that the sender changed.
    #[must_use]
    pub const fn changes(&self) -> &BTreeSet<String> {
        &self.changes
    }

    /// Whether the sender changed a field.
    #[must_use]
    pub fn is_changed(&self, name: &str) -> bool {
        self.changes.contains(name)
    }

    /// Sets a field without marking it as changed, as a server does with what it read.
    ///
    /// # Errors
    /// When the version has no such field, or the value is not of its kind.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) -> Result<(), ObjectError> {
        let field = self.definition.field(name, self.version).ok_or_else(|| ObjectError::NoSuchField {
            object: self.definition.name,
            version: self.version,
            field: shortened(name),
        })?;
        let value = value::coerce(self.definition.name, field, &value.into(), 0)?;
        self.data.insert(field.name, value);
        Ok(())
    }

    /// Sets a field and marks it as changed, as a client does with what it wants.
    ///
    /// # Errors
    /// As [`Object::set`].
    pub fn change(&mut self, name: &str, value: impl Into<Value>) -> Result<(), ObjectError> {
        self.set(name, value)?;
        self.changes.insert(name.to_owned());
        Ok(())
    }

    /// Forgets what was changed, as saving an object does.
    pub fn reset_changes(&mut self) {
        self.changes.clear();
    }

    /// Sets every field that has a default and is not set.
    pub fn set_defaults(&mut self) {
        for field in self.fields() {
            if let Some(default) = field.default {
                self.data.entry(field.name).or_insert_with(|| default.into());
            }
        }
    }

    /// The serialised form. The list of changes is there only when something changed.
    #[must_use]
    pub fn to_primitive(&self) -> Value {
        let data: Map =
            self.data.iter().map(|(name, value)| ((*name).to_owned(), value.to_value())).collect();
        let mut primitive = json!({
            NAME_KEY: self.definition.name,
            NAMESPACE_KEY: NAMESPACE,
            VERSION_KEY: self.version,
        });
        // Moved: the macro would copy it.
        primitive[DATA_KEY] = Value::Object(data);
        if !self.changes.is_empty() {
            primitive[CHANGES_KEY] = json!(self.changes);
        }
        primitive
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("name", &self.definition.name)
            .field("version", &self.version)
            .field("set", &self.data.keys())
            .field("changes", &self.changes)
            .finish()
    }
}

fn text_of<'a>(value: &'a Value, key: &'static str) -> Result<&'a str, ObjectError> {
    value.get(key).and_then(Value::as_str).ok_or(ObjectError::NotAnObject { key, expected: "text" })
}

fn changes_of(value: &Value) -> Result<BTreeSet<String>, ObjectError> {
    let wrong = ObjectError::NotAnObject { key: CHANGES_KEY, expected: "a list of texts" };
    let names = match value.get(CHANGES_KEY) {
        None | Some(Value::Null) => return Ok(BTreeSet::new()),
        Some(names) => names.as_array().ok_or_else(|| wrong.clone())?,
    };
    names.iter().map(|name| name.as_str().map(str::to_owned).ok_or_else(|| wrong.clone())).collect()
}

#[cfg(test)]
mod tests;
