//! Records what a step changed: the bay or app, the operation's place, the reply and the notifications, in one transaction.

use std::time::Duration;

use mesos_conductor_proto::failure::Failure;
use serde_json::Value;
use uuid::Uuid;

use super::{Round, Workshop};
use crate::notify::Event;
use crate::operation::keeper::Held;
use crate::operation::progress::Progress;
use crate::operation::record::{Operation, Outgoing, Purpose, ReplyTo};
use crate::operation::step::{Answer, Change, Next, RowChange};
use crate::operation::subject::Subject;
use crate::store::{self, Caller, Transaction, Wake};

pub(super) struct Recorder<'a> {
    pub(super) shop: &'a Workshop,
    pub(super) held: &'a Held,
}

impl Recorder<'_> {
    pub(super) async fn record<S: Subject>(
        &self,
        mut operation: Operation,
        progress: &Progress,
        subject: &S,
        change: Change<S>,
        next: Option<&'static str>,
    ) -> Result<Round, store::Error> {
        let mut tx = self.shop.store.begin_held(&self.held.lease, self.shop.lease).await?;
        let subject = match &change.row {
            RowChange::Keep => subject,
            RowChange::Save(changed) => {
                changed.save(&mut tx).await?;
                changed
            }
            RowChange::Remove(last) => {
                S::remove(&mut tx, operation.subject).await?;
                last
            }
        };
        let ending = matches!(change.next, Next::End(..));
        if let Some(answer) = &change.reply {
            self.reply(&mut tx, operation.uuid, answer, subject, ending).await?;
        }
        if let Some(outcome) = change.event {
            let event = Event { kind: operation.kind, outcome, of: subject, initiator: &progress.initiator };
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
        if change.seen {
            operation.deadline_ms = Some(self.shop.deadline_after(tx.now_ms().await?));
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
    async fn reply<S: Subject>(
        &self,
        tx: &mut Transaction,
        operation: Uuid,
        answer: &Answer,
        subject: &S,
        ending: bool,
    ) -> Result<(), store::Error> {
        for caller in tx.callers(operation).await? {
            if ending || !caller.reply_to.at_end {
                self.answer(tx, &caller, answer, subject).await?;
                tx.remove_caller(caller.id).await?;
            }
        }
        Ok(())
    }

    async fn answer<S: Subject>(
        &self,
        tx: &mut Transaction,
        caller: &Caller,
        answer: &Answer,
        subject: &S,
    ) -> Result<(), store::Error> {
        let outcome = match answer {
            Answer::Null => Ok(Value::Null),
            Answer::Value(value) => Ok(value.clone()),
            Answer::Fault(fault) => Err(fault.to_failure()),
            Answer::Object => subject.primitive(tx, caller.reply_to.object_version.as_deref()).await?,
        };
        let reply = reply(&caller.reply_to, &outcome, self.shop.missing_queue_timeout);
        if let Some(key) = &caller.message_key {
            tx.store_reply(key, &reply).await?;
        }
        tx.enqueue(&reply, Some(&self.shop.owner)).await?;
        Ok(())
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
