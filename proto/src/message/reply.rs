//! Replies and call heartbeats, from both ends. Clients of different releases need a call answered in
//! different forms; the address that a request yields remembers which.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::codec::{self, DecodeError, Encoding, Map, Shape};
use crate::failure::Failure;

/// Where and how a call is answered. Serialisable, because the answer may be given by another worker, later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplyAddress {
    /// The client's queue: the routing key on the default exchange.
    pub queue: String,
    /// The id of the call.
    pub msg_id: String,
    /// In one message or in two.
    pub form: ReplyForm,
    /// How to write them.
    pub encoding: Encoding,
    /// At which interval to send heartbeats until the reply, if at all.
    pub heartbeat: Option<Duration>,
}

/// In how many messages a call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyForm {
    /// One message that ends the call. Clients that know call monitoring would take the first of two messages
    /// for a heartbeat.
    Single,
    /// The outcome, then a message that ends the call. Clients before oslo.messaging 1.12 would take a single
    /// reply for an empty one.
    Double,
}

impl ReplyAddress {
    /// The bodies that answer the call, to be published in order: one or two, by the form.
    ///
    /// Every message needs an id of its own; the second is unused in the single form.
    #[must_use]
    pub fn bodies(&self, outcome: &Result<Value, Failure>, unique_ids: [String; 2]) -> Vec<Vec<u8>> {
        let [first, second] = unique_ids;
        let (result, failure) = match outcome {
            Ok(value) => (value.clone(), Value::Null),
            Err(failure) => (Value::Null, failure.to_text().into()),
        };
        match self.form {
            ReplyForm::Single => vec![self.body(result, failure, Some(true), first)],
            ReplyForm::Double => vec![
                self.body(result, failure, None, first),
                self.body(Value::Null, Value::Null, Some(true), second),
            ],
        }
    }

    /// The body that tells a watching client that its call is alive.
    ///
    /// Only for addresses whose `heartbeat` is set: other clients fail on it.
    #[must_use]
    pub fn heartbeat_body(&self, unique_id: String) -> Vec<u8> {
        self.body(Value::Null, Value::Null, Some(false), unique_id)
    }

    /// Clients index `result` and `failure`, so both are always there.
    fn body(&self, result: Value, failure: Value, ending: Option<bool>, unique_id: String) -> Vec<u8> {
        let mut message = Map::new();
        message.insert("result".to_owned(), result);
        message.insert("failure".to_owned(), failure);
        message.extend(ending.map(|ending| ("ending".to_owned(), ending.into())));
        message.insert("_msg_id".to_owned(), self.msg_id.clone().into());
        message.insert("_unique_id".to_owned(), unique_id.into());
        codec::seal(self.encoding, &message)
    }
}

/// A message on a client's reply queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The call that it belongs to.
    pub msg_id: String,
    /// The id of this very message.
    pub unique_id: Option<String>,
    /// What it says.
    pub content: ReplyContent,
}

/// What a reply says. [`Assembly`] makes the outcome of the call from it.
#[derive(Clone, PartialEq)]
pub enum ReplyContent {
    /// The call returned a value.
    Result {
        /// The value.
        value: Value,
        /// Whether the call ends here; if not, [`ReplyContent::Ending`] follows.
        ending: bool,
    },
    /// The call failed.
    Failure {
        /// The failure.
        failure: Failure,
        /// Whether the call ends here; if not, [`ReplyContent::Ending`] follows.
        ending: bool,
    },
    /// The end of a double reply, or a single reply with a null result: only what came before tells which.
    Ending,
    /// The call is still running.
    Heartbeat,
}

impl Reply {
    /// Reads the body of a delivery.
    ///
    /// # Errors
    /// When it is not a reply. Never panics, whatever the bytes.
    pub fn decode(content_type: Option<&str>, body: &[u8]) -> Result<Self, DecodeError> {
        let mut message = codec::open(Encoding::from_content_type(content_type)?, body)?;
        let ending = match message.remove("ending") {
            None | Some(Value::Null) => None,
            Some(Value::Bool(ending)) => Some(ending),
            Some(_) => return Err(DecodeError::WrongType { key: "ending", expected: "a boolean" }),
        };
        let failure = codec::take_text(&mut message, "failure")?;
        let value = message.remove("result").unwrap_or_default();
        let content = match (failure, ending) {
            (Some(text), _) => {
                let failure = Failure::from_text(&text)?;
                ReplyContent::Failure { failure, ending: ending == Some(true) }
            }
            (None, Some(true)) if value.is_null() => ReplyContent::Ending,
            // Servers that answer twice leave the key out of the first message; a heartbeat has it.
            (None, Some(false)) if value.is_null() => ReplyContent::Heartbeat,
            (None, _) => ReplyContent::Result { value, ending: ending == Some(true) },
        };
        Ok(Self {
            msg_id: codec::require_text(&mut message, "_msg_id")?,
            unique_id: codec::take_text(&mut message, "_unique_id")?,
            content,
        })
    }
}

impl fmt::Debug for ReplyContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Result { value, ending } => {
                f.debug_struct("Result").field("value", &Shape(value)).field("ending", ending).finish()
            }
            Self::Failure { failure, ending } => {
                f.debug_struct("Failure").field("failure", failure).field("ending", ending).finish()
            }
            Self::Ending => f.write_str("Ending"),
            Self::Heartbeat => f.write_str("Heartbeat"),
        }
    }
}

/// Puts the replies of one call together, in either form.
#[derive(Default)]
pub struct Assembly {
    outcome: Option<Result<Value, Failure>>,
}

impl Assembly {
    /// Takes the next reply of the call; returns the outcome when the call has ended.
    pub fn accept(&mut self, content: ReplyContent) -> Option<Result<Value, Failure>> {
        let (outcome, ending) = match content {
            ReplyContent::Result { value, ending } => (Ok(value), ending),
            ReplyContent::Failure { failure, ending } => (Err(failure), ending),
            ReplyContent::Ending => return Some(self.outcome.take().unwrap_or(Ok(Value::Null))),
            ReplyContent::Heartbeat => return None,
        };
        if ending {
            return Some(outcome);
        }
        self.outcome = Some(outcome);
        None
    }
}

impl fmt::Debug for Assembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assembly").field("has_outcome", &self.outcome.is_some()).finish()
    }
}
