//! Heat's own notifications: whoever waits for a stack looks within the second in which it moved.
//!
//! Nothing is taken over from a message but which stack it is about; its context, which holds a token, is not looked
//! at and never logged.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mesos_conductor_proto::notification::Notification;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::amqp::{Hear, Listener};
use crate::operation::runner::Workshop;
use crate::store::StackNews;
use crate::telemetry::metrics::{self, Hint};

/// What the events of stacks have in common.
const EVENTS: &str = "orchestration.stack.";
/// The event of something that begins: nobody waits for that.
const START: &str = ".start";
/// How often, and how long after one another, an operation is tried to be woken that a worker has in hand: it may have
/// looked just before its stack moved.
const TRIES: u32 = 5;
const BETWEEN: Duration = Duration::from_millis(300);
/// Operations that are tried again at the same time; beyond it the listings see to them.
const TRIED: usize = 100;

/// The pool member that listens to Heat.
pub struct HeatNotifications {
    shop: Arc<Workshop>,
    tasks: TaskTracker,
    places: Arc<Semaphore>,
}

impl HeatNotifications {
    pub fn new(shop: Arc<Workshop>) -> Self {
        Self { shop, tasks: TaskTracker::new(), places: Arc::new(Semaphore::new(TRIED)) }
    }

    /// Listens until told to stop.
    pub async fn run(self, listener: Listener, stop: CancellationToken) {
        listener.run(&self, stop).await;
        // They end by themselves, soon.
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Tries again beside the next messages.
    fn insist(&self, stack: String) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        let shop = Arc::clone(&self.shop);
        self.tasks.spawn(async move {
            for _ in 0..TRIES {
                sleep(BETWEEN).await;
                match wake(&shop, &stack).await {
                    StackNews::InHand => {}
                    StackNews::Nobody | StackNews::Woken => break,
                }
            }
            drop(place);
        });
    }
}

#[async_trait]
impl Hear for HeatNotifications {
    async fn hear(&self, content_type: Option<&str>, body: &[u8]) {
        let Some(stack) = moved(content_type, body) else { return };
        metrics::heat_notification();
        if wake(&self.shop, &stack).await == StackNews::InHand {
            self.insist(stack);
        }
    }
}

async fn wake(shop: &Workshop, stack: &str) -> StackNews {
    let news = shop.store.stack_moved(stack).await.unwrap_or_else(|error| {
        tracing::debug!(%error, stack, "nobody can be told that the stack has moved");
        StackNews::Nobody
    });
    if news == StackNews::Woken {
        metrics::stacks_woken(Hint::Notification, 1);
        shop.hint.notify_one();
    }
    news
}

/// The id of the stack that a message says has come to an end of something.
fn moved(content_type: Option<&str>, body: &[u8]) -> Option<String> {
    let notification = Notification::decode(content_type, body).ok()?;
    let event = notification.event_type.strip_prefix(EVENTS)?;
    if event.ends_with(START) {
        return None;
    }
    let identity = notification.payload.get("stack_identity")?.as_str()?;
    // Some releases write the whole path.
    let id = identity.rsplit('/').next().unwrap_or(identity);
    (!id.is_empty() && id.len() <= 255).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(event: &str, payload: Value) -> Vec<u8> {
        let inner = json!({
            "message_id": "m", "publisher_id": "orchestration.heat-1", "event_type": event, "priority": "INFO",
            "timestamp": "2026-01-01 00:00:00.000000", "payload": payload, "_context_auth_token": "gAAAA",
        });
        json!({ "oslo.version": "2.0", "oslo.message": inner.to_string() }).to_string().into_bytes()
    }

    #[test]
    fn the_end_of_an_action_names_its_stack() {
        for event in
            ["create.end", "create.error", "update.end", "update.error", "delete.end", "delete.error"]
        {
            let body = message(&format!("orchestration.stack.{event}"), json!({ "stack_identity": "s-1" }));
            assert_eq!(moved(Some("application/json"), &body).as_deref(), Some("s-1"), "{event}");
        }
        let path = json!({ "stack_identity": "arn:openstack:heat::p1:stacks/bay/s-2" });
        let body = message("orchestration.stack.create.end", path);
        assert_eq!(moved(None, &body).as_deref(), Some("s-2"));
    }

    #[test]
    fn other_messages_name_none() {
        let stack = json!({ "stack_identity": "s-1" });
        for body in [
            message("orchestration.stack.create.start", stack.clone()),
            message("orchestration.autoscaling.end", stack.clone()),
            message("magnum.cluster.create", stack),
            message("orchestration.stack.create.end", json!({})),
            message("orchestration.stack.create.end", json!({ "stack_identity": 5 })),
            message("orchestration.stack.create.end", json!({ "stack_identity": "" })),
            message("orchestration.stack.create.end", json!({ "stack_identity": "x".repeat(300) })),
            b"garbage".to_vec(),
        ] {
            assert_eq!(moved(Some("application/json"), &body), None, "{}", String::from_utf8_lossy(&body));
        }
    }
}
