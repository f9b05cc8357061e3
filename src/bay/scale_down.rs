//! Which agents go when a bay gets smaller, in which order, and why.
//!
//! Never more than are to go; and where fewer can be named than are to go, the choice says so.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

/// An agent of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its private address: how the stack's removal policy knows it.
    pub address: String,
    /// How else a caller may call it, such as its public address.
    pub public_address: Option<String>,
    pub standing: Standing,
}

/// How an agent stands with the masters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The masters could not be asked.
    Unknown,
    /// The masters do not know it: it is lost, or never came up.
    Lost,
    Up {
        /// How many tasks it runs, whosever they are.
        tasks: usize,
        /// Whether somebody keeps new tasks away from it already.
        closed: bool,
    },
}

/// Agents that are to go, the first one first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    pub leaving: Vec<Leaving>,
    /// How many more are to go than there are to choose from: Heat takes those with the highest index.
    pub short: usize,
}

/// An agent that is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    pub address: String,
    pub why: Why,
}

/// Why an agent was chosen. Names are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The caller named it.
    Named,
    /// The masters do not know it.
    Lost,
    /// Nothing runs on it.
    Idle,
    /// No agent was left that runs less.
    Busy { tasks: usize },
    /// It has the highest index; what it runs is not known.
    Highest,
}

/// Why the names that a caller gave cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceFault {
    #[error("`{0}` is the address of no agent of the bay")]
    Unknown(String),
    #[error("{named} agents are named to be removed, and only {count} are to go")]
    TooMany { named: usize, count: usize },
}

/// Chooses `count` of the members, which are in the order of their index: first those that the caller named, then the
/// lost, then those that run nothing, then those that run least; among equals the one with the highest index, which is
/// Heat's own rule.
pub fn choose(members: &[Member], count: usize, named: &[String]) -> Result<Choice, ChoiceFault> {
    let mut leaving: Vec<usize> = Vec::new();
    for name in named {
        let called =
            |member: &Member| member.address == *name || member.public_address.as_ref() == Some(name);
        let place = members.iter().position(called).ok_or_else(|| ChoiceFault::Unknown(name.clone()))?;
        if !leaving.contains(&place) {
            leaving.push(place);
        }
    }
    if leaving.len() > count {
        return Err(ChoiceFault::TooMany { named: leaving.len(), count });
    }
    let named = leaving.len();
    let mut others: Vec<usize> = (0..members.len()).filter(|place| !leaving.contains(place)).collect();
    others.sort_by_key(|place| (rank(members[*place].standing), Reverse(*place)));
    leaving.extend(others.into_iter().take(count - named));
    let short = count - leaving.len();
    let tell = |(position, place): (usize, usize)| Leaving {
        address: members[place].address.clone(),
        why: if position < named { Why::Named } else { why(members[place].standing) },
    };
    Ok(Choice { leaving: leaving.into_iter().enumerate().map(tell).collect(), short })
}

/// The lower, the sooner it goes.
fn rank(standing: Standing) -> (usize, bool) {
    match standing {
        Standing::Lost | Standing::Unknown => (0, false),
        // Work is kept away from it already: its owner wants it empty.
        Standing::Up { tasks, closed } => (tasks + 1, !closed),
    }
}

fn why(standing: Standing) -> Why {
    match standing {
        Standing::Unknown => Why::Highest,
        Standing::Lost => Why::Lost,
        Standing::Up { tasks: 0, .. } => Why::Idle,
        Standing::Up { tasks, .. } => Why::Busy { tasks },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(place: usize, standing: Standing) -> Member {
        Member {
            address: format!("10.0.0.{place}"),
            public_address: Some(format!("192.0.2.{place}")),
            standing,
        }
    }

    fn up(tasks: usize) -> Standing {
        Standing::Up { tasks, closed: false }
    }

    fn members(standings: &[Standing]) -> Vec<Member> {
        standings.iter().enumerate().map(|(place, standing)| member(place, *standing)).collect()
    }

    #[track_caller]
    fn check(standings: &[Standing], count: usize, named: &[&str], expected: &[(&str, Why)]) {
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        let choice = choose(&members(standings), count, &named).unwrap();
        let told: Vec<_> =
            choice.leaving.iter().map(|leaving| (leaving.address.as_str(), leaving.why)).collect();
        assert_eq!(told, expected);
        assert_eq!(choice.short, count - expected.len());
    }

    #[test]
    fn g17_agents_without_tasks_go_and_not_the_highest_index() {
        check(&[up(0), up(3), up(0), up(1)], 1, &[], &[("10.0.0.2", Why::Idle)]);
        check(&[up(0), up(3), up(0), up(1)], 2, &[], &[("10.0.0.2", Why::Idle), ("10.0.0.0", Why::Idle)]);
    }

    #[test]
    fn g18_an_agent_that_the_caller_named_goes_whatever_it_runs() {
        check(&[up(5), up(0), up(0)], 1, &["10.0.0.0"], &[("10.0.0.0", Why::Named)]);
        check(&[up(5), up(0), up(0)], 1, &["192.0.2.0"], &[("10.0.0.0", Why::Named)]);
        let both = [("10.0.0.0", Why::Named), ("10.0.0.2", Why::Idle)];
        check(&[up(5), up(0), up(0)], 2, &["10.0.0.0"], &both);
    }

    #[test]
    fn g18_names_that_cannot_be_followed_are_refused() {
        let members = members(&[up(0), up(0)]);
        let choose = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            super::choose(&members, 1, &names)
        };
        assert_eq!(choose(&["10.0.0.9"]), Err(ChoiceFault::Unknown("10.0.0.9".to_owned())));
        assert_eq!(choose(&["10.0.0.0", "10.0.0.1"]), Err(ChoiceFault::TooMany { named: 2, count: 1 }));
        let twice = choose(&["10.0.0.0", "192.0.2.0", "10.0.0.0"]).unwrap();
        assert_eq!(twice.leaving.len(), 1, "two names of one agent are one agent");
    }

    #[test]
    fn g19_agents_that_the_masters_do_not_know_go_first() {
        check(&[up(0), Standing::Lost, up(0)], 1, &[], &[("10.0.0.1", Why::Lost)]);
    }

    #[test]
    fn g20_when_all_are_busy_the_one_that_runs_least_goes() {
        check(&[up(3), up(1), up(2)], 1, &[], &[("10.0.0.1", Why::Busy { tasks: 1 })]);
        let two = [("10.0.0.2", Why::Busy { tasks: 2 }), ("10.0.0.1", Why::Busy { tasks: 2 })];
        check(&[up(3), up(2), up(2)], 2, &[], &two);
    }

    #[test]
    fn g20_an_agent_that_is_kept_empty_already_goes_before_another_empty_one() {
        let closed = Standing::Up { tasks: 0, closed: true };
        check(&[closed, up(0)], 1, &[], &[("10.0.0.0", Why::Idle)]);
    }

    #[test]
    fn what_nobody_could_look_at_goes_by_heats_own_rule() {
        let expected = [("10.0.0.2", Why::Highest), ("10.0.0.1", Why::Highest)];
        check(&[Standing::Unknown; 3], 2, &[], &expected);
    }

    #[test]
    fn never_more_than_are_to_go_and_a_shortage_is_told() {
        check(&[up(0), up(0)], 0, &[], &[]);
        check(&[up(0)], 3, &[], &[("10.0.0.0", Why::Idle)]);
        check(&[], 1, &[], &[]);
    }
}
