//! `mesos-conductor`: a conductor for Mesos bays.

pub mod amqp;
pub mod bay;
pub mod client;
pub mod operation;
