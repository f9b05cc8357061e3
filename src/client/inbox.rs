//! A queue of our own that is consumed on one connection after the other.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::StreamExt;
use lapin::{
    Channel, Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, QueueDeleteOptions},
    types::FieldTable,
};
use tokio::time::{sleep, timeout};

use crate::amqp::{ConnectError, Connector, Declarer, Link, Queue, compression_of, expand, settings::Broker};

/// How long the broker may take to confirm the delete of the queue.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest message, decompressed, that is read.
const LARGEST: usize = 256 << 20;

/// A message as it came.
pub(super) struct Letter {
    pub(super) content_type: Option<String>,
    pub(super) body: Vec<u8>,
    /// How the body is still compressed.
    compression: Option<String>,
}

/// Messages stay in the queue while the connection is lost, for as long as such a queue lives unused.
pub(super) struct Inbox {
    broker: Arc<Broker>,
    queue: Queue,
    /// The keys of the control exchange that lead to the queue.
    keys: Vec<String>,
    connector: Connector,
    session: Option<Session>,
    /// Taken, and lost by nobody if the caller gives up while it is acknowledged.
    held: Option<Letter>,
}

struct Session {
    link: Link,
    channel: Channel,
    consumer: Consumer,
}

impl Inbox {
    /// Connects, declares and consumes.
    pub(super) async fn open(
        broker: Arc<Broker>,
        prefix: &str,
        keys: Vec<String>,
    ) -> Result<Self, ConnectError> {
        let mut inbox = Self {
            queue: Queue::transient(prefix, &broker.queues),
            connector: Connector::new(Arc::clone(&broker)),
            broker,
            keys,
            session: None,
            held: None,
        };
        inbox.connect().await?;
        Ok(inbox)
    }

    pub(super) fn queue(&self) -> &str {
        &self.queue.name
    }

    /// The next message; None when the connection is lost. May be given up at any time.
    pub(super) async fn next(&mut self) -> Option<Letter> {
        if self.held.is_none() {
            let Some(Ok(delivery)) = self.session.as_mut()?.consumer.next().await else {
                self.session = None;
                return None;
            };
            let content_type = delivery.properties.content_type().as_ref().map(ToString::to_string);
            let compression = compression_of(&delivery.properties);
            self.held = Some(Letter { content_type, body: delivery.data, compression });
            if !matches!(delivery.acker.ack(BasicAckOptions::default()).await, Ok(true)) {
                tracing::debug!(queue = self.queue.name, "an acknowledgement did not reach the broker");
            }
        }
        self.expand().await;
        self.held.take()
    }

    /// Of a copy, so that nothing is lost if the caller gives up meanwhile. What cannot be read is no letter, but
    /// still counts as one that came.
    async fn expand(&mut self) {
        let Some(Letter { body, compression, .. }) = &mut self.held else { return };
        if compression.is_none() {
            return;
        }
        let expanded = expand(body.clone(), compression.as_deref(), LARGEST).await;
        *body = expanded.unwrap_or_else(|error| {
            tracing::warn!(%error, queue = self.queue.name, "a compressed message cannot be read");
            Vec::new()
        });
        *compression = None;
    }

    /// Tries until the queue is consumed again.
    pub(super) async fn reconnect(&mut self) {
        let mut wait = self.connector.succeeded();
        loop {
            sleep(wait).await;
            match self.connect().await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, queue = self.queue.name, "the queue is not consumed");
                    wait = self.connector.failed();
                }
            }
        }
    }

    /// Deletes the queue, unless it is to be found again, and disconnects.
    pub(super) async fn close(mut self) {
        let Some(Session { link, channel, .. }) = self.session.take() else { return };
        if self.queue.goes_with_us() {
            let delete = channel.queue_delete(self.queue.name.as_str().into(), QueueDeleteOptions::default());
            if !matches!(timeout(ANSWER_TIMEOUT, delete).await, Ok(Ok(_))) {
                tracing::debug!(queue = self.queue.name, "the queue is left to expire");
            }
        }
        link.close().await;
    }

    async fn connect(&mut self) -> Result<(), ConnectError> {
        let link = self.connector.round().await?;
        match self.consume(&link).await {
            Ok((channel, consumer)) => {
                self.session = Some(Session { link, channel, consumer });
                Ok(())
            }
            Err(error) => {
                Err(ConnectError::Setup { host: link.host().to_owned(), reason: error.to_string() })
            }
        }
    }

    async fn consume(&self, link: &Link) -> lapin::Result<(Channel, Consumer)> {
        let mut declarer = Declarer::new(link);
        declarer.queue(&self.queue).await?;
        if !self.keys.is_empty() {
            declarer.control_exchange(&self.broker).await?;
        }
        for key in &self.keys {
            declarer.bind(&self.queue.name, &self.broker.exchange, key).await?;
        }
        let channel = link.channel().await?;
        let (name, options) = (self.queue.name.as_str().into(), BasicConsumeOptions::default());
        let consumer = channel.basic_consume(name, "1".into(), options, FieldTable::default()).await?;
        Ok((channel, consumer))
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Inbox").field(&self.queue.name).finish()
    }
}
