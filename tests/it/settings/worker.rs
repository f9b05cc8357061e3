//! What only a whole worker shows: replies, and what it makes of bodies.

use std::io::Write;

use lapin::{
    BasicProperties,
    options::BasicPublishOptions,
    types::{AMQPValue, FieldTable},
};
use serde_json::json;

use super::{Rows, python::Library};
use crate::{
    amqp::broker::Inspector,
    support::{World, amqp_url, eventually, peer::Peer, worker::Worker},
};

const OPTIONS: &str = "
[oslo_messaging_rabbit]
kombu_missing_consumer_retry_timeout = 1
direct_mandatory_flag = false
";

pub(super) async fn rows(python: &Library) -> Rows {
    let world = World::new().await;
    let mut rows = Rows::default();
    for compression in ["bz2", "gzip"] {
        let options = format!("[oslo_messaging_rabbit]\nkombu_compression = \"{compression}\"");
        let worker = Worker::start(&world, &options, None).await;
        compressed_calls_are_answered(&world, python).await;
        worker.stop().await;
    }
    let worker = Worker::start(&world, OPTIONS, None).await;
    bombs_are_rejected(&world, &worker).await;
    rows.add(
        "kombu_compression",
        "Compresses what is sent. What comes may be compressed in any way that kombu has, up to \
         `[conductor] max_message_size` when it is decompressed.",
        "`gzip` and `bz2`: Python reads the answers to its calls, plain and gzip (its own `bz2` it cannot send: kombu \
         5.7 has no such name); a call in bz2 is answered; 256 MiB of zeros in 0.3 MiB are rejected",
    );
    lost_callers_are_given_up(&world, &worker).await;
    rows.add(
        "kombu_missing_consumer_retry_timeout",
        "How long a reply to a queue that is gone is tried again; the work stands.",
        "`1`: dropped after 1 s, and counted",
    );
    rows.add(
        "direct_mandatory_flag",
        "Nothing: a reply to a queue that is gone is always noticed.",
        "`false`: as above",
    );
    worker.stop().await;
    rows
}

/// The client is Python with the option set; the worker's replies are compressed.
async fn compressed_calls_are_answered(world: &World, python: &Library) {
    let url = amqp_url().replace("amqp://", "rabbit://");
    let (exchange, topic) = (&world.broker.exchange, &world.broker.topic);
    for query in ["", "?kombu_compression=gzip"] {
        let answer = python.call(&format!("{url}{query}"), exchange, topic, "ping_conductor").await;
        assert_eq!(answer, Ok(json!(true)), "{query}");
    }
    // Our own client reads them too.
    let client = world.client().await;
    let answer = client.call("ping_conductor", Default::default(), world.options()).await;
    assert_eq!(answer.expect("it is answered"), json!(true));
    client.close().await;
    let peer = Peer::open(world).await;
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    encoder.write_all(&peer.request(world, "ping_conductor", json!({})).encode()).expect("it is memory");
    publish(world, "application/x-bz2", &encoder.finish().expect("it is memory")).await;
    // The answer is compressed as well, and this peer is no client that knows it.
    assert_eq!(peer.replies(1).await.len(), 1);
}

async fn bombs_are_rejected(world: &World, worker: &Worker) {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    let zeros = vec![0; 1 << 20];
    for _ in 0..256 {
        encoder.write_all(&zeros).expect("it is memory");
    }
    let bomb = encoder.finish().expect("it is memory");
    assert!(bomb.len() < 300_000);
    for (compression, body) in
        [("application/x-gzip", bomb), ("application/x-gzip", b"no zlib".to_vec()), ("lzw", vec![1])]
    {
        publish(world, compression, &body).await;
    }
    let counted =
        eventually(async || (worker.metric("mesos_conductor_rejects_total").await >= 3.0).then_some(()));
    assert!(counted.await.is_some(), "{}", worker.log_text());
    assert!(worker.log_text().contains("a message over [conductor] max_message_size is rejected"));
    assert!(worker.log_text().contains("compression \\\"lzw\\\" is not known"), "{}", worker.log_text());
}

async fn publish(world: &World, compression: &str, body: &[u8]) {
    let mut headers = FieldTable::default();
    headers.insert("compression".into(), AMQPValue::LongString(compression.into()));
    let properties =
        BasicProperties::default().with_content_type("application/json".into()).with_headers(headers);
    let channel = Inspector::new(&world.broker).await.channel().await;
    let (exchange, key) = (world.broker.exchange.as_str().into(), world.broker.topic.as_str().into());
    let sent = channel.basic_publish(exchange, key, BasicPublishOptions::default(), body, properties).await;
    sent.expect("it is sent").await.expect("the broker has it");
}

async fn lost_callers_are_given_up(world: &World, worker: &Worker) {
    let peer = Peer::open(world).await;
    let mut request = peer.request(world, "ping_conductor", json!({}));
    request.reply_q = Some("reply_to_nobody".to_owned());
    peer.send(&request).await;
    let dropped = eventually(async || {
        (worker.metric("mesos_conductor_replies_dropped_total").await == 1.0).then_some(())
    });
    assert!(dropped.await.is_some(), "{}", worker.log_text());
}
