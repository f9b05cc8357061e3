//! When a delivery is acknowledged, how many are in hand, and what pausing and stopping do.

use std::sync::atomic::Ordering;

use mesos_conductor::amqp::{Health, settings::Broker};
use serde_json::json;

use super::broker::{Inspector, Proxy, Running, args, broker, client, eventually, options};

#[tokio::test]
async fn a_delivery_is_acknowledged_only_after_its_handler_has_returned() {
    let Some(mut broker) = broker() else { return };
    // The queue must outlive its consumer.
    broker.queues.auto_delete = false;
    let proxy = Proxy::before(&broker).await;
    let running = Running::start(&proxy.route(&broker)).await;
    let client = client(&broker).await;
    client.cast("hold", args(json!({})), options()).await.unwrap();
    eventually("it is in hand", async || running.script.count("hold") == 1).await;
    proxy.cut();
    eventually("it is delivered again", async || running.script.count("hold") == 2).await;
    assert!(running.script.seen()[1].redelivered);
    // Both may end now; only the second can be acknowledged, and then it is gone for good.
    running.script.gate.add_permits(2);
    let stats = running.server.stats();
    eventually("both have ended", async || stats.in_flight.load(Ordering::Relaxed) == 0).await;
    assert_eq!(stats.lost_acks.load(Ordering::Relaxed), 1);
    proxy.cut();
    eventually("it serves again", async || stats.sessions.load(Ordering::Relaxed) == 3).await;
    client.call("echo", args(json!({})), options()).await.unwrap();
    assert_eq!(running.script.count("hold"), 2);
    client.close().await;
    running.stop().await;
    Inspector::new(&broker).await.forget(&broker).await;
}

#[tokio::test]
async fn a_panic_in_the_handler_rejects_its_delivery_and_nothing_else() {
    let Some(broker) = broker() else { return };
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    for _ in 0..3 {
        client.cast("panic", args(json!({})), options()).await.unwrap();
    }
    client.call("echo", args(json!({})), options()).await.unwrap();
    let stats = running.server.stats();
    eventually("the panics are counted", async || stats.panics.load(Ordering::Relaxed) == 3).await;
    assert_eq!(running.script.count("panic"), 3, "rejected without going back");
    assert_eq!(stats.sessions.load(Ordering::Relaxed), 1);
    client.close().await;
    running.stop().await;
}

#[tokio::test]
async fn no_more_deliveries_are_taken_than_there_are_permits() {
    let Some(broker) = broker() else { return };
    let broker = Broker { prefetch: 2, ..broker };
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    for _ in 0..5 {
        client.cast("hold", args(json!({})), options()).await.unwrap();
    }
    let inspector = Inspector::new(&broker).await;
    eventually("three wait with the broker", async || {
        inspector.queue(&broker.topic).await == Some((3, 1)) && running.script.count("hold") == 2
    })
    .await;
    running.script.gate.add_permits(1);
    eventually("one ended, one more is in hand", async || running.script.count("hold") == 3).await;
    assert_eq!(running.server.stats().in_flight.load(Ordering::Relaxed), 2);
    running.script.gate.add_permits(4);
    eventually("all were handled", async || {
        running.script.count("hold") == 5 && running.server.stats().in_flight.load(Ordering::Relaxed) == 0
    })
    .await;
    client.close().await;
    running.stop().await;
}

#[tokio::test]
async fn a_paused_server_leaves_messages_in_the_queue_and_takes_them_later() {
    let Some(mut broker) = broker() else { return };
    broker.queues.auto_delete = false;
    broker.prefetch = 2;
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    let inspector = Inspector::new(&broker).await;
    for _ in 0..6 {
        client.cast("hold", args(json!({})), options()).await.unwrap();
    }
    eventually("two are in hand", async || running.script.count("hold") == 2).await;
    running.server.pause();
    running.wait_for(&Health::Paused).await;
    // Four wait, nobody consumes, and the two in hand are not given to anyone else.
    assert_eq!(inspector.queue(&broker.topic).await, Some((4, 0)));
    running.script.gate.add_permits(2);
    let stats = running.server.stats();
    eventually("the two have ended", async || stats.in_flight.load(Ordering::Relaxed) == 0).await;
    assert_eq!(stats.lost_acks.load(Ordering::Relaxed), 0, "they can be acknowledged while paused");
    assert_eq!(running.script.count("hold"), 2);
    running.server.resume();
    running.script.gate.add_permits(4);
    eventually("the others are handled", async || running.script.count("hold") == 6).await;
    client.close().await;
    running.stop().await;
    inspector.forget(&broker).await;
}

