//! Lifecycle notifications: CADF events about bays, as the cluster era of Magnum publishes them.

use std::time::Duration;

use mesos_conductor_proto::codec::{Encoding, Map};
use mesos_conductor_proto::notification::{Driver, Notification, Priority};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};
use uuid::Uuid;

use crate::bay::Bay;
use crate::operation::record::{Kind, Outgoing, Purpose};

/// How an event ended, or that it has only begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Pending,
    Success,
    Failure,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failure => "failure",
        }
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

impl Notifier {
    /// The messages that tell of one event: one per topic, and one to the caller's own queue if it named one.
    pub fn messages<T: Told>(&self, event: &Event<'_, T>, queue: Option<&str>) -> Vec<Outgoing> {
        let priority = if event.outcome == Outcome::Failure { Priority::Error } else { Priority::Info };
        let now = OffsetDateTime::now_utc();
        let mut notification = Notification {
            message_id: Uuid::new_v4().to_string(),
            publisher_id: self.publisher_id.clone(),
            event_type: format!("magnum.{}.{}", T::NAME, action(event.kind)),
            priority,
            payload: event.payload(now),
            timestamp: notification_time(now),
            unique_id: String::new(),
            context: event.initiator.context.clone(),
        };
        let mut outgoing = |driver: Driver, exchange: &str, routing_key: String| {
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
        };
        let mut messages = Vec::new();
        if let Some(driver) = self.driver {
            for topic in &self.topics {
                messages.push(outgoing(driver, &self.exchange, format!("{topic}.{}", priority.lower())));
            }
        }
        if let Some(queue) = queue {
            messages.push(outgoing(self.driver.unwrap_or(Driver::Messagingv2), "", queue.to_owned()));
        }
        messages
    }
}

/// What notifications tell of.
pub trait Told {
    /// What the kind of thing is called in event types and URIs.
    const NAME: &'static str;

    /// The thing itself, as a CADF resource.
    fn target(&self) -> Value;
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
            "action": action(self.kind),
            "outcome": self.outcome.as_str(),
            "initiator": initiator,
            "target": self.of.target(),
            "observer": {
                "id": Uuid::new_v4().to_string(),
                "typeURI": format!("service/magnum/{}", T::NAME),
            },
        })
    }
}

fn action(kind: Kind) -> &'static str {
    match kind {
        Kind::BayCreate => "create",
        Kind::BayUpdate => "update",
        Kind::BayDelete => "delete",
    }
}

impl Told for Bay {
    const NAME: &'static str = "cluster";

    /// As Train and later describe a cluster (the stray colon in one of the keys is theirs).
    fn target(&self) -> Value {
        let bay = self;
        json!({
            "id": bay.uuid.to_string(),
            "name": bay.name,
            "typeURI": "service/magnum/cluster",
            "attachments": [{
                "typeURI": "service/magnum/cluster",
                "name": "cluster_data",
                "content": {
                    "status": bay.status.map(|status| status.as_str()),
                    "status_reason": bay.status_reason,
                    "project_id": bay.project_id,
                    "created_at": bay.created_at.map(iso_time),
                    "updated_at": bay.updated_at.map(iso_time),
                    "cluster_template_id": bay.model_id,
                    "keypair": bay.keypair,
                    "docker_volume_size:": null,
                    "labels": bay.labels,
                    "master_flavor_id": null,
                    "flavor_id": null,
                    "stack_id": bay.stack_id,
                    "health_status": null,
                    "create_timeout": bay.create_timeout,
                    "api_address": bay.api_address,
                    "discovery_url": bay.discovery_url,
                    "node_addresses": bay.node_addresses,
                    "master_addresses": bay.master_addresses,
                    "node_count": bay.node_count,
                    "master_count": bay.master_count,
                },
            }],
        })
    }
}

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
