//! Requests: what a client asks of the conductor, and how it wants to be answered.

mod reply;

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::codec::{self, Budget, DecodeError, Encoding, Keys, Map};
use crate::context::RequestContext;
use crate::version::Version;

pub use reply::{Assembly, Reply, ReplyAddress, ReplyContent, ReplyForm};

/// A request, by call (it has a `msg_id`) or by cast.
///
/// `Debug` shows the names of arguments, not their values.
#[derive(Clone, PartialEq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Its arguments, by name.
    pub args: Map,
    /// The namespace of the method; None is the null namespace.
    pub namespace: Option<String>,
    /// The version of the interface that the client speaks; absent on the wire is 1.0.
    pub version: Version,
    /// The id of a call, repeated by its replies.
    pub msg_id: Option<String>,
    /// The queue on which the client waits.
    pub reply_q: Option<String>,
    /// Whether the client watches for heartbeats.
    pub monitor: CallMonitor,
    /// The id of this very message.
    pub unique_id: Option<String>,
    /// Who asks.
    pub context: RequestContext,
    /// How the request was written, and so how replies are.
    pub encoding: Encoding,
}

/// Why a body is no request, and whom to tell, if so much could be read: a caller that made a mistake need not wait for
/// an answer until its patience ends.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{error}")]
pub struct Malformed {
    /// What is wrong.
    #[source]
    pub error: DecodeError,
    /// Where its sender waits, if it does.
    pub reply_to: Option<Box<ReplyAddress>>,
}

impl From<DecodeError> for Malformed {
    fn from(error: DecodeError) -> Self {
        Self { error, reply_to: None }
    }
}

/// What a client says about heartbeats of a long call (key `_timeout`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallMonitor {
    /// The key is absent: a client before oslo.messaging 6.3, which needs the double reply and no heartbeats.
    Unsupported,
    /// The key is null or of no use: no heartbeats.
    Off,
    /// A heartbeat at this interval, half of the client's monitor timeout.
    Every(Duration),
}

impl CallMonitor {
    /// The longest monitor timeout that is kept, in seconds: thirty days. Longer ones only risk an overflow of clocks.
    const LONGEST: u64 = 30 * 24 * 3600;

    /// Reads the key. An interval under a second is refused, as genuine servers do.
    fn decode(value: Option<&Value>) -> Self {
        let Some(value) = value else { return Self::Unsupported };
        let seconds = match value {
            Value::Number(number) => match number.as_u64() {
                Some(whole) => Some(whole),
                None => {
                    number.as_f64().and_then(|f| Duration::try_from_secs_f64(f).ok()).map(|d| d.as_secs())
                }
            },
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        match seconds {
            Some(seconds) if seconds >= 2 => Self::Every(Duration::from_secs(seconds.min(Self::LONGEST)) / 2),
            Some(_) | None => Self::Off,
        }
    }

    fn encode(self) -> Option<Value> {
        match self {
            Self::Unsupported => None,
            Self::Off => Some(Value::Null),
            Self::Every(interval) => Some(interval.saturating_mul(2).as_secs().into()),
        }
    }
}

impl Request {
    /// A request with the usual defaults; the other fields are public.
    #[must_use]
    pub fn new(method: impl Into<String>, args: Map) -> Self {
        Self {
            method: method.into(),
            args,
            namespace: None,
            version: Version::DEFAULT,
            msg_id: None,
            reply_q: None,
            monitor: CallMonitor::Off,
            unique_id: None,
            context: RequestContext::default(),
            encoding: Encoding::Json,
        }
    }

    /// Reads the body of a delivery.
    ///
    /// # Errors
    /// When it is not a request. Never panics, whatever the bytes.
    pub fn decode(content_type: Option<&str>, body: &[u8]) -> Result<Self, Malformed> {
        let encoding = Encoding::from_content_type(content_type)?;
        let mut message = codec::open_within(&Budget::of_request(), encoding, body)?;
        let mut request = Self {
            msg_id: codec::take_name(&mut message, "_msg_id")?,
            reply_q: codec::take_name(&mut message, "_reply_q")?,
            monitor: CallMonitor::decode(message.get("_timeout")),
            encoding,
            ..Self::new(String::new(), Map::new())
        };
        match request.fill(message) {
            Ok(()) => Ok(request),
            Err(error) => Err(Malformed { error, reply_to: request.reply_address().map(Box::new) }),
        }
    }

    /// Reads what is not needed to answer.
    fn fill(&mut self, mut message: Map) -> Result<(), DecodeError> {
        self.method =
            codec::take_name(&mut message, "method")?.ok_or(DecodeError::MissingKey { key: "method" })?;
        self.args = match message.remove("args") {
            None | Some(Value::Null) => Map::new(),
            Some(args) => codec::object(args, "args")?,
        };
        self.namespace = codec::take_name(&mut message, "namespace")?;
        if let Some(text) = codec::take_text(&mut message, "version")? {
            let wrong = DecodeError::WrongType { key: "version", expected: "a version" };
            self.version = text.parse().map_err(|_| wrong)?;
        }
        self.unique_id = codec::take_name(&mut message, "_unique_id")?;
        self.context = RequestContext::from_map(codec::take_context(message))?;
        Ok(())
    }

    /// Writes the body to publish, in the request's encoding.
    ///
    /// The version 1.0 is left out, as clients do that set none.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut message = Map::new();
        // The context goes first: no entry of it may overwrite a key of the request.
        codec::put_context(&mut message, self.context.as_map());
        message.insert("method".to_owned(), self.method.clone().into());
        message.insert("args".to_owned(), self.args.clone().into());
        let version = (self.version != Version::DEFAULT).then(|| self.version.to_string());
        let texts = [
            ("namespace", self.namespace.clone()),
            ("version", version),
            ("_msg_id", self.msg_id.clone()),
            ("_reply_q", self.reply_q.clone()),
            ("_unique_id", self.unique_id.clone()),
        ];
        for (key, text) in texts {
            message.extend(text.map(|text| (key.to_owned(), text.into())));
        }
        // Only calls carry the key: a cast with it would not be what clients send.
        if self.msg_id.is_some() {
            message.extend(self.monitor.encode().map(|timeout| ("_timeout".to_owned(), timeout)));
        }
        codec::seal(self.encoding, &message)
    }

    /// The key by which a repeated message is known; None when the message has no id at all.
    #[must_use]
    pub fn dedupe_key(&self) -> Option<&str> {
        self.unique_id.as_deref().or(self.msg_id.as_deref())
    }

    /// Where and how to answer; None for a cast.
    #[must_use]
    pub fn reply_address(&self) -> Option<ReplyAddress> {
        let msg_id = self.msg_id.clone()?;
        // The oldest clients name no queue: theirs is called like the call.
        let queue = self.reply_q.clone().unwrap_or_else(|| msg_id.clone());
        let (form, heartbeat) = match self.monitor {
            CallMonitor::Unsupported => (ReplyForm::Double, None),
            CallMonitor::Off => (ReplyForm::Single, None),
            CallMonitor::Every(interval) => (ReplyForm::Single, Some(interval)),
        };
        Some(ReplyAddress { queue, msg_id, form, encoding: self.encoding, heartbeat })
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("args", &Keys(&self.args))
            .field("namespace", &self.namespace)
            .field("version", &self.version)
            .field("msg_id", &self.msg_id)
            .field("reply_q", &self.reply_q)
            .field("monitor", &self.monitor)
            .field("unique_id", &self.unique_id)
            .field("context", &self.context)
            .field("encoding", &self.encoding)
            .finish()
    }
}

#[cfg(test)]
mod tests;
