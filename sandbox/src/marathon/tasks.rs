//! Instances of apps, from the offer that was accepted to the end.

use time::OffsetDateTime;
use uuid::Uuid;

use super::behaviour::Behaviour;
use super::cluster::Cluster;
use super::definition::Resources;
use super::events::Event;
use super::pace;
use super::path::PathId;
use super::root::Spec;
use super::schedule::Occurrence;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskState {
    Staging,
    Running,
    Killing,
    Finished,
    Failed,
    Killed,
    Lost,
}

impl TaskState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Staging => "TASK_STAGING",
            Self::Running => "TASK_RUNNING",
            Self::Killing => "TASK_KILLING",
            Self::Finished => "TASK_FINISHED",
            Self::Failed => "TASK_FAILED",
            Self::Killed => "TASK_KILLED",
            Self::Lost => "TASK_LOST",
        }
    }

    /// How an instance in this state is called by the events about instances.
    pub(crate) fn condition(self) -> &'static str {
        match self {
            Self::Staging => "Staging",
            Self::Running => "Running",
            Self::Killing => "Killing",
            Self::Finished => "Finished",
            Self::Failed => "Failed",
            Self::Killed => "Killed",
            Self::Lost => "Gone",
        }
    }
}

/// What the health checks of an instance have said so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Health {
    /// `None` before the first result.
    pub(crate) alive: Option<bool>,
    pub(crate) failures: u64,
    pub(crate) first_success: Option<OffsetDateTime>,
    pub(crate) last_success: Option<OffsetDateTime>,
    pub(crate) last_failure: Option<OffsetDateTime>,
}

#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) app: PathId,
    pub(crate) agent: String,
    pub(crate) host: String,
    pub(crate) ports: Vec<u64>,
    pub(crate) resources: Resources,
    pub(crate) staged: OffsetDateTime,
    pub(crate) started: Option<OffsetDateTime>,
    /// The version of the app it was launched for.
    pub(crate) version: OffsetDateTime,
    pub(crate) state: TaskState,
    pub(crate) health: Health,
    /// Whether its readiness check has passed; `None` without one.
    pub(crate) ready: Option<bool>,
    checked: bool,
    behaviour: Behaviour,
}

impl Task {
    pub(crate) fn is_dying(&self) -> bool {
        self.state == TaskState::Killing
    }

    /// Running, and well as far as anybody checks.
    pub(crate) fn is_healthy(&self) -> bool {
        self.state == TaskState::Running && (!self.checked || self.health.alive == Some(true))
    }

    /// Whether a deployment need not wait for it any longer.
    pub(crate) fn is_ready(&self, spec: &Spec) -> bool {
        let unready = self.version >= spec.configured && self.ready == Some(false);
        self.is_healthy() && !unready
    }

    /// What the Mesos cluster calls it; from 1.8 on that is not what Marathon calls its instance.
    pub(crate) fn instance_id(&self) -> &str {
        self.id.split_once("._app").map_or(self.id.as_str(), |(instance, _)| instance)
    }
}

/// The last instance of an app that did not end well.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) task: Task,
    pub(crate) message: String,
    pub(crate) state: TaskState,
    pub(crate) at: OffsetDateTime,
}

