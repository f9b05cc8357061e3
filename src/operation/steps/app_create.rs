//! Creating an app: the manifest is read, the framework takes it on, and its deployment is followed.

use std::time::Duration;

use async_trait::async_trait;

use super::app::{Ground, broken, called, ground, ids, marks, overtaken, refused, taken_on, work};
use super::deployment::{AWAIT_TAKEN_BACK, AwaitDeployment, AwaitTakenBack, TAKE_BACK, TakeBack, stuck};
use crate::app::{App, Event, Manifest, same_definition};
use crate::error::Fault;
use crate::framework::{Accepted, Error, Force, Seen};
use crate::notify::Outcome;
use crate::operation::progress::{Progress, Work};
use crate::operation::step::{Answer, Change, Plan, Scene, Step, StepError};

pub struct AppCreate;

static STEPS: &[&dyn Step<App>] =
    &[&Prepare, &Create, &AwaitDeployment, &TakeBack, &AwaitTakenBack, &UndoCreate];

const PREPARE: &str = "prepare";
const CREATE: &str = "create";
const UNDO: &str = "undo";
/// How far apart an app that is deleted again is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl Plan<App> for AppCreate {
    fn steps(&self) -> &'static [&'static dyn Step<App>] {
        STEPS
    }

    fn failed(&self, scene: &Scene<'_, App>, fault: Fault) -> Change<App> {
        match scene.operation.step.as_str() {
            PREPARE => undone(scene, fault),
            // Only from the second attempt on is there an answer that nobody heard.
            CREATE if scene.operation.attempts > 1 && !matches!(fault, Fault::AppAlreadyExists(_)) => {
                Change::step(UNDO).progress(Progress { failure: Some(fault), ..scene.progress.clone() })
            }
            CREATE => undone(scene, fault),
            UNDO | TAKE_BACK | AWAIT_TAKEN_BACK => stuck(scene, &fault),
            _ => broken(scene.subject, fault),
        }
    }

    fn superseded(&self, scene: &Scene<'_, App>) -> Option<Change<App>> {
        // What comes in its place knows the app by its manifest.
        scene.progress.failure.is_none().then(|| overtaken(scene.subject))
    }
}

/// There is nothing in the framework, so nothing stays here; the caller is told why.
fn undone(scene: &Scene<'_, App>, fault: Fault) -> Change<App> {
    let reason = fault.to_string();
    let last = super::app::after(scene.subject, Event::Failed, Some(reason.clone()));
    Change::failed(reason).remove(last).reply(Answer::Fault(fault)).event(Outcome::Failure)
}

/// Fetches the manifest if it is elsewhere, and looks what of it is in the framework already.
struct Prepare;

#[async_trait]
impl Step<App> for Prepare {
    fn name(&self) -> &'static str {
        PREPARE
    }

    async fn run(&self, scene: &Scene<'_, App>) -> Result<Change<App>, StepError> {
        let ground = ground(scene).await?;
        let app = match &scene.subject.manifest {
            Some(_) => scene.subject.clone(),
            None => fetched(scene, &ground).await?,
        };
        let manifest = ground.own_manifest(&app)?;
        let seen = ground.look(scene, &manifest.subject()).await;
        let seen = seen.map_err(|error| refused(&error, &app))?;
        let work = Work { marks: marks(&seen), ..work(scene)?.clone() };
        Ok(Change::proceed().save(app).progress(Progress { work: Some(work), ..scene.progress.clone() }))
    }
}

/// The app with the manifest that its URL leads to, once no other app of the bay has a claim on what it names.
async fn fetched(scene: &Scene<'_, App>, ground: &Ground) -> Result<App, StepError> {
    let url = scene.subject.manifest_url.clone().unwrap_or_default();
    let text = scene.fetcher.fetch(&url, scene.budget()).await.map_err(|fault| {
        let told = Fault::InvalidManifest(format!("{fault}."));
        if fault.is_retryable() {
            return StepError::Retry { fault: told, after: None };
        }
        StepError::Fatal(told)
    })?;
    let manifest = ground.manifest(&text)?;
    let app = with_manifest(scene.subject, text, &manifest);
    // Beside the record of this step, because it needs the bay's lock: twice it says the same.
    let mut tx = scene.begin().await?;
    let claimed = tx.claim_app(&app).await?;
    tx.commit().await?;
    match claimed {
        None => Ok(app),
        Some(other) => Err(StepError::Fatal(Fault::AppAlreadyExists(other))),
    }
}

