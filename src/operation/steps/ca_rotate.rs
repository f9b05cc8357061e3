//! Giving a bay another authority. What is in force stays so until the stack has what replaces it, and is removed only
//! then; where the stack does not take it, what was made goes, and nothing has changed.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::bay::secrets::{Generation, Kept};
use crate::bay::{Bay, Status, parameters};
use crate::error::Fault;
use crate::notify::Outcome;
use crate::openstack::{Error, Outputs, Stack, StackPatch};
use crate::operation::progress::Progress;
use crate::operation::step::{Answer, Change, Plan, Scene, Step, StepError, with_status};
use crate::operation::steps::bay_update::before;
use crate::operation::steps::certificates;
use crate::operation::steps::stack::{self, Action, Verdict};

pub struct CaRotate;

static STEPS: &[&dyn Step] = &[&MakeNext, &UpdateStack, &AwaitStack, &Enforce, &Retire, &UndoNext];

const MAKE: &str = "certificates";
const STACK: &str = "stack";
const ENFORCE: &str = "enforce";
const RETIRE: &str = "retire";
const UNDO: &str = "undo_certificates";

impl Plan for CaRotate {
    fn steps(&self) -> &'static [&'static dyn Step] {
        STEPS
    }

    fn failed(&self, scene: &Scene<'_>, fault: Fault) -> Change {
        match scene.operation.step.as_str() {
            MAKE | STACK => undo(scene, fault),
            RETIRE => {
                // The bay has its new certificates; its deletion knows the old ones.
                let reason = format!("The certificates that were replaced could not be removed: {fault}");
                let bay = with_status(scene.subject, Status::UpdateComplete, Some(reason));
                Change::done().save(bay).reply(Answer::Object).event(Outcome::Success)
            }
            UNDO => over(scene, scene.progress.failure.clone().unwrap_or(fault)),
            _ => {
                let bay = with_status(scene.subject, Status::UpdateFailed, Some(fault.to_string()));
                Change::failed(fault.to_string())
                    .save(bay)
                    .reply(Answer::Fault(fault))
                    .event(Outcome::Failure)
            }
        }
    }

    fn superseded(&self, scene: &Scene<'_>) -> Option<Change> {
        let uuid = scene.subject.uuid;
        let fault = Fault::Conflict(format!("Bay {uuid} was deleted while it was being updated."));
        Some(Change::failed(fault.to_string()).reply(Answer::Fault(fault)).event(Outcome::Failure))
    }
}

fn undo(scene: &Scene<'_>, fault: Fault) -> Change {
    Change::step(UNDO).progress(Progress { failure: Some(fault), ..scene.progress.clone() })
}

/// The end of a rotation that came to nothing. A bay whose stack was not touched is what it was.
fn over(scene: &Scene<'_>, fault: Fault) -> Change {
    let touched = scene.subject.status != Some(Status::UpdateInProgress);
    let bay = if touched { scene.subject.clone() } else { before(scene) };
    Change::failed(fault.to_string()).save(bay).reply(Answer::Fault(fault)).event(Outcome::Failure)
}

/// What is kept, or of a bay from before it was: what Magnum's row says.
async fn kept(scene: &Scene<'_>) -> Result<Kept, StepError> {
    let bay = scene.subject;
    Ok(certificates::kept(scene).await?.unwrap_or_else(|| Kept {
        current: Generation {
            ca_ref: bay.ca_cert_ref.clone(),
            client_ref: bay.magnum_cert_ref.clone(),
            ..Generation::default()
        },
        ..Kept::default()
    }))
}

/// Makes another authority and what it signs, beside what is in force.
struct MakeNext;

#[async_trait]
impl Step for MakeNext {
    fn name(&self) -> &'static str {
        MAKE
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let mut kept = kept(scene).await?;
        if let Some(left) = kept.retired.take() {
            // Of an earlier rotation, which could not remove it.
            certificates::remove(scene, &left, &mut BTreeSet::new()).await?;
        }
        if kept.next.is_none() {
            kept.next = Some(Generation::named());
        }
        certificates::write(scene, &kept).await?;
        let named = kept.next.take().unwrap_or_default();
        let (current, tls) = (&kept.current, kept.current.node.is_some());
        let next = certificates::complete(scene, &named, tls, Some(current)).await?;
        let on_nodes = next.node.is_some();
        kept.next = Some(next);
        certificates::write(scene, &kept).await?;
        Ok(if on_nodes { Change::proceed() } else { Change::step(ENFORCE) })
    }
}

/// Gives the stack what its nodes need. Where that fails, Heat gives them back what they had.
struct UpdateStack;

