//! What a confirm is worth.

use std::{sync::Arc, time::Duration};

use lapin::{
    options::QueueDeclareOptions,
    types::{AMQPValue, FieldTable},
};
use mesos_conductor::{
    amqp::{Message, PublishError, Publisher},
    client::NotificationListener,
};
use mesos_conductor_proto::{
    codec::Map,
    notification::{Driver, Notification, Priority},
};
use serde_json::json;
use tokio::{task::JoinSet, time::timeout};
use uuid::Uuid;

use super::broker::{Inspector, PATIENCE, Proxy, broker, eventually};

fn to_queue(name: &str) -> Message {
    Message {
        routing_key: name.to_owned(),
        content_type: "application/json".to_owned(),
        content_encoding: "utf-8".to_owned(),
        body: b"{}".to_vec(),
        mandatory: true,
        ..Message::default()
    }
}

async fn queue(inspector: &Inspector, name: &str, arguments: FieldTable) {
    let options =
        QueueDeclareOptions { auto_delete: true, exclusive: true, ..QueueDeclareOptions::default() };
    inspector.channel().await.queue_declare(name.into(), options, arguments).await.unwrap();
}

#[tokio::test]
async fn each_of_many_messages_learns_its_own_fate() {
    let Some(broker) = broker() else { return };
    let inspector = Inspector::new(&broker).await;
    // An exclusive queue can be published to by anyone, and goes with the inspector's connection.
    let name = format!("{}-inbox", broker.topic);
    queue(&inspector, &name, FieldTable::default()).await;
    let publisher = Publisher::new(Arc::new(broker.clone()));
    let mut messages = JoinSet::new();
    for n in 0..300 {
        let (publisher, name) = (publisher.clone(), name.clone());
        messages.spawn(async move {
            let routable = n % 3 != 0;
            let target = if routable { name } else { format!("{name}-nowhere") };
            (routable, publisher.publish(&to_queue(&target)).await)
        });
    }
    while let Some(message) = messages.join_next().await {
        match message.unwrap() {
            (true, outcome) => assert_eq!(outcome, Ok(())),
            (false, outcome) => {
                assert!(matches!(outcome, Err(PublishError::Unroutable { .. })), "{outcome:?}")
            }
        }
    }
    inspector.purge(&name).await;
    publisher.close().await;
}

#[tokio::test]
async fn a_missing_exchange_is_unroutable_and_harms_nothing() {
    let Some(broker) = broker() else { return };
    let inspector = Inspector::new(&broker).await;
    let name = format!("{}-inbox", broker.topic);
    queue(&inspector, &name, FieldTable::default()).await;
    let publisher = Publisher::new(Arc::new(broker.clone()));
    let lost = Message { exchange: broker.exchange.clone(), ..to_queue(&name) };
    let error = publisher.publish(&lost).await.unwrap_err();
    assert!(matches!(error, PublishError::Unroutable { .. }) && !error.may_have_arrived(), "{error:?}");
    publisher.publish(&to_queue(&name)).await.unwrap();
    publisher.close().await;
}

#[tokio::test]
async fn a_message_that_the_broker_cannot_keep_is_an_error() {
    let Some(broker) = broker() else { return };
    let inspector = Inspector::new(&broker).await;
    let name = format!("{}-full", broker.topic);
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    queue(&inspector, &name, arguments).await;
    let publisher = Publisher::new(Arc::new(broker.clone()));
    assert_eq!(publisher.publish(&to_queue(&name)).await, Ok(()));
    assert_eq!(publisher.publish(&to_queue(&name)).await, Err(PublishError::Nacked));
    publisher.close().await;
}

#[tokio::test]
async fn the_two_messages_of_a_double_reply_keep_their_order() {
    let Some(broker) = broker() else { return };
    let inspector = Inspector::new(&broker).await;
    let name = format!("{}-inbox", broker.topic);
    queue(&inspector, &name, FieldTable::default()).await;
    let publisher = Publisher::new(Arc::new(broker.clone()));
    let mut pairs = JoinSet::new();
    for n in 0..50_u8 {
        let (publisher, name) = (publisher.clone(), name.clone());
        pairs.spawn(async move {
            let pair = [0, 1].map(|part| Message { body: vec![n, part], ..to_queue(&name) });
            publisher.publish_in_order(&pair).await
        });
    }
    while let Some(outcome) = pairs.join_next().await {
        outcome.unwrap().unwrap();
    }
    let channel = inspector.channel().await;
    let mut last = [None; 50];
    for _ in 0..100 {
        let options = lapin::options::BasicGetOptions { no_ack: true };
        let message =
            channel.basic_get(name.as_str().into(), options).await.unwrap().expect("all have arrived");
        let (pair, part) = (usize::from(message.data[0]), message.data[1]);
        assert_eq!(last[pair], part.checked_sub(1));
        last[pair] = Some(part);
    }
    publisher.close().await;
}

