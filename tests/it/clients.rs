//! Releases of oslo.messaging from 2015 until today, each as its users install it, at work with the same two workers.
//! What is seen becomes a column of the table in `docs/COMPATIBILITY.md`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mesos_conductor_proto::message::{CallMonitor, ReplyContent, Request};
use mesos_conductor_sandbox::Config;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::python::{Peer, Wire, assert_magnum, assert_remote, mitaka_bay, server_name};
use crate::support::database::Backend;
use crate::support::document::generated;
use crate::support::worker::Worker;
use crate::support::{Caller, World, data, eventually, failure_class};

const RELEASES: [&str; 7] = ["1.8.3", "4.5.1", "5.35.6", "9.5.2", "12.13.3", "14.0.1", "18.3.1"];

/// How long a bay takes: longer than clients wait without a heartbeat.
const CREATE_TIME: Duration = Duration::from_secs(10);
/// Seconds without a sign of life after which a client gives up; the worker sends one every four. With half of it, a
/// machine that builds at the same time made clients give up.
const MONITOR: u64 = 8;

const YES: &str = "yes";

/// One capability of a release: its row of the table, and what was seen.
type Cell = (&'static str, &'static str);

struct Stage {
    world: World,
    workers: [Worker; 2],
}

/// A release at work: a client and a listener of it, beside our own client, which says what is true.
struct Release<'a> {
    name: &'static str,
    stage: &'a Stage,
    peer: Peer,
    listener: Peer,
    caller: Caller<'a>,
    model: String,
}

/// Notifications go to a topic for each release: listeners of one topic share them.
fn topic_of(world: &World, release: &str) -> String {
    format!("{}-{release}", world.broker.topic)
}

/// How often a worker says this of a request. Workers say much: a line is read as text, not as JSON.
fn said_of(worker: &Worker, message: &str, request_id: &str) -> usize {
    let log = worker.log_text();
    log.lines().filter(|line| line.contains(request_id) && line.contains(message)).count()
}

/// A query as a client sends it.
fn read(object: &str, version: &str, method: &str, of: &str) -> Value {
    json!({ "objname": object, "objver": version, "objmethod": method, "args": [of], "kwargs": {} })
}

impl<'a> Release<'a> {
    async fn start(stage: &'a Stage, name: &'static str) -> Self {
        let topic = topic_of(&stage.world, name);
        let (peer, listener) = Peer::of_release(&stage.world, name, &topic).await;
        let caller = Caller::new(&stage.world).await;
        let model = peer.create_model().await;
        Self { name, stage, peer, listener, caller, model }
    }

    /// The arguments of a bay of this release's own.
    fn bay(&self, what: &str) -> Value {
        let mut args = mitaka_bay(&self.model);
        args["bay"]["magnum_object.data"]["name"] = json!(self.bay_name(what));
        args
    }

    fn bay_name(&self, what: &str) -> String {
        format!("{what}-{}", self.name)
    }

    /// The bay of that name, once it is there. Two of one name would be a conflict.
    async fn the_bay(&self, what: &str) -> String {
        let by_name = read("Bay", "1.5", "get_by_name", &self.bay_name(what));
        let made = eventually(|| async {
            match self.caller.call("object_class_action", by_name.clone()).await {
                Err(error) if failure_class(&error) == "BayNotFound" => None,
                found => Some(found.unwrap_or_else(|error| panic!("{}: {what}: {error}", self.name))),
            }
        });
        let made = made.await.unwrap_or_else(|| panic!("{}: there is no bay {what}", self.name));
        data(&made)["uuid"].as_str().expect("a uuid").to_owned()
    }

    /// A context that the workers' logs show.
    fn traced(&self) -> (String, Value) {
        let request_id = format!("req-{}", Uuid::new_v4());
        let context = self.peer.context().clone().with("request_id", request_id.clone());
        (request_id, json!(context.to_map()))
    }

