//! Deployments: accepted or refused as a whole, then carried out step by step until they end or are cancelled.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::cluster::Cluster;
use super::error::Error;
use super::events::Event;
use super::pace;
use super::path::PathId;
use super::plan::{Action, ActionKind, Plan, Replacement};
use super::root::Root;
use super::schedule::Occurrence;
use super::tasks::Task;
use super::view;

#[derive(Debug)]
pub(crate) struct Deployment {
    pub(crate) plan: Plan,
    pub(crate) affected: Vec<PathId>,
    /// The step under way, counted from one; zero before the first.
    pub(crate) current: usize,
    replacements: BTreeMap<PathId, Replacing>,
}

/// A rolling restart under way.
#[derive(Debug, Clone, Copy)]
struct Replacing {
    bounds: Replacement,
    /// How many old instances there were.
    old: usize,
}

impl Deployment {
    pub(crate) fn id(&self) -> &str {
        &self.plan.id
    }

    pub(crate) fn current_actions(&self) -> &[Action] {
        self.current.checked_sub(1).and_then(|index| self.plan.steps.get(index)).map_or(&[], Vec::as_slice)
    }
}

/// What an accepted change is told with.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) id: String,
    pub(crate) version: OffsetDateTime,
}

impl Cluster {
    /// Makes `target` what is wanted, or says why not. `group` is what the change is reported for.
    pub(crate) fn submit(
        &mut self,
        target: Root,
        group: &PathId,
        force: bool,
        now: OffsetDateTime,
    ) -> Result<Accepted, Error> {
        let cyclic = || Error::Unprocessable("Dependency graph has cyclic dependencies.".to_owned());
        let plan = Plan::between(&self.root, &target).ok_or_else(cyclic)?;
        if let Some(limit) = self.max_deployments().filter(|limit| self.deployments.len() >= *limit) {
            return Err(Error::TooManyDeployments(limit));
        }
        let affected = plan.affected();
        let locking = |d: &&Deployment| d.affected.iter().any(|id| affected.contains(id));
        let locks: Vec<String> = self.deployments.iter().filter(locking).map(|d| d.id().to_owned()).collect();
        if !locks.is_empty() && !force {
            // Told under the id of the plan that never was, which misleads whoever does not compare ids.
            self.publish(Event::group_change_failed(group, target.version, "App is locked"), now);
            let failed = view::plan_event(&self.config.profile, &plan);
            self.publish(Event::deployment_failed(failed, Some("App is locked")), now);
            return Err(Error::Locked(locks));
        }
        for id in locks {
            self.cancel(&id, now);
        }
        let accepted = Accepted { id: plan.id.clone(), version: target.version };
        self.remember(target);
        self.publish(Event::group_change_success(group, accepted.version), now);
        if plan.steps.is_empty() {
            let done = view::plan_event(&self.config.profile, &plan);
            self.publish(Event::deployment_success(done), now);
        } else {
            let begins = now + self.pace.scaled(pace::ACCEPTANCE);
            self.schedule.add(begins, Occurrence::Begin(plan.id.clone()));
            self.deployments.push(Deployment { plan, affected, current: 0, replacements: BTreeMap::new() });
        }
        Ok(accepted)
    }

    /// Ends a deployment where it stands; what it has done so far stays.
    pub(crate) fn cancel(&mut self, id: &str, at: OffsetDateTime) -> bool {
        let Some(place) = self.deployments.iter().position(|deployment| deployment.id() == id) else {
            return false;
        };
        let deployment = self.deployments.remove(place);
        for app in &deployment.affected {
            self.queue.remove(app);
            let later = at + self.pace.scaled(pace::SCALE_APPS);
            self.schedule.add(later, Occurrence::Balance(app.clone()));
        }
        let failed = view::plan_event(&self.config.profile, &deployment.plan);
        self.publish(Event::deployment_failed(failed, Some("The upgrade has been cancelled")), at);
        true
    }

    pub(crate) fn is_locked(&self, app: &PathId) -> bool {
        self.deployments.iter().any(|deployment| deployment.affected.contains(app))
    }

    pub(super) fn begin(&mut self, id: &str, at: OffsetDateTime) {
        if let Some(deployment) = self.deployments.iter_mut().find(|d| d.id() == id && d.current == 0) {
            deployment.current = 1;
            self.tell_step(id, at);
        }
    }

    /// A new leader starts from what is stored: from 1.4 on it goes on, before it ran every step again.
    pub(super) fn resume(&mut self, at: OffsetDateTime) {
        let again = !self.config.profile.since(1, 4);
        for deployment in &mut self.deployments {
            deployment.replacements.clear();
            if again && deployment.current > 0 {
                deployment.current = 0;
                self.schedule.add(at, Occurrence::Begin(deployment.plan.id.clone()));
            }
        }
    }

    fn tell_step(&mut self, id: &str, at: OffsetDateTime) {
        if let Some(deployment) = self.deployments.iter().find(|d| d.id() == id) {
            let body = view::step_event(&self.config.profile, deployment);
            self.publish(Event::deployment_info(body), at);
        }
    }

    /// Does all that the steps under way call for, and takes the next ones. Without a leader nothing moves.
    pub(crate) fn progress(&mut self, at: OffsetDateTime) {
        if self.leader.is_none() {
            return;
        }
        let ids: Vec<String> = self.deployments.iter().map(|d| d.id().to_owned()).collect();
        for id in ids {
            while self.step_is_done(&id, at) {
                self.finish_step(&id, at);
            }
        }
    }

