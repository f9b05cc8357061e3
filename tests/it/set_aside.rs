//! A message that ends every worker is set aside, is not lost, and keeps nobody else from being served.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;

use mesos_conductor_proto::message::Reply;
use mesos_conductor_sandbox::known::DEMO_PROJECT;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::database::Backend;
use crate::support::peer::{Peer, outcome};
use crate::support::worker::{Worker, command};
use crate::support::{Caller, World, assert_remaining, data, eventually};

fn configuration(world: &World, max_deliveries: u32) -> String {
    let options = format!("[conductor]\nmax_deliveries = {max_deliveries}\n");
    world.configuration("").replace("[conductor]\n", &options)
}

/// What a command printed, and its exit code.
async fn run(world: &World, arguments: &[&str]) -> (i32, String, String) {
    let output = command(world, arguments).await;
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    (output.status.code().expect("it ends by itself"), text(output.stdout), text(output.stderr))
}

async fn listed(world: &World) -> Vec<Value> {
    let (code, printed, faults) = run(world, &["set-aside", "list", "--format", "json"]).await;
    assert_eq!(code, 0, "{faults}");
    serde_json::from_str(&printed).expect("a list")
}

/// A member of the pool, started again whenever it is killed. Says how often it was.
async fn member(world: &World, configuration: &str, fault: &str, stop: &CancellationToken) -> usize {
    let mut deaths = 0;
    loop {
        let mut worker = Worker::launch(world, configuration, Some(fault));
        tokio::select! {
            status = worker.ended() => {
                assert_eq!(status.signal(), Some(9), "it died otherwise: {status}\n{}", worker.log_text());
                deaths += 1;
            }
            () = stop.cancelled() => {
                worker.stop().await;
                return deaths;
            }
        }
    }
}

/// Launches workers until one outlives what is in the queue.
async fn deaths_until(
    world: &World,
    configuration: &str,
    fault: &str,
    settled: impl AsyncFn() -> bool,
) -> usize {
    let stop = CancellationToken::new();
    let wait = async {
        let done = eventually(async || settled().await.then_some(())).await;
        stop.cancel();
        assert!(done.is_some(), "the workers never were done with it");
    };
    tokio::join!(member(world, configuration, fault, &stop), wait).0
}

/// What came of each call so far.
fn outcomes(peer: &Peer) -> BTreeMap<String, Result<Value, String>> {
    let id = |body: &[u8]| Reply::decode(Some("application/json"), body).expect("a reply").msg_id;
    peer.seen().iter().map(|body| (id(body), outcome(body))).collect()
}

