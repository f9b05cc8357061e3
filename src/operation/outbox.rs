//! Publishes what was committed to be published: at least once, byte for byte the same, deleted after the confirm.

use std::sync::Arc;
use std::time::Duration;

use mesos_conductor_proto::codec::Encoding;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::amqp::{Message, PublishError, Publisher};
use crate::operation::fault;
use crate::operation::guard::{self, Guard};
use crate::operation::record::{Outgoing, Purpose};
use crate::store::{OutboxRow, Store};
use crate::telemetry::metrics::{self, PublishOutcome};

/// How many messages are taken at once.
const BATCH: u32 = 64;
/// With so many lanes on their way, no more are begun.
const MOST_LANES: usize = 256;
/// How long a taken message is this worker's alone.
pub(crate) const HOLD: Duration = Duration::from_secs(15);
/// Between two tries to reach a reply queue that is not there (yet, again).
const UNROUTABLE_RETRY: Duration = Duration::from_millis(250);
/// After a publish whose fate is unknown.
const BROKEN_RETRY: Duration = Duration::from_secs(1);
/// The longest wait between two tries to put a message into a queue that takes none.
const LONGEST_RETRY: Duration = Duration::from_secs(8);
/// How often messages are looked for that another worker left behind.
const SWEEP: Duration = Duration::from_secs(1);

/// The publisher of committed messages; one task of every worker.
pub(crate) struct Outbox {
    pub(crate) store: Store,
    /// Replies go out here.
    pub(crate) publisher: Publisher,
    /// Notifications may have a broker of their own.
    pub(crate) notifications: Publisher,
    pub(crate) owner: String,
    pub(crate) hint: Arc<Notify>,
}

impl Outbox {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let outbox = Arc::new(self);
        // Each on its own: a queue, or a broker, that confirms nothing holds up nobody else.
        let mut lanes = JoinSet::new();
        loop {
            // Armed before the look, so that a hint during it is not missed.
            let hint = outbox.hint.notified();
            if let Err(error) = outbox.begin(&mut lanes).await {
                tracing::warn!(%error, "the outbox cannot be read");
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = hint => {}
                // What stood behind it may go now.
                Some(ended) = lanes.join_next() => ended.expect("sending does not panic"),
                () = tokio::time::sleep(SWEEP) => {}
            }
            while let Some(ended) = lanes.try_join_next() {
                ended.expect("sending does not panic");
            }
        }
        // What was committed while stopping still goes out if it can.
        loop {
            if let Err(error) = outbox.begin(&mut lanes).await {
                tracing::warn!(%error, "the outbox is left to the other workers");
            }
            let Some(ended) = lanes.join_next().await else { return };
            ended.expect("sending does not panic");
        }
    }

    /// Begins to send what can be taken now. A lane that is on its way is not taken again before it has ended.
    async fn begin(self: &Arc<Self>, lanes: &mut JoinSet<()>) -> Result<(), crate::store::Error> {
        while lanes.len() < MOST_LANES {
            let rows = self.store.claim_outbox(&self.owner, BATCH, HOLD).await?;
            let full = rows.len() >= BATCH as usize;
            for lane in by_way(rows) {
                let outbox = Arc::clone(self);
                lanes.spawn(async move { outbox.send(lane).await });
            }
            if !full {
                break;
            }
        }
        Ok(())
    }

    /// Sends what goes to one queue, in its order: a message that waits makes those behind it wait too.
    async fn send(&self, rows: Vec<OutboxRow>) {
        if guard::is_off(Guard::Outbox) {
            for row in &rows {
                self.store.delete_outbox(row.id).await.ok();
            }
        }
        let sent = self.publish(&rows).await;
        if sent.iter().any(Result::is_ok) {
            fault::point(fault::OUTBOX_CONFIRMED);
        }
        // What a full queue has taken is not sent again with what it has not.
        let settled = rows.iter().zip(&sent).map(|(row, sent)| self.settle(row, sent.as_ref().err()));
        for outcome in futures_util::future::join_all(settled).await {
            if let Err(error) = outcome {
                // The row's hold runs out, and it is sent again: at least once.
                tracing::warn!(%error, "the outbox row keeps its old state");
            }
        }
    }

    async fn settle(&self, row: &OutboxRow, error: Option<&PublishError>) -> Result<(), crate::store::Error> {
        let purpose = row.outgoing.purpose;
        match error {
            None => {
                published(&row.outgoing);
                self.store.delete_outbox(row.id).await
            }
            Some(PublishError::Unroutable { .. }) if given_up(row) => {
                tracing::warn!(
                    queue = row.outgoing.routing_key,
                    "the caller's queue is gone; the message is dropped"
                );
                metrics::published(purpose, PublishOutcome::Dropped);
                if purpose == Purpose::Reply {
                    metrics::replies_dropped(1);
                }
                self.store.delete_outbox(row.id).await
            }
            Some(PublishError::Unroutable { .. }) => {
                metrics::published(purpose, PublishOutcome::Unroutable);
                self.store.postpone_outbox(row.id, UNROUTABLE_RETRY).await
            }
            // Said once, where the broker is watched.
            Some(PublishError::Blocked) => {
                metrics::published(purpose, PublishOutcome::Blocked);
                self.store.postpone_outbox(row.id, BROKEN_RETRY).await
            }
            // A queue that is full, most likely: its owner takes nothing, and need not be asked every second.
            Some(error @ PublishError::Nacked) => {
                tracing::info!(%error, to = row.outgoing.routing_key, "a message waits in the outbox");
                metrics::published(purpose, PublishOutcome::Nacked);
                self.store.postpone_outbox(row.id, nacked_retry(row.attempts)).await
            }
            Some(error) => {
                tracing::warn!(%error, to = row.outgoing.routing_key, "a message waits in the outbox");
                metrics::published(purpose, outcome_of(error));
                self.store.postpone_outbox(row.id, BROKEN_RETRY).await
            }
        }
    }

    /// Publishes rows that go the same way, and says of each what became of it.
    async fn publish(&self, rows: &[OutboxRow]) -> Vec<Result<(), PublishError>> {
        let each: Vec<Vec<Message>> = rows.iter().map(|row| messages(&row.outgoing)).collect();
        let sent = match rows.first() {
            None => Ok(Vec::new()),
            Some(first) => self.publish_to(&first.outgoing, &each.concat()).await,
        };
        let mut sent = sent.map(Vec::into_iter);
        let of_row = |messages: &Vec<Message>| match &mut sent {
            Ok(outcomes) => outcomes.by_ref().take(messages.len()).fold(Ok(()), Result::and),
            Err(error) => Err(error.clone()),
        };
        each.iter().map(of_row).collect()
    }

    async fn publish_to(
        &self,
        way: &Outgoing,
        messages: &[Message],
    ) -> Result<Vec<Result<(), PublishError>>, PublishError> {
        // A caller's own queue for notifications is on the broker that the call came by.
        if way.purpose == Purpose::Reply || way.exchange.is_empty() {
            return self.publisher.publish_each(messages).await;
        }
        self.notifications.declare_notification_queue(&way.exchange, &way.routing_key).await?;
        let sent = self.notifications.publish_each(messages).await;
        if let Err(PublishError::Unroutable { .. }) = sent {
            // Somebody deleted the queue: the next try declares it again.
            self.notifications.forget_notification_queue(&way.exchange, &way.routing_key).await;
        }
        sent
    }
}

