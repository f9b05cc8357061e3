//! What a test or the control API holds in its hands: one Marathon of the sandbox.

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::behaviour::Script;
use super::cluster::Cluster;
use super::path::PathId;
use super::tasks::TaskState;
use super::view::{self, Embed};
use crate::clusters::ClusterId;
use crate::world::Shared;

/// A Marathon that runs. Clones mean the same one; one whose bay is gone shows nothing and does nothing.
#[derive(Debug, Clone)]
pub struct Marathon {
    shared: Shared,
    id: ClusterId,
}

/// An event as the stream told it, without the groups in its plan.
#[derive(Debug, Clone, Serialize)]
pub struct MarathonEvent {
    pub kind: &'static str,
    pub body: Value,
}

impl Marathon {
    pub(crate) fn new(shared: Shared, id: ClusterId) -> Self {
        Self { shared, id }
    }

    fn look<T: Default>(&self, at: impl FnOnce(&Cluster) -> T) -> T {
        self.shared.world().clusters.get(self.id).map(at).unwrap_or_default()
    }

    fn change<T: Default>(&self, how: impl FnOnce(&mut Cluster, OffsetDateTime) -> T) -> T {
        let mut world = self.shared.world();
        let now = world.clock.now();
        let result = world.clusters.get_mut(self.id).map(|cluster| how(cluster, now)).unwrap_or_default();
        drop(world);
        self.shared.changed();
        result
    }

    /// The bay's stack name, or the name it was started with.
    #[must_use]
    pub fn name(&self) -> String {
        self.look(|cluster| cluster.name.clone())
    }

