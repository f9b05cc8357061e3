//! Reads `MessagePack` into JSON values. Our own visitor, because serde's own turns NaN into null silently
//! and cannot hold the packed bytes that an envelope may carry.

use std::fmt;
use std::io::Cursor;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use super::{DecodeError, ENVELOPE, MESSAGE_KEY, Map, VERSION_KEY, object};

/// As deep as the JSON parser lets JSON nest.
const MAX_DEPTH: usize = 128;

/// A body: its map, and the message as packed bytes when it came in that form.
pub(super) fn read(body: &[u8]) -> Result<(Map, Option<Vec<u8>>), DecodeError> {
    let Body { map, packed } = decode(body, "the body")?;
    Ok((map, packed))
}

/// The message inside an envelope, when it came as packed bytes.
pub(super) fn read_inner(packed: &[u8]) -> Result<Map, DecodeError> {
    match decode(packed, MESSAGE_KEY)? {
        Any::Value(value) => object(value, MESSAGE_KEY),
        Any::Bytes(_) => Err(DecodeError::WrongType { key: MESSAGE_KEY, expected: "a map" }),
    }
}

pub(super) fn seal(message: &Map) -> Vec<u8> {
    let outer = serde_json::json!({ VERSION_KEY: ENVELOPE, MESSAGE_KEY: message });
    rmp_serde::to_vec_named(&outer).expect("JSON values always serialise")
}

fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8], part: &'static str) -> Result<T, DecodeError> {
    let mut reader = rmp_serde::Deserializer::new(Cursor::new(bytes));
    reader.set_max_depth(MAX_DEPTH);
    let value = T::deserialize(&mut reader).map_err(|error| fault(&error, part))?;
    if usize::try_from(reader.position()) != Ok(bytes.len()) {
        return Err(DecodeError::MessagePack { part, fault: "bytes after the end" });
    }
    Ok(value)
}

/// Keeps the kind only: the text of the error may quote the value.
fn fault(error: &rmp_serde::decode::Error, part: &'static str) -> DecodeError {
    use rmp_serde::decode::Error;
    let fault = match error {
        Error::InvalidMarkerRead(_) | Error::InvalidDataRead(_) => "it ends too early",
        Error::LengthMismatch(_) => "a length that does not match",
        Error::OutOfRange => "a number out of range",
        Error::Utf8Error(_) => "text that is not UTF-8",
        Error::DepthLimitExceeded => "it nests too deep",
        Error::TypeMismatch(_) | Error::Uncategorized(_) | Error::Syntax(_) => {
            "a value that no message can hold"
        }
    };
    DecodeError::MessagePack { part, fault }
}

/// A body's outermost map; only there may the message be bytes.
struct Body {
    map: Map,
    packed: Option<Vec<u8>>,
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BodyVisitor)
    }
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Body, A::Error> {
        let mut body = Body { map: Map::new(), packed: None };
        while let Some(key) = access.next_key::<String>()? {
            let is_message = key == MESSAGE_KEY;
            if is_message {
                // Of a key that comes twice the last value holds, in whichever form.
                body.packed = None;
                body.map.remove(MESSAGE_KEY);
            }
            match access.next_value()? {
                Any::Bytes(bytes) if is_message => body.packed = Some(bytes),
                Any::Bytes(_) => return Err(A::Error::custom("binary data outside of the message")),
                Any::Value(value) => drop(body.map.insert(key, value)),
            }
        }
        Ok(body)
    }
}

/// Any value, or bytes, which only an envelope may hold.
enum Any {
    Value(Value),
    Bytes(Vec<u8>),
}

impl Any {
    fn value<E: serde::de::Error>(self) -> Result<Value, E> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Bytes(_) => Err(E::custom("binary data inside a message")),
        }
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON can hold")
    }

    fn visit_unit<E>(self) -> Result<Any, E> {
        Ok(Any::Value(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Any, E> {
        Ok(Any::Value(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Any, E> {
        Ok(Any::Value(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Any, E> {
        Ok(Any::Value(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Any, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number that is not finite"))?;
        Ok(Any::Value(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Any, E> {
        Ok(Any::Value(value.into()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Any, E> {
        Ok(Any::Bytes(value.to_vec()))
    }

    /// The announced length is not believed: nothing is reserved for items that may never come.
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Any, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element::<Any>()? {
            items.push(item.value()?);
        }
        Ok(Any::Value(Value::Array(items)))
    }

    /// Of a key that comes twice the last value holds, as in Python.
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Any, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            map.insert(key, access.next_value::<Any>()?.value()?);
        }
        Ok(Any::Value(Value::Object(map)))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<Any, D::Error> {
        Err(D::Error::custom("an extension type"))
    }
}
