//! `rotate_ca_certificate`: what is in force changes when the stack has what replaces it, and not before (G-40).

use mesos_conductor_sandbox::{Doom, StackAction};
use serde_json::{Value, json};

use super::{authority_of, bay_of, kept, model_without_tls};
use crate::support::{Caller, World, data, failure_class, map, object};

pub(super) fn waiting(bay: &str) -> Value {
    let mut args = bay_of(bay);
    args["wait"] = json!(true);
    args
}

async fn pairs(world: &World) -> usize {
    world.database.texts("SELECT uuid FROM x509keypair").await.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_authority_is_on_the_nodes_and_the_old_one_is_gone() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let bay = caller.create_bay(&model).await;
    let before = authority_of(&caller, &bay).await.unwrap();
    let secrets = kept(&world, &bay).await.unwrap().secrets().unwrap();

    let accepted = caller.call("rotate_ca_certificate", bay_of(&bay)).await.unwrap();
    assert_eq!(data(&accepted)["status"], "UPDATE_IN_PROGRESS");
    let done = caller.wait_for_status(&bay, "UPDATE_COMPLETE").await;
    let after = authority_of(&caller, &bay).await.unwrap();
    assert_ne!(before, after);
    let stack = world.sandbox.stack(data(&done)["stack_id"].as_str().unwrap()).unwrap();
    let now = kept(&world, &bay).await.unwrap();
    let rotated = now.secrets().unwrap();
    // Whoever asks is told of the new one; new nodes trust the old one too, which older nodes serve with.
    assert_eq!(rotated.ca_certificate, format!("{after}{before}"));
    assert_eq!(stack.parameters["ca_certificate"], rotated.ca_certificate);
    assert_eq!(stack.parameters["node_certificate"], rotated.node_certificate);
    assert_ne!(rotated.node_certificate, secrets.node_certificate);
    // Only the certificates: whoever got in gets in.
    assert_eq!(rotated.mesos_principal, secrets.mesos_principal);
    // The reference in the row and what is kept agree, and nothing else is there.
    let gone = crate::support::eventually(|| async {
        let is_forgotten = kept(&world, &bay).await.unwrap().retired.is_none();
        (is_forgotten && pairs(&world).await == 2).then_some(())
    });
    assert!(gone.await.is_some(), "{} pairs are kept", pairs(&world).await);
    super::delete(&caller, &bay).await;
    assert_eq!(pairs(&world).await, 0);
    worker.stop().await;
}

/// A rotation that fails leaves what was in force, where stock Magnum has already overwritten it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g40_a_rotation_that_the_stack_does_not_take_leaves_the_old_authority_in_force() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let bay = caller.create_bay(&model).await;
    let before = authority_of(&caller, &bay).await.unwrap();
    world.sandbox.fail_stack(Doom::new("b1", "no more nodes").of(StackAction::Update));
    let refused = caller.call("rotate_ca_certificate", waiting(&bay)).await.unwrap_err();
    assert!(format!("{refused:?}").contains("no more nodes"), "{refused:?}");
    let shown = caller.bay(&bay).await.unwrap();
    assert_eq!(data(&shown)["status"], "UPDATE_FAILED");
    assert_eq!(authority_of(&caller, &bay).await.unwrap(), before);
    assert_eq!(pairs(&world).await, 2);
    assert!(kept(&world, &bay).await.unwrap().next.is_none());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bay_without_tls_is_rotated_without_its_stack() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = model_without_tls(&caller).await;
    let bay = caller.create_bay(&model).await;
    let before = authority_of(&caller, &bay).await.unwrap();
    let answer = caller.call("rotate_ca_certificate", waiting(&bay)).await.unwrap();
    assert_eq!(data(&answer)["status"], "UPDATE_COMPLETE");
    assert_ne!(authority_of(&caller, &bay).await.unwrap(), before);
    assert_eq!(world.sandbox.count(mesos_conductor_sandbox::Service::Heat, "PATCH", ""), 0);
    assert_eq!(pairs(&world).await, 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bay_that_is_not_at_rest_is_not_rotated() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let bay = caller.create_bay(&model).await;
    let scale = object("Bay", "1.5", json!({ "uuid": bay, "node_count": 4 }));
    let busy = caller.client.call("bay_update", map(json!({ "bay": scale })), world.options());
    busy.await.unwrap();
    let refused = caller.call("rotate_ca_certificate", bay_of(&bay)).await.unwrap_err();
    assert_eq!(failure_class(&refused), "NotSupported", "{refused}");
    worker.stop().await;
}