/// The rows by where they go, each in the order of the commits.
fn by_way(rows: Vec<OutboxRow>) -> Vec<Vec<OutboxRow>> {
    let mut lanes: Vec<Vec<OutboxRow>> = Vec::new();
    for row in rows {
        let way = |row: &OutboxRow| {
            let Outgoing { purpose, exchange, routing_key, .. } = &row.outgoing;
            (*purpose, exchange.clone(), routing_key.clone())
        };
        match lanes.iter_mut().find(|lane| lane.first().is_some_and(|first| way(first) == way(&row))) {
            Some(lane) => lane.push(row),
            None => lanes.push(vec![row]),
        }
    }
    lanes
}

/// Doubling from a second to eight.
fn nacked_retry(attempts: u32) -> Duration {
    BROKEN_RETRY.saturating_mul(1 << attempts.clamp(1, 4).saturating_sub(1)).min(LONGEST_RETRY)
}

fn given_up(row: &OutboxRow) -> bool {
    row.outgoing.give_up_after.is_some_and(|limit| row.age >= limit)
}

/// Counts and logs what the broker has confirmed.
pub(crate) fn published(outgoing: &Outgoing) {
    metrics::published(outgoing.purpose, PublishOutcome::Confirmed);
    tracing::debug!(purpose = ?outgoing.purpose, queue = outgoing.routing_key, "published and confirmed");
}

/// The messages of an outgoing record, in their order.
pub(crate) fn messages(outgoing: &Outgoing) -> Vec<Message> {
    let encoding = Encoding::from_content_type(Some(&outgoing.content_type)).unwrap_or(Encoding::Json);
    let message = |body: &Vec<u8>| Message {
        exchange: outgoing.exchange.clone(),
        routing_key: outgoing.routing_key.clone(),
        content_type: outgoing.content_type.clone(),
        content_encoding: encoding.content_encoding().to_owned(),
        body: body.clone(),
        compressed: None,
        mandatory: true,
        expiration: None,
    };
    outgoing.bodies.iter().map(message).collect()
}

fn outcome_of(error: &PublishError) -> PublishOutcome {
    match error {
        PublishError::Unroutable { .. } => PublishOutcome::Unroutable,
        PublishError::Nacked => PublishOutcome::Nacked,
        PublishError::Blocked => PublishOutcome::Blocked,
        PublishError::Unconnected(_) | PublishError::Disconnected(_) => PublishOutcome::Disconnected,
        PublishError::Timeout { .. } => PublishOutcome::TimedOut,
    }
}
