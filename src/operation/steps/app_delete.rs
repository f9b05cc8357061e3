//! Deleting an app: the framework takes the deletion on, its tasks end, and so does the record.

use async_trait::async_trait;

use super::app::{Ground, after, broken, called, ground, ids, only_ours, refused, taken_on, work};
use crate::app::{Action, App, Event, Manifest};
use crate::error::Fault;
use crate::framework::{Accepted, Error, Force};
use crate::notify::Outcome;
use crate::operation::step::{Answer, Change, Plan, Scene, Step, StepError};

pub struct AppDelete;

static STEPS: &[&dyn Step<App>] = &[&Begin, &Delete, &AwaitGone];

impl Plan<App> for AppDelete {
    fn steps(&self) -> &'static [&'static dyn Step<App>] {
        STEPS
    }

    fn failed(&self, scene: &Scene<'_, App>, fault: Fault) -> Change<App> {
        broken(scene.subject, fault)
    }

    fn superseded(&self, _scene: &Scene<'_, App>) -> Option<Change<App>> {
        None
    }
}

struct Begin;

#[async_trait]
impl Step<App> for Begin {
    fn name(&self) -> &'static str {
        "begin"
    }

    async fn run(&self, scene: &Scene<'_, App>) -> Result<Change<App>, StepError> {
        Ok(Change::proceed().save(after(scene.subject, Event::Begin(Action::Delete), None)))
    }
}

fn gone(app: &App) -> Change<App> {
    let last = after(app, Event::Completed, None);
    Change::done().remove(last).reply(Answer::Null).event(Outcome::Success)
}

struct Delete;

#[async_trait]
impl Step<App> for Delete {
    fn name(&self) -> &'static str {
        "delete"
    }

    async fn run(&self, scene: &Scene<'_, App>) -> Result<Change<App>, StepError> {
        // One whose manifest was never fetched is nowhere but here.
        if scene.subject.manifest.is_none() {
            return Ok(gone(scene.subject));
        }
        let ground = ground(scene).await?;
        let manifest = ground.own_manifest(scene.subject)?;
        let accepted = match delete(scene, &ground, &manifest).await {
            Ok(accepted) => accepted,
            Err(Error::NotFound { .. }) => return Ok(gone(scene.subject)),
            Err(error) => return Err(refused(&error, scene.subject)),
        };
        Ok(taken_on(scene, scene.subject.clone(), &accepted).await?.reply(Answer::Null))
    }
}

async fn delete(scene: &Scene<'_, App>, ground: &Ground, manifest: &Manifest) -> Result<Accepted, Error> {
    let subject = manifest.subject();
    let force = scene.progress.work.as_ref().is_some_and(|work| work.force);
    let deleted = ground.framework.delete(&subject, Force::asked(force), scene.budget()).await;
    let Err(Error::Locked { deployments, .. }) = &deleted else { return deleted };
    // What this app is being deployed by is no reason to keep it.
    if !only_ours(scene.subject, deployments) {
        return deleted;
    }
    ground.framework.delete(&subject, Force::Override, scene.budget()).await
}

struct AwaitGone;

#[async_trait]
impl Step<App> for AwaitGone {
    fn name(&self) -> &'static str {
        super::AWAIT_DEPLOYMENT
    }

    fn bounded(&self) -> bool {
        false
    }

    async fn run(&self, scene: &Scene<'_, App>) -> Result<Change<App>, StepError> {
        let work = work(scene)?;
        let ground = ground(scene).await?;
        let manifest = ground.own_manifest(scene.subject)?;
        let late = match work.until_ms {
            Some(until) => scene.store.now_ms().await? >= until,
            None => false,
        };
        let looked = async {
            let seen = ground.look(scene, &manifest.subject()).await?;
            Ok::<_, Error>((seen, ground.framework.deployments(scene.budget()).await?))
        };
        let (seen, deployments) = match looked.await {
            Ok(looked) => looked,
            Err(error) if late => return Ok(broken(scene.subject, error.fault(&called(scene.subject)))),
            Err(error) => {
                let fault = error.fault(&called(scene.subject));
                return Err(StepError::Retry { fault, after: error.retry_after() });
            }
        };
        // The app leaves the list at once, and its tasks when the deployment has killed them.
        let under_way = deployments.iter().any(|one| work.deployments.iter().any(|id| id == one.id.as_str()));
        let there: Vec<_> = ids(&manifest)
            .filter(|id| seen.iter().any(|seen| seen.id == **id))
            .map(ToString::to_string)
            .collect();
        match (there.is_empty(), under_way) {
            (true, false) => Ok(gone(scene.subject)),
            _ if late => {
                let seconds = work.deadline.as_secs_f64();
                let text = format!("The deletion was not done within {seconds} s.");
                Ok(broken(scene.subject, Fault::DeploymentFailed(text)))
            }
            (false, false) => {
                let text = format!("{} is there again, or still.", there.join(", "));
                Ok(broken(scene.subject, Fault::DeploymentFailed(text)))
            }
            (_, true) => Ok(Change::again(scene.settings.deployments.poll_interval)),
        }
    }
}
