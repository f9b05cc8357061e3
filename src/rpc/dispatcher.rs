//! Takes deliveries, finds their methods, and sees to it that each is recorded or answered before it is acknowledged.

mod suspects;
mod verify;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use mesos_conductor_proto::failure::Failure;
use mesos_conductor_proto::message::{Malformed, Request};
use mesos_conductor_proto::version::Version;
use regex::Regex;
use serde_json::Value;
use tracing::Instrument;

use self::suspects::Suspects;
use crate::amqp::{Delivery, Disposition, ExpandError, Handler, expand};
use crate::error::Fault;
use crate::operation::fault;
use crate::operation::guard::{self, Guard};
use crate::operation::outbox::{messages, published};
use crate::operation::record::ReplyTo;
use crate::operation::runner::{Workshop, reply};
use crate::rpc::arguments;
use crate::rpc::endpoints::{self, METHODS};
use crate::rpc::method::{self, Action, Call, CallError, Method, Write, Written};
use crate::store;
use crate::telemetry::Brief;
use crate::telemetry::metrics::{self, Outcome, Reject};

/// The version of every method: Magnum never declared another.
const SERVED: Version = Version::new(1, 0);
/// How often a write is tried again after a deadlock or a serialization failure.
const WRITE_ATTEMPTS: u32 = 8;

/// What the configuration says about requests.
#[derive(Debug, Clone)]
pub struct Settings {
    pub ping_enabled: bool,
    /// Queues that a caller may name in `notify_queue`.
    pub notify_queues: Regex,
    pub password_symbols: Vec<String>,
    /// After how many redeliveries a message is set aside.
    pub max_attempts: u32,
    /// The largest body that is read.
    pub max_size: usize,
    /// Whether Keystone is asked who a caller is.
    pub verify_tokens: bool,
}

/// The handler of every delivery.
pub struct Dispatcher {
    shop: Arc<Workshop>,
    settings: Settings,
    suspects: Suspects,
}

/// How a request was dealt with.
enum Served {
    /// Its answer goes out now, not through the outbox.
    Answered(Value),
    /// What it asked for and how it is answered are committed.
    Recorded,
    /// That it is refused is committed.
    Refused,
}

impl Dispatcher {
    pub fn new(shop: Arc<Workshop>, settings: Settings) -> Self {
        Self { shop, settings, suspects: Suspects::default() }
    }

    async fn deliver(&self, delivery: Delivery) -> Result<Disposition, store::Error> {
        let bytes = delivery.body.len();
        if bytes > self.settings.max_size {
            return Ok(too_large(bytes));
        }
        if delivery.redelivered { self.redelivered(delivery).await } else { self.take(delivery).await }
    }

    async fn take(&self, delivery: Delivery) -> Result<Disposition, store::Error> {
        let request = match self.decode(delivery).await {
            Ok(request) => request,
            Err(disposition) => return Ok(disposition),
        };
        let span = tracing::info_span!(
            "request",
            method = request.method,
            request_id = request.context.request_id().unwrap_or_default(),
            msg_id = request.msg_id.as_deref().unwrap_or_default(),
        );
        let request = &request;
        async move {
            let handled = AssertUnwindSafe(self.request(request)).catch_unwind().await;
            match handled {
                Ok(disposition) => disposition,
                Err(_panic) => self.broken_off(request).await,
            }
        }
        .instrument(span)
        .await
    }

    /// The method panicked, which the log tells: its caller hears that it failed, and its repeat does too.
    async fn broken_off(&self, request: &Request) -> Result<Disposition, store::Error> {
        metrics::panic_caught();
        let fault = Fault::Internal("The request broke off; see the conductor's log.".to_owned());
        match self.refuse(request, &fault).await {
            Ok(_) => Ok(Disposition::Ack),
            Err(CallError::Store(error)) => Err(error),
            Err(CallError::Fault(fault)) => self.answer(request, Err(fault.to_failure())).await,
        }
    }

    /// The request in a body; else what becomes of a body that holds none.
    async fn decode(&self, delivery: Delivery) -> Result<Request, Disposition> {
        fault::point(fault::REQUEST_DECODE);
        let bytes = delivery.body.len();
        let compression = delivery.compression.as_deref();
        let body = match expand(delivery.body, compression, self.settings.max_size).await {
            Ok(body) => body,
            Err(ExpandError::TooLarge { .. }) => return Err(too_large(bytes)),
            Err(error @ (ExpandError::Unknown(_) | ExpandError::Broken { .. })) => {
                return Err(undecodable(&error, bytes));
            }
        };
        match Request::decode(delivery.content_type.as_deref(), &body) {
            Ok(request) => Ok(request),
            Err(malformed) => {
                let disposition = undecodable(&malformed, bytes);
                self.tell(malformed).await;
                Err(disposition)
            }
        }
    }

