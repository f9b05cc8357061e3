//! What is declared with each option, beside a Python server that was given the same.

use mesos_conductor::amqp::settings::Broker;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    Rows, configured,
    node::{Node, eventually},
    python::Library,
};
use crate::amqp::broker::{Running, args, client, options};

/// What the broker says of our queues and exchanges, in words without the test's own names.
struct Declared {
    /// The control exchange and the topic's queue; that of the server is the same.
    lasting: String,
    fanout: String,
    /// The name of the fanout queue, with `T` for the topic.
    fanout_name: String,
    consumer: String,
}

fn flags(object: &Value) -> String {
    format!("durable={} auto_delete={}", object["durable"], object["auto_delete"])
}

fn queue(object: &Value) -> String {
    let none = Map::new();
    let arguments = object["arguments"].as_object().unwrap_or(&none);
    let arguments: Vec<_> = arguments.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    format!("{}{}", flags(object), arguments.concat())
}

/// The queues whose names begin so.
async fn queues(node: &Node, prefix: &str) -> Vec<Value> {
    let all = node.get(&["queues", "/"]).await;
    let named = |queue: &&Value| queue["name"].as_str().is_some_and(|name| name.starts_with(prefix));
    all.as_array().expect("a list").iter().filter(named).cloned().collect()
}

/// The first consumer of a queue, when the management has heard of it.
async fn consumer(node: &Node, name: &str) -> Value {
    let mut found = Value::Null;
    eventually("a consumer is listed", async || {
        found = node.queue(name).await["consumer_details"][0].clone();
        !found.is_null()
    })
    .await;
    found
}

/// Serves with these options, beside Python; both answer, and what they declared is the same.
async fn look(node: &Node, python: &Library, given: &[&str]) -> Declared {
    let broker = configured(&node.url, &Uuid::new_v4().simple().to_string(), given);
    let (topic, running) = (broker.topic.as_str(), Running::start(&broker).await);
    let fanout = queues(node, &format!("{topic}_fanout")).await.remove(0);
    // By a name of its own, where it has one.
    let theirs =
        format!("{}?{}", node.url, given.join("&").replace("processname=worker", "processname=python"));
    let reply = python.meet(&theirs, &broker.exchange, topic, &broker.server).await;
    assert_eq!(reply, json!({ "value": 1 }), "{given:?}: ours answers Python");
    calls_and_fanout_work(&broker, &running, given).await;
    let ours = node.queue(&format!("{topic}.node1")).await;
    assert_eq!(queue(&ours), queue(&node.queue(&format!("{topic}.python")).await), "{given:?}");
    assert_eq!(queue(&ours), queue(&node.queue(topic).await), "{given:?}");
    for other in queues(node, &format!("{topic}_fanout")).await {
        assert_eq!(queue(&other), queue(&fanout), "{given:?}: {} is as Python's", other["name"]);
    }
    let exchange = node.get(&["exchanges", "/", &broker.exchange]).await;
    let fanout_exchange = node.get(&["exchanges", "/", &format!("{topic}_fanout")]).await;
    let name = fanout["name"].as_str().expect("a name");
    // The queue of the topic has consumers of Python's too.
    let consumer = consumer(node, &format!("{topic}.node1")).await;
    let declared = Declared {
        lasting: format!("exchange {}; queue `T` {}", flags(&exchange), queue(&ours)),
        fanout: format!("exchange {}; queue {}", flags(&fanout_exchange), queue(&fanout)),
        fanout_name: name.replace(topic, "T"),
        consumer: format!("prefetch={} arguments={}", consumer["prefetch_count"], consumer["arguments"]),
    };
    python.part().await;
    running.stop().await;
    declared
}

async fn calls_and_fanout_work(broker: &Broker, running: &Running, given: &[&str]) {
    let client = client(broker).await;
    let answer = client.call("echo", args(json!({ "n": 1 })), options()).await;
    // The queue of the topic is Python's as well.
    let expected = [json!({ "n": 1 }), json!({ "python": { "n": 1 } })];
    assert!(expected.contains(answer.as_ref().expect("it is answered")), "{given:?}: {answer:?}");
    client.fanout("mute", args(json!({})), options()).await.expect("it is sent");
    eventually("the fanout comes", async || running.script.count("mute") == 1).await;
    client.close().await;
}

pub(super) async fn rows(node: &Node, python: &Library) -> Rows {
    let mut rows = Rows::default();
    lasting(node, python, &mut rows).await;
    transient(node, python, &mut rows).await;
    consuming(node, python, &mut rows).await;
    names(node, python, &mut rows).await;
    // Python falls back without a word of ours on one such difference, and is loud on others.
    assert!(!python.log().contains("PRECONDITION_FAILED"), "{}", python.log());
    rows
}

