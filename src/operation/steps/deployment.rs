//! Following a deployment to its end, and what becomes of one that takes too long.
//!
//! A framework's deployment never fails by itself: it waits for as long as it takes. So the deadline is ours, and so
//! is finding out why.

use async_trait::async_trait;

use super::app::{Ground, after, broken, called, ground, ids, moved, refused, work};
use crate::app::{App, Definition, Event, Manifest, Subject, differences};
use crate::error::Fault;
use crate::framework::account::as_seen;
use crate::framework::{self, DeploymentId, Error, Force, Seen, Version, explain};
use crate::notify::Outcome;
use crate::operation::progress::{AppBefore, Deed, Mark, OnDeadline, Progress, Work};
use crate::operation::step::{Answer, Change, Scene, Step, StepError};

/// The step that waits: what hints at a change lets it look.
pub const AWAIT_DEPLOYMENT: &str = "await_deployment";
pub(super) const TAKE_BACK: &str = "take_back";
pub(super) const AWAIT_TAKEN_BACK: &str = "await_taken_back";

/// How a change stands.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    Wait,
    /// It will not come about any more, and why.
    Lost(String),
}

/// Waits until what was asked for is there, or cannot come any more. The absence of a deployment is no success: the
/// app's own state decides.
pub(super) struct AwaitDeployment;

#[async_trait]
impl Step<App> for AwaitDeployment {
    fn name(&self) -> &'static str {
        AWAIT_DEPLOYMENT
    }

    fn bounded(&self) -> bool {
        false
    }

    async fn run(&self, scene: &Scene<'_, App>) -> Result<Change<App>, StepError> {
        let work = work(scene)?;
        let ground = ground(scene).await?;
        let manifest = ground.own_manifest(scene.subject)?;
        let seen = match ground.look(scene, &manifest.subject()).await {
            Ok(seen) => seen,
            Err(error) if overdue(scene, work).await? => return Ok(unseen(scene, &error)),
            Err(error) => return Err(waiting(&error, scene.subject)),
        };
        let app = as_seen(scene.subject, &seen);
        match judge(work, &manifest, &seen) {
            Verdict::Done => {
                // One task less makes no failed app a whole one.
                let killed = matches!(work.deed, Deed::KillTask { .. });
                let ended = if killed { app } else { after(&app, Event::Completed, None) };
                let app = App { deployment_id: None, ..ended };
                Ok(Change::done().save(app).reply(Answer::Object).event(Outcome::Success))
            }
            Verdict::Lost(reason) => {
                let app = App { deployment_id: None, ..app };
                Ok(broken(&app, Fault::DeploymentFailed(reason)))
            }
            Verdict::Wait if overdue(scene, work).await? => give_up(scene, &ground, &app, &seen, work).await,
            Verdict::Wait => {
                let again = Change::again(scene.settings.deployments.poll_interval);
                Ok(if app == *scene.subject { again } else { again.save(app) })
            }
        }
    }
}

async fn overdue(scene: &Scene<'_, App>, work: &Work) -> Result<bool, StepError> {
    let Some(until) = work.until_ms else { return Ok(false) };
    Ok(scene.store.now_ms().await? >= until)
}

/// While a deployment is waited for every fault may pass: only its deadline ends the wait.
fn waiting(error: &Error, app: &App) -> StepError {
    StepError::Retry { fault: error.fault(&called(app)), after: error.retry_after() }
}

/// Past the deadline nobody can say how it stands.
fn unseen(scene: &Scene<'_, App>, error: &Error) -> Change<App> {
    let text =
        format!("The deployment was not seen to end in its time, and how it stands is not known: {error}");
    broken(scene.subject, Fault::DeploymentFailed(text))
}

