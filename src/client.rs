//! An RPC client of the conductor's protocol: for the command line, for tests and benchmarks, and for services
//! in Rust that talk to a conductor.
//!
//! A [`Client`] has one reply queue and any number of calls on their way. Its requests are confirmed by the
//! broker, so that a call to a topic that nobody serves fails at once instead of waiting for its timeout.

mod inbox;
mod listener;
mod replies;

use std::{sync::Arc, time::Duration};

use mesos_conductor_proto::{
    codec::{Encoding, Map},
    context::RequestContext,
    failure::Failure,
    message::{CallMonitor, Request},
    version::Version,
};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use uuid::Uuid;

use self::replies::{Call, Desk};
pub use self::{listener::NotificationListener, replies::ClientStats};
use crate::amqp::{ConnectError, Message, PublishError, Publisher, settings::Broker};

/// How a request is sent, and how long its answer is waited for.
#[derive(Debug, Clone)]
pub struct CallOptions {
    /// The longest time to wait for the answer, and to keep the request in a queue.
    pub timeout: Duration,
    /// Asks for heartbeats and gives up when none, and no answer, came for this long. Whole seconds.
    pub monitor_timeout: Option<Duration>,
    /// Who asks.
    pub context: RequestContext,
    /// The namespace of the method.
    pub namespace: Option<String>,
    /// The version of the interface.
    pub version: Version,
    /// Asks this server alone.
    pub server: Option<String>,
    /// How the request is written; it is answered likewise.
    pub encoding: Encoding,
    /// Asks like a client of before oslo.messaging 6.3, which is answered in two messages.
    pub legacy: bool,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            monitor_timeout: None,
            context: RequestContext::default(),
            namespace: None,
            version: Version::DEFAULT,
            server: None,
            encoding: Encoding::Json,
            legacy: false,
        }
    }
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The conductor answered with a failure.
    #[error(transparent)]
    Remote(#[from] Failure),
    /// No answer, or no heartbeat, came in time. The conductor may have done it all the same.
    #[error("no answer to {method} within {waited:?}")]
    Timeout {
        /// The method.
        method: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Nobody serves the topic.
    #[error("no conductor is listening on {queue} (exchange {exchange})")]
    Unroutable {
        /// The exchange.
        exchange: String,
        /// The queue that is missing.
        queue: String,
    },
    /// The broker cannot be reached, or was lost before it had the request for certain.
    #[error("the request was not sent for certain: {0}")]
    Disconnected(#[source] PublishError),
    /// The answer cannot be read.
    #[error("the answer cannot be read: {0}")]
    Protocol(String),
}

/// The client. Clones share the connections and the reply queue.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    broker: Arc<Broker>,
    publisher: Publisher,
    desk: Arc<Desk>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// A client that is dropped without [`Client::close`] disconnects too.
    _guard: DropGuard,
}

impl Client {
    /// Connects and declares the reply queue.
    ///
    /// # Errors
    /// When no host of the broker can be reached now. Later losses are mended in the background.
    pub async fn connect(broker: &Broker) -> Result<Self, ConnectError> {
        let broker = Arc::new(broker.clone());
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (desk, receiver) = Desk::open(&broker).await?;
        tasks.spawn(receiver.run(stop.clone()));
        let inner = Inner {
            publisher: Publisher::new(Arc::clone(&broker)),
            broker,
            desk,
            tasks,
            _guard: stop.clone().drop_guard(),
            stop,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Calls a method and waits for its result.
    ///
    /// # Errors
    /// When the method failed, or when it is not known what became of it; see [`CallError`].
    pub async fn call(&self, method: &str, args: Map, options: CallOptions) -> Result<Value, CallError> {
        let deadline = Instant::now() + options.timeout;
        self.inner.desk.listening(deadline).await.map_err(CallError::Disconnected)?;
        let mut call = Call::new(&self.inner.desk);
        let request = Request {
            msg_id: Some(call.id().to_owned()),
            reply_q: Some(self.inner.desk.queue().to_owned()),
            monitor: monitor(&options),
            ..request(method, args, &options)
        };
        self.send(&request, &options, Some(options.timeout)).await?;
        loop {
            let silence = options.monitor_timeout.map(|limit| call.last_heard() + limit);
            let until = silence.map_or(deadline, |silence| silence.min(deadline));
            tokio::select! {
                outcome = call.outcome() => return outcome,
                () = sleep_until(until) => {
                    // A heartbeat may have come while this slept.
                    let heard = options.monitor_timeout.is_some_and(|limit| call.last_heard() + limit > until);
                    if until >= deadline || !heard {
                        let waited = options.timeout.saturating_sub(deadline - Instant::now());
                        return Err(CallError::Timeout { method: method.to_owned(), waited });
                    }
                }
            }
        }
    }

    /// Sends a request that is not answered. `Ok` means that a queue has it.
    ///
    /// # Errors
    /// When it is not known to be in a queue.
    pub async fn cast(&self, method: &str, args: Map, options: CallOptions) -> Result<(), CallError> {
        self.send(&request(method, args, &options), &options, None).await
    }

    /// Sends a request to every server of the topic. Nobody tells whether there is one.
    ///
    /// # Errors
    /// When the broker is not known to have it.
    pub async fn fanout(&self, method: &str, args: Map, options: CallOptions) -> Result<(), CallError> {
        let publisher = &self.inner.publisher;
        publisher.declare_fanout_exchange().await.map_err(CallError::Disconnected)?;
        let exchange = format!("{}_fanout", self.inner.broker.topic);
        let message = message(exchange, String::new(), &request(method, args, &options));
        publisher.publish(&message).await.map_err(CallError::Disconnected)
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> ClientStats {
        self.inner.desk.stats()
    }

    /// Deletes the reply queue and disconnects. Calls on their way get no answer.
    pub async fn close(self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.publisher.close().await;
    }

    async fn send(
        &self,
        request: &Request,
        options: &CallOptions,
        expiration: Option<Duration>,
    ) -> Result<(), CallError> {
        let Broker { exchange, topic, .. } = &*self.inner.broker;
        let queue = match &options.server {
            None => topic.clone(),
            Some(server) => format!("{topic}.{server}"),
        };
        self.inner.publisher.declare_control_exchange().await.map_err(CallError::Disconnected)?;
        let message = Message { mandatory: true, expiration, ..message(exchange.clone(), queue, request) };
        self.inner.publisher.publish(&message).await.map_err(|error| match error {
            PublishError::Unroutable { exchange, routing_key } => {
                CallError::Unroutable { exchange, queue: routing_key }
            }
            PublishError::Nacked
            | PublishError::Blocked
            | PublishError::Unconnected(_)
            | PublishError::Disconnected(_)
            | PublishError::Timeout { .. } => CallError::Disconnected(error),
        })
    }
}

fn request(method: &str, args: Map, options: &CallOptions) -> Request {
    Request {
        namespace: options.namespace.clone(),
        version: options.version,
        unique_id: Some(new_id()),
        context: options.context.clone(),
        encoding: options.encoding,
        ..Request::new(method, args)
    }
}

fn monitor(options: &CallOptions) -> CallMonitor {
    match options.monitor_timeout {
        _ if options.legacy => CallMonitor::Unsupported,
        None => CallMonitor::Off,
        // The server sends two heartbeats within the time.
        Some(limit) => CallMonitor::Every(limit / 2),
    }
}

fn message(exchange: String, routing_key: String, request: &Request) -> Message {
    Message {
        exchange,
        routing_key,
        content_type: request.encoding.content_type().to_owned(),
        content_encoding: request.encoding.content_encoding().to_owned(),
        body: request.encode(),
        compressed: None,
        mandatory: false,
        expiration: None,
    }
}

/// 32 hexadecimal digits, as Python makes ids.
fn new_id() -> String {
    Uuid::new_v4().simple().to_string()
}
