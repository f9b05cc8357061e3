//! Durable operations: what an acknowledged command becomes.
//!
//! An operation is a row. Its progress lives there and nowhere else, so any worker can finish what another began: it
//! claims the row by a lease, runs the step that the row names, and records what the step changed together with the
//! messages that tell of it. Whoever lost the lease cannot write.

pub(crate) mod fault;
pub(crate) mod guard;
pub(crate) mod heartbeat;
pub(crate) mod keeper;
pub(crate) mod outbox;
pub mod progress;
pub mod record;
pub mod runner;
pub(crate) mod shares;
pub mod step;
pub mod steps;
pub mod subject;