fn judge(work: &Work, manifest: &Manifest, seen: &[Seen]) -> Verdict {
    let mut all = Verdict::Done;
    for asked in manifest.apps() {
        let id = asked.id();
        let Some(seen) = seen.iter().find(|seen| seen.id == *id) else {
            return Verdict::Lost(format!("{id} was deleted from the framework meanwhile."));
        };
        match judge_one(work, asked, seen) {
            Verdict::Done => {}
            Verdict::Wait => all = Verdict::Wait,
            lost @ Verdict::Lost(_) => return lost,
        }
    }
    // What a group had and has no more goes with its update.
    let left = seen.iter().any(|seen| ids(manifest).all(|id| *id != seen.id));
    let replaces = matches!(work.deed, Deed::Create | Deed::Update(_));
    if left && replaces && manifest.group().is_some() { Verdict::Wait } else { all }
}

fn judge_one(work: &Work, asked: &Definition, seen: &Seen) -> Verdict {
    let id = asked.id();
    let wrong = match &work.deed {
        Deed::Create | Deed::Update(_) => {
            let paths = differences(asked, &seen.definition);
            (!paths.is_empty()).then(|| format!("differs at {}", paths.join(", ")))
        }
        Deed::Scale(instances) => {
            (seen.instances != *instances).then(|| format!("has {} instances", seen.instances))
        }
        Deed::Restart | Deed::Rollback(_) | Deed::KillTask { .. } | Deed::Delete => None,
    };
    if let Some(wrong) = wrong {
        // A deployment that is still to change it, or to be taken back, may yet do so.
        return match seen.deployments.is_empty() {
            true => Verdict::Lost(format!("{id} was changed in the framework meanwhile: it {wrong}.")),
            false => Verdict::Wait,
        };
    }
    let fresh = work.marks.get(id.as_str()).is_none_or(|mark| is_fresh(mark, seen));
    if seen.is_settled() && fresh { Verdict::Done } else { Verdict::Wait }
}

/// Whether no task of the definition before is left. An old release may not list a deployment that it has just taken
/// on: its tasks tell.
fn is_fresh(mark: &Mark, seen: &Seen) -> bool {
    let Some(before) = mark.version.as_deref().filter(|_| moved(Some(mark), seen)) else { return true };
    seen.tasks.iter().all(|task| task.version.as_ref().is_none_or(|version| version.as_str() > before))
}

/// Says why, and does what was asked for in this case.
async fn give_up(
    scene: &Scene<'_, App>,
    ground: &Ground,
    app: &App,
    seen: &[Seen],
    work: &Work,
) -> Result<Change<App>, StepError> {
    let framework = &ground.framework;
    // Without them the reason is shorter, not wrong.
    let queue = framework.waiting(scene.budget()).await.unwrap_or_default();
    let deployments = framework.deployments(scene.budget()).await.unwrap_or_default();
    let mut why = Vec::new();
    for one in seen {
        let reasons = explain(one, &queue, &deployments);
        if !reasons.is_empty() {
            why.push(format!("{}: {}.", one.id, reasons.join("; ")));
        }
    }
    let seconds = work.deadline.as_secs_f64();
    let text = format!("The deployment was not done within {seconds} s. {}", why.join(" "));
    let fault = Fault::DeploymentFailed(text.trim_end().to_owned());
    tracing::warn!(%fault, on_deadline = ?work.on_deadline, "a deployment is given up");
    if work.on_deadline == OnDeadline::Leave || matches!(work.deed, Deed::KillTask { .. }) {
        return Ok(broken(app, fault));
    }
    let progress = Progress { failure: Some(fault), ..scene.progress.clone() };
    Ok(Change::step(TAKE_BACK).save(app.clone()).progress(progress))
}

/// Ends the deployment: by one that takes its changes back, or where it stands.
pub(super) struct TakeBack;

