//! The short form of `make chaos`, and the proof that it can fail. `cargo test --workspace --all-features` has built the
//! worker beside us.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;

/// One run has the machine to itself: how long things take is part of what is seen.
static ALONE: Mutex<()> = Mutex::new(());

fn chaos(arguments: &[&str]) -> Output {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let program = Path::new(env!("CARGO_BIN_EXE_conductor-chaos"));
    let worker = program.with_file_name("mesos-conductor");
    assert!(worker.exists(), "{} is not built: run the tests of the whole workspace", worker.display());
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
    let mut command = Command::new(program);
    command.arg("--worker").arg(worker).arg("--scripts").arg(scripts).args(arguments);
    command.output().expect("the program runs")
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn nothing_is_lost_doubled_or_leaked_in_the_short_form() {
    let output = chaos(&["--short", "--seconds", "32"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
}

#[test]
fn the_absence_of_each_guard_is_noticed() {
    let output = chaos(&["--prove-guards", "--seconds", "40"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert!(told(&output).contains("each missing guard was noticed"));
}

#[test]
fn a_guard_that_is_left_out_makes_the_run_fail() {
    let output = chaos(&["--guard-off", "undo", "--seconds", "5"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let output = chaos(&["--guard-off", "luck"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains("there is no guard luck"), "{}", told(&output));
}
