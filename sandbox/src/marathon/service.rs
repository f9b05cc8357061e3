//! Agents that are kept from new work, and what other frameworks than Marathon run on them.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::cluster::Cluster;
use super::queue::Agent;

/// A task of some other framework's.
#[derive(Debug, Clone)]
pub(crate) struct Foreign {
    pub(crate) id: String,
    /// The agent's id.
    pub(crate) agent: String,
    /// Whether it goes on when it is told to end.
    pub(crate) stubborn: bool,
}

/// What operators have said about machines and agents.
#[derive(Debug, Default)]
pub(crate) struct OutOfService {
    /// The windows of the maintenance schedule, as they were posted.
    pub(crate) windows: Vec<Value>,
    /// Machines that are down, by their hostnames.
    pub(crate) down: Vec<String>,
    /// Agents that are drained or on the way to it, by their ids.
    draining: Vec<String>,
}

fn hostname(machine: &Value) -> &str {
    machine["hostname"].as_str().unwrap_or_default()
}

impl OutOfService {
    pub(crate) fn scheduled(&self) -> impl Iterator<Item = &Value> {
        self.windows.iter().flat_map(|window| window["machine_ids"].as_array().into_iter().flatten())
    }

    pub(crate) fn is_scheduled(&self, host: &str) -> bool {
        self.scheduled().any(|machine| hostname(machine) == host)
    }
}

impl Cluster {
    /// Has another framework run so many tasks on a host; false when there is no such agent.
    pub(crate) fn occupy(&mut self, host: &str, tasks: usize, stubborn: bool) -> bool {
        let Some(agent) = self.agents.iter().find(|agent| agent.host == host) else { return false };
        let agent = agent.id.clone();
        for _ in 0..tasks {
            self.foreign_so_far += 1;
            let id = format!("foreign-{}", self.foreign_so_far);
            self.foreign.push(Foreign { id, agent: agent.clone(), stubborn });
        }
        true
    }

    /// Ends the tasks of other frameworks on a host.
    pub(crate) fn vacate(&mut self, host: &str) {
        let on_it: Vec<String> =
            self.agents.iter().filter(|agent| agent.host == host).map(|agent| agent.id.clone()).collect();
        self.foreign.retain(|task| !on_it.contains(&task.agent));
    }

