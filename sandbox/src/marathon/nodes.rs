//! The nodes of one Marathon: one leads, the others pass on what they are asked.

use std::net::SocketAddr;

use time::OffsetDateTime;

use super::cluster::Cluster;
use super::pace;
use super::schedule::Occurrence;

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    /// Whether it can be reached at all.
    pub(crate) up: bool,
}

impl Cluster {
    /// `host:port`, as nodes name each other.
    pub(crate) fn node_name(&self, node: usize) -> String {
        self.nodes.get(node).map(|node| node.address.to_string()).unwrap_or_default()
    }

    pub(crate) fn node_url(&self, node: usize) -> String {
        let scheme = if self.config.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.node_name(node))
    }

    pub(crate) fn is_up(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| node.up)
    }

    /// The leader is gone, streams end, and nobody leads until somebody is elected.
    pub(crate) fn depose(&mut self) {
        self.leader = None;
        self.bus.close();
        self.schedule.forget(|what| matches!(what, Occurrence::Elect(_)));
    }

    /// Makes a node the leader now.
    pub(crate) fn elect(&mut self, node: usize, at: OffsetDateTime) {
        if node < self.nodes.len() && self.leader != Some(node) {
            self.depose();
            self.leader = Some(node);
            self.resume(at);
            self.progress(at);
        }
    }

    /// The leader is gone; the next node that can be reached is elected in its time.
    pub(crate) fn fail_over(&mut self, at: OffsetDateTime) {
        let count = self.nodes.len();
        let after = self.leader.map_or(0, |leader| leader + 1);
        self.depose();
        if let Some(next) = (after..after + count).map(|node| node % count).find(|node| self.is_up(*node)) {
            self.schedule.add(at + self.pace.scaled(pace::ELECTION), Occurrence::Elect(next));
        }
    }

    /// Cuts a node off, or brings it back. A leader that is cut off is not the leader any more.
    pub(crate) fn set_up(&mut self, node: usize, up: bool, at: OffsetDateTime) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.up = up;
        }
        if !up {
            self.bus.close_node(node);
        }
        let leaderless = self.leader.is_none() || (!up && self.leader == Some(node));
        if leaderless {
            self.fail_over(at);
        }
    }
}
