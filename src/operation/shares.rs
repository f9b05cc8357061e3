//! Fair shares of a worker's places: projects take turns, so that one which asks for thousands of things at once holds
//! up its own and not the others'.
//!
//! Each worker shares out its own places, which shares out those of the pool: nothing has to be counted in the database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::store::Due;

/// Operations without a project share the turn of one.
type Project = Option<String>;

/// Who has how many of the places, and who had a turn when. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Shares {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    running: HashMap<Project, usize>,
    /// When each project that had something due at the last look had its last turn.
    turns: HashMap<Project, u64>,
    turn: u64,
}

/// A place that a project has, until this is dropped.
pub(crate) struct Share {
    inner: Arc<Mutex<Inner>>,
    project: Project,
}

impl Shares {
    /// Of what is due, one operation of each project, those whose turn it is: the projects that run the fewest here
    /// now. Among them who has waited the longest for a turn comes first, then what has been due the longest.
    pub(crate) fn next(&self, due: Vec<Due>) -> Vec<Due> {
        let mut inner = lock(&self.inner);
        inner.turns.retain(|project, _| due.iter().any(|due| due.project == *project));
        let running = |due: &Due| inner.running.get(&due.project).copied().unwrap_or(0);
        let Some(fewest) = due.iter().map(running).min() else { return Vec::new() };
        let mut next: Vec<Due> = due.iter().filter(|due| running(due) == fewest).cloned().collect();
        // The sort is stable: what was due first stays first among equals.
        next.sort_by_key(|due| inner.turns.get(&due.project).copied());
        next
    }

    /// Gives a project a place.
    pub(crate) fn take(&self, project: Project) -> Share {
        let mut inner = lock(&self.inner);
        inner.turn += 1;
        let turn = inner.turn;
        inner.turns.insert(project.clone(), turn);
        *inner.running.entry(project.clone()).or_default() += 1;
        Share { inner: Arc::clone(&self.inner), project }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut inner = lock(&self.inner);
        if let Some(running) = inner.running.get_mut(&self.project) {
            *running -= 1;
            if *running == 0 {
                inner.running.remove(&self.project);
            }
        }
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().expect("no panic while the lock is held")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// One due operation of each of these projects, the longest due first.
    fn due(projects: &[&str]) -> Vec<Due> {
        let project = |name: &&str| Some((*name).to_owned()).filter(|name| !name.is_empty());
        projects.iter().map(|name| Due { operation: Uuid::new_v4(), project: project(name) }).collect()
    }

    fn names(due: &[Due]) -> Vec<&str> {
        due.iter().map(|due| due.project.as_deref().unwrap_or_default()).collect()
    }

    /// Who gets the next place when all of these have something due.
    fn give(shares: &Shares, projects: &[&str]) -> (String, Share) {
        let first = shares.next(due(projects)).into_iter().next().expect("something is due");
        (first.project.clone().unwrap_or_default(), shares.take(first.project))
    }

    #[test]
    fn who_runs_the_fewest_is_next() {
        let shares = Shares::default();
        let held: Vec<Share> = ["a", "a", "b"].map(|name| shares.take(Some(name.to_owned()))).into();
        assert_eq!(names(&shares.next(due(&["a", "b"]))), ["b"]);
        assert_eq!(names(&shares.next(due(&["a", "b", "c", ""]))), ["c", ""]);
        drop(held);
        assert_eq!(shares.next(due(&["a", "b"])).len(), 2, "both run nothing again");
        assert!(shares.next(Vec::new()).is_empty());
    }

    #[test]
    fn with_a_single_place_projects_take_turns() {
        let shares = Shares::default();
        let mut order = Vec::new();
        for _ in 0..6 {
            let (name, share) = give(&shares, &["flood", "b", ""]);
            order.push(name);
            drop(share);
        }
        assert_eq!(order, ["flood", "b", "", "flood", "b", ""]);
    }

    #[test]
    fn a_newcomer_is_next() {
        let shares = Shares::default();
        let held: Vec<Share> = (0..64).map(|_| give(&shares, &["flood"]).1).collect();
        assert_eq!(give(&shares, &["flood", "late"]).0, "late");
        assert_eq!(held.len(), 64);
    }

    #[test]
    fn nothing_is_remembered_of_projects_that_are_gone() {
        let shares = Shares::default();
        for number in 0..100 {
            drop(shares.take(Some(number.to_string())));
        }
        shares.next(due(&["7"]));
        let inner = lock(&shares.inner);
        assert_eq!((inner.turns.len(), inner.running.len()), (1, 0));
    }
}
