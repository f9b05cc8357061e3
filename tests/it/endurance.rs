//! What a worker bears: names that no queue can have, waits that hold nothing, and commands that meet each other.

use std::sync::Arc;
use std::time::Duration;

use mesos_conductor::amqp::{Message, PublishError, Publisher};
use mesos_conductor_proto::message::Request;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Caller, World, map};

/// A request as it is published, with an id of its own.
async fn send(world: &World, publisher: &Publisher, mut request: Request) {
    request.unique_id = Some(Uuid::new_v4().simple().to_string());
    request.context = world.demo();
    let message = Message {
        exchange: world.broker.exchange.clone(),
        routing_key: world.broker.topic.clone(),
        content_type: "application/json".to_owned(),
        content_encoding: "utf-8".to_owned(),
        body: request.encode(),
        mandatory: true,
        ..Message::default()
    };
    publisher.publish(&message).await.expect("the request is taken");
}

#[tokio::test]
async fn a_name_that_no_queue_can_have_is_unroutable() {
    let publisher = Publisher::new(Arc::new(World::new().await.broker));
    let long = "q".repeat(256);
    let message = Message { routing_key: long.clone(), mandatory: true, ..Message::default() };
    let refused = publisher.publish(&message).await;
    assert!(matches!(refused, Err(PublishError::Unroutable { .. })), "{refused:?}");
    let refused = publisher.declare_notification_queue("x", &long).await;
    assert!(matches!(refused, Err(PublishError::Unroutable { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_queue_with_an_impossible_name_stops_nobody() {
    let world = World::new().await;
    let worker = world.worker().await;
    let publisher = Publisher::new(Arc::new(world.broker.clone()));
    for (method, args) in [
        ("ping_conductor", json!({})),
        ("bay_delete", json!({ "uuid": Uuid::new_v4().to_string() })),
        ("bay_delete", json!({ "uuid": Uuid::new_v4().to_string(), "notify_queue": "reply_".repeat(50) })),
    ] {
        let mut request = Request::new(method, map(args));
        request.msg_id = Some(Uuid::new_v4().simple().to_string());
        request.reply_q = Some("reply_".repeat(50));
        send(&world, &publisher, request).await;
    }
    assert!(worker.logged("no queue takes messages").await);
    // The outbox still answers others.
    let caller = Caller::new(&world).await;
    caller.create_model().await;
    worker.stop().await;
}
