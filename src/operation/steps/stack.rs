//! What the steps of all kinds share: judging a stack's state, and following it to its end.

use async_trait::async_trait;

use crate::bay::{Bay, Status, parameters};
use crate::error::Fault;
use crate::notify::Outcome;
use crate::openstack::{Credentials, Error, Kind, Outputs, Stack};
use crate::operation::step::{Answer, Change, Scene, Step, StepError, with_status};
use crate::telemetry::metrics;

pub(super) const AWAIT_STACK: &str = "await_stack";

/// Which stack action is being followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Create,
    Update,
}

/// What a stack's state means for the action that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not there yet; the bay shows this status meanwhile, if it has one.
    Wait(Option<Status>),
    Complete(Status),
    Failed(Status),
    Gone,
}

impl Action {
    /// `settled` is whether the stack has the parameters that were asked for: right after an update is accepted, Heat
    /// may still show the state of the action before it.
    pub(super) fn judge(self, stack_status: &str, settled: bool) -> Verdict {
        let status = stack_status.parse::<Status>().ok();
        match (self, status) {
            (_, Some(Status::DeleteComplete)) => Verdict::Gone,
            (Self::Create, Some(Status::CreateComplete)) => Verdict::Complete(Status::CreateComplete),
            (Self::Update, Some(Status::UpdateComplete)) if settled => {
                Verdict::Complete(Status::UpdateComplete)
            }
            // Somebody else moved the stack on: what was asked for is there all the same.
            (Self::Create, Some(done @ Status::UpdateComplete)) => Verdict::Complete(done),
            (
                _,
                Some(
                    done @ (Status::ResumeComplete
                    | Status::CheckComplete
                    | Status::SnapshotComplete
                    | Status::RestoreComplete
                    | Status::AdoptComplete),
                ),
            ) if settled || self == Self::Create => Verdict::Complete(done),
            (_, Some(failed @ (Status::CreateFailed | Status::DeleteFailed | Status::RollbackFailed))) => {
                Verdict::Failed(failed)
            }
            (_, Some(failed @ (Status::RollbackComplete | Status::UpdateFailed)))
                if settled || self == Self::Create =>
            {
                Verdict::Failed(failed)
            }
            (Self::Update, Some(failed @ (Status::RollbackComplete | Status::UpdateFailed))) => {
                Verdict::Failed(failed)
            }
            (
                _,
                Some(
                    moving @ (Status::CreateInProgress
                    | Status::UpdateInProgress
                    | Status::DeleteInProgress
                    | Status::RollbackInProgress),
                ),
            ) => Verdict::Wait(Some(moving)),
            // Suspended, being checked, adopted: not an end of what was asked for.
            (_, _) => Verdict::Wait(None),
        }
    }

    fn failed_status(self) -> Status {
        match self {
            Self::Create => Status::CreateFailed,
            Self::Update => Status::UpdateFailed,
        }
    }
}

/// Follows the stack until it is complete or failed, and takes over its outputs.
pub(super) struct AwaitStack(pub(super) Action);

#[async_trait]
impl Step for AwaitStack {
    fn name(&self) -> &'static str {
        AWAIT_STACK
    }

    fn bounded(&self) -> bool {
        false
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        follow(scene, self.0).await
    }
}

/// Looks at the bay's stack once, and says what follows from what is seen.
async fn follow(scene: &Scene<'_>, action: Action) -> Result<Change, StepError> {
    let bay = scene.subject;
    let Some(id) = bay.stack_id.as_deref() else {
        return Err(StepError::Fatal(Fault::Internal("the bay has no stack to wait for".to_owned())));
    };
    let Some(seen) = look(scene, id, Outputs::Skip).await? else { return Ok(gone(bay, action, id)) };
    match action.judge(&seen.status, has_wanted_nodes(&seen, bay)) {
        Verdict::Wait(status) => {
            let change = Change::again(scene.settings.poll_interval);
            Ok(match status {
                Some(status) if bay.status != Some(status) => {
                    change.save(with_status(bay, status, seen.status_reason))
                }
                _ => change,
            })
        }
        Verdict::Gone => Ok(gone(bay, action, id)),
        Verdict::Complete(status) => {
            let Some(full) = look(scene, id, Outputs::Resolve).await? else {
                return Ok(gone(bay, action, id));
            };
            let mut bay = with_status(bay, status, full.status_reason.clone());
            let missing = parameters::apply_outputs(&mut bay, &full.outputs);
            if !missing.is_empty() {
                tracing::warn!(?missing, "the stack lacks outputs that the bay should show");
            }
            take_node_count(&mut bay, &full);
            Ok(Change::done().save(bay).reply(Answer::Object).event(Outcome::Success))
        }
        Verdict::Failed(status) => {
            let reason =
                seen.status_reason.clone().unwrap_or_else(|| format!("The stack is in state {status}."));
            let mut bay = with_status(bay, status, Some(reason.clone()));
            if action == Action::Update {
                take_node_count(&mut bay, &seen);
            }
            let answer = Answer::Fault(Fault::Internal(reason.clone()));
            Ok(Change::failed(reason).save(bay).reply(answer).event(Outcome::Failure))
        }
    }
}

