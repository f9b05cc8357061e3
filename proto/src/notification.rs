//! Notifications: what a service tells whoever listens. Ours, and those of Heat that we listen to.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::codec::{self, DecodeError, Encoding, Keys, Map, Shape};

/// A notification. `Debug` shows the shape of its payload, not its contents.
#[derive(Clone, PartialEq)]
pub struct Notification {
    /// A uuid with dashes; the same in every copy that goes to another topic.
    pub message_id: String,
    /// Who says it: `service.host`.
    pub publisher_id: String,
    /// What happened.
    pub event_type: String,
    /// How much it matters; part of the queue's name too.
    pub priority: Priority,
    /// The details.
    pub payload: Value,
    /// When: `YYYY-MM-DD HH:MM:SS.ffffff`, UTC.
    pub timestamp: String,
    /// The id of this very message; a listener drops a repeated one. Empty when a publisher sent none.
    pub unique_id: String,
    /// Entries of the request context, without secrets.
    pub context: Map,
}

/// How much a notification matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// For auditors.
    Audit,
    /// For developers.
    Debug,
    /// Something happened.
    Info,
    /// Something is odd.
    Warn,
    /// Something failed.
    Error,
    /// A person must act.
    Critical,
    /// A measurement.
    Sample,
}

impl Priority {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Audit, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Critical, Self::Sample];

    /// The form in queue names and routing keys.
    #[must_use]
    pub const fn lower(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Sample => "sample",
        }
    }

    /// The form in bodies.
    #[must_use]
    pub const fn upper(self) -> &'static str {
        match self {
            Self::Audit => "AUDIT",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
            Self::Sample => "SAMPLE",
        }
    }

    /// Reads either form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.lower().eq_ignore_ascii_case(text))
    }
}

/// The form in which a notification travels, named as oslo names its drivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// In the 2.0 envelope.
    Messagingv2,
    /// Bare.
    Messaging,
}

impl Notification {
    /// Writes the body to publish, always as JSON: that is what listeners read.
    #[must_use]
    pub fn encode(&self, driver: Driver) -> Vec<u8> {
        let mut message = Map::new();
        codec::put_context(&mut message, &self.context);
        let texts = [
            ("message_id", self.message_id.as_str()),
            ("publisher_id", &self.publisher_id),
            ("event_type", &self.event_type),
            ("priority", self.priority.upper()),
            ("timestamp", &self.timestamp),
        ];
        message.extend(texts.map(|(key, text)| (key.to_owned(), text.into())));
        message.insert("payload".to_owned(), self.payload.clone());
        if !self.unique_id.is_empty() {
            message.insert("_unique_id".to_owned(), self.unique_id.clone().into());
        }
        match driver {
            Driver::Messagingv2 => codec::seal(Encoding::Json, &message),
            Driver::Messaging => codec::bare(&message),
        }
    }

    /// Reads the body of a delivery, in either form.
    ///
    /// # Errors
    /// When it is not a notification. Never panics, whatever the bytes.
    pub fn decode(content_type: Option<&str>, body: &[u8]) -> Result<Self, DecodeError> {
        let mut message = codec::open(Encoding::from_content_type(content_type)?, body)?;
        let priority = codec::require_text(&mut message, "priority")?;
        Ok(Self {
            message_id: codec::take_text(&mut message, "message_id")?.unwrap_or_default(),
            publisher_id: codec::take_text(&mut message, "publisher_id")?.unwrap_or_default(),
            event_type: codec::require_text(&mut message, "event_type")?,
            priority: Priority::parse(&priority)
                .ok_or(DecodeError::WrongType { key: "priority", expected: "a known priority" })?,
            payload: message.remove("payload").unwrap_or_default(),
            timestamp: codec::take_text(&mut message, "timestamp")?.unwrap_or_default(),
            unique_id: codec::take_text(&mut message, "_unique_id")?.unwrap_or_default(),
            context: codec::take_context(message),
        })
    }
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notification")
            .field("message_id", &self.message_id)
            .field("publisher_id", &self.publisher_id)
            .field("event_type", &self.event_type)
            .field("priority", &self.priority)
            .field("payload", &Shape(&self.payload))
            .field("timestamp", &self.timestamp)
            .field("unique_id", &self.unique_id)
            .field("context", &Keys(&self.context))
            .finish()
    }
}

#[cfg(test)]
mod tests;
