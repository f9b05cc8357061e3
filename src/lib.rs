//! `mesos-conductor`: a conductor for Mesos bays.

pub mod app;
pub mod bay;
pub mod config;
pub mod error;
pub mod notify;
pub mod objects;
pub mod openstack;
pub mod operation;
pub mod rpc;
mod shutdown;
pub mod telemetry;
pub mod store;
