//! How a worker connects, proves itself, keeps a connection and comes back.

use std::time::{Duration, Instant};

use mesos_conductor::client::Client;
use serde_json::Value;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::{
    Rows, configured,
    node::{CERTIFIED, Node, eventually},
};
use crate::amqp::broker::Running;

fn id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// What the broker says of the connection that consumes.
async fn connection(node: &Node, url: &str, options: &[&str]) -> Value {
    let broker = configured(url, &id(), options);
    let running = Running::start(&broker).await;
    let mut found = Value::Null;
    eventually("the connection is listed", async || {
        let queue = node.queue(&broker.topic).await;
        let name = queue["consumer_details"][0]["channel_details"]["connection_name"].clone();
        if let Some(name) = name.as_str() {
            found = node.get(&["connections", name]).await;
        }
        !found["timeout"].is_null()
    })
    .await;
    running.stop().await;
    found
}

async fn refusal(url: &str, options: &[&str]) -> String {
    let broker = configured(url, &id(), options);
    Client::connect(&broker).await.expect_err("it is refused").to_string()
}

pub(super) async fn logins(node: &Node) -> Rows {
    let mut rows = Rows::default();
    let mut seen = Vec::new();
    for method in ["AMQPLAIN", "PLAIN", "RABBIT-CR-DEMO"] {
        let connection = connection(node, &node.url, &[&format!("rabbit_login_method={method}")]).await;
        assert_eq!(connection["auth_mechanism"], method);
        seen.push(format!("`{method}`"));
    }
    let seven = connection(node, &node.url, &["heartbeat_timeout_threshold=7"]).await;
    // An option of the URL's query wins over the section's.
    let query = format!("{}?heartbeat_timeout_threshold=5", node.url);
    let five = connection(node, &query, &["heartbeat_timeout_threshold=7"]).await;
    let zero = connection(node, &node.url, &["heartbeat_timeout_threshold=0"]).await;
    rows.add(
        "heartbeat_timeout_threshold",
        "The heartbeat that is proposed; the lower of the two counts. 0 proposes none, and the broker's own is \
         kept: it costs nothing, and a silent connection is noticed.",
        format!(
            "`7`: timeout {}; `0`: timeout {}; a connection that fell silent is given up",
            seven["timeout"], zero["timeout"]
        ),
    );
    rows.add(
        "(any, in `transport_url`)",
        "An option in the URL's query wins over the section.",
        format!("`?heartbeat_timeout_threshold=5` over `7`: timeout {}", five["timeout"]),
    );
    let external = tls(node, &mut rows).await;
    assert_eq!((&external["auth_mechanism"], &external["user"]), (&"EXTERNAL".into(), &CERTIFIED.into()));
    rows.add(
        "rabbit_login_method",
        "Each of the four. `EXTERNAL` without `ssl_cert_file` is a fault at the start.",
        format!("{}, `EXTERNAL` as the user of the certificate", seen.join(", ")),
    );
    rows
}

/// Returns what the broker says of a connection with our certificate.
async fn tls(node: &Node, rows: &mut Rows) -> Value {
    let url = format!("rabbit://guest:guest@localhost:{}/", node.tls_port);
    let option = |name: &str, file: &str| format!("{name}={}", node.file(file).display());
    let (ca, other) = (option("ssl_ca_file", "ca.pem"), option("ssl_ca_file", "other.pem"));
    let (cert, key) = (option("ssl_cert_file", "client.pem"), option("ssl_key_file", "client.key"));
    let plain = connection(node, &url, &["ssl=true", &ca]).await;
    assert_eq!((&plain["ssl"], &plain["user"]), (&true.into(), &"guest".into()));
    rows.add("ssl", "Speaks TLS.", format!("`true`: {}", plain["ssl_protocol"]));
    let wrong = refusal(&url, &["ssl=true", &other]).await;
    assert!(wrong.contains("UnknownIssuer"), "{wrong}");
    let numbered = url.replace("localhost", "127.0.0.1");
    let misnamed = refusal(&numbered, &["ssl=true", &ca]).await;
    assert!(misnamed.contains("not valid for name"), "{misnamed}");
    rows.add(
        "ssl_ca_file",
        "Who may have signed the broker's certificate; unset: whom the system trusts. The name is always verified.",
        "the right one connects; another: `invalid peer certificate: UnknownIssuer`; a host that the certificate \
         does not name: `certificate not valid for name`",
    );
    let external =
        connection(node, &url, &["ssl=true", &ca, &cert, &key, "rabbit_login_method=EXTERNAL"]).await;
    rows.add(
        "ssl_cert_file",
        "The worker's own certificate.",
        "shown to the broker, which took its user from it",
    );
    rows.add("ssl_key_file", "Its key.", "as above");
    external
}

