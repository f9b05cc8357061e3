//! One session of the server: a channel with three consumers, until something ends it.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::{
    FutureExt, Stream, StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use lapin::{
    Acker, BasicProperties, Channel, Event,
    message::Delivery as Raw,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
        BasicRejectOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{error::Elapsed, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Delivery, Disposition, Routing, Shared, count, reach};
use crate::amqp::{
    compression,
    connection::Link,
    settings::Broker,
    topology::{Declarer, Queue, fanout_exchange},
};

/// How long the broker may take to confirm a cancel or a delete.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How a session came to its end.
pub(super) enum Ended {
    /// It was told to stop; what is left to do when the requests in hand have ended is [`Session::finish`].
    Stopped(Session),
    /// It was told to pause.
    Paused,
    /// A request could not be recorded.
    Unrecorded,
    /// The broker, or the way to it, failed.
    Lost(String),
}

enum Item {
    Delivery(Routing, Box<Raw>),
    Failed(lapin::Error),
    /// The broker cancelled the consumer, as it does when a queue is deleted.
    Cancelled(&'static str),
}

pub(super) struct Session {
    shared: Arc<Shared>,
    /// Every task has a clone: the channel stays open until the last request in hand is acknowledged.
    channel: Channel,
    items: SelectAll<BoxStream<'static, Item>>,
    events: BoxStream<'static, Event>,
    tags: Vec<&'static str>,
    /// Deliveries to hand back when the consumers are cancelled.
    unrecorded: mpsc::Receiver<Acker>,
    hand_back: mpsc::Sender<Acker>,
}

impl Session {
    /// Declares everything and starts the consumers.
    pub(super) async fn open(link: &Link, shared: Arc<Shared>) -> lapin::Result<Self> {
        let broker = &shared.broker;
        let queues = [
            ("1", Routing::Topic, Queue::lasting(broker.topic.clone(), &broker.queues)),
            (
                "2",
                Routing::Server,
                Queue::lasting(format!("{}.{}", broker.topic, broker.server), &broker.queues),
            ),
            ("3", Routing::Fanout, shared.fanout.clone()),
        ];
        declare(link, broker, &queues).await?;
        let channel = link.channel().await?;
        channel.basic_qos(broker.prefetch.max(1), BasicQosOptions::default()).await?;
        let mut items = SelectAll::new();
        let mut tags = Vec::new();
        for (tag, routing, queue) in queues {
            let arguments = consumer_arguments(&shared, routing);
            let options = BasicConsumeOptions::default();
            let name = queue.name.as_str().into();
            let consumer = channel.basic_consume(name, tag.into(), options, arguments).await?;
            items.push(consume(consumer, tag, routing).boxed());
            tags.push(tag);
        }
        let (hand_back, unrecorded) = mpsc::channel(shared.permits.available_permits().max(1) * 2);
        let events = link.events();
        Ok(Self { shared, channel, items, events, tags, unrecorded, hand_back })
    }

    /// Takes requests until something ends the session.
    pub(super) async fn consume(mut self, shutdown: &CancellationToken) -> Ended {
        let mut paused = self.shared.paused.subscribe();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {
                    self.wind_down(None).await;
                    return Ended::Stopped(self);
                }
                () = reach(&mut paused, true) => {
                    self.wind_down(None).await;
                    return Ended::Paused;
                }
                Some(acker) = self.unrecorded.recv() => {
                    self.wind_down(Some(acker)).await;
                    return Ended::Unrecorded;
                }
                Some(event) = self.events.next() => report(&event),
                Some((item, permit)) = next(&mut self.items, &self.shared) => match item {
                    Item::Delivery(routing, raw) => self.start(routing, raw, permit),
                    Item::Failed(error) => return Ended::Lost(error.to_string()),
                    Item::Cancelled(tag) => {
                        self.tags.retain(|known| *known != tag);
                        self.wind_down(None).await;
                        return Ended::Lost(format!("the broker cancelled consumer {tag}: is its queue deleted?"));
                    }
                },
                else => return Ended::Lost("the consumers ended".to_owned()),
            }
        }
    }

    fn start(&self, routing: Routing, raw: Box<Raw>, permit: OwnedSemaphorePermit) {
        let shared = Arc::clone(&self.shared);
        let channel = self.channel.clone();
        let hand_back = self.hand_back.clone();
        self.shared.tasks.spawn(async move {
            shared.stats.in_flight.fetch_add(1, Ordering::Relaxed);
            handle(&shared, routing, *raw, hand_back).await;
            shared.stats.in_flight.fetch_sub(1, Ordering::Relaxed);
            drop(permit);
            drop(channel);
        });
    }

    /// Cancels the consumers, then hands back what was sent ahead and what could not be recorded: only then,
    /// because until then it would come straight back.
    async fn wind_down(&mut self, unrecorded: Option<Acker>) {
        for tag in std::mem::take(&mut self.tags) {
            let cancel = self.channel.basic_cancel(tag.into(), BasicCancelOptions::default());
            if !matches!(timeout(ANSWER_TIMEOUT, cancel).await, Ok(Ok(()))) {
                tracing::debug!(tag, "the broker did not confirm the cancel of a consumer");
            }
        }
        while let Some(Some(item)) = self.items.next().now_or_never() {
            if let Item::Delivery(_, raw) = item {
                requeue(&self.shared, &raw.acker).await;
            }
        }
        if let Some(acker) = unrecorded {
            requeue(&self.shared, &acker).await;
        }
        // Later ones find the receiver closed and hand their delivery back themselves.
        self.unrecorded.close();
        while let Some(acker) = self.unrecorded.recv().await {
            requeue(&self.shared, &acker).await;
        }
    }

    /// Takes our own fanout queue away, so that nothing piles up in it, and closes the channel.
    pub(super) async fn finish(self) {
        if self.shared.fanout.goes_with_us() {
            let name = self.shared.fanout.name.as_str().into();
            let delete = self.channel.queue_delete(name, QueueDeleteOptions::default());
            if !matches!(timeout(ANSWER_TIMEOUT, delete).await, Ok(Ok(_))) {
                tracing::debug!(queue = self.shared.fanout.name, "the fanout queue is left to expire");
            }
        }
        if !matches!(timeout(ANSWER_TIMEOUT, self.channel.close(200, "OK".into())).await, Ok(Ok(()))) {
            tracing::debug!("the broker did not confirm the close of the channel");
        }
    }
}

