//! A message that comes again changes nothing and is answered with the same bytes.

use serde_json::{Value, json};

use crate::support::peer::{Peer, outcome};
use crate::support::{Caller, World, assert_remaining, data, eventually, object};

fn all_equal(replies: &[Vec<u8>]) {
    for reply in replies {
        let (first, this) = (String::from_utf8_lossy(&replies[0]), String::from_utf8_lossy(reply));
        assert_eq!(this, first, "a repeated reply is the same reply");
    }
}

fn uuid_of(reply: &[u8]) -> String {
    data(&outcome(reply).expect("a result"))["uuid"].as_str().expect("a uuid").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_published_twice_makes_one_bay() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let peer = Peer::open(&world).await;
    let request = peer.request(&world, "bay_create", Caller::bay_args(&model, 2));
    peer.send(&request).await;
    peer.send(&request).await;
    let uuid = uuid_of(&peer.replies(1).await[0]);
    caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    worker.stop().await;
    all_equal(&peer.seen());
    assert_eq!(world.database.texts("SELECT uuid FROM cluster").await, [uuid]);
    assert_eq!(world.database.texts("SELECT uuid FROM operation").await.len(), 1);
    assert_remaining(&world.sandbox, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_after_the_reply_is_answered_with_the_same_bytes() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let peer = Peer::open(&world).await;
    let request = peer.request(&world, "bay_create", Caller::bay_args(&model, 2));
    peer.send(&request).await;
    let uuid = uuid_of(&peer.replies(1).await[0]);
    // The bay has changed since, the reply has not.
    caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    peer.send(&request).await;
    all_equal(&peer.replies(2).await);
    // Nor does another worker, started later, answer otherwise.
    worker.stop().await;
    let worker = world.worker().await;
    peer.send(&request).await;
    all_equal(&peer.replies(3).await);
    assert_eq!(caller.bays().await.len(), 1);
    assert_remaining(&world.sandbox, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_asked_for_twice_is_made_once() {
    let world = World::new().await;
    let worker = world.worker().await;
    let peer = Peer::open(&world).await;
    let args = json!({
        "objinst": object("BayModel", "1.10", crate::support::model_fields()),
        "objmethod": "create", "args": [], "kwargs": {},
    });
    let request = peer.request(&world, "object_action", args);
    for _ in 0..3 {
        peer.send(&request).await;
    }
    all_equal(&peer.replies(3).await);
    assert_eq!(world.database.texts("SELECT uuid FROM cluster_template").await.len(), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fanout_to_two_workers_runs_once() {
    let world = World::new().await;
    let (first, second) = tokio::join!(world.worker(), world.worker());
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let peer = Peer::open(&world).await;
    let handled = async || {
        let name = "mesos_conductor_requests_total";
        first.metric(name).await + second.metric(name).await
    };
    let before = handled().await;
    peer.fan_out(&peer.request(&world, "bay_create", Caller::bay_args(&model, 2))).await;
    // Each worker has its copy.
    let both = eventually(async || (handled().await >= before + 2.0).then_some(()));
    assert!(both.await.is_some(), "both workers take it");
    let uuid = uuid_of(&peer.replies(1).await[0]);
    caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    assert_eq!(caller.bays().await.len(), 1);
    assert_remaining(&world.sandbox, 1);
    first.stop().await;
    second.stop().await;
    all_equal(&peer.seen());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_command_repeats_its_refusal_even_when_it_would_succeed_by_now() {
    let world = World::with(
        crate::support::database::Backend::Sqlite,
        mesos_conductor_sandbox::Config {
            create_time: std::time::Duration::from_secs(3600),
            ..mesos_conductor_sandbox::Config::default()
        },
    )
    .await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let bay = caller.call("bay_create", Caller::bay_args(&model, 2)).await.expect("the bay is created");
    let uuid = data(&bay)["uuid"].as_str().expect("a uuid").to_owned();
    let peer = Peer::open(&world).await;
    let update = json!({ "bay": object("Bay", "1.5", json!({ "uuid": uuid, "node_count": 5 })) });
    let request = peer.request(&world, "bay_update", update);
    peer.send(&request).await;
    assert_eq!(outcome(&peer.replies(1).await[0]), Err("NotSupported".to_owned()));
    assert_eq!(world.sandbox.finish_stacks(""), 1);
    caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    peer.send(&request).await;
    all_equal(&peer.replies(2).await);
    assert_eq!(data(&caller.bay(&uuid).await.unwrap())["node_count"], 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_repeated_after_its_bay_is_gone_is_answered_as_before() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let uuid = caller.create_bay(&model).await;
    let peer = Peer::open(&world).await;
    let request = peer.request(&world, "bay_delete", json!({ "uuid": uuid }));
    peer.send(&request).await;
    assert_eq!(outcome(&peer.replies(1).await[0]), Ok(Value::Null));
    caller.wait_until_gone(&uuid).await;
    peer.send(&request).await;
    all_equal(&peer.replies(2).await);
    worker.stop().await;
}
