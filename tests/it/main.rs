//! The integration tests: one binary, one module per part, each named after what it proves.

#[cfg(test)]
mod amqp;
#[cfg(test)]
mod endurance;
#[cfg(test)]
mod store;
#[cfg(test)]
#[expect(unreachable_pub, dead_code, reason = "shared with the other test binaries")]
mod support;