/// The queue, without a worker on it.
async fn empty_queue(world: &World) -> Peer {
    world.worker().await.stop().await;
    Peer::open(world).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_kills_every_worker_is_set_aside_while_others_are_served() {
    let world = World::on(Backend::Postgres).await;
    let peer = empty_queue(&world).await;
    let (configuration, fault) = (configuration(&world, 2), "kill:request/bay_create/begin");
    let stop = CancellationToken::new();
    let script = async {
        let caller = Caller::new(&world).await;
        let model = caller.create_model().await;
        let request = peer.request(&world, "bay_create", Caller::bay_args(&model, 2));
        peer.send(&request).await;
        let mut served = 0;
        while peer.seen().is_empty() {
            caller.bays().await;
            served += 1;
        }
        stop.cancel();
        (served, request)
    };
    let (first, second, (served, request)) = tokio::join!(
        member(&world, &configuration, fault, &stop),
        member(&world, &configuration, fault, &stop),
        script
    );
    assert_eq!(first + second, 3, "it was delivered once, and twice again");
    assert!(served > 1, "only {served} calls were served meanwhile");
    assert_eq!(outcome(&peer.seen()[0]), Err("MagnumException".to_owned()));
    assert!(String::from_utf8_lossy(&peer.seen()[0]).contains("was set aside"));

    let [message] = &listed(&world).await[..] else { panic!("one is set aside") };
    assert_eq!(message["method"], "bay_create");
    assert_eq!(message["project_id"], DEMO_PROJECT.id);
    assert_eq!((&message["attempts"], &message["times"]), (&json!(3), &json!(1)));
    assert_eq!(message["bytes"], request.encode().len());
    let id = message["id"].as_str().expect("an id");
    let (_, shown, _) = run(&world, &["set-aside", "show", id, "--body"]).await;
    assert!(shown.contains("CREATE") || shown.contains("b1"), "{shown}");
    assert!(!shown.contains(request.context.auth_token().expect("a token")), "{shown}");

    // Sent again to a worker that it does not kill, it is done; sent twice, it is done once.
    let worker = world.worker().await;
    let gauge = "mesos_conductor_set_aside_messages";
    assert!(eventually(async || (worker.metric(gauge).await >= 1.0).then_some(())).await.is_some());
    let (code, _, faults) = run(&world, &["set-aside", "retry", "--all"]).await;
    assert_eq!(code, 0, "{faults}");
    peer.replies(2).await;
    peer.send(&request).await;
    let replies = peer.replies(3).await;
    assert_eq!(data(&outcome(&replies[1]).expect("the bay is created"))["name"], "b1");
    assert_eq!(replies[2], replies[1]);
    assert!(listed(&world).await.is_empty());
    let (code, _, faults) = run(&world, &["set-aside", "retry", id]).await;
    assert_eq!((code, faults.contains(&format!("no message {id} is set aside"))), (1, true), "{faults}");
    let caller = Caller::new(&world).await;
    caller
        .wait_for_status(data(&outcome(&replies[1]).unwrap())["uuid"].as_str().unwrap(), "CREATE_COMPLETE")
        .await;
    assert_remaining(&world.sandbox, 1);
    worker.stop().await;
    world.database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_decoding_kills_is_kept_without_being_decoded_again() {
    let world = World::new().await;
    let peer = empty_queue(&world).await;
    peer.send(&peer.request(&world, "ping_conductor", json!({}))).await;
    let kept = async || world.database.texts("SELECT CAST(times AS TEXT) FROM set_aside").await == ["2"];
    let deaths = deaths_until(&world, &configuration(&world, 1), "kill:request/decode", kept).await;
    assert_eq!(deaths, 3, "when it came, when it came again, and when it was looked into");
    let [message] = &listed(&world).await[..] else { panic!("one is set aside") };
    assert_eq!(message["method"], Value::Null);
    assert!(message["reason"].as_str().expect("a reason").ends_with("it was not decoded"), "{message}");
    assert!(peer.seen().is_empty(), "nobody knows whom to tell");

    let worker = world.worker().await;
    let id = message["id"].as_str().expect("an id");
    let (code, _, faults) = run(&world, &["set-aside", "retry", id]).await;
    assert_eq!(code, 0, "{faults}");
    assert_eq!(outcome(&peer.replies(1).await[0]), Ok(json!(true)));
    assert!(listed(&world).await.is_empty());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_was_dealt_with_is_not_set_aside() {
    let world = World::new().await;
    let worker = world.worker().await;
    let model = Caller::new(&world).await.create_model().await;
    worker.stop().await;
    let peer = Peer::open(&world).await;
    peer.send(&peer.request(&world, "bay_create", Caller::bay_args(&model, 2))).await;
    let answered = async || !peer.seen().is_empty();
    let deaths = deaths_until(&world, &configuration(&world, 1), "kill:request/committed", answered).await;
    assert_eq!(deaths, 2);
    assert_eq!(data(&outcome(&peer.seen()[0]).expect("the bay is created"))["name"], "b1");
    assert!(listed(&world).await.is_empty());
    assert_eq!(world.database.texts("SELECT uuid FROM cluster").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_in_hand_with_it_is_served_and_not_set_aside() {
    let world = World::new().await;
    let peer = empty_queue(&world).await;
    // One kills; all of them are in hand each time it does.
    for number in 0..20 {
        let method = if number == 0 { "bay_delete" } else { "ping_conductor" };
        let args = if number == 0 { json!({ "uuid": "1" }) } else { json!({}) };
        peer.send(&peer.request(&world, method, args)).await;
    }
    // A query that comes again is answered again.
    let answered = async || outcomes(&peer).len() == 20;
    let fault = "kill:request/bay_delete/begin";
    deaths_until(&world, &configuration(&world, 2), fault, answered).await;
    let failed = outcomes(&peer).into_values().filter(|outcome| outcome.is_err()).count();
    assert_eq!(failed, 1, "only the one that kills");
    assert_eq!(listed(&world).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dropped_is_gone_and_unknown_ids_are_told() {
    let world = World::new().await;
    let peer = empty_queue(&world).await;
    peer.send(&peer.request(&world, "ping_conductor", json!({}))).await;
    let told = async || !peer.seen().is_empty();
    deaths_until(&world, &configuration(&world, 1), "kill:request/ping_conductor/begin", told).await;
    let id = listed(&world).await[0]["id"].as_str().expect("an id").to_owned();
    let (_, table, _) = run(&world, &["set-aside", "list"]).await;
    assert!(table.starts_with("ID ") && table.contains(&id) && table.contains("ping_conductor"), "{table}");
    let (code, ..) = run(&world, &["set-aside", "drop", &id]).await;
    assert_eq!(code, 0);
    assert!(listed(&world).await.is_empty());
    for action in ["show", "retry", "drop"] {
        let (code, _, faults) = run(&world, &["set-aside", action, &id]).await;
        assert_eq!(code, 1, "{action}: {faults}");
        assert!(faults.contains(&format!("no message {id} is set aside")), "{faults}");
    }
    let (code, ..) = run(&world, &["set-aside", "retry"]).await;
    assert_eq!(code, 64, "one or all of them must be named");
}