async fn declare(link: &Link, broker: &Broker, queues: &[(&str, Routing, Queue); 3]) -> lapin::Result<()> {
    let mut declarer = Declarer::new(link);
    declarer.control_exchange(broker).await?;
    declarer.fanout_exchange(broker).await?;
    for (_, routing, queue) in queues {
        match routing {
            Routing::Topic | Routing::Server => {
                declarer.bound_queue(queue, &broker.exchange, &queue.name).await?;
            }
            Routing::Fanout => {
                declarer.bound_queue(queue, &fanout_exchange(&broker.topic), &broker.topic).await?;
            }
        }
    }
    Ok(())
}

fn consumer_arguments(shared: &Shared, routing: Routing) -> FieldTable {
    let flags = &shared.broker.queues;
    let mut table = FieldTable::default();
    if flags.cancel_on_failover {
        table.insert("x-cancel-on-ha-failover".into(), AMQPValue::Boolean(true));
    }
    if routing == Routing::Fanout && flags.stream_fanout {
        let offset = match i64::try_from(shared.stream_next.load(Ordering::Relaxed)) {
            Ok(0) | Err(_) => AMQPValue::LongString("last".into()),
            Ok(next) => AMQPValue::LongLongInt(next),
        };
        table.insert("x-stream-offset".into(), offset);
    }
    table
}

fn consume(
    consumer: lapin::Consumer,
    tag: &'static str,
    routing: Routing,
) -> impl Stream<Item = Item> + Send + 'static {
    let items = consumer.map(move |item| match item {
        Ok(raw) => Item::Delivery(routing, Box::new(raw)),
        Err(error) => Item::Failed(error),
    });
    items.chain(stream::iter([Item::Cancelled(tag)]))
}

/// A permit first, then the next delivery: what cannot be handled now stays where the broker can give it to
/// another server.
async fn next(
    items: &mut SelectAll<BoxStream<'static, Item>>,
    shared: &Shared,
) -> Option<(Item, OwnedSemaphorePermit)> {
    let permit = Arc::clone(&shared.permits).acquire_owned().await.ok()?;
    Some((items.next().await?, permit))
}

