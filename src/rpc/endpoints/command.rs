//! From a command to its operation: what every command brings, and how it is recorded.

use std::sync::Arc;

use mesos_conductor_proto::object::Object;
use secrecy::SecretString;
use uuid::Uuid;

use crate::error::Fault;
use crate::notify::{Event, Initiator, Outcome, Told};
use crate::operation::progress::Progress;
use crate::operation::record::{Kind, Operation, ReplyTo};
use crate::operation::runner::Workshop;
use crate::operation::steps;
use crate::rpc::arguments::{self, Argument, optional};
use crate::rpc::method::{Call, CallError, Written};
use crate::store::{self, Transaction};

/// The extras of every command, off unless given.
pub(super) const WAIT: Argument = optional("wait").flag();
pub(super) const NOTIFY_QUEUE: Argument = optional("notify_queue").text();

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

    /// What every operation is told, to be completed with what this one is to do.
    pub(super) fn progress(&self) -> Progress {
        Progress {
            initiator: self.initiator.clone(),
            notify_queue: self.notify_queue.clone(),
            ..Progress::default()
        }
    }

    async fn operation(
        &self,
        tx: &mut Transaction,
        subject: Uuid,
        progress: &Progress,
    ) -> Result<Operation, CallError> {
        let now_ms = tx.now_ms().await?;
        // Only what begins or ends in the cloud needs it; all else is done as the bay's trustee or as ourselves.
        let needs_token = matches!(self.kind, Kind::BayCreate | Kind::BayDelete);
        Ok(Operation {
            uuid: Uuid::new_v4(),
            kind: self.kind,
            subject,
            project_id: self.initiator.project_id.clone(),
            request_id: self.request_id.clone(),
            step: steps::first(self.kind).to_owned(),
            attempts: 0,
            progress: progress.encode(),
            token: self.token.clone().filter(|_| needs_token),
            superseded: false,
            deadline_ms: Some(self.shop.deadline_after(now_ms)),
            created_ms: now_ms,
        })
    }

    /// Records the operation, and that it has begun.
    pub(super) async fn begin<T: Told>(
        &self,
        tx: &mut Transaction,
        subject: &T,
        progress: &Progress,
    ) -> Result<Written, CallError> {
        let operation = self.operation(tx, subject.uuid(), progress).await?;
        match tx.insert_operation(&operation).await {
            Err(store::Error::Busy { .. }) => {
                let name = subject.name().unwrap_or_default().to_owned();
                return Err(Fault::OperationInProgress(name).into());
            }
            other => other?,
        }
        self.accepted(tx, &operation, subject).await
    }

    /// Records an operation that waits for another one to end.
    pub(super) async fn begin_after<T: Told>(
        &self,
        tx: &mut Transaction,
        subject: &T,
        progress: &Progress,
        predecessor: Uuid,
    ) -> Result<Written, CallError> {
        let operation = self.operation(tx, subject.uuid(), progress).await?;
        tx.insert_successor(&operation, predecessor).await?;
        self.accepted(tx, &operation, subject).await
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

    async fn accepted<T: Told>(
        &self,
        tx: &mut Transaction,
        operation: &Operation,
        subject: &T,
    ) -> Result<Written, CallError> {
        self.await_answer(tx, operation.uuid).await?;
        let event =
            Event { kind: self.kind, outcome: Outcome::Pending, of: subject, initiator: &self.initiator };
        for message in self.shop.notifier.messages(&event, None) {
            tx.enqueue(&message, Some(&self.shop.owner)).await?;
        }
        Ok(Written::Operation)
    }
}
