//! Clients that others wrote get along with the stand-in.
//!
//! They run when their runtimes are named: `CONDUCTOR_TEST_MARATHON_PYTHON` is a Python with the package
//! `marathon`, `CONDUCTOR_TEST_MARATHON_NODE` a `node_modules` with the package `marathon-event-bus-client`.
//! `scripts/example-peers.sh` makes both; where every test is to run (`CONDUCTOR_TEST_REQUIRE_SERVICES`), they must be
//! there.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mesos_conductor_sandbox::{Access, MarathonConfig, Profile};
use serde_json::{Value, json};

use super::Town;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name)
}

fn runtime(variable: &str) -> Option<String> {
    let named = |variable: &str| std::env::var(variable).ok().filter(|value| !value.is_empty());
    let found = named(variable);
    if found.is_none() {
        assert!(
            named("CONDUCTOR_TEST_REQUIRE_SERVICES").is_none(),
            "{variable} is not set: scripts/example-peers.sh says to what"
        );
        eprintln!("not run: {variable} is not set");
    }
    found
}

async fn run_python(python: &str, arguments: Vec<String>) -> String {
    let mut command = Command::new(python);
    command.arg(script("client.py")).args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_agrees_with_every_release_that_it_can_read() {
    let Some(python) = runtime("CONDUCTOR_TEST_MARATHON_PYTHON") else { return };
    // From 1.9 on queue items and groups have roles, which the package's last release refuses to read.
    for profile in [Profile::V0_15, Profile::V1_3, Profile::V1_8] {
        let town = Town::start(MarathonConfig::of(profile)).await;
        let said = run_python(&python, vec![town.marathon.url()]).await;
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["did"][0], format!("version {}", profile.version));
        assert_eq!(said["did"].as_array().unwrap().len(), 7);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_works_through_a_follower_with_a_password() {
    let Some(python) = runtime("CONDUCTOR_TEST_MARATHON_PYTHON") else { return };
    let access = Access::basic("ann", "secret");
    let town = Town::start(MarathonConfig { nodes: 2, access, ..MarathonConfig::of(Profile::V1_8) }).await;
    let follower = town.marathon.urls()[1].clone();
    run_python(&python, vec![follower, "ann".to_owned(), "secret".to_owned()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_client_hears_a_deployment_from_the_start_to_the_end() {
    let Some(modules) = runtime("CONDUCTOR_TEST_MARATHON_NODE") else { return };
    let town = Town::start(MarathonConfig { nodes: 2, ..MarathonConfig::default() }).await;
    let follower = town.marathon.urls()[1].clone();
    let (host, port) = follower.trim_start_matches("http://").split_once(':').unwrap();
    let mut command = Command::new("node");
    command.arg(script("events.js")).args([host, port]).env("NODE_PATH", modules);
    let mut node = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(node.stdout.take().unwrap()).lines();
    town.wait(|marathon| marathon.streams() == 1).await;
    let deployment = town.create(json!({"id": "/web", "cmd": "sleep 100"})).await;
    let heard = tokio::task::spawn_blocking(move || {
        let heard: Vec<Value> = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        assert!(node.wait().unwrap().success(), "it ended by itself");
        heard
    });
    let heard = heard.await.unwrap();
    let names: Vec<&str> = heard.iter().map(|event| event["name"].as_str().unwrap()).collect();
    assert_eq!(names.first(), Some(&"event_stream_attached"), "the redirect was followed");
    assert!(names.contains(&"status_update_event") && names.contains(&"deployment_info"), "{names:?}");
    assert_eq!(heard.last().unwrap()["data"]["id"], deployment);
}
