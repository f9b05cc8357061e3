//! What the broker and the network do to a session, and how it comes back.

use std::{sync::atomic::Ordering, time::Duration};

use lapin::{
    ExchangeKind,
    options::{ExchangeDeclareOptions, QueueDeclareOptions},
    types::FieldTable,
};
use mesos_conductor::{
    amqp::{
        ConnectError, Health,
        settings::{Broker, Host, LoginMethod, QueueFlags},
    },
    client::{CallOptions, Client},
};
use serde_json::json;
use tokio::{net::TcpListener, time::Instant};

use super::broker::{Inspector, Proxy, Running, args, broker, client, eventually, options};

#[tokio::test]
async fn server_and_client_come_back_after_every_cut() {
    let Some(broker) = broker() else { return };
    let proxy = Proxy::before(&broker).await;
    let routed = proxy.route(&broker);
    let running = Running::start(&routed).await;
    let client = client(&routed).await;
    for n in 0..3 {
        client.call("echo", args(json!({"n": n})), options()).await.unwrap();
        let sessions = running.server.stats().sessions.load(Ordering::Relaxed);
        let reconnects = client.stats().reconnects;
        proxy.cut();
        eventually("both are back", async || {
            running.server.stats().sessions.load(Ordering::Relaxed) > sessions
                && client.stats().reconnects > reconnects
        })
        .await;
        // A publisher finds out about the cut with the next message; its fate is unknown then, so a call is not
        // waited for as long as for all of them.
        let briefly = || CallOptions { timeout: Duration::from_secs(3), ..options() };
        eventually("calls work again", async || {
            client.call("echo", args(json!({"n": n})), briefly()).await.is_ok()
        })
        .await;
    }
    client.close().await;
    running.stop().await;
}

#[tokio::test]
async fn a_broker_that_is_away_is_waited_for_and_the_reason_is_told() {
    let Some(broker) = broker() else { return };
    let proxy = Proxy::before(&broker).await;
    proxy.set_open(false);
    let running = Running::begin(&proxy.route(&broker));
    eventually("the reason is told", async || {
        matches!(&*running.server.health().borrow(), Health::Down(Some(reason)) if reason.contains("broker "))
    })
    .await;
    proxy.set_open(true);
    running.wait_for(&Health::Consuming).await;
    running.stop().await;
}

#[tokio::test]
async fn a_dead_host_and_a_silent_one_are_passed_over() {
    let Some(mut broker) = broker() else { return };
    // Nobody answers on the first; the second accepts and never says a word.
    let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let dead = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let ports = [dead.local_addr().unwrap().port(), silent.local_addr().unwrap().port()];
    drop(dead);
    let good = broker.hosts[0].clone();
    broker.connect_timeout = Duration::from_millis(300);
    broker.hosts = ports.map(|port| Host { host: "127.0.0.1".to_owned(), port, ..good.clone() }).to_vec();
    let error = Client::connect(&broker).await.unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { .. } | ConnectError::Unreachable { .. }), "{error:?}");
    broker.hosts.push(good);
    for _ in 0..5 {
        let running = Running::start(&broker).await;
        let client = client(&broker).await;
        client.call("echo", args(json!({})), options()).await.unwrap();
        client.close().await;
        running.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_without_being_shown() {
    let Some(mut broker) = broker() else { return };
    for host in &mut broker.hosts {
        host.password = "hunter2".into();
    }
    let error = Client::connect(&broker).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("hunter2"));
}

