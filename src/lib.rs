//! `mesos-conductor`: a conductor for Mesos bays.
//!
//! OpenStack Magnum's API process asks a conductor, over RabbitMQ, to do and to read everything. This crate is such a
//! conductor: it takes those calls, builds Mesos clusters ("bays") with Heat, keeps their state in a database, answers
//! on the caller's reply queue and publishes notifications. `docs/ARCHITECTURE.md` tells the whole, `docs/RPC.md` every
//! method.
//!
//! # Code map
//!
//! | module | what is in it |
//! |---|---|
//! | [`worker`] | the composition root: which parts a worker has, and the order in which they stop |
//! | [`amqp`] | RabbitMQ: the server that takes requests, the publisher with confirms, the connections of both |
//! | [`rpc`] | from a delivery's body to a method, and back to a reply |
//! | [`operation`] | durable operations: records, leases, the runner, the steps, the outbox |
//! | [`store`] | everything that outlives a process, in SQLite, PostgreSQL or MySQL |
//! | [`openstack`] | Keystone and Heat, behind the port [`openstack::Cloud`] |
//! | [`framework`] | what runs apps on a bay, behind the port [`framework::Framework`]: Marathon |
//! | [`app`] | what an app and its manifest are, and when two definitions are the same; no I/O |
//! | [`bay`] | what a bay and a bay model are, and what a stack is asked for; no I/O but reading templates |
//! | [`objects`] | bays and bay models as versioned objects |
//! | [`watch`] | learns what moved: stacks, and apps on the frameworks of bays |
//! | [`monitor`] | looks at how loaded and how healthy living bays are |
//! | [`notify`] | notifications of what became of a bay |
//! | [`error`] | every fault a caller can be told, and how it looks on the wire |
//! | [`config`] | the typed settings and where they come from |
//! | [`telemetry`] | logs, metrics, probes |
//! | [`client`] | an RPC client of the same protocol |
//! | [`schema`] | JSON Schemas and the AsyncAPI document, made from the tables that the worker runs by |
//! | [`cli`] | the command line |
//!
//! The wire format itself is the crate [`mesos_conductor_proto`]. `bay` imports nothing of the others; `rpc` and
//! `operation` ask the cloud through its port; only `worker` and `cli` put the parts together.
//!
//! # Invariants
//!
//! 1. An acknowledged message is a committed row.
//! 2. Any worker can finish any operation: progress is in the row, a lease with a fencing number guards every write.
//! 3. Every step may run twice.
//! 4. Replies of commands and notifications leave through the outbox: at least once, byte for byte the same.
//! 5. Failure leaves the truth and no litter.
//! 6. No tenant sees another's.
//! 7. Secrets stay secret.
//! 8. Nothing from the wire can stop the worker.
//! 9. Long waits hold no delivery, no transaction and no connection.
//!
//! A change to the code keeps all of them, or says in `docs/ARCHITECTURE.md` what became of the one that it bends.

pub mod amqp;
pub mod app;
pub mod bay;
pub mod certificate;
pub mod cli;
pub mod client;
pub mod config;
pub mod error;
pub mod framework;
pub mod monitor;
pub mod notify;
pub mod objects;
pub mod openstack;
pub mod operation;
pub mod rpc;
pub mod schema;
mod shutdown;
pub mod store;
pub mod telemetry;
pub mod watch;
pub mod worker;