#[async_trait]
impl Step<App> for TakeBack {
    fn name(&self) -> &'static str {
        TAKE_BACK
    }

    async fn run(&self, scene: &Scene<'_, App>) -> Result<Change<App>, StepError> {
        let mut work = work(scene)?.clone();
        let ground = ground(scene).await?;
        let force = Force::asked(work.on_deadline == OnDeadline::Cancel);
        let mut cancelled = false;
        for id in &work.deployments {
            let id = DeploymentId::new(id.as_str());
            match ground.framework.cancel(&id, force, scene.budget()).await {
                Ok(_) => cancelled = true,
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(refused(&error, scene.subject)),
            }
        }
        // A deployment that is over cannot be cancelled; its changes are still there. If an earlier try has cancelled it,
        // this asks once more for what is under way.
        if !cancelled && work.on_deadline == OnDeadline::Rollback {
            reverse(scene, &ground, &work).await?;
        }
        let allowed = i64::try_from(work.deadline.as_millis()).unwrap_or(i64::MAX);
        work.until_ms = Some(scene.store.now_ms().await?.saturating_add(allowed));
        let progress = Progress { work: Some(work), ..scene.progress.clone() };
        Ok(Change::step(AWAIT_TAKEN_BACK).progress(progress))
    }
}

async fn reverse(scene: &Scene<'_, App>, ground: &Ground, work: &Work) -> Result<(), StepError> {
    let subject = ground.own_manifest(scene.subject)?.subject();
    let before = match &subject {
        Subject::App(id) => work.marks.get(id.as_str()).and_then(|mark| mark.version.clone()),
        Subject::Apps(_) | Subject::Group(_) => None,
    };
    let framework = &ground.framework;
    let done = match (&work.deed, before) {
        (Deed::Create, None) => framework.delete(&subject, Force::Override, scene.budget()).await,
        (Deed::Create, Some(_)) | (_, None) => return Ok(()),
        (_, Some(version)) => {
            let version = Version::new(version);
            framework.rollback(&subject, &version, Force::Override, scene.budget()).await
        }
    };
    match done {
        Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(refused(&error, scene.subject)),
    }
}

/// Waits until nothing moves any more, and ends the operation as failed.
pub(super) struct AwaitTakenBack;

#[async_trait]
impl Step<App> for AwaitTakenBack {
    fn name(&self) -> &'static str {
        AWAIT_TAKEN_BACK
    }

    fn bounded(&self) -> bool {
        false
    }

    async fn run(&self, scene: &Scene<'_, App>) -> Result<Change<App>, StepError> {
        let work = work(scene)?;
        let ground = ground(scene).await?;
        let manifest = ground.own_manifest(scene.subject)?;
        let late = overdue(scene, work).await?;
        let looked = async {
            let seen = ground.look(scene, &manifest.subject()).await?;
            let deployments = ground.framework.deployments(scene.budget()).await?;
            Ok::<_, framework::Error>((seen, deployments))
        };
        let (seen, deployments) = match looked.await {
            Ok(looked) => looked,
            Err(error) if late => return Ok(unseen(scene, &error)),
            Err(error) => return Err(waiting(&error, scene.subject)),
        };
        let of_ours = |app: &String| ids(&manifest).any(|id| id.as_str() == app);
        let busy = deployments.iter().any(|deployment| deployment.apps.iter().any(of_ours))
            || seen.iter().any(|seen| !seen.deployments.is_empty());
        if busy && !late {
            return Ok(Change::again(scene.settings.deployments.poll_interval));
        }
        Ok(taken_back(scene, work, &seen, busy))
    }
}

fn taken_back(scene: &Scene<'_, App>, work: &Work, seen: &[Seen], busy: bool) -> Change<App> {
    let why = scene.progress.failure.as_ref().map(ToString::to_string).unwrap_or_default();
    let rolled_back = work.on_deadline == OnDeadline::Rollback;
    let how = match (busy, rolled_back) {
        (true, _) => "Ending it was not seen to end either.",
        (false, true) => "Its changes were taken back.",
        (false, false) => "It was cancelled where it stood.",
    };
    let app = as_seen(scene.subject, seen);
    let app = match &work.before {
        Some(before) if rolled_back && !busy => as_before(app, before),
        Some(_) | None => app,
    };
    let app = if busy { app } else { App { deployment_id: None, ..app } };
    broken(&app, Fault::DeploymentFailed(format!("{why} {how}")))
}

/// The app with the manifest that it has again.
fn as_before(app: App, before: &AppBefore) -> App {
    App { manifest: before.manifest.clone(), manifest_url: before.manifest_url.clone(), ..app }
}

