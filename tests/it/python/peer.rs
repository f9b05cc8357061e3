//! A Python peer: a process that is told what to do on its stdin and says what it sees on its stdout.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use mesos_conductor_proto::context::RequestContext;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_util::task::TaskTracker;

use crate::support::{World, amqp_url, eventually};

/// Seconds after which a Python client gives a call up: before a test gives it up.
const TIMEOUT: u64 = 50;

/// The release of `tests/python/requirements.txt`.
const NEWEST: &str = "18.3.1";

pub(crate) struct Peer {
    _child: Child,
    input: tokio::sync::Mutex<ChildStdin>,
    said: Arc<Mutex<Vec<Value>>>,
    next: AtomicU64,
    log: PathBuf,
    context: RequestContext,
}

/// The interpreter with the packages of `tests/python/requirements.txt`.
pub(crate) fn interpreter() -> PathBuf {
    let made = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    let python = std::env::var_os("CONDUCTOR_TEST_PYTHON").map_or_else(made, PathBuf::from);
    assert!(
        python.exists(),
        "{} is no Python with oslo.messaging: scripts/python-peers.sh (or `make test`) makes one, \
         CONDUCTOR_TEST_PYTHON names it",
        python.display()
    );
    python
}

/// The interpreter of another release of oslo.messaging: it lies beside that of the newest.
fn interpreter_of(release: &str) -> PathBuf {
    let newest = interpreter();
    let environment = newest.parent().and_then(Path::parent).expect("it is in the bin of an environment");
    let python = environment.with_file_name(format!("python-{release}")).join("bin/python");
    assert!(python.exists(), "{} is not there: scripts/python-peers.sh makes it", python.display());
    python
}

impl Peer {
    /// A client that acts as the demo user.
    pub(crate) async fn client(world: &World) -> Self {
        Self::start(world, &interpreter(), "client.py", &world.broker.topic).await
    }

    /// A listener to the notifications of a topic.
    pub(crate) async fn listener(world: &World, topic: &str) -> Self {
        Self::start(world, &interpreter(), "listener.py", topic).await
    }

    /// A client and a listener of one release of oslo.messaging.
    pub(crate) async fn of_release(world: &World, release: &str, topic: &str) -> (Self, Self) {
        let python = if release == NEWEST { interpreter() } else { interpreter_of(release) };
        let client = Self::start(world, &python, "client.py", &world.broker.topic);
        let listener = Self::start(world, &python, "listener.py", topic);
        let peers = tokio::join!(client, listener);
        for peer in [&peers.0, &peers.1] {
            peer.find("its release", |document| document["release"] == release).await;
        }
        peers
    }

    async fn start(world: &World, python: &Path, script: &str, topic: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
        let log = world.directory.path().join(format!("{script}.{}.log", uuid::Uuid::new_v4().simple()));
        let mut command = Command::new(python);
        command.arg(path).args([
            "--url",
            &amqp_url(),
            "--exchange",
            &world.broker.exchange,
            "--topic",
            topic,
        ]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        command.stderr(std::fs::File::create(&log).expect("the log is opened"));
        let mut child = command.spawn().expect("Python starts");
        let input = tokio::sync::Mutex::new(child.stdin.take().expect("it is piped"));
        let said = Arc::<Mutex<Vec<Value>>>::default();
        let output = child.stdout.take().expect("it is piped");
        TaskTracker::new().spawn(listen(output, Arc::clone(&said)));
        let peer = Self { _child: child, input, said, next: AtomicU64::new(1), log, context: world.demo() };
        peer.find("ready", |document| document["ready"] == true).await;
        peer
    }

    /// Everything that the peer has said until now.
    pub(crate) fn said(&self) -> Vec<Value> {
        self.said.lock().expect("no panic while the lock is held").clone()
    }

    /// Waits until the peer says something like that.
    pub(crate) async fn find(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let found = eventually(|| async { self.said().into_iter().find(&fits) }).await;
        found.unwrap_or_else(|| {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            panic!("Python never said {what}; it said {:#?}\n{log}", self.said())
        })
    }

    pub(crate) fn context(&self) -> &RequestContext {
        &self.context
    }

    /// Gives a command, with `more` in it; its answer comes under the number that is returned.
    pub(crate) async fn command(&self, op: &str, method: &str, args: Value, more: Value) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut command = json!({
            "id": id, "op": op, "method": method, "args": args, "timeout": TIMEOUT, "context": self.context.to_map(),
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            command[key] = value.clone();
        }
        let mut input = self.input.lock().await;
        input.write_all(format!("{command}\n").as_bytes()).await.expect("Python reads");
        input.flush().await.expect("Python reads");
        id
    }

    /// What became of a command: its result, or the description of the exception that was raised.
    pub(crate) async fn answer(&self, id: u64) -> Result<Value, Value> {
        let answer = self.find("the answer", |document| document["id"] == id).await;
        match answer.get("error") {
            None => Ok(answer["ok"].clone()),
            Some(error) => Err(error.clone()),
        }
    }

    pub(crate) async fn call_with(&self, method: &str, args: Value, more: Value) -> Result<Value, Value> {
        let id = self.command("call", method, args, more).await;
        self.answer(id).await
    }

    pub(crate) async fn call(&self, method: &str, args: Value) -> Result<Value, Value> {
        self.call_with(method, args, json!({})).await
    }

    /// A cast, until it is sent.
    pub(crate) async fn cast(&self, op: &str, method: &str, args: Value) {
        let id = self.command(op, method, args, json!({})).await;
        assert_eq!(self.answer(id).await, Ok(Value::Null));
    }

    /// How many replies came that no call waited for. A second reply to a call comes by the same queue as the answer
    /// to the ping before it is counted.
    pub(crate) async fn stray_replies(&self) -> Value {
        assert_eq!(self.call("ping_conductor", json!({})).await, Ok(json!(true)));
        let id = self.command("stray_replies", "", json!({}), json!({})).await;
        self.answer(id).await.expect("it is a number")
    }

    /// Creates the recorded bay model and says its uuid.
    pub(crate) async fn create_model(&self) -> String {
        let answer = self.call("object_action", super::mitaka_model()).await.expect("the model is created");
        answer[0]["uuid"].as_str().expect("a uuid").to_owned()
    }
}

async fn listen(output: ChildStdout, said: Arc<Mutex<Vec<Value>>>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let document = serde_json::from_str(&line).unwrap_or_else(|_| panic!("Python printed {line:?}"));
        said.lock().expect("no panic while the lock is held").push(document);
    }
}
