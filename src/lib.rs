//! `mesos-conductor`: a conductor for Mesos bays.

pub mod bay;
pub mod openstack;
pub mod operation;
