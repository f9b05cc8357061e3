//! The integration tests: one binary, one module per part, each named after what it proves.

#[cfg(test)]
mod amqp;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod python;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod store;
#[cfg(test)]
mod support;
