//! The wire contract of `mesos-conductor`: what travels between a Magnum API, the conductor and
//! whoever listens to its notifications, as oslo.messaging over `RabbitMQ` carries it.
//!
//! A service that calls the conductor, or a consumer of its notifications, needs this crate alone. It does no
//! I/O, reads no clock and makes no random ids: callers hand in identifiers and timestamps, so the same input
//! always gives the same bytes.
//!
//! - [`codec`]: message bodies to and from key/value maps (the oslo 2.0 envelope, JSON and `MessagePack`)
//! - [`message`]: requests, replies and call heartbeats; [`failure`]: the failure inside a reply
//! - [`context`]: who asks, on whose behalf
//! - [`notification`]: what a service tells the world
//! - [`object`]: versioned objects, table-driven; [`version`]: how versions compare
//!
//! **Invariant:** nothing read from the wire panics; a hostile body is an error value. Errors and `Debug` show
//! names of keys and texts of failures, never arguments, results, payloads or tokens.

#![warn(missing_docs)]

pub mod codec;
pub mod context;
pub mod failure;
pub mod message;
pub mod notification;
pub mod object;
pub mod version;
