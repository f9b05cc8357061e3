//! Long random runs: three workers, two deletes that may meet, many faults. Each is made by its seed alone.

use std::time::Instant;

use crate::model::database::Kind;
use crate::model::promises::broken;
use crate::model::{Action, Model, REQUESTS, Request, State};
use crate::trace;

/// How many seeds are tried, unless `CONDUCTOR_SIM_SEEDS` says otherwise.
const SEEDS: u64 = 4_000;
/// No run needs as many steps: one that does goes round in circles.
const MOST_STEPS: usize = 2_000;

/// The one seed to replay, if there is one.
pub(crate) fn replayed() -> Option<u64> {
    number("CONDUCTOR_SIM_SEED")
}

pub(crate) fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text}")))
}

/// Numbers that follow from a seed: Steele, Lea and Flood's `SplitMix64`, because a generator of a crate may change with
/// its version, and then no old seed would replay.
pub(crate) struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.roll() % limit as u64).expect("it is below a usize")
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// A run that goes on until nothing happens any more.
pub(crate) struct Walk {
    pub(crate) model: Model,
    pub(crate) state: State,
    dice: Dice,
}

impl Walk {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let kinds = [Kind::Create, Kind::Delete, Kind::Delete];
        let count = 1 + dice.below(REQUESTS);
        let requests =
            kinds[..count].iter().map(|kind| Request { kind: *kind, wait: dice.one_in(4) }).collect();
        let workers = if dice.one_in(3) { 3 } else { 2 };
        let faults = u8::try_from(dice.below(7)).expect("it is below 7");
        let model = Model { workers, requests, faults, off: None };
        Self { state: model.init(), model, dice }
    }

    /// The next action, taken; `None` when nothing is left to happen.
    pub(crate) fn step(&mut self) -> Option<(Action, State)> {
        let mut actions = Vec::new();
        self.model.enabled(&self.state, &mut actions);
        let (faults, mut usual): (Vec<Action>, Vec<Action>) =
            actions.into_iter().partition(|action| action.is_fault());
        // Repeats alone would go on at rest; a run ends there.
        if usual.is_empty() {
            return None;
        }
        if !faults.is_empty() && self.dice.one_in(6) {
            usual = faults;
        }
        let action = usual[self.dice.below(usual.len())];
        let after = self.model.after(&self.state, action);
        let before = std::mem::replace(&mut self.state, after);
        Some((action, before))
    }
}

/// Walks one seed to its end; the error says which promise broke at which step.
fn walk(seed: u64, mut tell: impl FnMut(usize, Action, &State, &State)) -> Result<usize, String> {
    let mut walk = Walk::new(seed);
    for number in 1..=MOST_STEPS {
        let Some((action, before)) = walk.step() else { return Ok(number - 1) };
        tell(number, action, &before, &walk.state);
        let broken = broken(&walk.model, &walk.state);
        if !broken.is_empty() {
            return Err(format!("step {number} breaks {broken:?}"));
        }
    }
    Err(format!("it does not come to rest within {MOST_STEPS} steps"))
}

fn replay(seed: u64) {
    let walk_of = Walk::new(seed);
    println!("seed {seed}: {:?}", walk_of.model);
    let outcome =
        walk(seed, |number, action, before, after| print!("{}", trace::line(number, action, before, after)));
    println!("seed {seed}: {outcome:?}");
    assert!(outcome.is_ok());
}

#[test]
fn thousands_of_seeds_keep_every_promise() {
    if let Some(seed) = replayed() {
        return replay(seed);
    }
    let (begun, seeds) = (Instant::now(), number("CONDUCTOR_SIM_SEEDS").unwrap_or(SEEDS));
    let (mut steps, mut longest, mut faults) = (0, 0, 0);
    for seed in 0..seeds {
        let count = |_: usize, action: Action, _: &State, _: &State| faults += usize::from(action.is_fault());
        match walk(seed, count) {
            Ok(taken) => (steps, longest) = (steps + taken, longest.max(taken)),
            Err(why) => panic!(
                "seed {seed}: {why}. Replay it:\n  CONDUCTOR_SIM_SEED={seed} cargo test --test sim walks -- --nocapture"
            ),
        }
    }
    println!(
        "{seeds} seeds: {steps} steps, {faults} faults, the longest run {longest} steps, in {:.1?}",
        begun.elapsed()
    );
    let seeds = usize::try_from(seeds).expect("a sane number of seeds");
    assert!(steps > 20 * seeds && faults > seeds, "the runs are too short to show anything");
}

#[test]
fn a_seed_makes_the_same_run_each_time() {
    let run = |seed| {
        let mut actions = Vec::new();
        walk(seed, |_, action, _, after| actions.push((action, after.clone()))).map(|_| actions)
    };
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
    }
    assert_ne!(run(1), run(2));
}
