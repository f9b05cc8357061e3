//! Durable operations: what an acknowledged command becomes.

pub mod record;
