//! Reads values out of either encoding. Our own visitor: serde's turns NaN into null without a word, cannot hold the
//! packed bytes that an envelope may carry, and takes as many values as come, which cost a few bytes each on the wire
//! and hundreds in memory.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use super::{DecodeError, Map};

/// How many values a message may still hold; the envelope and the message inside it draw on one budget.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u32,
    left: Cell<u32>,
    overdrawn: Cell<bool>,
}

impl Budget {
    /// What a request may hold. A service catalog of a large cloud has some thousands; the worst that so many values
    /// can be, maps of one entry, is 34 MB.
    pub(crate) const fn of_request() -> Self {
        Self::of(50_000)
    }

    /// What other messages may hold: a list of thousands of objects is one reply.
    pub(crate) const fn of_answer() -> Self {
        Self::of(2_000_000)
    }

    pub(super) const fn of(limit: u32) -> Self {
        Self { limit, left: Cell::new(limit), overdrawn: Cell::new(false) }
    }

    /// The fault, if a reader stopped because there was nothing left.
    pub(super) fn overdrawn(&self) -> Option<DecodeError> {
        self.overdrawn.get().then_some(DecodeError::TooManyValues { limit: self.limit })
    }

    fn spend<E: Error>(&self) -> Result<(), E> {
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => {
                self.overdrawn.set(true);
                return Err(E::custom("too many values"));
            }
        }
        Ok(())
    }
}

/// Any value, or bytes, which only an envelope may hold.
pub(super) enum Any {
    Value(Value),
    Bytes(Vec<u8>),
}

impl Any {
    fn value<E: Error>(self) -> Result<Value, E> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Bytes(_) => Err(E::custom("binary data inside a message")),
        }
    }
}

/// Reads one value, and what is in it, on a budget.
#[derive(Clone, Copy)]
pub(super) struct Reader<'b>(pub(super) &'b Budget);

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Any;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Any, D::Error> {
        self.0.spend()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
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

    fn visit_f64<E: Error>(self, value: f64) -> Result<Any, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number that is not finite"))?;
        Ok(Any::Value(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Any, E> {
        Ok(Any::Value(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Any, E> {
        Ok(Any::Value(Value::String(value)))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Any, E> {
        Ok(Any::Bytes(value.to_vec()))
    }

    /// The announced length is not believed: nothing is reserved for items that may never come.
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Any, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self)? {
            items.push(item.value()?);
        }
        Ok(Any::Value(Value::Array(items)))
    }

    /// Of a key that comes twice the last value holds, as in Python.
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Any, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            map.insert(key, access.next_value_seed(self)?.value()?);
        }
        Ok(Any::Value(Value::Object(map)))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<Any, D::Error> {
        Err(D::Error::custom("an extension type"))
    }
}
