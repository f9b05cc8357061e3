//! Those who watch while the story runs: a tap on the control exchange, a notification listener, and a client that
//! asks how the bay and its app are.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures_util::StreamExt as _;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, Consumer};
use mesos_conductor::client::{CallOptions, Client, NotificationListener};
use mesos_conductor_proto::context::RequestContext;
use mesos_conductor_proto::message::Request;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::eventually;
use super::stage::Stage;
use super::timeline::Story;

/// The request id of the demo's own questions, by which the tap tells them from the command line's.
const OWN_REQUEST: &str = "req-the-demo-asks";
const PATIENCE: Duration = Duration::from_secs(30);

/// What all of them write to.
type Notes = Arc<Mutex<Story>>;

pub(crate) struct Observers {
    notes: Notes,
    client: Client,
    context: RequestContext,
    tap: Connection,
    stop: CancellationToken,
    /// Dropping it ends them all.
    tasks: JoinSet<()>,
}

impl Observers {
    pub(crate) async fn start(stage: &Stage) -> anyhow::Result<Self> {
        let (broker, notes) = (stage.broker()?, Notes::default());
        let client = Client::connect(&broker).await?;
        let tap = Connection::connect(stage.amqp()?, ConnectionProperties::default()).await?;
        let calls = listen(&tap, stage).await?;
        let notifications = NotificationListener::open(&broker, &[&stage.names.notifications]).await?;
        let demo = |what: &str| stage.cloud["projects"]["demo"][what].clone();
        let context =
            RequestContext::default().with("project_id", demo("id")).with("request_id", OWN_REQUEST);
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        tasks.spawn(note_calls(calls, Arc::clone(&notes)));
        tasks.spawn(note_notifications(notifications, Arc::clone(&notes), stop.clone()));
        tasks.spawn(note_states(client.clone(), context.clone(), Arc::clone(&notes), stop.clone()));
        Ok(Self { notes, client, context, tap, stop, tasks })
    }

    /// Checks the bay and its addresses, as any client of the conductor sees them.
    pub(crate) async fn expect(&self, status: &str, nodes: usize) -> anyhow::Result<()> {
        let bays = bays(&self.client, &self.context).await?;
        let [bay] = &bays[..] else { bail!("one bay is expected, not {}", bays.len()) };
        ensure!(bay["status"] == status, "the bay is {}, not {status}", bay["status"]);
        ensure!(
            bay["api_address"].as_str().is_some_and(|text| !text.is_empty()),
            "the bay has no API address"
        );
        let count = |field: &str| bay[field].as_array().map_or(0, Vec::len);
        ensure!(count("master_addresses") == 1, "the bay has master addresses {}", bay["master_addresses"]);
        ensure!(count("node_addresses") == nodes, "not {nodes} node addresses but {}", bay["node_addresses"]);
        Ok(())
    }

    pub(crate) async fn expect_gone(&self) -> anyhow::Result<()> {
        let bays = bays(&self.client, &self.context).await?;
        ensure!(bays.is_empty(), "the bay is still there: {bays:?}");
        Ok(())
    }

    /// Checks the app: how it is, and that so many of its tasks are healthy and can be reached.
    pub(crate) async fn expect_app(&self, status: &str, tasks: usize) -> anyhow::Result<()> {
        let apps = apps(&self.client, &self.context).await?;
        let [app] = &apps[..] else { bail!("one app is expected, not {}", apps.len()) };
        ensure!(app["status"] == status, "the app is {}, not {status}", app["status"]);
        ensure!(app["tasks_healthy"] == tasks, "not {tasks} tasks are healthy but {}", app["tasks_healthy"]);
        let reachable = app["endpoints"].as_array().map_or(0, Vec::len);
        ensure!(reachable >= tasks, "not {tasks} tasks can be reached but {}", app["endpoints"]);
        Ok(())
    }

