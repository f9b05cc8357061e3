//! What the steps of all kinds share: judging a stack's state, and following it to its end.

use async_trait::async_trait;

use crate::bay::{Bay, Status, parameters};
use crate::error::Fault;
use crate::notify::Outcome;
use crate::openstack::{Credentials, Error, Kind, Outputs, Stack};
use crate::operation::progress::{Progress, Removal};
use crate::operation::step::{Answer, Change, Scene, Step, StepError, with_status};
use crate::operation::steps::drain::OPEN;
use crate::telemetry::metrics;

pub(super) use crate::operation::record::AWAIT_STACK;

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
    /// Somebody does something else with the stack, which tells nothing of what was asked for.
    Aside,
    Complete(Status),
    Failed(Status),
    Gone,
}

impl Action {
    /// Every state that Heat has: an action and how far it is.
    ///
    /// `settled` is whether the stack has the parameters that were asked for: right after an update is accepted, Heat
    /// may still show the state of the action before it.
    pub(super) fn judge(self, stack_status: &str, settled: bool) -> Verdict {
        let status = stack_status.parse::<Status>().ok();
        // Magnum has no word for some ends of what others do to a stack.
        let failed = Verdict::Failed(status.unwrap_or_else(|| self.failed_status()));
        match (stack_status.split_once('_').unwrap_or((stack_status, "")), self) {
            (("DELETE", "COMPLETE"), _) => Verdict::Gone,
            (("CREATE" | "UPDATE" | "DELETE" | "ROLLBACK", "IN_PROGRESS"), _) => Verdict::Wait(status),
            // Heat begins nothing while it is at something: what was asked for has had its end, and it is not known.
            (("SUSPEND" | "RESUME" | "ADOPT" | "SNAPSHOT" | "CHECK" | "RESTORE", "FAILED"), _) => failed,
            (("CREATE" | "UPDATE" | "DELETE" | "ROLLBACK", "FAILED"), _) => failed,
            (("ROLLBACK", "COMPLETE"), _) => failed,
            // An update never is complete by the create before it.
            (("CREATE", "COMPLETE"), Self::Update) => Verdict::Wait(None),
            // Somebody else moved the stack on: what was asked for is there all the same.
            (
                ("CREATE" | "UPDATE" | "RESUME" | "CHECK" | "SNAPSHOT" | "RESTORE" | "ADOPT", "COMPLETE"),
                _,
            ) => match status {
                Some(done) if settled || self == Self::Create => Verdict::Complete(done),
                Some(_) | None => Verdict::Wait(None),
            },
            // Suspended, being checked: not an end of what was asked for.
            (_, _) => Verdict::Aside,
        }
    }

    fn failed_status(self) -> Status {
        match self {
            Self::Create => Status::CreateFailed,
            Self::Update => Status::UpdateFailed,
        }
    }
}

