//! The RPC server: takes requests from the queues of its topic, hands each to the [`Handler`], and tells the
//! broker what became of it.
//!
//! [`Server::run`] is a supervised loop: connect, declare, consume, until the session is lost, then again.
//! A delivery is acknowledged only after its handler has said that it may be (invariant I1); when nothing can
//! be recorded, the consumers are cancelled instead of returning messages in a circle (I9).

mod session;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::session::{Ended, Session};
use super::{
    backoff::Backoff,
    connection::{Connector, Link},
    settings::Broker,
    topology::Queue,
};

/// What becomes of a request is decided here.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Handles one request. Several run at once, up to [`Broker::prefetch`]. A panic rejects the delivery.
    async fn handle(&self, delivery: Delivery) -> Disposition;

    /// Whether requests could be recorded now. Asked, with growing waits, after a [`Disposition::Retry`] and
    /// before the server consumes again.
    async fn is_ready(&self) -> bool {
        true
    }
}

/// A request as it came.
#[derive(Clone)]
pub struct Delivery {
    /// The body.
    pub body: Vec<u8>,
    /// How the body is written.
    pub content_type: Option<String>,
    /// How the body is compressed (header `compression`), if at all.
    pub compression: Option<String>,
    /// The broker has delivered this message before; someone may have handled it.
    pub redelivered: bool,
    /// Which queue it came by.
    pub routing: Routing,
    /// How long the client was going to wait when it sent the message, if it said so.
    pub expiration: Option<Duration>,
}

impl fmt::Debug for Delivery {
    /// Without the body, which carries tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("bytes", &self.body.len())
            .field("content_type", &self.content_type)
            .field("compression", &self.compression)
            .field("redelivered", &self.redelivered)
            .field("routing", &self.routing)
            .field("expiration", &self.expiration)
            .finish()
    }
}

/// Which queue a request came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Routing {
    /// The queue that all servers of the topic share.
    Topic,
    /// The queue of this server alone.
    Server,
    /// The fanout: every server has a copy.
    Fanout,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It is recorded, or answered: the broker may forget it.
    Ack,
    /// It never can be handled: the broker drops it.
    Reject,
    /// It could not be recorded now. It goes back to its queue once the consumers are cancelled; the server
    /// consumes again when [`Handler::is_ready`] says so.
    Retry,
}

/// How the server is doing, for a readiness probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Not connected, or not consuming yet; with what went wrong last, if anything has.
    Down(Option<String>),
    /// Connected and consuming.
    Consuming,
    /// Not consuming until told to, or until requests can be recorded again.
    Paused,
}

