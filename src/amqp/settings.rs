//! What the broker and its sessions need to be told, independent of the file it came from.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use secrecy::SecretString;

use super::transport_url::{self, UrlError};

/// The port of AMQP without TLS, and, with oslo.messaging, of AMQP with TLS too.
pub const DEFAULT_PORT: u16 = 5672;

/// One broker (possibly a cluster of hosts) and how to behave on it.
#[derive(Debug, Clone)]
pub struct Broker {
    /// The nodes of the cluster. Each session shuffles them and goes through them in turn.
    pub hosts: Vec<Host>,
    /// The virtual host.
    pub vhost: String,
    /// TLS; `None` speaks plain AMQP.
    pub tls: Option<Tls>,
    /// How the user is proved.
    pub login_method: LoginMethod,
    /// The AMQP heartbeat that is proposed; zero is none.
    pub heartbeat: Duration,
    /// How long one host may take from the first packet to the end of the AMQP handshake.
    pub connect_timeout: Duration,
    /// The first wait after all hosts failed.
    pub retry_interval: Duration,
    /// What every further failure adds to that wait.
    pub retry_backoff: Duration,
    /// The longest such wait.
    pub interval_max: Duration,
    /// A wait before every reconnection, on top.
    pub reconnect_delay: Duration,
    /// Up to this much is added to it at random, so that a fleet does not come back all at once.
    pub reconnect_splay: Duration,
    /// The order of the hosts after a failure.
    pub failover: Failover,
    /// The control exchange.
    pub exchange: String,
    /// The topic that the server serves: the name of its shared queue.
    pub topic: String,
    /// The name of this server: the second part of its own queue's name.
    pub server: String,
    /// The flags and arguments of what is declared. Clients must use the same ones.
    pub queues: QueueFlags,
    /// How what we send is compressed; `None` sends it as it is.
    pub compression: Option<Compression>,
    /// How many requests are handled at once, and so how many the broker may send ahead.
    pub prefetch: u16,
    /// How long a publisher waits for the broker's confirm, the connection included.
    pub confirm_timeout: Duration,
    /// For how long a reply to a queue that does not exist is tried again (by the outbox).
    pub missing_queue_timeout: Duration,
    /// How long requests in hand may take when the server stops.
    pub drain_timeout: Duration,
}

impl Default for Broker {
    /// oslo.messaging's defaults, on this machine.
    fn default() -> Self {
        Self {
            hosts: vec![Host::default()],
            vhost: "/".to_owned(),
            tls: None,
            login_method: LoginMethod::AmqPlain,
            heartbeat: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            retry_interval: Duration::from_secs(1),
            retry_backoff: Duration::from_secs(2),
            interval_max: Duration::from_secs(30),
            reconnect_delay: Duration::from_secs(1),
            reconnect_splay: Duration::ZERO,
            failover: Failover::RoundRobin,
            exchange: "magnum".to_owned(),
            topic: "magnum-conductor".to_owned(),
            server: "localhost".to_owned(),
            queues: QueueFlags::default(),
            compression: None,
            prefetch: 64,
            confirm_timeout: Duration::from_secs(30),
            missing_queue_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl Broker {
    /// Reads a `transport_url`: `rabbit://user:password@host:port,user:password@host/vhost?option=value`.
    ///
    /// The options of the query are returned as they are; they win over `[oslo_messaging_rabbit]`.
    ///
    /// # Errors
    /// When the text is no such URL. The error repeats neither user nor password.
    pub fn parse_transport_url(url: &str) -> Result<TransportUrl, UrlError> {
        transport_url::parse(url)
    }

    /// A broker with the hosts, vhost and TLS switch of a `transport_url`, and defaults otherwise.
    ///
    /// # Errors
    /// When the text is no such URL.
    pub fn from_transport_url(url: &str) -> Result<Self, UrlError> {
        let TransportUrl { hosts, vhost, options } = transport_url::parse(url)?;
        let ssl = options.get("ssl").is_some_and(|value| is_true(value));
        Ok(Self { hosts, vhost, tls: ssl.then(Tls::default), ..Self::default() })
    }
}

/// The words that oslo.config takes for true.
fn is_true(text: &str) -> bool {
    ["1", "true", "yes", "on"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// The parts of a `transport_url`.
#[derive(Debug, Clone)]
pub struct TransportUrl {
    /// At least one.
    pub hosts: Vec<Host>,
    /// `/` when the URL names none.
    pub vhost: String,
    /// The query, percent-decoded; a repeated name keeps its last value.
    pub options: BTreeMap<String, String>,
}

/// One node of the broker.
#[derive(Clone)]
pub struct Host {
    /// A name or address; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The user.
    pub username: String,
    /// The user's password.
    pub password: SecretString,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: DEFAULT_PORT,
            username: "guest".to_owned(),
            password: "guest".into(),
        }
    }
}

impl Host {
    /// `host:port`, for messages.
    pub(crate) fn endpoint(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Host").field(&self.endpoint()).finish()
    }
}

/// TLS towards the broker. Certificate and name are always verified.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// The authorities to trust, in PEM; `None` trusts those of the system.
    pub ca_file: Option<PathBuf>,
    /// Our certificate chain, in PEM. Needs `key_file`.
    pub cert_file: Option<PathBuf>,
    /// Our key, in PEM.
    pub key_file: Option<PathBuf>,
}

/// How the user is proved to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoginMethod {
    /// Python's default.
    #[default]
    AmqPlain,
    /// The common one.
    Plain,
    /// By the client's TLS certificate.
    External,
    /// A demonstration of challenges that the broker ships.
    RabbitCrDemo,
}

/// Which host is tried after one failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Failover {
    /// The next one.
    #[default]
    RoundRobin,
    /// Any: the hosts are shuffled again before every round.
    Shuffle,
}

