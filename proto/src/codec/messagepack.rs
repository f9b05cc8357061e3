//! Opens and seals `MessagePack`, whose envelope may carry the message as packed bytes.

use std::fmt;
use std::io::Cursor;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};

use super::values::{Any, Budget, Reader};
use super::{DecodeError, ENVELOPE, MESSAGE_KEY, Map, VERSION_KEY, object};

/// As deep as the JSON parser lets JSON nest.
const MAX_DEPTH: usize = 128;

/// A body: its map, and the message as packed bytes when it came in that form.
pub(super) fn read(body: &[u8], budget: &Budget) -> Result<(Map, Option<Vec<u8>>), DecodeError> {
    let Body { map, packed } = decode(BodyReader(Reader(budget)), body, "the body", budget)?;
    Ok((map, packed))
}

/// The message inside an envelope, when it came as packed bytes.
pub(super) fn read_inner(packed: &[u8], budget: &Budget) -> Result<Map, DecodeError> {
    match decode(Reader(budget), packed, MESSAGE_KEY, budget)? {
        Any::Value(value) => object(value, MESSAGE_KEY),
        Any::Bytes(_) => Err(DecodeError::WrongType { key: MESSAGE_KEY, expected: "a map" }),
    }
}

pub(super) fn seal(message: &Map) -> Vec<u8> {
    let outer = serde_json::json!({ VERSION_KEY: ENVELOPE, MESSAGE_KEY: message });
    rmp_serde::to_vec_named(&outer).expect("JSON values always serialise")
}

fn decode<'de, S: DeserializeSeed<'de>>(
    seed: S,
    bytes: &'de [u8],
    part: &'static str,
    budget: &Budget,
) -> Result<S::Value, DecodeError> {
    let mut reader = rmp_serde::Deserializer::new(Cursor::new(bytes));
    reader.set_max_depth(MAX_DEPTH);
    let value = seed.deserialize(&mut reader);
    let value = value.map_err(|error| budget.overdrawn().unwrap_or_else(|| fault(&error, part)))?;
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

struct BodyReader<'b>(Reader<'b>);

impl<'de> DeserializeSeed<'de> for BodyReader<'_> {
    type Value = Body;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Body, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for BodyReader<'_> {
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
            match access.next_value_seed(self.0)? {
                Any::Bytes(bytes) if is_message => body.packed = Some(bytes),
                Any::Bytes(_) => return Err(A::Error::custom("binary data outside of the message")),
                Any::Value(value) => drop(body.map.insert(key, value)),
            }
        }
        Ok(body)
    }
}
