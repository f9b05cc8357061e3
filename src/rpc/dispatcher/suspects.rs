//! Messages that come back: counted, handled one at a time, and set aside when they come back too often.
//!
//! Such a message may have ended the worker that had it, so what is done with it is recorded before it is begun.

use std::time::Duration;

use mesos_conductor_proto::message::Request;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

use super::Dispatcher;
use crate::amqp::{Delivery, Disposition};
use crate::error::Fault;
use crate::operation::record::ReplyTo;
use crate::operation::runner::reply;
use crate::store::{self, Described, Original};
use crate::telemetry::metrics::{self, Reject};

/// How long one that came back waits for another one to come to its end.
const TURN: Duration = Duration::from_secs(10);

/// Gives those that came back more than once their turns.
#[derive(Default)]
pub(super) struct Suspects(Mutex<()>);

impl Suspects {
    /// When a worker ends, everything that it had in hand comes back, whichever of it was the cause. In turns only one
    /// is in hand and so counted, and the others get by.
    async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        tokio::time::timeout(TURN, self.0.lock()).await.ok()
    }
}

impl Dispatcher {
    /// Handles a message that the broker had delivered before.
    pub(super) async fn redelivered(&self, delivery: Delivery) -> Result<Disposition, store::Error> {
        metrics::redelivery();
        let store = &self.shop.store;
        let hash = body_hash(&delivery.body);
        let _turn = if store.attempts(&hash).await? > 0 { self.suspects.turn().await } else { None };
        let attempts = store.count_attempt(&hash).await?;
        if attempts > self.settings.max_attempts {
            return self.set_aside(delivery, &hash, attempts).await;
        }
        let disposition = match self.take(delivery).await {
            Ok(disposition) => disposition,
            Err(error) => {
                // The database is at fault, not the message: where it still can be said, the attempt does not count.
                store.forget_attempt(&hash).await.ok();
                return Err(error);
            }
        };
        store.forget_attempt(&hash).await?;
        Ok(disposition)
    }

    /// Keeps the message as it came; only then looks into it, once, to tell its caller.
    async fn set_aside(
        &self,
        delivery: Delivery,
        hash: &str,
        attempts: u32,
    ) -> Result<Disposition, store::Error> {
        tracing::error!(hash, attempts, "a message that came back again and again is set aside");
        metrics::reject(Reject::TooManyDeliveries);
        let reason = format!("it was delivered again {attempts} times and never came to an end");
        let original = Original {
            content_type: delivery.content_type.clone(),
            compression: delivery.compression.clone(),
            body: delivery.body.clone(),
        };
        let undecoded = format!("{reason}; it was not decoded");
        let Some(id) = self.shop.store.set_aside(hash, attempts, &undecoded, &original).await? else {
            // It was kept before and came back all the same: decoding it may be what ended the worker.
            tracing::warn!(hash, "it was kept before; it is not decoded again");
            return Ok(Disposition::Reject);
        };
        match self.decode(delivery).await {
            Ok(request) => {
                let answered = self.answer_set_aside(id, &request, attempts, &reason).await;
                if answered.is_err() {
                    // It comes back, and its caller is told then.
                    self.not_kept(id).await.ok();
                }
                answered
            }
            // Kept is what may be sent again one day: this never was a request.
            Err(disposition) => {
                self.not_kept(id).await?;
                Ok(disposition)
            }
        }
    }

    async fn not_kept(&self, id: Uuid) -> Result<(), store::Error> {
        let mut tx = self.shop.store.begin().await?;
        tx.remove_set_aside(id).await?;
        tx.commit().await
    }

    /// One transaction: what is known of the message, its key, and the failure that its caller hears.
    async fn answer_set_aside(
        &self,
        id: Uuid,
        request: &Request,
        attempts: u32,
        reason: &str,
    ) -> Result<Disposition, store::Error> {
        let disposition =
            self.shop.store.retrying(|| self.record_set_aside(id, request, attempts, reason)).await;
        self.shop.outbox_hint.notify_one();
        disposition
    }

    async fn record_set_aside(
        &self,
        id: Uuid,
        request: &Request,
        attempts: u32,
        reason: &str,
    ) -> Result<Disposition, store::Error> {
        let mut tx = self.shop.store.begin().await?;
        let key = request.dedupe_key();
        let described = Described {
            method: &request.method,
            project_id: request.context.project_id(),
            request_id: request.context.request_id(),
            key,
            reason,
        };
        tx.describe_set_aside(id, &described).await?;
        if let Some(key) = key
            && let Some(seen) = tx.record_message(key).await?
        {
            tracing::info!("the message had been dealt with; it is not set aside");
            tx.remove_set_aside(id).await?;
            if let Some(reply) = &seen.reply {
                tx.enqueue(reply, Some(&self.shop.owner)).await?;
            }
            tx.commit().await?;
            return Ok(Disposition::Ack);
        }
        if let Some(address) = request.reply_address() {
            let text = format!(
                "The request was set aside: it was delivered again {attempts} times and never came to an end."
            );
            let to = ReplyTo { address, object_version: None, at_end: false };
            let failure = Err(Fault::Internal(text).to_failure());
            let reply = reply(&to, &failure, self.shop.missing_queue_timeout);
            if let Some(key) = key {
                tx.store_reply(key, &reply).await?;
            }
            tx.enqueue(&reply, Some(&self.shop.owner)).await?;
        }
        tx.commit().await?;
        Ok(Disposition::Reject)
    }
}

fn body_hash(body: &[u8]) -> String {
    Sha256::digest(body).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
