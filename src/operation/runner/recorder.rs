//! Records what a step changed: the bay, the operation's place, the reply and the notifications, in one transaction.

use std::time::Duration;

use mesos_conductor_proto::failure::Failure;
use serde_json::Value;
use uuid::Uuid;

use super::{Round, Workshop};
use crate::bay::Bay;
use crate::notify::Event;
use crate::objects;
use crate::operation::keeper::Held;
use crate::operation::progress::Progress;
use crate::operation::record::{Operation, Outgoing, Purpose, ReplyTo};
use crate::operation::step::{Answer, BayChange, Change, Next};
use crate::store::{self, Caller, Key, Scope, Transaction, Visibility, Wake};

pub(super) struct Recorder<'a> {
    pub(super) shop: &'a Workshop,
    pub(super) held: &'a Held,
}

impl Recorder<'_> {
    pub(super) async fn record(
        &self,
        mut operation: Operation,
        progress: &Progress,
        bay: &Bay,
        change: Change,
        next: Option<&'static str>,
    ) -> Result<Round, store::Error> {
        let mut tx = self.shop.store.begin_held(&self.held.lease, self.shop.lease).await?;
        let bay = match &change.bay {
            BayChange::Keep => bay.clone(),
            BayChange::Save(changed) => {
                tx.update_bay(changed).await?;
                (**changed).clone()
            }
            BayChange::Remove(last) => {
                tx.delete_bay(operation.bay).await?;
                (**last).clone()
            }
        };
        let ending = matches!(change.next, Next::End(..));
        if let Some(answer) = &change.reply {
            self.reply(&mut tx, operation.uuid, answer, &bay, ending).await?;
        }
        if let Some(outcome) = change.event {
            let event = Event { kind: operation.kind, outcome, bay: &bay, initiator: &progress.initiator };
            for message in self.shop.notifier.messages(&event, progress.notify_queue.as_deref()) {
                tx.enqueue(&message, Some(&self.shop.owner)).await?;
            }
        }
        if let Some(progress) = &change.progress {
            operation.progress = progress.encode();
        }
        if change.erase_token {
            operation.token = None;
        }
        let round = self.place(&mut tx, operation, change.next, next).await?;
        tx.commit().await?;
        self.shop.outbox_hint.notify_one();
        Ok(round)
    }

    /// Moves the operation to where the change sends it.
    async fn place(
        &self,
        tx: &mut Transaction,
        mut operation: Operation,
        to: Next,
        following: Option<&'static str>,
    ) -> Result<Round, store::Error> {
        let lease = &self.held.lease;
        let step = match to {
            Next::End(ending, reason) => {
                // A delete that waited for this end is due now.
                tx.finish(lease, ending, reason.as_deref()).await?;
                return Ok(Round::Over(ending, reason));
            }
            Next::Again(after) => {
                // Long waits hold nothing (I9).
                tx.advance(lease, &operation, Wake::Release { after }).await?;
                return Ok(Round::Left);
            }
            Next::Step(name) => name,
            Next::Proceed => following
                .ok_or_else(|| store::Error::corrupt("the last step of a plan does not end its operation"))?,
        };
        step.clone_into(&mut operation.step);
        operation.attempts = 0;
        // A stack may take longer than any deadline: what follows it has its own time.
        operation.deadline_ms = Some(self.shop.deadline_after(tx.now_ms().await?));
        tx.advance(lease, &operation, Wake::Now).await?;
        Ok(Round::On(Box::new(operation)))
    }

    /// Answers whoever waits, unless for the end and this is not it.
    async fn reply(
        &self,
        tx: &mut Transaction,
        operation: Uuid,
        answer: &Answer,
        bay: &Bay,
        ending: bool,
    ) -> Result<(), store::Error> {
        for caller in tx.callers(operation).await? {
            if ending || !caller.reply_to.at_end {
                self.answer(tx, &caller, answer, bay).await?;
                tx.remove_caller(caller.id).await?;
            }
        }
        Ok(())
    }

    async fn answer(
        &self,
        tx: &mut Transaction,
        caller: &Caller,
        answer: &Answer,
        bay: &Bay,
    ) -> Result<(), store::Error> {
        let outcome = match answer {
            Answer::Null => Ok(Value::Null),
            Answer::Fault(fault) => Err(fault.to_failure()),
            Answer::Bay => self.bay(tx, &caller.reply_to, bay).await?,
        };
        let reply = reply(&caller.reply_to, &outcome, self.shop.missing_queue_timeout);
        if let Some(key) = &caller.message_key {
            tx.store_reply(key, &reply).await?;
        }
        tx.enqueue(&reply, Some(&self.shop.owner)).await?;
        Ok(())
    }

    async fn bay(
        &self,
        tx: &mut Transaction,
        to: &ReplyTo,
        bay: &Bay,
    ) -> Result<Result<Value, Failure>, store::Error> {
        let model = match bay.model_id.as_deref().and_then(|id| Uuid::parse_str(id).ok()) {
            Some(uuid) => tx.model(&Scope::All, Visibility::OwnOnly, Key::Uuid(uuid)).await?,
            None => None,
        };
        // The row as the transaction has it, with its new `updated_at`.
        let bay = tx.bay(&Scope::All, Key::Uuid(bay.uuid)).await?.unwrap_or_else(|| bay.clone());
        let primitive = objects::version_or_latest(objects::BAY, to.object_version.as_deref())
            .and_then(|version| objects::bay_primitive(&bay, model.as_ref(), version));
        Ok(primitive.map_err(|fault| fault.to_failure()))
    }
}

/// The reply as the outbox keeps it.
pub(crate) fn reply(to: &ReplyTo, outcome: &Result<Value, Failure>, give_up_after: Duration) -> Outgoing {
    let unique_id = || Uuid::new_v4().simple().to_string();
    Outgoing {
        purpose: Purpose::Reply,
        exchange: String::new(),
        routing_key: to.address.queue.clone(),
        content_type: to.address.encoding.content_type().to_owned(),
        bodies: to.address.bodies(outcome, [unique_id(), unique_id()]),
        give_up_after: Some(give_up_after),
    }
}
