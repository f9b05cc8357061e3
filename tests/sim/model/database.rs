//! The tables that workers share, and the transactions of `src/store/` on them.
//!
//! Each function is what one transaction does, or one of its statements; the conformance test holds them to the real
//! ones.

use super::REQUESTS;
use super::plan::Step;

/// An operation has the number of the request that began it.
pub(crate) type OperationId = u8;

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Database {
    pub(crate) messages: [Option<Message>; REQUESTS],
    pub(crate) bay: Option<Bay>,
    pub(crate) operations: [Option<Operation>; REQUESTS],
    pub(crate) active: Option<OperationId>,
    pub(crate) outbox: Vec<Letter>,
    /// How many messages were ever put into the outbox: their ids.
    pub(crate) letters: u8,
    /// How many different replies were composed for each request. No table has it; one promise is about it.
    pub(crate) composed: [u8; REQUESTS],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Message {
    pub(crate) operation: Option<OperationId>,
    pub(crate) reply: Option<Reply>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Reply {
    pub(crate) request: u8,
    pub(crate) kind: ReplyKind,
    /// Two replies with different numbers have different bodies.
    pub(crate) number: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ReplyKind {
    Bay,
    Nothing,
    NotFound,
    Exists,
    Busy,
    Conflict,
    Fault,
}

/// Why a create is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Cause {
    Deleted,
    Cloud,
}

impl Cause {
    pub(crate) fn reply(self) -> ReplyKind {
        match self {
            Self::Deleted => ReplyKind::Conflict,
            Self::Cloud => ReplyKind::Fault,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Bay {
    pub(crate) status: Status,
    pub(crate) trustee: bool,
    pub(crate) trust: bool,
    pub(crate) stack: Option<u8>,
}

impl Bay {
    pub(crate) fn with(self, status: Status) -> Self {
        Self { status, ..self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Status {
    CreateInProgress,
    CreateComplete,
    CreateFailed,
    DeleteInProgress,
    DeleteFailed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Create,
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum OperationState {
    Running,
    Done,
    Failed,
}

/// Where an operation is: the columns that its holder writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) step: Step,
    pub(crate) attempts: u8,
    pub(crate) failure: Option<Cause>,
    pub(crate) may_appear: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    pub(crate) state: OperationState,
    pub(crate) place: Place,
    pub(crate) superseded: bool,
    pub(crate) owner: Owner,
    /// Whether `lease_until` is in the future.
    pub(crate) live: bool,
    pub(crate) fence: u8,
    pub(crate) after: Option<OperationId>,
    /// Whose request waits for its answer, in the order they came.
    pub(crate) callers: [Option<u8>; REQUESTS],
}

impl Operation {
    pub(crate) fn is_running(&self) -> bool {
        self.state == OperationState::Running
    }

    /// By anyone, at this moment or when its time has come.
    pub(crate) fn is_claimable(&self) -> bool {
        self.is_running() && self.after.is_none() && !self.live
    }
}

/// Whose name stands in a row. A process that died left a name that nobody will ever have again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Owner {
    Nobody,
    Worker(u8),
    Dead,
}

/// The right to write an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Lease {
    pub(crate) operation: OperationId,
    pub(crate) worker: u8,
    pub(crate) fence: u8,
}

/// A row of the outbox. All go to one queue: that is where order matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Letter {
    pub(crate) id: u8,
    pub(crate) reply: Reply,
    pub(crate) holder: Holder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Holder {
    /// Free: never claimed, or the claim has run out.
    Nobody,
    /// Put there by this worker, which may take it first.
    Writer(u8),
    /// Taken by this worker.
    Taker(u8),
    /// Held by the name of a process that died, or put off for a moment.
    Waiting,
}

impl Database {
    pub(crate) fn operation(&self, id: OperationId) -> &Operation {
        self.operations[usize::from(id)].as_ref().expect("operations are never removed")
    }

    fn operation_mut(&mut self, id: OperationId) -> &mut Operation {
        self.operations[usize::from(id)].as_mut().expect("operations are never removed")
    }

    pub(crate) fn all_operations(&self) -> impl Iterator<Item = (OperationId, &Operation)> {
        (0..).zip(&self.operations).filter_map(|(id, operation)| Some((id, operation.as_ref()?)))
    }

    /// What the store's `record_message` says of a message that was seen before; a new one is recorded.
    pub(crate) fn record_message(&mut self, request: u8) -> Option<Message> {
        let message = &mut self.messages[usize::from(request)];
        if message.is_none() {
            *message = Some(Message::default());
            return None;
        }
        *message
    }

    fn message_mut(&mut self, request: u8) -> &mut Message {
        self.messages[usize::from(request)].get_or_insert_default()
    }

    /// Records an operation that has the bay to itself, or says that the bay is busy.
    pub(crate) fn insert_operation(&mut self, request: u8, kind: Kind) -> bool {
        if self.active.is_some() {
            return false;
        }
        self.active = Some(request);
        self.insert(request, kind, None);
        true
    }

    pub(crate) fn insert_successor(&mut self, request: u8, kind: Kind, after: OperationId) {
        self.insert(request, kind, Some(after));
    }

    fn insert(&mut self, request: u8, kind: Kind, after: Option<OperationId>) {
        let place = Place { step: Step::first(kind), attempts: 0, failure: None, may_appear: false };
        self.operations[usize::from(request)] = Some(Operation {
            kind,
            state: OperationState::Running,
            place,
            superseded: false,
            owner: Owner::Nobody,
            live: false,
            fence: 0,
            after,
            callers: [None; REQUESTS],
        });
    }

    pub(crate) fn successor(&self, of: OperationId) -> Option<OperationId> {
        self.all_operations().find(|(_, operation)| operation.after == Some(of)).map(|(id, _)| id)
    }

    pub(crate) fn supersede(&mut self, id: OperationId) {
        self.operation_mut(id).superseded = true;
    }

    /// Lets the sender of a request wait for an operation's answer.
    pub(crate) fn await_answer(&mut self, request: u8, operation: OperationId) {
        let free = self.operation_mut(operation).callers.iter_mut().find(|caller| caller.is_none());
        *free.expect("there are no more callers than requests") = Some(request);
        self.message_mut(request).operation = Some(operation);
    }

    pub(crate) fn claim(&mut self, id: OperationId, worker: u8) -> Option<(Place, Lease)> {
        let operation = self.operation_mut(id);
        if !operation.is_claimable() {
            return None;
        }
        operation.owner = Owner::Worker(worker);
        operation.live = true;
        operation.fence += 1;
        Some((operation.place, Lease { operation: id, worker, fence: operation.fence }))
    }

    /// The check that every write of an operation begins with.
    pub(crate) fn is_held(&self, lease: Lease) -> bool {
        let operation = self.operation(lease.operation);
        operation.is_running()
            && operation.live
            && operation.owner == Owner::Worker(lease.worker)
            && operation.fence == lease.fence
    }

    pub(crate) fn advance(&mut self, id: OperationId, place: Place, keep: bool) {
        let operation = self.operation_mut(id);
        operation.place = place;
        if !keep {
            operation.owner = Owner::Nobody;
            operation.live = false;
        }
    }

    /// Ends an operation and hands the bay over to its successor.
    pub(crate) fn finish(&mut self, id: OperationId, state: OperationState) {
        let operation = self.operation_mut(id);
        operation.state = state;
        operation.owner = Owner::Nobody;
        operation.live = false;
        operation.callers = [None; REQUESTS];
        let next = self.successor(id);
        if self.active == Some(id) {
            self.active = next;
        }
        if let Some(next) = next {
            self.operation_mut(next).after = None;
        }
    }

    pub(crate) fn release(&mut self, lease: Lease) {
        let operation = self.operation_mut(lease.operation);
        if operation.owner == Owner::Worker(lease.worker) && operation.fence == lease.fence {
            operation.owner = Owner::Nobody;
            operation.live = false;
        }
    }

    /// A lease's time is over.
    pub(crate) fn expire(&mut self, id: OperationId) {
        self.operation_mut(id).live = false;
    }

    /// Answers everyone who waits for an operation, unless for the end and this is not it.
    pub(crate) fn answer(
        &mut self,
        id: OperationId,
        kind: ReplyKind,
        ending: bool,
        waits: [bool; REQUESTS],
    ) -> Vec<Reply> {
        let now = |caller: &u8| ending || !waits[usize::from(*caller)];
        let callers = self.operation(id).callers;
        let mut left = callers.into_iter().flatten().filter(|caller| !now(caller));
        self.operation_mut(id).callers = std::array::from_fn(|_| left.next());
        callers.into_iter().flatten().filter(now).map(|caller| self.compose(caller, kind)).collect()
    }

    /// Makes a reply and keeps it with its message.
    pub(crate) fn compose(&mut self, request: u8, kind: ReplyKind) -> Reply {
        let composed = &mut self.composed[usize::from(request)];
        let reply = Reply { request, kind, number: *composed };
        *composed += 1;
        self.message_mut(request).reply = Some(reply);
        reply
    }

    pub(crate) fn enqueue(&mut self, reply: Reply, writer: u8) {
        self.outbox.push(Letter { id: self.letters, reply, holder: Holder::Writer(writer) });
        self.letters += 1;
    }

    /// What a worker may take: all that is free or its own, up to the first that another one has.
    pub(crate) fn takeable(&self, worker: u8) -> impl Iterator<Item = u8> {
        let own = move |letter: &&Letter| {
            matches!(letter.holder, Holder::Nobody) || letter.holder == Holder::Writer(worker)
        };
        self.outbox.iter().take_while(own).map(|letter| letter.id)
    }

    pub(crate) fn take(&mut self, worker: u8) -> Vec<u8> {
        let taken: Vec<u8> = self.takeable(worker).collect();
        for letter in &mut self.outbox {
            if taken.contains(&letter.id) {
                letter.holder = Holder::Taker(worker);
            }
        }
        taken
    }

    pub(crate) fn letter_mut(&mut self, id: u8) -> Option<&mut Letter> {
        self.outbox.iter_mut().find(|letter| letter.id == id)
    }

    pub(crate) fn delete_letter(&mut self, id: u8) {
        self.outbox.retain(|letter| letter.id != id);
    }

    /// The name of a process will never be used again.
    pub(crate) fn bury(&mut self, worker: u8) {
        for operation in self.operations.iter_mut().flatten() {
            if operation.owner == Owner::Worker(worker) {
                operation.owner = Owner::Dead;
            }
        }
        for letter in &mut self.outbox {
            if letter.holder == Holder::Writer(worker) || letter.holder == Holder::Taker(worker) {
                letter.holder = Holder::Waiting;
            }
        }
    }

    /// Exchanges the names of two workers.
    pub(crate) fn swap_workers(&mut self, name: impl Fn(u8) -> u8) {
        for operation in self.operations.iter_mut().flatten() {
            if let Owner::Worker(worker) = &mut operation.owner {
                *worker = name(*worker);
            }
        }
        for letter in &mut self.outbox {
            if let Holder::Writer(worker) | Holder::Taker(worker) = &mut letter.holder {
                *worker = name(*worker);
            }
        }
    }
}
