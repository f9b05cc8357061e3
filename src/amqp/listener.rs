//! Listens to what another service publishes, by a queue of our own on its exchange that all workers share.
//!
//! Nothing of the other service's is declared or changed: its exchange is only looked at. Where there is none, or the
//! broker does not let us, that is said once, and tried again now and then.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use lapin::Consumer;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::compression::{expand, of as compression_of};
use super::connection::{Connector, Link};
use super::settings::Broker;
use super::topology::{Declarer, Queue};

/// The largest message, decompressed, that is read.
const LARGEST: usize = 1 << 20;
/// Messages that the broker may send ahead.
const AHEAD: u16 = 50;

/// What is listened to.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Our queue.
    pub queue: String,
    /// The other service's exchange.
    pub exchange: String,
    pub keys: Vec<String>,
    /// Between two tries where listening is not possible.
    pub retry: Duration,
}

/// Who hears the messages, one after the other.
#[async_trait]
pub trait Hear: Send + Sync {
    async fn hear(&self, content_type: Option<&str>, body: &[u8]);
}

/// One worker's ear. What it hears no other worker does.
#[derive(Debug)]
pub struct Listener {
    broker: Arc<Broker>,
    subscription: Subscription,
}

impl Listener {
    #[must_use]
    pub fn new(broker: Arc<Broker>, subscription: Subscription) -> Self {
        Self { broker, subscription }
    }

    /// Listens until told to stop, whatever the broker does.
    pub async fn run(&self, hear: &dyn Hear, stop: CancellationToken) {
        let mut connector = Connector::new(Arc::clone(&self.broker));
        let (mut told, mut idle) = (false, None);
        loop {
            let wait = match stop.run_until_cancelled(self.open(&mut connector, &mut idle)).await {
                None => return,
                Some(Ok((link, consumer))) => {
                    told = false;
                    let wait = connector.succeeded();
                    let heard = stop.run_until_cancelled(listen(consumer, hear)).await;
                    link.close().await;
                    match heard {
                        None => return,
                        Some(reason) => tracing::info!(reason, "the listening is interrupted"),
                    }
                    wait
                }
                Some(Err(reason)) => {
                    let (exchange, queue) = (&self.subscription.exchange, &self.subscription.queue);
                    if told {
                        tracing::debug!(reason, exchange, queue, "still not listening");
                    } else {
                        tracing::warn!(
                            reason,
                            exchange,
                            queue,
                            "not listening; everything is looked at now and then instead"
                        );
                    }
                    told = true;
                    self.subscription.retry
                }
            };
            if stop.run_until_cancelled(sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// On the connection that was of no use before, if there is one.
    async fn open(
        &self,
        connector: &mut Connector,
        idle: &mut Option<Link>,
    ) -> Result<(Link, Consumer), String> {
        let link = match idle.take().filter(Link::is_open) {
            Some(link) => link,
            None => connector.round().await.map_err(|error| error.to_string())?,
        };
        match self.consume(&link).await {
            Ok(consumer) => {
                tracing::info!(
                    exchange = self.subscription.exchange,
                    queue = self.subscription.queue,
                    "listening"
                );
                Ok((link, consumer))
            }
            Err(error) => {
                *idle = Some(link);
                Err(error.to_string())
            }
        }
    }

    async fn consume(&self, link: &Link) -> lapin::Result<Consumer> {
        let Subscription { queue, exchange, keys, .. } = &self.subscription;
        let queue = Queue::hints(queue.clone(), &self.broker.queues);
        let mut declarer = Declarer::new(link);
        declarer.find_exchange(exchange).await?;
        declarer.queue(&queue).await?;
        for key in keys {
            declarer.bind(&queue.name, exchange, key).await?;
        }
        let channel = link.channel().await?;
        channel.basic_qos(AHEAD, BasicQosOptions::default()).await?;
        let (name, options) = (queue.name.as_str().into(), BasicConsumeOptions::default());
        channel.basic_consume(name, "1".into(), options, FieldTable::default()).await
    }
}

/// Returns why there is nothing to hear any more.
async fn listen(mut consumer: Consumer, hear: &dyn Hear) -> String {
    while let Some(delivery) = consumer.next().await {
        match delivery {
            Ok(delivery) => one(delivery, hear).await,
            Err(error) => return error.to_string(),
        }
    }
    "the broker cancelled the consumer".to_owned()
}

async fn one(delivery: Delivery, hear: &dyn Hear) {
    let compression = compression_of(&delivery.properties);
    let content_type = delivery.properties.content_type().as_ref().map(ToString::to_string);
    if delivery.data.len() <= LARGEST {
        match expand(delivery.data, compression.as_deref(), LARGEST).await {
            Ok(body) => hear.hear(content_type.as_deref(), &body).await,
            Err(error) => tracing::debug!(%error, "a compressed message cannot be read"),
        }
    }
    if !matches!(delivery.acker.ack(BasicAckOptions::default()).await, Ok(true)) {
        tracing::debug!("an acknowledgement did not reach the broker");
    }
}
