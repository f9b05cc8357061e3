//! What the steps of apps share: the bay's framework, what it shows of an app, and what its errors mean.

use std::sync::Arc;

use crate::app::{App, AppId, Definition, Event, Manifest, Status, Subject};
use crate::error::Fault;
use crate::framework::{self, Accepted, DeploymentId, Depth, Error, Framework, Seen, Selection, Version};
use crate::notify::Outcome;
use crate::operation::progress::{Mark, Progress, Work};
use crate::operation::step::{Answer, Change, Scene, StepError};
use crate::store::{Key, Scope};

/// The framework that runs an app, and how it reads manifests.
pub(super) struct Ground {
    pub(super) framework: Arc<dyn Framework>,
    kind: framework::Kind,
}

/// The framework of the app's bay.
pub(super) async fn ground(scene: &Scene<'_, App>) -> Result<Ground, StepError> {
    let uuid = scene.subject.bay_uuid;
    let bay = scene.store.bay(&Scope::All, Key::Uuid(uuid)).await?;
    let bay = bay.ok_or_else(|| StepError::Fatal(Fault::BayNotFound(uuid.to_string())))?;
    let kind = framework::Kind::of(&bay.labels)
        .map_err(|fault| StepError::Fatal(Fault::InvalidParameterValue(format!("{fault}."))))?;
    let framework = scene.frameworks.of(&bay).await.map_err(|error| refused(&error, scene.subject))?;
    Ok(Ground { framework, kind })
}

impl Ground {
    pub(super) fn manifest(&self, text: &str) -> Result<Manifest, StepError> {
        self.kind
            .manifest(text)
            .map_err(|faults| StepError::Fatal(Fault::InvalidManifest(faults.to_string())))
    }

    /// What the app's row says that it is.
    pub(super) fn own_manifest(&self, app: &App) -> Result<Manifest, StepError> {
        self.manifest(app.manifest.as_deref().unwrap_or_default())
    }

    /// Everything that the framework shows of these apps, and of a group also what else is in it.
    pub(super) async fn look(
        &self,
        scene: &Scene<'_, App>,
        subject: &Subject,
    ) -> Result<Vec<Seen>, framework::Error> {
        match subject {
            Subject::App(id) => Ok(self.framework.show(id, scene.budget()).await?.into_iter().collect()),
            Subject::Group(id) => self.framework.list(Selection::At(id), Depth::Tasks, scene.budget()).await,
            Subject::Apps(ids) => {
                let mut seen = self.framework.list(Selection::All, Depth::Tasks, scene.budget()).await?;
                seen.retain(|seen| ids.contains(&seen.id));
                Ok(seen)
            }
        }
    }
}

/// What is done to the app. Every operation on an app says so in its progress.
pub(super) fn work<'a>(scene: &'a Scene<'_, App>) -> Result<&'a Work, StepError> {
    let nothing = || StepError::Fatal(Fault::Internal("the operation does not say what to do".to_owned()));
    scene.progress.work.as_ref().ok_or_else(nothing)
}

/// What people call the app.
pub(super) fn called(app: &App) -> String {
    app.name.clone().unwrap_or_else(|| app.uuid.to_string())
}

/// Sorts what a framework answers: what may pass is tried again, the rest is told.
pub(super) fn refused(error: &Error, app: &App) -> StepError {
    let fault = error.fault(&called(app));
    if error.is_retryable() {
        return StepError::Retry { fault, after: error.retry_after() };
    }
    StepError::Fatal(fault)
}

pub(super) fn marks<'a>(
    seen: impl IntoIterator<Item = &'a Seen>,
) -> std::collections::BTreeMap<String, Mark> {
    let text = |version: &Option<Version>| version.as_ref().map(ToString::to_string);
    seen.into_iter()
        .map(|seen| {
            let mark = Mark { version: text(&seen.version), changed: text(&seen.last_config_change_at) };
            (seen.id.to_string(), mark)
        })
        .collect()
}

/// Whether anything but the number of instances has changed since the mark was made.
pub(super) fn moved(mark: Option<&Mark>, seen: &Seen) -> bool {
    let Some(mark) = mark else { return true };
    let text = |version: &Option<Version>| version.as_ref().map(ToString::to_string);
    // Releases before 0.11 have one time stamp for everything.
    match &mark.changed {
        Some(changed) => text(&seen.last_config_change_at).as_ref() != Some(changed),
        None => text(&seen.version) != mark.version,
    }
}

/// The ids that a manifest names.
pub(super) fn ids(manifest: &Manifest) -> impl Iterator<Item = &AppId> {
    manifest.apps().iter().map(Definition::id)
}

/// The app after something happened to it. What cannot happen to it leaves it as it was: killing a task of a complete
/// app ends no action.
pub(super) fn after(app: &App, event: Event, reason: Option<String>) -> App {
    let status = app.status.unwrap_or(Status::NEW);
    App { status: Some(status.after(event).unwrap_or(status)), status_reason: reason, ..app.clone() }
}

/// The framework has taken the change on: the caller hears of it, and the deployment's time begins.
pub(super) async fn taken_on(
    scene: &Scene<'_, App>,
    app: App,
    accepted: &Accepted,
) -> Result<Change<App>, StepError> {
    let mut work = work(scene)?.clone();
    let allowed = i64::try_from(work.deadline.as_millis()).unwrap_or(i64::MAX);
    work.until_ms = Some(scene.store.now_ms().await?.saturating_add(allowed));
    work.deployments = accepted.deployments.iter().map(ToString::to_string).collect();
    let app = App {
        deployment_id: Some(work.deployments.join(",")).filter(|ids| !ids.is_empty()),
        version: accepted.version.as_ref().map(ToString::to_string).or(app.version),
        ..app
    };
    let progress = Progress { work: Some(work), ..scene.progress.clone() };
    Ok(Change::proceed().save(app).progress(progress).reply(Answer::Object))
}

/// The end of an operation that did not come to what was asked for; the app stays, with the reason. Its deployment may
/// go on, and is remembered: what comes next may end it.
pub(super) fn broken(app: &App, fault: Fault) -> Change<App> {
    let reason = fault.to_string();
    let app = after(app, Event::Failed, Some(reason.clone()));
    Change::failed(reason).save(app).reply(Answer::Fault(fault)).event(Outcome::Failure)
}

/// Whether nothing but deployments that an earlier operation left behind is in the way: of an operation on the app
/// there is never more than one.
pub(super) fn only_ours(app: &App, deployments: &[DeploymentId]) -> bool {
    let own = app.deployment_id.as_deref().unwrap_or_default();
    !deployments.is_empty() && deployments.iter().all(|id| own.split(',').any(|own| own == id.as_str()))
}

/// A later request took the place of this one.
pub(super) fn overtaken(app: &App) -> Change<App> {
    let fault = Fault::Conflict(format!(
        "Another request took the place of this one before app {} was done.",
        called(app)
    ));
    broken(app, fault)
}
