//! The domain: bays, bay models and their statuses. Pure: no I/O, no clock, nothing above it is imported.

pub mod model;
pub mod parameters;
pub mod secrets;
pub mod template;

pub use model::{Bay, BayModel, Labels, Status};