    pub(crate) async fn expect_no_app(&self) -> anyhow::Result<()> {
        let apps = apps(&self.client, &self.context).await?;
        ensure!(apps.is_empty(), "the app is still there: {apps:?}");
        Ok(())
    }

    /// Waits for the last notification, and hands over what was noted.
    pub(crate) async fn finish(mut self) -> anyhow::Result<Story> {
        let complete = eventually(PATIENCE, async || {
            let story = lock(&self.notes);
            let missing = story.missing();
            ensure!(missing.is_empty(), "not seen: {}", missing.join(", "));
            Ok(())
        });
        complete.await?;
        // The tap ends with its connection, the others when they are asked to.
        self.stop.cancel();
        self.tap.close(200, "done".into()).await?;
        while self.tasks.join_next().await.is_some() {}
        self.client.close().await;
        let story = std::mem::take(&mut *lock(&self.notes));
        Ok(story)
    }
}

/// A queue of our own, bound like the worker's: the exchange gives both a copy of every request.
async fn listen(tap: &Connection, stage: &Stage) -> anyhow::Result<Consumer> {
    let channel = tap.create_channel().await?;
    let options =
        QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), options, FieldTable::default()).await?;
    let (name, names) = (queue.name().clone(), &stage.names);
    let (exchange, key) = (names.exchange.as_str().into(), names.topic.as_str().into());
    channel
        .queue_bind(name.clone(), exchange, key, QueueBindOptions::default(), FieldTable::default())
        .await?;
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    Ok(channel.basic_consume(name, "tap".into(), options, FieldTable::default()).await?)
}

async fn note_calls(mut calls: Consumer, notes: Notes) {
    while let Some(Ok(delivery)) = calls.next().await {
        let content_type = delivery.properties.content_type().as_ref().map(ToString::to_string);
        let Ok(request) = Request::decode(content_type.as_deref(), &delivery.data) else { continue };
        if request.context.request_id() != Some(OWN_REQUEST) {
            lock(&notes).call(now(), &request);
        }
    }
}

async fn note_notifications(mut listener: NotificationListener, notes: Notes, stop: CancellationToken) {
    while let Some(notification) = stop.run_until_cancelled(listener.next()).await {
        lock(&notes).notification(now(), &notification);
    }
    listener.close().await;
}

/// Looks at the bay and its app five times a second and notes what is new.
async fn note_states(client: Client, context: RequestContext, notes: Notes, stop: CancellationToken) {
    let mut every = tokio::time::interval(Duration::from_millis(200));
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        if let Ok(bays) = bays(&client, &context).await {
            lock(&notes).bay(now(), bays.first());
        }
        if let Ok(apps) = apps(&client, &context).await {
            lock(&notes).app(now(), apps.first());
        }
    }
}

/// The fields of the demo project's bays.
async fn bays(client: &Client, context: &RequestContext) -> anyhow::Result<Vec<Value>> {
    let args = json!({
        "objname": "Bay", "objmethod": "list", "objver": "1.5",
        "args": [10, null], "kwargs": { "sort_key": "id", "sort_dir": "asc" },
    });
    listed(client, context, "object_class_action", args).await
}

/// The fields of the demo project's apps.
async fn apps(client: &Client, context: &RequestContext) -> anyhow::Result<Vec<Value>> {
    listed(client, context, "app_list", json!({})).await
}

async fn listed(
    client: &Client,
    context: &RequestContext,
    method: &str,
    args: Value,
) -> anyhow::Result<Vec<Value>> {
    let Value::Object(args) = args else { bail!("the arguments are a map") };
    let options = CallOptions { context: context.clone(), ..CallOptions::default() };
    let listed = client.call(method, args, options).await?;
    let listed = listed.as_array().context("the conductor answers with a list")?;
    Ok(listed.iter().map(|object| object["magnum_object.data"].clone()).collect())
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

fn lock(notes: &Notes) -> std::sync::MutexGuard<'_, Story> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}
