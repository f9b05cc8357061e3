//! Killing one task of an app: another takes its place, or there is one instance less.

use async_trait::async_trait;

use super::app::{Ground, called, ground, ids, refused, taken_on, work};
use super::deployment::AwaitDeployment;
use crate::app::{App, AppId, Manifest};
use crate::error::Fault;
use crate::framework::{Error, Force, Kill};
use crate::notify::Outcome;
use crate::operation::progress::Deed;
use crate::operation::step::{Answer, Change, Plan, Scene, Step, StepError};

pub struct AppTaskKill;

static STEPS: &[&dyn Step<App>] = &[&KillTask, &AwaitDeployment];

impl Plan<App> for AppTaskKill {
    fn steps(&self) -> &'static [&'static dyn Step<App>] {
        STEPS
    }

    /// The app is what it was, whether the task is or not.
    fn failed(&self, _scene: &Scene<'_, App>, fault: Fault) -> Change<App> {
        Change::failed(fault.to_string()).reply(Answer::Fault(fault)).event(Outcome::Failure)
    }

    fn superseded(&self, scene: &Scene<'_, App>) -> Option<Change<App>> {
        let text = format!("Another request took the place of this one on app {}.", called(scene.subject));
        Some(self.failed(scene, Fault::Conflict(text)))
    }
}

struct KillTask;

#[async_trait]
impl Step<App> for KillTask {
    fn name(&self) -> &'static str {
        "kill"
    }

    async fn run(&self, scene: &Scene<'_, App>) -> Result<Change<App>, StepError> {
        let work = work(scene)?;
        let Deed::KillTask { task, scale, wipe } = &work.deed else {
            let text = "the operation does not say which task to kill".to_owned();
            return Err(StepError::Fatal(Fault::Internal(text)));
        };
        let kill = match (scale, wipe) {
            (true, _) => Kill::ScaleDown,
            (false, true) => Kill::Wipe,
            (false, false) => Kill::Replace,
        };
        let ground = ground(scene).await?;
        let manifest = ground.own_manifest(scene.subject)?;
        let killed = match owner(scene, &ground, &manifest, task).await {
            Ok(id) => {
                let force = Force::asked(work.force);
                ground.framework.kill_task(&id, task, kill, force, scene.budget()).await
            }
            Err(error) => Err(error),
        };
        let accepted = match killed {
            Ok(accepted) => accepted,
            // An earlier attempt was heard.
            Err(Error::NotFound { .. }) if scene.operation.attempts > 1 => Default::default(),
            Err(Error::NotFound { .. }) => {
                return Err(StepError::Fatal(Fault::TaskNotFound(task.clone())));
            }
            Err(error) => return Err(refused(&error, scene.subject)),
        };
        if kill == Kill::ScaleDown {
            return taken_on(scene, scene.subject.clone(), &accepted).await;
        }
        Ok(Change::done().reply(Answer::Object).event(Outcome::Success))
    }
}

/// Which of the apps a task is of.
async fn owner(
    scene: &Scene<'_, App>,
    ground: &Ground,
    manifest: &Manifest,
    task: &str,
) -> Result<AppId, Error> {
    let mut all = ids(manifest);
    if let (Some(only), None) = (all.next(), all.next()) {
        return Ok(only.clone());
    }
    let seen = ground.look(scene, &manifest.subject()).await?;
    let found = seen.into_iter().find(|seen| seen.tasks.iter().any(|one| one.id == task));
    found.map(|seen| seen.id).ok_or_else(|| Error::NotFound { message: format!("task {task}") })
}
