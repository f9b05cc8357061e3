//! A client of bytes: it sends bodies as they are, as often as a test likes, and keeps every reply that comes.

use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use mesos_conductor_proto::message::{Reply, ReplyContent, Request};
use serde_json::Value;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{World, eventually, map};

pub(crate) struct Peer {
    _connection: Connection,
    channel: Channel,
    exchange: String,
    topic: String,
    pub(crate) queue: String,
    replies: Arc<Mutex<Vec<Vec<u8>>>>,
    _tasks: JoinSet<()>,
}

impl Peer {
    pub(crate) async fn open(world: &World) -> Self {
        let connection = Connection::connect(&super::amqp_url(), ConnectionProperties::default()).await;
        let connection = connection.expect("the broker takes connections");
        let channel = connection.create_channel().await.expect("the broker opens channels");
        let queue = format!("reply_{}", Uuid::new_v4().simple());
        let options = QueueDeclareOptions { auto_delete: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await.expect("a queue");
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consumer =
            channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default());
        let mut consumer = consumer.await.expect("the queue can be consumed");
        let replies = Arc::new(Mutex::new(Vec::new()));
        let (kept, mut tasks) = (Arc::clone(&replies), JoinSet::new());
        tasks.spawn(async move {
            while let Some(Ok(delivery)) = consumer.next().await {
                kept.lock().expect("no panic under the lock").push(delivery.data);
            }
        });
        let (exchange, topic) = (world.broker.exchange.clone(), world.broker.topic.clone());
        Self { _connection: connection, channel, exchange, topic, queue, replies, _tasks: tasks }
    }

    /// A call as a client makes it, to be answered here.
    pub(crate) fn request(&self, world: &World, method: &str, args: Value) -> Request {
        Request {
            msg_id: Some(Uuid::new_v4().simple().to_string()),
            reply_q: Some(self.queue.clone()),
            unique_id: Some(Uuid::new_v4().simple().to_string()),
            context: world.demo(),
            ..Request::new(method, map(args))
        }
    }

    pub(crate) async fn send(&self, request: &Request) {
        self.send_bytes("application/json", &request.encode()).await;
    }

    pub(crate) async fn send_bytes(&self, content_type: &str, body: &[u8]) {
        self.publish(&self.exchange, &self.topic, content_type, body).await;
    }

    /// To every worker of the topic.
    pub(crate) async fn fan_out(&self, request: &Request) {
        self.publish(&format!("{}_fanout", self.topic), "", "application/json", &request.encode()).await;
    }

    async fn publish(&self, exchange: &str, key: &str, content_type: &str, body: &[u8]) {
        let properties = BasicProperties::default()
            .with_content_type(content_type.into())
            .with_content_encoding("utf-8".into());
        let options = BasicPublishOptions::default();
        let sent = self.channel.basic_publish(exchange.into(), key.into(), options, body, properties).await;
        sent.expect("it is sent").await.expect("the broker has it");
    }

    /// The queue that its replies come to.
    pub(crate) fn queue(&self) -> &str {
        &self.queue
    }

    /// How many messages wait for the workers.
    pub(crate) async fn waiting(&self) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = self.channel.queue_declare(self.topic.as_str().into(), options, FieldTable::default());
        queue.await.expect("the queue is there").message_count()
    }

    /// What has come so far.
    pub(crate) fn seen(&self) -> Vec<Vec<u8>> {
        self.replies.lock().expect("no panic under the lock").clone()
    }

    /// How many have come so far.
    pub(crate) fn came(&self) -> usize {
        self.replies.lock().expect("no panic under the lock").len()
    }

    /// Waits for so many replies.
    pub(crate) async fn replies(&self, count: usize) -> Vec<Vec<u8>> {
        let came = eventually(|| async { (self.came() >= count).then(|| self.seen()) }).await;
        came.unwrap_or_else(|| panic!("only {} of {count} replies came", self.came()))
    }
}

/// The value in a reply, or the class of its failure.
pub(crate) fn outcome(body: &[u8]) -> Result<Value, String> {
    let reply = Reply::decode(Some("application/json"), body).expect("a reply can be read");
    match reply.content {
        ReplyContent::Result { value, .. } => Ok(value),
        ReplyContent::Failure { failure, .. } => Err(failure.class),
        // A single reply with nothing in it is a null result.
        ReplyContent::Ending => Ok(Value::Null),
        ReplyContent::Heartbeat => panic!("a heartbeat ends no call"),
    }
}
