//! The least an RPC server over lapin can cost: it reads where the answer goes, publishes `true`, waits for the
//! confirm and acknowledges. No method, no check, no record, no log, no metric.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser;
use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use serde::Deserialize;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

/// A lapin server that answers every call with `true`
#[derive(Debug, Parser)]
struct Options {
    #[arg(long)]
    amqp: String,
    #[arg(long)]
    exchange: String,
    #[arg(long)]
    topic: String,
    #[arg(long)]
    prefetch: u16,
    /// Publishes as the worker does: every message on its way has a channel of its own
    #[arg(long)]
    channel_per_message: bool,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "oslo.message")]
    message: String,
}

/// serde skips everything else, the context included.
#[derive(Deserialize)]
struct Request {
    #[serde(rename = "_msg_id")]
    msg_id: String,
    #[serde(rename = "_reply_q")]
    reply_q: String,
    #[serde(rename = "_unique_id")]
    unique_id: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let connection = Connection::connect(&options.amqp, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    declare(&channel, &options).await?;
    channel.basic_qos(options.prefetch, BasicQosOptions::default()).await?;
    let (queue, arguments) = (options.topic.as_str().into(), FieldTable::default());
    let mut consumer =
        channel.basic_consume(queue, "1".into(), BasicConsumeOptions::default(), arguments).await?;
    let publisher = Arc::new(Publisher::open(connection, options.channel_per_message).await?);
    let permits = Arc::new(Semaphore::new(usize::from(options.prefetch)));
    let mut tasks = JoinSet::new();
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery?;
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let publisher = Arc::clone(&publisher);
        tasks.spawn(async move {
            let answered = answer(&publisher, delivery).await;
            drop(permit);
            answered
        });
        while let Some(ended) = tasks.try_join_next() {
            ended??;
        }
    }
    Ok(())
}

async fn declare(channel: &Channel, options: &Options) -> lapin::Result<()> {
    let (exchange, topic) = (options.exchange.as_str(), options.topic.as_str());
    let flags = ExchangeDeclareOptions { auto_delete: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(exchange.into(), ExchangeKind::Topic, flags, FieldTable::default()).await?;
    let flags = QueueDeclareOptions { auto_delete: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(topic.into(), flags, FieldTable::default()).await?;
    let flags = QueueBindOptions::default();
    channel.queue_bind(topic.into(), exchange.into(), topic.into(), flags, FieldTable::default()).await
}

async fn answer(publisher: &Publisher, delivery: Delivery) -> anyhow::Result<()> {
    let envelope: Envelope = serde_json::from_slice(&delivery.data).context("the envelope")?;
    let request: Request = serde_json::from_str(&envelope.message).context("the request")?;
    let reply = serde_json::json!({
        "result": true,
        "failure": null,
        "ending": true,
        "_msg_id": request.msg_id,
        // Any id that is not another reply's.
        "_unique_id": request.unique_id,
    });
    let envelope = serde_json::json!({"oslo.version": "2.0", "oslo.message": reply.to_string()});
    publisher.publish(&request.reply_q, envelope.to_string().as_bytes()).await?;
    delivery.acker.ack(BasicAckOptions::default()).await?;
    Ok(())
}

/// Publishes, mandatory, and waits for the confirm: on one channel, or on one that has nothing else on its way.
struct Publisher {
    connection: Connection,
    shared: Option<Channel>,
    idle: Mutex<Vec<Channel>>,
}

impl Publisher {
    async fn open(connection: Connection, channel_per_message: bool) -> lapin::Result<Self> {
        let shared = if channel_per_message { None } else { Some(confirming(&connection).await?) };
        Ok(Self { connection, shared, idle: Mutex::default() })
    }

    async fn publish(&self, queue: &str, body: &[u8]) -> lapin::Result<()> {
        if let Some(channel) = &self.shared {
            return publish(channel, queue, body).await;
        }
        let idle = self.idle.lock().await.pop();
        let channel = match idle {
            Some(channel) => channel,
            None => confirming(&self.connection).await?,
        };
        let published = publish(&channel, queue, body).await;
        self.idle.lock().await.push(channel);
        published
    }
}

async fn confirming(connection: &Connection) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

async fn publish(channel: &Channel, queue: &str, body: &[u8]) -> lapin::Result<()> {
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("utf-8".into())
        .with_headers(FieldTable::default())
        .with_delivery_mode(2)
        .with_priority(0);
    channel.basic_publish("".into(), queue.into(), options, body, properties).await?.await.map(drop)
}
