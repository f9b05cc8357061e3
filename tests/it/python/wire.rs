//! A queue of the test's own and what arrives in it, byte for byte.

use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use mesos_conductor_proto::failure::Failure;
use mesos_conductor_proto::message::{Assembly, Reply};
use serde_json::Value;

use crate::support::{World, amqp_url, eventually};

pub(super) struct Wire {
    _connection: Connection,
    channel: Channel,
    pub(super) queue: String,
}

pub(super) struct Letter {
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

impl Wire {
    /// Declares the queue for this test alone, and waits while another test has one of that name.
    pub(super) async fn open(queue: &str) -> Self {
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

    /// Publishes a request to the world's workers, as it is.
    pub(super) async fn publish(&self, world: &World, content_type: &str, body: &[u8]) {
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
    pub(super) async fn look(&self) -> Option<Letter> {
        let got = self.channel.basic_get(self.queue.as_str().into(), BasicGetOptions { no_ack: true }).await;
        let message = got.expect("the queue can be read")?;
        let content_type = message.properties.content_type().as_ref().map(ToString::to_string);
        Some(Letter { content_type: content_type.unwrap_or_default(), body: message.data.clone() })
    }

    pub(super) async fn next(&self) -> Letter {
        let found = eventually(|| self.look()).await;
        found.unwrap_or_else(|| panic!("nothing came to {}", self.queue))
    }

    /// The replies of one call until it is over, and its outcome.
    pub(super) async fn outcome(&self, msg_id: &str) -> (Vec<Letter>, Result<Value, Failure>) {
        let (mut letters, mut assembly) = (Vec::new(), Assembly::default());
        loop {
            let letter = self.next().await;
            let reply = Reply::decode(Some(&letter.content_type), &letter.body).expect("it is a reply");
            assert_eq!(reply.msg_id, msg_id);
            letters.push(letter);
            if let Some(outcome) = assembly.accept(reply.content) {
                return (letters, outcome);
            }
        }
    }
}