/// Looks at a stack as whoever may. While it is waited for every fault may pass; but when nobody has been let in until
/// the step's deadline, nobody will be: a trust that was deleted behind our back does not come back.
pub(super) async fn look(scene: &Scene<'_>, id: &str, outputs: Outputs) -> Result<Option<Stack>, StepError> {
    metrics::stack_poll();
    let mut reason = "The bay has no trust, and no service user is configured in [keystone_auth].".to_owned();
    for credentials in means(scene) {
        match scene.cloud.stack_show(&credentials, id, outputs, scene.budget()).await {
            Ok(stack) => return Ok(stack),
            Err(error) if is_shut_out(&error) => reason = error.to_string(),
            Err(error) => return Err(StepError::retry(error.to_string(), error.retry_after())),
        }
    }
    let deadline = scene.operation.deadline_ms;
    if scene.store.now_ms().await? < deadline.unwrap_or_default() {
        return Err(StepError::retry(reason, None));
    }
    let message = format!("Nobody is left who may look at the stack: {reason}");
    Err(StepError::Fatal(Fault::AuthorizationFailure { client: "heat".to_owned(), message }))
}

/// With what the stack may be deleted and looked at, best first: the bay's trust, the service user, the caller.
pub(super) fn means(scene: &Scene<'_>) -> Vec<Credentials> {
    let mut means: Vec<Credentials> = scene.standing().into_iter().collect();
    if scene.subject.trust_id.is_some() {
        means.extend(scene.service());
    }
    means.extend(scene.caller());
    means
}

/// A trust that is gone, a trustor who lost its role: somebody else may still be let in.
pub(super) fn is_shut_out(error: &Error) -> bool {
    error.is_unauthorized() || error.is_forbidden()
}

/// The bay's stack by its name, and who could see it. An error is the last one where nobody was let in.
pub(super) async fn find(scene: &Scene<'_>) -> Result<Option<(Credentials, Stack)>, Error> {
    let name = parameters::stack_name(scene.subject);
    let mut last = None;
    for credentials in means(scene) {
        match scene.cloud.stack_find(&credentials, &name, scene.budget()).await {
            Ok(found) => return Ok(found.map(|stack| (credentials, stack))),
            Err(error) if is_shut_out(&error) => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    last.map_or(Ok(None), Err)
}

/// What long work is done with, or why there is nothing to do it with.
pub(super) fn standing(scene: &Scene<'_>) -> Result<Credentials, StepError> {
    scene.standing().ok_or_else(|| {
        StepError::Fatal(Fault::AuthorizationFailure {
            client: "keystone".to_owned(),
            message: "The bay has no trust, and no service user is configured in [keystone_auth].".to_owned(),
        })
    })
}

/// Heat's own words, where it understood what it was asked for and refuses it.
pub(super) fn refusal(error: &Error) -> Option<&str> {
    matches!(error.kind, Kind::BadRequest { .. }).then(|| error.service_message()).flatten()
}

pub(super) fn missing_stack(id: &str) -> String {
    format!("Stack with id {id} not found in Heat.")
}

fn gone(bay: &Bay, action: Action, id: &str) -> Change {
    let reason = missing_stack(id);
    let answer = Answer::Fault(Fault::Internal(reason.clone()));
    let bay = with_status(bay, action.failed_status(), Some(reason.clone()));
    Change::failed(reason).save(bay).reply(answer).event(Outcome::Failure)
}

pub(super) fn has_wanted_nodes(stack: &Stack, bay: &Bay) -> bool {
    node_count(stack).is_none_or(|count| Some(count) == bay.node_count)
}

fn node_count(stack: &Stack) -> Option<i64> {
    stack.parameters.get("number_of_slaves")?.parse().ok()
}

/// The stack knows best how many nodes there are.
fn take_node_count(bay: &mut Bay, stack: &Stack) {
    if let Some(count) = node_count(stack) {
        bay.node_count = Some(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_create_ends_where_its_stack_ends() {
        let judge = |status| Action::Create.judge(status, true);
        assert_eq!(judge("CREATE_IN_PROGRESS"), Verdict::Wait(Some(Status::CreateInProgress)));
        assert_eq!(judge("CREATE_COMPLETE"), Verdict::Complete(Status::CreateComplete));
        assert_eq!(judge("CREATE_FAILED"), Verdict::Failed(Status::CreateFailed));
        assert_eq!(judge("ROLLBACK_COMPLETE"), Verdict::Failed(Status::RollbackComplete));
        assert_eq!(judge("DELETE_COMPLETE"), Verdict::Gone);
    }

    #[test]
    fn an_update_is_not_ended_by_the_state_before_it() {
        let judge = |status, settled| Action::Update.judge(status, settled);
        assert_eq!(judge("CREATE_COMPLETE", false), Verdict::Wait(None));
        assert_eq!(judge("UPDATE_COMPLETE", false), Verdict::Wait(None));
        assert_eq!(judge("UPDATE_COMPLETE", true), Verdict::Complete(Status::UpdateComplete));
        assert_eq!(judge("UPDATE_FAILED", true), Verdict::Failed(Status::UpdateFailed));
    }

    #[test]
    fn what_an_operator_did_to_a_complete_stack_meanwhile_does_not_hide_that_it_is_complete() {
        for status in ["CHECK_COMPLETE", "RESUME_COMPLETE", "SNAPSHOT_COMPLETE", "RESTORE_COMPLETE"] {
            let complete = Verdict::Complete(status.parse().unwrap());
            assert_eq!(Action::Create.judge(status, true), complete, "{status}");
            assert_eq!(Action::Update.judge(status, true), complete, "{status}");
            assert_eq!(Action::Update.judge(status, false), Verdict::Wait(None), "{status}");
        }
    }

    #[test]
    fn a_state_outside_magnums_list_does_not_end_the_wait() {
        for status in ["SUSPEND_COMPLETE", "CHECK_IN_PROGRESS", "", "garbage"] {
            assert_eq!(Action::Create.judge(status, true), Verdict::Wait(None), "{status}");
        }
    }
}
