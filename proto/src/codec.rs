//! Message bodies to and from maps: the oslo 2.0 envelope and the bare form, as JSON or `MessagePack`.
//!
//! Errors never repeat what a body held: a body may carry tokens and keys, an error goes to the log.

mod messagepack;
mod values;

use std::fmt;

use serde::de::DeserializeSeed;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::version::Version;

pub(crate) use values::Budget;
use values::{Any, Reader};

/// A message, taken out of its envelope.
pub type Map = serde_json::Map<String, Value>;

const VERSION_KEY: &str = "oslo.version";
const MESSAGE_KEY: &str = "oslo.message";
const ENVELOPE: Version = Version::new(2, 0);

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// `application/json`, what every Python client speaks.
    Json,
    /// `application/x-msgpack`, for clients that want smaller bodies.
    MessagePack,
}

impl Encoding {
    /// Reads the content type of a delivery. None at all means JSON: hand-written clients forget it.
    ///
    /// # Errors
    /// [`DecodeError::ContentType`] for any other type.
    pub fn from_content_type(content_type: Option<&str>) -> Result<Self, DecodeError> {
        let Some(full) = content_type else { return Ok(Self::Json) };
        let essence = full.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case(Self::Json.content_type()) {
            Ok(Self::Json)
        } else if essence.eq_ignore_ascii_case(Self::MessagePack.content_type()) {
            Ok(Self::MessagePack)
        } else {
            Err(DecodeError::ContentType(shortened(essence)))
        }
    }

    /// The content type to publish with. Python clients compare it literally.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::MessagePack => "application/x-msgpack",
        }
    }

    /// The content encoding to publish with.
    #[must_use]
    pub const fn content_encoding(self) -> &'static str {
        match self {
            Self::Json => "utf-8",
            Self::MessagePack => "binary",
        }
    }
}

/// Why a body is not a message.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The content type is none that we read.
    #[error("content type {0:?} is neither application/json nor application/x-msgpack")]
    ContentType(String),
    /// The JSON text is broken, nests too deep, or holds what JSON cannot.
    #[error("broken JSON in {part} at line {line} column {column}: {fault}")]
    Json {
        /// The envelope or the message inside it.
        part: &'static str,
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1.
        column: usize,
        /// What is wrong, in general terms.
        fault: &'static str,
    },
    /// The `MessagePack` bytes are broken, nest too deep, or hold what a message cannot.
    #[error("broken MessagePack in {part}: {fault}")]
    MessagePack {
        /// The envelope or the message inside it.
        part: &'static str,
        /// What is wrong, in general terms.
        fault: &'static str,
    },
    /// The body holds more values than any honest message.
    #[error("more than {limit} values")]
    TooManyValues {
        /// How many it may hold.
        limit: u32,
    },
    /// The envelope is of a version that we do not read.
    #[error("envelope version is not one that 2.0 can serve")]
    EnvelopeVersion,
    /// A key that must be there is not.
    #[error("key {key:?} is missing")]
    MissingKey {
        /// The key.
        key: &'static str,
    },
    /// A value has the wrong type.
    #[error("{key:?} is not {expected}")]
    WrongType {
        /// The key, or the part of the body.
        key: &'static str,
        /// What it should have been.
        expected: &'static str,
    },
    /// The request context is not usable.
    #[error(transparent)]
    Context(#[from] crate::context::ContextError),
}

/// Opens the envelope: oslo 2.0, or the bare form in which the body is the message itself.
///
/// The message inside may be a nested map, JSON text, or (`MessagePack` only) packed bytes.
///
/// # Errors
/// When the bytes are not such a body. Never panics, whatever the bytes.
pub fn open(encoding: Encoding, body: &[u8]) -> Result<Map, DecodeError> {
    open_within(&Budget::of_answer(), encoding, body)
}

/// As [`open`], for a body that may hold less.
pub(crate) fn open_within(budget: &Budget, encoding: Encoding, body: &[u8]) -> Result<Map, DecodeError> {
    let (mut outer, packed) = match encoding {
        Encoding::Json => (object(json(body, "the body", budget)?, "the body")?, None),
        Encoding::MessagePack => messagepack::read(body, budget)?,
    };
    if !outer.contains_key(VERSION_KEY) || !(outer.contains_key(MESSAGE_KEY) || packed.is_some()) {
        return Ok(outer);
    }
    let version = outer.get(VERSION_KEY).and_then(Value::as_str).and_then(|text| text.parse().ok());
    if !version.is_some_and(|version| ENVELOPE.can_serve(version)) {
        return Err(DecodeError::EnvelopeVersion);
    }
    if let Some(packed) = packed {
        return messagepack::read_inner(&packed, budget);
    }
    match outer.remove(MESSAGE_KEY) {
        Some(Value::String(text)) => object(json(text.as_bytes(), MESSAGE_KEY, budget)?, MESSAGE_KEY),
        other => object(other.unwrap_or_default(), MESSAGE_KEY),
    }
}

