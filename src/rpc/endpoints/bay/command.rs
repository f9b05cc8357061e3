//! From a command to its operation: what every command brings, and how it is recorded.

use std::sync::Arc;

use mesos_conductor_proto::object::Object;
use secrecy::SecretString;
use uuid::Uuid;

use crate::bay::Bay;
use crate::error::Fault;
use crate::notify::{Event, Initiator, Outcome};
use crate::operation::progress::{Before, Progress};
use crate::operation::record::{Kind, Operation, ReplyTo};
use crate::operation::runner::Workshop;
use crate::operation::steps;
use crate::rpc::arguments;
use crate::rpc::method::{Call, CallError, Written};
use crate::store::{self, Transaction};

/// What every command brings to its operation.
pub(super) struct Command {
    pub(super) kind: Kind,
    pub(super) key: Option<String>,
    pub(super) object_version: Option<String>,
    pub(super) reply_to: Option<ReplyTo>,
    request_id: Option<String>,
    pub(super) token: Option<SecretString>,
    initiator: Initiator,
    notify_queue: Option<String>,
    shop: Arc<Workshop>,
}

impl Command {
    pub(super) fn read(call: &Call<'_>, kind: Kind, object: Option<&Object>) -> Result<Self, Fault> {
        let args = call.args();
        let context = &call.request.context;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let object_version = object.map(|object| object.version().to_string());
        let notify_queue = arguments::text(args, "notify_queue")?.map(str::to_owned);
        if let Some(queue) = notify_queue
            .as_deref()
            .filter(|queue| queue.len() > 255 || !call.settings.notify_queues.is_match(queue))
        {
            return Err(Fault::InvalidParameterValue(format!(
                "notify_queue `{queue}` does not match the configured pattern `{}`.",
                call.settings.notify_queues
            )));
        }
        Ok(Self {
            kind,
            key: call.key(),
            reply_to: call.reply_to(object_version.clone(), arguments::flag(args, "wait")?),
            object_version,
            request_id: owned(context.request_id()),
            token: context.auth_token().map(SecretString::from),
            initiator: Initiator {
                user_id: owned(context.user_id()),
                project_id: owned(context.project_id()),
                domain_id: owned(context.user_domain_id().or_else(|| context.domain_id())),
                context: context.without_secrets(),
            },
            notify_queue,
            shop: Arc::clone(call.shop),
        })
    }

    async fn operation(
        &self,
        tx: &mut Transaction,
        bay: &Bay,
        before: Option<Before>,
    ) -> Result<Operation, CallError> {
        let now_ms = tx.now_ms().await?;
        let progress = Progress {
            initiator: self.initiator.clone(),
            notify_queue: self.notify_queue.clone(),
            before,
            failure: None,
            stack_may_appear: false,
        };
        Ok(Operation {
            uuid: Uuid::new_v4(),
            kind: self.kind,
            subject: bay.uuid,
            request_id: self.request_id.clone(),
            step: steps::first(self.kind).to_owned(),
            attempts: 0,
            progress: progress.encode(),
            // Scaling is done as the bay's trustee, or as the service user.
            token: self.token.clone().filter(|_| self.kind != Kind::BayUpdate),
            superseded: false,
            deadline_ms: Some(self.shop.deadline_after(now_ms)),
            created_ms: now_ms,
        })
    }

    /// Records the operation, and that it has begun.
    pub(super) async fn begin(
        &self,
        tx: &mut Transaction,
        bay: &Bay,
        before: Option<Before>,
    ) -> Result<Written, CallError> {
        let operation = self.operation(tx, bay, before).await?;
        match tx.insert_operation(&operation).await {
            Err(store::Error::Busy { .. }) => {
                return Err(Fault::OperationInProgress(bay.name.clone().unwrap_or_default()).into());
            }
            other => other?,
        }
        self.accepted(tx, &operation, bay).await
    }

    /// Records an operation that waits for the active one to end.
    pub(super) async fn begin_after(
        &self,
        tx: &mut Transaction,
        bay: &Bay,
        active: Uuid,
    ) -> Result<Written, CallError> {
        let operation = self.operation(tx, bay, None).await?;
        tx.insert_successor(&operation, active).await?;
        self.accepted(tx, &operation, bay).await
    }

    /// The operation answers this command's caller, whoever asked for it first.
    pub(super) async fn await_answer(
        &self,
        tx: &mut Transaction,
        operation: Uuid,
    ) -> Result<(), store::Error> {
        if let Some(reply_to) = &self.reply_to {
            tx.add_caller(operation, reply_to, self.key.as_deref()).await?;
        }
        if let Some(key) = &self.key {
            tx.attach_operation(key, operation).await?;
        }
        Ok(())
    }

    async fn accepted(
        &self,
        tx: &mut Transaction,
        operation: &Operation,
        bay: &Bay,
    ) -> Result<Written, CallError> {
        self.await_answer(tx, operation.uuid).await?;
        let event = Event { kind: self.kind, outcome: Outcome::Pending, of: bay, initiator: &self.initiator };
        for message in self.shop.notifier.messages(&event, None) {
            tx.enqueue(&message, Some(&self.shop.owner)).await?;
        }
        Ok(Written::Operation)
    }
}
