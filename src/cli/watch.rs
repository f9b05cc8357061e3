//! `watch`: lifecycle notifications, one line each, until the user has seen enough.

use clap::Args;
use mesos_conductor_proto::notification::Notification;
use serde_json::{Value, json};

use super::{Global, error::Error, output::Output};

#[derive(Debug, Args)]
pub(super) struct Watch {
    /// The topics to listen on [default: as configured]
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Only this bay, by uuid
    #[arg(long, value_name = "UUID")]
    bay: Option<String>,
    /// Ends after this many notifications
    #[arg(long, value_name = "N")]
    count: Option<usize>,
}

impl Watch {
    pub(super) async fn run(self, global: &Global, _output: &mut Output) -> Result<(), Error> {
        let _settings = global.client_configuration()?.settings;
        Err(Error::Unreachable("not connected".to_owned()))
    }

    /// Whether this notification is one to show.
    fn wants(&self, notification: &Notification) -> bool {
        self.bay.as_deref().is_none_or(|bay| subject(notification) == Some(bay))
    }
}

/// The bay that a CADF event is about.
fn subject(notification: &Notification) -> Option<&str> {
    notification.payload["resource_id"].as_str().or_else(|| notification.payload["target"]["id"].as_str())
}

fn print(notification: &Notification, output: &mut Output) -> Result<(), Error> {
    if output.is_json() {
        let whole = json!({
            "message_id": notification.message_id,
            "publisher_id": notification.publisher_id,
            "event_type": notification.event_type,
            "priority": notification.priority.upper(),
            "timestamp": notification.timestamp,
            "payload": notification.payload,
        });
        // One line per notification, so that a reader can take them as they come.
        return Ok(output.line(&whole.to_string())?);
    }
    let outcome = notification.payload.get("outcome").and_then(Value::as_str).unwrap_or("");
    Ok(output.line(&format!(
        "{}  {:5}  {:24}  {:8}  {}  {}",
        notification.timestamp,
        notification.priority.upper(),
        notification.event_type,
        outcome,
        subject(notification).unwrap_or("-"),
        notification.publisher_id,
    ))?)
}
