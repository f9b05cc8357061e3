//! Follows the notifications of an exchange, with a queue of its own beside those of other listeners.

use std::sync::Arc;

use mesos_conductor_proto::notification::Notification;

use super::inbox::Inbox;
use crate::amqp::{ConnectError, settings::Broker};

/// A stream of notifications. Reconnects by itself; its queue keeps what is published meanwhile.
#[derive(Debug)]
pub struct NotificationListener {
    inbox: Inbox,
}

impl NotificationListener {
    /// Listens to every priority of the topics, on the broker's control exchange.
    ///
    /// # Errors
    /// When no host of the broker can be reached now.
    pub async fn open(broker: &Broker, topics: &[&str]) -> Result<Self, ConnectError> {
        let keys = topics.iter().map(|topic| format!("{topic}.*")).collect();
        let inbox = Inbox::open(Arc::new(broker.clone()), "mesos-conductor-watch", keys).await?;
        Ok(Self { inbox })
    }

    /// The next notification; waits for it, through any loss of the connection. Messages that are none are
    /// skipped. Nothing is lost when the caller gives up waiting.
    pub async fn next(&mut self) -> Notification {
        loop {
            let Some(letter) = self.inbox.next().await else {
                self.inbox.reconnect().await;
                continue;
            };
            match Notification::decode(letter.content_type.as_deref(), &letter.body) {
                Ok(notification) => return notification,
                Err(error) => tracing::warn!(%error, "a message on a notification queue cannot be read"),
            }
        }
    }

    /// Deletes the queue and disconnects.
    pub async fn close(self) {
        self.inbox.close().await;
    }
}
