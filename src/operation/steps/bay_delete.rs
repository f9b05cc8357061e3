//! Deleting a bay: its stack goes first, since trust and trustee are needed to see it go.

use async_trait::async_trait;

use crate::bay::{Bay, Status};
use crate::error::Fault;
use crate::notify::Outcome;
use crate::openstack::{Credentials, Error, Outputs};
use crate::operation::record::AWAIT_GONE;
use crate::operation::step::{Answer, Change, Plan, Scene, Step, StepError, with_status};
use crate::operation::steps::certificates;
use crate::operation::steps::stack::{self, is_shut_out, means};

pub struct BayDelete;

static STEPS: &[&dyn Step] =
    &[&DeleteStack, &AwaitGone, &certificates::Delete, &DeleteTrust, &DeleteTrustee, &RemoveBay];

impl Plan for BayDelete {
    fn steps(&self) -> &'static [&'static dyn Step] {
        STEPS
    }

    fn failed(&self, scene: &Scene<'_>, fault: Fault) -> Change {
        let reason = fault.to_string();
        let bay = with_status(scene.subject, Status::DeleteFailed, Some(reason.clone()));
        Change::failed(reason).save(bay).reply(Answer::Fault(fault)).event(Outcome::Failure)
    }

    fn superseded(&self, _scene: &Scene<'_>) -> Option<Change> {
        None
    }
}

struct DeleteStack;

#[async_trait]
impl Step for DeleteStack {
    fn name(&self) -> &'static str {
        "stack"
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let stack_id = known_stack(scene).await?;
        if let Some(id) = stack_id.as_deref() {
            delete_stack(scene, id).await?;
        }
        let bay = Bay { stack_id, ..with_status(scene.subject, Status::DeleteInProgress, None) };
        Ok(Change::proceed().save(bay).reply(Answer::Null))
    }
}

async fn delete_stack(scene: &Scene<'_>, id: &str) -> Result<(), StepError> {
    for credentials in means(scene) {
        match scene.cloud.stack_delete(&credentials, id, scene.budget()).await {
            Ok(_) => break,
            // The trust was deleted behind our back: the next means may still serve.
            Err(error) if is_shut_out(&error) => {}
            Err(error) => return Err(refused(&error)),
        }
    }
    Ok(())
}

/// A stack whose creation answer was lost, and whose undoing failed, is known by its name only.
async fn known_stack(scene: &Scene<'_>) -> Result<Option<String>, StepError> {
    if let Some(id) = &scene.subject.stack_id {
        return Ok(Some(id.clone()));
    }
    match stack::find(scene).await {
        Ok(found) => Ok(found.map(|(_, stack)| stack.id)),
        // Whether there is one is not known, and once the row is gone nobody would.
        Err(error) if is_shut_out(&error) => Err(StepError::retry(error.to_string(), None)),
        Err(error) => Err(refused(&error)),
    }
}

fn refused(error: &Error) -> StepError {
    if error.is_conflict() {
        return StepError::retry(error.to_string(), None);
    }
    StepError::from_cloud(error, Fault::Internal)
}

struct AwaitGone;

#[async_trait]
impl Step for AwaitGone {
    fn name(&self) -> &'static str {
        AWAIT_GONE
    }

    fn bounded(&self) -> bool {
        false
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let Some(id) = scene.subject.stack_id.as_deref() else { return Ok(Change::proceed()) };
        let Some(stack) = stack::look(scene, id, Outputs::Skip).await? else { return Ok(Change::proceed()) };
        match stack.status.parse::<Status>() {
            Ok(Status::DeleteComplete) => Ok(Change::proceed()),
            Ok(Status::DeleteFailed) => {
                let reason =
                    stack.status_reason.unwrap_or_else(|| "The stack could not be deleted.".to_owned());
                let bay = with_status(scene.subject, Status::DeleteFailed, Some(reason.clone()));
                let answer = Answer::Fault(Fault::Internal(reason.clone()));
                Ok(Change::failed(reason).save(bay).reply(answer).event(Outcome::Failure))
            }
            Ok(Status::DeleteInProgress) => Ok(Change::again(scene.settings.poll_fallback)),
            // Heat took the request and lost it, or somebody works on the stack: it is asked again, at its pace.
            Ok(_) | Err(_) => {
                delete_stack(scene, id).await?;
                Ok(Change::again(scene.settings.poll_interval))
            }
        }
    }
}

struct DeleteTrust;

#[async_trait]
impl Step for DeleteTrust {
    fn name(&self) -> &'static str {
        "trust"
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let Some(credentials) = scene.standing().filter(|_| scene.subject.trust_id.is_some()) else {
            return Ok(Change::proceed());
        };
        let bay = without_trust(scene, &credentials).await?;
        Ok(Change::proceed().save(bay))
    }
}

/// Deletes the bay's trust; the bay that is left has none.
pub(super) async fn without_trust(scene: &Scene<'_>, credentials: &Credentials) -> Result<Bay, StepError> {
    if let Some(trust) = &scene.subject.trust_id {
        scene
            .cloud
            .delete_trust(credentials, trust, scene.budget())
            .await
            .map_err(|error| StepError::from_cloud(&error, Fault::Internal))?;
    }
    Ok(Bay { trust_id: None, ..scene.subject.clone() })
}

struct DeleteTrustee;

#[async_trait]
impl Step for DeleteTrustee {
    fn name(&self) -> &'static str {
        "trustee"
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let Some(user) = known_trustee(scene).await? else { return Ok(Change::proceed()) };
        let bay = without_trustee(scene, &user).await?;
        Ok(Change::proceed().save(bay))
    }
}

/// A user whose creation answer was lost is known by its name only.
pub(super) async fn known_trustee(scene: &Scene<'_>) -> Result<Option<String>, StepError> {
    if !scene.cloud.trusts_configured() {
        return Ok(None);
    }
    let (None, Some(name)) = (&scene.subject.trustee_user_id, &scene.subject.trustee_username) else {
        return Ok(scene.subject.trustee_user_id.clone());
    };
    let found = scene.cloud.find_trustee(name, scene.budget()).await;
    found.map_err(|error| StepError::from_cloud(&error, Fault::Internal))
}

/// Deletes the bay's trustee; the bay that is left has none.
pub(super) async fn without_trustee(scene: &Scene<'_>, user: &str) -> Result<Bay, StepError> {
    scene
        .cloud
        .delete_trustee(user, scene.budget())
        .await
        .map_err(|error| StepError::from_cloud(&error, Fault::Internal))?;
    Ok(Bay { trustee_user_id: None, ..scene.subject.clone() })
}

struct RemoveBay;

#[async_trait]
impl Step for RemoveBay {
    fn name(&self) -> &'static str {
        "bay"
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let last = with_status(scene.subject, Status::DeleteComplete, None);
        Ok(Change::done().remove(last).reply(Answer::Null).event(Outcome::Success))
    }
}
