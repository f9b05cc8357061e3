//! `watch`: lifecycle notifications, one line each, until the user has seen enough.

use clap::Args;
use mesos_conductor_proto::notification::Notification;
use serde_json::{Value, json};

use super::{Global, error::Error, output::Output};
use crate::{client::NotificationListener, worker};

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
    pub(super) async fn run(self, global: &Global, output: &mut Output) -> Result<(), Error> {
        let mut settings = global.client_configuration()?.settings;
        // Notifications may have a broker of their own.
        if let Some(url) = settings.oslo_messaging_notifications.transport_url.take() {
            settings.default.transport_url = url;
        }
        let topics = match &self.topics[..] {
            [] => &settings.oslo_messaging_notifications.topics,
            topics => topics,
        };
        let topics: Vec<_> = topics.iter().map(String::as_str).collect();
        let listener = NotificationListener::open(&worker::broker(&settings)?, &topics).await;
        let mut listener = listener.map_err(|error| Error::Unreachable(error.to_string()))?;
        output.note(&format!("listening to {}", topics.join(", ")));
        let interrupted = tokio::signal::ctrl_c();
        let outcome = tokio::select! {
            outcome = self.follow(&mut listener, output) => outcome,
            _ = interrupted => Ok(()),
        };
        listener.close().await;
        outcome
    }

    async fn follow(&self, listener: &mut NotificationListener, output: &mut Output) -> Result<(), Error> {
        let mut shown = 0;
        while self.count.is_none_or(|count| shown < count) {
            let notification = listener.next().await;
            if self.wants(&notification) {
                print(&notification, output)?;
                shown += 1;
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use mesos_conductor_proto::notification::Priority;

    use super::*;
    use crate::cli::{Command, output::Format, tests};

    fn notification(bay: &str) -> Notification {
        Notification {
            message_id: "m-1".to_owned(),
            publisher_id: "container-infra.h".to_owned(),
            event_type: "magnum.cluster.create".to_owned(),
            priority: Priority::Info,
            payload: json!({ "outcome": "success", "target": { "id": bay } }),
            timestamp: "2030-01-01 00:00:00.000000".to_owned(),
            unique_id: "u".to_owned(),
            context: serde_json::Map::new(),
        }
    }

    #[test]
    fn a_notification_is_one_line_in_either_format() {
        let (mut table, results, _) = tests::output(Format::Table, false);
        print(&notification("b-1"), &mut table).unwrap();
        let text = results.text();
        assert_eq!(text.lines().count(), 1);
        for part in [
            "2030-01-01 00:00:00.000000  INFO",
            "magnum.cluster.create",
            "success",
            "b-1",
            "container-infra.h",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let (mut whole, results, _) = tests::output(Format::Json, false);
        print(&notification("b-1"), &mut whole).unwrap();
        let read: Value = serde_json::from_str(results.text().trim_end()).unwrap();
        assert_eq!((&read["priority"], &read["payload"]["target"]["id"]), (&json!("INFO"), &json!("b-1")));
        assert_eq!(results.text().lines().count(), 1);
    }

    #[test]
    fn one_bay_can_be_watched() {
        let Command::Watch(watch) = tests::parse("x watch --bay b-1") else { panic!() };
        assert!(watch.wants(&notification("b-1")));
        assert!(!watch.wants(&notification("b-2")));
        let Command::Watch(all) = tests::parse("x watch") else { panic!() };
        assert!(all.wants(&notification("b-2")));
    }
}