async fn lasting(node: &Node, python: &Library, rows: &mut Rows) {
    let seen = look(node, python, &["amqp_durable_queues=true"]).await;
    rows.add(
        "amqp_durable_queues",
        "Control exchange and topic queues are durable.",
        format!("`true`: {}; fanout {}", seen.lasting, seen.fanout),
    );
    let seen = look(node, python, &["amqp_auto_delete=true"]).await;
    rows.add(
        "amqp_auto_delete",
        "The same ones go with their last user.",
        format!("`true`: {}", seen.lasting),
    );
    let seen = look(node, python, &["rabbit_quorum_queue=true"]).await;
    rows.add(
        "rabbit_quorum_queue",
        "Topic queues are quorum queues, and durable with their exchange. Not with `rabbit_ha_queues`.",
        format!("`true`: {}", seen.lasting),
    );
    let limits = [
        "rabbit_quorum_queue=true",
        "rabbit_quorum_delivery_limit=5",
        "rabbit_quorum_max_memory_length=10",
        "rabbit_quorum_max_memory_bytes=1000",
    ];
    let seen = look(node, python, &limits).await;
    for (option, argument) in [
        ("rabbit_quorum_delivery_limit", "x-delivery-limit=5"),
        ("rabbit_quorum_max_memory_length", "x-max-in-memory-length=10"),
        ("rabbit_quorum_max_memory_bytes", "x-max-in-memory-bytes=1000"),
    ] {
        assert!(seen.lasting.contains(argument), "{}", seen.lasting);
        rows.add(option, "An argument of quorum topic queues.", format!("queue `T` {argument}"));
    }
    let seen = look(node, python, &["rabbit_ha_queues=true"]).await;
    rows.add(
        "rabbit_ha_queues",
        "An argument of every queue. Not with `rabbit_quorum_queue`: a fault at the start.",
        format!("`true`: {}", seen.lasting),
    );
}

async fn transient(node: &Node, python: &Library, rows: &mut Rows) {
    let quorum = ["rabbit_quorum_queue=true", "rabbit_transient_quorum_queue=true"];
    let seen = look(node, python, &quorum).await;
    rows.add(
        "rabbit_transient_quorum_queue",
        "Fanout and reply queues are quorum queues, and durable with the fanout exchange.",
        format!("`true`: fanout {}", seen.fanout),
    );
    let stream = [quorum[0], quorum[1], "rabbit_stream_fanout=true", "rabbit_qos_prefetch_count=100"];
    let seen = look(node, python, &stream).await;
    rows.add(
        "rabbit_stream_fanout",
        "All servers read one stream, each from where it was. Without `rabbit_transient_quorum_queue` and \
         `rabbit_qos_prefetch_count`: a fault at the start.",
        format!("`true`: fanout queue `{}`, {}", seen.fanout_name, seen.fanout),
    );
    let seen = look(node, python, &["rabbit_transient_queues_ttl=5"]).await;
    let endless = look(node, python, &["rabbit_transient_queues_ttl=0"]).await;
    rows.add(
        "rabbit_transient_queues_ttl",
        "Unused fanout and reply queues expire; 0: never. A stream keeps messages as long.",
        format!("`5`: fanout {}; `0`: fanout {}", seen.fanout, endless.fanout),
    );
}

async fn consuming(node: &Node, python: &Library, rows: &mut Rows) {
    let unset = look(node, python, &["rabbit_qos_prefetch_count=0"]).await;
    let seen = look(node, python, &["rabbit_qos_prefetch_count=7"]).await;
    rows.add(
        "rabbit_qos_prefetch_count",
        "The prefetch count; 0: as many as are handled at once, `[DEFAULT] executor_thread_pool_size`.",
        format!("`7`: {}; `0`: {}", seen.consumer, unset.consumer),
    );
    let seen = look(node, python, &["enable_cancel_on_failover=true"]).await;
    rows.add(
        "enable_cancel_on_failover",
        "An argument of consumers; one that the broker cancels is made again.",
        format!("`true`: {}", seen.consumer),
    );
}

/// Two workers of one host, one of which starts again.
async fn names(node: &Node, python: &Library, rows: &mut Rows) {
    let host = format!("host-{}", Uuid::new_v4().simple());
    let named = ["use_queue_manager=true", &format!("hostname={host}"), "processname=worker"];
    let seen = look(node, python, &named).await;
    assert_eq!(seen.fanout_name, format!("T_fanout_{host}:worker:1"));
    let broker = configured(&node.url, &Uuid::new_v4().simple().to_string(), &named);
    let prefix = format!("{}_fanout_{host}:worker", broker.topic);
    let there = async || {
        let mut names: Vec<_> = queues(node, &prefix).await.iter().map(|q| q["name"].to_string()).collect();
        names.sort();
        names
    };
    let (first, second) = (Running::start(&broker).await, Running::start(&broker).await);
    let both: Vec<_> = [1, 2].iter().map(|number| format!("\"{prefix}:{number}\"")).collect();
    assert_eq!(there().await, both);
    first.stop().await;
    assert_eq!(there().await, both, "they are not deleted");
    let third = Running::start(&broker).await;
    assert_eq!(there().await, both, "the number is taken again");
    third.stop().await;
    second.stop().await;
    rows.add(
        "use_queue_manager",
        "Fanout and reply queues have names that are found again, and are not deleted. A lock keeps the number, so \
         two workers of a host differ and a restart leaves no queue behind.",
        "`true`: `T_fanout_HOST:PROCESS:1` and, for a second worker, `:2`; both kept when one stopped, `:1` used again",
    );
    rows.add("hostname", "The host in such names; unset: `[DEFAULT] host`.", "as above");
    rows.add("processname", "The process in such names; unset: `mesos-conductor`.", "as above");
}
