//! Scaling a bay: the stack is told its new number of agents, then waited for.

use async_trait::async_trait;

use crate::bay::{Bay, Status, parameters};
use crate::error::Fault;
use crate::notify::Outcome;
use crate::openstack::{Error, Outputs, StackPatch};
use crate::operation::step::{Answer, Change, Plan, Scene, Step, StepError, with_status};
use crate::operation::steps::stack::{self, Action, AwaitStack};

pub struct BayUpdate;

static STEPS: &[&dyn Step] = &[&UpdateStack, &AwaitStack(Action::Update)];

const STACK: &str = "stack";

impl Plan for BayUpdate {
    fn steps(&self) -> &'static [&'static dyn Step] {
        STEPS
    }

    fn failed(&self, scene: &Scene<'_>, fault: Fault) -> Change {
        let reason = fault.to_string();
        let bay = if scene.operation.step == STACK {
            as_before(scene)
        } else {
            with_status(scene.subject, Status::UpdateFailed, Some(reason.clone()))
        };
        Change::failed(reason).save(bay).reply(Answer::Fault(fault)).event(Outcome::Failure)
    }

    fn superseded(&self, scene: &Scene<'_>) -> Option<Change> {
        let fault =
            Fault::Conflict(format!("Bay {} was deleted while it was being updated.", scene.subject.uuid));
        Some(Change::failed(fault.to_string()).reply(Answer::Fault(fault)).event(Outcome::Failure))
    }
}

/// The stack refused the update, so the bay is what it was.
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
