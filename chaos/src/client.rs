//! What asks the pool: requests that are repeated, byte for byte, until they are answered, and everything that was said.
//!
//! Its connections are its own: only the workers' are broken, and those of everybody when the broker itself goes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, PublisherConfirm};
use mesos_conductor_proto::context::RequestContext;
use mesos_conductor_proto::message::{Reply, ReplyContent, Request};
use serde_json::Value;
use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::task::JoinSet;
use uuid::Uuid;

/// How long an answer is waited for before the request is sent again.
pub(crate) const REPEAT: Duration = Duration::from_secs(6);
/// How long anything that may hang is given.
const STEP: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_millis(100);

/// How the queues of a row are declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queues {
    Durable,
    Quorum,
}

impl Queues {
    fn arguments(self) -> FieldTable {
        let mut arguments = FieldTable::default();
        if self == Self::Quorum {
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        }
        arguments
    }
}

/// Where the pool of a row is asked.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// One URL per node of the broker.
    pub(crate) urls: Vec<String>,
    pub(crate) exchange: String,
    pub(crate) topic: String,
    /// The topic of the notifications.
    pub(crate) notifications: String,
    pub(crate) queues: Queues,
}

/// A request that changes something, and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) sent: Instant,
    /// How often it was sent.
    pub(crate) times: u32,
    /// Whether the broker has taken it for certain at least once.
    pub(crate) confirmed: bool,
    /// When the first answer came.
    pub(crate) answered: Option<Instant>,
    /// Every different answer, without what only says which message it is.
    pub(crate) answers: Vec<Vec<u8>>,
    /// What went wrong, if the answer says that something did.
    pub(crate) failure: Option<String>,
}

impl Asked {
    /// Sent for the first time now.
    fn once(method: &str) -> Self {
        Self {
            method: method.to_owned(),
            sent: Instant::now(),
            times: 1,
            confirmed: false,
            answered: None,
            answers: Vec::new(),
            failure: None,
        }
    }
}

#[derive(Debug, Default)]
struct Books {
    asked: HashMap<String, Asked>,
    /// The answers to queries that are waited for.
    queries: HashMap<String, Option<Reply>>,
    replies: HashMap<String, Reply>,
    /// The event and the outcome that each notification tells, by its id.
    notifications: HashMap<String, (String, String)>,
}

/// What an answer says: a value, or the class of the failure.
pub(crate) type Outcome = Result<Value, String>;

pub(crate) struct Client {
    place: Place,
    reply_queue: String,
    publisher: AsyncMutex<Option<(Connection, Channel)>>,
    next_url: AtomicU64,
    books: Mutex<Books>,
    news: Notify,
    /// How many answers to commands did not come within [`REPEAT`].
    pub(crate) timeouts: AtomicU64,
    /// How many answers have come.
    pub(crate) replies: AtomicU64,
    /// Each request is sent so many times from the start.
    copies: u32,
}

