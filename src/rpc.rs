//! Requests: from a delivery's body to a method, and back to a reply.
//!
//! A query reads, answers and is acknowledged. A write commits its dedupe key, its effect (or the operation that will
//! have it) and, once there is one, its reply in one transaction before its delivery is acknowledged (I1).

pub(crate) mod arguments;
mod dispatcher;
pub mod endpoints;
pub(crate) mod method;

pub use dispatcher::{Dispatcher, Settings};
pub use endpoints::{RemotableMethod, remotable_methods, unsupported_names};

/// The names of every method served, in the order in which they are looked for.
pub fn method_names() -> impl Iterator<Item = &'static str> {
    endpoints::METHODS.iter().map(|method| method.name())
}
