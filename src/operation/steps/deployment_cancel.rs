//! Ending a deployment by request: by one that takes its changes back, or where it stands.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::error::Fault;
use crate::framework::{DeploymentId, Error, Force};
use crate::notify::Outcome;
use crate::operation::progress::{Cancelled, Progress};
use crate::operation::step::{Answer, Change, Plan, Scene, Step, StepError};
use crate::operation::subject::BayDeployment;

pub struct DeploymentCancel;

static STEPS: &[&dyn Step<BayDeployment>] = &[&Cancel, &AwaitCancelled];

/// How far apart the list is looked at. Few wait here, and not for long.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Plan<BayDeployment> for DeploymentCancel {
    fn steps(&self) -> &'static [&'static dyn Step<BayDeployment>] {
        STEPS
    }

    fn failed(&self, _scene: &Scene<'_, BayDeployment>, fault: Fault) -> Change<BayDeployment> {
        Change::failed(fault.to_string()).reply(Answer::Fault(fault)).event(Outcome::Failure)
    }

    fn superseded(&self, _scene: &Scene<'_, BayDeployment>) -> Option<Change<BayDeployment>> {
        None
    }
}

fn asked<'a>(scene: &'a Scene<'_, BayDeployment>) -> Result<&'a Cancelled, StepError> {
    let nothing = || StepError::Fatal(Fault::Internal("the operation names no deployment".to_owned()));
    scene.progress.cancelled.as_ref().ok_or_else(nothing)
}

fn refused(error: &Error, id: &str) -> StepError {
    let fault = error.fault(id);
    if error.is_retryable() {
        return StepError::Retry { fault, after: error.retry_after() };
    }
    StepError::Fatal(fault)
}

/// What there is to say: which deployment takes the changes back, if one does.
fn answer(cancelled: &Cancelled) -> Value {
    json!({ "deployment_id": cancelled.reverts.first() })
}

struct Cancel;

#[async_trait]
impl Step<BayDeployment> for Cancel {
    fn name(&self) -> &'static str {
        "cancel"
    }

    async fn run(&self, scene: &Scene<'_, BayDeployment>) -> Result<Change<BayDeployment>, StepError> {
        let asked = asked(scene)?;
        let id = DeploymentId::new(asked.deployment.as_str());
        let framework =
            scene.frameworks.of(&scene.subject.bay).await.map_err(|error| refused(&error, id.as_str()))?;
        let accepted = match framework.cancel(&id, Force::asked(asked.force), scene.budget()).await {
            Ok(accepted) => accepted,
            // An earlier attempt was heard.
            Err(Error::NotFound { .. }) if scene.operation.attempts > 1 => Default::default(),
            Err(Error::NotFound { .. }) => {
                return Err(StepError::Fatal(Fault::DeploymentNotFound(asked.deployment.clone())));
            }
            Err(error) => return Err(refused(&error, id.as_str())),
        };
        let reverts = accepted.deployments.iter().map(ToString::to_string).collect();
        let cancelled = Cancelled { reverts, ..asked.clone() };
        let answer = answer(&cancelled);
        let progress = Progress { cancelled: Some(cancelled), ..scene.progress.clone() };
        Ok(Change::proceed().progress(progress).reply(Answer::Value(answer)))
    }
}

/// Waits until neither it nor what takes its changes back is under way.
struct AwaitCancelled;

#[async_trait]
impl Step<BayDeployment> for AwaitCancelled {
    fn name(&self) -> &'static str {
        "await_cancelled"
    }

    fn bounded(&self) -> bool {
        false
    }

    async fn run(&self, scene: &Scene<'_, BayDeployment>) -> Result<Change<BayDeployment>, StepError> {
        let asked = asked(scene)?;
        let framework = scene
            .frameworks
            .of(&scene.subject.bay)
            .await
            .map_err(|error| refused(&error, &asked.deployment))?;
        let allowed = i64::try_from(scene.settings.deployments.deadline.as_millis()).unwrap_or(i64::MAX);
        let late = scene.store.now_ms().await? >= scene.operation.created_ms.saturating_add(allowed);
        let failed = |text: String| Ok(DeploymentCancel.failed(scene, Fault::DeploymentFailed(text)));
        match framework.deployments(scene.budget()).await {
            Ok(listed) => {
                let busy = listed.iter().any(|one| {
                    let id = one.id.as_str();
                    id == asked.deployment || asked.reverts.iter().any(|revert| revert == id)
                });
                if !busy {
                    let answer = Answer::Value(answer(asked));
                    return Ok(Change::done().reply(answer).event(Outcome::Success));
                }
                if late {
                    return failed(format!("Deployment {} was not seen to end.", asked.deployment));
                }
                Ok(Change::again(LOOK_AGAIN))
            }
            Err(error) if late => failed(format!("How the deployment stands is not known: {error}")),
            Err(error) => {
                Err(StepError::Retry { fault: error.fault(&asked.deployment), after: error.retry_after() })
            }
        }
    }
}
