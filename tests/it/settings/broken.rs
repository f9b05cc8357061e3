//! What a broker does to a worker that has done nothing wrong: it runs out of memory, closes connections and channels,
//! loses queues, or falls silent.

use std::{sync::atomic::Ordering, time::Duration};

use mesos_conductor::amqp::{Health, settings::Broker};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    configured,
    node::{self, eventually},
};
use crate::{
    amqp::broker::{Inspector, Proxy, Running, args, broker, client, options},
    probes::check,
    support::{World, eventually as patiently, map},
};

/// The default waits are seconds.
const QUICK: [&str; 3] =
    ["kombu_reconnect_delay=0.05", "rabbit_retry_interval=0.05", "rabbit_retry_backoff=0.05"];

fn quick(url: &str, more: &[&str]) -> Broker {
    configured(url, &Uuid::new_v4().simple().to_string(), &[&QUICK, more].concat())
}

async fn sessions(running: &Running, count: u64) {
    let stats = running.server.stats();
    eventually("there is another session", async || stats.sessions.load(Ordering::Relaxed) >= count).await;
    running.wait_for(&Health::Consuming).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_wait_while_the_broker_takes_none() {
    let Some(node) = node::alone().await else { return };
    let mut world = World::new().await;
    world.amqp = node.url.clone();
    world.broker = node.route(&world.broker);
    let worker = world.worker().await;
    let client = world.client().await;
    let ping = async || client.call("ping_conductor", map(json!({})), world.options()).await;
    assert_eq!(ping().await.expect("all is well"), json!(true));
    // The requests are in the queue before the alarm: during it nobody can send any.
    worker.signal("STOP").await;
    worker.paused().await;
    let alarm = async {
        eventually("both requests wait", async || {
            let queue = node.queue(&world.broker.topic).await;
            let counts = [&queue["messages_ready"], &queue["messages_unacknowledged"]];
            counts.iter().filter_map(|count| count.as_u64()).sum::<u64>() == 2
        })
        .await;
        node.control("set_vm_memory_high_watermark absolute 1").await;
        worker.signal("CONT").await;
        eventually("the probe says why", async || {
            check(&worker, "broker").await.1.contains("short of memory or disk")
        })
        .await;
        // A confirm is waited for before an answer is left to the outbox.
        let waiting = patiently(async || {
            let depth = worker.metric("mesos_conductor_outbox_depth").await;
            let blocked = worker.metric("mesos_conductor_broker_blocked").await;
            (depth >= 2.0 && blocked == 1.0).then_some(())
        });
        assert!(waiting.await.is_some(), "the answers are not in the outbox:\n{}", worker.log_text());
        node.control("set_vm_memory_high_watermark 0.4").await;
    };
    let (first, second, ()) = tokio::join!(ping(), ping(), alarm);
    assert_eq!((first.expect("it is answered"), second.expect("it is answered")), (json!(true), json!(true)));
    eventually("all is well again", async || {
        worker.metric("mesos_conductor_broker_blocked").await == 0.0 && worker.probe("/readyz").await.0 == 200
    })
    .await;
    assert_eq!(ping().await.expect("all is well"), json!(true));
    client.close().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_the_operator_closes_is_made_again() {
    let Some(node) = node::shared().await else { return };
    let broker = quick(&node.url, &["amqp_auto_delete=true"]);
    let running = Running::start(&broker).await;
    let mut name = Value::Null;
    eventually("the connection is listed", async || {
        let queue = node.queue(&broker.topic).await;
        name = queue["consumer_details"][0]["channel_details"]["connection_name"].clone();
        name.is_string()
    })
    .await;
    node.delete(&["connections", name.as_str().expect("a name")]).await;
    sessions(&running, 2).await;
    let client = client(&broker).await;
    client.call("echo", args(json!({})), options()).await.expect("it is answered");
    client.close().await;
    running.stop().await;
}

/// By its limit for acknowledgements, half an hour by default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_the_broker_closes_is_opened_again() {
    let Some(node) = node::alone().await else { return };
    let limit = |milliseconds: u64, tick: u64| {
        format!(
            "eval application:set_env(rabbit, consumer_timeout, {milliseconds}), \
             application:set_env(rabbit, channel_tick_interval, {tick})."
        )
    };
    node.control(&limit(300, 100)).await;
    // The queue has to outlive its consumer.
    let broker = quick(&node.url, &[]);
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    client.cast("hold", args(json!({})), options()).await.expect("it is sent");
    sessions(&running, 2).await;
    eventually("it is delivered again", async || running.script.count("hold") >= 2).await;
    // The limit is read when a channel is opened, and the clock after each look.
    node.control(&limit(1_800_000, 60_000)).await;
    running.script.gate.add_permits(100);
    client.call("echo", args(json!({})), options()).await.expect("it is answered");
    client.close().await;
    running.stop().await;
}

/// As the broker answers a declaration while the node that a durable queue lives on is down: the queue's record is
/// there, its process is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_queue_whose_node_is_down_is_waited_for() {
    let Some(node) = node::shared().await else { return };
    let broker = quick(&node.url, &["amqp_durable_queues=true"]);
    Running::start(&broker).await.stop().await;
    let name = format!("{{resource, <<\"/\">>, queue, <<\"{}\">>}}", broker.topic);
    let hide = format!(
        "eval N = {name}, [Q] = mnesia:dirty_read(rabbit_queue, N), persistent_term:put(N, Q), \
         mnesia:dirty_delete(rabbit_queue, N)."
    );
    node.control(&hide).await;
    let running = Running::begin(&broker);
    eventually("the reason is told", async || {
        matches!(&*running.server.health().borrow(), Health::Down(Some(reason)) if reason.contains("NOT_FOUND"))
    })
    .await;
    node.control(&format!("eval mnesia:dirty_write(rabbit_queue, persistent_term:get({name})).")).await;
    running.wait_for(&Health::Consuming).await;
    running.stop().await;
    node.delete(&["queues", "/", &broker.topic]).await;
}