#[tokio::test]
async fn what_cannot_be_recorded_goes_back_once_and_comes_again_when_it_can_be() {
    let Some(mut broker) = broker() else { return };
    broker.queues.auto_delete = false;
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    let inspector = Inspector::new(&broker).await;
    running.script.down.store(true, Ordering::Relaxed);
    client.cast("record", args(json!({})), options()).await.unwrap();
    running.wait_for(&Health::Paused).await;
    assert_eq!(inspector.queue(&broker.topic).await, Some((1, 0)));
    let tried = running.script.count("record");
    client.cast("record", args(json!({})), options()).await.unwrap();
    eventually("it asks again and again", async || running.script.asked.load(Ordering::Relaxed) > 3).await;
    assert_eq!((running.script.count("record"), inspector.queue(&broker.topic).await), (tried, Some((2, 0))));
    running.script.down.store(false, Ordering::Relaxed);
    eventually("both are recorded", async || running.script.count("record") == tried + 2).await;
    running.wait_for(&Health::Consuming).await;
    client.close().await;
    running.stop().await;
    inspector.forget(&broker).await;
}

#[tokio::test]
async fn a_stop_waits_for_what_is_in_hand_and_takes_its_fanout_queue_away() {
    let Some(mut broker) = broker() else { return };
    broker.queues.auto_delete = false;
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    let inspector = Inspector::new(&broker).await;
    client.cast("hold", args(json!({})), options()).await.unwrap();
    eventually("it is in hand", async || running.script.count("hold") == 1).await;
    running.ask_to_stop();
    eventually("the consumers are cancelled", async || inspector.queue(&broker.topic).await == Some((0, 0)))
        .await;
    assert_eq!(running.server.stats().in_flight.load(Ordering::Relaxed), 1);
    running.script.gate.add_permits(1);
    let stats = running.server.stats();
    running.stop().await;
    assert_eq!(stats.in_flight.load(Ordering::Relaxed), 0);
    assert_eq!(stats.lost_acks.load(Ordering::Relaxed), 0);
    // Nothing is bound to the fanout exchange any more, so it went with its last queue.
    let fanout = format!("{}_fanout", broker.topic);
    let options_ = lapin::options::ExchangeDeclareOptions { passive: true, ..Default::default() };
    let channel = inspector.channel().await;
    let found = channel
        .exchange_declare(fanout.as_str().into(), lapin::ExchangeKind::Fanout, options_, Default::default())
        .await;
    assert!(found.is_err(), "the fanout exchange is still there");
    assert_eq!(inspector.queue(&broker.topic).await, Some((0, 0)), "acknowledged, not returned");
    client.close().await;
    inspector.forget(&broker).await;
}

#[tokio::test]
async fn a_body_that_is_no_request_is_rejected_and_counted() {
    let Some(broker) = broker() else { return };
    let running = Running::start(&broker).await;
    let inspector = Inspector::new(&broker).await;
    let channel = inspector.channel().await;
    for body in [&b"not json"[..], b"", b"[1]", b"\xff\xfe"] {
        let (key, options_) = (broker.topic.as_str().into(), Default::default());
        channel.basic_publish("".into(), key, options_, body, Default::default()).await.unwrap();
    }
    let stats = running.server.stats();
    eventually("all are counted", async || stats.rejected.load(Ordering::Relaxed) == 4).await;
    let client = client(&broker).await;
    client.call("echo", args(json!({})), options()).await.unwrap();
    assert_eq!(stats.sessions.load(Ordering::Relaxed), 1);
    client.close().await;
    running.stop().await;
}
