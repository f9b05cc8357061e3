//! Every input that fuzzing has left does no harm: what it found new code with, and every crash of the past.

use std::path::Path;

#[path = "corpus/targets.rs"]
mod targets;

/// Runs every file of a folder through a target, and returns how many there were.
fn run_all(folder: &Path, target: targets::Target) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let mut count = 0;
    for entry in entries {
        let path = entry.expect("the folder can be listed").path();
        let input = std::fs::read(&path).expect("the file can be read");
        let outcome = std::panic::catch_unwind(|| target(&input));
        assert!(outcome.is_ok(), "{} fails", path.display());
        count += 1;
    }
    count
}

#[test]
fn no_input_of_the_past_does_harm() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, target) in targets::ALL {
        let corpus = run_all(&fuzz.join("corpus").join(name), *target);
        assert!(corpus > 10, "the corpus of {name} has only {corpus} files");
        run_all(&fuzz.join("regressions").join(name), *target);
    }
}
