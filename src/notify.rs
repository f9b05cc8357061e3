//! Lifecycle notifications: CADF events about bays and apps, as the cluster era of Magnum publishes them.

use std::time::Duration;

use mesos_conductor_proto::codec::{Encoding, Map};
use mesos_conductor_proto::notification::{Driver, Notification, Priority};
use mesos_conductor_proto::object::Kind as FieldKind;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};
use uuid::Uuid;

use crate::app::App;
use crate::bay::{Bay, Labels};
use crate::operation::record::{Kind, Outgoing, Purpose};
use crate::operation::subject::BayDeployment;

/// How an event ended, or that it has only begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Pending,
    Success,
    Failure,
}

impl Outcome {
    pub(crate) const ALL: [Self; 3] = [Self::Pending, Self::Success, Self::Failure];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }

    pub(crate) fn priority(self) -> Priority {
        if self == Self::Failure { Priority::Error } else { Priority::Info }
    }
}

/// Who asked for the operation. What names a person is kept; what opens a door is not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Initiator {
    pub user_id: Option<String>,
    pub project_id: Option<String>,
    pub domain_id: Option<String>,
    /// The request context without its secrets, for the notification's own context.
    pub context: Map,
}

/// Where and as whom notifications are published.
#[derive(Debug, Clone)]
pub struct Notifier {
    /// `container-infra.<host>`.
    pub publisher_id: String,
    pub exchange: String,
    pub topics: Vec<String>,
    /// `None` publishes nothing but what a caller asked for with `notify_queue`.
    pub driver: Option<Driver>,
    /// How long a vanished queue of a caller's is waited for.
    pub missing_queue_timeout: Duration,
}

/// In whose words measurements are told: bays were called clusters from Newton on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    Bay,
    Cluster,
}

impl Era {
    fn event_type(self) -> &'static str {
        match self {
            Self::Bay => "magnum.bay.metrics.update",
            Self::Cluster => "magnum.cluster.metrics.update",
        }
    }
}

/// How much of a bay is in use, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    pub cpu_util: f64,
    pub memory_util: f64,
}

impl Notifier {
    /// The messages that tell how much of a bay is in use, one per topic.
    pub fn measured(&self, era: Era, bay: &Bay, measured: Measured) -> Vec<Outgoing> {
        let metric = |name: &str, value: f64| json!({ "name": name, "value": value, "unit": "%" });
        let payload = json!({
            "metrics": [
                metric("memory_util", measured.memory_util),
                metric("cpu_util", measured.cpu_util),
            ],
            "user_id": bay.user_id,
            "project_id": bay.project_id,
            "resource_id": bay.uuid.to_string(),
        });
        let mut notification = Notification {
            message_id: Uuid::new_v4().to_string(),
            publisher_id: self.publisher_id.clone(),
            event_type: era.event_type().to_owned(),
            priority: Priority::Info,
            payload,
            timestamp: notification_time(OffsetDateTime::now_utc()),
            unique_id: String::new(),
            context: Map::new(),
        };
        self.to_topics(&mut notification)
    }

    /// The messages that tell of one event: one per topic, and one to the caller's own queue if it named one.
    pub fn messages<T: Told>(&self, event: &Event<'_, T>, queue: Option<&str>) -> Vec<Outgoing> {
        let priority = event.outcome.priority();
        let now = OffsetDateTime::now_utc();
        let mut notification = Notification {
            message_id: Uuid::new_v4().to_string(),
            publisher_id: self.publisher_id.clone(),
            event_type: event_type::<T>(event.kind),
            priority,
            payload: event.payload(now),
            timestamp: notification_time(now),
            unique_id: String::new(),
            context: event.initiator.context.clone(),
        };
        let mut messages = self.to_topics(&mut notification);
        if let Some(queue) = queue {
            let driver = self.driver.unwrap_or(Driver::Messagingv2);
            messages.push(self.outgoing(&mut notification, driver, "", queue.to_owned()));
        }
        messages
    }

    fn to_topics(&self, notification: &mut Notification) -> Vec<Outgoing> {
        let Some(driver) = self.driver else { return Vec::new() };
        let keys = self.topics.iter().map(|topic| format!("{topic}.{}", notification.priority.lower()));
        let keys: Vec<String> = keys.collect();
        keys.into_iter().map(|key| self.outgoing(notification, driver, &self.exchange, key)).collect()
    }

    fn outgoing(
        &self,
        notification: &mut Notification,
        driver: Driver,
        exchange: &str,
        routing_key: String,
    ) -> Outgoing {
        // A listener drops a second message of the same unique id, so every copy has its own.
        notification.unique_id = Uuid::new_v4().simple().to_string();
        Outgoing {
            purpose: Purpose::Notification,
            exchange: exchange.to_owned(),
            routing_key,
            content_type: Encoding::Json.content_type().to_owned(),
            bodies: vec![notification.encode(driver)],
            // The topics' queues are made when they are not there; a caller's goes with the caller.
            give_up_after: exchange.is_empty().then_some(self.missing_queue_timeout),
        }
    }
}

