//! A topic of its own per test on a real broker, a proxy that breaks connections, and a scripted handler.

use std::{
    env,
    net::SocketAddr,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{QueueDeclareOptions, QueuePurgeOptions},
    types::FieldTable,
};
use mesos_conductor::{
    amqp::{Delivery, Disposition, Handler, Health, Message, Publisher, Routing, Server, settings::Broker},
    client::{CallOptions, Client},
};
use mesos_conductor_proto::{
    failure::Failure,
    message::{ReplyAddress, Request},
};
use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// The longest that anything a test waits for may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Settings for a broker that the environment names, with an exchange and a topic of this test's own.
/// None, with a note, where there is no broker; a failure where there has to be one.
pub(crate) fn broker() -> Option<Broker> {
    show_logs();
    let Ok(url) = env::var("CONDUCTOR_TEST_AMQP_URL") else {
        assert!(env::var_os("CI").is_none(), "CONDUCTOR_TEST_AMQP_URL must be set where CI is");
        eprintln!("skipped: CONDUCTOR_TEST_AMQP_URL is not set");
        return None;
    };
    let id = Uuid::new_v4().simple().to_string();
    let mut broker = Broker::from_transport_url(&url).expect("CONDUCTOR_TEST_AMQP_URL is a transport URL");
    broker.exchange = format!("test-{id}");
    broker.topic = format!("conductor-{id}");
    broker.server = "node1".to_owned();
    // The exchange goes with the last queue; queues go when a test has died without deleting them.
    broker.queues.auto_delete = true;
    broker.queues.transient_ttl = Some(Duration::from_secs(60));
    broker.retry_interval = Duration::from_millis(50);
    broker.retry_backoff = Duration::from_millis(50);
    broker.interval_max = Duration::from_millis(500);
    broker.reconnect_delay = Duration::from_millis(50);
    // A reply that a cut swallowed must not keep its request in hand for as long as a test waits.
    broker.confirm_timeout = Duration::from_secs(5);
    broker.drain_timeout = Duration::from_secs(10);
    broker.connect_timeout = Duration::from_secs(5);
    Some(broker)
}

pub(crate) fn show_logs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let filter = env::var("RUST_LOG").unwrap_or_else(|_| "error,lapin=off".to_owned());
        tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().init();
    });
}

/// Waits for a condition; fails the test when it does not come true.
pub(crate) async fn eventually<F: AsyncFnMut() -> bool>(what: &str, mut condition: F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "it did not come true that {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The port on which the broker can be reached.
pub(crate) async fn address(broker: &Broker) -> SocketAddr {
    let host = &broker.hosts[0];
    let found = tokio::net::lookup_host((host.host.as_str(), host.port)).await;
    found.expect("the broker's host has an address").next().expect("one address")
}

/// Looks at the broker past the code under test.
pub(crate) struct Inspector {
    connection: Connection,
}

impl Inspector {
    pub(crate) async fn new(broker: &Broker) -> Self {
        let url = env::var("CONDUCTOR_TEST_AMQP_URL").expect("checked before");
        let (_, rest) = url.split_once("://").expect("it is a URL");
        let (address, _) = rest.split_once('/').unwrap_or((rest, ""));
        assert_eq!(broker.vhost, "/", "the tests use the default virtual host");
        let url = format!("amqp://{address}/%2f");
        let connection = Connection::connect(&url, ConnectionProperties::default()).await;
        Self { connection: connection.expect("the broker takes connections") }
    }

    pub(crate) async fn channel(&self) -> Channel {
        self.connection.create_channel().await.expect("the broker opens channels")
    }

    /// Ready messages and consumers of a queue; None when there is no such queue.
    pub(crate) async fn queue(&self, name: &str) -> Option<(u32, u32)> {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = self.channel().await.queue_declare(name.into(), options, FieldTable::default()).await;
        queue.ok().map(|queue| (queue.message_count(), queue.consumer_count()))
    }

    /// Deletes what a test declared that does not go by itself.
    pub(crate) async fn forget(&self, broker: &Broker) {
        let channel = self.channel().await;
        for queue in [broker.topic.clone(), format!("{}.{}", broker.topic, broker.server)] {
            channel.queue_delete(queue.as_str().into(), Default::default()).await.expect("it is deleted");
        }
        let exchange = broker.exchange.as_str().into();
        channel.exchange_delete(exchange, Default::default()).await.expect("it is deleted");
    }

    pub(crate) async fn purge(&self, name: &str) {
        let purged = self.channel().await.queue_purge(name.into(), QueuePurgeOptions::default()).await;
        purged.expect("the queue exists");
    }
}

/// A TCP proxy before the broker that can break what goes through it, or speak TLS to those who connect.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    cut: Arc<watch::Sender<u64>>,
    silent: Arc<watch::Sender<bool>>,
    open: Arc<AtomicBool>,
    _task: Aborted,
}

