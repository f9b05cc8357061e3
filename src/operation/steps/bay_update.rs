//! Scaling a bay: the stack is told its new number of agents, then waited for.

use async_trait::async_trait;

use crate::bay::{Bay, Status, parameters};
use crate::error::Fault;
use crate::notify::Outcome;
use crate::openstack::{Error, Outputs, StackPatch};
use crate::operation::progress::Progress;
use crate::operation::record::Operation;
use crate::operation::step::{Answer, Change, Plan, Scene, Step, StepError, with_status};
use crate::operation::steps::stack::{self, Action, AwaitStack};

pub struct BayUpdate;

static STEPS: &[&dyn Step] = &[&UpdateStack, &AwaitStack(Action::Update), &Settle];

const STACK: &str = "stack";
const SETTLE: &str = "settle";

impl Plan for BayUpdate {
    fn steps(&self) -> &'static [&'static dyn Step] {
        STEPS
    }

    fn failed(&self, scene: &Scene<'_>, fault: Fault) -> Change {
        let Operation { step, attempts, .. } = scene.operation;
        if step == STACK && *attempts == 1 {
            return refuse(scene, fault);
        }
        if step == STACK {
            // An answer was lost before: only the stack knows whether it was changed.
            let progress = Progress { failure: Some(fault), ..scene.progress.clone() };
            return Change::step(SETTLE).progress(progress);
        }
        let reason = match &scene.progress.failure {
            Some(first) => format!("{first} Whether the stack was changed cannot be seen: {fault}"),
            None => fault.to_string(),
        };
        let bay = with_status(scene.subject, Status::UpdateFailed, Some(reason.clone()));
        let answer = Answer::Fault(scene.progress.failure.clone().unwrap_or(fault));
        Change::failed(reason).save(bay).reply(answer).event(Outcome::Failure)
    }

    fn superseded(&self, scene: &Scene<'_>) -> Option<Change> {
        let fault =
            Fault::Conflict(format!("Bay {} was deleted while it was being updated.", scene.subject.uuid));
        Some(Change::failed(fault.to_string()).reply(Answer::Fault(fault)).event(Outcome::Failure))
    }
}

/// The stack was not changed, so the bay is what it was.
fn refuse(scene: &Scene<'_>, fault: Fault) -> Change {
    let reason = fault.to_string();
    Change::failed(reason).save(as_before(scene)).reply(Answer::Fault(fault)).event(Outcome::Failure)
}

pub(super) fn as_before(scene: &Scene<'_>) -> Bay {
    let before = scene.progress.before.clone().unwrap_or_default();
    Bay {
        node_count: before.node_count.or(scene.subject.node_count),
        status: before.status().or(scene.subject.status),
        status_reason: before.status_reason,
        ..scene.subject.clone()
    }
}

struct UpdateStack;

#[async_trait]
impl Step for UpdateStack {
    fn name(&self) -> &'static str {
        STACK
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let bay = scene.subject;
        let Some(id) = bay.stack_id.as_deref() else {
            return Err(StepError::Fatal(Fault::NotSupported {
                operation: "Updating a bay that has no stack".to_owned(),
            }));
        };
        let credentials = stack::standing(scene)?;
        if scene.operation.attempts > 1 {
            let seen = scene
                .cloud
                .stack_show(&credentials, id, Outputs::Skip, scene.budget())
                .await
                .map_err(|error| refused(&error, id))?;
            // An update whose answer was lost shows in the stack's parameters.
            if seen
                .is_some_and(|seen| stack::has_wanted_nodes(&seen, bay) && seen.status.starts_with("UPDATE_"))
            {
                return Ok(Change::proceed().reply(Answer::Object));
            }
        }
        let parameters = parameters::scale_parameters(bay).map_err(|error| StepError::Fatal(error.into()))?;
        let patch = StackPatch { parameters, disable_rollback: true };
        scene
            .cloud
            .stack_update(&credentials, id, &patch, scene.budget())
            .await
            .map_err(|error| refused(&error, id))?;
        Ok(Change::proceed().reply(Answer::Object))
    }
}

/// Heat was asked, perhaps in vain: the stack shows what became of it.
struct Settle;

#[async_trait]
impl Step for Settle {
    fn name(&self) -> &'static str {
        SETTLE
    }

    fn bounded(&self) -> bool {
        false
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let bay = scene.subject;
        let fault = scene.progress.failure.clone();
        let fault = fault.unwrap_or_else(|| Fault::Internal("The update was given up.".to_owned()));
        let id = bay.stack_id.as_deref().unwrap_or_default();
        let Some(seen) = stack::look(scene, id, Outputs::Skip).await? else {
            return Err(StepError::Fatal(Fault::Internal(stack::missing_stack(id))));
        };
        if stack::has_wanted_nodes(&seen, bay) {
            let progress = Progress { failure: None, ..scene.progress.clone() };
            return Ok(Change::step(stack::AWAIT_STACK).progress(progress).reply(Answer::Object));
        }
        if seen.status.ends_with("_IN_PROGRESS") {
            return Ok(Change::again(scene.settings.poll_interval));
        }
        Ok(refuse(scene, fault))
    }
}

fn refused(error: &Error, id: &str) -> StepError {
    if error.is_not_found() {
        return StepError::Fatal(Fault::Internal(stack::missing_stack(id)));
    }
    // Heat is busy with the stack: it will not be for ever.
    if error.is_conflict() {
        return StepError::retry(error.to_string(), None);
    }
    StepError::from_cloud(error, |message| match stack::refusal(error) {
        Some(text) => Fault::InvalidParameterValue(text.to_owned()),
        None => Fault::Internal(message),
    })
}
