//! The fuzzer's targets, shared with `cargo test` (see `proto/tests/corpus.rs`).

#[path = "../../tests/corpus/targets.rs"]
mod targets;

/// Runs the target of that name.
pub fn run(name: &str, input: &[u8]) {
    let target = targets::ALL.iter().find(|(known, _)| *known == name);
    let (_, target) = target.expect("every binary is named like a target");
    target(input);
}
