//! The event stream: what is told, and to whom.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio::sync::mpsc;

use super::cluster::Cluster;
use super::path::PathId;
use super::profile::{EventStream, Overflow, PlanShape};
use super::tasks::{Task, TaskState};
use crate::clock::marathon_time;

/// Something that happened, before it is put into the words of a version.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) kind: &'static str,
    body: Map<String, Value>,
    /// The release that tells of such things first, and the first that does not any more.
    since: (u32, u32),
    until: Option<(u32, u32)>,
}

impl Event {
    fn new(kind: &'static str, body: Value) -> Self {
        let body = if let Value::Object(body) = body { body } else { Map::new() };
        Self { kind, body, since: (0, 9), until: None }
    }

    fn since(self, major: u32, minor: u32) -> Self {
        Self { since: (major, minor), ..self }
    }

    fn until(self, major: u32, minor: u32) -> Self {
        Self { until: Some((major, minor)), ..self }
    }

    pub(super) fn api_post(remote: &str, uri: &str, definition: Value) -> Self {
        Self::new("api_post_event", json!({"clientIp": remote, "uri": uri, "appDefinition": definition}))
    }

    pub(super) fn stream_attached(remote: &str) -> Self {
        Self::new("event_stream_attached", json!({"remoteAddress": remote}))
    }

    pub(super) fn stream_detached(remote: &str) -> Self {
        Self::new("event_stream_detached", json!({"remoteAddress": remote}))
    }

    pub(super) fn group_change_success(group: &PathId, version: OffsetDateTime) -> Self {
        Self::new("group_change_success", json!({"groupId": group, "version": marathon_time(version)}))
    }

    pub(super) fn group_change_failed(group: &PathId, version: OffsetDateTime, reason: &str) -> Self {
        let version = marathon_time(version);
        Self::new("group_change_failed", json!({"groupId": group, "version": version, "reason": reason}))
    }

    pub(super) fn deployment_success(plan: Value) -> Self {
        Self::new("deployment_success", json!({"id": plan["id"], "plan": plan}))
    }

    pub(super) fn deployment_failed(plan: Value, reason: Option<&str>) -> Self {
        Self::new("deployment_failed", json!({"id": plan["id"], "plan": plan, "reason": reason}))
    }

    pub(super) fn deployment_info(body: Value) -> Self {
        Self::new("deployment_info", body)
    }

    pub(super) fn deployment_step_success(body: Value) -> Self {
        Self::new("deployment_step_success", body)
    }

    pub(super) fn app_terminated(app: &PathId) -> Self {
        Self::new("app_terminated_event", json!({"appId": app}))
    }

    pub(super) fn status_update(task: &Task, status: TaskState, message: &str) -> Self {
        let body = json!({
            "slaveId": task.agent,
            "taskId": task.id,
            "taskStatus": status.name(),
            "message": message,
            "appId": task.app,
            "host": task.host,
            "ipAddresses": [{"ipAddress": task.host, "protocol": "IPv4"}],
            "ports": task.ports,
            "version": marathon_time(task.version),
        });
        Self::new("status_update_event", body)
    }

    pub(super) fn instance_changed(task: &Task) -> Self {
        let body = json!({
            "instanceId": task.instance_id(),
            "condition": task.state.condition(),
            "runSpecId": task.app,
            "agentId": task.agent,
            "host": task.host,
            "runSpecVersion": marathon_time(task.version),
        });
        Self::new("instance_changed_event", body).since(1, 4)
    }

    pub(super) fn instance_health_changed(task: &Task, healthy: bool) -> Self {
        let body = json!({
            "instanceId": task.instance_id(),
            "runSpecId": task.app,
            "healthy": healthy,
            "runSpecVersion": marathon_time(task.version),
        });
        Self::new("instance_health_changed_event", body).since(1, 4)
    }

    pub(super) fn health_status_changed(task: &Task, alive: bool) -> Self {
        let body = json!({
            "appId": task.app,
            "taskId": task.id,
            "instanceId": task.instance_id(),
            "version": marathon_time(task.version),
            "alive": alive,
        });
        Self::new("health_status_changed_event", body)
    }

    pub(super) fn failed_health_check(task: &Task, check: &Value) -> Self {
        let body = json!({
            "appId": task.app,
            "taskId": task.id,
            "instanceId": task.instance_id(),
            "healthCheck": check,
        });
        Self::new("failed_health_check_event", body)
    }

    pub(super) fn unhealthy_kill(task: &Task, reason: &str, modern: bool) -> Self {
        let body = json!({
            "appId": task.app,
            "taskId": task.id,
            "instanceId": task.instance_id(),
            "version": marathon_time(task.version),
            "reason": reason,
            "host": task.host,
            "slaveId": task.agent,
        });
        if modern {
            Self::new("unhealthy_instance_kill_event", body).since(1, 4)
        } else {
            Self::new("unhealthy_task_kill_event", body).until(1, 4)
        }
    }
}

