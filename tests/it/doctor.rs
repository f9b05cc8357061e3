//! `mesos-conductor doctor` says what is well and what is not, and ends with a code that a script can use.

use serde_json::Value;

use crate::support::World;
use crate::support::database::{Backend, Database};
use crate::support::worker::command;

/// The rows of a run, and its exit code.
async fn examined(world: &World, options: &[&str]) -> (i32, Vec<Value>, String) {
    let arguments: Vec<_> =
        ["doctor", "--format", "json"].into_iter().chain(options.iter().copied()).collect();
    let output = command(world, &arguments).await;
    let faults = String::from_utf8_lossy(&output.stderr).into_owned();
    let rows = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no rows: {faults}"));
    (output.status.code().expect("it ends by itself"), rows, faults)
}

fn states<'a>(rows: &'a [Value], check: &str) -> Vec<&'a str> {
    let rows = rows.iter().filter(|row| row["check"] == check);
    rows.map(|row| row["state"].as_str().expect("a state")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_up_that_works_is_found_well_and_what_is_unwise_is_named() {
    let world = World::new().await;
    let (code, rows, faults) = examined(&world, &[]).await;
    assert_eq!(code, 0, "{rows:?} {faults}");
    for check in ["configuration", "broker", "database", "keystone", "trustees' domain"] {
        assert_eq!(states(&rows, check), ["ok"], "{check}: {rows:?}");
    }
    assert_eq!(states(&rows, "broker encryption"), ["warning"]);
    let file = world.database_url.trim_start_matches("sqlite:///");
    assert!(!std::path::Path::new(file).exists(), "it looks and makes nothing");
    world.worker().await.stop().await;
    let (_, rows, _) = examined(&world, &[]).await;
    assert_eq!((states(&rows, "database"), states(&rows, "messages")), (vec!["ok"], vec!["ok"]), "{rows:?}");
    let (_, rows, _) =
        examined(&world, &["--set", "default.transport_url=rabbit://guest:guest@127.0.0.1:1/"]).await;
    assert_eq!(states(&rows, "broker account"), ["warning"]);
    assert_eq!(states(&rows, "broker virtual host"), ["warning"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_work_is_named_each_with_a_hint_and_without_secrets() {
    let mut world = World::new().await;
    // There, and nobody has migrated it.
    let database = Database::create(Backend::Postgres, world.directory.path()).await;
    world.database_url = database.url().to_owned();
    let wrong = [
        "--set",
        "default.transport_url=rabbit://u:S3CRET@127.0.0.1:1/v",
        "--set",
        "keystone_auth.password=S3CRET",
        "--set",
        "trust.trustee_domain_admin_password=S3CRET",
    ];
    let (code, rows, faults) = examined(&world, &wrong).await;
    assert_eq!(code, 1);
    assert!(faults.contains("4 checks failed"), "{faults}");
    for check in ["broker", "database", "keystone", "trustees' domain"] {
        assert_eq!(states(&rows, check), ["failed"], "{check}: {rows:?}");
    }
    let failed = rows.iter().filter(|row| row["state"] == "failed");
    assert!(failed.into_iter().all(|row| row["hint"] != ""), "{rows:?}");
    assert!(!format!("{rows:?}{faults}").contains("S3CRET"), "{rows:?} {faults}");
    database.drop_it().await;
}
