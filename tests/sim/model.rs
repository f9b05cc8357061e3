//! The protocol: workers, queue, database and cloud as one state, and everything that may happen next.

pub(crate) mod cloud;
pub(crate) mod database;
pub(crate) mod moves;
pub(crate) mod plan;
pub(crate) mod promises;

use std::fmt::Write as _;

use cloud::Cloud;
use database::{Database, Kind, Lease, OperationId, Place, Reply};
use plan::{Change, Outcome, Scene};

/// The most requests and workers of any run; the small ones use fewer.
pub(crate) const REQUESTS: usize = 3;
pub(crate) const WORKERS: usize = 3;

/// What is explored: who asks for what of how many workers, and what may go wrong how often.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) workers: u8,
    pub(crate) requests: Vec<Request>,
    /// How many faults strike in one run, of any kinds.
    pub(crate) faults: u8,
    /// The guard that is taken away, to show that it is needed.
    pub(crate) off: Option<Guard>,
}

/// One message of a client's. The first of all creates the bay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) kind: Kind,
    /// It is answered at the operation's end only.
    pub(crate) wait: bool,
}

/// What the promises rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// A message is recorded once, by its key.
    Dedupe,
    /// Who lost the lease cannot write.
    Fence,
    /// A reply is committed with what it tells of.
    Outbox,
    /// What was made for an operation that failed is removed.
    Undo,
    /// What was made is found again by its name.
    Names,
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct State {
    /// Copies of each request that wait in the queue.
    pub(crate) queue: [u8; REQUESTS],
    pub(crate) workers: [Worker; WORKERS],
    pub(crate) database: Database,
    pub(crate) cloud: Cloud,
    /// Which replies each client received, by their numbers.
    pub(crate) received: [u8; REQUESTS],
    /// What of each request was acknowledged.
    pub(crate) acknowledged: [bool; REQUESTS],
    /// Somebody wrote over what a later holder of the lease had written.
    pub(crate) overwritten: bool,
    /// How many faults may still strike.
    pub(crate) faults: u8,
}

/// What one process has in memory. A crash empties it; the process that takes its place has another name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Worker {
    pub(crate) delivery: Option<Delivery>,
    pub(crate) work: Option<Work>,
    pub(crate) mail: Option<Mail>,
    /// Replies that only memory has: none, unless the outbox is taken away.
    pub(crate) unsent: Vec<Reply>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Delivery {
    pub(crate) request: u8,
    /// The channel that it came by is still open.
    pub(crate) open: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Work {
    pub(crate) lease: Lease,
    pub(crate) phase: Phase,
}

/// How far a worker is with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Phase {
    /// It is about to begin the step.
    At(Kind, Place),
    /// The attempt is counted, and everything read that the step needs.
    Begun(Scene),
    /// The cloud has been asked, nothing is recorded.
    Acted(Scene, Change),
}

/// Messages of the outbox that a worker has taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Mail {
    pub(crate) letters: Vec<u8>,
    pub(crate) published: bool,
}

/// What may happen next. Those of the second part are faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A copy of a request is delivered and recorded: key, effect, reply. A delivery that is not recorded yet is as good
    /// as one in the queue: whatever happens, it goes back there.
    Commit {
        by: u8,
        request: u8,
    },
    Acknowledge {
        by: u8,
    },
    Claim {
        by: u8,
        operation: OperationId,
    },
    /// The attempt is counted under the lease, and row and bay are read.
    Begin {
        by: u8,
    },
    /// The step runs: the cloud is asked.
    Act {
        by: u8,
        outcome: Outcome,
    },
    /// What the step changed is recorded under the lease.
    Record {
        by: u8,
    },
    /// The worker's own clock says that its lease is over.
    Notice {
        by: u8,
    },
    /// Messages of the outbox are claimed.
    Take {
        by: u8,
    },
    /// They are published, and the broker confirms.
    Publish {
        by: u8,
    },
    /// They are deleted.
    Settle {
        by: u8,
    },
    /// Without an outbox: what the transaction has left in memory is published.
    PublishUnsent {
        by: u8,
    },
    /// A dead worker's lease runs out.
    LeaseEnds {
        operation: OperationId,
    },
    /// A dead worker's claim on a message runs out, or the time that it was put off for.
    ClaimEnds {
        letter: u8,
    },
    /// Heat is done with a stack.
    StackSettles {
        stack: u8,
    },
    /// A request for a stack arrives that nobody waits for any more.
    LateArrives,

    /// The process dies, and another takes its place.
    Crash {
        worker: u8,
    },
    /// It is asked to stop: it hands back what it holds, and another takes its place.
    Stop {
        worker: u8,
    },
    /// It is paused for so long that the lease of its operation ends; it does not know.
    PausePastLease {
        operation: OperationId,
    },
    /// Likewise for the claim on a message.
    PausePastClaim {
        letter: u8,
    },
    /// The channel is lost: what it delivered is delivered again.
    ChannelLost {
        worker: u8,
    },
    /// The client sends the same message again.
    Repeat {
        request: u8,
    },
    /// They were published, and nobody heard the confirm.
    PublishUnheard {
        by: u8,
    },
    /// Heat fails with a stack.
    StackFails {
        stack: u8,
    },
    /// As [`Self::Act`], when it does not go well.
    ActBadly {
        by: u8,
        outcome: Outcome,
    },
}

