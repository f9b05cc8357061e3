//! What the README shows is what the repository has: the snippets are the examples, and the examples work.

use std::path::Path;

use mesos_conductor_sandbox::known::DEMO_PROJECT;
use serde_json::Value;

use crate::python::interpreter;
use crate::support::{Caller, World, amqp_url, data};

#[path = "../../examples/call.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod call;

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_snippets_are_the_examples() {
    let readme = file("README.md");
    for example in ["examples/call.rs", "examples/call.py"] {
        assert!(readme.contains(file(example).trim_end()), "README.md does not show {example} as it is");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let readme = file("README.md");
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let links: Vec<_> = links.map(|(link, _)| link).filter(|link| !link.starts_with("http")).collect();
    assert!(links.len() > 10, "the links are found");
    for link in links {
        let path = link.split_once('#').map_or(link, |(path, _)| path);
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(), "{link} leads nowhere");
    }
}

/// A bay as the snippets print it.
fn assert_is_demo_bay(bays: &Value, uuid: &str) {
    let bays = bays.as_array().expect("a list");
    assert_eq!(bays.len(), 1);
    assert_eq!(data(&bays[0])["uuid"], uuid);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_snippets_ask_for_the_bays_of_a_project() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let uuid = caller.create_bay(&model).await;

    let bays = call::bays(&world.broker, DEMO_PROJECT.id).await.expect("the Rust snippet works");
    assert_is_demo_bay(&bays, &uuid);

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/call.py");
    let mut python = tokio::process::Command::new(interpreter());
    python.arg(script).arg(DEMO_PROJECT.id).env("TRANSPORT_URL", amqp_url().replace("amqp://", "rabbit://"));
    python.env("EXCHANGE", &world.broker.exchange).env("TOPIC", &world.broker.topic);
    let output = python.output().await.expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_is_demo_bay(&serde_json::from_slice(&output.stdout).expect("it prints JSON"), &uuid);
    worker.stop().await;
}
