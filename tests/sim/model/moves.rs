//! What may happen in a state, and what it leads to.

use super::database::{Holder, Kind, Lease, OperationState, Owner, Place, Reply, ReplyKind};
use super::plan::{self, Next, Outcome, Row, Scene, Step};
use super::{Action, Delivery, Guard, Mail, Model, Phase, State, Work, Worker};

/// Further attempts make no difference to what a step does.
pub(crate) const MOST_ATTEMPTS: u8 = 3;

impl Model {
    /// Everything that may happen next, faults last.
    pub(crate) fn enabled(&self, state: &State, actions: &mut Vec<Action>) {
        for worker in 0..self.workers {
            self.of_worker(state, worker, actions);
        }
        self.of_the_world(state, actions);
        if state.faults > 0 {
            self.faults(state, actions);
        }
    }

    /// One action that may as well be the next one, so that the others need not be tried before it.
    ///
    /// Only when no fault can strike any more. Then each of these commutes with everything else that may happen until
    /// it does, takes nothing away from it, and no promise can be broken in between that is not broken afterwards as
    /// well. The same moments of rest are reached, which `tests/sim/exhaustive.rs` counts.
    pub(crate) fn alone(&self, state: &State) -> Option<Action> {
        if state.faults > 0 {
            return None;
        }
        let cloud_is_quiet = state.cloud.late == 0 && state.cloud.busy().next().is_none();
        let mut actions = Vec::new();
        for worker in 0..self.workers {
            self.of_worker(state, worker, &mut actions);
        }
        actions.into_iter().find(|action| {
            let harmless = matches!(
                action,
                Action::Acknowledge { .. }
                    | Action::Notice { .. }
                    | Action::Publish { .. }
                    | Action::Settle { .. }
                    | Action::PublishUnsent { .. }
            );
            harmless || (cloud_is_quiet && matches!(action, Action::Act { .. }))
        })
    }

    /// Whether nothing happens any more unless something goes wrong.
    pub(crate) fn is_settled(&self, state: &State) -> bool {
        let at_rest = |worker: &Worker| {
            worker.delivery.is_none()
                && worker.work.is_none()
                && worker.mail.is_none()
                && worker.unsent.is_empty()
        };
        if state.queue != [0; super::REQUESTS] || !state.workers.iter().all(at_rest) {
            return false;
        }
        let mut actions = Vec::new();
        self.enabled(&State { faults: 0, ..state.clone() }, &mut actions);
        actions.is_empty()
    }

    fn of_worker(&self, state: &State, by: u8, actions: &mut Vec<Action>) {
        let worker = state.worker(by);
        match worker.delivery {
            None => {
                let waiting = (0..).zip(&state.queue).filter(|(_, copies)| **copies > 0);
                actions.extend(waiting.map(|(request, _)| Action::Commit { by, request }));
            }
            Some(_) if worker.unsent.is_empty() => actions.push(Action::Acknowledge { by }),
            Some(_) => {}
        }
        match &worker.work {
            None => {
                let due = state.database.all_operations().filter(|(id, operation)| {
                    operation.is_claimable() && plan::is_worth_a_look(self, &scene(state, *id), &state.cloud)
                });
                actions.extend(due.map(|(operation, _)| Action::Claim { by, operation }));
            }
            Some(Work { phase: Phase::At(..), .. }) => actions.push(Action::Begin { by }),
            // Nothing is asked for under a lease that may be over: the local clock ends first.
            Some(Work { phase: Phase::Begun(_), lease }) if !self.may_write(state, *lease) => {
                actions.push(Action::Notice { by });
            }
            Some(Work { phase: Phase::Begun(scene), .. }) => {
                if plan::run(self, scene, &mut state.cloud.clone(), Outcome::Heard).is_some() {
                    actions.push(Action::Act { by, outcome: Outcome::Heard });
                }
            }
            Some(Work { phase: Phase::Acted(..), .. }) => actions.push(Action::Record { by }),
        }
        match &worker.mail {
            None if state.database.takeable(by).next().is_some() => actions.push(Action::Take { by }),
            None => {}
            Some(Mail { published: false, .. }) => actions.push(Action::Publish { by }),
            Some(Mail { published: true, .. }) => actions.push(Action::Settle { by }),
        }
        if !worker.unsent.is_empty() {
            actions.push(Action::PublishUnsent { by });
        }
    }

