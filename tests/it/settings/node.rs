//! A RabbitMQ node of the tests' own: one whose alarms go off and whose connections are closed by its operator, with
//! TLS, every login method, and the management API to look at what was declared.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, OnceLock},
    time::Duration,
};

use mesos_conductor::amqp::settings::Broker;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::{
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Instant,
};
use uuid::Uuid;

use crate::{
    amqp::broker::show_logs,
    support::{PATIENCE, eventually as patiently},
};

/// The user that the client's certificate names.
pub(super) const CERTIFIED: &str = "conductor";
/// The tests of a run share one, which ends when the run does: its script reads from us.
static SHARED: OnceLock<Option<Node>> = OnceLock::new();
/// An alarm is everybody's: whoever sets one off has the node alone.
static USE: RwLock<()> = RwLock::const_new(());

pub(super) struct Node {
    /// What an operator would give as `transport_url`, without options.
    pub(super) url: String,
    pub(super) tls_port: u16,
    /// With the certificates, until the node ends.
    directory: PathBuf,
    management: String,
    process: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _child: Child,
}

/// The right to use the node for as long as it is held.
pub(super) struct Lease {
    node: &'static Node,
    _right: Right,
}

#[expect(dead_code, reason = "they are held, not looked at")]
enum Right {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl std::ops::Deref for Lease {
    type Target = Node;

    fn deref(&self) -> &Node {
        self.node
    }
}

/// The node, for a test that leaves the others' connections alone. None, with a note, where no RabbitMQ is installed;
/// a failure where there has to be one.
pub(super) async fn shared() -> Option<Lease> {
    let right = Right::Shared(USE.read().await);
    Some(Lease { node: find().await?, _right: right })
}

/// The node, without any other test on it.
pub(super) async fn alone() -> Option<Lease> {
    let right = Right::Alone(USE.write().await);
    Some(Lease { node: find().await?, _right: right })
}

async fn find() -> Option<&'static Node> {
    show_logs();
    rustls::crypto::ring::default_provider().install_default().ok();
    let node = tokio::task::spawn_blocking(|| SHARED.get_or_init(Node::start).as_ref());
    node.await.expect("the node starts")
}

fn installed() -> bool {
    let found = |program: &str| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).any(|path| path.join(program).exists())
    };
    found("erl") && (Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server").exists() || found("rabbitmq-server"))
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).expect("a free port").local_addr().expect("it is bound").port()
}

impl Lease {
    /// Runs a command of rabbitmqctl.
    pub(super) async fn control(&self, command: &str) {
        let (node, line) = (self.node, format!("{command}\n"));
        let answer = tokio::task::spawn_blocking(move || {
            let (input, output) = &mut *node.process.lock().expect("no panic under the lock");
            input.write_all(line.as_bytes()).and_then(|()| input.flush()).expect("the script reads");
            let mut answer = String::new();
            output.read_line(&mut answer).expect("the script answers");
            answer
        });
        let answer = answer.await.expect("it answers");
        let log = || std::fs::read_to_string(self.directory.join("node.log")).unwrap_or_default();
        assert_eq!(answer.trim(), "ok", "rabbitmqctl {command}:\n{}", log());
    }
}