impl Action {
    pub(crate) fn is_fault(self) -> bool {
        matches!(
            self,
            Self::Crash { .. }
                | Self::Stop { .. }
                | Self::PausePastLease { .. }
                | Self::PausePastClaim { .. }
                | Self::ChannelLost { .. }
                | Self::Repeat { .. }
                | Self::PublishUnheard { .. }
                | Self::StackFails { .. }
                | Self::ActBadly { .. }
        )
    }
}

impl Model {
    pub(crate) fn init(&self) -> State {
        let mut queue = [0; REQUESTS];
        queue[..self.requests.len()].fill(1);
        State {
            queue,
            workers: Default::default(),
            database: Database::default(),
            cloud: Cloud::default(),
            received: [0; REQUESTS],
            acknowledged: [false; REQUESTS],
            overwritten: false,
            faults: self.faults,
        }
    }

    pub(crate) fn has(&self, guard: Guard) -> bool {
        self.off != Some(guard)
    }

    fn waits(&self) -> [bool; REQUESTS] {
        std::array::from_fn(|request| self.requests.get(request).is_some_and(|request| request.wait))
    }
}

impl State {
    pub(crate) fn worker(&self, worker: u8) -> &Worker {
        &self.workers[usize::from(worker)]
    }

    fn worker_mut(&mut self, worker: u8) -> &mut Worker {
        &mut self.workers[usize::from(worker)]
    }

    /// The same state with the workers in a fixed order: which of them is called first makes no difference.
    pub(crate) fn representative(&self) -> Self {
        let mut swapped = self.clone();
        swapped.workers.swap(0, 1);
        let other = |worker| match worker {
            0 => 1,
            1 => 0,
            further => further,
        };
        for worker in &mut swapped.workers {
            if let Some(work) = &mut worker.work {
                work.lease.worker = other(work.lease.worker);
            }
        }
        swapped.database.swap_workers(other);
        if swapped < *self { swapped } else { self.clone() }
    }

    /// What changed since `before`, for a trace that can be read.
    pub(crate) fn since(&self, before: &Self) -> String {
        let mut text = String::new();
        let (new, old) = (&self.database, &before.database);
        if new.bay != old.bay {
            write!(text, "\n      bay: {:?}", new.bay).expect("text takes everything");
        }
        if new.active != old.active {
            write!(text, "\n      active: {:?}", new.active).expect("text takes everything");
        }
        for (id, operation) in new.all_operations() {
            if old.operations[usize::from(id)].as_ref() != Some(operation) {
                write!(text, "\n      operation {id}: {operation:?}").expect("text takes everything");
            }
        }
        if new.messages != old.messages {
            write!(text, "\n      messages: {:?}", new.messages).expect("text takes everything");
        }
        if new.outbox != old.outbox {
            write!(text, "\n      outbox: {:?}", new.outbox).expect("text takes everything");
        }
        if self.cloud != before.cloud {
            write!(text, "\n      cloud: {:?}", self.cloud).expect("text takes everything");
        }
        if self.received != before.received {
            write!(text, "\n      received: {:?}", self.received).expect("text takes everything");
        }
        text
    }
}
