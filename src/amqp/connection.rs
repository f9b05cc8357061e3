//! Connections to the broker: one host after the other, each within a time limit.

use std::{
    fmt,
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    process,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream::BoxStream};
use lapin::{
    Channel, Connection, ConnectionProperties, Event,
    auth::AuthProvider,
    tcp::AsyncTcpStream,
    types::{LongString, ShortString},
    uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo},
};
use rand::seq::SliceRandom;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    backoff::Backoff,
    settings::{Broker, Failover, Host, LoginMethod},
    tls::{self, TlsError},
    topology::reply_code,
};

/// How long an orderly close may take before the connection is simply dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A larger body goes in several frames. lapin keeps 32 of the largest frames for each direction of a connection, and
/// in time writes to all of that memory: 8 MiB for each connection at the broker's 128 KiB, 1 MiB at this.
const FRAME_MAX: u32 = 16 * 1024;

/// Why there is no connection to the broker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The settings name no host.
    #[error("no broker host is configured")]
    NoHost,
    /// TLS cannot be set up, whatever the host.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The broker answered, and refused the user or the virtual host.
    #[error("broker {host} refuses the user, the password or the virtual host: {reason}")]
    Refused {
        /// Which host.
        host: String,
        /// What it said.
        reason: String,
    },
    /// The host cannot be reached, or what answers there is no broker.
    #[error("broker {host}: {reason}")]
    Unreachable {
        /// Which host.
        host: String,
        /// What happened.
        reason: String,
    },
    /// The host did not finish the handshake in time.
    #[error("broker {host} did not answer within {limit:?}")]
    Timeout {
        /// Which host.
        host: String,
        /// The time it had.
        limit: Duration,
    },
    /// The connection was made, but what is needed on it could not be declared.
    #[error("broker {host}: {reason}")]
    Setup {
        /// Which host.
        host: String,
        /// What the broker said.
        reason: String,
    },
}

/// Makes connections for one session after another. The hosts are shuffled once, so that a fleet spreads over
/// the cluster, and a failure goes on with the next one.
#[derive(Debug)]
pub(crate) struct Connector {
    broker: Arc<Broker>,
    hosts: Vec<Host>,
    next: usize,
    backoff: Backoff,
}

impl Connector {
    pub(crate) fn new(broker: Arc<Broker>) -> Self {
        let mut hosts = broker.hosts.clone();
        hosts.shuffle(&mut rand::rng());
        let backoff = Backoff::new(&broker);
        Self { broker, hosts, next: 0, backoff }
    }

    /// Tries every host once, from the one after the last that was tried.
    pub(crate) async fn round(&mut self) -> Result<Link, ConnectError> {
        if self.broker.failover == Failover::Shuffle {
            self.hosts.shuffle(&mut rand::rng());
        }
        let mut last = ConnectError::NoHost;
        for _ in 0..self.hosts.len() {
            let host = self.hosts[self.next % self.hosts.len()].clone();
            self.next = (self.next + 1) % self.hosts.len();
            match Link::open(&self.broker, &host).await {
                Ok(link) => {
                    tracing::info!(broker.host = link.host(), "connected to the broker");
                    return Ok(link);
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection to the broker");
                    last = error;
                }
            }
        }
        Err(last)
    }

    /// The wait after a round, or the session that followed it, failed.
    pub(crate) fn failed(&mut self) -> Duration {
        self.backoff.after_failure()
    }

    /// To be told when a session works: only that makes waits short again. Returns the wait before the next
    /// connection, should this one be lost.
    pub(crate) fn succeeded(&mut self) -> Duration {
        self.backoff.reset();
        self.backoff.before_reconnect()
    }
}

/// An open connection.
pub(crate) struct Link {
    connection: Connection,
    host: String,
}

impl Link {
    async fn open(broker: &Broker, host: &Host) -> Result<Self, ConnectError> {
        let endpoint = host.endpoint();
        // A peer that accepts and then says nothing would keep lapin's thread for ever: shutting its socket
        // down is what ends it.
        let socket = Arc::new(Mutex::new(None::<TcpStream>));
        let attempt = Self::handshake(broker, host, Arc::clone(&socket)).await?;
        let outcome = timeout(broker.connect_timeout, attempt).await;
        let socket = socket.lock().unwrap_or_else(PoisonError::into_inner).take();
        match outcome {
            Ok(Ok(connection)) => Ok(Self { connection, host: endpoint }),
            Ok(Err(error)) => Err(explain(endpoint, &error)),
            Err(_) => {
                if let Some(Err(error)) = socket.map(|socket| socket.shutdown(Shutdown::Both)) {
                    tracing::debug!(%error, broker.host = endpoint, "the abandoned socket was closed before");
                }
                Err(ConnectError::Timeout { host: endpoint, limit: broker.connect_timeout })
            }
        }
    }

    async fn handshake(
        broker: &Broker,
        host: &Host,
        socket: Arc<Mutex<Option<TcpStream>>>,
    ) -> Result<impl Future<Output = lapin::Result<Connection>> + use<>, ConnectError> {
        let tls = broker.tls.as_ref().map(tls::connector).transpose()?;
        let unreachable = |error: lapin::Error| ConnectError::Unreachable {
            host: host.endpoint(),
            reason: error.to_string(),
        };
        let runtime = lapin::runtime::default_runtime().map_err(unreachable)?;
        let limit = broker.connect_timeout;
        Ok(Connection::connector(
            address(broker, host),
            runtime,
            async move |uri, runtime| {
                let AMQPAuthority { host, port, .. } = uri.authority;
                let connect = async {
                    let addresses = runtime.to_socket_addrs((host.clone(), port));
                    let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
                    if let AsyncTcpStream::Plain(plain) = &stream {
                        let copy = plain.get_ref().as_fd().try_clone_to_owned()?;
                        *socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy.into());
                    }
                    match &tls {
                        None => Ok(stream),
                        Some(connector) => stream.into_rustls(connector, &host).await,
                    }
                };
                match timeout(limit, connect).await {
                    Ok(connected) => Ok(connected?),
                    Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
                }
            },
            properties(broker, host),
        ))
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn is_open(&self) -> bool {
        self.connection.status().connected()
    }

