//! One timeline out of four observations: requests on the exchange, the worker's log, notifications, the cloud's log.

use std::fmt;

use anyhow::{Context as _, bail, ensure};
use mesos_conductor_proto::message::Request;
use mesos_conductor_proto::notification::Notification;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::stage::log_lines;

/// What the lifecycle of a bay with one app publishes, in this order.
const NOTIFICATIONS: [&str; 16] = [
    "magnum.cluster.create pending",
    "magnum.cluster.create success",
    "magnum.cluster.update pending",
    "magnum.cluster.update success",
    "magnum.app.create pending",
    "magnum.app.create success",
    "magnum.app.scale pending",
    "magnum.app.scale success",
    "magnum.app.update pending",
    "magnum.app.update failure",
    "magnum.app.rollback pending",
    "magnum.app.rollback success",
    "magnum.app.delete pending",
    "magnum.app.delete success",
    "magnum.cluster.delete pending",
    "magnum.cluster.delete success",
];

/// The states of the bay, in this order.
const STATES: [&str; 6] = [
    "CREATE_IN_PROGRESS",
    "CREATE_COMPLETE",
    "UPDATE_IN_PROGRESS",
    "UPDATE_COMPLETE",
    "DELETE_IN_PROGRESS",
    "gone",
];

/// The states of the app: it is created, scaled, spoilt, rolled back and deleted.
const APP_STATES: [&str; 10] = [
    "CREATE_IN_PROGRESS",
    "CREATE_COMPLETE",
    "UPDATE_IN_PROGRESS",
    "UPDATE_COMPLETE",
    "UPDATE_IN_PROGRESS",
    "UPDATE_FAILED",
    "UPDATE_IN_PROGRESS",
    "UPDATE_COMPLETE",
    "DELETE_IN_PROGRESS",
    "gone",
];

/// What the observers noted.
#[derive(Default)]
pub(crate) struct Story {
    calls: Vec<Call>,
    notifications: Vec<(OffsetDateTime, String)>,
    bay: States,
    app: States,
}

/// The states of one thing, each noted when it was first seen.
#[derive(Default)]
struct States(Vec<(OffsetDateTime, String)>);

struct Call {
    at: OffsetDateTime,
    reply_queue: String,
    text: String,
    /// Whether it only asks how things are.
    is_query: bool,
}

impl Story {
    pub(crate) fn call(&mut self, at: OffsetDateTime, request: &Request) {
        let (text, is_query) = describe(request);
        let reply_queue = request.reply_q.clone().unwrap_or_default();
        self.calls.push(Call { at, reply_queue, text, is_query });
    }

    pub(crate) fn notification(&mut self, at: OffsetDateTime, notification: &Notification) {
        let outcome = notification.payload["outcome"].as_str().unwrap_or("without outcome");
        self.notifications.push((at, format!("{} {outcome}", notification.event_type)));
    }

    pub(crate) fn bay(&mut self, at: OffsetDateTime, bay: Option<&Value>) {
        self.bay.note(at, bay);
    }

    pub(crate) fn app(&mut self, at: OffsetDateTime, app: Option<&Value>) {
        self.app.note(at, app);
    }

    /// What has to come yet.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let seen = |wanted: &&str| {
            let all = self.notifications.iter().chain(&self.bay.0);
            all.map(|(_, text)| text).any(|text| text == wanted)
        };
        NOTIFICATIONS.into_iter().chain(["gone"]).filter(|wanted| !seen(wanted)).collect()
    }

    /// Lays everything over each other.
    pub(crate) fn timeline(self, worker_log: &str, cloud: &Value) -> anyhow::Result<Timeline> {
        let queries = self.calls.iter().filter(|call| call.is_query).count();
        let calls = self.calls.len() - queries;
        let mut entries = self.replies(worker_log)?;
        let replies = entries.len();
        for call in self.calls.into_iter().filter(|call| !call.is_query) {
            entries.push(Entry { at: call.at, kind: Kind::Call, text: call.text });
        }
        let notes = |kind| move |(at, text)| Entry { at, kind, text };
        entries.extend(self.bay.0.into_iter().map(notes(Kind::Bay)));
        entries.extend(self.app.0.into_iter().map(notes(Kind::App)));
        entries.extend(self.notifications.into_iter().map(notes(Kind::Notification)));
        let requests = cloud["requests"].as_array().context("the sandbox lists its requests")?;
        for request in requests {
            entries.extend(cloud_entry(request)?);
        }
        entries.sort_by_key(|entry| (entry.at, entry.kind));
        Ok(Timeline { entries, calls, replies, queries })
    }

    /// The worker logs the queue of every reply that the broker confirmed. A client of one reply queue asks one thing
    /// after the other here, so the queue's n-th reply is that to its n-th call.
    fn replies(&self, worker_log: &str) -> anyhow::Result<Vec<Entry>> {
        let mut replies = Vec::new();
        let confirmed: Vec<_> = log_lines(worker_log)
            .filter(|line| line["message"] == "published and confirmed" && line["purpose"] == "Reply")
            .collect();
        let mut taken = vec![0_usize; confirmed.len()];
        for call in &self.calls {
            let next = confirmed
                .iter()
                .zip(&mut taken)
                .find(|(line, taken)| **taken == 0 && line["queue"] == call.reply_queue.as_str());
            let Some((line, taken)) = next else { continue };
            *taken += 1;
            if !call.is_query {
                let at = instant(&line["timestamp"])?.max(call.at);
                replies.push(Entry { at, kind: Kind::Reply, text: format!("to {}", call.text) });
            }
        }
        Ok(replies)
    }
}

