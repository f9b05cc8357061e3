//! `mesos-conductor`: a conductor for Mesos bays.

pub mod bay;
pub mod cli;
pub mod config;
pub mod operation;
pub mod telemetry;
