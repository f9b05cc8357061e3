//! The launch queue: what waits for an offer, how long, and why the offers so far were not good enough.

use std::time::Duration;

use time::OffsetDateTime;

use super::behaviour::Behaviour;
use super::cluster::Cluster;
use super::definition::Resources;
use super::pace;
use super::path::PathId;
use super::root::Spec;
use super::schedule::Occurrence;
use super::tasks::Task;

/// The reasons to decline an offer, in the order in which they are looked at.
pub(crate) const REASONS: [&str; 10] = [
    "UnfulfilledRole",
    "UnfulfilledConstraint",
    "NoCorrespondingReservationFound",
    "AgentMaintenance",
    "InsufficientCpus",
    "InsufficientMemory",
    "InsufficientDisk",
    "InsufficientGpus",
    "InsufficientPorts",
    "DeclinedScarceResources",
];

/// A machine of the Mesos cluster.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) total: Resources,
}

/// For each reason, how many offers it declined.
pub(crate) type Declined = [u64; REASONS.len()];

/// An offer that was not used.
#[derive(Debug, Clone)]
pub(crate) struct Unused {
    pub(crate) agent: Agent,
    pub(crate) free: Resources,
    pub(crate) reason: usize,
    pub(crate) at: OffsetDateTime,
}

/// What one app has waiting.
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub(crate) count: usize,
    pub(crate) since: OffsetDateTime,
    pub(crate) processed: u64,
    pub(crate) last_used: Option<OffsetDateTime>,
    pub(crate) last_unused: Option<OffsetDateTime>,
    /// Over all offers of this launch attempt, and over those of the last round.
    pub(crate) declined: Declined,
    pub(crate) processed_last: u64,
    pub(crate) declined_last: Declined,
    pub(crate) unused: Vec<Unused>,
}

/// How long failed launches hold back the next one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delay {
    /// The configuration it was earned by: another one starts afresh.
    configured: OffsetDateTime,
    seconds: f64,
    pub(crate) until: OffsetDateTime,
}

impl Cluster {
    pub(super) fn queued(&self, app: &PathId) -> usize {
        self.queue.get(app).map_or(0, |queued| queued.count)
    }

    pub(super) fn enqueue(&mut self, spec: &Spec, count: usize, at: OffsetDateTime) {
        let queued = self.queue.entry(spec.id.clone()).or_insert_with(|| Queued {
            count: 0,
            since: at,
            processed: 0,
            last_used: None,
            last_unused: None,
            declined: Declined::default(),
            processed_last: 0,
            declined_last: Declined::default(),
            unused: Vec::new(),
        });
        queued.count += count;
        self.expect_offer(&spec.id, at + self.pace.scaled(pace::OFFER));
    }

    /// Takes up to so many instances out of the queue; says how many.
    pub(super) fn unqueue(&mut self, app: &PathId, count: usize) -> usize {
        let Some(queued) = self.queue.get_mut(app) else { return 0 };
        let taken = queued.count.min(count);
        queued.count -= taken;
        if queued.count == 0 {
            self.queue.remove(app);
        }
        taken
    }

    /// There is one next offer for an app, however often it is asked for.
    fn expect_offer(&mut self, app: &PathId, at: OffsetDateTime) {
        let held = self.delay(app).map_or(at, |delay| delay.until.max(at));
        let offer = Occurrence::Offer(app.clone());
        self.schedule.forget(|what| *what == offer);
        self.schedule.add(held, offer);
    }

    /// The delay that holds for the app's present configuration.
    pub(crate) fn delay(&self, app: &PathId) -> Option<Delay> {
        let configured = self.root.apps.get(app)?.configured;
        self.delays.get(app).copied().filter(|delay| delay.configured == configured)
    }

    pub(super) fn delay_launches(&mut self, app: &PathId, at: OffsetDateTime) {
        let Some(spec) = self.root.apps.get(app).cloned() else { return };
        let retry = spec.definition.retry();
        let seconds = self.delay(app).map_or(retry.seconds, |delay| delay.seconds * retry.factor);
        let seconds = seconds.min(retry.max_seconds);
        let delay = Delay { configured: spec.configured, seconds, until: at + self.pace.seconds(seconds) };
        self.delays.insert(app.clone(), delay);
    }

    /// Forgets the delay of an app; false when nothing of it waits.
    pub(crate) fn reset_delay(&mut self, app: &PathId, at: OffsetDateTime) -> bool {
        if self.queued(app) == 0 {
            return false;
        }
        self.delays.remove(app);
        self.expect_offer(app, at);
        true
    }