/// One open stream.
#[derive(Debug)]
struct Listener {
    number: u64,
    node: usize,
    remote: String,
    /// The types it asked for; empty means all.
    types: Vec<String>,
    light: bool,
    frames: mpsc::Sender<String>,
}

/// What a client asks of its stream.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    pub(crate) node: usize,
    pub(crate) remote: String,
    pub(crate) types: Vec<String>,
    pub(crate) light: bool,
}

/// An event as it was told, without what the plans carry.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) kind: &'static str,
    pub(crate) body: Value,
}

#[derive(Debug, Default)]
pub(crate) struct Bus {
    next: u64,
    listeners: Vec<Listener>,
    /// Neither events nor heartbeats go out: streams stay open and say nothing.
    pub(crate) silent: bool,
    pub(crate) told: Vec<Told>,
}

/// How many events are remembered for whoever looks in from outside.
const REMEMBERED: usize = 10_000;

impl Bus {
    pub(crate) fn count(&self) -> usize {
        self.listeners.iter().filter(|listener| !listener.frames.is_closed()).count()
    }

    fn drop_closed(&mut self) -> Vec<String> {
        let gone = |listener: &Listener| listener.frames.is_closed();
        let remotes = self.listeners.iter().filter(|l| gone(l)).map(|l| l.remote.clone()).collect();
        self.listeners.retain(|listener| !gone(listener));
        remotes
    }

    /// Ends every stream, as a leader does that stops to lead.
    pub(crate) fn close(&mut self) {
        self.listeners.clear();
    }

    pub(crate) fn close_node(&mut self, node: usize) {
        self.listeners.retain(|listener| listener.node != node);
    }
}

impl Cluster {
    fn event_buffer(&self) -> usize {
        self.config.event_buffer.unwrap_or(self.config.profile.event_buffer).max(1)
    }

    /// Opens a stream. Its first frame proves that it is open, unless it asked for other types only.
    pub(crate) fn listen(&mut self, wish: Wish, at: OffsetDateTime) -> mpsc::Receiver<String> {
        let (frames, receiver) = mpsc::channel(self.event_buffer());
        let attached = Event::stream_attached(&wish.remote);
        let Wish { node, remote, types, light } = wish;
        let types = if self.config.profile.event_filter { types } else { Vec::new() };
        self.bus.next += 1;
        let number = self.bus.next;
        self.bus.listeners.push(Listener { number, node, remote, types, light, frames });
        self.publish(attached, at);
        receiver
    }

    pub(crate) fn publish(&mut self, event: Event, at: OffsetDateTime) {
        let profile = self.config.profile;
        let told = profile.release >= event.since && event.until.is_none_or(|until| profile.release < until);
        if !told || profile.events == EventStream::Absent {
            return;
        }
        for remote in self.bus.drop_closed() {
            self.publish(Event::stream_detached(&remote), at);
        }
        let mut body = event.body;
        body.retain(|name, value| !(name == "reason" && value.is_null()));
        body.insert("eventType".to_owned(), json!(event.kind));
        body.insert("timestamp".to_owned(), json!(marathon_time(at)));
        let mut light = Value::Object(body);
        let mut groups = Map::new();
        if let Some(plan) = light.get_mut("plan").and_then(Value::as_object_mut) {
            for name in ["original", "target"] {
                groups.extend(plan.remove(name).map(|group| (name.to_owned(), group)));
            }
        }
        if !self.bus.silent {
            self.send(event.kind, &light, groups);
        }
        if self.bus.told.len() >= REMEMBERED {
            self.bus.told.remove(0);
        }
        self.bus.told.push(Told { kind: event.kind, body: light });
    }

    /// Sends an event to whoever wants it: without the groups of its plan, or with them.
    fn send(&mut self, kind: &str, light: &Value, groups: Map<String, Value>) {
        let profile = self.config.profile;
        let wanted = |listener: &&Listener| {
            listener.types.is_empty() || listener.types.iter().any(|wanted| wanted == kind)
        };
        let listeners: Vec<&Listener> = self.bus.listeners.iter().filter(wanted).collect();
        if listeners.is_empty() {
            return;
        }
        let frame = |body: &Value| format!("event: {kind}\r\ndata: {body}\r\n\r\n");
        let whole = if groups.is_empty() {
            None
        } else {
            let mut whole = light.clone();
            if let Some(plan) = whole["plan"].as_object_mut() {
                plan.extend(groups);
            }
            Some(frame(&whole))
        };
        let light = frame(light);
        let mut lagging = Vec::new();
        for listener in listeners {
            let slim = match profile.plans {
                PlanShape::Light => true,
                PlanShape::LightIfAsked => listener.light,
                PlanShape::Full => false,
            };
            let text = whole.as_ref().filter(|_| !slim).unwrap_or(&light).clone();
            if listener.frames.try_send(text).is_err() && profile.overflow == Overflow::Disconnected {
                lagging.push(listener.number);
            }
        }
        self.bus.listeners.retain(|listener| !lagging.contains(&listener.number));
    }
}