    async fn calls(&self) -> Cell {
        let args = read("BayModel", "1.10", "get_by_uuid", &self.model);
        let seen = self.peer.call("object_class_action", args.clone()).await.expect("the model is read");
        assert!(data(&seen).as_object().expect("fields").values().any(Value::is_null), "{seen:#}");
        assert!(data(&seen)["labels"].is_object(), "{seen:#}");
        let ours = self.caller.call("object_class_action", args).await.expect("the model is read");
        assert_eq!(seen, ours, "{}", self.name);
        ("a call, its result a nested object with nulls", YES)
    }

    async fn casts(&self) -> Cell {
        self.peer.cast("cast", "bay_create", self.bay("cast")).await;
        self.the_bay("cast").await;
        ("a cast, seen by the bay that it makes", YES)
    }

    /// Both workers get it: the one that comes second says that the first has done it.
    async fn fans_out(&self) -> Cell {
        let (request_id, context) = self.traced();
        let more = json!({ "context": context });
        let id = self.peer.command("fanout", "bay_create", self.bay("fanout"), more).await;
        assert_eq!(self.peer.answer(id).await, Ok(Value::Null));
        let knew = |worker| said_of(worker, "the message was recorded before", &request_id);
        let both =
            eventually(|| async { (self.stage.workers.iter().map(knew).sum::<usize>() == 1).then_some(()) });
        assert!(both.await.is_some(), "{}: the cast did not come to both workers", self.name);
        self.the_bay("fanout").await;
        ("a fanout cast, seen by both workers and done once", YES)
    }

    /// What is refused is logged by who refuses it.
    async fn calls_a_server(&self) -> Cell {
        for (named, other) in [(0, 1), (1, 0), (0, 1)] {
            let workers = &self.stage.workers;
            let server = server_name(&workers[named]);
            let directed = json!({ "server": server });
            assert_eq!(
                self.peer.call_with("ping_conductor", json!({}), directed.clone()).await,
                Ok(json!(true))
            );
            let pong = self.peer.call_with("oslo_rpc_server_ping", json!({}), directed).await;
            assert_eq!(pong, Ok(json!("pong")));
            let (request_id, context) = self.traced();
            let more = json!({ "server": server, "context": context });
            let args = json!({ "uuid": Uuid::new_v4().to_string() });
            self.peer.call_with("bay_delete", args, more).await.expect_err("there is no such bay");
            let count = |worker: &Worker| said_of(worker, "the request is refused", &request_id);
            assert_eq!((count(&workers[named]), count(&workers[other])), (1, 0), "{}", self.name);
        }
        ("a call to one worker by its server name", YES)
    }

    async fn raises_magnums_classes(&self) -> Cell {
        let mut args = self.bay("refused");
        args["notify_queue"] = json!("100%s_of_others");
        let error = self.peer.call("bay_create", args).await.expect_err("the queue is somebody else's");
        let message = "notify_queue `100%s_of_others` does not match the configured pattern `^reply_`.";
        assert_magnum(&error, "InvalidParameterValue", 400, message, json!({}));
        ("a failure raised as its class of `magnum.common.exception`, a literal % in it", YES)
    }

    async fn raises_pythons_classes(&self) -> Cell {
        let error = self.peer.call("bay_delete", json!({})).await.expect_err("an argument is missing");
        assert_eq!(
            (&error["class"], &error["module"]),
            (&json!("TypeError"), &json!("builtins")),
            "{error:#}"
        );
        let text = "bay_delete() missing 1 required positional argument: 'uuid'\n";
        assert!(error["message"].as_str().is_some_and(|said| said.starts_with(text)), "{error:#}");
        ("a failure raised as Python's own class", YES)
    }

    async fn raises_what_it_cannot_make(&self) -> Cell {
        let error = self.peer.call("no_such", json!({})).await.expect_err("no such method");
        assert_remote(&error, "NoSuchMethod", "Endpoint does not support RPC method no_such");
        let error = self.peer.call_with("ping_conductor", json!({}), json!({ "version": "1.9" })).await;
        let text = "Endpoint does not support RPC version 1.9. Attempted method: ping_conductor";
        assert_remote(&error.expect_err("a later version"), "UnsupportedVersion", text);
        let absent = Uuid::new_v4().to_string();
        let error = self.peer.call("bay_delete", json!({ "uuid": absent })).await.expect_err("there is none");
        assert_remote(&error, "BayNotFound", &format!("Bay {absent} could not be found."));
        (
            "any other failure (`NoSuchMethod`, `UnsupportedVersion`, `BayNotFound`) raised as `RemoteError`",
            YES,
        )
    }