    async fn request(&self, request: &Request) -> Result<Disposition, store::Error> {
        let began = Instant::now();
        fault::point(format_args!("request/{}/begin", request.method));
        let (outcome, disposition) = match self.serve(request).await {
            Ok(Served::Recorded) => (Outcome::Ok, Disposition::Ack),
            Ok(Served::Refused) => (Outcome::Refused, Disposition::Ack),
            Ok(Served::Answered(value)) => (Outcome::Ok, self.answer(request, Ok(value)).await?),
            Err(CallError::Fault(fault)) => {
                tracing::info!(fault = %Brief(&fault), "the request is refused");
                (Outcome::Refused, self.answer(request, Err(fault.to_failure())).await?)
            }
            Err(CallError::Store(error)) if is_for_now(&error) => return Err(error),
            Err(CallError::Store(error)) => {
                tracing::error!(%error, "the request failed in the database");
                (Outcome::Failed, self.answer(request, Err(unusable().to_failure())).await?)
            }
        };
        metrics::request(&request.method, outcome, began.elapsed());
        Ok(disposition)
    }

    async fn serve(&self, request: &Request) -> Result<Served, CallError> {
        let method = find(request)?;
        arguments::check(method.name(), method.arguments(), &request.args)?;
        let scope = method::scope(&request.context);
        let call = Call { request, shop: &self.shop, settings: &self.settings, scope };
        let verified = if method.is_open() { Ok(()) } else { self.verify(&request.context).await };
        let outcome = match verified {
            Ok(()) => method.run(&call).await,
            Err(fault) => Err(fault.into()),
        };
        match outcome {
            Ok(Action::Answer(value)) => Ok(Served::Answered(value)),
            Ok(Action::Write(write)) => self.write(request, &*write).await,
            Err(CallError::Fault(fault)) if method.writes(&call) => self.refuse(request, &fault).await,
            Err(error) => Err(error),
        }
    }

    async fn write(&self, request: &Request, write: &dyn Write) -> Result<Served, CallError> {
        match self.persist(request, Some(write), None).await {
            Err(CallError::Fault(fault)) => return self.refuse(request, &fault).await,
            // It fails each time: that is recorded, so that a repeat hears the same.
            Err(CallError::Store(error)) if !is_for_now(&error) => {
                tracing::error!(%error, "the request failed in the database");
                return self.refuse(request, &unusable()).await;
            }
            other => other?,
        }
        fault::point(fault::REQUEST_COMMITTED);
        self.shop.hint.notify_one();
        Ok(Served::Recorded)
    }

    /// A refused command is recorded too, so that its repeat is refused alike.
    async fn refuse(&self, request: &Request, fault: &Fault) -> Result<Served, CallError> {
        tracing::info!(fault = %Brief(fault), "the request is refused");
        self.persist(request, None, Some(&Err(fault.to_failure()))).await?;
        Ok(Served::Refused)
    }

