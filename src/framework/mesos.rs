//! The masters of Mesos 0.25 to 1.11 behind the port [`Agents`].
//!
//! Only the leading master answers; the others would send us on to where it is for the nodes, which need not be where
//! it is for us. So the bay's own addresses are asked in turn.

#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::Observer;
use super::agents::{Agent, AgentId, Agents, Census, Closed, Load, Means};
use super::credentials::Login;
use super::endpoint::Endpoint;
use super::error::{Error, Result};
use super::marathon::client::{Client, Deadline, Request};
use wire::{Schedule, Status};

const SCHEDULE: &[&str] = &["maintenance", "schedule"];
const STATUS: &[&str] = &["maintenance", "status"];

/// One bay's masters.
pub struct Mesos {
    client: Client,
}

impl Mesos {
    /// `http` is a pool that follows no redirects and has no timeout of its own.
    pub fn new(
        http: reqwest::Client,
        endpoint: Endpoint,
        login: &Login,
        request_timeout: Duration,
        observer: Arc<dyn Observer>,
    ) -> Result<Self> {
        let client =
            Client::new(http, endpoint, login, request_timeout, observer)?.where_only_leaders_answer();
        Ok(Self { client })
    }

    async fn operate(&self, verb: &str, agent: &AgentId, within: Duration) -> Result<()> {
        let body = json!({ "type": verb.to_uppercase(), verb: { "agent_id": { "value": agent.id } } });
        self.client.send(Request::post(&["api", "v1"]).json(&body), within).await?;
        Ok(())
    }

    async fn schedule(&self, within: Duration) -> Result<Schedule> {
        self.client.send(Request::get(SCHEDULE), within).await?.json()
    }

    async fn put_schedule(&self, schedule: &Schedule, within: Duration) -> Result<()> {
        self.client.send(Request::post(SCHEDULE).json(schedule), within).await?;
        Ok(())
    }

    async fn machines(&self, to: &str, machines: &[Value], within: Duration) -> Result<()> {
        self.client.send(Request::post(&["machine", to]).json(&machines), within).await?;
        Ok(())
    }
}

/// An agent's machine, as the maintenance schedule knows it: both must be what the agent registered with.
fn machine(agent: &AgentId) -> Value {
    json!({ "hostname": agent.hostname, "ip": agent.address })
}

#[async_trait]
impl Agents for Mesos {
    async fn census(&self, within: Duration) -> Result<Census> {
        let deadline = Deadline::within(within);
        let state: wire::State =
            self.client.send(Request::get(&["state"]), deadline.remaining()).await?.json()?;
        let mut census = state.census();
        if census.means == Means::Maintenance {
            let scheduled = self.schedule(deadline.remaining()).await?;
            for agent in &mut census.agents {
                if scheduled.has(&agent.id) {
                    agent.closed = Closed::Yes;
                }
            }
        }
        Ok(census)
    }

    async fn load(&self, within: Duration) -> Result<Load> {
        let deadline = Deadline::within(within);
        for _ in 0..self.client.masters_count() {
            let answer = self.client.send(Request::get(&["state"]), deadline.remaining()).await?;
            if let Some(load) = answer.json::<wire::Usage>()?.load() {
                return Ok(load);
            }
            // Old releases answer although they do not lead, and know of no agents then.
            self.client.pass_over();
        }
        Err(Error::Unavailable { message: "none of the masters leads".to_owned(), retry_after: None })
    }

    async fn close(&self, census: &Census, agents: &[Agent], within: Duration) -> Result<()> {
        let deadline = Deadline::within(within);
        // One that was deactivated by hand gets no new work, but keeps what it has.
        let keeps =
            |agent: &Agent| census.means == Means::Drain && agent.closed == Closed::Yes && agent.tasks > 0;
        let open: Vec<&Agent> =
            agents.iter().filter(|agent| agent.closed == Closed::No || keeps(agent)).collect();
        match census.means {
            Means::None => Ok(()),
            _ if open.is_empty() => Ok(()),
            Means::Drain => {
                for agent in open {
                    self.operate("drain_agent", &agent.id, deadline.remaining()).await?;
                }
                Ok(())
            }
            Means::Maintenance => {
                // There is one schedule for all: what others have planned stays in it.
                let mut schedule = self.schedule(deadline.remaining()).await?;
                let machines: Vec<Value> = open.into_iter().map(|agent| machine(&agent.id)).collect();
                schedule.add(machines, OffsetDateTime::now_utc());
                self.put_schedule(&schedule, deadline.remaining()).await
            }
        }
    }

    async fn shut(&self, census: &Census, agents: &[Agent], within: Duration) -> Result<()> {
        if census.means != Means::Maintenance {
            return Ok(());
        }
        let deadline = Deadline::within(within);
        let status: Status = self.client.send(Request::get(STATUS), deadline.remaining()).await?.json()?;
        let up: Vec<Value> = agents
            .iter()
            .filter(|agent| !status.is_down(&agent.id))
            .map(|agent| machine(&agent.id))
            .collect();
        if up.is_empty() { Ok(()) } else { self.machines("down", &up, deadline.remaining()).await }
    }

    async fn open(&self, census: &Census, agents: &[Agent], within: Duration) -> Result<()> {
        let deadline = Deadline::within(within);
        match census.means {
            Means::None => Ok(()),
            Means::Drain => {
                for agent in agents.iter().filter(|agent| agent.closed == Closed::Yes) {
                    self.operate("reactivate_agent", &agent.id, deadline.remaining()).await?;
                }
                Ok(())
            }
            Means::Maintenance => {
                let status: Status =
                    self.client.send(Request::get(STATUS), deadline.remaining()).await?.json()?;
                let down: Vec<Value> = agents
                    .iter()
                    .filter(|agent| status.is_down(&agent.id))
                    .map(|agent| machine(&agent.id))
                    .collect();
                if !down.is_empty() {
                    // That takes them out of the schedule too.
                    self.machines("up", &down, deadline.remaining()).await?;
                }
                let mut schedule = self.schedule(deadline.remaining()).await?;
                if schedule.remove(agents.iter().map(|agent| &agent.id)) {
                    self.put_schedule(&schedule, deadline.remaining()).await?;
                }
                Ok(())
            }
        }
    }
}

/// The release that a master says it is: what it can do.
fn means(version: &str) -> Means {
    let mut numbers = version.split(['.', '-', '+']).map_while(|part| part.parse::<u32>().ok());
    match (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) {
        release if release >= (1, 9) => Means::Drain,
        release if release >= (0, 25) => Means::Maintenance,
        _ => Means::None,
    }
}

/// Whether a task does not come back from this state.
fn is_over(state: &str) -> bool {
    matches!(
        state,
        "TASK_FINISHED"
            | "TASK_FAILED"
            | "TASK_KILLED"
            | "TASK_ERROR"
            | "TASK_LOST"
            | "TASK_DROPPED"
            | "TASK_GONE"
            | "TASK_GONE_BY_OPERATOR"
    )
}
