//! The client's reply queue, and the calls that wait for something to come by it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::StreamExt;
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, QueueDeleteOptions},
    types::FieldTable,
};
use mesos_conductor_proto::message::{Assembly, Reply, ReplyContent};
use serde_json::Value;
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{CallError, new_id};
use crate::amqp::{ConnectError, Connector, Declarer, Link, PublishError, Queue, settings::Broker};

/// How many ids of messages are remembered to know repeated ones.
const REMEMBERED: usize = 4096;

/// How long the broker may take to confirm the delete of the reply queue.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What a client has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientStats {
    /// Messages that came by the reply queue.
    pub messages: u64,
    /// Of these: with an id that had come before. Dropped.
    pub duplicates: u64,
    /// Of these: for no call that waits. Dropped.
    pub unmatched: u64,
    /// Of these: not replies at all. Dropped.
    pub unreadable: u64,
    /// Of these: heartbeats.
    pub heartbeats: u64,
    /// How often the reply queue was consumed anew after a loss.
    pub reconnects: u64,
}

/// Where calls wait and replies arrive.
#[derive(Debug)]
pub(super) struct Desk {
    queue: String,
    listening: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    calls: HashMap<String, Waiting>,
    recent: VecDeque<String>,
    known: HashSet<String>,
    stats: ClientStats,
}

#[derive(Debug)]
struct Waiting {
    assembly: Assembly,
    last_heard: Instant,
    answer: oneshot::Sender<Result<Value, CallError>>,
}

impl Desk {
    /// Connects and consumes; the receiver is to be run.
    pub(super) async fn open(broker: &Arc<Broker>) -> Result<(Arc<Self>, Receiver), ConnectError> {
        let queue = Queue::transient("reply", &broker.queues);
        let desk = Arc::new(Self {
            queue: queue.name.clone(),
            listening: watch::Sender::new(true),
            state: Mutex::default(),
        });
        let mut receiver = Receiver {
            desk: Arc::clone(&desk),
            queue,
            connector: Connector::new(Arc::clone(broker)),
            session: None,
        };
        receiver.connect().await?;
        Ok((desk, receiver))
    }

    pub(super) fn queue(&self) -> &str {
        &self.queue
    }

    pub(super) fn stats(&self) -> ClientStats {
        self.state().stats
    }

    /// Waits until the reply queue exists and is consumed: no request is sent before that.
    pub(super) async fn listening(&self, deadline: Instant) -> Result<(), PublishError> {
        let mut listening = self.listening.subscribe();
        match timeout_at(deadline, listening.wait_for(|listening| *listening)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(PublishError::Unconnected("the reply queue is not consumed".to_owned())),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(&self, content_type: Option<&str>, body: &[u8]) {
        let reply = Reply::decode(content_type, body);
        self.state().accept(reply.map_err(|error| {
            tracing::warn!(%error, "a message on the reply queue cannot be read");
        }));
    }
}

impl State {
    fn accept(&mut self, reply: Result<Reply, ()>) {
        self.stats.messages += 1;
        let Ok(reply) = reply else {
            self.stats.unreadable += 1;
            return;
        };
        if let Some(id) = reply.unique_id
            && !self.remember(id)
        {
            self.stats.duplicates += 1;
            return;
        }
        let heartbeat = matches!(reply.content, ReplyContent::Heartbeat);
        self.stats.heartbeats += u64::from(heartbeat);
        let Some(call) = self.calls.get_mut(&reply.msg_id) else {
            self.stats.unmatched += 1;
            return;
        };
        call.last_heard = Instant::now();
        if let Some(outcome) = call.assembly.accept(reply.content)
            && let Some(call) = self.calls.remove(&reply.msg_id)
        {
            // The caller may have given up; then nobody needs it.
            drop(call.answer.send(outcome.map_err(CallError::Remote)));
        }
    }

    /// False when the id is known already.
    fn remember(&mut self, id: String) -> bool {
        if !self.known.insert(id.clone()) {
            return false;
        }
        self.recent.push_back(id);
        if self.recent.len() > REMEMBERED
            && let Some(oldest) = self.recent.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// A call that waits. Dropping it stops waiting.
pub(super) struct Call<'a> {
    desk: &'a Desk,
    id: String,
    started: Instant,
    answer: oneshot::Receiver<Result<Value, CallError>>,
}

impl<'a> Call<'a> {
    pub(super) fn new(desk: &'a Desk) -> Self {
        let (sender, answer) = oneshot::channel();
        let (id, started) = (new_id(), Instant::now());
        let waiting = Waiting { assembly: Assembly::default(), last_heard: started, answer: sender };
        desk.state().calls.insert(id.clone(), waiting);
        Self { desk, id, started, answer }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn last_heard(&self) -> Instant {
        self.desk.state().calls.get(&self.id).map_or(self.started, |call| call.last_heard)
    }

    pub(super) async fn outcome(&mut self) -> Result<Value, CallError> {
        match (&mut self.answer).await {
            Ok(outcome) => outcome,
            Err(_) => Err(CallError::Protocol("the call was given up".to_owned())),
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.desk.state().calls.remove(&self.id);
    }
}

/// Takes replies from the queue, on one connection after the other.
pub(super) struct Receiver {
    desk: Arc<Desk>,
    queue: Queue,
    connector: Connector,
    session: Option<(Link, Channel, Consumer)>,
}

impl Receiver {
    async fn connect(&mut self) -> Result<(), ConnectError> {
        let link = self.connector.round().await?;
        match consume(&link, &self.queue).await {
            Ok((channel, consumer)) => {
                self.session = Some((link, channel, consumer));
                Ok(())
            }
            Err(error) => {
                Err(ConnectError::Setup { host: link.host().to_owned(), reason: error.to_string() })
            }
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.receive() => {}
            }
        }
        if let Some((link, channel, _)) = self.session.take() {
            let delete = channel.queue_delete(self.queue.name.as_str().into(), QueueDeleteOptions::default());
            if !matches!(timeout(ANSWER_TIMEOUT, delete).await, Ok(Ok(_))) {
                tracing::debug!(queue = self.queue.name, "the reply queue is left to expire");
            }
            link.close().await;
        }
    }

    /// Receives until the session is lost, then makes a new one.
    async fn receive(&mut self) {
        if let Some((_, _, consumer)) = &mut self.session {
            while let Some(Ok(delivery)) = consumer.next().await {
                take(&self.desk, delivery).await;
            }
        }
        self.desk.listening.send_replace(false);
        self.session = None;
        let mut wait = self.connector.succeeded();
        loop {
            sleep(wait).await;
            match self.connect().await {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(%error, "the reply queue is not consumed");
                    wait = self.connector.failed();
                }
            }
        }
        self.desk.state().stats.reconnects += 1;
        self.desk.listening.send_replace(true);
    }
}

async fn consume(link: &Link, queue: &Queue) -> lapin::Result<(Channel, Consumer)> {
    Declarer::new(link).queue(queue).await?;
    let channel = link.channel().await?;
    let name = queue.name.as_str().into();
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(name, "replies".into(), options, FieldTable::default()).await?;
    Ok((channel, consumer))
}

async fn take(desk: &Desk, delivery: Delivery) {
    let content_type = delivery.properties.content_type().as_ref().map(ToString::to_string);
    desk.accept(content_type.as_deref(), &delivery.data);
    if !matches!(delivery.acker.ack(BasicAckOptions::default()).await, Ok(true)) {
        tracing::debug!("the acknowledgement of a reply did not reach the broker");
    }
}
