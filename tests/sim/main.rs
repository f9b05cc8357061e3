//! The operation, lease and outbox protocol, explored without a clock, a network or luck.
//!
//! `model` is the protocol as one state and what may happen next: clients, a queue that delivers again, the tables of
//! the store, two or three workers that may die, be stopped or be paused past their lease at any point, a cloud whose
//! answers may be lost or come late, and the replies that reached the client. `model/promises.rs` says what must hold.
//!
//! - `exhaustive` visits every state of small runs (stateright), and shows that each guard is needed: without it the
//!   exploration finds the promise that breaks.
//! - `walks` makes thousands of longer random runs, each from its seed.
//! - `conformance` makes such runs in the real store as well, on SQLite and PostgreSQL, and compares every table after
//!   every step. That is what ties the model to the code.
//!
//! What is shown is the protocol as modelled, and that the store's statements and the recording of requests do what the
//! model says. The steps' code and the runner's are not run here: the model restates their rules in `model/plan.rs` and
//! `model/moves.rs`. `tests/kill` and `tests/it` run them.
//!
//! # Reading a trace
//!
//! Each numbered line is one action, atomic as a transaction is; below it stands what it changed. `by` and `worker`
//! are the process, requests and operations go by the number of the request, the first being 0 and the create.
//! `<- fault` marks what went wrong by the world's doing. `owner: Worker(1), live: true, fence: 2` is a lease; `live:
//! false` with an owner is one that ran out. A worker between `Begin` and `Record` has in memory what it read at
//! `Begin`: a `Record` that changes nothing was refused by the fence. The last line breaks the promise that the failure
//! names.
//!
//! | variable | what for |
//! |---|---|
//! | `CONDUCTOR_SIM_SEED=n` | replays one seed of `walks` or `conformance`, every step printed (`--nocapture`) |
//! | `CONDUCTOR_SIM_SEEDS=n` | so many seeds in `walks` |
//! | `CONDUCTOR_SIM_RUNS=n` | so many seeds in `conformance` |
//! | `CONDUCTOR_SIM_MORE_FAULTS=1` | one fault more in every exhaustive run: minutes, and `--release` |
//!
//! # What the model takes for granted
//!
//! - A transaction is atomic and the database keeps what it committed.
//! - A worker asks the cloud for nothing once its own clock says that its lease is over, and that clock is not later than
//!   the database's (`src/operation/keeper.rs`).
//! - What a worker asked Keystone for is done, if at all, before its lease is over. A stack may come later, but before
//!   the last look for it, and before Heat has made and removed another stack of that name.
//! - Looks that see nothing new change nothing. They are left out, or no run would end.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod exhaustive;
#[cfg(test)]
mod model;
#[cfg(test)]
mod trace;
#[cfg(test)]
mod walks;
