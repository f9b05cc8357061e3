//! Calls that wait for the end of their operation, kept alive by heartbeats.

use std::time::{Duration, Instant};

use mesos_conductor_sandbox::Config;
use serde_json::{Value, json};

use super::mitaka_bay;
use super::peer::Peer;
use crate::support::database::Backend;
use crate::support::{World, data, eventually};

const HEARTBEATS: &str = "mesos_conductor_heartbeats_sent_total";
/// Seconds without a sign of life after which the client gives up; the worker sends one every two.
const MONITOR: u64 = 4;

fn slow(create_time: Duration) -> Config {
    Config { create_time, ..Config::default() }
}

fn waiting(model: &str) -> Value {
    let mut args = mitaka_bay(model);
    args["wait"] = json!(true);
    args
}

#[tokio::test]
async fn a_call_that_waits_outlives_the_clients_monitor_timeout() {
    let create_time = Duration::from_secs(9);
    let world = World::with(Backend::Sqlite, slow(create_time)).await;
    let worker = world.worker().await;
    let peer = Peer::client(&world).await;
    let model = peer.create_model().await;
    let began = Instant::now();
    let monitored = json!({ "call_monitor_timeout": MONITOR });
    let answer = peer.call_with("bay_create", waiting(&model), monitored).await.expect("the bay is built");
    assert!(began.elapsed() >= create_time);
    assert_eq!(data(&answer)["status"], "CREATE_COMPLETE");
    assert_eq!(data(&answer)["node_addresses"].as_array().map(Vec::len), Some(2));
    assert!(worker.metric(HEARTBEATS).await >= 3.0);
    assert_eq!(peer.stray_replies().await, 0);
    worker.stop().await;
}

#[tokio::test]
async fn a_call_that_waits_outlives_its_worker() {
    let world = World::with(Backend::Postgres, slow(Duration::from_secs(12))).await;
    let mut workers = vec![world.worker().await, world.worker().await];
    let peer = Peer::client(&world).await;
    let model = peer.create_model().await;
    let call =
        peer.command("call", "bay_create", waiting(&model), json!({ "call_monitor_timeout": MONITOR })).await;
    // Whichever worker is killed just after a heartbeat, the other sends the next ones and goes on with the bay.
    let busy = eventually(|| async {
        for (at, worker) in workers.iter().enumerate() {
            if worker.metric(HEARTBEATS).await > 0.0 {
                return Some(at);
            }
        }
        None
    });
    workers.remove(busy.await.expect("one of them sends heartbeats")).kill().await;
    let other = workers.remove(0);
    let answer = peer.answer(call).await.expect("the other worker builds the bay");
    assert_eq!(data(&answer)["status"], "CREATE_COMPLETE");
    assert!(other.metric(HEARTBEATS).await >= 2.0);
    assert_eq!((world.sandbox.stacks().len(), world.sandbox.trusts().len()), (1, 1));
    assert_eq!(peer.stray_replies().await, 0);
    other.stop().await;
    world.database.drop_it().await;
}
