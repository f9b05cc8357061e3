//! Two workers on one database: whoever was paused, killed or told to stop, the other goes on, and nothing is done twice.

mod periodic;
mod stopping;
mod versions;

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use mesos_conductor_sandbox::{Action, Rule, Service};
use serde_json::json;

use crate::support::database::Backend;
use crate::support::peer::{Peer, outcome};
use crate::support::worker::Worker;
use crate::support::{Caller, World, assert_remaining, data, eventually};

/// Everything that the database says about bays, their operations, and what is to be said of them.
async fn snapshot(world: &World) -> Vec<String> {
    let statements = [
        "SELECT CONCAT_WS(' ', uuid, status, stack_id, trust_id, trustee_user_id, trustee_password, updated_at) FROM cluster",
        "SELECT CONCAT_WS(' ', uuid, node_count, node_addresses, updated_at) FROM nodegroup ORDER BY uuid",
        "SELECT CONCAT_WS(' ', uuid, state, step, attempts, fence, finished_ms, reason) FROM operation ORDER BY uuid",
        "SELECT CONCAT_WS(' ', message_key, operation_uuid, reply) FROM message ORDER BY message_key",
        "SELECT CONCAT_WS(' ', id, message) FROM outbox ORDER BY id",
    ];
    let mut all = Vec::new();
    for statement in statements {
        all.extend(world.database.texts(statement).await);
    }
    all
}

/// Waits until no operation runs and nothing is left to be said.
async fn settled(world: &World) {
    let busy = "SELECT uuid FROM operation WHERE state = 'running' UNION ALL SELECT routing_key FROM outbox";
    let done = eventually(|| async {
        let accepted = !world.database.texts("SELECT uuid FROM operation").await.is_empty();
        (accepted && world.database.texts(busy).await.is_empty()).then_some(())
    });
    assert!(done.await.is_some(), "not done: {:?}", snapshot(world).await);
}

/// One worker is stopped by `SIGSTOP` at `point`, loses its lease, and is woken when the other has done its work.
async fn a_woken_worker_writes_nothing(backend: Backend, point: &str) {
    let world = World::on(backend).await;
    let paused = world.doomed_worker(&format!("pause:bay_create/{point}")).await;
    let model = Caller::new(&world).await.create_model().await;
    let peer = Peer::open(&world).await;
    peer.send(&peer.request(&world, "bay_create", Caller::bay_args(&model, 2))).await;
    paused.paused().await;
    let other = world.worker().await;
    settled(&world).await;
    assert_eq!(world.database.texts("SELECT status FROM cluster").await, ["CREATE_COMPLETE"]);
    let before = snapshot(&world).await;
    world.sandbox.clear_log();

    paused.signal("CONT").await;
    // On a slow machine the database has cut the sleeper's connection: then it is that which it notices.
    let noticed = eventually(|| async {
        let lost = paused.metric("mesos_conductor_leases_lost_total").await >= 1.0;
        (lost || paused.log_text().contains("the operation is left until its lease ends")).then_some(())
    });
    assert!(noticed.await.is_some(), "no lease was lost:\n{}", paused.log_text());
    // Stopped in order, both have done all that they ever would.
    paused.stop().await;
    other.stop().await;
    assert_eq!(snapshot(&world).await, before, "the woken worker wrote");
    // A token may still be asked for: that changes nothing.
    let changes = |seen: &mesos_conductor_sandbox::Request| {
        seen.method != "GET" && !seen.path.ends_with("/auth/tokens")
    };
    let asked: Vec<_> = world.sandbox.requests().into_iter().filter(changes).collect();
    assert!(asked.is_empty(), "the woken worker changed the cloud: {asked:?}");
    assert_remaining(&world.sandbox, 1);
    let replies = peer.seen();
    assert_eq!(replies.len(), 1, "one call, one reply");
    assert_eq!(data(&outcome(&replies[0]).expect("the bay is created"))["name"], "b1");
    world.database.drop_it().await;
}

/// A pool whose second member gets no requests and takes over operations.
async fn pool(world: &World, fault: Option<&str>) -> (Worker, Worker, String) {
    let first = Worker::start(world, "", fault).await;
    let (second, _) = world.bystander().await;
    let model = Caller::new(world).await.create_model().await;
    (first, second, model)
}

async fn a_killed_worker_is_replaced_within_about_a_lease(backend: Backend) {
    let mut world = World::on(backend).await;
    world.lease = 5;
    let (mut killed, other, model) = pool(&world, Some("kill:bay_create/trust/effect")).await;
    let peer = Peer::open(&world).await;
    peer.send(&peer.request(&world, "bay_create", Caller::bay_args(&model, 2))).await;
    assert_eq!(killed.ended().await.signal(), Some(9));
    let since = Instant::now();
    let replies = peer.replies(1).await;
    let took = since.elapsed();
    assert!(took < Duration::from_secs(9), "a lease of 5 s was waited for {took:?}");
    assert!(outcome(&replies[0]).is_ok());
    settled(&world).await;
    assert_remaining(&world.sandbox, 1);
    let claims =
        world.database.texts("SELECT CONCAT_WS(' ', kind, state) FROM operation WHERE fence >= 2").await;
    assert_eq!(claims, ["bay_create done"], "the other worker has claimed it");
    other.stop().await;
    world.database.drop_it().await;
}