struct Aborted(JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Proxy {
    pub(crate) async fn before(broker: &Broker) -> Self {
        Self::start(address(broker).await, None).await
    }

    pub(crate) async fn start(target: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (cut, open) = (Arc::new(watch::Sender::new(0)), Arc::new(AtomicBool::new(true)));
        let silent = Arc::new(watch::Sender::new(false));
        let (cuts, silence, is_open) = (Arc::clone(&cut), Arc::clone(&silent), Arc::clone(&open));
        let task = TaskTracker::new().spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                if is_open.load(Ordering::Relaxed) {
                    let switches = (cuts.subscribe(), silence.subscribe());
                    connections.spawn(forward(client, target, tls.clone(), switches));
                }
            }
        });
        Self { port, cut, silent, open, _task: Aborted(task) }
    }

    /// Closes every connection, without a word of AMQP.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Lets nothing through any more, and tells neither side: what a broken route looks like.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.silent.send_replace(silent);
    }

    /// Whether new connections are let through, or closed at once.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
    }

    /// The same broker, by way of the proxy.
    pub(crate) fn route(&self, broker: &Broker) -> Broker {
        let mut broker = broker.clone();
        for host in &mut broker.hosts {
            host.host = "localhost".to_owned();
            host.port = self.port;
        }
        broker
    }
}

async fn forward(
    mut client: TcpStream,
    target: SocketAddr,
    tls: Option<TlsAcceptor>,
    (mut cut, mut silent): (watch::Receiver<u64>, watch::Receiver<bool>),
) {
    cut.mark_unchanged();
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    {
        let traffic = async {
            match tls {
                None => copy_bidirectional(&mut client, &mut server).await,
                Some(tls) => copy_bidirectional(&mut tls.accept(&mut client).await?, &mut server).await,
            }
        };
        tokio::select! {
            _ = cut.changed() => return,
            _ = traffic => return,
            _ = silent.wait_for(|silent| *silent) => {}
        }
    }
    // Both sockets stay open.
    cut.changed().await.ok();
}

/// What a handler has seen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) args: Value,
    pub(crate) routing: Routing,
    pub(crate) redelivered: bool,
}

/// Does what the method of a request says.
pub(crate) struct Script {
    publisher: Publisher,
    seen: Mutex<Vec<Seen>>,
    /// How many requests for `hold` may end.
    pub(crate) gate: Semaphore,
    /// Nothing can be recorded.
    pub(crate) down: AtomicBool,
    /// How often it was asked whether anything can be.
    pub(crate) asked: AtomicUsize,
}