/// The broker cancels the consumer of a queue that is deleted.
#[tokio::test]
async fn each_queue_that_is_deleted_is_declared_and_consumed_again() {
    let Some(broker) = broker() else { return };
    let running = Running::start(&broker).await;
    let inspector = Inspector::new(&broker).await;
    let client = client(&broker).await;
    let server = format!("{}.{}", broker.topic, broker.server);
    for (n, queue) in [broker.topic.clone(), server].into_iter().enumerate() {
        let before = Instant::now();
        inspector
            .channel()
            .await
            .queue_delete(queue.as_str().into(), Default::default())
            .await
            .expect("it goes");
        sessions(&running, n as u64 + 2).await;
        assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
        assert_eq!(inspector.queue(&queue).await, Some((0, 1)));
        client.call("echo", args(json!({})), options()).await.expect("it is answered");
    }
    client.close().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fanout_queue_that_is_deleted_is_declared_and_consumed_again() {
    let Some(node) = node::shared().await else { return };
    let host = Uuid::new_v4().simple().to_string();
    let named =
        ["amqp_auto_delete=true", "use_queue_manager=true", &format!("hostname={host}"), "processname=p"];
    let broker = quick(&node.url, &named);
    let running = Running::start(&broker).await;
    node.delete(&["queues", "/", &format!("{}_fanout_{host}:p:1", broker.topic)]).await;
    sessions(&running, 2).await;
    let client = client(&broker).await;
    client.fanout("mute", args(json!({})), options()).await.expect("it is sent");
    eventually("the fanout comes", async || running.script.count("mute") == 1).await;
    client.close().await;
    running.stop().await;
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_given_up() {
    let Some(broker) = broker() else { return };
    let proxy = Proxy::before(&broker).await;
    let routed = Broker { heartbeat: Duration::from_secs(1), ..proxy.route(&broker) };
    let running = Running::start(&routed).await;
    proxy.set_silent(true);
    eventually("it is given up", async || {
        matches!(&*running.server.health().borrow(), Health::Down(Some(_)))
    })
    .await;
    proxy.set_silent(false);
    sessions(&running, 2).await;
    let client = client(&routed).await;
    client.call("echo", args(json!({})), options()).await.expect("it is answered");
    client.close().await;
    running.stop().await;
}