/// What notifications tell of.
pub trait Told: Sized + 'static {
    /// What the kind of thing is called in event types and URIs.
    const NAME: &'static str;
    /// What its data is called.
    const DATA: &'static str;

    fn uuid(&self) -> Uuid;

    fn name(&self) -> Option<&str>;

    /// What a notification says of it; any of it may be null.
    fn parts() -> &'static [Part<Self>];

    /// The thing itself, as a CADF resource.
    fn target(&self) -> Value {
        let type_uri = type_uri(Self::NAME);
        let content: Map =
            Self::parts().iter().map(|part| (part.name.to_owned(), (part.read)(self))).collect();
        json!({
            "id": self.uuid().to_string(),
            "name": self.name(),
            "typeURI": type_uri,
            "attachments": [{ "typeURI": type_uri, "name": Self::DATA, "content": content }],
        })
    }
}

fn type_uri(name: &str) -> String {
    format!("service/magnum/{name}")
}

/// One event in the life of a bay or an app.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a, T> {
    pub kind: Kind,
    pub outcome: Outcome,
    pub of: &'a T,
    pub initiator: &'a Initiator,
}

impl<T: Told> Event<'_, T> {
    fn payload(&self, now: OffsetDateTime) -> Value {
        let mut initiator = json!({
            "id": Uuid::new_v4().to_string(),
            "typeURI": "service/security/account/user",
        });
        let who = self.initiator;
        for (key, value) in
            [("user_id", &who.user_id), ("project_id", &who.project_id), ("domain_id", &who.domain_id)]
        {
            if let Some(value) = value {
                initiator[key] = json!(value);
            }
        }
        json!({
            "typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event",
            "eventType": "activity",
            "id": Uuid::new_v4().to_string(),
            "eventTime": event_time(now),
            "action": cadf_action(self.kind),
            "outcome": self.outcome.as_str(),
            "initiator": initiator,
            "target": self.of.target(),
            "observer": {
                "id": Uuid::new_v4().to_string(),
                "typeURI": type_uri(T::NAME),
            },
        })
    }
}

fn event_type<T: Told>(kind: Kind) -> String {
    format!("magnum.{}.{}", T::NAME, action(kind))
}

/// What the notifications of one kind of operation look like, for those who describe them.
pub(crate) struct About {
    pub(crate) event_type: String,
    pub(crate) type_uri: String,
    pub(crate) data: &'static str,
    pub(crate) parts: Vec<(&'static str, FieldKind)>,
}

impl About {
    pub(crate) fn of<T: Told>(kind: Kind) -> Self {
        Self {
            event_type: event_type::<T>(kind),
            type_uri: type_uri(T::NAME),
            data: T::DATA,
            parts: T::parts().iter().map(|part| (part.name, part.kind)).collect(),
        }
    }
}

pub(crate) fn action(kind: Kind) -> &'static str {
    match kind {
        Kind::BayCreate | Kind::AppCreate => "create",
        Kind::BayUpdate | Kind::CaRotate | Kind::AppUpdate => "update",
        Kind::BayDelete | Kind::AppDelete => "delete",
        Kind::AppScale => "scale",
        Kind::AppRestart => "restart",
        Kind::AppRollback => "rollback",
        Kind::AppTaskKill => "task_kill",
        Kind::DeploymentCancel => "cancel",
    }
}

/// The same in CADF's taxonomy, which has few words of its own and lets them be made finer.
pub(crate) fn cadf_action(kind: Kind) -> &'static str {
    match kind {
        Kind::AppScale => "update/scale",
        Kind::AppRestart => "update/restart",
        Kind::AppRollback => "update/rollback",
        Kind::AppTaskKill => "stop/task",
        Kind::DeploymentCancel => "update/cancel",
        Kind::BayCreate
        | Kind::BayUpdate
        | Kind::BayDelete
        | Kind::CaRotate
        | Kind::AppCreate
        | Kind::AppUpdate
        | Kind::AppDelete => action(kind),
    }
}

/// Something that a notification says of what it tells of.
pub struct Part<T> {
    pub(crate) name: &'static str,
    pub(crate) kind: FieldKind,
    read: fn(&T) -> Value,
}

const fn part<T>(name: &'static str, kind: FieldKind, read: fn(&T) -> Value) -> Part<T> {
    Part { name, kind, read }
}

/// As Train and later describe a cluster.
impl Told for Bay {
    const NAME: &'static str = "cluster";
    const DATA: &'static str = "cluster_data";

    fn uuid(&self) -> Uuid {
        self.uuid
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn parts() -> &'static [Part<Self>] {
        CLUSTER_DATA
    }
}

/// The label that may hold passwords, as an app's manifest may, which is not told either.
const WITHHELD_LABEL: &str = "mesos_slave_executor_env_variables";