    /// Records again what gave way to another transaction.
    async fn persist(
        &self,
        request: &Request,
        write: Option<&dyn Write>,
        known: Option<&Result<Value, Failure>>,
    ) -> Result<(), CallError> {
        let mut attempt = 1;
        loop {
            match self.record(request, write, known).await {
                Err(CallError::Store(error)) if error.is_retryable() && attempt < WRITE_ATTEMPTS => {
                    tracing::debug!(%error, attempt, "the transaction is tried again");
                    tokio::time::sleep(Duration::from_millis(rand::random_range(5..=20) << attempt)).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// One transaction: the message's key, what `write` changes, and the reply if it is known.
    async fn record(
        &self,
        request: &Request,
        write: Option<&dyn Write>,
        known: Option<&Result<Value, Failure>>,
    ) -> Result<(), CallError> {
        let mut tx = self.shop.store.begin().await?;
        let key = request.dedupe_key().filter(|_| !guard::is_off(Guard::Dedupe));
        if let Some(key) = key
            && let Some(seen) = tx.record_message(key).await?
        {
            // A redelivery, or a fanout that another worker recorded first: the first reply is the reply, even where
            // the same request would be refused by now.
            tracing::info!("the message was recorded before");
            if let Some(reply) = &seen.reply {
                tx.enqueue(reply, Some(&self.shop.owner)).await?;
                tx.commit().await?;
                self.shop.outbox_hint.notify_one();
            }
            return Ok(());
        }
        let outcome = match write {
            None => known.cloned(),
            Some(write) => match write.apply(&mut tx).await? {
                Written::Answer(value) => Some(Ok(value)),
                Written::Operation => None,
            },
        };
        if let (Some(outcome), Some(address)) = (outcome, request.reply_address()) {
            let to = ReplyTo { address, object_version: None, at_end: false };
            let reply = reply(&to, &outcome, self.shop.missing_queue_timeout);
            if let Some(key) = key {
                tx.store_reply(key, &reply).await?;
            }
            tx.enqueue(&reply, Some(&self.shop.owner)).await?;
        }
        tx.commit().await?;
        self.shop.outbox_hint.notify_one();
        Ok(())
    }

    /// Tells a caller that its request is none, as oslo.messaging's dispatcher tells of arguments that do not fit. Once:
    /// such a call leaves nothing behind that could say it again.
    async fn tell(&self, malformed: Malformed) {
        let Some(address) = malformed.reply_to else { return };
        let failure = Failure::type_error(&malformed.error.to_string());
        let to = ReplyTo { address: *address, object_version: None, at_end: false };
        let reply = reply(&to, &Err(failure), self.shop.missing_queue_timeout);
        match self.shop.publisher.publish_in_order(&messages(&reply)).await {
            Ok(()) => published(&reply),
            Err(error) => {
                tracing::debug!(%error, "the sender of a message that is no request cannot be told")
            }
        }
    }

    /// Publishes an answer that needs no record. Where the broker does not take it at once, the outbox keeps it, so
    /// that no permit waits for a queue that has gone.
    async fn answer(
        &self,
        request: &Request,
        outcome: Result<Value, Failure>,
    ) -> Result<Disposition, store::Error> {
        let Some(address) = request.reply_address() else { return Ok(Disposition::Ack) };
        let to = ReplyTo { address, object_version: None, at_end: false };
        let reply = reply(&to, &outcome, self.shop.missing_queue_timeout);
        match self.shop.publisher.publish_in_order(&messages(&reply)).await {
            Ok(()) => published(&reply),
            Err(error) => {
                tracing::info!(%error, queue = reply.routing_key, "the reply waits in the outbox");
                let mut tx = self.shop.store.begin().await?;
                tx.enqueue(&reply, None).await?;
                tx.commit().await?;
            }
        }
        Ok(Disposition::Ack)
    }
}

/// Whether the same request may be recorded later.
fn is_for_now(error: &store::Error) -> bool {
    error.is_unavailable() || error.is_retryable()
}

fn unusable() -> Fault {
    Fault::Internal("The conductor could not use its database.".to_owned())
}

/// It may be small as it came, and too large when it is decompressed.
fn too_large(bytes: usize) -> Disposition {
    tracing::warn!(bytes, "a message over [conductor] max_message_size is rejected");
    metrics::reject(Reject::TooLarge);
    Disposition::Reject
}

fn undecodable(error: &dyn std::error::Error, bytes: usize) -> Disposition {
    tracing::warn!(%error, bytes, "a message that is no request is rejected");
    metrics::reject(Reject::Undecodable);
    Disposition::Reject
}

/// The method that a request names, as oslo.messaging's dispatcher finds it.
fn find(request: &Request) -> Result<&'static dyn Method, Fault> {
    let name = request.method.as_str();
    if request.namespace.is_some() || !SERVED.can_serve(request.version) {
        return Err(Fault::UnsupportedVersion { version: request.version, method: name.to_owned() });
    }
    let found = METHODS.iter().copied().find(|method| method.name() == name);
    found.ok_or_else(|| endpoints::refusal(name).unwrap_or_else(|| Fault::NoSuchMethod(name.to_owned())))
}

#[async_trait]
impl Handler for Dispatcher {
    async fn handle(&self, delivery: Delivery) -> Disposition {
        let _in_flight = metrics::in_flight();
        match self.deliver(delivery).await {
            Ok(disposition) => disposition,
            // What cannot be recorded is not acknowledged.
            Err(error) => {
                tracing::warn!(%error, "the request cannot be recorded now");
                Disposition::Retry
            }
        }
    }

    async fn is_ready(&self) -> bool {
        self.shop.store.check_writable().await.is_ok()
    }
}
