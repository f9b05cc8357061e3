//! sim
mod exhaustive;
mod model;
mod trace;
mod walks;
