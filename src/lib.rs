//! `mesos-conductor`: a conductor for Mesos bays.

pub mod amqp;
pub mod app;
pub mod bay;
pub mod cli;
pub mod client;
pub mod config;
pub mod error;
pub mod notify;
pub mod objects;
pub mod openstack;
pub mod operation;
pub mod rpc;
mod shutdown;
pub mod store;
pub mod telemetry;
