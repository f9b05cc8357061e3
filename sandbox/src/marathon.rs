//! A stand-in Marathon: apps and groups, deployments that take steps and hold locks, instances that start, pass
//! or fail their checks and crash, and several nodes of which one leads.
//!
//! Everything lives in a [`Cluster`] and moves by its [`schedule`]: what is to happen is entered with its time, and
//! happens when somebody looks or when its time has come, whichever is first. So the outcome does not depend on
//! who looks when.

mod access;
mod api;
mod behaviour;
mod cluster;
mod config;
mod definition;
mod deployment;
mod error;
mod events;
mod handle;
mod nodes;
mod pace;
mod path;
mod plan;
mod profile;
mod queue;
mod root;
mod schedule;
mod serve;
mod service;
mod stream;
mod tasks;
mod validation;
mod view;

pub use behaviour::{Behaviour, Script};
pub(crate) use cluster::Cluster;
pub use config::{Access, MarathonConfig};
pub(crate) use definition::Resources;
pub use handle::{Marathon, MarathonEvent};
pub use profile::Profile;
pub(crate) use queue::Agent;
pub(crate) use serve::serve;
pub(crate) use service::Foreign;
pub(crate) use tasks::{Task, TaskState};
