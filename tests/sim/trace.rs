//! Runs as text: one numbered line per action, and below it what it changed.

use std::fmt::Write as _;

use crate::model::{Action, State};

/// A path as the checker hands it out: each state with the action that was taken there, the last one without.
pub(crate) fn written(path: &[(State, Option<Action>)]) -> String {
    let mut text = String::new();
    for (number, pair) in path.windows(2).enumerate() {
        let [(before, Some(action)), (after, _)] = pair else {
            unreachable!("every state but the last has one")
        };
        text.push_str(&line(number + 1, *action, before, after));
    }
    text
}

/// One action and what it changed.
pub(crate) fn line(number: usize, action: Action, before: &State, after: &State) -> String {
    let fault = if action.is_fault() { "  <- fault" } else { "" };
    let mut text = String::new();
    writeln!(text, "{number:4}  {action:?}{fault}{}", after.since(before)).expect("text takes everything");
    text
}
