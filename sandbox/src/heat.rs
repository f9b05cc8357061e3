//! A stand-in Heat: stacks that are validated as by the real one and move through their states with time.

mod api;
mod error;
mod request;
mod stack;
mod template;
mod view;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub(crate) use api::router;
pub(crate) use error::Error;
pub use stack::{Node, Progress, Stack, StackAction};

use stack::Pending;

/// A decision that an action, still to come, will fail.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Doom {
    /// Part of the stack's name; empty means any stack.
    pub name: String,
    /// The action that fails; any when absent.
    pub action: Option<StackAction>,
    pub reason: String,
}

impl Doom {
    /// Fails whatever a stack with `name` in its name does next.
    #[must_use]
    pub fn new(name: &str, reason: &str) -> Self {
        Self { name: name.to_owned(), action: None, reason: reason.to_owned() }
    }

    /// Fails only that action.
    #[must_use]
    pub fn of(self, action: StackAction) -> Self {
        Self { action: Some(action), ..self }
    }
}

/// All that Heat knows.
#[derive(Debug, Default)]
pub(crate) struct Heat {
    /// In the order they were made, deleted ones included until they are purged.
    stacks: Vec<Stack>,
    dooms: Vec<Doom>,
    floating: u32,
    /// Whether stacks ended what they did, or went, since somebody last asked.
    moved: bool,
}

impl Heat {
    /// The stacks, if something became of any of them since the last call.
    pub(crate) fn take_moved(&mut self) -> Option<&mut [Stack]> {
        std::mem::take(&mut self.moved).then_some(self.stacks.as_mut_slice())
    }

    pub(crate) fn settle(&mut self, now: OffsetDateTime, deleted_visible: Duration) {
        for stack in &mut self.stacks {
            if let Some(Pending { ends, failure }) = stack.pending.take_if(|pending| pending.ends <= now) {
                stack.finish(ends, failure, &mut self.floating);
                self.moved = true;
            }
        }
        self.stacks.retain(|stack| stack.deleted.is_none_or(|at| now < at + deleted_visible));
    }

    pub(crate) fn all(&self) -> &[Stack] {
        &self.stacks
    }

    /// Whether an action that begins now is doomed; a doom is used up by the first action it fits.
    fn doom(&mut self, name: &str, action: StackAction) -> Option<String> {
        let fits =
            |doom: &Doom| name.contains(&doom.name) && doom.action.is_none_or(|wanted| wanted == action);
        let place = self.dooms.iter().position(fits)?;
        Some(self.dooms.remove(place).reason)
    }

    fn pending(&mut self, name: &str, action: StackAction, now: OffsetDateTime, takes: Duration) -> Pending {
        Pending { ends: now + takes, failure: self.doom(name, action) }
    }

    /// Fails the action in progress of a fitting stack, or else the next fitting action.
    pub(crate) fn fail(&mut self, doom: Doom, now: OffsetDateTime) {
        let running = self.stacks.iter_mut().find(|stack| {
            stack.progress == Progress::InProgress
                && stack.name.contains(&doom.name)
                && doom.action.is_none_or(|action| action == stack.action)
        });
        self.moved = true;
        match running {
            Some(stack) => stack.finish(now, Some(doom.reason), &mut self.floating),
            None => self.dooms.push(doom),
        }
    }

    /// Marks the server at a private address as broken; says whether there was one.
    pub(crate) fn break_server(&mut self, private_ip: &str) -> bool {
        let stacks = self.stacks.iter_mut().filter(|stack| !stack.is_deleted());
        let mut nodes = stacks.flat_map(|stack| stack.masters.iter_mut().chain(&mut stack.slaves));
        let found = nodes.find(|node| node.private_ip == private_ip);
        found.map(|node| node.broken = true).is_some()
    }

    pub(crate) fn remove(&mut self, name_or_id: &str) -> bool {
        let before = self.stacks.len();
        self.moved = true;
        self.stacks.retain(|stack| stack.name != name_or_id && stack.id != name_or_id);
        self.stacks.len() < before
    }

    /// Ends the actions in progress of the stacks with that text in their name now; says how many.
    pub(crate) fn finish(&mut self, name: &str, now: OffsetDateTime) -> usize {
        let mut finished = 0;
        self.moved = true;
        for stack in self.stacks.iter_mut().filter(|stack| stack.name.contains(name)) {
            if let Some(pending) = stack.pending.take() {
                stack.finish(now, pending.failure, &mut self.floating);
                finished += 1;
            }
        }
        finished
    }
}
