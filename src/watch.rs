//! Learns what moved outside, so that operations which wait need not ask: each wakes at the hint, and then looks itself.
//!
//! A hint carries no data. One that is lost costs time only: whoever waits looks by himself in the end.

pub mod framework;
pub mod heat_notifications;
pub mod stacks;