    /// Mesos offers every agent once: each takes as many instances as fit.
    pub(super) fn offer(&mut self, app: &PathId, at: OffsetDateTime) {
        let Some(spec) = self.root.apps.get(app).cloned() else {
            self.queue.remove(app);
            return;
        };
        if self.queued(app) == 0 {
            return;
        }
        if let Some(queued) = self.queue.get_mut(app) {
            (queued.processed_last, queued.declined_last) = (0, Declined::default());
            queued.unused.clear();
        }
        while self.queued(app) > 0 {
            let Some(agent) = self.best_agent(&spec, at) else { break };
            self.launch(&spec, (agent.id, agent.host), at);
            if let Some(queued) = self.queue.get_mut(app) {
                queued.count -= 1;
                queued.processed += 1;
                queued.last_used = Some(at);
            }
        }
        if self.queued(app) == 0 {
            self.queue.remove(app);
        } else {
            self.expect_offer(app, at + self.pace.scaled(pace::REVIVE));
        }
    }

    /// The agent with the most room of those that fit; the others are counted with their reasons.
    fn best_agent(&mut self, spec: &Spec, at: OffsetDateTime) -> Option<Agent> {
        let unschedulable = match self.behaviour(spec) {
            Behaviour::Unschedulable { reason } => {
                Some(REASONS.iter().position(|known| *known == reason).unwrap_or(1))
            }
            Behaviour::Healthy { .. }
            | Behaviour::NeverHealthy
            | Behaviour::NeverReady
            | Behaviour::CrashLoop { .. }
            | Behaviour::Finishes { .. }
            | Behaviour::StuckStaging
            | Behaviour::Unkillable => None,
        };
        let mut best: Option<(Agent, Resources)> = None;
        let mut unused = Vec::new();
        for agent in self.agents.iter().filter(|agent| self.is_offered(agent)) {
            let free = self.free(agent);
            match unschedulable.or_else(|| self.objection(spec, agent, free)) {
                Some(reason) => unused.push(Unused { agent: agent.clone(), free, reason, at }),
                None if best.as_ref().is_none_or(|(_, most)| free.cpus > most.cpus) => {
                    best = Some((agent.clone(), free));
                }
                None => {}
            }
        }
        // What is declined while another agent is good enough is nobody's news.
        if best.is_none()
            && let Some(queued) = self.queue.get_mut(&spec.id)
        {
            for offer in &unused {
                queued.processed += 1;
                queued.processed_last += 1;
                queued.declined[offer.reason] += 1;
                queued.declined_last[offer.reason] += 1;
                queued.last_unused = Some(at);
            }
            queued.unused = unused;
        }
        best.map(|(agent, _)| agent)
    }

    pub(crate) fn used(&self, agent: &Agent) -> Resources {
        let on_it = self.tasks.iter().filter(|task| task.agent == agent.id);
        on_it.map(|task| task.resources).fold(Resources::default(), Resources::plus)
    }

    fn free(&self, agent: &Agent) -> Resources {
        let (total, used) = (agent.total, self.used(agent));
        Resources {
            cpus: total.cpus - used.cpus,
            mem: total.mem - used.mem,
            disk: total.disk - used.disk,
            gpus: total.gpus - used.gpus,
        }
    }

    /// The first reason why an agent will not do, as its place in [`REASONS`].
    fn objection(&self, spec: &Spec, agent: &Agent, free: Resources) -> Option<usize> {
        // What is left over after many subtractions of, say, 0.1 is not exact.
        const TOLERANCE: f64 = 1e-6;
        let needed = spec.definition.resources();
        let lacks = |needed: f64, free: f64| needed > free + TOLERANCE;
        let maintained = self.config.profile.since(1, 7) && self.service.is_scheduled(&agent.host);
        let objections = [
            (0, !spec.definition.accepts_any_role()),
            (1, !self.fulfils_constraints(spec, agent)),
            (3, maintained),
            (4, lacks(needed.cpus, free.cpus)),
            (5, lacks(needed.mem, free.mem)),
            (6, lacks(needed.disk, free.disk)),
            (7, lacks(needed.gpus, free.gpus)),
        ];
        objections.into_iter().find(|(_, holds)| *holds).map(|(reason, _)| reason)
    }

    /// Constraints on the hostname by value and by count; patterns and other fields are not looked at.
    fn fulfils_constraints(&self, spec: &Spec, agent: &Agent) -> bool {
        let current = |task: &&Task| task.version >= spec.configured && !task.is_dying();
        let here = self.tasks_of(&spec.id).filter(current).filter(|task| task.agent == agent.id).count();
        spec.definition.constraints().filter(|(field, ..)| *field == "hostname").all(
            |(_, operator, value)| match operator {
                "UNIQUE" => here == 0,
                "MAX_PER" => value.parse().is_ok_and(|most: usize| here < most),
                "IS" | "CLUSTER" if !value.is_empty() => agent.host == value,
                _ => true,
            },
        )
    }
}

impl Delay {
    pub(crate) fn left(&self, now: OffsetDateTime) -> Duration {
        (self.until - now).try_into().unwrap_or_default()
    }
}