/// For how many intervals a complete stack may lack what it was asked for: Heat tells of an update after a moment.
const UNSETTLED_LOOKS: u32 = 20;

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
    let settled = is_settled(scene, &seen) || is_overdue(scene).await?;
    let verdict = action.judge(&seen.status, settled);
    let removal = scene.progress.removal.as_ref();
    // The machines that are left are given work again, and nothing is kept of those that are gone, before anybody hears
    // that the update is over.
    if matches!(verdict, Verdict::Complete(_) | Verdict::Failed(_))
        && removal.is_some_and(Removal::is_to_open)
    {
        return Ok(Change::step(OPEN));
    }
    let told = |reason: Option<String>| match removal {
        Some(removal) => removal.told(reason),
        None => reason,
    };
    match verdict {
        Verdict::Wait(status) => {
            let change = Change::again(scene.settings.poll_fallback);
            Ok(match status {
                Some(status) if bay.status != Some(status) => {
                    change.save(with_status(bay, status, seen.status_reason))
                }
                None if scene.progress.overtaken_ms.is_none() && scene.progress.repair.is_none() => {
                    let patience = scene.settings.poll_interval * UNSETTLED_LOOKS;
                    let patience_ms = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
                    let by_ms = scene.store.now_ms().await?.saturating_add(patience_ms);
                    let progress = Progress { overtaken_ms: Some(by_ms), ..scene.progress.clone() };
                    Change::again(patience.min(scene.settings.poll_fallback)).progress(progress)
                }
                _ => change,
            })
        }
        Verdict::Aside => {
            let change = Change::again(scene.settings.poll_fallback);
            let reason = Some(format!("The stack is in state {}.", seen.status));
            if bay.status_reason == reason {
                return Ok(change);
            }
            Ok(change.save(Bay { status_reason: reason, ..bay.clone() }))
        }
        Verdict::Gone => Ok(gone(bay, action, id)),
        Verdict::Complete(status) => {
            let Some(full) = look(scene, id, Outputs::Resolve).await? else {
                return Ok(gone(bay, action, id));
            };
            let mut bay = with_status(bay, status, told(full.status_reason.clone()));
            let missing = parameters::apply_outputs(&mut bay, &full.outputs);
            if !missing.is_empty() {
                tracing::warn!(?missing, "the stack lacks outputs that the bay should show");
            }
            take_node_count(&mut bay, &full);
            Ok(Change::done().save(bay).reply(Answer::Object).event(Outcome::Success))
        }
        Verdict::Failed(status) => {
            let state = || format!("The stack is in state {}.", seen.status);
            let reason = seen.status_reason.clone().filter(|reason| !reason.is_empty()).unwrap_or_else(state);
            let mut bay = with_status(bay, status, told(Some(reason.clone())));
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

/// With what the stack may be deleted and looked at, best first: the bay's trust, the service user, the caller. Only a
/// caller of the bay's own project: to others Heat says that there is no such stack.
pub(super) fn means(scene: &Scene<'_>) -> Vec<Credentials> {
    let mut means: Vec<Credentials> = scene.standing().into_iter().collect();
    if scene.subject.trust_id.is_some() {
        means.extend(scene.service());
    }
    if scene.operation.project_id == scene.subject.project_id {
        means.extend(scene.caller());
    }
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

/// Whether the stack shows that it has heard what it was asked for.
pub(super) fn is_settled(scene: &Scene<'_>, seen: &Stack) -> bool {
    has_wanted_nodes(seen, scene.subject)
        && scene.progress.repair.as_ref().is_none_or(|repair| repair.updated != updated(seen))
}

/// Whether a complete stack that does not show what it was asked for is taken for an end all the same.
///
/// Heat's times are whole seconds: a repair that began in the second of the update before does not show, and by this
/// time it has begun. After any other update somebody else's may have come.
async fn is_overdue(scene: &Scene<'_>) -> Result<bool, StepError> {
    let begun_ms = scene.progress.repair.as_ref().map(|repair| repair.begun_ms);
    let Some(by_ms) = begun_ms.or(scene.progress.overtaken_ms) else { return Ok(false) };
    Ok(scene.store.now_ms().await? >= by_ms)
}

/// When the stack was updated last, as text that changes with each update.
pub(super) fn updated(seen: &Stack) -> Option<String> {
    Some(seen.updated_time.clone().unwrap_or_default())
}

fn has_wanted_nodes(stack: &Stack, bay: &Bay) -> bool {
    node_count(stack).is_none_or(|count| Some(count) == bay.node_count)
}

pub(super) fn node_count(stack: &Stack) -> Option<i64> {
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

    const ACTIONS: [&str; 10] = [
        "CREATE", "DELETE", "UPDATE", "ROLLBACK", "SUSPEND", "RESUME", "ADOPT", "SNAPSHOT", "CHECK",
        "RESTORE",
    ];

    /// One column of the table: what each of Heat's actions means, in the order of [`ACTIONS`].
    #[track_caller]
    fn check(action: Action, settled: bool, phase: &str, expected: [Verdict; 10]) {
        for (name, expected) in ACTIONS.into_iter().zip(expected) {
            let state = format!("{name}_{phase}");
            assert_eq!(action.judge(&state, settled), expected, "{action:?} {state}, settled: {settled}");
        }
    }

    #[test]
    fn g39_every_state_of_heat_is_judged_while_a_stack_is_created() {
        use Verdict::{Aside, Complete, Failed, Gone, Wait};
        // A stack that is created has the parameters it was created with: `settled` says nothing.
        for settled in [true, false] {
            let moving = |status| Wait(Some(status));
            let (create, delete) = (moving(Status::CreateInProgress), moving(Status::DeleteInProgress));
            let (update, rollback) = (moving(Status::UpdateInProgress), moving(Status::RollbackInProgress));
            let in_progress = [create, delete, update, rollback, Aside, Aside, Aside, Aside, Aside, Aside];
            check(Action::Create, settled, "IN_PROGRESS", in_progress);
            let other = Failed(Status::CreateFailed);
            let failed = [
                other,
                Failed(Status::DeleteFailed),
                Failed(Status::UpdateFailed),
                Failed(Status::RollbackFailed),
                other,
                Failed(Status::ResumeFailed),
                other,
                other,
                other,
                other,
            ];
            check(Action::Create, settled, "FAILED", failed);
            let complete = [
                Complete(Status::CreateComplete),
                Gone,
                Complete(Status::UpdateComplete),
                Failed(Status::RollbackComplete),
                Aside,
                Complete(Status::ResumeComplete),
                Complete(Status::AdoptComplete),
                Complete(Status::SnapshotComplete),
                Complete(Status::CheckComplete),
                Complete(Status::RestoreComplete),
            ];
            check(Action::Create, settled, "COMPLETE", complete);
        }
    }

    #[test]
    fn g39_every_state_of_heat_is_judged_while_a_stack_is_updated() {
        use Verdict::{Aside, Complete, Failed, Gone, Wait};
        for settled in [true, false] {
            let moving = |status| Wait(Some(status));
            let (create, delete) = (moving(Status::CreateInProgress), moving(Status::DeleteInProgress));
            let (update, rollback) = (moving(Status::UpdateInProgress), moving(Status::RollbackInProgress));
            let in_progress = [create, delete, update, rollback, Aside, Aside, Aside, Aside, Aside, Aside];
            check(Action::Update, settled, "IN_PROGRESS", in_progress);
            let other = Failed(Status::UpdateFailed);
            let failed = [
                Failed(Status::CreateFailed),
                Failed(Status::DeleteFailed),
                other,
                Failed(Status::RollbackFailed),
                other,
                Failed(Status::ResumeFailed),
                other,
                other,
                other,
                other,
            ];
            check(Action::Update, settled, "FAILED", failed);
            // What was complete before the update is no end of it.
            let end = |status| if settled { Complete(status) } else { Wait(None) };
            let complete = [
                Wait(None),
                Gone,
                end(Status::UpdateComplete),
                Failed(Status::RollbackComplete),
                Aside,
                end(Status::ResumeComplete),
                end(Status::AdoptComplete),
                end(Status::SnapshotComplete),
                end(Status::CheckComplete),
                end(Status::RestoreComplete),
            ];
            check(Action::Update, settled, "COMPLETE", complete);
        }
    }

    #[test]
    fn a_state_that_heat_does_not_have_does_not_end_the_wait() {
        for status in ["", "_", "CREATE", "CREATE_", "garbage", "CONVERGE_COMPLETE"] {
            assert_eq!(Action::Create.judge(status, true), Verdict::Aside, "{status}");
            assert_eq!(Action::Update.judge(status, true), Verdict::Aside, "{status}");
        }
    }
}