    /// The broker is short of memory or disk and reads nothing from us.
    pub(crate) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// The largest number of channels that the broker grants.
    pub(crate) fn channel_max(&self) -> u16 {
        self.connection.configuration().channel_max()
    }

    pub(crate) async fn channel(&self) -> lapin::Result<Channel> {
        self.connection.create_channel().await
    }

    pub(crate) fn events(&self) -> BoxStream<'static, Event> {
        self.connection.events_listener().boxed()
    }

    pub(crate) async fn close(&self) {
        match timeout(CLOSE_TIMEOUT, self.connection.close(200, "OK".into())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the connection was closed before"),
            Err(_) => tracing::debug!("the broker does not confirm the close"),
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.host).finish()
    }
}

/// Without user and password, because lapin's traces show addresses: those go by [`Login`].
fn address(broker: &Broker, host: &Host) -> AMQPUri {
    let seconds = broker.heartbeat.as_secs().min(u64::from(u16::MAX));
    AMQPUri {
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo { username: String::new(), password: String::new() },
            host: host.host.clone(),
            port: host.port,
        },
        vhost: broker.vhost.clone(),
        query: AMQPQueryString {
            heartbeat: Some(u16::try_from(seconds).unwrap_or(u16::MAX)),
            frame_max: Some(FRAME_MAX),
            ..AMQPQueryString::default()
        },
    }
}

fn properties(broker: &Broker, host: &Host) -> ConnectionProperties {
    let login = Login {
        method: broker.login_method,
        username: host.username.clone(),
        password: host.password.clone(),
    };
    ConnectionProperties::default()
        .with_connection_name(format!("mesos-conductor:{}:{}", process::id(), Uuid::new_v4()).into())
        .with_auth_provider(login)
}

fn explain(host: String, error: &lapin::Error) -> ConnectError {
    let reason = error.to_string();
    match reply_code(error) {
        // ACCESS_REFUSED: the user; NOT_ALLOWED: the virtual host.
        Some(403 | 530) => ConnectError::Refused { host, reason },
        Some(_) | None => ConnectError::Unreachable { host, reason },
    }
}

/// Proves the user without handing the password to a type that prints it.
struct Login {
    method: LoginMethod,
    username: String,
    password: SecretString,
}

impl AuthProvider for Login {
    fn mechanism(&self) -> ShortString {
        match self.method {
            LoginMethod::AmqPlain => "AMQPLAIN",
            LoginMethod::Plain => "PLAIN",
            LoginMethod::External => "EXTERNAL",
            LoginMethod::RabbitCrDemo => "RABBIT-CR-DEMO",
        }
        .into()
    }

    fn auth_starter(&self) -> Result<LongString, String> {
        let (username, password) = (&self.username, self.password.expose_secret());
        Ok(match self.method {
            LoginMethod::AmqPlain => {
                let mut table = Vec::new();
                put_text(&mut table, "LOGIN", username)?;
                put_text(&mut table, "PASSWORD", password)?;
                table.into()
            }
            LoginMethod::Plain => format!("\0{username}\0{password}").into(),
            LoginMethod::External => LongString::default(),
            LoginMethod::RabbitCrDemo => username.as_bytes().into(),
        })
    }

    fn continue_auth(&self, _challenge: LongString) -> Result<LongString, String> {
        match self.method {
            LoginMethod::RabbitCrDemo => {
                Ok(format!("My password is {}", self.password.expose_secret()).into())
            }
            LoginMethod::AmqPlain | LoginMethod::Plain | LoginMethod::External => {
                Err("the broker asks for more than the login method has to say".to_owned())
            }
        }
    }
}

/// One entry of an AMQP field table: short name, type `S`, long text.
fn put_text(table: &mut Vec<u8>, key: &'static str, text: &str) -> Result<(), String> {
    let length = u32::try_from(text.len()).map_err(|_| "user or password is too long".to_owned())?;
    table.push(u8::try_from(key.len()).map_err(|_| "the key is too long".to_owned())?);
    table.extend_from_slice(key.as_bytes());
    table.push(b'S');
    table.extend_from_slice(&length.to_be_bytes());
    table.extend_from_slice(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_login_method_says_what_the_broker_expects() {
        let say = |method| {
            let login = Login { method, username: "guest".to_owned(), password: "guest".into() };
            login.auth_starter().map(|text| text.as_bytes().to_vec()).unwrap()
        };
        let amqplain = b"\x05LOGINS\x00\x00\x00\x05guest\x08PASSWORDS\x00\x00\x00\x05guest";
        assert_eq!(say(LoginMethod::AmqPlain), amqplain);
        assert_eq!(say(LoginMethod::Plain), b"\0guest\0guest");
        assert_eq!(say(LoginMethod::External), b"");
        assert_eq!(say(LoginMethod::RabbitCrDemo), b"guest");
    }
}