/// What the server has counted since it was made.
#[derive(Debug, Default)]
pub struct ServerStats {
    /// Sessions that came to consume; the first one included.
    pub sessions: AtomicU64,
    /// Deliveries handed to the handler.
    pub deliveries: AtomicU64,
    /// Those of them that the broker had delivered before.
    pub redelivered: AtomicU64,
    /// Deliveries that the handler rejected, or panicked on.
    pub rejected: AtomicU64,
    /// Panics of the handler.
    pub panics: AtomicU64,
    /// Deliveries handed back because they could not be recorded, or were not begun before a stop.
    pub requeued: AtomicU64,
    /// Acknowledgements that did not reach the broker: it will deliver these again.
    pub lost_acks: AtomicU64,
    /// Deliveries being handled now.
    pub in_flight: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What outlives a session.
pub(super) struct Shared {
    broker: Arc<Broker>,
    handler: Arc<dyn Handler>,
    /// The same queue in every session, so that what was sent to all meanwhile is still there.
    fanout: Queue,
    /// One permit per request in hand, over all sessions.
    permits: Arc<Semaphore>,
    tasks: TaskTracker,
    paused: watch::Sender<bool>,
    health: watch::Sender<Health>,
    stats: Arc<ServerStats>,
    /// Deliveries that were not handed back, since one last was.
    progress: AtomicU64,
    /// Where to go on in the stream of fanout messages; 0 before the first one.
    stream_next: AtomicU64,
}

/// The RPC server. Cheap to clone; every clone is the same server.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

impl Server {
    /// A server that is not running yet.
    #[must_use]
    pub fn new(broker: Arc<Broker>, handler: Arc<dyn Handler>) -> Self {
        let permits = Arc::new(Semaphore::new(usize::from(broker.prefetch.max(1))));
        let shared = Shared {
            fanout: Queue::fanout(&broker),
            broker,
            handler,
            permits,
            tasks: TaskTracker::new(),
            paused: watch::Sender::new(false),
            health: watch::Sender::new(Health::Down(None)),
            stats: Arc::default(),
            progress: AtomicU64::new(0),
            stream_next: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Follows how the server is doing.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Arc<ServerStats> {
        Arc::clone(&self.shared.stats)
    }

    /// Stops consuming, keeps the connection. Requests in hand go on; those that were sent ahead go back.
    pub fn pause(&self) {
        self.shared.paused.send_replace(true);
    }

    /// Consumes again.
    pub fn resume(&self) {
        self.shared.paused.send_replace(false);
    }

    /// Serves until `shutdown`, whatever the broker does. Then cancels the consumers, waits for the requests
    /// in hand as long as [`Broker::drain_timeout`] says, deletes its own fanout queue and disconnects.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut supervisor = Supervisor {
            shared: Arc::clone(&self.shared),
            connector: Connector::new(Arc::clone(&self.shared.broker)),
            unready: Backoff::new(&self.shared.broker),
            shutdown,
            link: None,
        };
        supervisor.run().await;
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("health", &*self.shared.health.borrow()).finish_non_exhaustive()
    }
}

/// Waits until the switch is in this position.
pub(super) async fn reach(switch: &mut watch::Receiver<bool>, position: bool) {
    let reached = switch.wait_for(|now| *now == position).await.map(drop);
    reached.expect("the server owns the switch");
}

/// Whether a future ended before something more urgent did.
enum Waited<T> {
    Ready(T),
    Stopped,
}

struct Supervisor {
    shared: Arc<Shared>,
    connector: Connector,
    /// Waits between questions whether requests can be recorded again.
    unready: Backoff,
    shutdown: CancellationToken,
    link: Option<Link>,
}

impl Supervisor {
    async fn run(&mut self) {
        let mut last = None;
        while !self.shutdown.is_cancelled() {
            if let Waited::Stopped = self.wait_while_paused().await {
                break;
            }
            let session = match self.begin().await {
                Waited::Stopped => break,
                Waited::Ready(Ok(session)) => session,
                Waited::Ready(Err(reason)) => {
                    let wait = self.connector.failed();
                    self.lose(reason);
                    self.rest(wait).await;
                    continue;
                }
            };
            let wait = self.connector.succeeded();
            count(&self.shared.stats.sessions);
            self.shared.health.send_replace(Health::Consuming);
            match session.consume(&self.shutdown).await {
                Ended::Stopped(session) => last = Some(session),
                Ended::Paused => {
                    self.shared.health.send_replace(Health::Paused);
                }
                Ended::Unrecorded => {
                    self.shared.health.send_replace(Health::Paused);
                    self.wait_until_ready().await;
                }
                Ended::Lost(reason) => {
                    self.lose(reason);
                    self.rest(wait).await;
                }
            }
        }
        self.drain().await;
        if let Some(session) = last {
            session.finish().await;
        }
        self.shared.health.send_replace(Health::Down(None));
        if let Some(link) = self.link.take() {
            link.close().await;
        }
    }

    /// A session that is ready to consume, on the connection that is open or on a new one.
    async fn begin(&mut self) -> Waited<Result<Session, String>> {
        let begin = async {
            let link = match self.link.take().filter(Link::is_open) {
                Some(link) => link,
                None => self.connector.round().await.map_err(|error| error.to_string())?,
            };
            let session = Session::open(&link, Arc::clone(&self.shared)).await;
            let session = session.map_err(|error| format!("broker {}: {error}", link.host()));
            self.link = Some(link);
            session
        };
        tokio::select! {
            () = self.shutdown.cancelled() => Waited::Stopped,
            session = begin => Waited::Ready(session),
        }
    }

    fn lose(&self, reason: String) {
        tracing::warn!(reason, "not consuming from the broker");
        self.shared.health.send_replace(Health::Down(Some(reason)));
    }

    async fn rest(&self, wait: Duration) {
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = sleep(wait) => {}
        }
    }

    async fn wait_while_paused(&self) -> Waited<()> {
        let mut paused = self.shared.paused.subscribe();
        if *paused.borrow_and_update() {
            self.shared.health.send_replace(Health::Paused);
            tracing::info!("consuming is paused");
        }
        tokio::select! {
            () = self.shutdown.cancelled() => Waited::Stopped,
            () = reach(&mut paused, false) => Waited::Ready(()),
        }
    }

    /// After a request could not be recorded: asks until one could. The waits grow as long as no request
    /// gets through, whatever the answers are.
    async fn wait_until_ready(&mut self) {
        if self.shared.progress.swap(0, Ordering::Relaxed) > 0 {
            self.unready.reset();
        }
        tracing::warn!("a request could not be recorded; not consuming until it can be");
        loop {
            let wait = self.unready.after_failure();
            self.rest(wait).await;
            if self.shutdown.is_cancelled() || self.shared.handler.is_ready().await {
                return;
            }
        }
    }

    /// Waits for the requests in hand.
    async fn drain(&self) {
        self.shared.tasks.close();
        if timeout(self.shared.broker.drain_timeout, self.shared.tasks.wait()).await.is_err() {
            let left = self.shared.stats.in_flight.load(Ordering::Relaxed);
            tracing::error!(left, "requests in hand did not end in time; the broker will deliver them again");
        }
    }
}