impl Script {
    pub(crate) fn new(broker: &Broker) -> Arc<Self> {
        Arc::new(Self {
            publisher: Publisher::new(Arc::new(broker.clone())),
            seen: Mutex::default(),
            gate: Semaphore::new(0),
            down: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
        })
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How often a method was asked for.
    pub(crate) fn count(&self, method: &str) -> usize {
        self.seen().iter().filter(|seen| seen.method == method).count()
    }

    async fn answer(&self, address: Option<&ReplyAddress>, outcome: Result<Value, Failure>, times: usize) {
        let Some(address) = address else { return };
        let bodies = address.bodies(&outcome, [id(), id()]);
        let messages: Vec<_> = bodies.into_iter().map(|body| reply(address, body)).collect();
        for _ in 0..times {
            self.publisher.publish_in_order(&messages).await.expect("the reply is published");
        }
    }

    async fn beat(&self, address: Option<&ReplyAddress>, times: usize) {
        let Some((address, interval)) = address.and_then(|address| Some((address, address.heartbeat?)))
        else {
            return;
        };
        for _ in 0..times {
            sleep(interval).await;
            let beat = reply(address, address.heartbeat_body(id()));
            self.publisher.publish(&beat).await.expect("the heartbeat is published");
        }
    }
}

fn id() -> String {
    Uuid::new_v4().simple().to_string()
}

fn reply(address: &ReplyAddress, body: Vec<u8>) -> Message {
    Message {
        routing_key: address.queue.clone(),
        content_type: address.encoding.content_type().to_owned(),
        content_encoding: address.encoding.content_encoding().to_owned(),
        body,
        mandatory: true,
        ..Message::default()
    }
}

#[async_trait]
impl Handler for Script {
    async fn handle(&self, delivery: Delivery) -> Disposition {
        let Ok(request) = Request::decode(delivery.content_type.as_deref(), &delivery.body) else {
            return Disposition::Reject;
        };
        self.seen.lock().unwrap().push(Seen {
            method: request.method.clone(),
            args: Value::Object(request.args.clone()),
            routing: delivery.routing,
            redelivered: delivery.redelivered,
        });
        let address = request.reply_address();
        let address = address.as_ref();
        match request.method.as_str() {
            "panic" => panic!("as the test asked"),
            "record" if self.down.load(Ordering::Relaxed) => return Disposition::Retry,
            "hold" => self.gate.acquire().await.expect("it is never closed").forget(),
            "mute" => {}
            "fail" => self.answer(address, Err(Failure::magnum("BayNotFound", 404, "no 100% bay")), 1).await,
            "twice" => self.answer(address, Ok(json!("twice")), 2).await,
            "long" => {
                self.beat(address, 3).await;
                self.answer(address, Ok(json!("at last")), 1).await;
            }
            "null" => self.answer(address, Ok(Value::Null), 1).await,
            _ => self.answer(address, Ok(Value::Object(request.args)), 1).await,
        }
        Disposition::Ack
    }

    async fn is_ready(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        !self.down.load(Ordering::Relaxed)
    }
}

/// A server that runs until the test has done with it.
pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) script: Arc<Script>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(broker: &Broker) -> Self {
        let running = Self::begin(broker);
        running.wait_for(&Health::Consuming).await;
        running
    }

    /// Without waiting until it consumes.
    pub(crate) fn begin(broker: &Broker) -> Self {
        let script = Script::new(broker);
        let server = Server::new(Arc::new(broker.clone()), Arc::clone(&script) as Arc<dyn Handler>);
        let stop = CancellationToken::new();
        let (running, token) = (server.clone(), stop.clone());
        let task = TaskTracker::new().spawn(async move { running.run(token).await });
        Self { server, script, stop, task }
    }

    pub(crate) async fn wait_for(&self, health: &Health) {
        let mut watched = self.server.health();
        let reached = timeout(PATIENCE, watched.wait_for(|now| now == health)).await;
        assert!(reached.is_ok(), "not {health:?} but {:?}", *self.server.health().borrow());
    }

    pub(crate) fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.expect("the server stops in time").expect("it does not panic");
        self.script.publisher.close().await;
    }
}

pub(crate) async fn client(broker: &Broker) -> Client {
    Client::connect(broker).await.expect("the broker takes connections")
}

/// A limit that a call which works does not come near.
pub(crate) fn options() -> CallOptions {
    CallOptions { timeout: PATIENCE, ..CallOptions::default() }
}

pub(crate) fn args(value: Value) -> mesos_conductor_proto::codec::Map {
    value.as_object().expect("arguments are an object").clone()
}
