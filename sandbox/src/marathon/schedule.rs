//! What is going to happen and when: everything that moves on its own is an occurrence in here.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::path::PathId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Occurrence {
    /// A deployment takes its first step.
    Begin(String),
    /// Mesos offers resources for what an app has queued.
    Offer(PathId),
    Runs(String),
    /// An instance ends on its own.
    Ends(String),
    HealthCheck(String),
    ReadinessCheck(String),
    /// A killed instance is gone.
    Dies(String),
    /// An app without a deployment is brought to its number of instances.
    Balance(PathId),
    /// A node becomes the leader.
    Elect(usize),
}

#[derive(Debug, Default)]
pub(crate) struct Schedule {
    next: u64,
    // Two things of the same time happen in the order in which they were scheduled.
    occurrences: BTreeMap<(OffsetDateTime, u64), Occurrence>,
}

impl Schedule {
    pub(crate) fn add(&mut self, at: OffsetDateTime, what: Occurrence) {
        self.next += 1;
        self.occurrences.insert((at, self.next), what);
    }

    pub(crate) fn forget(&mut self, unwanted: impl Fn(&Occurrence) -> bool) {
        self.occurrences.retain(|_, what| !unwanted(what));
    }

    pub(crate) fn next_due(&self) -> Option<OffsetDateTime> {
        self.occurrences.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the earliest of what is due by `now`, with its time.
    pub(crate) fn take_due(&mut self, now: OffsetDateTime) -> Option<(OffsetDateTime, Occurrence)> {
        let entry = self.occurrences.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((at, _), what) = entry.remove_entry();
        Some((at, what))
    }
}
