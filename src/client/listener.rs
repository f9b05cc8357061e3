//! Follows the notifications of an exchange, with a queue of its own beside those of other listeners.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use lapin::{
    Channel, Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, QueueDeleteOptions},
    types::FieldTable,
};
use mesos_conductor_proto::notification::Notification;
use tokio::time::{sleep, timeout};

use crate::amqp::{ConnectError, Connector, Declarer, Link, Queue, settings::Broker};

/// How long the broker may take to confirm the delete of the queue.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A stream of notifications. Reconnects by itself; the queue keeps what is published meanwhile.
pub struct NotificationListener {
    broker: Arc<Broker>,
    topics: Vec<String>,
    queue: Queue,
    connector: Connector,
    session: Option<(Link, Channel, Consumer)>,
}

impl NotificationListener {
    /// Listens to every priority of the topics, on the broker's control exchange.
    ///
    /// # Errors
    /// When no host of the broker can be reached now.
    pub async fn open(broker: &Broker, topics: &[&str]) -> Result<Self, ConnectError> {
        let broker = Arc::new(broker.clone());
        let mut listener = Self {
            topics: topics.iter().map(ToString::to_string).collect(),
            queue: Queue::transient("mesos-conductor-watch", &broker.queues),
            connector: Connector::new(Arc::clone(&broker)),
            session: None,
            broker,
        };
        listener.connect().await?;
        Ok(listener)
    }

    /// The next notification; waits for it, through any loss of the connection. Messages that are none are
    /// skipped.
    pub async fn next(&mut self) -> Notification {
        loop {
            let Some((_, _, consumer)) = &mut self.session else {
                self.reconnect().await;
                continue;
            };
            let Some(Ok(delivery)) = consumer.next().await else {
                self.session = None;
                continue;
            };
            let content_type = delivery.properties.content_type().as_ref().map(ToString::to_string);
            let notification = Notification::decode(content_type.as_deref(), &delivery.data);
            if !matches!(delivery.acker.ack(BasicAckOptions::default()).await, Ok(true)) {
                tracing::debug!("the acknowledgement of a notification did not reach the broker");
            }
            match notification {
                Ok(notification) => return notification,
                Err(error) => tracing::warn!(%error, "a message on a notification queue cannot be read"),
            }
        }
    }

    /// Deletes the queue and disconnects.
    pub async fn close(mut self) {
        if let Some((link, channel, _)) = self.session.take() {
            let delete = channel.queue_delete(self.queue.name.as_str().into(), QueueDeleteOptions::default());
            if !matches!(timeout(ANSWER_TIMEOUT, delete).await, Ok(Ok(_))) {
                tracing::debug!(queue = self.queue.name, "the queue is left to expire");
            }
            link.close().await;
        }
    }

    async fn reconnect(&mut self) {
        let mut wait = self.connector.succeeded();
        loop {
            sleep(wait).await;
            match self.connect().await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, "not listening to notifications");
                    wait = self.connector.failed();
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<(), ConnectError> {
        let link = self.connector.round().await?;
        match self.consume(&link).await {
            Ok((channel, consumer)) => {
                self.session = Some((link, channel, consumer));
                Ok(())
            }
            Err(error) => {
                Err(ConnectError::Setup { host: link.host().to_owned(), reason: error.to_string() })
            }
        }
    }

    async fn consume(&self, link: &Link) -> lapin::Result<(Channel, Consumer)> {
        let mut declarer = Declarer::new(link);
        declarer.control_exchange(&self.broker).await?;
        declarer.queue(&self.queue).await?;
        for topic in &self.topics {
            declarer.bind(&self.queue.name, &self.broker.exchange, &format!("{topic}.*")).await?;
        }
        let channel = link.channel().await?;
        let name = self.queue.name.as_str().into();
        let options = BasicConsumeOptions::default();
        let consumer =
            channel.basic_consume(name, "notifications".into(), options, FieldTable::default()).await?;
        Ok((channel, consumer))
    }
}

impl std::fmt::Debug for NotificationListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NotificationListener").field("queue", &self.queue.name).finish_non_exhaustive()
    }
}
