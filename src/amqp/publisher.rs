//! Publishing with confirms: `Ok` means that the broker has the message, and that a queue has it if that was
//! asked for.
//!
//! Many messages are on their way at once, each on a channel of its own taken from a pool. They do not share
//! one, because on a shared channel a returned message cannot be told apart: lapin attaches it to whichever
//! confirm it sees next.

mod session;

use std::{fmt, sync::Arc, time::Duration};

use lapin::types::MAX_SHORT_STRING_LENGTH;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until, timeout_at},
};

use self::session::{Lane, Session};
use super::{connection::Connector, settings::Broker};

/// A message to publish.
#[derive(Clone, Default)]
pub struct Message {
    /// Empty is the default exchange, where the routing key is a queue's name.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// The content type, as consumers compare it: to the letter.
    pub content_type: String,
    /// The content encoding.
    pub content_encoding: String,
    /// The body.
    pub body: Vec<u8>,
    /// How the body is compressed already (header `compression`); it is sent as it is then.
    pub compressed: Option<String>,
    /// Fails with [`PublishError::Unroutable`] when no queue takes it; else such a message vanishes.
    pub mandatory: bool,
    /// How long it is worth keeping in a queue.
    pub expiration: Option<Duration>,
}

impl fmt::Debug for Message {
    /// Without the body, which may carry secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("exchange", &self.exchange)
            .field("routing_key", &self.routing_key)
            .field("content_type", &self.content_type)
            .field("bytes", &self.body.len())
            .field("mandatory", &self.mandatory)
            .finish_non_exhaustive()
    }
}

/// Why a message is not known to be with the broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No queue takes it (312 `NO_ROUTE`), or the exchange does not exist. It is gone.
    #[error("no queue takes messages for {routing_key} on exchange {exchange:?}")]
    Unroutable {
        /// The exchange.
        exchange: String,
        /// The routing key.
        routing_key: String,
    },
    /// The broker had it and could not keep it.
    #[error("the broker could not keep the message")]
    Nacked,
    /// The broker is short of memory or disk and has said so: the message was not sent.
    #[error("the broker takes no messages now: it is short of memory or disk")]
    Blocked,
    /// There is no connection; the message was not sent.
    #[error("no connection to the broker: {0}")]
    Unconnected(String),
    /// The connection was lost before the confirm: the message may have arrived or not.
    #[error("the connection was lost before the broker confirmed the message: {0}")]
    Disconnected(String),
    /// The broker did not confirm in time: the message may have arrived or not.
    #[error("the broker did not confirm the message in time{}", if *.blocked { "; it blocks publishers" } else { "" })]
    Timeout {
        /// The broker has told us that it takes no messages now.
        blocked: bool,
    },
}

impl PublishError {
    /// Whether the broker may have the message all the same, so that publishing again may double it.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::Disconnected(_) | Self::Timeout { .. } => true,
            Self::Unroutable { .. } | Self::Nacked | Self::Blocked | Self::Unconnected(_) => false,
        }
    }
}

/// Publishes on a connection of its own, which it makes when there is something to publish and makes again
/// when it was lost. Clones share it.
#[derive(Clone)]
pub struct Publisher {
    inner: Arc<Inner>,
}

struct Inner {
    broker: Arc<Broker>,
    state: Mutex<State>,
}

struct State {
    connector: Connector,
    session: Option<Arc<Session>>,
    /// No attempt to connect before this, and why the last one failed.
    not_before: Instant,
    last_error: Option<String>,
}

impl Publisher {
    /// A publisher that has not connected yet.
    #[must_use]
    pub fn new(broker: Arc<Broker>) -> Self {
        let state = State {
            connector: Connector::new(Arc::clone(&broker)),
            session: None,
            not_before: Instant::now(),
            last_error: None,
        };
        Self { inner: Arc::new(Inner { broker, state: Mutex::new(state) }) }
    }

    /// Publishes and waits for the broker's confirm, for [`Broker::confirm_timeout`] at most, the connection
    /// included.
    ///
    /// # Errors
    /// When the broker is not known to have the message; see [`PublishError`] for whether it may.
    pub async fn publish(&self, message: &Message) -> Result<(), PublishError> {
        self.publish_in_order(std::slice::from_ref(message)).await
    }

    /// Publishes messages that must arrive in this order, such as the two of a double reply.
    ///
    /// # Errors
    /// The first one that any of them met. Which of them arrived is not known then.
    pub async fn publish_in_order(&self, messages: &[Message]) -> Result<(), PublishError> {
        self.publish_each(messages).await?.into_iter().collect()
    }

