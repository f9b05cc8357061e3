//! Changing an app: updating, scaling, restarting and rolling back have one way, and differ in what is asked.

use async_trait::async_trait;

use super::app::{
    Ground, after, broken, called, ground, ids, marks, moved, only_ours, overtaken, refused, taken_on, work,
};
use super::app_create::with_manifest;
use super::deployment::{AWAIT_TAKEN_BACK, AwaitDeployment, AwaitTakenBack, TAKE_BACK, TakeBack, stuck};
use crate::app::{Action, App, Event, Manifest, Status, Subject, same_definition};
use crate::error::Fault;
use crate::framework::{Accepted, Error, Force, Seen, Version};
use crate::notify::Outcome;
use crate::operation::progress::{AppBefore, Deed, Progress, Work};
use crate::operation::step::{Answer, Change, Plan, Scene, Step, StepError};

pub struct AppChange;

static STEPS: &[&dyn Step<App>] = &[&Look, &Submit, &AwaitDeployment, &TakeBack, &AwaitTakenBack];

const LOOK: &str = "look";
const SUBMIT: &str = "submit";

impl Plan<App> for AppChange {
    fn steps(&self) -> &'static [&'static dyn Step<App>] {
        STEPS
    }

    fn failed(&self, scene: &Scene<'_, App>, fault: Fault) -> Change<App> {
        match scene.operation.step.as_str() {
            LOOK => untouched(scene.subject.clone(), fault),
            // Each try looks first whether an earlier one was heard. A plain refusal then means that nothing has
            // changed; where nobody answers, something may have.
            SUBMIT if !matches!(fault, Fault::FrameworkUnavailable(_) | Fault::Internal(_)) => {
                as_before(scene, fault)
            }
            TAKE_BACK | AWAIT_TAKEN_BACK => stuck(scene, &fault),
            _ => broken(scene.subject, fault),
        }
    }

    fn superseded(&self, scene: &Scene<'_, App>) -> Option<Change<App>> {
        if scene.progress.failure.is_some() {
            return None;
        }
        if scene.operation.step != LOOK {
            return Some(overtaken(scene.subject));
        }
        let text = format!("Another request took the place of this one on app {}.", called(scene.subject));
        Some(untouched(scene.subject.clone(), Fault::Conflict(text)))
    }
}

/// Nothing was changed.
fn untouched(app: App, fault: Fault) -> Change<App> {
    Change::failed(fault.to_string()).save(app).reply(Answer::Fault(fault)).event(Outcome::Failure)
}

/// The framework refused the change, so the app is what it was.
fn as_before(scene: &Scene<'_, App>, fault: Fault) -> Change<App> {
    let before = scene.progress.work.as_ref().and_then(|work| work.before.clone()).unwrap_or_default();
    let app = App {
        status: before.status.as_deref().and_then(|text| text.parse().ok()).or(scene.subject.status),
        status_reason: before.status_reason,
        ..scene.subject.clone()
    };
    untouched(app, fault)
}

/// Notes how everything stands, so that a change whose answer is lost can be told from none.
struct Look;

#[async_trait]
impl Step<App> for Look {
    fn name(&self) -> &'static str {
        LOOK
    }

    async fn run(&self, scene: &Scene<'_, App>) -> Result<Change<App>, StepError> {
        let app = scene.subject;
        let status = app.status.unwrap_or(Status::NEW);
        let begun = status.after(Event::Begin(Action::Update)).map_err(|_| {
            StepError::Fatal(Fault::AppOperationInProgress {
                app: called(app),
                reason: format!("it is in state {status}."),
            })
        })?;
        let ground = ground(scene).await?;
        let seen = ground.look(scene, &ground.own_manifest(app)?.subject()).await;
        let seen = seen.map_err(|error| refused(&error, app))?;
        let before = AppBefore {
            manifest: app.manifest.clone(),
            manifest_url: app.manifest_url.clone(),
            status: Some(status.as_str().to_owned()),
            status_reason: app.status_reason.clone(),
        };
        let work = Work { marks: marks(&seen), before: Some(before), ..work(scene)?.clone() };
        let app = App { status: Some(begun), status_reason: None, ..app.clone() };
        Ok(Change::proceed().save(app).progress(Progress { work: Some(work), ..scene.progress.clone() }))
    }
}

/// Lets the framework take the change on, once.
struct Submit;

#[async_trait]
impl Step<App> for Submit {
    fn name(&self) -> &'static str {
        SUBMIT
    }

    async fn run(&self, scene: &Scene<'_, App>) -> Result<Change<App>, StepError> {
        let work = work(scene)?;
        let ground = ground(scene).await?;
        let mut submitted = Asked { scene, work, ground: &ground }.submit().await;
        // What an earlier operation left behind would never let go by itself.
        if let Err(Refusal::Framework(Error::Locked { deployments, .. })) = &submitted
            && only_ours(scene.subject, deployments)
        {
            let work = Work { force: true, ..work.clone() };
            submitted = Asked { scene, work: &work, ground: &ground }.submit().await;
        }
        let (accepted, app) = submitted.map_err(|refusal| match refusal {
            Refusal::Framework(error) => refused(&error, scene.subject),
            Refusal::Step(error) => error,
        })?;
        taken_on(scene, app, &accepted).await
    }
}

/// A change that is asked for, and where.
struct Asked<'a> {
    scene: &'a Scene<'a, App>,
    work: &'a Work,
    ground: &'a Ground,
}

enum Refusal {
    Framework(Error),
    Step(StepError),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Framework(error)
    }
}

impl From<StepError> for Refusal {
    fn from(error: StepError) -> Self {
        Self::Step(error)
    }
}

