//! An unmodified oslo.messaging with the same options, on the same topic.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::Mutex,
    time::timeout,
};

use super::node::Node;
use crate::{amqp::broker::PATIENCE, python::interpreter};

pub(super) struct Library {
    pipes: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    log: PathBuf,
    _child: Child,
}

impl Library {
    pub(super) async fn start(node: &Node) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/settings.py");
        let log = node.file("python.log");
        let mut command = Command::new(interpreter());
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        command.stderr(std::fs::File::create(&log).expect("the log is opened"));
        // The queue manager asks for the leader of its process group, which may have ended before a test run does.
        command.process_group(0);
        let mut child = command.spawn().expect("Python starts");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { pipes: Mutex::new((input, output)), log, _child: child }
    }

    /// One command at a time, with its answer.
    async fn ask(&self, command: Value) -> Result<Value, Value> {
        let (input, output) = &mut *self.pipes.lock().await;
        input.write_all(format!("{command}\n").as_bytes()).await.expect("Python reads");
        input.flush().await.expect("Python reads");
        let line = timeout(PATIENCE, output.next_line()).await;
        let line = line.ok().and_then(Result::ok).flatten();
        let line = line.unwrap_or_else(|| panic!("Python says nothing to {command}:\n{}", self.log()));
        let mut answer: Value = serde_json::from_str(&line).expect("Python prints JSON");
        match answer.get("error") {
            None => Ok(answer["ok"].take()),
            Some(error) => Err(error.clone()),
        }
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The name and default of every option of `[oslo_messaging_rabbit]`.
    pub(super) async fn options(&self) -> Vec<(String, String)> {
        let options = self.ask(json!({ "op": "options" })).await.expect("it lists them");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        options.as_array().expect("a list").iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
    }

    /// Starts a server named `python` beside ours with the options in the URL's query, and calls ours.
    pub(super) async fn meet(&self, url: &str, exchange: &str, topic: &str, server: &str) -> Value {
        let command = json!({
            "op": "meet", "url": url, "exchange": exchange, "topic": topic, "server": server, "method": "echo",
            "args": { "value": 1 }, "serve": true,
        });
        self.ask(command).await.unwrap_or_else(|error| panic!("{url}: {error}\n{}", self.log()))
    }

    /// Calls a method of a server, without one of its own.
    pub(super) async fn call(
        &self,
        url: &str,
        exchange: &str,
        topic: &str,
        method: &str,
    ) -> Result<Value, Value> {
        let command = json!({
            "op": "meet", "url": url, "exchange": exchange, "topic": topic, "server": null, "method": method,
            "args": {}, "serve": false,
        });
        let answer = self.ask(command).await;
        self.part().await;
        answer
    }

    /// Ends what [`Self::meet`] began.
    pub(super) async fn part(&self) {
        self.ask(json!({ "op": "part" })).await.expect("Python parts");
    }
}