impl States {
    fn note(&mut self, at: OffsetDateTime, object: Option<&Value>) {
        let state = match object {
            Some(object) => object["status"].as_str().unwrap_or("without a status"),
            None if self.0.is_empty() => return,
            None => "gone",
        };
        if self.0.last().is_none_or(|(_, last)| last != state) {
            self.0.push((at, state.to_owned()));
        }
    }
}

/// Whether these states came in this order, and these among them surely. A state that lasts less than a look apart may
/// go unseen.
fn follow(seen: &[&str], order: &[&str], sure: &[&str]) -> bool {
    let mut order = order.iter();
    seen.iter().all(|state| order.any(|known| known == state))
        && sure.iter().all(|state| seen.contains(state))
}

/// What a request asks for, in a line.
fn describe(request: &Request) -> (String, bool) {
    let text = |name: &str| request.args.get(name).and_then(Value::as_str).unwrap_or_default();
    let object =
        |name: &str, field: &str| request.args.get(name).map_or(Value::Null, |object| object[field].clone());
    match request.method.as_str() {
        "object_class_action" => (format!("{}.{}", text("objname"), text("objmethod")), true),
        "object_action" => {
            let class = object("objinst", "magnum_object.name");
            (format!("{}.{}", class.as_str().unwrap_or_default(), text("objmethod")), false)
        }
        "bay_create" | "bay_update" => {
            let bay = object("bay", "magnum_object.data");
            (format!("{}, node_count {}", request.method, bay["node_count"]), false)
        }
        "app_show" => ("app_show".to_owned(), true),
        "app_scale" => (format!("app_scale, instances {}", request.args["instances"]), false),
        method => (method.to_owned(), false),
    }
}

/// A request that changed something in the cloud; logins and looks are many and change nothing.
fn cloud_entry(request: &Value) -> anyhow::Result<Option<Entry>> {
    let [method, path, service] =
        ["method", "path", "service"].map(|field| request[field].as_str().unwrap_or_default());
    if method == "GET" || path.ends_with("/auth/tokens") {
        return Ok(None);
    }
    let parts: Vec<_> = path.split('/').map(|part| if part.len() > 20 { "…" } else { part }).collect();
    let kind = match service {
        "heat" => Kind::Heat,
        "keystone" => Kind::Keystone,
        "marathon" => Kind::Marathon,
        other => bail!("the sandbox has logged a request to {other}"),
    };
    let text = format!("{method} {} -> {}", parts.join("/"), request["status"]);
    Ok(Some(Entry { at: instant(&request["time"])?, kind, text }))
}

fn instant(text: &Value) -> anyhow::Result<OffsetDateTime> {
    let text = text.as_str().context("a time is text")?;
    OffsetDateTime::parse(text, &Rfc3339).with_context(|| format!("{text} is no time"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Call,
    Keystone,
    Heat,
    Marathon,
    Reply,
    Bay,
    App,
    Notification,
}

struct Entry {
    at: OffsetDateTime,
    kind: Kind,
    text: String,
}

/// Everything that was seen, in the order in which it happened.
pub(crate) struct Timeline {
    entries: Vec<Entry>,
    calls: usize,
    replies: usize,
    queries: usize,
}

impl Timeline {
    /// Whether it is the story that was to be shown.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let of = |wanted: Kind| -> Vec<&str> {
            let entries = self.entries.iter().filter(|entry| entry.kind == wanted);
            entries.map(|entry| entry.text.as_str()).collect()
        };
        ensure!(self.calls == self.replies, "{} calls had {} replies", self.calls, self.replies);
        ensure!(of(Kind::Notification) == NOTIFICATIONS, "notifications: {:?}", of(Kind::Notification));
        let (bay, app) = (of(Kind::Bay), of(Kind::App));
        let as_told = follow(&bay, &STATES, &["CREATE_COMPLETE", "UPDATE_COMPLETE", "gone"]);
        ensure!(as_told, "states of the bay: {bay:?}");
        let as_told =
            follow(&app, &APP_STATES, &["CREATE_COMPLETE", "UPDATE_FAILED", "UPDATE_COMPLETE", "gone"]);
        ensure!(as_told, "states of the app: {app:?}");
        Ok(())
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.entries.first() else { return Ok(()) };
        for Entry { at, kind, text } in &self.entries {
            let kind = match kind {
                Kind::Call => "call",
                Kind::Reply => "reply",
                Kind::Bay => "bay",
                Kind::App => "app",
                Kind::Marathon => "marathon",
                Kind::Notification => "notification",
                Kind::Heat => "heat",
                Kind::Keystone => "keystone",
            };
            writeln!(f, "{:8.3} s  {kind:12}  {text}", (*at - first.at).as_seconds_f64())?;
        }
        let queries = self.queries;
        write!(f, "and {queries} questions of the command line (is it done yet?), each with its answer")
    }
}
