//! The fuzzer's targets, shared with `cargo test` (see `proto/tests/corpus.rs`).

#[path = "../../tests/corpus/targets.rs"]
pub mod targets;
