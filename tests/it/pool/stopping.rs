//! Told to stop, a worker finishes what it has in hand, says what is to be said, and leaves; nothing keeps it for long.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mesos_conductor_proto::message::Reply;
use mesos_conductor_sandbox::{Action, Rule, Sandbox, Service};
use serde_json::json;

use crate::support::database::Backend;
use crate::support::peer::Peer;
use crate::support::worker::Worker;
use crate::support::{Caller, World, assert_remaining, eventually, model_fields, object};

const REQUESTS: usize = 500;

/// How many replies have come for each call.
fn answered(peer: &Peer) -> BTreeMap<String, usize> {
    let mut answered = BTreeMap::new();
    for reply in peer.seen() {
        let reply = Reply::decode(Some("application/json"), &reply).expect("a reply can be read");
        *answered.entry(reply.msg_id).or_default() += 1;
    }
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_hand_are_answered_once_and_the_outbox_is_left_empty() {
    let world = World::on(Backend::Postgres).await;
    // Few places, so that the rest waits in the queue.
    let configuration =
        world.configuration("").replace("[DEFAULT]", "[DEFAULT]\nexecutor_thread_pool_size = 4");
    let mut worker = Worker::start_with(&world, &configuration, None).await;
    let peer = Peer::open(&world).await;
    let create = object("BayModel", "1.10", model_fields());
    let args = json!({ "objinst": create, "objmethod": "create", "args": [], "kwargs": {} });
    let mut ids = Vec::new();
    for _ in 0..REQUESTS {
        let request = peer.request(&world, "object_action", args.clone());
        peer.send(&request).await;
        ids.push(request.msg_id.expect("a call"));
    }
    ids.sort();
    // In the middle of them.
    peer.replies(10).await;
    worker.signal("TERM").await;
    assert!(worker.ended().await.success(), "{}", worker.log_text());
    let recorded = world.database.texts("SELECT message_key FROM message").await.len();
    assert!(recorded < REQUESTS, "it was stopped too late to show anything");
    let left = world.database.texts("SELECT routing_key FROM outbox").await;
    assert!(left.is_empty(), "{} replies were left in the outbox", left.len());
    // What it has recorded it has answered, and what it has not is in the queue for the next one.
    let said = eventually(async || (peer.came() == recorded).then_some(())).await;
    assert!(said.is_some(), "{} replies to {recorded} requests", peer.came());
    assert_eq!(peer.waiting().await as usize, REQUESTS - recorded);
    let next = world.worker().await;
    peer.replies(REQUESTS).await;
    next.stop().await;
    let answered = answered(&peer);
    assert_eq!(answered.keys().cloned().collect::<Vec<_>>(), ids);
    assert!(answered.values().all(|replies| *replies == 1), "{answered:?}");
    world.database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_heat_keeps_a_worker_no_longer_than_the_drain_timeout() {
    let world = World::on(Backend::Postgres).await;
    let configuration = world.configuration("").replace("[conductor]", "[conductor]\ndrain_timeout = \"1s\"");
    let mut worker = Worker::start_with(&world, &configuration, None).await;
    let model = Caller::new(&world).await.create_model().await;
    world.sandbox.faults().add(Rule::new(Service::Heat, "POST", "/stacks$", Action::Hang).once());
    let peer = Peer::open(&world).await;
    peer.send(&peer.request(&world, "bay_create", Caller::bay_args(&model, 2))).await;
    let asked = |sandbox: &Sandbox| sandbox.count(Service::Heat, "POST", "/stacks$") == 1;
    assert!(world.sandbox.wait_until(Duration::from_secs(30), asked).await, "Heat is asked for the stack");
    worker.signal("TERM").await;
    let since = Instant::now();
    assert!(worker.ended().await.success(), "{}", worker.log_text());
    let took = since.elapsed();
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    assert!(peer.seen().is_empty(), "nothing has come of it yet");
    // The lease is not given back while a request may be on its way: it runs out.
    let next = world.worker().await;
    peer.replies(1).await;
    let built = eventually(async || {
        (world.database.texts("SELECT status FROM cluster").await == ["CREATE_COMPLETE"]).then_some(())
    });
    assert!(built.await.is_some(), "{}", next.log_text());
    next.stop().await;
    assert_eq!(peer.seen().len(), 1, "one call, one reply");
    assert_remaining(&world.sandbox, 1);
    world.database.drop_it().await;
}
