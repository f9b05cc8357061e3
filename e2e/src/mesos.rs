//! A master of Mesos at the address of a bay's master, where no node runs: it says what runs where, and drains.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const PORT: u16 = 5050;

/// How many tasks each agent runs, by its address, and whether it was drained.
type Agents = Arc<Mutex<BTreeMap<String, Agent>>>;

#[derive(Debug, Clone, Copy, Default)]
struct Agent {
    tasks: usize,
    drained: bool,
}

/// Serves until it is dropped.
#[derive(Debug)]
pub(crate) struct Master {
    agents: Agents,
    _serving: JoinSet<std::io::Result<()>>,
}

impl Master {
    /// At that address of this machine. What every agent runs is given by its address.
    pub(crate) async fn start(address: &str, tasks: &[(&str, usize)]) -> anyhow::Result<Self> {
        let agent = |tasks| Agent { tasks, drained: false };
        let known = tasks.iter().map(|(address, tasks)| ((*address).to_owned(), agent(*tasks)));
        let agents: Agents = Arc::new(Mutex::new(known.collect()));
        let listener = TcpListener::bind((address, PORT)).await?;
        let router = Router::new()
            .route("/state", get(state))
            .route("/master/state", get(state))
            .route("/api/v1", post(operate))
            .with_state(Arc::clone(&agents));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await });
        Ok(Self { agents, _serving: serving })
    }

    /// The agents that were drained.
    pub(crate) fn drained(&self) -> Vec<String> {
        let agents = lock(&self.agents);
        agents.iter().filter(|(_, agent)| agent.drained).map(|(address, _)| address.clone()).collect()
    }
}

fn lock(agents: &Agents) -> MutexGuard<'_, BTreeMap<String, Agent>> {
    agents.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn state(State(agents): State<Agents>) -> Json<Value> {
    let agents = lock(&agents).clone();
    let slaves = agents.iter().map(|(address, agent)| {
        let mut slave = json!({
            "id": address, "hostname": address, "pid": format!("slave(1)@{address}:5051"),
            "active": true, "deactivated": agent.drained,
        });
        if agent.drained {
            slave["drain_info"] = json!({ "state": "DRAINED", "config": {} });
        }
        slave
    });
    let tasks = agents.iter().flat_map(|(address, agent)| {
        let task = move |number| {
            json!({ "id": format!("{address}-{number}"), "slave_id": address, "state": "TASK_RUNNING" })
        };
        (0..agent.tasks).map(task)
    });
    let frameworks = [json!({ "id": "framework", "name": "batch", "tasks": tasks.collect::<Vec<_>>() })];
    Json(json!({ "version": "1.11.0", "slaves": slaves.collect::<Vec<_>>(), "frameworks": frameworks }))
}

/// A drained agent's tasks go elsewhere, which nobody asks about here.
async fn operate(State(agents): State<Agents>, Json(call): Json<Value>) {
    let mut agents = lock(&agents);
    let named = |verb: &str| call[verb]["agent_id"]["value"].as_str().map(str::to_owned);
    if let Some(agent) = named("drain_agent").and_then(|id| agents.get_mut(&id)) {
        *agent = Agent { tasks: 0, drained: true };
    }
    if let Some(agent) = named("reactivate_agent").and_then(|id| agents.get_mut(&id)) {
        agent.drained = false;
    }
}
