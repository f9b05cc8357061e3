//! Every interleaving of two workers with every fault at every point, for runs that are small enough.

use std::collections::HashSet;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model as _, Property};

use crate::model::database::Kind;
use crate::model::promises::{ANSWERED, LEAKED, NO_OVERWRITING, ONE_REPLY, PROMISES, SIGHTS, TWICE, broken};
use crate::model::{Action, Guard, Model, Request, State};
use crate::trace;

const CREATE: Request = Request { kind: Kind::Create, wait: false };
const DELETE: Request = Request { kind: Kind::Delete, wait: false };

impl stateright::Model for Model {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.init()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        match self.alone(state) {
            Some(action) => actions.push(action),
            None => self.enabled(state, actions),
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        Some(self.after(state, action))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let promises = PROMISES.iter().map(|promise| Property::always(promise.name, promise.kept));
        promises.chain(SIGHTS.iter().map(|sight| Property::sometimes(sight.name, sight.kept))).collect()
    }
}

fn two_workers(requests: &[Request], faults: u8) -> Model {
    // One more of them takes minutes instead of seconds, and in an optimized build.
    let more = std::env::var("CONDUCTOR_SIM_MORE_FAULTS").map_or(0, |more| more.parse().expect("a number"));
    Model { workers: 2, requests: requests.to_vec(), faults: faults + more, off: None }
}

/// Explores everything, and fails with the trace to a state that breaks a promise.
fn explore(what: &str, model: Model, least: usize, sights: usize) {
    let begun = Instant::now();
    let checker = model.checker().symmetry_fn(State::representative).spawn_dfs().join();
    println!(
        "{what}: {} states, {} transitions, at most {} steps, in {:.1?}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        begun.elapsed()
    );
    let found = checker.discoveries();
    for promise in PROMISES {
        if let Some(path) = found.get(promise.name) {
            panic!(
                "{what}: \"{}\" does not hold:\n{}",
                promise.name,
                trace::written(&path.clone().into_vec())
            );
        }
    }
    assert!(checker.is_done(), "the exploration was cut off");
    assert!(checker.unique_state_count() >= least, "there is less to explore than there was");
    let seen: Vec<_> =
        SIGHTS.iter().map(|sight| sight.name).filter(|name| found.contains_key(name)).collect();
    assert!(seen.len() >= sights, "only these were met: {seen:?}");
}

#[test]
fn two_workers_keep_every_promise_to_a_create_and_a_delete_with_one_fault_anywhere() {
    explore("create and delete, one fault", two_workers(&[CREATE, DELETE], 1), 400_000, SIGHTS.len());
}

#[test]
fn two_workers_keep_every_promise_to_a_create_with_two_faults_anywhere() {
    // There is no delete: two of the sights are not to be had.
    explore("create, two faults", two_workers(&[CREATE], 2), 50_000, SIGHTS.len() - 2);
}

/// What [`Model::alone`] leaves out makes no difference to where runs end.
#[test]
fn the_interleavings_that_are_left_out_lead_to_no_other_end() {
    let model = two_workers(&[CREATE], 1);
    let reduced = ends(&model, |state, actions| model.actions(state, actions));
    let full = ends(&model, |state, actions| model.enabled(state, actions));
    println!("{} ends; {} states instead of {}", full.0.len(), reduced.1, full.1);
    assert!(reduced.1 < full.1 && full.0.len() > 10);
    assert_eq!(reduced.0, full.0);
}

/// The states in which nothing happens any more, and how many there are on the way.
fn ends(model: &Model, actions: impl Fn(&State, &mut Vec<Action>)) -> (HashSet<State>, usize) {
    let mut known = HashSet::from([model.init()]);
    let mut open: Vec<State> = known.iter().cloned().collect();
    let mut ends = HashSet::new();
    while let Some(state) = open.pop() {
        let mut next = Vec::new();
        actions(&state, &mut next);
        if model.is_settled(&state) {
            ends.insert(state.clone());
        }
        for action in next {
            let after = model.after(&state, action);
            if known.insert(after.clone()) {
                open.push(after);
            }
        }
    }
    (ends, known.len())
}

/// Takes a guard away and expects the exploration to find what it was there for.
fn needed(guard: Guard, faults: u8, promise: &'static str) {
    let model = Model { off: Some(guard), ..two_workers(&[CREATE], faults) };
    let wanted = HasDiscoveries::AnyOf([promise].into());
    let checker = model.checker().finish_when(wanted).spawn_bfs().join();
    let Some(path) = checker.discovery(promise) else {
        panic!("without {guard:?} nothing breaks \"{promise}\"");
    };
    let steps = path.into_vec();
    let last = &steps.last().expect("a state").0;
    println!(
        "without {guard:?}, {} steps break \"{promise}\" ({} states looked at):\n{}",
        steps.len() - 1,
        checker.unique_state_count(),
        trace::written(&steps)
    );
    assert!(broken(checker.model(), last).contains(&promise));
}

#[test]
fn without_the_message_keys_a_request_gets_two_replies() {
    needed(Guard::Dedupe, 1, ONE_REPLY);
}

#[test]
fn without_the_fence_a_stale_worker_overwrites_a_newer_record() {
    needed(Guard::Fence, 1, NO_OVERWRITING);
}

#[test]
fn without_the_outbox_a_reply_is_lost() {
    needed(Guard::Outbox, 1, ANSWERED);
}

#[test]
fn without_the_way_back_something_is_left_over() {
    needed(Guard::Undo, 1, LEAKED);
}

#[test]
fn without_names_something_is_made_twice() {
    needed(Guard::Names, 1, TWICE);
}