impl Client {
    /// Declares the queues, and listens to them until the tasks end.
    pub(crate) async fn open(
        place: Place,
        copies: u32,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<Arc<Self>> {
        let client = Arc::new(Self {
            reply_queue: format!("reply_{}", Uuid::new_v4().simple()),
            place,
            publisher: AsyncMutex::default(),
            next_url: AtomicU64::new(0),
            books: Mutex::default(),
            news: Notify::new(),
            timeouts: AtomicU64::new(0),
            replies: AtomicU64::new(0),
            copies,
        });
        for what in [Heard::Replies, Heard::Notifications, Heard::Failures] {
            client.declare(what).await?;
            let client = Arc::clone(&client);
            tasks.spawn(async move { client.listen(what).await });
        }
        Ok(client)
    }

    /// Sees to it that a queue is there before anything is sent to it.
    async fn declare(&self, what: Heard) -> anyhow::Result<()> {
        let mut tries = 0;
        loop {
            match self.consume(what).await {
                Ok((connection, _)) => {
                    connection.close(200, "declared".into()).await.ok();
                    return Ok(());
                }
                Err(error) if tries == 10 => return Err(error.context("a queue cannot be declared")),
                Err(_) => tries += 1,
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// A command, repeated until it is answered or `patience` ends.
    pub(crate) async fn command(
        &self,
        method: &str,
        args: Value,
        context: &RequestContext,
        patience: Instant,
    ) -> Option<Outcome> {
        let request = self.request(method, args, context);
        let id = request.msg_id.clone()?;
        let body = request.encode();
        self.books().asked.insert(id.clone(), Asked { times: 0, ..Asked::once(method) });
        let mut copies = self.copies;
        while Instant::now() < patience {
            for _ in 0..copies {
                let sent = self.publish(&body).await;
                if let Some(asked) = self.books().asked.get_mut(&id) {
                    asked.times += 1;
                    asked.confirmed |= sent;
                }
            }
            copies = 1;
            let until = (Instant::now() + REPEAT).min(patience);
            if let Some(reply) = self.wait(until, |books| books.replies.get(&id).cloned()).await {
                return Some(outcome(reply));
            }
            self.timeouts.fetch_add(1, Ordering::Relaxed);
        }
        None
    }

    /// A queue of a caller that never listens.
    pub(crate) async fn deaf_queue(&self) -> anyhow::Result<String> {
        let name = format!("reply_{}", Uuid::new_v4().simple());
        let connection = self.connect().await?;
        let channel = connection.create_channel().await?;
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(name.as_str().into(), options, self.place.queues.arguments()).await?;
        connection.close(200, "declared".into()).await?;
        Ok(name)
    }

    /// Sends a command whose answer goes elsewhere.
    pub(crate) async fn send_for(&self, queue: &str, method: &str, args: Value, context: &RequestContext) {
        let request = Request { reply_q: Some(queue.to_owned()), ..self.request(method, args, context) };
        self.publish(&request.encode()).await;
    }

    /// Sends many commands at once, and does not wait for answers.
    pub(crate) async fn send_many(
        &self,
        method: &str,
        args: Vec<Value>,
        context: &RequestContext,
    ) -> anyhow::Result<()> {
        let connection = self.connect().await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let mut unconfirmed = Vec::new();
        for args in args {
            let request = self.request(method, args, context);
            let Some(id) = request.msg_id.clone() else { continue };
            self.books().asked.insert(id.clone(), Asked::once(method));
            unconfirmed.push((id, self.put(&channel, &request.encode()).await?));
        }
        for (id, confirm) in unconfirmed {
            let confirmed = matches!(confirm.await?, Confirmation::Ack(None));
            if let Some(asked) = self.books().asked.get_mut(&id) {
                asked.confirmed = confirmed;
            }
        }
        connection.close(200, "sent".into()).await?;
        Ok(())
    }

    /// Sends a command and does not wait.
    pub(crate) async fn send(&self, method: &str, args: Value, context: &RequestContext) {
        let request = self.request(method, args, context);
        let Some(id) = request.msg_id.clone() else { return };
        self.books().asked.insert(id.clone(), Asked::once(method));
        let confirmed = self.publish(&request.encode()).await;
        if let Some(asked) = self.books().asked.get_mut(&id) {
            asked.confirmed = confirmed;
        }
    }

    /// A question, asked anew with another id when no answer comes.
    pub(crate) async fn query(
        &self,
        method: &str,
        args: &Value,
        context: &RequestContext,
        patience: Instant,
    ) -> Option<Outcome> {
        while Instant::now() < patience {
            let request = self.request(method, args.clone(), context);
            let id = request.msg_id.clone()?;
            self.books().queries.insert(id.clone(), None);
            self.publish(&request.encode()).await;
            let until = (Instant::now() + STEP).min(patience);
            let reply = self.wait(until, |books| books.queries.get(&id).cloned().flatten()).await;
            self.books().queries.remove(&id);
            if let Some(reply) = reply {
                return Some(outcome(reply));
            }
        }
        None
    }

    /// Everything that was asked.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.books().asked.values().cloned().collect()
    }

    /// The events and outcomes that were told, each message once.
    pub(crate) fn outcomes(&self) -> Vec<(String, String)> {
        self.books().notifications.values().cloned().collect()
    }

    /// Whether every command has its answer.
    pub(crate) fn all_answered(&self) -> bool {
        self.books().asked.values().all(|asked| asked.answered.is_some())
    }

    fn request(&self, method: &str, args: Value, context: &RequestContext) -> Request {
        let args = if let Value::Object(args) = args { args } else { serde_json::Map::default() };
        Request {
            msg_id: Some(Uuid::new_v4().simple().to_string()),
            reply_q: Some(self.reply_queue.clone()),
            unique_id: Some(Uuid::new_v4().simple().to_string()),
            context: context.clone(),
            ..Request::new(method, args)
        }
    }

    async fn wait<T>(&self, until: Instant, find: impl Fn(&Books) -> Option<T>) -> Option<T> {
        loop {
            // Armed before the look, so that news during it are not missed.
            let news = self.news.notified();
            if let Some(found) = find(&self.books()) {
                return Some(found);
            }
            tokio::time::timeout_at(until.into(), news).await.ok()?;
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        let turn = self.next_url.fetch_add(1, Ordering::Relaxed);
        let turn = usize::try_from(turn)?;
        let url = self.place.urls.get(turn % self.place.urls.len()).context("a broker")?;
        let connection = Connection::connect(url, ConnectionProperties::default());
        Ok(tokio::time::timeout(STEP, connection).await??)
    }

    /// Whether the broker has it for certain, in a queue.
    async fn publish(&self, body: &[u8]) -> bool {
        let mut publisher = self.publisher.lock().await;
        let sent = tokio::time::timeout(STEP, self.publish_with(&mut publisher, body)).await;
        if let Ok(Ok(confirmed)) = sent {
            return confirmed;
        }
        *publisher = None;
        drop(publisher);
        tokio::time::sleep(AGAIN).await;
        false
    }

    async fn publish_with(
        &self,
        publisher: &mut Option<(Connection, Channel)>,
        body: &[u8],
    ) -> anyhow::Result<bool> {
        if publisher.is_none() {
            let connection = self.connect().await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            *publisher = Some((connection, channel));
        }
        let (_, channel) = publisher.as_ref().context("a channel")?;
        let confirm = self.put(channel, body).await?.await?;
        Ok(matches!(confirm, Confirmation::Ack(None)))
    }

    async fn put(&self, channel: &Channel, body: &[u8]) -> lapin::Result<PublisherConfirm> {
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_content_encoding("utf-8".into())
            .with_delivery_mode(2);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, topic) = (self.place.exchange.as_str().into(), self.place.topic.as_str().into());
        channel.basic_publish(exchange, topic, options, body, properties).await
    }

    async fn listen(&self, what: Heard) {
        loop {
            if let Ok((_connection, mut consumer)) = self.consume(what).await {
                while let Some(Ok(delivery)) = consumer.next().await {
                    self.hear(what, &delivery.data);
                    if delivery.ack(BasicAckOptions::default()).await.is_err() {
                        break;
                    }
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn consume(&self, what: Heard) -> anyhow::Result<(Connection, lapin::Consumer)> {
        let connection = self.connect().await?;
        let channel = connection.create_channel().await?;
        let queue = match what {
            Heard::Replies => self.reply_queue.clone(),
            Heard::Notifications => format!("{}.info", self.place.notifications),
            Heard::Failures => format!("{}.error", self.place.notifications),
        };
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.as_str().into(), options, self.place.queues.arguments()).await?;
        let options = BasicConsumeOptions::default();
        let consumer =
            channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default()).await?;
        Ok((connection, consumer))
    }

    fn hear(&self, what: Heard, body: &[u8]) {
        match what {
            Heard::Replies => self.hear_reply(body),
            Heard::Notifications | Heard::Failures => self.hear_notification(body),
        }
        self.news.notify_waiters();
    }

    fn hear_reply(&self, body: &[u8]) {
        let Ok(reply) = Reply::decode(Some("application/json"), body) else { return };
        if reply.content == ReplyContent::Heartbeat {
            return;
        }
        let mut books = self.books();
        if let Some(query) = books.queries.get_mut(&reply.msg_id) {
            *query = Some(reply);
            return;
        }
        if let Some(asked) = books.asked.get_mut(&reply.msg_id) {
            self.replies.fetch_add(1, Ordering::Relaxed);
            asked.answered.get_or_insert_with(Instant::now);
            if let ReplyContent::Failure { failure, .. } = &reply.content {
                asked.failure = Some(format!("{}: {}", failure.class, failure.message));
            }
            if !asked.answers.iter().any(|known| known == body) {
                asked.answers.push(body.to_vec());
            }
            books.replies.insert(reply.msg_id.clone(), reply);
        }
    }

    fn hear_notification(&self, body: &[u8]) {
        let Ok(envelope) = serde_json::from_slice::<Value>(body) else { return };
        let inner = envelope["oslo.message"].as_str().and_then(|text| serde_json::from_str(text).ok());
        let message = inner.unwrap_or(envelope);
        let outcome = message["payload"]["outcome"].as_str().unwrap_or_default();
        if let Some(id) = message["message_id"].as_str() {
            let event = message["event_type"].as_str().unwrap_or_default();
            self.books().notifications.insert(id.to_owned(), (event.to_owned(), outcome.to_owned()));
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Heard {
    Replies,
    Notifications,
    /// Notifications of failures, which have a queue of their own.
    Failures,
}

fn outcome(reply: Reply) -> Outcome {
    match reply.content {
        ReplyContent::Result { value, .. } => Ok(value),
        ReplyContent::Failure { failure, .. } => Err(failure.class),
        ReplyContent::Ending | ReplyContent::Heartbeat => Ok(Value::Null),
    }
}
