//! The examples in other languages, run as a reader would run them, against a real worker.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use mesos_conductor_sandbox::Config;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::node;
use crate::support::database::Backend;
use crate::support::{Caller, World, amqp_url, assert_remaining};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// Where the conductor is and who asks, as the examples take it.
fn environment<'a>(world: &World, command: &'a mut Command) -> &'a mut Command {
    let context = Value::Object(world.demo().to_map()).to_string();
    command.env("TRANSPORT_URL", amqp_url()).env("CONTEXT", context);
    command.env("EXCHANGE", &world.broker.exchange).env("TOPIC", &world.broker.topic)
}

/// A Python with pika and without oslo.messaging.
fn interpreter() -> PathBuf {
    let made = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python-pika/bin/python");
    let python = std::env::var_os("CONDUCTOR_TEST_PIKA_PYTHON").map_or_else(made, PathBuf::from);
    assert!(
        python.exists(),
        "{} is no Python with pika: scripts/example-peers.sh (or `make test`) makes one, \
         CONDUCTOR_TEST_PIKA_PYTHON names it",
        python.display()
    );
    python
}

async fn python(world: &World, arguments: &[&str]) -> String {
    let mut command = Command::new(interpreter());
    command.arg(example("python/bays.py")).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = environment(world, &mut command).output().await.expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn javascript(world: &World, arguments: &[&str]) -> String {
    node::run(&example("node/bays.js"), |command| environment(world, command.args(arguments))).await
}

/// A bay from its model to its deletion.
async fn lives(world: &World, run: impl AsyncFn(&[&str]) -> String, format: &[&str]) {
    let told = async |arguments: &[&str]| -> Value {
        let printed = run(&[format, arguments].concat()).await;
        serde_json::from_str(&printed).unwrap_or_else(|_| panic!("it printed {printed}"))
    };
    let model = told(&["model", "ubuntu-mesos", "m1.small", "public"]).await;
    let bay = told(&["create", "b1", model.as_str().expect("a uuid"), "2"]).await;
    assert_eq!(bay["status"], "CREATE_COMPLETE");
    assert_eq!(bay["node_addresses"].as_array().map(Vec::len), Some(2));
    let uuid = bay["uuid"].as_str().expect("a uuid").to_owned();
    assert_eq!(told(&["show", &uuid]).await["name"], "b1");
    assert_eq!(Caller::new(world).await.bays().await.len(), 1);
    assert_eq!(told(&["delete", &uuid]).await, json!({ "bay": uuid, "outcome": "success" }));
    assert_eq!(told(&["show", &uuid]).await, Value::Null, "a failure is handled");
    assert_remaining(&world.sandbox, 0);
}

/// A world in which a bay takes a moment.
async fn world() -> World {
    let cloud = Config { create_time: Duration::from_millis(500), ..Config::default() };
    World::with(Backend::Sqlite, cloud).await
}

#[tokio::test(flavor = "multi_thread")]
async fn python_without_oslo_calls_with_plain_dicts_in_json_and_message_pack() {
    let world = world().await;
    let worker = world.worker().await;
    for format in [&[][..], &["--msgpack"]] {
        lives(&world, async |arguments: &[&str]| python(&world, arguments).await, format).await;
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_calls_with_plain_objects_in_json_and_message_pack() {
    let world = world().await;
    let worker = world.worker().await;
    for format in [&[][..], &["--msgpack"]] {
        lives(&world, async |arguments: &[&str]| javascript(&world, arguments).await, format).await;
    }
    worker.stop().await;
}
