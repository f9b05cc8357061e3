//! The client's reply queue, and the calls that wait for something to come by it.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mesos_conductor_proto::message::{Assembly, Reply, ReplyContent};
use serde_json::Value;
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    CallError,
    inbox::{Inbox, Letter},
    new_id,
};
use crate::amqp::{ConnectError, PublishError, settings::Broker};

/// How many ids of messages are remembered to know repeated ones.
const REMEMBERED: usize = 4096;

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
        let inbox = Inbox::open(Arc::clone(broker), "reply", Vec::new()).await?;
        let desk = Arc::new(Self {
            queue: inbox.queue().to_owned(),
            listening: watch::Sender::new(true),
            state: Mutex::default(),
        });
        Ok((Arc::clone(&desk), Receiver { desk, inbox }))
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

    fn accept(&self, letter: &Letter) {
        let reply = Reply::decode(letter.content_type.as_deref(), &letter.body);
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

/// Takes replies from the queue.
pub(super) struct Receiver {
    desk: Arc<Desk>,
    inbox: Inbox,
}

impl Receiver {
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.receive() => {}
            }
        }
        self.inbox.close().await;
    }

    /// Receives until the connection is lost, then consumes anew.
    async fn receive(&mut self) {
        while let Some(letter) = self.inbox.next().await {
            self.desk.accept(&letter);
        }
        self.desk.listening.send_replace(false);
        self.inbox.reconnect().await;
        self.desk.state().stats.reconnects += 1;
        self.desk.listening.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use mesos_conductor_proto::message::ReplyContent;

    use super::*;

    fn heartbeat(unique_id: &str) -> Result<Reply, ()> {
        Ok(Reply {
            msg_id: "call".to_owned(),
            unique_id: Some(unique_id.to_owned()),
            content: ReplyContent::Heartbeat,
        })
    }

    #[test]
    fn a_repeated_id_is_known_until_enough_others_came() {
        let mut state = State::default();
        state.accept(heartbeat("a"));
        state.accept(heartbeat("a"));
        assert_eq!((state.stats.messages, state.stats.duplicates), (2, 1));
        for n in 0..REMEMBERED {
            state.accept(heartbeat(&n.to_string()));
        }
        assert_eq!((state.known.len(), state.recent.len()), (REMEMBERED, REMEMBERED));
        state.accept(heartbeat("a"));
        assert_eq!(state.stats.duplicates, 1);
    }

    #[test]
    fn what_matches_no_call_or_no_reply_is_counted() {
        let mut state = State::default();
        state.accept(heartbeat("a"));
        state.accept(Err(()));
        let stats = ClientStats { messages: 2, unmatched: 1, unreadable: 1, heartbeats: 1, ..state.stats };
        assert_eq!(state.stats, stats);
    }
}
