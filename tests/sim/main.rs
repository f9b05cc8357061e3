//! sim
mod conformance;
mod exhaustive;
mod model;
mod trace;
mod walks;
