//! What the masters say, as far as it is read.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::{is_over, means};
use crate::framework::agents::{Agent, AgentId, Census, Closed, Load, Share};

/// As much of a master's state as tells what runs where.
#[derive(Deserialize)]
pub(super) struct State {
    #[serde(default)]
    version: String,
    #[serde(default)]
    slaves: Vec<Slave>,
    #[serde(default)]
    frameworks: Vec<Framework>,
    /// Of frameworks that have not come back yet; older releases.
    #[serde(default)]
    orphan_tasks: Vec<Task>,
}

/// As much of a master's state as tells how loaded its agents are. Of a state of many megabytes hardly anything is kept.
#[derive(Deserialize)]
pub(super) struct Usage {
    #[serde(default)]
    pid: Option<String>,
    #[serde(default)]
    leader: Option<String>,
    #[serde(default)]
    slaves: Vec<Loaded>,
}

#[derive(Deserialize)]
struct Loaded {
    #[serde(default = "yes")]
    active: bool,
    #[serde(default)]
    resources: Amounts,
    #[serde(default)]
    used_resources: Amounts,
}

#[derive(Deserialize, Default)]
struct Amounts {
    #[serde(default)]
    cpus: f64,
    #[serde(default)]
    mem: f64,
}

/// Releases that do not say whether an agent is connected list those that are.
fn yes() -> bool {
    true
}

impl Usage {
    /// What the leader knows; `None` from any other master.
    pub(super) fn load(&self) -> Option<Load> {
        if self.leader.is_some() && self.leader != self.pid {
            return None;
        }
        let active: Vec<&Loaded> = self.slaves.iter().filter(|slave| slave.active).collect();
        let share = |amount: fn(&Amounts) -> f64| Share {
            used: active.iter().map(|slave| amount(&slave.used_resources)).sum(),
            total: active.iter().map(|slave| amount(&slave.resources)).sum(),
        };
        Some(Load {
            registered: self.slaves.len(),
            active: active.len(),
            cpus: share(|amounts| amounts.cpus),
            memory: share(|amounts| amounts.mem),
        })
    }
}

#[derive(Deserialize)]
struct Slave {
    id: String,
    #[serde(default)]
    hostname: String,
    /// `slave(1)@10.0.0.7:5051`.
    #[serde(default)]
    pid: String,
    #[serde(default)]
    deactivated: bool,
    #[serde(default)]
    drain_info: Option<DrainInfo>,
}

#[derive(Deserialize)]
struct DrainInfo {
    #[serde(default)]
    state: String,
}

#[derive(Deserialize)]
struct Framework {
    #[serde(default)]
    tasks: Vec<Task>,
}

#[derive(Deserialize)]
struct Task {
    #[serde(default)]
    slave_id: String,
    #[serde(default)]
    state: String,
}

impl State {
    pub(super) fn census(self) -> Census {
        let Self { version, slaves, frameworks, orphan_tasks } = self;
        let tasks = frameworks.iter().flat_map(|framework| &framework.tasks).chain(&orphan_tasks);
        let living: Vec<&Task> = tasks.filter(|task| !is_over(&task.state)).collect();
        let agents = slaves.into_iter().map(|slave| Agent {
            tasks: living.iter().filter(|task| task.slave_id == slave.id).count(),
            closed: slave.closed(),
            id: AgentId { address: address(&slave.pid).to_owned(), id: slave.id, hostname: slave.hostname },
        });
        Census { means: means(&version), agents: agents.collect() }
    }
}

impl Slave {
    fn closed(&self) -> Closed {
        match &self.drain_info {
            Some(info) if info.state == "DRAINING" => Closed::Draining,
            Some(_) => Closed::Yes,
            None if self.deactivated => Closed::Yes,
            None => Closed::No,
        }
    }
}

fn address(pid: &str) -> &str {
    let place = pid.rsplit_once('@').map_or(pid, |(_, place)| place);
    place.rsplit_once(':').map_or(place, |(address, _)| address).trim_matches(['[', ']'])
}

/// The maintenance schedule. Windows of others are kept as they came.
#[derive(Deserialize, Serialize, Default)]
pub(super) struct Schedule {
    #[serde(default)]
    windows: Vec<Window>,
}

#[derive(Deserialize, Serialize)]
struct Window {
    #[serde(default)]
    machine_ids: Vec<Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A machine's name is read without regard to case.
fn is_machine(machine: &Value, agent: &AgentId) -> bool {
    let text = |name: &str| machine.get(name).and_then(Value::as_str).unwrap_or_default();
    text("hostname").eq_ignore_ascii_case(&agent.hostname) && text("ip") == agent.address
}

impl Schedule {
    pub(super) fn has(&self, agent: &AgentId) -> bool {
        self.windows.iter().flat_map(|window| &window.machine_ids).any(|machine| is_machine(machine, agent))
    }

    /// Machines that are out of service from now on, for nobody knows how long.
    pub(super) fn add(&mut self, machines: Vec<Value>, now: OffsetDateTime) {
        let start = json!({ "start": { "nanoseconds": now.unix_timestamp() * 1_000_000_000 } });
        let rest = Map::from_iter([("unavailability".to_owned(), start)]);
        self.windows.push(Window { machine_ids: machines, rest });
    }

    /// Whether any of them was in it.
    pub(super) fn remove<'a>(&mut self, agents: impl Iterator<Item = &'a AgentId>) -> bool {
        let count =
            |schedule: &Self| schedule.windows.iter().map(|window| window.machine_ids.len()).sum::<usize>();
        let before = count(self);
        for agent in agents {
            for window in &mut self.windows {
                window.machine_ids.retain(|machine| !is_machine(machine, agent));
            }
        }
        // A window without machines is refused.
        self.windows.retain(|window| !window.machine_ids.is_empty());
        count(self) < before
    }
}

/// Which machines are in which mode.
#[derive(Deserialize, Default)]
pub(super) struct Status {
    #[serde(default)]
    down_machines: Vec<Value>,
}

impl Status {
    pub(super) fn is_down(&self, agent: &AgentId) -> bool {
        self.down_machines.iter().any(|machine| is_machine(machine, agent))
    }
}