fn told_labels(bay: &Bay) -> Labels {
    let withheld = |name: &str| name == WITHHELD_LABEL;
    let told = |(name, text): (&String, &String)| {
        (name.clone(), if withheld(name) { "***".to_owned() } else { text.clone() })
    };
    bay.labels.iter().map(told).collect()
}

/// The stray colon in one of the names is Magnum's.
static CLUSTER_DATA: &[Part<Bay>] = &[
    part("status", FieldKind::Text, |bay| json!(bay.status.map(|status| status.as_str()))),
    part("status_reason", FieldKind::Text, |bay| json!(bay.status_reason)),
    part("project_id", FieldKind::Text, |bay| json!(bay.project_id)),
    part("created_at", FieldKind::DateTime, |bay| json!(bay.created_at.map(iso_time))),
    part("updated_at", FieldKind::DateTime, |bay| json!(bay.updated_at.map(iso_time))),
    part("cluster_template_id", FieldKind::Text, |bay| json!(bay.model_id)),
    part("keypair", FieldKind::Text, |bay| json!(bay.keypair)),
    part("docker_volume_size:", FieldKind::Integer, |_| Value::Null),
    part("labels", FieldKind::TextDict, |bay| json!(told_labels(bay))),
    part("master_flavor_id", FieldKind::Text, |_| Value::Null),
    part("flavor_id", FieldKind::Text, |_| Value::Null),
    part("stack_id", FieldKind::Text, |bay| json!(bay.stack_id)),
    part("health_status", FieldKind::Text, |bay| {
        json!(bay.health.as_ref().map(|health| health.status.as_str()))
    }),
    part("create_timeout", FieldKind::Integer, |bay| json!(bay.create_timeout)),
    part("api_address", FieldKind::Text, |bay| json!(bay.api_address)),
    part("discovery_url", FieldKind::Text, |bay| json!(bay.discovery_url)),
    part("node_addresses", FieldKind::TextList, |bay| json!(bay.node_addresses)),
    part("master_addresses", FieldKind::TextList, |bay| json!(bay.master_addresses)),
    part("node_count", FieldKind::Integer, |bay| json!(bay.node_count)),
    part("master_count", FieldKind::Integer, |bay| json!(bay.master_count)),
];

/// Without its manifest, which may hold passwords.
impl Told for App {
    const NAME: &'static str = "app";
    const DATA: &'static str = "app_data";

    fn uuid(&self) -> Uuid {
        self.uuid
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn parts() -> &'static [Part<Self>] {
        APP_DATA
    }
}

static APP_DATA: &[Part<App>] = &[
    part("status", FieldKind::Text, |app| json!(app.status.map(|status| status.as_str()))),
    part("status_reason", FieldKind::Text, |app| json!(app.status_reason)),
    part("project_id", FieldKind::Text, |app| json!(app.project_id)),
    part("bay_uuid", FieldKind::Text, |app| json!(app.bay_uuid.to_string())),
    part("framework_id", FieldKind::Text, |app| json!(app.framework_id)),
    part("instances", FieldKind::Integer, |app| json!(app.instances)),
    part("version", FieldKind::Text, |app| json!(app.version)),
    part("deployment_id", FieldKind::Text, |app| json!(app.deployment_id)),
    part("tasks_staged", FieldKind::Integer, |app| json!(app.tasks_staged)),
    part("tasks_running", FieldKind::Integer, |app| json!(app.tasks_running)),
    part("tasks_healthy", FieldKind::Integer, |app| json!(app.tasks_healthy)),
    part("tasks_unhealthy", FieldKind::Integer, |app| json!(app.tasks_unhealthy)),
    part("endpoints", FieldKind::TextList, |app| json!(app.endpoints)),
    part("created_at", FieldKind::DateTime, |app| json!(app.created_at.map(iso_time))),
    part("updated_at", FieldKind::DateTime, |app| json!(app.updated_at.map(iso_time))),
];

impl Told for BayDeployment {
    const NAME: &'static str = "deployment";
    const DATA: &'static str = "deployment_data";

    fn uuid(&self) -> Uuid {
        self.uuid
    }

    fn name(&self) -> Option<&str> {
        Some(&self.id)
    }

    fn parts() -> &'static [Part<Self>] {
        DEPLOYMENT_DATA
    }
}

static DEPLOYMENT_DATA: &[Part<BayDeployment>] = &[
    part("deployment_id", FieldKind::Text, |deployment| json!(deployment.id)),
    part("bay_uuid", FieldKind::Text, |deployment| json!(deployment.bay.uuid.to_string())),
    part("project_id", FieldKind::Text, |deployment| json!(deployment.bay.project_id)),
];

fn event_time(at: OffsetDateTime) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]+0000");
    at.format(format).expect("a date of this era formats")
}

fn notification_time(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:6]");
    at.format(format).expect("a date of this era formats")
}

fn iso_time(at: PrimitiveDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+00:00");
    at.format(format).expect("a date of this era formats")
}