#[tokio::test]
async fn the_publisher_connects_again_after_a_cut() {
    let Some(broker) = broker() else { return };
    let inspector = Inspector::new(&broker).await;
    let name = format!("{}-inbox", broker.topic);
    queue(&inspector, &name, FieldTable::default()).await;
    let proxy = Proxy::before(&broker).await;
    let publisher = Publisher::new(Arc::new(proxy.route(&broker)));
    for _ in 0..3 {
        publisher.publish(&to_queue(&name)).await.unwrap();
        proxy.cut();
        // The first message after a cut may meet the dead connection: then its fate is unknown.
        eventually("a message is confirmed again", async || {
            match publisher.publish(&to_queue(&name)).await {
                Ok(()) => true,
                Err(error) => {
                    assert!(
                        error.may_have_arrived() || matches!(error, PublishError::Unconnected(_)),
                        "{error:?}"
                    );
                    false
                }
            }
        })
        .await;
    }
    publisher.close().await;
}

#[tokio::test]
async fn without_a_broker_a_message_fails_as_not_sent() {
    let Some(mut broker) = broker() else { return };
    let proxy = Proxy::before(&broker).await;
    proxy.set_open(false);
    broker.confirm_timeout = Duration::from_millis(500);
    let publisher = Publisher::new(Arc::new(proxy.route(&broker)));
    let error = publisher.publish(&to_queue("anywhere")).await.unwrap_err();
    assert!(matches!(error, PublishError::Unconnected(_)), "{error:?}");
}

fn notification(event_type: &str) -> Notification {
    Notification {
        message_id: Uuid::new_v4().to_string(),
        publisher_id: "magnum.host1".to_owned(),
        event_type: event_type.to_owned(),
        priority: Priority::Info,
        payload: json!({"name": "bay"}),
        timestamp: "2016-01-02 03:04:05.000006".to_owned(),
        unique_id: Uuid::new_v4().simple().to_string(),
        context: Map::new(),
    }
}

#[tokio::test]
async fn notifications_wait_in_their_queue_and_reach_listeners() {
    let Some(broker) = broker() else { return };
    let topic = format!("notes-{}", broker.topic);
    let key = format!("{topic}.info");
    let publisher = Publisher::new(Arc::new(broker.clone()));
    let publish = async |event: &str| {
        let body = notification(event).encode(Driver::Messagingv2);
        let message = Message { exchange: broker.exchange.clone(), mandatory: true, body, ..to_queue(&key) };
        publisher.publish_notification(&message).await.unwrap();
    };
    publish("before").await;
    let mut listener = NotificationListener::open(&broker, &[&topic]).await.unwrap();
    publish("after").await;
    let heard = timeout(PATIENCE, listener.next()).await.expect("it is heard");
    assert_eq!((heard.event_type.as_str(), heard.payload), ("after", json!({"name": "bay"})));
    // The queue of the classic listener has both, though nobody has listened there.
    let inspector = Inspector::new(&broker).await;
    assert_eq!(inspector.queue(&key).await, Some((2, 0)));
    listener.close().await;
    inspector.channel().await.queue_delete(key.as_str().into(), Default::default()).await.unwrap();
    publisher.close().await;
}

#[tokio::test]
async fn a_notification_queue_that_was_deleted_is_declared_again() {
    let Some(broker) = broker() else { return };
    let key = format!("notes-{}.info", broker.topic);
    let inspector = Inspector::new(&broker).await;
    let publisher = Publisher::new(Arc::new(broker.clone()));
    let message = Message { exchange: broker.exchange.clone(), ..to_queue(&key) };
    publisher.publish_notification(&message).await.unwrap();
    inspector.channel().await.queue_delete(key.as_str().into(), Default::default()).await.unwrap();
    let lost = publisher.publish_notification(&message).await;
    assert!(matches!(lost, Err(PublishError::Unroutable { .. })), "{lost:?}");
    publisher.forget_notification_queue(&broker.exchange, &key).await;
    publisher.publish_notification(&message).await.unwrap();
    assert_eq!(inspector.queue(&key).await, Some((1, 0)));
    inspector.channel().await.queue_delete(key.as_str().into(), Default::default()).await.unwrap();
    publisher.close().await;
}

#[tokio::test]
async fn a_listener_hears_after_a_cut_what_was_published_meanwhile() {
    let Some(broker) = broker() else { return };
    let topic = format!("notes-{}", broker.topic);
    let proxy = Proxy::before(&broker).await;
    let mut listener = NotificationListener::open(&proxy.route(&broker), &[&topic]).await.unwrap();
    proxy.set_open(false);
    proxy.cut();
    let publisher = Publisher::new(Arc::new(broker.clone()));
    let body = notification("meanwhile").encode(Driver::Messaging);
    let key = format!("{topic}.warn");
    let message = Message { exchange: broker.exchange.clone(), mandatory: true, body, ..to_queue(&key) };
    publisher.publish(&message).await.unwrap();
    proxy.set_open(true);
    let heard = timeout(PATIENCE, listener.next()).await.expect("it is heard");
    assert_eq!(heard.event_type, "meanwhile");
    listener.close().await;
    publisher.close().await;
}