/// The end of an operation whose way back could not be gone.
pub(super) fn stuck(scene: &Scene<'_, App>, fault: &Fault) -> Change<App> {
    let first = scene.progress.failure.as_ref().map(ToString::to_string).unwrap_or_default();
    let text = format!("{first} What was done could not be taken back: {fault}");
    broken(scene.subject, Fault::DeploymentFailed(text.trim_start().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::framework::Task;

    fn seen(instances: u32, running: u32, deployments: &[&str]) -> Seen {
        let body = json!({"cmd": "sleep 1", "instances": instances});
        let id = crate::app::AppId::parse("/web").unwrap();
        Seen {
            definition: Definition::new(id.clone(), body.as_object().unwrap().clone()),
            id,
            instances,
            tasks_staged: 0,
            tasks_running: running,
            tasks_healthy: 0,
            tasks_unhealthy: 0,
            version: Some(Version::new("2026-02")),
            last_config_change_at: Some(Version::new("2026-02")),
            deployments: deployments.iter().map(|id| DeploymentId::new(*id)).collect(),
            last_failure: None,
            endpoints: Vec::new(),
            tasks: Vec::new(),
        }
    }

    fn verdict(deed: Deed, seen: &[Seen], mark: Option<&str>) -> Verdict {
        let manifest = Manifest::parse(r#"{"id": "/web", "cmd": "sleep 1", "instances": 2}"#).unwrap();
        let mark = mark.map(|at| Mark { version: Some(at.to_owned()), changed: Some(at.to_owned()) });
        let work = Work {
            deed,
            force: false,
            deadline: Duration::from_secs(1),
            on_deadline: OnDeadline::Leave,
            before: None,
            marks: mark.map(|mark| ("/web".to_owned(), mark)).into_iter().collect(),
            deployments: Vec::new(),
            until_ms: None,
        };
        judge(&work, &manifest, seen)
    }

    #[test]
    fn an_app_is_done_when_it_is_as_asked_up_and_still() {
        assert_eq!(verdict(Deed::Create, &[seen(2, 2, &[])], None), Verdict::Done);
        assert_eq!(verdict(Deed::Create, &[seen(2, 2, &["d"])], None), Verdict::Wait);
        // Its deployment is not listed, and not because it is over.
        assert_eq!(verdict(Deed::Create, &[seen(2, 1, &[])], None), Verdict::Wait);
    }

    #[test]
    fn what_somebody_else_did_ends_the_wait() {
        assert!(matches!(verdict(Deed::Create, &[], None), Verdict::Lost(text) if text.contains("deleted")));
        let lost = verdict(Deed::Create, &[seen(3, 3, &[])], None);
        assert!(matches!(lost, Verdict::Lost(text) if text.contains("/instances")));
        assert_eq!(verdict(Deed::Create, &[seen(3, 3, &["d"])], None), Verdict::Wait);
        assert_eq!(verdict(Deed::Scale(3), &[seen(3, 3, &[])], None), Verdict::Done);
        assert!(matches!(verdict(Deed::Scale(2), &[seen(3, 3, &[])], None), Verdict::Lost(_)));
    }

    #[test]
    fn a_restart_is_done_when_no_old_task_is_left() {
        let task = |version: &str| Task {
            id: "web.1".to_owned(),
            host: "a".to_owned(),
            ports: Vec::new(),
            state: "TASK_RUNNING".to_owned(),
            healthy: None,
            version: Some(Version::new(version)),
            staged_at: None,
            started_at: None,
            agent_id: None,
            addresses: Vec::new(),
        };
        let with = |versions: &[&str]| Seen {
            tasks: versions.iter().map(|version| task(version)).collect(),
            ..seen(2, 2, &[])
        };
        assert_eq!(verdict(Deed::Restart, &[with(&["2026-01", "2026-02"])], Some("2026-01")), Verdict::Wait);
        assert_eq!(verdict(Deed::Restart, &[with(&["2026-02", "2026-02"])], Some("2026-01")), Verdict::Done);
    }
}
