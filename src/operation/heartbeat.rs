//! RPC heartbeats: a caller that asked for them is told, until its reply, that its operation is not forgotten.
//!
//! They belong to the pool, not to the worker that runs the operation: a caller hears of an operation that waits for
//! another one, for its stack, or for a worker to take it over, as long as any worker and the database are there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use mesos_conductor_proto::message::ReplyAddress;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::amqp::{Message, PublishError};
use crate::operation::runner::Workshop;
use crate::store;
use crate::telemetry::metrics;

/// Between two looks. A caller gives up after two intervals of at least a second each.
const LOOK: Duration = Duration::from_millis(500);
/// How many are on their way at once.
const IN_FLIGHT: usize = 16;

/// The pool member that sends heartbeats.
pub(crate) struct Heartbeats {
    shop: Arc<Workshop>,
    /// Callers whose reply queue is missing, and since when: a client makes its queue anew after a broker's restart.
    missing: Mutex<HashMap<i64, Instant>>,
}

impl Heartbeats {
    pub(crate) fn new(shop: Arc<Workshop>) -> Self {
        Self { shop, missing: Mutex::default() }
    }

    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            if let Some(Err(error)) = stop.run_until_cancelled(self.send_due()).await {
                tracing::warn!(%error, "heartbeats cannot be looked for");
            }
        }
    }

    async fn send_due(&self) -> Result<(), store::Error> {
        loop {
            let due = self.shop.store.claim_heartbeats().await?;
            let claimed = due.len();
            stream::iter(due)
                .for_each_concurrent(IN_FLIGHT, |(caller, address)| self.beat(caller, address))
                .await;
            if claimed < store::AT_ONCE {
                break;
            }
        }
        // Who was answered meanwhile is not asked about again.
        let forgotten = self.shop.missing_queue_timeout * 2;
        self.missing().retain(|_, since| since.elapsed() < forgotten);
        Ok(())
    }

    async fn beat(&self, caller: i64, address: ReplyAddress) {
        let message = Message {
            content_type: address.encoding.content_type().to_owned(),
            content_encoding: address.encoding.content_encoding().to_owned(),
            body: address.heartbeat_body(Uuid::new_v4().simple().to_string()),
            routing_key: address.queue,
            mandatory: true,
            ..Message::default()
        };
        match self.shop.publisher.publish(&message).await {
            Ok(()) => {
                self.missing().remove(&caller);
                metrics::heartbeat_sent();
            }
            Err(PublishError::Unroutable { .. }) => {
                let since = *self.missing().entry(caller).or_insert_with(Instant::now);
                if since.elapsed() >= self.shop.missing_queue_timeout {
                    tracing::info!(queue = message.routing_key, "no more heartbeats: the caller is gone");
                    self.shop.store.stop_heartbeats(caller).await.ok();
                }
            }
            // The next one may get through.
            Err(error) => tracing::info!(%error, queue = message.routing_key, "a heartbeat was not sent"),
        }
    }

    fn missing(&self) -> MutexGuard<'_, HashMap<i64, Instant>> {
        self.missing.lock().expect("no panic while the lock is held")
    }
}