impl Cluster {
    pub(crate) fn tasks_of(&self, app: &PathId) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(move |task| task.app == *app)
    }

    pub(crate) fn task(&self, id: &str) -> Option<&Task> {
        self.tasks.iter().find(|task| task.id == id)
    }

    fn task_mut(&mut self, id: &str) -> Option<&mut Task> {
        self.tasks.iter_mut().find(|task| task.id == id)
    }

    fn new_task_id(&self, app: &PathId) -> String {
        let (flat, uuid) = (app.flat(), Uuid::new_v4());
        if self.config.profile.instance_ids {
            format!("{flat}.instance-{uuid}._app.1")
        } else {
            format!("{flat}.{uuid}")
        }
    }

    /// Accepts an offer for one instance.
    pub(super) fn launch(&mut self, spec: &Spec, (agent, host): (String, String), at: OffsetDateTime) {
        let definition = &spec.definition;
        let behaviour = self.behaviour(spec);
        let ports = definition.service_ports().len();
        let ports = (0..ports).map(|_| self.next_host_port()).collect();
        let task = Task {
            id: self.new_task_id(&spec.id),
            app: spec.id.clone(),
            agent,
            host,
            ports,
            resources: definition.resources(),
            staged: at,
            started: None,
            version: spec.version,
            state: TaskState::Staging,
            health: Health::default(),
            ready: definition.readiness_check().map(|_| false),
            checked: !definition.health_checks().is_empty(),
            behaviour,
        };
        if task.behaviour != Behaviour::StuckStaging {
            let runs = at + self.pace.scaled(pace::LAUNCH);
            self.schedule.add(runs, Occurrence::Runs(task.id.clone()));
        }
        self.publish(Event::instance_changed(&task), at);
        self.tasks.push(task);
    }

    /// The script that counts for instances of this version.
    pub(super) fn behaviour(&self, spec: &Spec) -> Behaviour {
        let definition = spec.definition.text();
        let script = self.scripts.iter().rev().find(|script| script.fits(spec.id.as_str(), &definition));
        script.map(|script| script.behaviour.clone()).unwrap_or_default()
    }

    pub(super) fn runs(&mut self, id: &str, at: OffsetDateTime) {
        let Some(task) = self.task_mut(id).filter(|task| task.state == TaskState::Staging) else { return };
        task.state = TaskState::Running;
        task.started = Some(at);
        let task = task.clone();
        self.publish(Event::status_update(&task, TaskState::Running, ""), at);
        self.publish(Event::instance_changed(&task), at);
        if let Behaviour::CrashLoop { after_seconds, .. } | Behaviour::Finishes { after_seconds } =
            task.behaviour
        {
            let ends = at + self.pace.seconds(f64::from(after_seconds));
            self.schedule.add(ends, Occurrence::Ends(task.id.clone()));
        }
        let Some(spec) = self.root.apps.get(&task.app).cloned() else { return };
        if let Some(check) = spec.definition.health_checks().first() {
            let first = at + self.interval(check, 60.0);
            self.schedule.add(first, Occurrence::HealthCheck(task.id.clone()));
        }
        if let Some(check) = spec.definition.readiness_check() {
            let first = at + self.interval(check, 30.0);
            self.schedule.add(first, Occurrence::ReadinessCheck(task.id));
        }
    }

    fn interval(&self, check: &serde_json::Value, default: f64) -> std::time::Duration {
        self.pace.seconds(check["intervalSeconds"].as_f64().unwrap_or(default).max(0.1))
    }

    /// An instance does what its behaviour says that it does in the end.
    pub(super) fn ends(&mut self, id: &str, at: OffsetDateTime) {
        match self.task(id).map(|task| task.behaviour.clone()) {
            Some(Behaviour::CrashLoop { message, .. }) => self.end(id, TaskState::Failed, &message, at),
            Some(Behaviour::Finishes { .. }) => {
                self.end(id, TaskState::Finished, "Command exited with status 0", at);
            }
            Some(
                Behaviour::Healthy { .. }
                | Behaviour::NeverHealthy
                | Behaviour::NeverReady
                | Behaviour::Unschedulable { .. }
                | Behaviour::StuckStaging
                | Behaviour::Unkillable,
            )
            | None => {}
        }
    }

    /// Whether checks of the instance pass at that time.
    fn passes(&self, task: &Task, at: OffsetDateTime) -> bool {
        let up = task.started.map(|started| at - started);
        match task.behaviour {
            Behaviour::Healthy { after_seconds } => {
                up.is_some_and(|up| up >= self.pace.seconds(f64::from(after_seconds)))
            }
            Behaviour::NeverHealthy | Behaviour::Unschedulable { .. } | Behaviour::StuckStaging => false,
            Behaviour::NeverReady
            | Behaviour::CrashLoop { .. }
            | Behaviour::Finishes { .. }
            | Behaviour::Unkillable => up.is_some(),
        }
    }

    pub(super) fn check_health(&mut self, id: &str, at: OffsetDateTime) {
        let Some(task) = self.task(id).filter(|task| task.state == TaskState::Running).cloned() else {
            return;
        };
        let Some(spec) = self.root.apps.get(&task.app).cloned() else { return };
        let Some(check) = spec.definition.health_checks().first() else { return };
        let before = task.health;
        let mut health = before;
        if self.passes(&task, at) {
            health.alive = Some(true);
            health.failures = 0;
            health.first_success = before.first_success.or(Some(at));
            health.last_success = Some(at);
        } else {
            let grace = self.pace.seconds(check["gracePeriodSeconds"].as_f64().unwrap_or(300.0));
            let in_grace =
                before.first_success.is_none() && task.started.is_none_or(|start| at - start < grace);
            health.alive = Some(false);
            health.last_failure = Some(at);
            health.failures += u64::from(!in_grace);
        }
        if let Some(task) = self.task_mut(id) {
            task.health = health;
        }
        let alive = health.alive == Some(true);
        if before.alive.unwrap_or(false) != alive {
            self.publish(Event::health_status_changed(&task, alive), at);
            self.publish(Event::instance_health_changed(&task, alive), at);
        }
        if alive {
            // Nothing but a script changes what the next check would find, and scripts are for new instances.
            return;
        }
        self.publish(Event::failed_health_check(&task, check), at);
        let limit = check["maxConsecutiveFailures"].as_u64().unwrap_or(3);
        if limit > 0 && health.failures >= limit {
            self.kill_unhealthy(&task, at);
        } else {
            let next = at + self.interval(check, 60.0);
            self.schedule.add(next, Occurrence::HealthCheck(task.id));
        }
    }

    fn kill_unhealthy(&mut self, task: &Task, at: OffsetDateTime) {
        let reason = "health check failed too often";
        let modern = self.config.profile.since(1, 4);
        self.publish(Event::unhealthy_kill(task, reason, modern), at);
        let message = format!("Task was killed since health check failed. Reason: {reason}");
        let failure = Failure { task: task.clone(), message, state: TaskState::Killed, at };
        self.failures.insert(task.app.clone(), failure);
        self.kill(&task.id, at);
    }

    pub(super) fn check_readiness(&mut self, id: &str, at: OffsetDateTime) {
        let Some(task) = self.task(id).filter(|task| task.state == TaskState::Running).cloned() else {
            return;
        };
        let Some(spec) = self.root.apps.get(&task.app).cloned() else { return };
        let Some(check) = spec.definition.readiness_check() else { return };
        if task.behaviour != Behaviour::NeverReady && self.passes(&task, at) {
            if let Some(task) = self.task_mut(id) {
                task.ready = Some(true);
            }
        } else {
            let next = at + self.interval(check, 30.0);
            self.schedule.add(next, Occurrence::ReadinessCheck(task.id));
        }
    }

    /// Begins to kill an instance, unless that has begun.
    pub(crate) fn kill(&mut self, id: &str, at: OffsetDateTime) {
        let dies = at + self.pace.scaled(pace::KILL);
        let Some(task) = self.task_mut(id).filter(|task| !task.is_dying()) else { return };
        task.state = TaskState::Killing;
        let task = task.clone();
        if task.behaviour != Behaviour::Unkillable {
            self.schedule.add(dies, Occurrence::Dies(task.id.clone()));
        }
        self.publish(Event::instance_changed(&task), at);
    }

    pub(super) fn dies(&mut self, id: &str, at: OffsetDateTime) {
        self.end(id, TaskState::Killed, "Command terminated with signal Terminated", at);
    }

    /// An instance is no more. What that means for its app is decided by its deployment, or else by a balance.
    pub(crate) fn end(&mut self, id: &str, state: TaskState, message: &str, at: OffsetDateTime) {
        let Some(place) = self.tasks.iter().position(|task| task.id == id) else { return };
        let mut task = self.tasks.remove(place);
        if matches!(state, TaskState::Failed | TaskState::Lost) {
            let (task, message) = (task.clone(), message.to_owned());
            self.failures.insert(task.app.clone(), Failure { task, message, state, at });
        }
        if matches!(state, TaskState::Failed | TaskState::Finished | TaskState::Lost) && !task.is_dying() {
            self.delay_launches(&task.app, at);
        }
        task.state = state;
        self.publish(Event::status_update(&task, state, message), at);
        self.publish(Event::instance_changed(&task), at);
        self.schedule.add(at, Occurrence::Balance(task.app.clone()));
        self.ended.push(task);
        if self.ended.len() > 200 {
            self.ended.remove(0);
        }
    }

    /// What has to go when there are too many: dead weight first, then by the app's `killSelection`.
    pub(super) fn first_to_go(&self, spec: &Spec, count: usize) -> Vec<String> {
        let mut living: Vec<&Task> = self.tasks_of(&spec.id).filter(|task| !task.is_dying()).collect();
        living.sort_by_key(|task| task.staged);
        if !spec.definition.kills_oldest_first() {
            living.reverse();
        }
        living.sort_by_key(|task| task.is_healthy());
        living.into_iter().take(count).map(|task| task.id.clone()).collect()
    }
}
