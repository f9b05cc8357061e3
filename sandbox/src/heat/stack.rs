//! One stack: its state, what it is on the way to, and the nodes it is made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::template::Template;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StackAction {
    Create,
    Update,
    Delete,
}

impl StackAction {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Progress {
    InProgress,
    Complete,
    Failed,
}

/// A server of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// The member's place in its group; a removed place is not used again.
    pub index: u32,
    pub private_ip: String,
    pub public_ip: String,
    /// The server behind the addresses: another one when it was replaced.
    pub server: String,
    /// Whether Heat takes the server to be broken.
    pub broken: bool,
}

/// A stack as the sandbox holds it.
#[derive(Clone, Serialize)]
pub struct Stack {
    pub id: String,
    pub name: String,
    pub project_id: String,
    /// The user whose token made the stack.
    pub owner_id: String,
    pub action: StackAction,
    pub progress: Progress,
    pub reason: String,
    /// The parameters as they were given, environment included.
    pub given: BTreeMap<String, Value>,
    /// Every declared parameter with its value as text; hidden ones in clear.
    pub parameters: BTreeMap<String, String>,
    pub timeout_mins: Option<u64>,
    pub disable_rollback: bool,
    pub masters: Vec<Node>,
    pub slaves: Vec<Node>,
    #[serde(serialize_with = "crate::clock::serialize")]
    pub created: OffsetDateTime,
    #[serde(serialize_with = "crate::clock::serialize_optional")]
    pub updated: Option<OffsetDateTime>,
    #[serde(serialize_with = "crate::clock::serialize_optional")]
    pub deleted: Option<OffsetDateTime>,
    #[serde(skip)]
    pub(crate) template: Arc<Template>,
    /// Whether a slave can be named by its private address when it is to be removed: only if the nested
    /// template gives out an `OS::stack_id`.
    #[serde(skip)]
    pub(crate) removable_by_address: bool,
    /// Slave places that were asked to go; Heat remembers them for the life of the stack.
    #[serde(skip)]
    pub(crate) removed: Vec<u32>,
    #[serde(skip)]
    pub(crate) pending: Option<Pending>,
}

/// The end of the action in progress.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) ends: OffsetDateTime,
    /// Why it will fail, if it will.
    pub(crate) failure: Option<String>,
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("project_id", &self.project_id)
            .field("status", &self.status())
            .field("reason", &self.reason)
            .field("parameters", &self.redacted().parameters)
            .finish_non_exhaustive()
    }
}

/// What Heat shows in place of a hidden parameter.
pub(super) const HIDDEN: &str = "******";

impl Stack {
    /// The same stack, with its hidden parameters masked as Heat masks them.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut stack = self.clone();
        for (_, value) in stack.parameters.iter_mut().filter(|(name, _)| self.template.is_hidden(name)) {
            HIDDEN.clone_into(value);
        }
        for (_, value) in stack.given.iter_mut().filter(|(name, _)| self.template.is_hidden(name)) {
            *value = Value::from(HIDDEN);
        }
        stack
    }

    /// The state as Heat writes it: `CREATE_COMPLETE`.
    #[must_use]
    pub fn status(&self) -> String {
        let progress = match self.progress {
            Progress::InProgress => "IN_PROGRESS",
            Progress::Complete => "COMPLETE",
            Progress::Failed => "FAILED",
        };
        format!("{}_{progress}", self.action.name())
    }

    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deleted.is_some()
    }

    /// Whether it is a Mesos cluster, and not some other stack.
    pub(crate) fn is_bay(&self) -> bool {
        self.parameters.contains_key("number_of_slaves")
    }

    pub(crate) fn begin(&mut self, action: StackAction, pending: Pending) {
        self.action = action;
        self.progress = Progress::InProgress;
        self.reason = format!("Stack {} started", action.name());
        self.pending = Some(pending);
    }

    /// Ends the action in progress at `at`; `floating` numbers the addresses given out so far.
    pub(crate) fn finish(&mut self, at: OffsetDateTime, failure: Option<String>, floating: &mut u32) {
        self.pending = None;
        let action = self.action.name();
        if let Some(why) = failure {
            self.progress = Progress::Failed;
            self.reason = format!("Resource {action} failed: {why}");
            return;
        }
        self.progress = Progress::Complete;
        self.reason = format!("Stack {action} completed successfully");
        match self.action {
            StackAction::Create | StackAction::Update => {
                self.replace_broken();
                self.resize(floating);
            }
            StackAction::Delete => self.deleted = Some(at),
        }
    }

    /// Every update replaces servers that are broken; their ports, and so their addresses, stay.
    fn replace_broken(&mut self) {
        for node in self.masters.iter_mut().chain(&mut self.slaves).filter(|node| node.broken) {
            node.server = Uuid::new_v4().to_string();
            node.broken = false;
        }
    }

    fn count(&self, parameter: &str) -> usize {
        self.parameters.get(parameter).and_then(|text| text.parse().ok()).unwrap_or(1)
    }

    /// Makes the groups as large as the parameters say: named slaves go first, then the highest places.
    fn resize(&mut self, floating: &mut u32) {
        let leaving = self.parameters.get("slaves_to_remove").cloned().unwrap_or_default();
        for name in leaving.split([',', '[', ']', '"', ' ']).filter(|name| !name.is_empty()) {
            let by_address = |node: &&Node| self.removable_by_address && node.private_ip == name;
            let named = self.slaves.iter().find(|node| node.index.to_string() == name || by_address(node));
            if let Some(index) = named.map(|node| node.index) {
                self.removed.push(index);
            }
        }
        let (masters, slaves) = (self.count("number_of_masters"), self.count("number_of_slaves"));
        let removed = &self.removed;
        self.slaves.retain(|node| !removed.contains(&node.index));
        grow_or_shrink(&mut self.masters, masters, &[], MASTER_OFFSET, floating);
        grow_or_shrink(&mut self.slaves, slaves, removed, SLAVE_OFFSET, floating);
    }
}

/// Where in 10.0.0.0/16 the addresses of a group begin.
const MASTER_OFFSET: u32 = 10;
const SLAVE_OFFSET: u32 = 100;

fn grow_or_shrink(nodes: &mut Vec<Node>, size: usize, removed: &[u32], offset: u32, floating: &mut u32) {
    nodes.truncate(size);
    let mut index = 0;
    while nodes.len() < size {
        if !removed.contains(&index) && nodes.iter().all(|node| node.index != index) {
            let (private, public) = (offset + index, *floating);
            *floating += 1;
            nodes.push(Node {
                index,
                private_ip: format!("10.0.{}.{}", private / 250, private % 250 + 1),
                public_ip: format!("172.24.{}.{}", 4 + public / 250 % 250, public % 250 + 2),
                server: Uuid::new_v4().to_string(),
                broken: false,
            });
        }
        index += 1;
    }
    nodes.sort_by_key(|node| node.index);
}
