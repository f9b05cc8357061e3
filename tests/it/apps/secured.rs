//! Bays with TLS are entered with what they were built with: nobody has to configure anything for it.

use mesos_conductor_sandbox::{MarathonConfig, Service};
use serde_json::json;

use super::faults::world_with;
use crate::support::app::{Town, manifest};
use crate::support::{Caller, World, data, object};

/// A world whose bays serve what their stacks say.
async fn secured() -> World {
    world_with(MarathonConfig { tls: true, ..MarathonConfig::default() }).await
}

/// The requests that the masters did not believe to come from us.
fn refusals(world: &World) -> Vec<String> {
    let asked = world.sandbox.requests().into_iter();
    let asked = asked.filter(|one| matches!(one.service, Service::Marathon | Service::Mesos));
    let refused = asked.filter(|one| matches!(one.status, Some(401 | 403)));
    refused.map(|one| format!("{} {} {:?}", one.method, one.path, one.status)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_an_app_lives_and_agents_go_over_tls_with_the_bays_own_credentials() {
    let world = secured().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::with_masters(&caller, 3).await;
    town.run("web", &manifest("/web")).await;
    town.done("app_scale", "web", json!({ "instances": 2 })).await.unwrap();
    assert!(town.marathon().url().starts_with("https://"));

    let bay = caller.bay(&town.bay).await.unwrap();
    let fewer = data(&bay)["node_count"].as_i64().unwrap() - 1;
    let smaller = json!({ "bay": object("Bay", "1.5", json!({ "uuid": town.bay, "node_count": fewer })) });
    caller.call("bay_update", smaller).await.unwrap();
    let bay = caller.wait_for_status(&town.bay, "UPDATE_COMPLETE").await;
    // A reason would say that the masters could not be asked who is busy.
    assert_eq!(data(&bay)["node_count"], fewer);
    assert!(world.sandbox.requests().iter().any(|one| one.service == Service::Mesos));
    town.done("app_delete", "web", json!({})).await.unwrap();
    assert_eq!(refusals(&world), [""; 0]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g5_a_bay_with_tls_lets_nobody_in_who_was_not_told_its_password() {
    let world = secured().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let stack = world.sandbox.stacks().into_iter().next().unwrap();
    let known = |name: &str| stack.parameters[name].clone();
    let authority = reqwest::Certificate::from_pem(known("ca_certificate").as_bytes()).unwrap();
    let url = town.marathon().url();
    let address: std::net::SocketAddr = url.strip_prefix("https://").unwrap().parse().unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([authority])
        .resolve(&known("node_name"), address)
        .build()
        .unwrap();
    let url = format!("https://{}:{}/v2/info", known("node_name"), address.port());
    let ask =
        |password: String| client.get(&url).basic_auth(known("marathon_username"), Some(password)).send();
    assert_eq!(ask("a guess".to_owned()).await.unwrap().status(), 401);
    assert_eq!(client.get(&url).send().await.unwrap().status(), 401);
    assert_eq!(ask(known("marathon_password")).await.unwrap().status(), 200);
    worker.stop().await;
}

/// Masters that were built before the rotation go on with the certificate that they have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bay_is_entered_after_a_rotation_as_before() {
    let world = secured().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    let bay = json!({ "bay": object("Bay", "1.5", json!({ "uuid": town.bay })) });
    caller.call("rotate_ca_certificate", bay).await.unwrap();
    caller.wait_for_status(&town.bay, "UPDATE_COMPLETE").await;
    town.done("app_scale", "web", json!({ "instances": 2 })).await.unwrap();
    assert_eq!(refusals(&world), [""; 0]);
    worker.stop().await;
}
