//! Ten thousand requests at once: each is answered once, and the workers grow no larger by it.

use std::collections::HashMap;
use std::time::Duration;

use mesos_conductor_proto::message::{Reply, ReplyContent};
use serde_json::{Value, json};
use tokio::time::{Instant, interval};
use uuid::Uuid;

use crate::support::database::Backend;
use crate::support::peer::Peer;
use crate::support::worker::Worker;
use crate::support::{Caller, PATIENCE, World, eventually, model_fields, object};

const REQUESTS: usize = 10_000;
/// One in so many writes; the others ask.
const WRITES: usize = 20;
const PLACES: u16 = 16;
/// What a context with a catalog may weigh.
const PADDING: usize = 8 * 1024;
/// By how many KiB a worker may grow: by half of what its share of the requests weighs.
const GROWTH: f64 = (REQUESTS * PADDING / 1024) as f64 / 4.0;

/// What the process holds in memory, in KiB: now (`VmRSS:`), or at most so far (`VmHWM:`).
fn memory(worker: &Worker, line: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", worker.pid())).expect("the worker runs");
    let found = text.lines().find_map(|found| found.strip_prefix(line));
    found.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse().ok()).expect("a size")
}

/// Ids in the bodies that are sent, until each has its own.
const MSG_ID: &str = "00000000-msg-id";
const UNIQUE_ID: &str = "00000000-unique-id";

/// The bodies of what is asked: written once, because writing them would be most of the work.
struct Asker {
    peer: Peer,
    write: String,
    queries: [String; 2],
}

impl Asker {
    async fn new(world: &World, model: &str) -> Self {
        let peer = Peer::open(world).await;
        let body = |method: &str, args: Value| {
            let mut request = peer.request(world, method, args);
            request.context = request.context.with("service_catalog", "x".repeat(PADDING));
            (request.msg_id, request.unique_id) = (Some(MSG_ID.to_owned()), Some(UNIQUE_ID.to_owned()));
            String::from_utf8(request.encode()).expect("JSON is text")
        };
        let create = object("BayModel", "1.10", model_fields());
        let create = json!({ "objinst": create, "objmethod": "create", "args": [], "kwargs": {} });
        let find = json!({
            "objname": "BayModel", "objmethod": "get_by_uuid", "objver": "1.10", "args": [model], "kwargs": {},
        });
        let write = body("object_action", create);
        let queries = [body("object_class_action", find), body("ping_conductor", json!({}))];
        Self { peer, write, queries }
    }

    /// Sends so many, and says by which ids they are answered.
    async fn send(&self, count: usize) -> HashMap<String, usize> {
        let mut asked = HashMap::new();
        for number in 0..count {
            let body = match number % WRITES {
                0 => &self.write,
                1..5 => &self.queries[0],
                _ => &self.queries[1],
            };
            let id = || Uuid::new_v4().simple().to_string();
            let (msg_id, unique_id) = (id(), id());
            let body = body.replace(MSG_ID, &msg_id).replace(UNIQUE_ID, &unique_id);
            self.peer.send_bytes("application/json", body.as_bytes()).await;
            asked.insert(msg_id, 0);
        }
        asked
    }
}

/// Waits for so many replies, as long as any come. How many requests were in one worker's hands at most.
async fn watch(pool: &[Worker], peer: &Peer, count: usize) -> f64 {
    let (mut most, mut came, mut since) = (0_f64, 0, Instant::now());
    let mut every = interval(Duration::from_millis(200));
    while came < count {
        every.tick().await;
        for worker in pool {
            let in_hand = worker.metric("mesos_conductor_requests_in_flight").await;
            most = most.max(in_hand);
        }
        let now = peer.came();
        if now > came {
            (came, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "after {came} of {count} replies no more came");
    }
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_at_once_are_each_answered_once() {
    let mut world = World::on(Backend::Postgres).await;
    // A line for each of them would be the test's own flood.
    world.log_filter = "warn,mesos_conductor::worker=info".to_owned();
    let configuration = world
        .configuration("")
        .replace("[DEFAULT]", &format!("[DEFAULT]\nexecutor_thread_pool_size = {PLACES}"));
    let pool = [
        Worker::start_with(&world, &configuration, None).await,
        Worker::start_with(&world, &configuration, None).await,
    ];
    let model = Caller::new(&world).await.create_model().await;
    let asker = Asker::new(&world, &model).await;
    // What a worker needs once, it has after these.
    let few = REQUESTS / 20;
    let mut asked = asker.send(few).await;
    asker.peer.replies(few).await;
    let before: Vec<f64> = pool.iter().map(|worker| memory(worker, "VmRSS:")).collect();
    // All are there before the first is taken.
    for worker in &pool {
        worker.signal("STOP").await;
        worker.paused().await;
    }
    asked.extend(asker.send(REQUESTS).await);
    let flood = || async {
        (asker.peer.waiting().await as usize >= REQUESTS - pool.len() * usize::from(PLACES)).then_some(())
    };
    eventually(flood).await.expect("there is a flood");
    for worker in &pool {
        worker.signal("CONT").await;
    }
    let most_in_hand = watch(&pool, &asker.peer, few + REQUESTS).await;
    let after: Vec<f64> = pool.iter().map(|worker| memory(worker, "VmHWM:")).collect();
    // Stopped in order, they have said all that they ever will.
    for worker in pool {
        worker.stop().await;
    }
    for reply in asker.peer.seen() {
        let text = String::from_utf8_lossy(&reply);
        let reply = Reply::decode(Some("application/json"), &reply).expect("a reply can be read");
        assert!(!matches!(reply.content, ReplyContent::Failure { .. }), "{text}");
        *asked.get_mut(&reply.msg_id).expect("a reply to what was asked") += 1;
    }
    let wrong: Vec<_> = asked.iter().filter(|(_, replies)| **replies != 1).collect();
    assert!(wrong.is_empty(), "{} were not answered once, such as {:?}", wrong.len(), wrong[0]);
    let models = world.database.texts("SELECT CONCAT(COUNT(*), '') FROM cluster_template").await;
    assert_eq!(models, [(1 + few / WRITES + REQUESTS / WRITES).to_string()]);
    assert!(most_in_hand <= f64::from(PLACES), "{most_in_hand} requests in one worker's hands");
    for (before, after) in before.iter().zip(&after) {
        assert!(after - before <= GROWTH, "a worker of {before} KiB grew to {after} KiB");
    }
    world.database.drop_it().await;
}
