//! `mesos-conductor`: a conductor for Mesos bays.

pub mod bay;
pub mod config;
pub mod error;
pub mod notify;
pub mod objects;
pub mod openstack;
pub mod operation;
pub mod rpc;
pub mod telemetry;