/// Wraps a message in the 2.0 envelope.
///
/// JSON carries the message as text, as Python does; `MessagePack` nests the map itself.
///
/// # Panics
/// Never: JSON values always serialise into memory.
#[must_use]
pub fn seal(encoding: Encoding, message: &Map) -> Vec<u8> {
    match encoding {
        Encoding::Json => {
            let text = serde_json::to_string(message).expect("JSON values always serialise");
            let mut outer = serde_json::json!({ VERSION_KEY: ENVELOPE });
            // Moved: the macro would copy it.
            outer[MESSAGE_KEY] = Value::String(text);
            serde_json::to_vec(&outer).expect("JSON values always serialise")
        }
        Encoding::MessagePack => messagepack::seal(message),
    }
}

/// Writes a message without an envelope.
pub(crate) fn bare(message: &Map) -> Vec<u8> {
    serde_json::to_vec(message).expect("JSON values always serialise")
}

/// Parses JSON; the error keeps the position only, because serde's own text may quote the value.
pub(crate) fn json(bytes: &[u8], part: &'static str, budget: &Budget) -> Result<Value, DecodeError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Reader(budget).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match value {
        Ok(Any::Value(value)) => Ok(value),
        Ok(Any::Bytes(_)) => Err(DecodeError::WrongType { key: part, expected: "JSON" }),
        Err(error) => Err(budget.overdrawn().unwrap_or_else(|| json_fault(&error, part))),
    }
}

fn json_fault(error: &serde_json::Error, part: &'static str) -> DecodeError {
    DecodeError::Json {
        part,
        line: error.line(),
        column: error.column(),
        fault: match error.classify() {
            serde_json::error::Category::Eof => "it ends too early",
            serde_json::error::Category::Syntax => "syntax",
            serde_json::error::Category::Data => "a value that does not fit",
            serde_json::error::Category::Io => "it could not be read",
        },
    }
}

/// The value as a map.
pub(crate) fn object(value: Value, key: &'static str) -> Result<Map, DecodeError> {
    match value {
        Value::Object(map) => Ok(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(DecodeError::WrongType { key, expected: "a map" })
        }
    }
}

/// Takes optional text out of a map; null counts as absent.
pub(crate) fn take_text(map: &mut Map, key: &'static str) -> Result<Option<String>, DecodeError> {
    match map.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(DecodeError::WrongType { key, expected: "text" }),
    }
}

/// Takes text that must be there out of a map.
pub(crate) fn require_text(map: &mut Map, key: &'static str) -> Result<String, DecodeError> {
    take_text(map, key)?.ok_or(DecodeError::MissingKey { key })
}

/// Takes an optional name or id out of a map.
pub(crate) fn take_name(map: &mut Map, key: &'static str) -> Result<Option<String>, DecodeError> {
    match take_text(map, key)? {
        Some(name) if !is_name(&name) => {
            Err(DecodeError::WrongType { key, expected: "a name: at most 255 bytes, no control characters" })
        }
        name => Ok(name),
    }
}

/// Whether a text can be a name or an id: no longer than AMQP lets a queue's name be, and without control characters.
/// Whatever is made of it (a queue, a row's key, a line of the log) can bear it.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= 255 && !text.contains(char::is_control)
}

/// Takes all entries that carry the prefix of the request context out of a message.
pub(crate) fn take_context(message: Map) -> Map {
    let unprefixed =
        |(key, value): (String, Value)| Some((key.strip_prefix(CONTEXT_PREFIX)?.to_owned(), value));
    message.into_iter().filter_map(unprefixed).collect()
}

/// Writes context entries into a message.
pub(crate) fn put_context(message: &mut Map, context: &Map) {
    message.extend(context.iter().map(|(key, value)| (format!("{CONTEXT_PREFIX}{key}"), value.clone())));
}

const CONTEXT_PREFIX: &str = "_context_";

/// The first characters of a text from the wire: enough to recognise it, too few to flood a log.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Shows the kind and size of a value without its contents.
pub(crate) struct Shape<'a>(pub(crate) &'a Value);

impl fmt::Debug for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("null"),
            Value::Bool(_) => f.write_str("a boolean"),
            Value::Number(_) => f.write_str("a number"),
            Value::String(text) => write!(f, "text of {} bytes", text.len()),
            Value::Array(items) => write!(f, "a list of {}", items.len()),
            Value::Object(map) => write!(f, "a map of {}", map.len()),
        }
    }
}

/// Shows the keys of a map without its values.
pub(crate) struct Keys<'a>(pub(crate) &'a Map);

impl fmt::Debug for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests;
