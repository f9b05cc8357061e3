//! The sandbox's own behaviour, seen by an HTTP client: what others test against must itself be tested.
//!
//! The `cfg(test)` tells clippy that helpers outside a test function are test code too.

#[cfg(test)]
mod control;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod keystone;
#[cfg(test)]
mod marathon;
#[cfg(test)]
mod stacks;
#[cfg(test)]
mod support;
