//! RPC heartbeats: a caller that asked for them is told, until its reply, that somebody is at work.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::amqp::{Message, Publisher};
use crate::operation::record::ReplyTo;
use crate::telemetry::metrics;

/// Sends heartbeats until told to stop, or until one cannot be sent: a caller that is gone needs none.
pub(crate) async fn beat(
    publisher: &Publisher,
    reply_to: &ReplyTo,
    taken_over: bool,
    stop: &CancellationToken,
) {
    let Some(interval) = reply_to.address.heartbeat else { return };
    let mut wait = if taken_over { Duration::ZERO } else { interval };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        let body = reply_to.address.heartbeat_body(Uuid::new_v4().simple().to_string());
        let encoding = reply_to.address.encoding;
        let message = Message {
            routing_key: reply_to.address.queue.clone(),
            content_type: encoding.content_type().to_owned(),
            content_encoding: encoding.content_encoding().to_owned(),
            body,
            mandatory: true,
            ..Message::default()
        };
        if let Err(error) = publisher.publish(&message).await {
            tracing::info!(%error, queue = reply_to.address.queue, "no more heartbeats for this call");
            return;
        }
        metrics::heartbeat_sent();
        wait = interval;
    }
}