#[async_trait]
impl Step for UpdateStack {
    fn name(&self) -> &'static str {
        STACK
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let Some(id) = scene.subject.stack_id.as_deref() else {
            let operation = "Updating a bay that has no stack".to_owned();
            return Err(StepError::Fatal(Fault::NotSupported { operation }));
        };
        let kept = kept(scene).await?;
        let credentials = stack::standing(scene)?;
        if scene.operation.attempts > 1 {
            let seen = scene.cloud.stack_show(&credentials, id, Outputs::Skip, scene.budget()).await;
            // An update whose answer was lost shows in the stack's parameters.
            if seen.map_err(|error| refused(&error, id))?.is_some_and(|seen| has_next(&seen, &kept)) {
                return Ok(Change::proceed().reply(Answer::Object));
            }
        }
        let Some(secrets) = kept.next_secrets() else {
            return Err(StepError::Fatal(Fault::Internal("the new certificates are not kept".to_owned())));
        };
        let patch = StackPatch { parameters: secrets.certificate_parameters(), disable_rollback: false };
        let updated = scene.cloud.stack_update(&credentials, id, &patch, scene.budget()).await;
        updated.map_err(|error| refused(&error, id))?;
        Ok(Change::proceed().reply(Answer::Object))
    }
}

fn has_next(stack: &Stack, kept: &Kept) -> bool {
    kept.next_secrets().is_some_and(|wanted| {
        let seen = stack.parameters.get("ca_certificate");
        seen.is_some_and(|seen| seen.trim() == wanted.ca_certificate.trim())
    })
}

fn refused(error: &Error, id: &str) -> StepError {
    if error.is_not_found() {
        return StepError::Fatal(Fault::Internal(stack::missing_stack(id)));
    }
    if error.is_conflict() {
        return StepError::retry(error.to_string(), None);
    }
    StepError::from_cloud(error, |message| match stack::refusal(error) {
        Some(text) => Fault::InvalidParameterValue(text.to_owned()),
        None => Fault::Internal(message),
    })
}

/// Follows the stack until it has the new certificates, or had to go back.
struct AwaitStack;

#[async_trait]
impl Step for AwaitStack {
    fn name(&self) -> &'static str {
        "await_stack"
    }

    fn bounded(&self) -> bool {
        false
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let bay = scene.subject;
        let id = bay.stack_id.as_deref().unwrap_or_default();
        let gone = |bay: &Bay| {
            let reason = stack::missing_stack(id);
            let bay = with_status(bay, Status::UpdateFailed, Some(reason.clone()));
            undo(scene, Fault::Internal(reason)).save(bay)
        };
        let Some(seen) = stack::look(scene, id, Outputs::Skip).await? else { return Ok(gone(bay)) };
        let kept = kept(scene).await?;
        match Action::Update.judge(&seen.status, has_next(&seen, &kept)) {
            Verdict::Wait(_) | Verdict::Aside => Ok(Change::again(scene.settings.poll_interval)),
            Verdict::Gone => Ok(gone(bay)),
            Verdict::Complete(_) => {
                let Some(full) = stack::look(scene, id, Outputs::Resolve).await? else {
                    return Ok(gone(bay));
                };
                let mut bay = bay.clone();
                let missing = parameters::apply_outputs(&mut bay, &full.outputs);
                if !missing.is_empty() {
                    tracing::warn!(?missing, "the stack lacks outputs that the bay should show");
                }
                Ok(Change::proceed().save(bay))
            }
            // On its way back Heat may show for a moment that the update failed.
            Verdict::Failed(status) if status == Status::UpdateFailed && bay.status != Some(status) => {
                let bay = with_status(bay, status, seen.status_reason);
                Ok(Change::again(scene.settings.poll_interval).save(bay))
            }
            Verdict::Failed(status) => {
                let reason = seen.status_reason.unwrap_or_else(|| format!("The stack is in state {status}."));
                let bay = with_status(bay, status, Some(reason.clone()));
                Ok(undo(scene, Fault::Internal(reason)).save(bay))
            }
        }
    }
}

/// From here on the new authority is the bay's.
struct Enforce;

#[async_trait]
impl Step for Enforce {
    fn name(&self) -> &'static str {
        ENFORCE
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let mut kept = kept(scene).await?;
        if let Some(next) = kept.next.take() {
            kept.retired = Some(std::mem::replace(&mut kept.current, next));
            certificates::write(scene, &kept).await?;
        }
        let bay = with_status(scene.subject, Status::UpdateComplete, None);
        Ok(Change::proceed().save(certificates::with_references(&bay, &kept.current)))
    }
}

/// Removes what was in force before.
struct Retire;

#[async_trait]
impl Step for Retire {
    fn name(&self) -> &'static str {
        RETIRE
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let mut kept = kept(scene).await?;
        if let Some(retired) = &kept.retired {
            certificates::remove(scene, retired, &mut BTreeSet::new()).await?;
            kept.retired = None;
            certificates::write(scene, &kept).await?;
        }
        Ok(Change::done().reply(Answer::Object).event(Outcome::Success))
    }
}

/// Removes what was made and is not to be in force.
struct UndoNext;

#[async_trait]
impl Step for UndoNext {
    fn name(&self) -> &'static str {
        UNDO
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let mut kept = kept(scene).await?;
        if let Some(next) = &kept.next {
            certificates::remove(scene, next, &mut BTreeSet::new()).await?;
            kept.next = None;
            certificates::write(scene, &kept).await?;
        }
        let fault = scene.progress.failure.clone();
        Ok(over(scene, fault.unwrap_or_else(|| Fault::Internal("undone".to_owned()))))
    }
}