    fn step_is_done(&mut self, id: &str, at: OffsetDateTime) -> bool {
        let Some(deployment) = self.deployments.iter().find(|d| d.id() == id) else { return false };
        let started = deployment.current > 0;
        let actions = deployment.current_actions().to_vec();
        // Each is looked at, since each may have something to do.
        let open = actions.iter().filter(|action| !self.act(id, action, at)).count();
        started && open == 0
    }

    fn finish_step(&mut self, id: &str, at: OffsetDateTime) {
        let Some(place) = self.deployments.iter().position(|d| d.id() == id) else { return };
        let done = view::step_event(&self.config.profile, &self.deployments[place]);
        self.publish(Event::deployment_step_success(done), at);
        let deployment = &mut self.deployments[place];
        deployment.current += 1;
        if deployment.current > deployment.plan.steps.len() {
            let deployment = self.deployments.remove(place);
            let done = view::plan_event(&self.config.profile, &deployment.plan);
            self.publish(Event::deployment_success(done), at);
        } else {
            self.tell_step(id, at);
        }
    }

    /// Does what is left of an action; says whether nothing is.
    fn act(&mut self, deployment: &str, action: &Action, at: OffsetDateTime) -> bool {
        match action.kind {
            ActionKind::Start => true,
            ActionKind::Stop => self.stop_app(&action.app, at),
            ActionKind::Scale => self.balance(&action.app, at),
            ActionKind::Restart => self.replace(deployment, &action.app, at),
        }
    }

    fn stop_app(&mut self, app: &PathId, at: OffsetDateTime) -> bool {
        self.queue.remove(app);
        let tasks: Vec<String> = self.tasks_of(app).map(|task| task.id.clone()).collect();
        for id in &tasks {
            self.kill(id, at);
        }
        if tasks.is_empty() {
            self.delays.remove(app);
            self.failures.remove(app);
            self.publish(Event::app_terminated(app), at);
        }
        tasks.is_empty()
    }

    /// Brings an app to its number of instances, whatever their version; says whether all of them are ready.
    pub(super) fn balance(&mut self, app: &PathId, at: OffsetDateTime) -> bool {
        let Some(spec) = self.root.apps.get(app).cloned() else { return true };
        let wanted = spec.definition.instances();
        let living = self.tasks_of(app).filter(|task| !task.is_dying()).count();
        let queued = self.queued(app);
        if living + queued < wanted {
            self.enqueue(&spec, wanted - living - queued, at);
        } else if living + queued > wanted {
            let surplus = living + queued - wanted;
            let unqueued = self.unqueue(app, surplus);
            for id in self.first_to_go(&spec, surplus - unqueued) {
                self.kill(&id, at);
            }
        }
        let dying = self.tasks_of(app).any(|task| task.is_dying());
        let ready = self.tasks_of(app).filter(|task| task.is_ready(&spec)).count();
        !dying && ready == wanted
    }

    /// Replaces the instances of older versions, within the app's capacities.
    fn replace(&mut self, deployment: &str, app: &PathId, at: OffsetDateTime) -> bool {
        let Some(spec) = self.root.apps.get(app).cloned() else { return true };
        let instances = spec.definition.instances();
        let Some(Replacing { bounds, old: before }) = self.replacing(deployment, app) else { return true };
        let (old, new): (Vec<&Task>, Vec<&Task>) =
            self.tasks_of(app).partition(|task| task.version < spec.configured);
        let mut living: Vec<&Task> = old.iter().copied().filter(|task| !task.is_dying()).collect();
        // Those that are of no use anyway go first.
        living.sort_by_key(|task| task.is_healthy());
        let ready = new.iter().filter(|task| !task.is_dying() && task.is_ready(&spec)).count();
        let launched = new.iter().filter(|task| !task.is_dying()).count() + self.queued(app);
        let room = bounds.capacity.saturating_sub(old.len() + launched);
        let missing = instances.saturating_sub(launched).min(room);
        // Each new instance that is ready lets one more old one go, and the last one all.
        let may_go = if ready >= instances { before } else { before.min(bounds.kill_at_once + ready) };
        let gone = before.saturating_sub(living.len());
        let go: Vec<String> =
            living.iter().take(may_go.saturating_sub(gone)).map(|task| task.id.clone()).collect();
        let done = old.is_empty() && ready >= instances;
        if missing > 0 {
            self.enqueue(&spec, missing, at);
        }
        for id in go {
            self.kill(&id, at);
        }
        done
    }

    fn replacing(&mut self, deployment: &str, app: &PathId) -> Option<Replacing> {
        let spec = self.root.apps.get(app).cloned()?;
        let known = |d: &Deployment| d.id() == deployment;
        let found = self.deployments.iter().find(|d| known(d))?.replacements.get(app).copied();
        if found.is_some() {
            return found;
        }
        let is_old = |task: &&Task| task.version < spec.configured && !task.is_dying();
        let old = self.tasks_of(app).filter(is_old).count();
        let definition = &spec.definition;
        let (capacities, resident) = (definition.capacities(), definition.is_resident());
        let bounds = Replacement::of(definition.instances(), capacities, resident, old);
        let replacing = Replacing { bounds, old };
        // What is queued now was queued for an older version.
        self.queue.remove(app);
        self.deployments.iter_mut().find(|d| known(d))?.replacements.insert(app.clone(), replacing);
        Some(replacing)
    }
}
