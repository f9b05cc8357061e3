//! A queue of the test's own and what arrives in it, byte for byte.

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use mesos_conductor_proto::failure::Failure;
use mesos_conductor_proto::message::{Assembly, Reply};
use serde_json::Value;

use crate::support::{World, amqp_url, eventually};

pub(crate) struct Wire {
    _connection: Connection,
    channel: Channel,
    pub(crate) queue: String,
}

pub(crate) struct Letter {
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

impl Letter {
    /// What it says as a reply, and of which call.
    pub(crate) fn reply(&self) -> Reply {
        Reply::decode(Some(&self.content_type), &self.body).expect("it is a reply")
    }
}

impl Wire {
    /// Declares the queue for this test alone, and waits while another test has one of that name.
    pub(crate) async fn open(queue: &str) -> Self {
        let opened = eventually(|| async {
            let connection = Connection::connect(&amqp_url(), ConnectionProperties::default()).await;
            let connection = connection.expect("the broker takes connections");
            let channel = connection.create_channel().await.expect("the broker opens channels");
            let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
            channel.queue_declare(queue.into(), options, FieldTable::default()).await.ok()?;
            channel.confirm_select(ConfirmSelectOptions::default()).await.expect("the broker confirms");
            Some(Self { _connection: connection, channel, queue: queue.to_owned() })
        });
        opened.await.unwrap_or_else(|| panic!("{queue} is never free"))
    }

    /// Has the queue get what is sent to an exchange with that key.
    pub(crate) async fn bind(&self, exchange: &str, key: &str) {
        let (queue, options) = (self.queue.as_str().into(), QueueBindOptions::default());
        let bound =
            self.channel.queue_bind(queue, exchange.into(), key.into(), options, FieldTable::default());
        bound.await.expect("the queue is bound");
    }

    /// Publishes a request to the world's workers, as it is.
    pub(crate) async fn publish(&self, world: &World, content_type: &str, body: &[u8]) {
        let (exchange, topic) = (world.broker.exchange.as_str().into(), world.broker.topic.as_str().into());
        let properties = BasicProperties::default()
            .with_content_type(content_type.into())
            .with_content_encoding("utf-8".into())
            .with_delivery_mode(2)
            .with_priority(0);
        let sent =
            self.channel.basic_publish(exchange, topic, BasicPublishOptions::default(), body, properties);
        sent.await.expect("it is sent").await.expect("it is confirmed");
    }

    /// What is in the queue now.
    pub(crate) async fn look(&self) -> Option<Letter> {
        let got = self.channel.basic_get(self.queue.as_str().into(), BasicGetOptions { no_ack: true }).await;
        let message = got.expect("the queue can be read")?;
        let content_type = message.properties.content_type().as_ref().map(ToString::to_string);
        Some(Letter { content_type: content_type.unwrap_or_default(), body: message.data.clone() })
    }

    pub(crate) async fn next(&self) -> Letter {
        let found = eventually(|| self.look()).await;
        found.unwrap_or_else(|| panic!("nothing came to {}", self.queue))
    }

    /// The replies of one call until it is over, and its outcome.
    pub(crate) async fn outcome(&self, msg_id: &str) -> (Vec<Letter>, Result<Value, Failure>) {
        let (mut letters, mut assembly) = (Vec::new(), Assembly::default());
        loop {
            let letter = self.next().await;
            let reply = letter.reply();
            assert_eq!(reply.msg_id, msg_id);
            letters.push(letter);
            if let Some(outcome) = assembly.accept(reply.content) {
                return (letters, outcome);
            }
        }
    }
}