    /// How Mesos calls the state of an agent that is drained.
    pub(crate) fn drain_state(&self, agent: &Agent) -> Option<&'static str> {
        self.service
            .draining
            .contains(&agent.id)
            .then(|| if self.is_empty(agent) { "DRAINED" } else { "DRAINING" })
    }

    pub(crate) fn is_empty(&self, agent: &Agent) -> bool {
        self.tasks.iter().all(|task| task.agent != agent.id)
            && self.foreign.iter().all(|task| task.agent != agent.id)
    }

    fn agent(&self, id: &str) -> Result<Agent, String> {
        let found = self.agents.iter().find(|agent| agent.id == id).cloned();
        found.ok_or_else(|| format!("Agent {id} is not known"))
    }

    /// Ends what runs on an agent and offers it to nobody.
    pub(crate) fn drain(&mut self, id: &str, at: OffsetDateTime) -> Result<(), String> {
        let agent = self.agent(id)?;
        if !self.service.draining.contains(&agent.id) {
            self.service.draining.push(agent.id.clone());
        }
        let on_it: Vec<String> =
            self.tasks.iter().filter(|task| task.agent == agent.id).map(|task| task.id.clone()).collect();
        for task in on_it {
            self.kill(&task, at);
        }
        self.foreign.retain(|task| task.agent != agent.id || task.stubborn);
        Ok(())
    }

    pub(crate) fn reactivate(&mut self, id: &str) -> Result<(), String> {
        let agent = self.agent(id)?;
        if self.drain_state(&agent) == Some("DRAINING") {
            return Err(format!("Agent {id} is still in the DRAINING state"));
        }
        self.service.draining.retain(|draining| *draining != agent.id);
        Ok(())
    }

    /// Puts a schedule in the place of the one before.
    pub(crate) fn plan_maintenance(&mut self, schedule: &Value) -> Result<(), String> {
        let windows = schedule["windows"].as_array().cloned().unwrap_or_default();
        let mut seen: Vec<&str> = Vec::new();
        for window in &windows {
            let machines = window["machine_ids"].as_array().map(Vec::as_slice).unwrap_or_default();
            if machines.is_empty() {
                return Err("List of machines in the maintenance window is empty".to_owned());
            }
            if window["unavailability"]["start"]["nanoseconds"].as_i64().is_none() {
                return Err("Unavailability has no start".to_owned());
            }
            for machine in machines {
                if seen.contains(&hostname(machine)) {
                    return Err(format!("Machine '{machine}' appears more than once in the schedule"));
                }
                seen.push(hostname(machine));
            }
        }
        if let Some(down) = self.service.down.iter().find(|down| !seen.contains(&down.as_str())) {
            return Err(format!("Machine '{down}' is deactivated and cannot be removed from the schedule"));
        }
        self.service.windows = windows;
        Ok(())
    }

    /// Machines that are scheduled go down: their agents are gone with all that they run.
    pub(crate) fn take_down(&mut self, machines: &Value, at: OffsetDateTime) -> Result<(), String> {
        let machines = named(machines)?;
        if let Some(other) = machines.iter().find(|host| !self.service.is_scheduled(host)) {
            return Err(format!("Machine '{other}' is not in DRAINING mode and cannot be brought down"));
        }
        self.service.down.extend(machines);
        let hosts = self.hosts.clone();
        self.set_agents(&hosts, at);
        Ok(())
    }

    /// Machines that are down come back, and are not scheduled any more.
    pub(crate) fn bring_up(&mut self, machines: &Value, at: OffsetDateTime) -> Result<(), String> {
        let machines = named(machines)?;
        if let Some(other) = machines.iter().find(|host| !self.service.down.contains(host)) {
            return Err(format!("Machine '{other}' is not in DOWN mode and cannot be brought up"));
        }
        self.service.down.retain(|down| !machines.contains(down));
        for window in &mut self.service.windows {
            if let Some(ids) = window["machine_ids"].as_array_mut() {
                ids.retain(|machine| !machines.iter().any(|host| host == hostname(machine)));
            }
        }
        self.service
            .windows
            .retain(|window| window["machine_ids"].as_array().is_some_and(|ids| !ids.is_empty()));
        let hosts = self.hosts.clone();
        self.set_agents(&hosts, at);
        Ok(())
    }

    pub(crate) fn maintenance_status(&self) -> Value {
        let down = |machine: &&Value| self.service.down.iter().any(|down| down == hostname(machine));
        let draining = self.service.scheduled().filter(|machine| !down(machine));
        json!({
            "draining_machines": draining.map(|machine| json!({ "id": machine })).collect::<Vec<_>>(),
            "down_machines": self.service.scheduled().filter(down).collect::<Vec<_>>(),
        })
    }

    /// Whether new work is kept away from an agent, or is to be.
    pub(crate) fn is_closed(&self, agent: &Agent) -> bool {
        self.service.draining.contains(&agent.id) || self.service.is_scheduled(&agent.host)
    }

    /// Whether Mesos offers it to frameworks.
    pub(crate) fn is_offered(&self, agent: &Agent) -> bool {
        !self.service.draining.contains(&agent.id)
    }
}

fn named(machines: &Value) -> Result<Vec<String>, String> {
    let machines = machines.as_array().filter(|machines| !machines.is_empty());
    let machines = machines.ok_or_else(|| "List of machines is empty".to_owned())?;
    Ok(machines.iter().map(|machine| hostname(machine).to_owned()).collect())
}
