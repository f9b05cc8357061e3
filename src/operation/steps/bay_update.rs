//! Scaling a bay: the stack is told its new number of agents, then waited for. Agents that go are chosen and emptied
//! first.

use async_trait::async_trait;

use crate::bay::{Bay, Status, parameters};
use crate::error::Fault;
use crate::notify::Outcome;
use crate::openstack::{Error, Outputs, StackPatch};
use crate::operation::progress::{Progress, Removal};
use crate::operation::record::Operation;
use crate::operation::step::{Answer, Change, Plan, Scene, Step, StepError, with_status};
use crate::operation::steps::drain::{self, CHOOSE, ChooseAgents, DRAIN, DrainAgents, OPEN, OpenAgents};
use crate::operation::steps::stack::{self, Action, AwaitStack};

pub struct BayUpdate;

static STEPS: &[&dyn Step] =
    &[&ChooseAgents, &DrainAgents, &UpdateStack, &AwaitStack(Action::Update), &Settle, &OpenAgents];

pub(super) const STACK: &str = "stack";
const SETTLE: &str = "settle";

impl Plan for BayUpdate {
    fn steps(&self) -> &'static [&'static dyn Step] {
        STEPS
    }

    fn failed(&self, scene: &Scene<'_>, fault: Fault) -> Change {
        let Operation { step, attempts, .. } = scene.operation;
        match step.as_str() {
            CHOOSE | DRAIN => give_up(scene, fault),
            STACK if *attempts == 1 => give_up(scene, fault),
            STACK => {
                // An answer was lost before: only the stack knows whether it was changed.
                let progress = Progress { failure: Some(fault), ..scene.progress.clone() };
                Change::step(SETTLE).progress(progress)
            }
            OPEN => drain::kept_closed(scene, &fault),
            _ => unsettled(scene, fault),
        }
    }

    fn superseded(&self, scene: &Scene<'_>) -> Option<Change> {
        let fault =
            Fault::Conflict(format!("Bay {} was deleted while it was being updated.", scene.subject.uuid));
        Some(Change::failed(fault.to_string()).reply(Answer::Fault(fault)).event(Outcome::Failure))
    }
}

/// How the stack stands is not known, and nobody is left to ask.
fn unsettled(scene: &Scene<'_>, fault: Fault) -> Change {
    let reason = match &scene.progress.failure {
        Some(first) => format!("{first} Whether the stack was changed cannot be seen: {fault}"),
        None => fault.to_string(),
    };
    let removal = scene.progress.removal.as_ref();
    let reason = removal.and_then(|removal| removal.told(Some(reason.clone()))).unwrap_or(reason);
    let bay = with_status(scene.subject, Status::UpdateFailed, Some(reason.clone()));
    let answer = Answer::Fault(scene.progress.failure.clone().unwrap_or(fault));
    Change::failed(reason).save(bay).reply(answer).event(Outcome::Failure)
}

/// The stack was not changed: what was kept from work for this update gets work again, and the bay is what it was.
fn give_up(scene: &Scene<'_>, fault: Fault) -> Change {
    if scene.progress.removal.as_ref().is_some_and(Removal::is_to_open) {
        let progress = Progress { failure: Some(fault), ..scene.progress.clone() };
        return Change::step(OPEN).progress(progress);
    }
    as_before(scene, fault)
}

/// The bay as it was before the operation.
pub(super) fn before(scene: &Scene<'_>) -> Bay {
    let before = scene.progress.before.clone().unwrap_or_default();
    Bay {
        node_count: before.node_count.or(scene.subject.node_count),
        status: before.status().or(scene.subject.status),
        status_reason: before.status_reason,
        ..scene.subject.clone()
    }
}

pub(super) fn as_before(scene: &Scene<'_>, fault: Fault) -> Change {
    let reason = fault.to_string();
    Change::failed(reason).save(before(scene)).reply(Answer::Fault(fault)).event(Outcome::Failure)
}

struct UpdateStack;

#[async_trait]
impl Step for UpdateStack {
    fn name(&self) -> &'static str {
        STACK
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let bay = scene.subject;
        let id = stack_id(bay)?;
        let credentials = stack::standing(scene)?;
        if scene.operation.attempts > 1 {
            let seen = scene
                .cloud
                .stack_show(&credentials, id, Outputs::Skip, scene.budget())
                .await
                .map_err(|error| refused(&error, id))?;
            // An update whose answer was lost shows in the stack.
            if seen.is_some_and(|seen| stack::is_settled(scene, &seen) && seen.status.starts_with("UPDATE_"))
            {
                return Ok(Change::proceed().reply(Answer::Object));
            }
        }
        let leaving = scene.progress.removal.as_ref().map(Removal::addresses).unwrap_or_default();
        let parameters =
            parameters::scale_parameters(bay, &leaving).map_err(|error| StepError::Fatal(error.into()))?;
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
        let fault = scene.progress.failure.clone();
        let fault = fault.unwrap_or_else(|| Fault::Internal("The update was given up.".to_owned()));
        let id = stack_id(scene.subject)?;
        let Some(seen) = stack::look(scene, id, Outputs::Skip).await? else {
            return Err(StepError::Fatal(Fault::Internal(stack::missing_stack(id))));
        };
        if stack::is_settled(scene, &seen) {
            let progress = Progress { failure: None, ..scene.progress.clone() };
            return Ok(Change::step(stack::AWAIT_STACK).progress(progress).reply(Answer::Object));
        }
        if seen.status.ends_with("_IN_PROGRESS") {
            return Ok(Change::again(scene.settings.poll_interval));
        }
        Ok(give_up(scene, fault))
    }
}

pub(super) fn stack_id(bay: &Bay) -> Result<&str, StepError> {
    bay.stack_id.as_deref().ok_or_else(|| {
        StepError::Fatal(Fault::NotSupported { operation: "Updating a bay that has no stack".to_owned() })
    })
}

pub(super) fn refused(error: &Error, id: &str) -> StepError {
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
