//! Liberty's locks on bays: kept for whoever takes them. They belong to no tenant, as in Magnum, and hold up nothing
//! here.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Answer, Ask, Class, Remotable};
use crate::error::Fault;
use crate::objects;
use crate::rpc::arguments::{self, required};
use crate::rpc::method::{Action, CallError, Write, Written};
use crate::store::{Steal, Transaction};

pub(super) static CLASS: Class = Class {
    name: objects::BAY_LOCK,
    methods: &[
        Remotable::write("create", &[required("bay_uuid").text(), required("conductor_id").text()], create),
        Remotable::write(
            "steal",
            &[
                required("bay_uuid").text(),
                required("old_conductor_id").text(),
                required("new_conductor_id").text(),
            ],
            steal,
        ),
        Remotable::write("release", &[required("bay_uuid").text(), required("conductor_id").text()], release),
    ],
};

/// What is to be done with the lock on a bay.
struct LockWrite {
    bay: String,
    deed: LockDeed,
}

enum LockDeed {
    Create { conductor: String },
    Steal { from: String, to: String },
    Release { conductor: String },
}

fn create<'a>(ask: &'a Ask<'a>) -> Answer<'a> {
    Box::pin(async move { write(ask, LockDeed::Create { conductor: text(ask, "conductor_id")? }) })
}

fn steal<'a>(ask: &'a Ask<'a>) -> Answer<'a> {
    Box::pin(async move {
        let (from, to) = (text(ask, "old_conductor_id")?, text(ask, "new_conductor_id")?);
        write(ask, LockDeed::Steal { from, to })
    })
}

fn release<'a>(ask: &'a Ask<'a>) -> Answer<'a> {
    Box::pin(async move { write(ask, LockDeed::Release { conductor: text(ask, "conductor_id")? }) })
}

fn write(ask: &Ask<'_>, deed: LockDeed) -> Result<Action, CallError> {
    Ok(Action::Write(Box::new(LockWrite { bay: text(ask, "bay_uuid")?, deed })))
}

fn text(ask: &Ask<'_>, name: &str) -> Result<String, Fault> {
    let text = arguments::text(&ask.arguments, name)?.map(str::to_owned);
    text.ok_or_else(|| Fault::InvalidParameterValue(format!("Argument `{name}` must be text.")))
}

#[async_trait]
impl Write for LockWrite {
    async fn apply(&self, tx: &mut Transaction) -> Result<Written, CallError> {
        let bay = self.bay.as_str();
        let answer = match &self.deed {
            // Whoever holds it, or null when the lock is taken.
            LockDeed::Create { conductor } => json!(tx.take_bay_lock(bay, conductor).await?),
            LockDeed::Steal { from, to } => match tx.steal_bay_lock(bay, from, to).await? {
                Steal::Stolen => Value::Null,
                Steal::Held(holder) => Value::String(holder),
                Steal::Free => Value::Bool(true),
            },
            // True when there was nothing to release.
            LockDeed::Release { conductor } => {
                if tx.release_bay_lock(bay, conductor).await? {
                    Value::Null
                } else {
                    Value::Bool(true)
                }
            }
        };
        Ok(Written::Answer(answer))
    }
}
