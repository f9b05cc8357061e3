//! What must hold: in every state, and once everything has come to rest.

use super::cloud::Stack;
use super::database::{Kind, Operation, OperationState, Status};
use super::{Model, State};

/// A promise by its name, and whether a state keeps it.
pub(crate) struct Promise {
    pub(crate) name: &'static str,
    pub(crate) kept: fn(&Model, &State) -> bool,
}

pub(crate) const ONE_OPERATION: &str = "one operation at a time has the bay";
pub(crate) const NO_OVERWRITING: &str = "no stale worker overwrites a newer record";
pub(crate) const ONE_REPLY: &str = "a request has one reply";
pub(crate) const ACKNOWLEDGED: &str = "an acknowledged message is a committed row";
pub(crate) const ENDED: &str = "in the end every operation has ended";
pub(crate) const ANSWERED: &str = "in the end every request is answered";
pub(crate) const SENT: &str = "in the end nothing waits in the outbox";
pub(crate) const TWICE: &str = "in the end nothing was made twice";
pub(crate) const LEAKED: &str = "in the end nothing is left over";
pub(crate) const TRUTH: &str = "in the end the bay's row is true";

pub(crate) const PROMISES: &[Promise] = &[
    Promise { name: ONE_OPERATION, kept: one_operation },
    Promise { name: NO_OVERWRITING, kept: |_, state| !state.overwritten },
    Promise { name: ONE_REPLY, kept: |_, state| state.database.composed.iter().all(|replies| *replies <= 1) },
    Promise { name: ACKNOWLEDGED, kept: acknowledged },
    Promise { name: ENDED, kept: |model, state| !model.is_settled(state) || ended(state) },
    Promise { name: ANSWERED, kept: |model, state| !model.is_settled(state) || answered(model, state) },
    Promise { name: SENT, kept: |model, state| !model.is_settled(state) || state.database.outbox.is_empty() },
    Promise { name: TWICE, kept: |model, state| !model.is_settled(state) || nothing_twice(state) },
    Promise { name: LEAKED, kept: |model, state| !model.is_settled(state) || nothing_left_over(state) },
    Promise { name: TRUTH, kept: |model, state| !model.is_settled(state) || truthful(state) },
];

/// What an exploration must have met, or it has shown nothing.
pub(crate) const SIGHTS: &[Promise] = &[
    Promise { name: "a bay is there", kept: |model, state| has_bay(state) && model.is_settled(state) },
    Promise { name: "a bay was deleted", kept: |model, state| was_deleted(state) && model.is_settled(state) },
    Promise { name: "a create was undone", kept: |_, state| was_undone(state) },
    Promise {
        name: "a delete stopped a create",
        kept: |_, state| state.database.all_operations().any(|(_, row)| row.superseded),
    },
    Promise {
        name: "a worker lost its lease to another and does not know",
        kept: |_, state| holds_in_vain(state),
    },
    Promise { name: "a stack appears that nobody waits for", kept: |_, state| state.cloud.late > 0 },
    Promise { name: "a repeat of what was recorded waits", kept: |_, state| repeat_waits(state) },
];

fn has_bay(state: &State) -> bool {
    state.database.bay.is_some_and(|bay| bay.status == Status::CreateComplete)
}

fn was_deleted(state: &State) -> bool {
    let done = |kind| {
        state.database.all_operations().any(|(_, row)| row.kind == kind && row.state == OperationState::Done)
    };
    state.database.bay.is_none() && done(Kind::Create) && done(Kind::Delete)
}

fn was_undone(state: &State) -> bool {
    let undone = |row: &Operation| row.place.failure.is_some() && row.state == OperationState::Failed;
    state.database.bay.is_none() && state.database.all_operations().any(|(_, row)| undone(row))
}

fn holds_in_vain(state: &State) -> bool {
    let works = state.workers.iter().filter_map(|worker| worker.work.as_ref());
    works.into_iter().any(|work| {
        let row = state.database.operation(work.lease.operation);
        row.fence > work.lease.fence && row.live
    })
}

fn repeat_waits(state: &State) -> bool {
    let requests = state.queue.iter().zip(&state.database.messages);
    requests.into_iter().any(|(copies, row)| *copies > 0 && row.is_some())
}

/// The promises that a state breaks.
pub(crate) fn broken(model: &Model, state: &State) -> Vec<&'static str> {
    PROMISES.iter().filter(|promise| !(promise.kept)(model, state)).map(|promise| promise.name).collect()
}

fn one_operation(_: &Model, state: &State) -> bool {
    let mut begun =
        state.database.all_operations().filter(|(_, row)| row.is_running() && row.after.is_none());
    let first = begun.next().map(|(id, _)| id);
    begun.next().is_none() && first == state.database.active
}

fn acknowledged(_: &Model, state: &State) -> bool {
    let rows = state.acknowledged.iter().zip(&state.database.messages);
    rows.into_iter().all(|(acknowledged, row)| !acknowledged || row.is_some())
}

fn ended(state: &State) -> bool {
    state.database.active.is_none() && state.database.all_operations().all(|(_, row)| !row.is_running())
}

fn answered(model: &Model, state: &State) -> bool {
    let requests = 0..model.requests.len();
    requests
        .into_iter()
        .all(|request| state.database.messages[request].is_some() && state.received[request] != 0)
}

fn nothing_twice(state: &State) -> bool {
    state.cloud.users <= 1 && state.cloud.trusts <= 1 && state.cloud.count() <= 1
}

/// What could not be removed is told by the row, and a later delete removes it. A row that claims no such thing has
/// exactly what it names.
fn nothing_left_over(state: &State) -> bool {
    let cloud = &state.cloud;
    match state.database.bay {
        None => cloud.users == 0 && cloud.trusts == 0 && cloud.count() == 0,
        Some(bay) if matches!(bay.status, Status::CreateFailed | Status::DeleteFailed) => true,
        Some(bay) => {
            (cloud.users, cloud.trusts) == (u8::from(bay.trustee), u8::from(bay.trust))
                && cloud.count() == usize::from(bay.stack.is_some())
        }
    }
}

fn truthful(state: &State) -> bool {
    let stack = |id: Option<u8>| id.map_or(Stack::Gone, |id| state.cloud.stack(id));
    state.database.bay.is_none_or(|bay| match bay.status {
        Status::CreateComplete => stack(bay.stack) == Stack::Complete,
        Status::CreateFailed | Status::DeleteFailed => true,
        Status::CreateInProgress | Status::DeleteInProgress => false,
    })
}
