//! Looks at the stacks of all operations that wait for one, by listings: one for all bays of a project, whichever
//! worker's turn it is, or one for all projects where the deployment grants that.
//!
//! An operation whose stack is not as its bay shows it, or is missing, is woken and looks itself. All others are spared
//! their own look: how many requests there are depends on the projects, and hardly on the bays.

mod pace;
mod rounds;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::seq::SliceRandom;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use uuid::Uuid;

use self::pace::Pace;
use crate::operation::runner::Workshop;
use crate::store::{self, StackLot, StackScope};

/// The longest between two looks for projects that are due.
const SWEEP: Duration = Duration::from_secs(1);
/// The shortest.
const BUSY: Duration = Duration::from_millis(20);
/// Projects that one worker looks at at the same time; others of the pool have their share.
const AT_ONCE: usize = 8;
/// An operation is looked at each time it has grown older by this part of its age.
const PART_OF_AGE: u32 = 20;
/// After how many of the longest intervals an operation looks by itself, whatever the listings say.
const FALLBACK_INTERVALS: u32 = 10;
/// How long whoever was not let in is left alone.
const SHUT_OUT: Duration = Duration::from_secs(600);
/// Between two times of forgetting the projects that nothing waits for any more.
const TIDY: Duration = Duration::from_secs(300);

/// How often stacks are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Between two looks while an operation is young.
    pub first: Duration,
    /// Between two looks when all operations are old.
    pub longest: Duration,
    /// The most requests per second of this worker; 0 is no limit.
    pub rate: u32,
    /// Whether all projects are listed at once, where that is granted.
    pub everywhere: bool,
}

impl Settings {
    /// After how long an operation looks by itself.
    pub fn fallback(&self) -> Duration {
        self.longest.max(self.first).saturating_mul(FALLBACK_INTERVALS)
    }

    /// How long to leave operations alone of which the youngest is so old.
    fn interval(&self, youngest: Duration) -> Duration {
        (youngest / PART_OF_AGE).clamp(self.first, self.longest.max(self.first))
    }
}

/// The pool member that lists stacks.
pub struct Stacks {
    member: Arc<Member>,
    tasks: TaskTracker,
    places: Arc<Semaphore>,
}

/// What the rounds of one worker share.
struct Member {
    shop: Arc<Workshop>,
    settings: Settings,
    pace: Pace,
    /// Since when bays' trusts let nobody in.
    shut_out: Mutex<HashMap<Uuid, Instant>>,
    /// Since when the listing of all projects is refused.
    refused: Mutex<Option<Instant>>,
}

impl Stacks {
    pub fn new(shop: Arc<Workshop>, settings: Settings) -> Self {
        let member = Member {
            shop,
            settings,
            pace: Pace::new(settings.rate),
            shut_out: Mutex::default(),
            refused: Mutex::default(),
        };
        let places = Arc::new(Semaphore::new(AT_ONCE));
        Self { member: Arc::new(member), tasks: TaskTracker::new(), places }
    }

    /// Looks until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut tidied = Instant::now();
        loop {
            let pause = self.sweep(&stop).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the stacks that are waited for cannot be found");
                SWEEP
            });
            if tidied.elapsed() > TIDY {
                tidied = Instant::now();
                if let Err(error) = self.member.shop.store.forget_stack_turns().await {
                    tracing::debug!(%error, "projects that nothing waits for are kept in mind");
                }
            }
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                break;
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Begins the rounds that are due, and says when to look for more.
    async fn sweep(&self, stop: &CancellationToken) -> Result<Duration, store::Error> {
        let most = self.member.settings.first.clamp(BUSY, SWEEP);
        let mut pause = most;
        for lot in self.member.lots().await? {
            if !lot.due_in.is_zero() {
                pause = pause.min(lot.due_in);
                continue;
            }
            // Whoever of the pool has a place first looks.
            let place = stop.run_until_cancelled(Arc::clone(&self.places).acquire_owned()).await;
            let Some(Ok(place)) = place else { break };
            if !self.member.take(&lot.scope).await? {
                continue;
            }
            let (member, stop) = (Arc::clone(&self.member), stop.clone());
            let span = tracing::info_span!("stacks", scope = ?lot.scope);
            let work = async move {
                stop.run_until_cancelled(member.round(lot)).await;
                drop(place);
            };
            self.tasks.spawn(work.instrument(span));
        }
        Ok(pause.clamp(BUSY, most))
    }
}

impl Member {
    /// What is to be looked at together, in no order: the workers of a pool are not to go for the same first.
    async fn lots(&self) -> Result<Vec<StackLot>, store::Error> {
        let mut lots = self.shop.store.stack_lots().await?;
        if self.looks_everywhere() && !lots.is_empty() {
            let youngest = lots.iter().map(|lot| lot.youngest).min().unwrap_or_default();
            let waiting = lots.iter().map(|lot| lot.waiting).sum();
            let due_in = self.shop.store.stack_turn_everywhere().await?;
            lots = vec![StackLot { scope: StackScope::Everywhere, waiting, youngest, due_in }];
        }
        lots.shuffle(&mut rand::rng());
        Ok(lots)
    }

    fn looks_everywhere(&self) -> bool {
        let refused = locked(&self.refused).is_some_and(|since| since.elapsed() < SHUT_OUT);
        self.settings.everywhere && self.shop.settings.service_user && !refused
    }

    async fn take(&self, scope: &StackScope) -> Result<bool, store::Error> {
        let furthest = self.settings.longest.max(self.settings.first).saturating_mul(2);
        self.shop.store.take_stack_turn(scope, &self.shop.owner, self.shop.lease, furthest).await
    }
}

/// What the locks guard is whole at any moment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn young_operations_are_looked_at_often_and_old_ones_seldom() {
        let seconds = Duration::from_secs;
        let settings = Settings { first: seconds(5), longest: seconds(30), rate: 0, everywhere: false };
        for (youngest, interval) in [(0, 5), (60, 5), (200, 10), (400, 20), (600, 30), (100_000, 30)] {
            assert_eq!(settings.interval(seconds(youngest)), seconds(interval), "at {youngest} s");
        }
        let swapped = Settings { first: seconds(60), ..settings };
        assert_eq!(swapped.interval(seconds(10_000)), seconds(60));
        assert_eq!(swapped.fallback(), seconds(600));
    }
}
