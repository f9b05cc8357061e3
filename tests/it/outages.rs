//! The database or the broker goes away and comes back: nothing that was asked is lost, nobody is told that it was done.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mesos_conductor_sandbox::{Action, Config, Rule, Sandbox, Service};
use serde_json::{Value, json};

use crate::amqp::broker::{Inspector, Proxy};
use crate::probes::{check, via};
use crate::support::database::Backend;
use crate::support::peer::{Peer, outcome};
use crate::support::{Caller, World, assert_remaining, data, eventually};

/// A proxy before the world's database server; workers go through it from now on.
pub(crate) async fn database_proxy(world: &mut World) -> Proxy {
    let (_, rest) = world.database_url.split_once('@').expect("a URL with credentials");
    let (address, _) = rest.split_once('/').expect("a URL with a database");
    let target: SocketAddr = address.parse().expect("an address");
    let proxy = Proxy::start(target, None).await;
    world.database_url = via(&world.database_url, proxy.port);
    proxy
}

async fn requests_wait_for_the_database(backend: Backend) {
    let mut world = World::on(backend).await;
    let proxy = database_proxy(&mut world).await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    proxy.set_open(false);
    proxy.cut();
    let told = eventually(async || {
        Some(check(&worker, "database").await).filter(|(ok, why)| !ok && !why.is_empty())
    });
    let (_, reason) = told.await.expect("the loss of the database is told");
    assert!(!reason.contains("conductor:conductor"), "{reason}");
    assert_eq!(worker.probe("/livez").await.0, 200);
    let peer = Peer::open(&world).await;
    peer.send(&peer.request(&world, "bay_create", Caller::bay_args(&model, 2))).await;
    let query =
        json!({ "objname": "BayModel", "objmethod": "list", "objver": "1.10", "args": [], "kwargs": {} });
    peer.send(&peer.request(&world, "object_class_action", query)).await;
    // Both are in their queue again, and nobody consumes it.
    let inspector = Inspector::new(&world.broker).await;
    let waiting =
        eventually(async || (inspector.queue(&world.broker.topic).await == Some((2, 0))).then_some(()));
    assert!(
        waiting.await.is_some(),
        "{:?}\n{}",
        inspector.queue(&world.broker.topic).await,
        worker.log_text()
    );
    assert!(peer.seen().is_empty(), "nobody is told anything yet");
    assert!(world.sandbox.stacks().is_empty());
    proxy.set_open(true);
    let replies = peer.replies(2).await;
    assert!(replies.iter().all(|reply| outcome(reply).is_ok()), "both are answered as if nothing had been");
    let bays = caller.bays().await;
    assert_eq!(bays.len(), 1);
    caller.wait_for_status(data(&bays[0])["uuid"].as_str().unwrap(), "CREATE_COMPLETE").await;
    assert_remaining(&world.sandbox, 1);
    worker.stop().await;
    assert_eq!(peer.seen().len(), 2);
    world.database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_wait_for_postgresql() {
    requests_wait_for_the_database(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_wait_for_mysql() {
    requests_wait_for_the_database(Backend::MySql).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_survives_the_loss_of_its_database() {
    let mut world = World::on(Backend::Postgres).await;
    let proxy = database_proxy(&mut world).await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    world.sandbox.faults().add(Rule::new(Service::Heat, "POST", "/stacks$", Action::SlowAnswer(500)).once());
    let cut = async {
        let made = |sandbox: &Sandbox| !sandbox.stacks().is_empty();
        assert!(world.sandbox.wait_until(Duration::from_secs(30), made).await, "the stack is made");
        proxy.set_open(false);
        proxy.cut();
        // What cannot be recorded is nobody's any more once its lease has run out.
        assert!(worker.logged("the operation is left until its lease ends").await, "{}", worker.log_text());
        proxy.set_open(true);
    };
    let (bay, ()) = tokio::join!(caller.call("bay_create", Caller::bay_args(&model, 2)), cut);
    let uuid = data(&bay.expect("the bay is created"))["uuid"].as_str().unwrap().to_owned();
    caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    assert_remaining(&world.sandbox, 1);
    worker.stop().await;
    world.database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_reaches_its_queue_although_the_workers_connection_was_cut() {
    let mut world = World::new().await;
    let proxy = Proxy::before(&world.broker).await;
    world.amqp = via(&world.amqp, proxy.port);
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    world.sandbox.faults().add(Rule::new(Service::Heat, "POST", "/stacks$", Action::SlowAnswer(1000)).once());
    let peer = Peer::open(&world).await;
    peer.send(&peer.request(&world, "bay_create", Caller::bay_args(&model, 2))).await;
    let made = |sandbox: &Sandbox| !sandbox.stacks().is_empty();
    assert!(world.sandbox.wait_until(Duration::from_secs(30), made).await, "the stack is made");
    proxy.set_open(false);
    proxy.cut();
    // The operation goes on without the broker, and what it has to say waits.
    let built = eventually(async || {
        (world.database.texts("SELECT status FROM cluster").await == ["CREATE_COMPLETE"]).then_some(())
    });
    assert!(built.await.is_some(), "{}", worker.log_text());
    assert!(peer.seen().is_empty());
    assert!(!world.database.texts("SELECT routing_key FROM outbox").await.is_empty());
    proxy.set_open(true);
    let replies = peer.replies(1).await;
    assert_eq!(data(&outcome(&replies[0]).unwrap())["name"], "b1");
    worker.stop().await;
    assert!(world.database.texts("SELECT routing_key FROM outbox").await.is_empty(), "all is said");
    assert_remaining(&world.sandbox, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_again_and_again_lose_no_request() {
    let mut world = World::with(Backend::Sqlite, Config::default()).await;
    let proxy = Proxy::before(&world.broker).await;
    world.amqp = via(&world.amqp, proxy.port);
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let peer = Peer::open(&world).await;
    for count in 1..=6 {
        peer.send(&peer.request(&world, "bay_create", Caller::bay_args(&model, 1))).await;
        proxy.cut();
        peer.replies(count).await;
    }
    let all = eventually(async || {
        let bays = caller.bays().await;
        (bays.len() == 6 && bays.iter().all(|bay| data(bay)["status"] == "CREATE_COMPLETE")).then_some(())
    });
    assert!(all.await.is_some(), "{:?}", caller.bays().await);
    assert_remaining(&world.sandbox, 6);
    worker.stop().await;
    let distinct: std::collections::BTreeSet<String> = peer
        .seen()
        .iter()
        .map(|reply| outcome(reply).unwrap())
        .map(|bay: Value| data(&bay)["uuid"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(distinct.len(), 6, "each is answered");
}

/// What a broker counts as failed deliveries must not be used up by a database that will be back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_only_refuses_writes_costs_a_request_one_delivery() {
    const REFUSED: &str = "the request cannot be recorded now";
    let world = World::on(Backend::Postgres).await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    world.database.set_read_only(true).await;
    let peer = Peer::open(&world).await;
    peer.send(&peer.request(&world, "bay_create", Caller::bay_args(&model, 2))).await;
    assert!(worker.logged(REFUSED).await, "{}", worker.log_text());
    // Reading works all the time, and is no sign of better times.
    let inspector = Inspector::new(&world.broker).await;
    let until = Instant::now() + Duration::from_secs(6);
    while Instant::now() < until {
        assert!(!world.database.texts("SELECT uuid FROM cluster_template").await.is_empty());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(inspector.queue(&world.broker.topic).await, Some((1, 0)), "it waits, and nobody consumes");
    assert_eq!(worker.log_text().matches(REFUSED).count(), 1, "it was delivered once");
    world.database.set_read_only(false).await;
    let replies = peer.replies(1).await;
    let uuid = data(&outcome(&replies[0]).expect("a bay"))["uuid"].as_str().expect("a uuid").to_owned();
    caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    worker.stop().await;
    world.database.drop_it().await;
}
