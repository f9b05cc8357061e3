//! The wire contract of `mesos-conductor`.
pub mod message;