/// An app with a manifest that was read.
pub(crate) fn with_manifest(app: &App, text: String, manifest: &Manifest) -> App {
    let framework_id = manifest.subject().to_string();
    App {
        name: app.name.clone().or_else(|| named_after(&framework_id)),
        manifest: Some(text),
        framework_id: Some(framework_id),
        instances: i64::try_from(manifest.instances()).ok(),
        ..app.clone()
    }
}

/// A name for an app that was given none: what the framework calls it.
fn named_after(framework_id: &str) -> Option<String> {
    let name = framework_id.trim_start_matches('/');
    (name.len() <= 255).then(|| name.to_owned())
}

/// Lets the framework take the app on. What exists already and is the same is ours, or as good as ours.
struct Create;

#[async_trait]
impl Step<App> for Create {
    fn name(&self) -> &'static str {
        CREATE
    }

    async fn run(&self, scene: &Scene<'_, App>) -> Result<Change<App>, StepError> {
        let ground = ground(scene).await?;
        let manifest = ground.own_manifest(scene.subject)?;
        let accepted = match ground.framework.create(&manifest, scene.budget()).await {
            Ok(accepted) => accepted,
            Err(Error::AlreadyExists { .. }) => adopted(scene, &ground, &manifest).await?,
            Err(error) => return Err(refused(&error, scene.subject)),
        };
        taken_on(scene, scene.subject.clone(), &accepted).await
    }
}

async fn adopted(
    scene: &Scene<'_, App>,
    ground: &Ground,
    manifest: &Manifest,
) -> Result<Accepted, StepError> {
    let seen = ground.look(scene, &manifest.subject()).await;
    let seen = seen.map_err(|error| refused(&error, scene.subject))?;
    let differs = manifest.apps().iter().filter_map(|asked| {
        let id = asked.id();
        let Some(seen) = seen.iter().find(|seen| seen.id == *id) else {
            return Some(format!("{id} is not there"));
        };
        let paths = crate::app::differences(asked, &seen.definition);
        (!paths.is_empty()).then(|| format!("{id} differs at {}", paths.join(", ")))
    });
    let differs: Vec<_> = differs.collect();
    if !differs.is_empty() {
        let id = manifest.subject();
        let text = format!("{id} with another definition ({})", differs.join("; "));
        return Err(StepError::Fatal(Fault::AppAlreadyExists(text)));
    }
    tracing::info!(app = called(scene.subject), "the app exists as it was asked for, and is taken over");
    Ok(Accepted {
        deployments: seen.iter().flat_map(|seen| seen.deployments.iter().cloned()).collect(),
        version: seen.iter().filter_map(|seen| seen.version.clone()).max(),
    })
}

/// The app may have been made although nobody heard of it: it is looked for, and goes. What was there before is left.
struct UndoCreate;

#[async_trait]
impl Step<App> for UndoCreate {
    fn name(&self) -> &'static str {
        UNDO
    }

    async fn run(&self, scene: &Scene<'_, App>) -> Result<Change<App>, StepError> {
        let ground = ground(scene).await?;
        let manifest = ground.own_manifest(scene.subject)?;
        let seen = ground.look(scene, &manifest.subject()).await;
        let seen = seen.map_err(|error| refused(&error, scene.subject))?;
        if !is_ours(work(scene)?, &manifest, &seen) {
            let fault =
                scene.progress.failure.clone().unwrap_or_else(|| Fault::Internal("undone".to_owned()));
            return Ok(undone(scene, fault));
        }
        match ground.framework.delete(&manifest.subject(), Force::Override, scene.budget()).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(Change::again(LOOK_AGAIN)),
            Err(error) => Err(refused(&error, scene.subject)),
        }
    }
}

fn is_ours(work: &Work, manifest: &Manifest, seen: &[Seen]) -> bool {
    let new = ids(manifest).all(|id| !work.marks.contains_key(id.as_str()));
    let ours = |seen: &Seen| {
        let asked = manifest.apps().iter().find(|asked| *asked.id() == seen.id);
        asked.is_some_and(|asked| same_definition(asked, &seen.definition))
    };
    new && !seen.is_empty() && seen.iter().all(ours)
}