    /// Publishes messages to one queue in this order, and says of each what became of it: a queue that is full takes
    /// some of them.
    ///
    /// # Errors
    /// What all of them met. Which of them arrived is not known then.
    pub async fn publish_each(
        &self,
        messages: &[Message],
    ) -> Result<Vec<Result<(), PublishError>>, PublishError> {
        for message in messages {
            check_names(&message.exchange, &message.routing_key)?;
        }
        let deadline = Instant::now() + self.inner.broker.confirm_timeout;
        let session = self.session(deadline).await?;
        // It would lie in the socket's buffer: whoever sends it again later would send it twice.
        if session.is_blocked() {
            return Err(PublishError::Blocked);
        }
        let lane = Lane::take(&session, deadline).await?;
        lane.publish(messages, deadline).await
    }

    /// Publishes to the queue that is named like the routing key, and declares exchange and queue before the
    /// first such message of a connection: so that nothing is lost before anyone listens.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub async fn publish_notification(&self, message: &Message) -> Result<(), PublishError> {
        self.declare_notification_queue(&message.exchange, &message.routing_key).await?;
        self.publish(message).await
    }

    /// Declares the exchange of notifications and the queue `<topic>.<priority>` bound with that key, unless
    /// this connection has done so.
    ///
    /// # Errors
    /// [`PublishError::Unconnected`] when that fails.
    pub async fn declare_notification_queue(&self, exchange: &str, queue: &str) -> Result<(), PublishError> {
        check_names(exchange, queue)?;
        let deadline = Instant::now() + self.inner.broker.confirm_timeout;
        let session = self.session(deadline).await?;
        session.declare_notification_queue(&self.inner.broker, exchange, queue, deadline).await
    }

    /// Lets the queue be declared again before the next message: it is not there any more.
    pub async fn forget_notification_queue(&self, exchange: &str, queue: &str) {
        let session = self.inner.state.lock().await.session.clone();
        if let Some(session) = session {
            session.forget_notification_queue(exchange, queue).await;
        }
    }

    /// Declares the control exchange, unless this connection has done so. Clients do this before they send.
    pub(crate) async fn declare_control_exchange(&self) -> Result<(), PublishError> {
        let deadline = Instant::now() + self.inner.broker.confirm_timeout;
        let session = self.session(deadline).await?;
        session.declare_control_exchange(&self.inner.broker, deadline).await
    }

    /// Declares the topic's fanout exchange, unless this connection has done so.
    pub(crate) async fn declare_fanout_exchange(&self) -> Result<(), PublishError> {
        let deadline = Instant::now() + self.inner.broker.confirm_timeout;
        let session = self.session(deadline).await?;
        session.declare_fanout_exchange(&self.inner.broker, deadline).await
    }

    /// Connects now if there is no connection, for callers that want to know early.
    ///
    /// # Errors
    /// [`PublishError::Unconnected`] when no host answers in time.
    pub async fn connect(&self) -> Result<(), PublishError> {
        self.session(Instant::now() + self.inner.broker.confirm_timeout).await.map(drop)
    }

    /// Whether the broker has said that it takes no messages for now. While it is being connected to, it has not.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        let state = self.inner.state.try_lock();
        state.is_ok_and(|state| state.session.as_ref().is_some_and(|session| session.is_blocked()))
    }

    /// Disconnects in order. A message published later connects again.
    pub async fn close(&self) {
        let session = self.inner.state.lock().await.session.take();
        if let Some(session) = session {
            session.close().await;
        }
    }

    /// The open session, or a new one. Whoever comes first connects; the others wait for it.
    async fn session(&self, deadline: Instant) -> Result<Arc<Session>, PublishError> {
        let Ok(mut state) = timeout_at(deadline, self.inner.state.lock()).await else {
            return Err(PublishError::Unconnected("another message waits for the connection".to_owned()));
        };
        loop {
            if let Some(session) = state.session.as_ref().filter(|session| session.is_open()) {
                return Ok(Arc::clone(session));
            }
            if state.session.take().is_some() {
                // It worked before: wait as after any loss, not as after a failure.
                state.not_before = Instant::now() + state.connector.succeeded();
            }
            if state.not_before >= deadline {
                let reason = state.last_error.clone();
                return Err(PublishError::Unconnected(reason.unwrap_or_else(|| "it was lost".to_owned())));
            }
            sleep_until(state.not_before).await;
            let failure = match timeout_at(deadline, state.connector.round()).await {
                Ok(Ok(link)) => {
                    state.last_error = None;
                    state.session = Some(Arc::new(Session::new(link, self.inner.broker.compression)));
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no host answered in time".to_owned(),
            };
            state.not_before = Instant::now() + state.connector.failed();
            state.last_error = Some(failure);
        }
    }
}

/// Names come from the wire too, and AMQP has none longer than 255 bytes: no queue can be called so.
fn check_names(exchange: &str, routing_key: &str) -> Result<(), PublishError> {
    if exchange.len() <= MAX_SHORT_STRING_LENGTH && routing_key.len() <= MAX_SHORT_STRING_LENGTH {
        return Ok(());
    }
    Err(PublishError::Unroutable { exchange: exchange.to_owned(), routing_key: routing_key.to_owned() })
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}
