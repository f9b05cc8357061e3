//! The integration tests: one binary, one module per part, each named after what it proves.

#[cfg(test)]
mod amqp;
#[cfg(test)]
mod apps;
#[cfg(test)]
mod bays;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod dedupe;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod endurance;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod floods;
#[cfg(test)]
mod framework;
#[cfg(test)]
mod heartbeats;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod indirection;
#[cfg(test)]
mod monitor;
#[cfg(test)]
mod node;
#[cfg(test)]
mod node_scripts;
#[cfg(test)]
mod outages;
#[cfg(all(test, feature = "fault-points"))]
mod pool;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod python;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod scaling;
#[cfg(test)]
mod secrets;
#[cfg(all(test, feature = "fault-points"))]
mod set_aside;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod stacks;
#[cfg(test)]
mod store;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tenancy;
#[cfg(test)]
mod verification;