impl Node {
    fn start() -> Option<Self> {
        if !installed() {
            assert!(std::env::var_os("CI").is_none(), "RabbitMQ must be installed where CI is");
            eprintln!("skipped: RabbitMQ is not installed here");
            return None;
        }
        let directory =
            std::env::temp_dir().join(format!("mesos-conductor-node-{}", Uuid::new_v4().simple()));
        std::fs::create_dir(&directory).expect("the node's directory");
        certify(&directory);
        let (management, tls_port) = (free_port(), free_port());
        let write =
            |name: &str, text: &str| std::fs::write(directory.join(name), text).expect("it is written");
        write("more.conf", &configuration(&directory, management, tls_port));
        write("plugins", "[rabbitmq_management,rabbitmq_auth_mechanism_ssl].");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/private-rabbitmq.sh");
        // Runs side by side look for ports in different places.
        let port = 27_000 + 10 * (std::process::id() % 500);
        let mut command = Command::new(script);
        command.arg(&directory).arg(port.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(std::fs::File::create(directory.join("node.log")).expect("a log"));
        let mut child = command.spawn().expect("the script starts");
        let input = child.stdin.take().expect("it is piped");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut url = String::new();
        output.read_line(&mut url).expect("the script can be read");
        let log = || std::fs::read_to_string(directory.join("node.log")).unwrap_or_default();
        assert!(url.starts_with("amqp://"), "the node did not start:\n{}", log());
        Some(Self {
            url: url.trim().replace("amqp://", "rabbit://").replace("127.0.0.1", "localhost"),
            tls_port,
            management: format!("http://127.0.0.1:{management}/api"),
            process: Mutex::new((input, output)),
            _child: child,
            directory,
        })
    }

    /// What the management API has at a path; null where there is nothing.
    pub(super) async fn get(&self, path: &[&str]) -> Value {
        // Asked again where it hangs up on us: it does so when it is busy.
        let answer = patiently(async || {
            let request = http().get(self.at(path)).basic_auth("guest", Some("guest"));
            request.send().await.ok()
        });
        let answer = answer.await.expect("the management API answers");
        if answer.status().is_success() { answer.json().await.expect("it is JSON") } else { Value::Null }
    }

    pub(super) async fn put(&self, path: &[&str], body: Value) {
        let request = http().put(self.at(path)).basic_auth("guest", Some("guest"));
        let answer = request.json(&body).send().await.expect("the management API answers");
        assert!(answer.status().is_success(), "{path:?}: {}", answer.status());
    }

    pub(super) async fn delete(&self, path: &[&str]) {
        let request = http().delete(self.at(path)).basic_auth("guest", Some("guest"));
        let answer = request.send().await.expect("the management API answers");
        assert!(answer.status().is_success(), "{path:?}: {}", answer.status());
    }

    pub(super) async fn queue(&self, name: &str) -> Value {
        self.get(&["queues", "/", name]).await
    }

    /// The user whom the certificate proves.
    pub(super) async fn admit_certified(&self) {
        self.put(&["users", CERTIFIED], json!({ "password_hash": "", "tags": "" })).await;
        let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        self.put(&["permissions", "/", CERTIFIED], all).await;
    }

    /// The management API as an operator writes it.
    pub(super) fn management_url(&self) -> String {
        self.management.replace("http://", "http://guest:guest@").replace("/api", "")
    }

    fn at(&self, path: &[&str]) -> String {
        let encode = |part: &&str| {
            percent_encoding::utf8_percent_encode(part, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        let parts: Vec<_> = path.iter().map(encode).collect();
        format!("{}/{}", self.management, parts.join("/"))
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Connection settings as [`crate::amqp::broker::broker`] makes them, to this node.
    pub(super) fn route(&self, broker: &Broker) -> Broker {
        let hosts = Broker::from_transport_url(&self.url).expect("a URL").hosts;
        Broker { hosts, ..broker.clone() }
    }
}

/// Without connections that are kept: a test's runtime ends with it.
fn http() -> &'static reqwest::Client {
    static HTTP: OnceLock<reqwest::Client> = OnceLock::new();
    HTTP.get_or_init(|| reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client"))
}

/// Waits for something that the management API is to hear of. It is asked at leisure: asking costs the node more than
/// what it is asked about.
pub(super) async fn eventually<F: AsyncFnMut() -> bool>(what: &str, mut condition: F) {
    let deadline = Instant::now() + PATIENCE;
    let mut every = tokio::time::interval(Duration::from_millis(200));
    while !condition().await {
        assert!(Instant::now() < deadline, "it did not come true that {what}");
        every.tick().await;
    }
}

fn configuration(certificates: &Path, management: u16, tls: u16) -> String {
    let file = |name: &str| certificates.join(name).display().to_string();
    format!(
        "
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
collect_statistics_interval = 250
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = AMQPLAIN
auth_mechanisms.3 = EXTERNAL
auth_mechanisms.4 = RABBIT-CR-DEMO
listeners.ssl.1 = 127.0.0.1:{tls}
ssl_options.cacertfile = {ca}
ssl_options.certfile = {cert}
ssl_options.keyfile = {key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
ssl_cert_login_from = common_name
",
        ca = file("ca.pem"),
        cert = file("server.pem"),
        key = file("server.key"),
    )
}

/// An authority, a certificate for localhost and one for the client, and an authority that signed neither.
fn certify(directory: &Path) {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
    };
    let write = |name: &str, text: String| std::fs::write(directory.join(name), text).expect("it is written");
    let (ca, other) = (authority("one"), authority("another"));
    write("ca.pem", ca.pem());
    write("other.pem", other.pem());
    for (name, host) in [("server", "localhost"), ("client", CERTIFIED)] {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, host);
        let certificate = params.signed_by(&key, &ca).expect("a certificate");
        write(&format!("{name}.pem"), certificate.pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}
