//! What the worker asks of the machines below a bay's framework: what runs on each, whoever started it, and to keep new
//! work away from some.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::error::Result;

/// The agents of one bay, as its masters know them.
#[async_trait]
pub trait Agents: Send + Sync {
    /// Every agent that has registered, by one look at the leading master.
    async fn census(&self, within: Duration) -> Result<Census>;

    /// How much of the agents is in use, by one look at the leading master.
    async fn load(&self, within: Duration) -> Result<Load>;

    /// Keeps new work away from these agents. Where the masters can, they also end what runs there, for its frameworks
    /// to start it elsewhere. An agent that is closed already is left as it is.
    async fn close(&self, census: &Census, agents: &[Agent], within: Duration) -> Result<()>;

    /// Takes agents that were closed, and that run nothing, out of service, where that is one step more than closing
    /// them.
    async fn shut(&self, census: &Census, agents: &[Agent], within: Duration) -> Result<()>;

    /// Gives agents work again that were closed or shut. Of machines that are gone nothing is left, so that another one
    /// may have their address.
    async fn open(&self, census: &Census, agents: &[Agent], within: Duration) -> Result<()>;
}

/// All agents at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    pub means: Means,
    pub agents: Vec<Agent>,
}

/// How much of all agents together is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Agents that the masters know.
    pub registered: usize,
    /// Those of them that are connected.
    pub active: usize,
    pub cpus: Share,
    pub memory: Share,
}

/// A part of a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Share {
    pub used: f64,
    pub total: f64,
}

impl Share {
    /// Of nothing, nothing is used.
    pub fn percent(self) -> f64 {
        if self.total > 0.0 { self.used * 100.0 / self.total } else { 0.0 }
    }
}

/// How new work can be kept away from an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// The masters drain it: they end its tasks and offer it to nobody.
    Drain,
    /// The masters tell frameworks that it is going to be out of service; until it is, they may still use it.
    Maintenance,
    /// Not at all.
    None,
}

/// An agent, by what it is known by after it was closed, and as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    pub id: AgentId,
    /// Tasks that have not ended, of all frameworks.
    pub tasks: usize,
    pub closed: Closed,
}

/// How an agent is told from others. Stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentId {
    pub id: String,
    pub hostname: String,
    /// The address it registered from.
    pub address: String,
}

/// Whether new work is kept away from an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    No,
    /// What ran there is being ended; that cannot be called off.
    Draining,
    Yes,
}

impl Census {
    /// The agent at an address of the stack's.
    pub fn at(&self, address: &str) -> Option<&Agent> {
        self.agents.iter().find(|agent| agent.id.is_at(address))
    }
}

impl AgentId {
    /// Nodes register with their private address, and call themselves by it.
    pub fn is_at(&self, address: &str) -> bool {
        self.address == address || self.hostname == address
    }
}