/// How what we send is compressed. Readers need not be told: the message says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// What kombu calls gzip: a zlib stream.
    Gzip,
    /// Smaller and slower.
    Bzip2,
}

/// The flags and arguments with which exchanges and queues are declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueFlags {
    /// Exchange and topic queues survive the broker's restart.
    pub durable: bool,
    /// Exchange and topic queues go with their last user.
    pub auto_delete: bool,
    /// Topic queues are quorum queues (and so durable, with their exchange).
    pub quorum: bool,
    /// `x-delivery-limit` of quorum queues; 0 is none.
    pub quorum_delivery_limit: u32,
    /// `x-max-in-memory-length` of quorum queues; 0 is none.
    pub quorum_max_memory_length: u32,
    /// `x-max-in-memory-bytes` of quorum queues; 0 is none.
    pub quorum_max_memory_bytes: u32,
    /// `x-ha-policy: all` on every queue.
    pub mirrored: bool,
    /// Fanout and reply queues are quorum queues too.
    pub transient_quorum: bool,
    /// One stream per topic in place of a fanout queue per server. Needs `transient_quorum`.
    pub stream_fanout: bool,
    /// How long an unused fanout or reply queue lives; `None` is for ever.
    pub transient_ttl: Option<Duration>,
    /// Asks the broker to cancel consumers when a mirrored queue moves.
    pub cancel_on_failover: bool,
    /// Transient queues are named after host and process in place of a random id.
    pub queue_names: TransientNames,
}

impl Default for QueueFlags {
    fn default() -> Self {
        Self {
            durable: false,
            auto_delete: false,
            quorum: false,
            quorum_delivery_limit: 0,
            quorum_max_memory_length: 0,
            quorum_max_memory_bytes: 0,
            mirrored: false,
            transient_quorum: false,
            stream_fanout: false,
            transient_ttl: Some(Duration::from_secs(1800)),
            cancel_on_failover: false,
            queue_names: TransientNames::Random,
        }
    }
}

/// How fanout and reply queues are named.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TransientNames {
    /// With a random id: nobody else can have it.
    #[default]
    Random,
    /// `host:process:number`, as the queue manager does: such queues are found again after a restart, so they
    /// are not deleted on stop. The number tells the processes of one host apart, so hosts must differ.
    Managed {
        /// The host's part.
        host: String,
        /// The process' part.
        process: String,
    },
}