fn report(event: &Event) {
    if let Event::ConnectionBlocked(reason) = event {
        tracing::warn!(%reason, "the broker blocks connections that publish");
    } else if let Event::ConnectionUnblocked = event {
        tracing::info!("the broker takes messages again");
    }
}

async fn handle(shared: &Shared, routing: Routing, raw: Raw, hand_back: mpsc::Sender<Acker>) {
    count(&shared.stats.deliveries);
    if raw.redelivered {
        count(&shared.stats.redelivered);
    }
    let Raw { data, properties, redelivered, acker, .. } = raw;
    // Only the broker says it of a stream; on any other queue it is whatever a client wrote.
    let is_stream = routing == Routing::Fanout && shared.broker.queues.stream_fanout;
    if let Some(offset) = number(&properties, "x-stream-offset").filter(|_| is_stream) {
        shared.stream_next.fetch_max(offset + 1, Ordering::Relaxed);
    }
    let delivery = delivery(data, &properties, redelivered, routing);
    let outcome = AssertUnwindSafe(shared.handler.handle(delivery)).catch_unwind().await;
    let disposition = outcome.unwrap_or_else(|panic| {
        count(&shared.stats.panics);
        let panic = panic_text(&*panic);
        tracing::error!(panic, "the handler of a request panicked; the request is rejected");
        Disposition::Reject
    });
    match disposition {
        Disposition::Ack => {
            shared.progress.fetch_add(1, Ordering::Relaxed);
            let sent = timeout(ANSWER_TIMEOUT, acker.ack(BasicAckOptions::default())).await;
            settle(shared, &sent);
        }
        Disposition::Reject => {
            shared.progress.fetch_add(1, Ordering::Relaxed);
            count(&shared.stats.rejected);
            let sent = timeout(ANSWER_TIMEOUT, acker.reject(BasicRejectOptions { requeue: false })).await;
            settle(shared, &sent);
        }
        // The session cancels the consumers before it hands the delivery back. If it has ended, they are.
        Disposition::Retry => {
            if let Err(refused) = hand_back.try_send(acker) {
                let (mpsc::error::TrySendError::Full(acker) | mpsc::error::TrySendError::Closed(acker)) =
                    refused;
                requeue(shared, &acker).await;
            }
        }
    }
}

/// `Ok(false)` is a failure too: the channel was lost before, and nothing was sent. So is a connection that takes no
/// bytes: it will be given up, and must not keep the request in hand until then.
fn settle(shared: &Shared, sent: &Result<lapin::Result<bool>, Elapsed>) {
    if !matches!(sent, Ok(Ok(true))) {
        count(&shared.stats.lost_acks);
        tracing::warn!("an acknowledgement did not reach the broker; it will deliver the message again");
    }
}

async fn requeue(shared: &Shared, acker: &Acker) {
    count(&shared.stats.requeued);
    // When this does not arrive, the channel is gone and the broker has taken the message back already.
    // Newer brokers count a rejected message as one that may be poison, and not one that is given back like this.
    let give_back = BasicNackOptions { requeue: true, multiple: false };
    let sent = timeout(ANSWER_TIMEOUT, acker.nack(give_back)).await;
    if !matches!(sent, Ok(Ok(true))) {
        tracing::debug!("a message went back to its queue with its channel");
    }
}

fn delivery(body: Vec<u8>, properties: &BasicProperties, redelivered: bool, routing: Routing) -> Delivery {
    let content_type = properties.content_type().as_ref().map(ToString::to_string);
    let compression = compression::of(properties);
    // Before oslo.messaging 1.11 the limit was a header.
    let milliseconds = match properties.expiration() {
        Some(text) => text.as_str().parse().ok(),
        None => number(properties, "ttl"),
    };
    let expiration = milliseconds.map(Duration::from_millis);
    Delivery { body, content_type, compression, redelivered, routing, expiration }
}

fn header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a AMQPValue> {
    properties.headers().as_ref()?.inner().get(name)
}

fn number(properties: &BasicProperties, name: &str) -> Option<u64> {
    let value = header(properties, name)?;
    let wide = value.as_long_long_int().or_else(|| value.as_long_int().map(i64::from));
    wide.or_else(|| value.as_long_uint().map(i64::from)).and_then(|number| u64::try_from(number).ok())
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}
