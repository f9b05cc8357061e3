//! One Marathon with its nodes, its apps and the Mesos cluster below it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::behaviour::Script;
use super::config::MarathonConfig;
use super::definition::Resources;
use super::deployment::Deployment;
use super::events::Bus;
use super::nodes::Node;
use super::pace::Pace;
use super::path::PathId;
use super::queue::{Agent, Delay, Queued};
use super::root::{Root, Spec};
use super::schedule::{Occurrence, Schedule};
use super::service::{Foreign, OutOfService};
use super::tasks::{Failure, Task, TaskState};

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    /// The stack whose bay this is, if it is one.
    pub(crate) stack: Option<String>,
    pub(crate) config: MarathonConfig,
    pub(crate) framework_id: String,
    pub(crate) pace: Pace,
    pub(crate) nodes: Vec<Node>,
    /// Where the Mesos masters listen; the first leads.
    pub(crate) masters: Vec<SocketAddr>,
    pub(crate) leader: Option<usize>,
    pub(crate) root: Root,
    /// Every root so far, oldest first, as many as are kept.
    pub(crate) roots: Vec<Root>,
    /// Every version of the apps that are there, oldest first, as many as are kept.
    pub(crate) versions: BTreeMap<PathId, Vec<Arc<Spec>>>,
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) tasks: Vec<Task>,
    /// Instances that are no more, as Mesos remembers them.
    pub(crate) ended: Vec<Task>,
    pub(crate) failures: BTreeMap<PathId, Failure>,
    pub(crate) queue: BTreeMap<PathId, Queued>,
    pub(crate) delays: BTreeMap<PathId, Delay>,
    pub(crate) agents: Vec<Agent>,
    /// The machines, whether or not they are down.
    pub(super) hosts: Vec<String>,
    pub(crate) service: OutOfService,
    pub(crate) foreign: Vec<Foreign>,
    pub(super) foreign_so_far: u64,
    pub(crate) scripts: Vec<Script>,
    pub(crate) bus: Bus,
    pub(crate) schedule: Schedule,
    next_agent: usize,
    next_host_port: u64,
    next_service_port: u64,
}

impl Cluster {
    pub(crate) fn new(
        name: &str,
        config: MarathonConfig,
        nodes: &[SocketAddr],
        masters: &[SocketAddr],
        now: OffsetDateTime,
    ) -> Self {
        let root = Root::new(to_millis(now));
        let mut cluster = Self {
            name: name.to_owned(),
            stack: None,
            framework_id: format!("{}-0000", Uuid::new_v4()),
            pace: Pace::new(config.speed),
            nodes: nodes.iter().map(|address| Node { address: *address, up: true }).collect(),
            masters: masters.to_vec(),
            leader: Some(0),
            roots: vec![root.clone()],
            root,
            versions: BTreeMap::new(),
            deployments: Vec::new(),
            tasks: Vec::new(),
            ended: Vec::new(),
            failures: BTreeMap::new(),
            queue: BTreeMap::new(),
            delays: BTreeMap::new(),
            agents: Vec::new(),
            hosts: Vec::new(),
            service: OutOfService::default(),
            foreign: Vec::new(),
            foreign_so_far: 0,
            scripts: Vec::new(),
            bus: Bus::default(),
            schedule: Schedule::default(),
            next_agent: 0,
            next_host_port: 31_000,
            next_service_port: 10_000,
            config,
        };
        let hosts = cluster.config.agents.clone();
        cluster.set_agents(&hosts, now);
        cluster
    }

    /// Makes the agents those hosts; what ran on others is lost.
    pub(crate) fn set_agents(&mut self, hosts: &[String], at: OffsetDateTime) {
        self.hosts = hosts.to_vec();
        let hosts: Vec<&String> = hosts.iter().filter(|host| !self.service.down.contains(*host)).collect();
        let (stay, leave): (Vec<Agent>, Vec<Agent>) =
            self.agents.drain(..).partition(|agent| hosts.contains(&&agent.host));
        self.agents = stay;
        for host in &hosts {
            if self.agents.iter().all(|agent| agent.host != **host) {
                let (cpus, mem) = (self.config.agent_cpus, self.config.agent_mem);
                let id = format!("{}-S{}", self.framework_id.trim_end_matches("-0000"), self.next_agent);
                self.next_agent += 1;
                let total = Resources { cpus, mem, disk: 100_000.0, gpus: 0.0 };
                self.agents.push(Agent { id, host: (*host).clone(), total });
            }
        }
        self.foreign.retain(|task| leave.iter().all(|agent| agent.id != task.agent));
        let gone = |task: &&Task| leave.iter().any(|agent| agent.id == task.agent);
        let lost: Vec<String> = self.tasks.iter().filter(gone).map(|task| task.id.clone()).collect();
        for id in lost {
            self.end(&id, TaskState::Lost, "Agent removed", at);
        }
    }

    /// Lets everything happen whose time has come, each at its own time; says whether there was anything.
    pub(crate) fn settle(&mut self, now: OffsetDateTime) -> bool {
        let mut happened = false;
        while let Some((at, what)) = self.schedule.take_due(now) {
            match what {
                Occurrence::Begin(deployment) => self.begin(&deployment, at),
                Occurrence::Offer(app) => self.offer(&app, at),
                Occurrence::Runs(task) => self.runs(&task, at),
                Occurrence::Ends(task) => self.ends(&task, at),
                Occurrence::HealthCheck(task) => self.check_health(&task, at),
                Occurrence::ReadinessCheck(task) => self.check_readiness(&task, at),
                Occurrence::Dies(task) => self.dies(&task, at),
                Occurrence::Balance(app) => {
                    if !self.is_locked(&app) {
                        self.balance(&app, at);
                    }
                }
                Occurrence::Elect(node) => self.elect(node, at),
            }
            self.progress(at);
            happened = true;
        }
        happened
    }

    /// A version that is newer than any before.
    pub(crate) fn new_version(&self, now: OffsetDateTime) -> OffsetDateTime {
        to_millis(now).max(self.root.version + Duration::from_millis(1))
    }

    /// Makes a root the one that is wanted, and remembers it and the versions in it.
    pub(super) fn remember(&mut self, root: Root) {
        let kept = self.config.profile.versions_kept;
        self.versions.retain(|id, _| root.apps.contains_key(id));
        for (id, spec) in &root.apps {
            let versions = self.versions.entry(id.clone()).or_default();
            if versions.last().is_none_or(|last| last.version != spec.version) {
                versions.push(Arc::clone(spec));
                let surplus = versions.len().saturating_sub(kept);
                versions.drain(..surplus);
            }
        }
        self.root = root;
        self.roots.push(self.root.clone());
        let surplus = self.roots.len().saturating_sub(kept);
        self.roots.drain(..surplus);
    }

    pub(super) fn max_deployments(&self) -> Option<usize> {
        self.config.max_deployments.or(self.config.profile.max_deployments)
    }

    pub(super) fn next_host_port(&mut self) -> u64 {
        self.next_host_port = if self.next_host_port >= 32_000 { 31_000 } else { self.next_host_port + 1 };
        self.next_host_port
    }

    /// A service port that no app of `root` has.
    pub(crate) fn next_service_port(&mut self, root: &Root) -> u64 {
        loop {
            let port = self.next_service_port;
            self.next_service_port = if port >= 20_000 { 10_000 } else { port + 1 };
            if root.apps.values().all(|spec| !spec.definition.service_ports().contains(&port)) {
                return port;
            }
        }
    }
}

/// What a version keeps of a time.
fn to_millis(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_millisecond(at.millisecond()).expect("a millisecond of a time is a valid one")
}
