//! The server, the publisher and the client against a real broker.

#[path = "support/broker.rs"]
pub(crate) mod broker;
mod calls;
mod failures;
mod publishing;
mod serving;
mod tls;
