//! A caller that takes no replies: they pile up in its own queue, and where that is full, in the outbox. Others do not
//! notice, and when it takes them after all, each is there once.

use std::time::Duration;

use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};
use mesos_conductor_proto::message::{Reply, Request};
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use crate::amqp::broker::Inspector;
use crate::support::database::Backend;
use crate::support::peer::Peer;
use crate::support::{Caller, World, amqp_url, eventually, model_fields, object};

/// How soon somebody else is answered meanwhile.
const PROMPT: Duration = Duration::from_secs(5);

/// A reply queue that nobody consumes, gone some time after the test.
struct Untaken {
    _connection: Connection,
    channel: Channel,
    name: String,
}

impl Untaken {
    async fn declare(arguments: &[(&str, AMQPValue)]) -> Self {
        let connection = Connection::connect(&amqp_url(), ConnectionProperties::default()).await;
        let connection = connection.expect("the broker takes connections");
        let channel = connection.create_channel().await.expect("the broker opens channels");
        let name = format!("reply_{}", Uuid::new_v4().simple());
        let mut table = FieldTable::default();
        table.insert("x-expires".into(), AMQPValue::LongInt(120_000));
        for (argument, value) in arguments {
            table.insert((*argument).into(), value.clone());
        }
        let declared = channel.queue_declare(name.as_str().into(), QueueDeclareOptions::default(), table);
        declared.await.expect("the queue is declared");
        Self { _connection: connection, channel, name }
    }

    /// Takes what is there: the ids of the calls that are answered.
    async fn take(&self) -> Vec<String> {
        let mut ids = Vec::new();
        let options = BasicGetOptions { no_ack: true };
        while let Some(message) =
            self.channel.basic_get(self.name.as_str().into(), options).await.expect("the queue is there")
        {
            let reply = Reply::decode(Some("application/json"), &message.delivery.data);
            ids.push(reply.expect("a reply can be read").msg_id);
        }
        ids
    }

    /// Takes whatever is there each time the queue is full or nothing more is to come, until so many have come. The
    /// ids, in their order.
    async fn take_all(&self, world: &World, room: usize, count: usize) -> Vec<String> {
        let inspector = Inspector::new(&world.broker).await;
        let mut ids = self.take().await;
        while ids.len() < count {
            let more = eventually(async || {
                let (there, _) = inspector.queue(&self.name).await.expect("the queue is there");
                (there as usize >= room || self.in_outbox(world).await == 0).then_some(())
            });
            assert!(more.await.is_some(), "{} of {count} replies came", ids.len());
            let more = self.take().await;
            assert!(!more.is_empty(), "{} of {count} replies came, and there are no more", ids.len());
            ids.extend(more);
        }
        let empty = eventually(async || (self.in_outbox(world).await == 0).then_some(())).await;
        assert!(empty.is_some(), "all have come, and {} more are to come", self.in_outbox(world).await);
        ids.extend(self.take().await);
        ids.sort();
        ids
    }

    /// How many replies wait for it in the outbox.
    async fn in_outbox(&self, world: &World) -> usize {
        let keys = world.database.texts("SELECT routing_key FROM outbox").await;
        keys.into_iter().filter(|key| *key == self.name).count()
    }
}

/// Sends queries and writes in turn, to be answered there. Their ids.
async fn ask(world: &World, peer: &Peer, queue: &Untaken, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let model = object("BayModel", "1.10", model_fields());
        let (method, args) = match number % 2 {
            0 => ("ping_conductor", json!({})),
            _ => (
                "object_action",
                json!({ "objinst": model, "objmethod": "create", "args": [], "kwargs": {} }),
            ),
        };
        let request = Request { reply_q: Some(queue.name.clone()), ..peer.request(world, method, args) };
        peer.send(&request).await;
        ids.push(request.msg_id.expect("a call"));
    }
    ids
}

/// Somebody else asks and writes, and is answered promptly each time.
async fn others_are_served(caller: &Caller<'_>) {
    for _ in 0..10 {
        let served = async {
            caller.create_model().await;
            caller.bays().await;
        };
        timeout(PROMPT, served).await.expect("others are answered promptly");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_that_nobody_takes_wait_in_their_own_queue() {
    const REQUESTS: usize = 200;
    let world = World::on(Backend::Postgres).await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let (peer, queue) = (Peer::open(&world).await, Untaken::declare(&[]).await);
    let mut ids = ask(&world, &peer, &queue, REQUESTS).await;
    others_are_served(&caller).await;
    let inspector = Inspector::new(&world.broker).await;
    let there = eventually(async || {
        (inspector.queue(&queue.name).await == Some((u32::try_from(REQUESTS).unwrap(), 0))).then_some(())
    });
    assert!(there.await.is_some(), "{:?}", inspector.queue(&queue.name).await);
    ids.sort();
    assert_eq!(queue.take_all(&world, REQUESTS, REQUESTS).await, ids);
    worker.stop().await;
    world.database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_reply_queue_holds_up_nobody_else_and_loses_nothing() {
    const REQUESTS: usize = 120;
    const ROOM: usize = 50;
    let world = World::on(Backend::Postgres).await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let peer = Peer::open(&world).await;
    // The broker refuses what does not fit.
    let queue = Untaken::declare(&[
        ("x-max-length", AMQPValue::LongInt(i32::try_from(ROOM).unwrap())),
        ("x-overflow", AMQPValue::LongString("reject-publish".into())),
    ])
    .await;
    let mut ids = ask(&world, &peer, &queue, REQUESTS).await;
    let full = eventually(async || (queue.in_outbox(&world).await == REQUESTS - ROOM).then_some(())).await;
    assert!(full.is_some(), "{} wait in the outbox", queue.in_outbox(&world).await);
    others_are_served(&caller).await;
    assert_eq!(queue.in_outbox(&world).await, REQUESTS - ROOM, "what does not fit waits");
    // What the queue has taken is not sent again with what it has not.
    ids.sort();
    assert_eq!(queue.take_all(&world, ROOM, REQUESTS).await, ids);
    worker.stop().await;
    world.database.drop_it().await;
}
