use tempfile::TempDir;

use super::*;
use crate::config::{Sources, read};

fn settings(overrides: &[String]) -> Settings {
    read(&Sources { overrides: overrides.to_vec(), ..Sources::default() }).unwrap().settings
}

fn embedded(directory: &TempDir) -> (PathBuf, Settings) {
    let database = directory.path().join("deep/conductor.sqlite");
    (database.clone(), settings(&[format!("database.connection=sqlite:///{}", database.display())]))
}

fn exposed(keys: &Keys) -> Vec<&str> {
    keys.keys.iter().map(|key| key.expose_secret()).collect()
}

#[test]
fn the_first_run_makes_a_private_key_and_later_runs_use_it() {
    let directory = TempDir::new().unwrap();
    let (database, settings) = embedded(&directory);
    let first = load_or_create(&settings).unwrap();
    assert!(first.warnings[0].contains("made a key"), "{:?}", first.warnings);
    assert!(is_key(&first.keys[0]));
    let file = directory.path().join("deep/conductor.sqlite.key");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(directory.path().join("deep")).unwrap().count(), 1, "the draft is gone");

    fs::write(&database, "not empty").unwrap();
    let second = load_or_create(&settings).unwrap();
    assert_eq!(exposed(&first), exposed(&second));
    assert_eq!(second.warnings, [""; 0]);
}

#[test]
fn no_key_is_made_for_a_database_that_has_lost_its_own() {
    let directory = TempDir::new().unwrap();
    let (database, settings) = embedded(&directory);
    fs::create_dir_all(database.parent().unwrap()).unwrap();
    fs::write(&database, "rows").unwrap();
    let error = load_or_create(&settings).unwrap_err();
    assert!(matches!(error, KeyError::Lost { .. }), "{error}");
    assert!(error.to_string().contains("restore the key file"), "{error}");
}

#[test]
fn two_first_runs_agree_on_one_key() {
    let directory = TempDir::new().unwrap();
    let (_, settings) = embedded(&directory);
    let barrier = std::sync::Barrier::new(8);
    let found: Vec<_> = std::thread::scope(|scope| {
        let run = || {
            barrier.wait();
            exposed(&load_or_create(&settings).unwrap()).concat()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(found.iter().all(|key| *key == found[0]), "{} different keys", found.len());
}

#[test]
fn a_key_file_may_hold_several_keys_and_comments() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("keys");
    let (new, old) = (generate().unwrap(), generate().unwrap());
    fs::write(&file, format!("# new\n{}\n\n# old\n{}\n", new.expose_secret(), old.expose_secret())).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let keys =
        load_or_create(&settings(&[format!("conductor.encryption_key_file={}", file.display())])).unwrap();
    assert_eq!(exposed(&keys), [new.expose_secret(), old.expose_secret()]);
    assert!(keys.warnings[0].contains("chmod 600"), "{:?}", keys.warnings);
}

#[test]
fn a_faulty_key_file_is_refused_without_showing_it() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("keys");
    let settings = settings(&[format!("conductor.encryption_key_file={}", file.display())]);
    assert!(matches!(load_or_create(&settings), Err(KeyError::File { .. })));
    fs::write(&file, "# only a comment\n").unwrap();
    assert!(matches!(load_or_create(&settings), Err(KeyError::Empty { .. })));
    fs::write(&file, "# fine\nc2VjcmV0\n").unwrap();
    let error = load_or_create(&settings).unwrap_err();
    assert!(matches!(error, KeyError::Malformed { line: 2, .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("c2VjcmV0"));
}

#[test]
fn a_server_without_a_key_is_refused() {
    let settings = settings(&["database.connection=postgresql://u:p@127.0.0.1/magnum".to_owned()]);
    assert!(matches!(load_or_create(&settings), Err(KeyError::Missing)));
}