#[tokio::test]
async fn a_missing_virtual_host_is_refused() {
    let Some(broker) = broker() else { return };
    let broker = Broker { vhost: "nowhere".to_owned(), ..broker };
    let error = Client::connect(&broker).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn both_common_login_methods_are_accepted() {
    let Some(broker) = broker() else { return };
    for login_method in [LoginMethod::AmqPlain, LoginMethod::Plain] {
        let broker = Broker { login_method, ..broker.clone() };
        Client::connect(&broker).await.unwrap().close().await;
    }
}

#[tokio::test]
async fn exchanges_and_queues_with_other_flags_are_used_as_they_are() {
    let Some(mut broker) = broker() else { return };
    broker.queues.auto_delete = false;
    let inspector = Inspector::new(&broker).await;
    let channel = inspector.channel().await;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let exchange = broker.exchange.as_str();
    channel
        .exchange_declare(exchange.into(), ExchangeKind::Topic, durable, FieldTable::default())
        .await
        .unwrap();
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(broker.topic.as_str().into(), durable, FieldTable::default()).await.unwrap();
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    client.call("echo", args(json!({})), options()).await.unwrap();
    assert_eq!(running.server.stats().sessions.load(Ordering::Relaxed), 1);
    client.close().await;
    running.stop().await;
    inspector.forget(&broker).await;
}

#[tokio::test]
async fn a_queue_that_is_deleted_under_the_server_is_made_again() {
    let Some(broker) = broker() else { return };
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    let inspector = Inspector::new(&broker).await;
    client.call("echo", args(json!({})), options()).await.unwrap();
    inspector.channel().await.queue_delete(broker.topic.as_str().into(), Default::default()).await.unwrap();
    let stats = running.server.stats();
    eventually("there is a new session", async || stats.sessions.load(Ordering::Relaxed) == 2).await;
    client.call("echo", args(json!({})), options()).await.unwrap();
    client.close().await;
    running.stop().await;
}

#[tokio::test]
async fn requests_sent_while_the_server_is_cut_off_are_handled_afterwards() {
    let Some(mut broker) = broker() else { return };
    broker.queues.auto_delete = false;
    let proxy = Proxy::before(&broker).await;
    let running = Running::start(&proxy.route(&broker)).await;
    let client = client(&broker).await;
    let inspector = Inspector::new(&broker).await;
    proxy.set_open(false);
    proxy.cut();
    eventually("nobody consumes", async || inspector.queue(&broker.topic).await == Some((0, 0))).await;
    let started = Instant::now();
    client.cast("echo", args(json!({"kind": "shared"})), options()).await.unwrap();
    client.fanout("mute", args(json!({"kind": "fanout"})), options()).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
    proxy.set_open(true);
    eventually("both are handled", async || {
        running.script.count("echo") == 1 && running.script.count("mute") == 1
    })
    .await;
    client.close().await;
    running.stop().await;
    inspector.forget(&broker).await;
}

#[tokio::test]
async fn quorum_queues_and_a_fanout_stream_are_declared_and_served() {
    let Some(mut broker) = broker() else { return };
    broker.queues = QueueFlags {
        quorum: true,
        quorum_delivery_limit: 3,
        transient_quorum: true,
        stream_fanout: true,
        ..QueueFlags::default()
    };
    let proxy = Proxy::before(&broker).await;
    let running = Running::start(&proxy.route(&broker)).await;
    let client = client(&broker).await;
    client.call("echo", args(json!({})), options()).await.unwrap();
    for n in 1..=2 {
        client.fanout("mute", args(json!({"n": n})), options()).await.unwrap();
    }
    eventually("both are handled", async || running.script.count("mute") == 2).await;
    proxy.set_open(false);
    proxy.cut();
    client.fanout("mute", args(json!({"n": 3})), options()).await.unwrap();
    proxy.set_open(true);
    // It goes on in the stream where it was: with the third, and without the first two.
    eventually("the third is handled", async || running.script.count("mute") == 3).await;
    let handled: Vec<_> = running.script.seen().into_iter().filter(|seen| seen.method == "mute").collect();
    assert_eq!(handled[2].args, json!({"n": 3}));
    client.close().await;
    running.stop().await;
    let inspector = Inspector::new(&broker).await;
    let stream = format!("{}_fanout", broker.topic);
    inspector.channel().await.queue_delete(stream.as_str().into(), Default::default()).await.unwrap();
    inspector.forget(&broker).await;
}