async fn a_stopped_worker_hands_back_at_once(backend: Backend) {
    let mut world = World::on(backend).await;
    world.lease = 60;
    let (stopped, other, model) = pool(&world, None).await;
    let slow = Rule::new(Service::Keystone, "POST", "/trusts$", Action::SlowAnswer(2000)).once();
    world.sandbox.faults().add(slow);
    let peer = Peer::open(&world).await;
    peer.send(&peer.request(&world, "bay_create", Caller::bay_args(&model, 2))).await;
    let asked = |sandbox: &mesos_conductor_sandbox::Sandbox| {
        sandbox.count(Service::Keystone, "POST", "/trusts$") == 1
    };
    assert!(world.sandbox.wait_until(Duration::from_secs(30), asked).await, "the trust is asked for");
    stopped.stop().await;
    let since = Instant::now();
    let replies = peer.replies(1).await;
    let took = since.elapsed();
    assert!(took < Duration::from_secs(10), "a lease of 60 s was not given back: {took:?}");
    assert!(outcome(&replies[0]).is_ok());
    settled(&world).await;
    assert_remaining(&world.sandbox, 1);
    assert_eq!(
        world.sandbox.count(Service::Keystone, "POST", "/trusts$"),
        1,
        "the step in hand was recorded"
    );
    other.stop().await;
    world.database.drop_it().await;
}

macro_rules! on_both {
    ($($backend:ident = $kind:ident),+) => { $(
        mod $backend {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_worker_woken_before_a_step_writes_nothing() {
                a_woken_worker_writes_nothing(Backend::$kind, "trustee/begin").await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_worker_woken_after_making_the_trust_writes_nothing() {
                a_woken_worker_writes_nothing(Backend::$kind, "trust/effect").await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_worker_woken_after_making_the_stack_writes_nothing() {
                a_woken_worker_writes_nothing(Backend::$kind, "stack/effect").await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_killed_worker_is_replaced_within_about_a_lease() {
                super::a_killed_worker_is_replaced_within_about_a_lease(Backend::$kind).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_stopped_worker_hands_back_at_once() {
                super::a_stopped_worker_hands_back_at_once(Backend::$kind).await;
            }
        }
    )+ };
}

on_both!(postgres = Postgres, mysql = MySql);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_the_worker_at_once() {
    let world = World::new().await;
    let mut worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    world.sandbox.faults().add(Rule::new(Service::Heat, "POST", "/stacks$", Action::Hang));
    caller
        .client
        .cast("bay_create", crate::support::map(Caller::bay_args(&model, 2)), world.options())
        .await
        .unwrap();
    let asked =
        |sandbox: &mesos_conductor_sandbox::Sandbox| sandbox.count(Service::Heat, "POST", "/stacks$") == 1;
    assert!(world.sandbox.wait_until(Duration::from_secs(30), asked).await, "Heat is asked for the stack");
    worker.signal("TERM").await;
    assert!(worker.logged("the worker stops").await);
    worker.signal("TERM").await;
    let since = Instant::now();
    assert_eq!(worker.ended().await.code(), Some(130));
    assert!(since.elapsed() < Duration::from_secs(1), "it took {:?}", since.elapsed());
    // What it held is found by the next one.
    world.sandbox.faults().clear();
    let next = world.worker().await;
    let built = eventually(|| async {
        caller.bays().await.iter().any(|bay| data(bay)["status"] == json!("CREATE_COMPLETE")).then_some(())
    });
    assert!(built.await.is_some(), "the bay is built: {:?}", caller.bays().await);
    assert_remaining(&world.sandbox, 1);
    next.stop().await;
}

/// A step's deadline may pass while nobody is at work. What its first try asked for may then still be made: the way back
/// would not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_try_of_a_step_is_never_its_last() {
    let world = World::new().await;
    let configuration = world.configuration("");
    let limited = configuration.replace("[conductor]\n", "[conductor]\noperation_deadline = \"3s\"\n");
    assert_ne!(limited, configuration);
    let mut doomed =
        Worker::start_with(&world, &limited, Some("kill:bay_create/certificates/committed")).await;
    let model = Caller::new(&world).await.create_model().await;
    let peer = Peer::open(&world).await;
    peer.send(&peer.request(&world, "bay_create", Caller::bay_args(&model, 2))).await;
    doomed.ended().await;
    let late = "SELECT uuid FROM operation WHERE step = 'stack' AND deadline_ms < 1000 * unixepoch()";
    let passed = eventually(|| async { (!world.database.texts(late).await.is_empty()).then_some(()) });
    assert!(passed.await.is_some(), "the deadline does not pass");
    world.sandbox.faults().add(Rule::new(Service::Heat, "POST", "/stacks$", Action::Hang).once());
    let worker = Worker::start_with(&world, &limited, None).await;
    settled(&world).await;
    assert_eq!(world.database.texts("SELECT status FROM cluster").await, ["CREATE_COMPLETE"]);
    assert_eq!(world.sandbox.count(Service::Heat, "POST", "/stacks$"), 2);
    assert_remaining(&world.sandbox, 1);
    worker.stop().await;
}