/// A host that hangs up on everybody and remembers when they came.
struct Door(TcpListener);

impl Door {
    async fn open() -> Self {
        Self(TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port"))
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("it is bound").port()
    }

    async fn knock(&self) -> Instant {
        drop(self.0.accept().await.expect("somebody comes"));
        Instant::now()
    }
}

/// The waits between so many attempts to connect.
async fn gaps(count: usize, options: &[&str]) -> Vec<Duration> {
    let door = Door::open().await;
    let url = format!("rabbit://guest:guest@127.0.0.1:{}/", door.port());
    let running = Running::begin(&configured(&url, &id(), options));
    let mut came = vec![door.knock().await];
    for _ in 0..count {
        came.push(door.knock().await);
    }
    running.stop().await;
    came.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// The order in which three hosts are tried, as numbers.
async fn order(count: usize, strategy: &str) -> Vec<usize> {
    let doors = [Door::open().await, Door::open().await, Door::open().await];
    let hosts: Vec<_> = doors.iter().map(|door| format!("guest:guest@127.0.0.1:{}", door.port())).collect();
    let strategy = format!("kombu_failover_strategy={strategy}");
    let options =
        [strategy.as_str(), "kombu_reconnect_delay=0", "rabbit_retry_interval=0", "rabbit_retry_backoff=0"];
    let running = Running::begin(&configured(&format!("rabbit://{}/", hosts.join(",")), &id(), &options));
    let mut seen = Vec::new();
    while seen.len() < count {
        seen.push(tokio::select! {
            _ = doors[0].knock() => 0,
            _ = doors[1].knock() => 1,
            _ = doors[2].knock() => 2,
        });
    }
    running.stop().await;
    seen
}

pub(super) async fn waits() -> Rows {
    let mut rows = Rows::default();
    let growing = [
        "kombu_reconnect_delay=0",
        "rabbit_retry_interval=0.2",
        "rabbit_retry_backoff=0.3",
        "rabbit_interval_max=0.6",
    ];
    let seen = gaps(4, &growing).await;
    for (gap, least) in seen.iter().zip([200, 500, 600, 600]) {
        assert!(*gap >= Duration::from_millis(least), "{seen:?}");
    }
    // Without the ceiling it would have been 1.1 s.
    assert!(seen[3] < Duration::from_millis(1100), "{seen:?}");
    rows.add("rabbit_retry_interval", "The wait after the first failure.", "`0.2`: at least 0.2 s");
    rows.add("rabbit_retry_backoff", "What every further failure adds.", "`0.3`: then at least 0.5 s");
    rows.add("rabbit_interval_max", "The longest such wait.", "`0.6`: then at least 0.6 s, and again 0.6 s");
    let none = ["rabbit_retry_interval=0", "rabbit_retry_backoff=0", "kombu_reconnect_delay=0.3"];
    let seen = gaps(3, &none).await;
    assert!(seen.iter().all(|gap| *gap >= Duration::from_millis(300)), "{seen:?}");
    rows.add(
        "kombu_reconnect_delay",
        "A wait before every connection but the first.",
        "`0.3`: at least 0.3 s",
    );
    let splayed = [
        "rabbit_retry_interval=0",
        "rabbit_retry_backoff=0",
        "kombu_reconnect_delay=0",
        "kombu_reconnect_splay=0.4",
    ];
    let seen = gaps(8, &splayed).await;
    let (least, most) = (seen.iter().min().expect("eight"), seen.iter().max().expect("eight"));
    assert!(*most - *least > Duration::from_millis(20), "{seen:?}");
    rows.add("kombu_reconnect_splay", "Up to this much is added at random.", "`0.4`: waits that differ");
    let (turns, shuffled) = (order(9, "round-robin").await, order(36, "shuffle").await);
    assert!(turns[..3] == turns[3..6] && turns[..3] == turns[6..9], "{turns:?}");
    assert!(shuffled.chunks(3).any(|round| *round != shuffled[..3]), "{shuffled:?}");
    rows.add(
        "kombu_failover_strategy",
        "The order of the hosts, which are shuffled once in any case.",
        "`round-robin`: three hosts in the same order again and again; `shuffle`: in another order",
    );
    rows
}