    /// The nodes' URLs, without a slash at their ends.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.look(|cluster| (0..cluster.nodes.len()).map(|node| cluster.node_url(node)).collect())
    }

    /// The first node's URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.urls().into_iter().next().unwrap_or_default()
    }

    /// The URLs of the Mesos masters; the first leads.
    #[must_use]
    pub fn mesos_urls(&self) -> Vec<String> {
        self.look(|cluster| cluster.masters.iter().map(|address| format!("http://{address}")).collect())
    }

    /// The node that leads, counted from zero.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        self.look(|cluster| cluster.leader)
    }

    /// An app as `/v2/apps/{id}` shows it.
    #[must_use]
    pub fn app(&self, id: &str) -> Option<Value> {
        let embed = Embed { readiness: true, ..Embed::default() }.alone();
        self.look(|cluster| {
            cluster.root.apps.get(&PathId::parse(id)).map(|spec| view::app_info(cluster, spec, embed))
        })
    }

    /// The ids of the apps.
    #[must_use]
    pub fn apps(&self) -> Vec<String> {
        self.look(|cluster| cluster.root.apps.keys().map(ToString::to_string).collect())
    }

    /// The deployments under way, the newest last, also those that are not listed yet.
    #[must_use]
    pub fn deployments(&self) -> Vec<Value> {
        self.look(|cluster| cluster.deployments.iter().map(|d| view::deployment(cluster, d)).collect())
    }

    /// Every event told so far; the oldest are forgotten after ten thousand.
    #[must_use]
    pub fn events(&self) -> Vec<MarathonEvent> {
        let event = |told: &super::events::Told| MarathonEvent { kind: told.kind, body: told.body.clone() };
        self.look(|cluster| cluster.bus.told.iter().map(event).collect())
    }

    /// How many deployments, counted by their ids, were begun since the start.
    #[must_use]
    pub fn deployments_begun(&self) -> usize {
        let events = self.events();
        let begun = events.iter().filter(|event| event.kind == "deployment_info");
        let mut ids: Vec<&str> = begun.filter_map(|event| event.body["plan"]["id"].as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len()
    }

    /// How many event streams are open.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.look(|cluster| cluster.bus.count())
    }

    /// Scripts how instances that are launched from now on behave.
    pub fn behave(&self, script: Script) {
        self.change(|cluster, _| cluster.scripts.push(script));
    }

    /// Forgets every script: whatever is launched from now on is healthy.
    pub fn clear_scripts(&self) {
        self.change(|cluster, _| cluster.scripts.clear());
    }

    /// Has all instances of an app fail now; says how many there were.
    pub fn fail_tasks(&self, app: &str, message: &str) -> usize {
        self.change(|cluster, now| cluster.fail_tasks(app, message, now))
    }

    /// Takes an agent away with everything that runs on it; false when there is no such host.
    pub fn lose_agent(&self, host: &str) -> bool {
        self.change(|cluster, now| {
            let before = cluster.agents.len();
            let left = cluster.agents.iter().map(|agent| agent.host.clone()).filter(|left| left != host);
            cluster.set_agents(&left.collect::<Vec<_>>(), now);
            cluster.agents.len() < before
        })
    }

    /// The Mesos agents by hostname.
    #[must_use]
    pub fn agents(&self) -> Vec<String> {
        self.look(|cluster| cluster.agents.iter().map(|agent| agent.host.clone()).collect())
    }

    /// The machines that new work is kept away from, or is to be: agents that are drained, and whatever the maintenance
    /// schedule names.
    #[must_use]
    pub fn closed(&self) -> Vec<String> {
        self.look(|cluster| {
            let agents = cluster.agents.iter().filter(|agent| cluster.is_closed(agent));
            let mut hosts: Vec<String> = agents.map(|agent| agent.host.clone()).collect();
            let scheduled = cluster.service.scheduled().filter_map(|machine| machine["hostname"].as_str());
            hosts.extend(scheduled.map(str::to_owned));
            hosts.sort();
            hosts.dedup();
            hosts
        })
    }

    /// Has another framework run so many tasks on a host; false when there is no such agent.
    pub fn occupy(&self, host: &str, tasks: usize) -> bool {
        self.change(|cluster, _| cluster.occupy(host, tasks, false))
    }

    /// Likewise, with tasks that do not end when they are told to.
    pub fn occupy_for_good(&self, host: &str, tasks: usize) -> bool {
        self.change(|cluster, _| cluster.occupy(host, tasks, true))
    }

    /// Ends the tasks of other frameworks on a host.
    pub fn vacate(&self, host: &str) {
        self.change(|cluster, _| cluster.vacate(host));
    }

    /// The leader is gone; the next node leads after the time of an election.
    pub fn fail_over(&self) {
        self.change(Cluster::fail_over);
    }

    /// The leader is gone, and nobody leads until [`Marathon::elect`].
    pub fn depose(&self) {
        self.change(|cluster, _| cluster.depose());
    }

    /// Makes a node the leader now.
    pub fn elect(&self, node: usize) {
        self.change(|cluster, now| cluster.elect(node, now));
    }

    /// Cuts a node off from everybody, or brings it back.
    pub fn set_up(&self, node: usize, up: bool) {
        self.change(|cluster, now| cluster.set_up(node, up, now));
    }

    /// Streams stay open and say nothing, not even a heartbeat, until this is undone; what happens meanwhile is
    /// never told.
    pub fn set_silent(&self, silent: bool) {
        self.change(|cluster, _| cluster.bus.silent = silent);
    }

    /// Ends it: its ports are closed and its apps forgotten. False when it was gone already.
    pub fn stop(&self) -> bool {
        let stopped = self.shared.world().clusters.close(self.id);
        self.shared.changed();
        stopped
    }

    /// Ends all event streams.
    pub fn close_streams(&self) {
        self.change(|cluster, _| cluster.bus.close());
    }
}

impl Cluster {
    pub(crate) fn fail_tasks(&mut self, app: &str, message: &str, now: OffsetDateTime) -> usize {
        let app = PathId::parse(app);
        let living = self.tasks_of(&app).filter(|task| !task.is_dying());
        let ids: Vec<String> = living.map(|task| task.id.clone()).collect();
        for id in &ids {
            self.end(id, TaskState::Failed, message, now);
        }
        ids.len()
    }
}