impl Asked<'_> {
    /// What the framework answered, and the app as it is to be.
    async fn submit(&self) -> Result<(Accepted, App), Refusal> {
        let app = self.scene.subject;
        match &self.work.deed {
            Deed::Update(text) => {
                let manifest = self.ground.manifest(text)?;
                let accepted = self.update(&manifest).await?;
                let changed = App { manifest_url: None, ..with_manifest(app, text.clone(), &manifest) };
                Ok((accepted, changed))
            }
            Deed::Scale(instances) => {
                let accepted = self.scale(*instances).await?;
                Ok((accepted, App { instances: Some(i64::from(*instances)), ..app.clone() }))
            }
            Deed::Restart => Ok((self.restart().await?, app.clone())),
            Deed::Rollback(version) => self.rollback(&Version::new(version.as_str())).await,
            Deed::Create | Deed::Delete | Deed::KillTask { .. } => {
                let text = "the operation does something else than its kind says";
                Err(StepError::Fatal(Fault::Internal(text.to_owned())).into())
            }
        }
    }

    fn force(&self) -> Force {
        Force::asked(self.work.force)
    }

    /// What is there, if this is not the first attempt: an answer may have been lost.
    async fn heard(&self, subject: &Subject) -> Result<Option<Vec<Seen>>, Error> {
        if self.scene.operation.attempts < 2 {
            return Ok(None);
        }
        self.ground.look(self.scene, subject).await.map(Some)
    }

    async fn update(&self, manifest: &Manifest) -> Result<Accepted, Refusal> {
        if let Some(seen) = self.heard(&manifest.subject()).await? {
            let there = manifest.apps().iter().all(|asked| {
                seen.iter().any(|seen| seen.id == *asked.id() && same_definition(asked, &seen.definition))
            });
            if there && seen.len() == manifest.apps().len() {
                return Ok(under_way(&seen));
            }
        }
        Ok(self.ground.framework.update(manifest, self.force(), self.scene.budget()).await?)
    }

    async fn scale(&self, instances: u32) -> Result<Accepted, Refusal> {
        let Subject::App(id) = self.ground.own_manifest(self.scene.subject)?.subject() else {
            return Err(several("Scaling several apps at once"));
        };
        if let Some(seen) = self.heard(&Subject::App(id.clone())).await?
            && seen.iter().any(|seen| seen.instances == instances)
        {
            return Ok(under_way(&seen));
        }
        let scaled = self.ground.framework.scale(&id, instances, self.force(), self.scene.budget()).await;
        Ok(scaled?)
    }

    /// App by app: those that an earlier attempt has restarted are left alone.
    async fn restart(&self) -> Result<Accepted, Refusal> {
        let manifest = self.ground.own_manifest(self.scene.subject)?;
        let seen = self.heard(&manifest.subject()).await?.unwrap_or_default();
        let mut all = Accepted::default();
        for id in ids(&manifest) {
            let mark = self.work.marks.get(id.as_str());
            let restarted = seen.iter().find(|seen| seen.id == *id && moved(mark, seen));
            let one = match restarted {
                Some(seen) => under_way(std::slice::from_ref(seen)),
                None => self.ground.framework.restart(id, self.force(), self.scene.budget()).await?,
            };
            all.deployments.extend(one.deployments);
            all.version = one.version.max(all.version);
        }
        Ok(all)
    }

    async fn rollback(&self, version: &Version) -> Result<(Accepted, App), Refusal> {
        let subject = self.ground.own_manifest(self.scene.subject)?.subject();
        if matches!(subject, Subject::Apps(_)) {
            return Err(several("Rolling back several apps without a group"));
        }
        let heard = self
            .heard(&subject)
            .await?
            .filter(|seen| seen.iter().any(|seen| moved(self.work.marks.get(seen.id.as_str()), seen)));
        let framework = &self.ground.framework;
        let accepted = match &heard {
            Some(seen) => under_way(seen),
            None => framework.rollback(&subject, version, self.force(), self.scene.budget()).await?,
        };
        // From here on the app is what that version was.
        let seen = self.ground.look(self.scene, &subject).await?;
        Ok((accepted, as_shown(self.ground, self.scene.subject, &subject, &seen)))
    }
}

fn several(what: &str) -> Refusal {
    Refusal::Step(StepError::Fatal(Fault::NotSupported { operation: what.to_owned() }))
}

/// What an earlier attempt began.
fn under_way(seen: &[Seen]) -> Accepted {
    Accepted {
        deployments: seen.iter().flat_map(|seen| seen.deployments.iter().cloned()).collect(),
        version: seen.iter().filter_map(|seen| seen.version.clone()).max(),
    }
}

/// The app with a manifest that says what the framework shows. One that could not be sent back is not taken over: no
/// later operation could work with it. The app then differs from its manifest, and says so.
fn as_shown(ground: &Ground, app: &App, subject: &Subject, seen: &[Seen]) -> App {
    let bodies: Vec<_> = seen.iter().map(|seen| serde_json::json!(seen.definition.sendable())).collect();
    let manifest = match (subject, bodies.as_slice()) {
        (_, []) => return app.clone(),
        (Subject::Group(id), apps) => serde_json::json!({ "id": id.as_str(), "apps": apps }),
        (_, [one]) => one.clone(),
        (_, several) => serde_json::json!(several),
    };
    let instances = seen.iter().map(|seen| i64::from(seen.instances)).sum();
    let begun = App { instances: Some(instances), ..after(app, Event::Begin(Action::Update), None) };
    let manifest = manifest.to_string();
    match ground.manifest(&manifest) {
        Ok(_) => App { manifest: Some(manifest), manifest_url: None, ..begun },
        Err(error) => {
            tracing::warn!(?error, "what the framework shows is no manifest that could be sent");
            begun
        }
    }
}
