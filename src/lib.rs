//! `mesos-conductor`: a conductor for Mesos bays.

pub mod bay;
pub mod operation;
pub mod store;
