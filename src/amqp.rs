//! The broker, used the way oslo.messaging uses `RabbitMQ`.
//!
//! A [`Server`] takes requests from the queues of a topic and acknowledges each one only after its
//! [`Handler`] has returned; a [`Publisher`] sends messages and returns when the broker has confirmed them.
//! Each keeps a connection of its own and rebuilds the whole session when it is lost, over the hosts of
//! [`settings::Broker`]: nothing of lapin shows outside of this module.

mod backoff;
mod compression;
mod connection;
mod consumer;
mod listener;
mod publisher;
pub mod settings;
mod slot;
mod tls;
mod topology;
mod transport_url;

pub(crate) use compression::{ExpandError, expand, of as compression_of};
pub use connection::ConnectError;
pub(crate) use connection::{Connector, Link};
pub use consumer::{Delivery, Disposition, Handler, Health, Routing, Server, ServerStats};
pub use listener::{Hear, Listener, Subscription};
pub use publisher::{Message, PublishError, Publisher};
pub use tls::TlsError;
pub(crate) use topology::{Declarer, Queue};
pub use transport_url::UrlError;
