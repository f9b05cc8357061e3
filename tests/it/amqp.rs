//! The server, the publisher and the client against a real broker.

#[path = "support/broker.rs"]
mod broker;
mod calls;
mod failures;
mod publishing;
mod serving;
mod tls;
