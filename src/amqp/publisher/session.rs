//! One connection of the publisher, with its pool of channels and what was declared on it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex as SyncMutex, PoisonError},
};

use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::{Message, PublishError};
use crate::amqp::{
    compression,
    connection::Link,
    settings::{Broker, Compression},
    topology::{Declarer, Queue, reply_code},
};

/// Messages on their way at once. Each has a channel, and a channel is a process on the broker.
const LANES: u16 = 256;

/// Priority 0 and persistent, as Python publishes.
const PERSISTENT: u8 = 2;

pub(super) struct Session {
    link: Link,
    compression: Option<Compression>,
    lanes: Arc<Semaphore>,
    idle: SyncMutex<Vec<Channel>>,
    declared: Mutex<HashSet<Declared>>,
}

/// What need not be declared again on this connection.
#[derive(PartialEq, Eq, Hash)]
enum Declared {
    Control,
    Fanout,
    Notifications { exchange: String, queue: String },
}

impl Session {
    pub(super) fn new(link: Link, compression: Option<Compression>) -> Self {
        // Zero is no limit; one channel is left for declaring.
        let granted = match link.channel_max() {
            0 => LANES,
            granted => LANES.min(granted.saturating_sub(1)).max(1),
        };
        Self {
            lanes: Arc::new(Semaphore::new(usize::from(granted))),
            link,
            compression,
            idle: SyncMutex::default(),
            declared: Mutex::default(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.link.is_open()
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.link.is_blocked()
    }

    pub(super) async fn close(&self) {
        self.link.close().await;
    }

    pub(super) async fn declare_control_exchange(
        &self,
        broker: &Broker,
        deadline: Instant,
    ) -> Result<(), PublishError> {
        self.once(Declared::Control, deadline, async {
            Declarer::new(&self.link).control_exchange(broker).await
        })
        .await
    }

    pub(super) async fn declare_fanout_exchange(
        &self,
        broker: &Broker,
        deadline: Instant,
    ) -> Result<(), PublishError> {
        self.once(Declared::Fanout, deadline, async {
            Declarer::new(&self.link).fanout_exchange(broker).await
        })
        .await
    }

    pub(super) async fn declare_notification_queue(
        &self,
        broker: &Broker,
        exchange: &str,
        queue: &str,
        deadline: Instant,
    ) -> Result<(), PublishError> {
        let what = Declared::Notifications { exchange: exchange.to_owned(), queue: queue.to_owned() };
        self.once(what, deadline, async {
            let mut declarer = Declarer::new(&self.link);
            declarer.topic_exchange(exchange, &broker.queues).await?;
            let lasting = Queue::lasting(queue.to_owned(), &broker.queues);
            declarer.bound_queue(&lasting, exchange, queue).await
        })
        .await
    }

    pub(super) async fn forget_notification_queue(&self, exchange: &str, queue: &str) {
        let what = Declared::Notifications { exchange: exchange.to_owned(), queue: queue.to_owned() };
        self.declared.lock().await.remove(&what);
    }

    async fn once(
        &self,
        what: Declared,
        deadline: Instant,
        declare: impl Future<Output = lapin::Result<()>>,
    ) -> Result<(), PublishError> {
        let mut declared = self.declared.lock().await;
        if declared.contains(&what) {
            return Ok(());
        }
        match timeout_at(deadline, declare).await {
            Ok(Ok(())) => {
                declared.insert(what);
                Ok(())
            }
            Ok(Err(error)) => Err(PublishError::Unconnected(error.to_string())),
            Err(_) => Err(PublishError::Unconnected("the broker declares nothing".to_owned())),
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Channel>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A channel with nothing else on its way. Given back only when all its messages were confirmed: a channel
/// that was left in the middle closes when it is dropped.
pub(super) struct Lane<'a> {
    session: &'a Session,
    channel: Channel,
    _permit: OwnedSemaphorePermit,
}

impl<'a> Lane<'a> {
    pub(super) async fn take(session: &'a Session, deadline: Instant) -> Result<Self, PublishError> {
        let open = async {
            let permit = Arc::clone(&session.lanes).acquire_owned().await.expect("it is never closed");
            // The one that was used last, so that a quiet service uses few.
            let idle = session.idle().pop().filter(|channel| channel.status().connected());
            let channel = match idle {
                Some(channel) => channel,
                None => {
                    let channel = session.link.channel().await?;
                    channel.confirm_select(ConfirmSelectOptions::default()).await?;
                    channel
                }
            };
            Ok(Self { session, channel, _permit: permit })
        };
        match timeout_at(deadline, open).await {
            Ok(Ok(lane)) => Ok(lane),
            Ok(Err(error)) => Err(PublishError::Unconnected(lapin::Error::to_string(&error))),
            Err(_) => Err(PublishError::Unconnected("the broker opens no channel".to_owned())),
        }
    }

    pub(super) async fn publish(self, messages: &[Message], deadline: Instant) -> Result<(), PublishError> {
        // Boxed, because every operation that may have something to say has this in its future.
        match timeout_at(deadline, Box::pin(self.send(messages))).await {
            Ok(outcome) => {
                if !matches!(outcome, Err(PublishError::Disconnected(_))) {
                    self.session.idle().push(self.channel);
                }
                outcome
            }
            Err(_) => Err(PublishError::Timeout { blocked: self.session.is_blocked() }),
        }
    }

    async fn send(&self, messages: &[Message]) -> Result<(), PublishError> {
        let mut confirms = Vec::with_capacity(messages.len());
        for message in messages {
            let options = BasicPublishOptions { mandatory: message.mandatory, immediate: false };
            let (exchange, key) = (message.exchange.as_str().into(), message.routing_key.as_str().into());
            let compression = self.session.compression.filter(|_| message.compressed.is_none());
            let body = compression.map(|compression| compression.compress(&message.body));
            let body = body.as_ref().unwrap_or(&message.body);
            let properties = properties(message, compression);
            let sent = self.channel.basic_publish(exchange, key, options, body, properties);
            confirms.push((message, sent.await.map_err(|error| failed(message, &error))?));
        }
        let mut outcome = Ok(());
        // Every confirm is awaited, whatever the others say: the channel is used again.
        for (message, confirm) in confirms {
            let confirmed = match confirm.await {
                Ok(Confirmation::Ack(None) | Confirmation::NotRequested) => Ok(()),
                Ok(Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_))) => Err(unroutable(message)),
                Ok(Confirmation::Nack(None)) => Err(PublishError::Nacked),
                Err(error) => Err(failed(message, &error)),
            };
            outcome = outcome.and(confirmed);
        }
        outcome
    }
}

fn properties(message: &Message, compression: Option<Compression>) -> BasicProperties {
    let mut headers = FieldTable::default();
    if let Some(name) = message.compressed.as_deref().or_else(|| compression.map(Compression::name)) {
        headers.insert(compression::HEADER.into(), AMQPValue::LongString(name.into()));
    }
    let properties = BasicProperties::default()
        .with_content_type(message.content_type.as_str().into())
        .with_content_encoding(message.content_encoding.as_str().into())
        .with_headers(headers)
        .with_delivery_mode(PERSISTENT)
        .with_priority(0);
    match message.expiration {
        None => properties,
        Some(limit) => properties.with_expiration(limit.as_millis().to_string().into()),
    }
}

fn unroutable(message: &Message) -> PublishError {
    PublishError::Unroutable { exchange: message.exchange.clone(), routing_key: message.routing_key.clone() }
}

/// A missing exchange closes the channel with 404: nothing was routed, and the connection is fine.
fn failed(message: &Message, error: &lapin::Error) -> PublishError {
    match reply_code(error) {
        Some(404) => unroutable(message),
        _ => PublishError::Disconnected(error.to_string()),
    }
}