    /// Time passes, and the cloud goes on.
    fn of_the_world(&self, state: &State, actions: &mut Vec<Action>) {
        for (operation, row) in state.database.all_operations() {
            if row.live && row.owner == Owner::Dead {
                actions.push(Action::LeaseEnds { operation });
            }
        }
        for letter in &state.database.outbox {
            if letter.holder == Holder::Waiting {
                actions.push(Action::ClaimEnds { letter: letter.id });
            }
        }
        actions.extend(state.cloud.busy().map(|stack| Action::StackSettles { stack }));
        if state.cloud.late > 0 {
            actions.push(Action::LateArrives);
        }
    }

    fn faults(&self, state: &State, actions: &mut Vec<Action>) {
        for by in 0..self.workers {
            let worker = state.worker(by);
            if *worker != Worker::default() {
                actions.push(Action::Crash { worker: by });
            }
            if let Worker {
                delivery: None, work: Some(Work { phase: Phase::At(..), .. }), mail: None, ..
            } = worker
            {
                actions.push(Action::Stop { worker: by });
            }
            if worker.delivery.is_some_and(|delivery| delivery.open) {
                actions.push(Action::ChannelLost { worker: by });
            }
            if let Some(Work { phase: Phase::Begun(scene), lease }) = &worker.work
                && self.may_write(state, *lease)
            {
                let bad = Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Heard);
                let possible = bad
                    .filter(|outcome| plan::run(self, scene, &mut state.cloud.clone(), *outcome).is_some());
                actions.extend(possible.map(|outcome| Action::ActBadly { by, outcome }));
            }
            if worker.mail.as_ref().is_some_and(|mail| !mail.published) {
                actions.push(Action::PublishUnheard { by });
            }
        }
        for (operation, row) in state.database.all_operations() {
            if row.live && matches!(row.owner, Owner::Worker(_)) {
                actions.push(Action::PausePastLease { operation });
            }
        }
        for letter in &state.database.outbox {
            if matches!(letter.holder, Holder::Taker(_) | Holder::Writer(_)) {
                actions.push(Action::PausePastClaim { letter: letter.id });
            }
        }
        actions.extend(state.cloud.busy().map(|stack| Action::StackFails { stack }));
        let requests = u8::try_from(self.requests.len()).expect("a few requests");
        actions.extend((0..requests).map(|request| Action::Repeat { request }));
    }

    /// What becomes of a state. The action is one of those that [`Self::enabled`] names.
    pub(crate) fn after(&self, before: &State, action: Action) -> State {
        let mut state = before.clone();
        if action.is_fault() {
            state.faults -= 1;
        }
        match action {
            Action::Commit { by, request } => {
                state.queue[usize::from(request)] -= 1;
                state.worker_mut(by).delivery = Some(Delivery { request, open: true });
                self.commit(&mut state, by, request);
            }
            Action::Acknowledge { by } => {
                let delivery = state.worker_mut(by).delivery.take().expect("a delivery");
                // On a channel that was lost it acknowledges nothing.
                state.acknowledged[usize::from(delivery.request)] |= delivery.open;
            }
            Action::Claim { by, operation } => {
                let kind = state.database.operation(operation).kind;
                let (place, lease) = state.database.claim(operation, by).expect("it is due");
                state.worker_mut(by).work = Some(Work { lease, phase: Phase::At(kind, place) });
            }
            Action::Begin { by } => self.begin(&mut state, by),
            Action::Act { by, outcome } | Action::ActBadly { by, outcome } => {
                self.act(&mut state, by, outcome)
            }
            Action::Record { by } => self.record(&mut state, by),
            Action::Notice { by } => state.worker_mut(by).work = None,
            Action::Take { by } => {
                let letters = state.database.take(by);
                state.worker_mut(by).mail = Some(Mail { letters, published: false });
            }
            Action::Publish { by } => {
                publish(&mut state, by);
                state.worker_mut(by).mail.as_mut().expect("mail").published = true;
            }
            Action::PublishUnheard { by } => {
                publish(&mut state, by);
                for letter in state.worker_mut(by).mail.take().expect("mail").letters {
                    if let Some(letter) = state.database.letter_mut(letter) {
                        letter.holder = Holder::Waiting;
                    }
                }
            }
            Action::Settle { by } => {
                for letter in state.worker_mut(by).mail.take().expect("mail").letters {
                    state.database.delete_letter(letter);
                }
            }
            Action::PublishUnsent { by } => {
                for reply in std::mem::take(&mut state.worker_mut(by).unsent) {
                    receive(&mut state, reply);
                }
            }
            Action::LeaseEnds { operation } | Action::PausePastLease { operation } => {
                state.database.expire(operation);
            }
            Action::ClaimEnds { letter } | Action::PausePastClaim { letter } => {
                state.database.letter_mut(letter).expect("it is there").holder = Holder::Nobody;
            }
            Action::StackSettles { stack } => state.cloud.settle(stack, true),
            Action::StackFails { stack } => state.cloud.settle(stack, false),
            Action::LateArrives => {
                state.cloud.late -= 1;
                if !self.has(Guard::Names) || state.cloud.living().is_none() {
                    state.cloud.make_stack();
                }
            }
            Action::Crash { worker } => crash(&mut state, worker),
            Action::Stop { worker } => {
                let work = state.worker_mut(worker).work.take().expect("work");
                state.database.release(work.lease);
                crash(&mut state, worker);
            }
            Action::ChannelLost { worker } => {
                let delivery = state.worker_mut(worker).delivery.as_mut().expect("a delivery");
                delivery.open = false;
                let request = delivery.request;
                state.queue[usize::from(request)] += 1;
            }
            Action::Repeat { request } => state.queue[usize::from(request)] += 1,
        }
        state
    }

    /// The transaction that makes a request a row.
    fn commit(&self, state: &mut State, by: u8, request: u8) {
        let seen = state.database.record_message(request).filter(|_| self.has(Guard::Dedupe));
        let reply = match seen {
            // A repeat is answered with the first reply, now or when there is one.
            Some(message) => message.reply,
            None => self.apply(state, request).map(|kind| state.database.compose(request, kind)),
        };
        if let Some(reply) = reply {
            self.send(state, by, reply);
        }
    }

    /// What a request changes, and the answer if it is known at once.
    fn apply(&self, state: &mut State, request: u8) -> Option<ReplyKind> {
        use super::database::{Bay, Status};
        let database = &mut state.database;
        let asked = self.requests[usize::from(request)];
        match (asked.kind, database.bay) {
            (Kind::Create, Some(_)) => return Some(ReplyKind::Exists),
            (Kind::Create, None) => {
                if !database.insert_operation(request, Kind::Create) {
                    return Some(ReplyKind::Busy);
                }
                let status = Status::CreateInProgress;
                database.bay = Some(Bay { status, trustee: false, trust: false, stack: None });
            }
            (Kind::Delete, None) => return Some(ReplyKind::NotFound),
            (Kind::Delete, Some(bay)) => match database.active {
                None => {
                    database.bay = Some(bay.with(Status::DeleteInProgress));
                    database.insert_operation(request, Kind::Delete);
                }
                Some(active) if database.operation(active).kind == Kind::Delete => {
                    return self.join(state, request, active);
                }
                Some(active) => match database.successor(active) {
                    Some(earlier) => return self.join(state, request, earlier),
                    None => {
                        database.supersede(active);
                        database.insert_successor(request, Kind::Delete, active);
                    }
                },
            },
        }
        state.database.await_answer(request, request);
        None
    }

    /// The first delete answers this caller too; one that has answered already has nothing more to say.
    fn join(&self, state: &mut State, request: u8, delete: u8) -> Option<ReplyKind> {
        let accepted = state.database.operation(delete).place.step != Step::first(Kind::Delete);
        if accepted && !self.requests[usize::from(request)].wait {
            return Some(ReplyKind::Nothing);
        }
        state.database.await_answer(request, delete);
        None
    }

    fn send(&self, state: &mut State, by: u8, reply: Reply) {
        if self.has(Guard::Outbox) {
            state.database.enqueue(reply, by);
        } else {
            state.worker_mut(by).unsent.push(reply);
        }
    }

    /// Whether the database takes a write under this lease.
    pub(crate) fn may_write(&self, state: &State, lease: Lease) -> bool {
        state.database.is_held(lease)
            || (!self.has(Guard::Fence) && state.database.operation(lease.operation).is_running())
    }

    fn begin(&self, state: &mut State, by: u8) {
        let Some(Work { lease, phase: Phase::At(kind, place) }) = state.worker(by).work else {
            unreachable!("it is about to begin")
        };
        let mut place = place;
        if place.step.bounded() {
            place.attempts = MOST_ATTEMPTS.min(place.attempts + 1);
            if !self.may_write(state, lease) {
                state.worker_mut(by).work = None;
                return;
            }
            note_overwriting(state, lease);
            state.database.advance(lease.operation, place, true);
        }
        let (superseded, bay) = (state.database.operation(lease.operation).superseded, state.database.bay);
        let scene = Scene { kind, place, superseded, bay };
        state.worker_mut(by).work = Some(Work { lease, phase: Phase::Begun(scene) });
    }

    fn act(&self, state: &mut State, by: u8, outcome: Outcome) {
        let Some(Work { lease, phase: Phase::Begun(scene) }) = state.worker(by).work else {
            unreachable!("it has begun")
        };
        let change = plan::run(self, &scene, &mut state.cloud, outcome).expect("it may go like that");
        state.worker_mut(by).work = Some(Work { lease, phase: Phase::Acted(scene, change) });
    }

    /// The transaction that records a step: bay, reply and the operation's place.
    fn record(&self, state: &mut State, by: u8) {
        let Some(Work { lease, phase: Phase::Acted(scene, change) }) = state.worker(by).work else {
            unreachable!("it has acted")
        };
        state.worker_mut(by).work = None;
        if !self.may_write(state, lease) {
            return;
        }
        note_overwriting(state, lease);
        let database = &mut state.database;
        match change.row {
            Row::Keep => {}
            Row::Save(bay) => database.bay = database.bay.map(|_| bay),
            Row::Remove => database.bay = None,
        }
        let ending = matches!(change.next, Next::Done | Next::Failed);
        if let Some(kind) = change.reply {
            for reply in database.answer(lease.operation, kind, ending, self.waits()) {
                self.send(state, by, reply);
            }
        }
        let mut place = scene.place;
        if let Some((cause, may_appear)) = change.undo {
            (place.failure, place.may_appear) = (Some(cause), may_appear);
        }
        match change.next {
            Next::Done => state.database.finish(lease.operation, OperationState::Done),
            Next::Failed => state.database.finish(lease.operation, OperationState::Failed),
            Next::Again => state.database.advance(lease.operation, place, false),
            Next::Step(step) => {
                let place = Place { step, attempts: 0, ..place };
                state.database.advance(lease.operation, place, true);
                state.worker_mut(by).work = Some(Work { lease, phase: Phase::At(scene.kind, place) });
            }
        }
    }
}

/// What a worker would find if it began an operation's step now.
fn scene(state: &State, operation: u8) -> Scene {
    let row = state.database.operation(operation);
    Scene { kind: row.kind, place: row.place, superseded: row.superseded, bay: state.database.bay }
}

fn note_overwriting(state: &mut State, lease: Lease) {
    state.overwritten |= state.database.operation(lease.operation).fence > lease.fence;
}

fn publish(state: &mut State, by: u8) {
    let letters = state.worker(by).mail.as_ref().expect("mail").letters.clone();
    for letter in letters {
        // Its row may be gone: another worker took it when the claim had run out. These bytes go out all the same.
        if let Some(letter) = state.database.letter_mut(letter) {
            let reply = letter.reply;
            receive(state, reply);
        }
    }
}

fn receive(state: &mut State, reply: Reply) {
    state.received[usize::from(reply.request)] |= 1 << reply.number;
}

/// What was in memory is gone, and what was delivered is delivered again.
fn crash(state: &mut State, worker: u8) {
    if let Some(Delivery { request, open: true }) = state.worker(worker).delivery {
        state.queue[usize::from(request)] += 1;
    }
    *state.worker_mut(worker) = Worker::default();
    state.database.bury(worker);
}