    /// Takes a request that the release sends to nobody, and has the workers answer it where the test can look.
    async fn replies(&self) -> (Cell, Request) {
        let world = &self.stage.world;
        let nobody = format!("nobody-{}", self.name);
        let wire = Wire::open(&format!("reply_{}", Uuid::new_v4().simple())).await;
        wire.bind(&world.broker.exchange, &format!("{}.{nobody}", world.broker.topic)).await;
        let unanswered = json!({ "server": nobody, "timeout": 5 });
        let call = self.peer.command("call", "ping_conductor", json!({}), unanswered).await;
        // At once: a request is gone when its client has given it up.
        let sent = wire.next().await;
        let error = self.peer.answer(call).await.expect_err("nobody answers");
        assert_eq!(error["class"], "MessagingTimeout", "{}", self.name);
        let request = Request::decode(Some(&sent.content_type), &sent.body).expect("a request");
        let (msg_id, queue) = (request.msg_id.as_deref(), request.reply_q.as_deref());
        // As it was written, but for where the answer goes.
        let text = String::from_utf8(sent.body).expect("JSON is text");
        let body = text.replace(queue.expect("a call has one"), &wire.queue);
        let mut counts = Vec::new();
        // The second time shows that nothing came after the replies of the first.
        for _ in 0..2 {
            wire.publish(world, &sent.content_type, body.as_bytes()).await;
            let (replies, outcome) = wire.outcome(msg_id.expect("a call has one")).await;
            assert_eq!(outcome.expect("a result"), json!(true));
            let contents: Vec<_> = replies.iter().map(|letter| letter.reply().content).collect();
            let (result, rest) = contents.split_first().expect("a reply");
            assert_eq!(*result, ReplyContent::Result { value: json!(true), ending: rest.is_empty() });
            assert!(rest.iter().all(|content| *content == ReplyContent::Ending), "{rest:?}");
            counts.push(replies.len());
        }
        let expected = if text.contains(r#"\"_timeout\""#) { [1, 1] } else { [2, 2] };
        assert_eq!(counts, expected, "{}", self.name);
        let seen = if counts[0] == 1 { "one" } else { "two" };
        (("replies to a call, counted in the queue that its request names", seen), request)
    }

    /// A reply that comes when the client has gone on hurts neither side: begun here, seen at the end.
    async fn times_out(&self) {
        let mut args = self.bay("late");
        args["wait"] = json!(true);
        let error = self.peer.call_with("bay_create", args, json!({ "timeout": 1 })).await;
        assert_eq!(error.expect_err("a bay takes longer")["class"], "MessagingTimeout", "{}", self.name);
    }

    async fn outlives_a_timeout(&self, replies: usize) -> Cell {
        let late = self.the_bay("late").await;
        self.caller.wait_for_status(&late, "CREATE_COMPLETE").await;
        let strays = eventually(|| async {
            let strays = self.peer.stray_replies().await;
            (strays != 0).then_some(strays)
        });
        assert_eq!(strays.await, Some(json!(replies)), "{}", self.name);
        ("`MessagingTimeout` when the reply takes longer; the reply then hurts nobody", YES)
    }

    async fn is_kept_waiting(&self, request: &Request) -> Cell {
        let row = "a long call kept alive by heartbeats";
        let mut args = self.bay("waited-for");
        args["wait"] = json!(true);
        let monitored = request.monitor != CallMonitor::Unsupported;
        let more = if monitored { json!({ "call_monitor_timeout": MONITOR }) } else { json!({}) };
        let began = Instant::now();
        let bay = self.peer.call_with("bay_create", args, more).await.expect("the bay is built");
        assert!(began.elapsed() >= CREATE_TIME, "{}", self.name);
        assert_eq!(data(&bay)["status"], "CREATE_COMPLETE");
        (row, if monitored { YES } else { "n/a [1]" })
    }

    async fn is_told_none(&self) -> Cell {
        let args = json!({ "uuid": self.the_bay("waited-for").await });
        assert_eq!(self.peer.call("bay_delete", args).await, Ok(Value::Null), "{}", self.name);
        ("a call that returns `None`", YES)
    }

    async fn listens(&self) -> Cell {
        let name = self.bay_name("waited-for");
        for (action, outcome) in
            [("create", "pending"), ("create", "success"), ("delete", "pending"), ("delete", "success")]
        {
            let what = format!("{action} {outcome}");
            let fits = |said: &Value| {
                let (payload, event) = (&said["payload"], format!("magnum.cluster.{action}"));
                said["event_type"] == event
                    && payload["outcome"] == outcome
                    && payload["target"]["name"] == name
            };
            let heard = self.listener.find(&what, fits).await;
            assert_eq!(heard["priority"], "info", "{heard:#}");
            assert_eq!(heard["publisher_id"], "container-infra.worker.test", "{heard:#}");
            assert!(heard["metadata"]["message_id"].is_string(), "{heard:#}");
            assert_eq!(heard["ctxt"]["request_id"], self.peer.context().to_map()["request_id"]);
        }
        ("notifications, read by its own listener", YES)
    }

    /// Everything, one after the other: what a row needs of those before it is made by them.
    async fn column(&self) -> Vec<Cell> {
        let call = self.calls().await;
        self.times_out().await;
        let (replies, request) = self.replies().await;
        let cast = self.casts().await;
        let fanout = self.fans_out().await;
        let directed = self.calls_a_server().await;
        let failures = [
            self.raises_magnums_classes().await,
            self.raises_pythons_classes().await,
            self.raises_what_it_cannot_make().await,
        ];
        let late = self.outlives_a_timeout(if replies.1 == "one" { 1 } else { 2 }).await;
        let long = self.is_kept_waiting(&request).await;
        let none = self.is_told_none().await;
        let heard = self.listens().await;
        [&[call, none, cast, fanout, directed][..], &failures, &[replies, long, late, heard]].concat()
    }
}

fn table(columns: &[Vec<Cell>]) -> String {
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let mut text = line([""].into_iter().chain(RELEASES).collect());
    text += &line(vec!["---"; RELEASES.len() + 1]);
    for (row, (name, _)) in columns[0].iter().enumerate() {
        let seen = columns.iter().map(|column| {
            assert_eq!(column[row].0, *name);
            column[row].1
        });
        text += &line([*name].into_iter().chain(seen).collect());
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn every_release_does_what_its_column_of_the_table_says() {
    let cloud = Config { create_time: CREATE_TIME, ..Config::default() };
    let world = World::with(Backend::Postgres, cloud).await;
    let topics: Vec<_> = RELEASES.iter().map(|release| topic_of(&world, release)).collect();
    let topics = format!("topics = {}", json!(topics));
    let workers = [Worker::start(&world, &topics, None).await, Worker::start(&world, &topics, None).await];
    let stage = Arc::new(Stage { world, workers });
    let mut running = JoinSet::new();
    for (at, release) in RELEASES.into_iter().enumerate() {
        let stage = Arc::clone(&stage);
        running.spawn(async move { (at, Release::start(&stage, release).await.column().await) });
    }
    let mut columns: Vec<_> = RELEASES.iter().map(|_| Vec::new()).collect();
    while let Some(ended) = running.join_next().await {
        // One that failed has said how; the others end first.
        if let Ok((at, column)) = ended {
            columns[at] = column;
        }
    }
    let failed: Vec<_> = RELEASES.iter().zip(&columns).filter(|(_, column)| column.is_empty()).collect();
    assert!(failed.is_empty(), "failed, as said above: {failed:?}");
    generated("docs/COMPATIBILITY.md", "clients", &table(&columns));
    let Stage { world, workers } = Arc::into_inner(stage).expect("all have ended");
    for worker in workers {
        worker.stop().await;
    }
    world.database.drop_it().await;
}
