//! Runs operations: claims those that are due, runs the step each row names, and records what it changed.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use uuid::Uuid;

use crate::amqp::Publisher;
use crate::bay::template::Templates;
use crate::certificate::{Certificates, Forge};
use crate::error::Fault;
use crate::framework::Frameworks;
use crate::framework::manifest_url::Fetcher;
use crate::notify::{Notifier, Outcome};
use crate::openstack::Cloud;
use crate::operation::fault::{self, Phase};
use crate::operation::keeper::{Held, Keeper};
use crate::operation::progress::Progress;
use crate::operation::record::{Kind, Operation};
use crate::operation::shares::{Share, Shares};
use crate::operation::step::{Answer, Change, Plan, Scene, Settings, Step, StepError};
use crate::operation::steps::{self, PlanOf};
use crate::operation::subject::Subject;
use crate::store::{self, Ending, Store, Wake};
use crate::telemetry::metrics::{self, StepOutcome};

mod recorder;

pub(crate) use recorder::reply;

/// The longest sleep between two looks for due operations: others of the pool may have let go of some.
const SWEEP: Duration = Duration::from_secs(1);
/// The shortest, when there is more to do than can be done at once.
const BUSY: Duration = Duration::from_millis(10);
/// How often a step may be begun after its operation's deadline is not looked at before.
const MOST_ENDS: u32 = 3;
/// How often a record is tried again after a deadlock or a serialization failure.
const RECORD_ATTEMPTS: u32 = 6;
/// After an operation could not be read: sealed with another key, or written by a newer worker.
const UNREADABLE_RETRY: Duration = Duration::from_secs(30);
/// The longest wait between two tries, whatever a service asks for: a deadline must be noticed, and a delete.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// What running operations needs. Shared by all of a worker's operations.
pub struct Workshop {
    pub store: Store,
    pub cloud: Arc<dyn Cloud>,
    pub certificates: Arc<dyn Certificates>,
    pub forge: Forge,
    pub frameworks: Arc<dyn Frameworks>,
    pub fetcher: Fetcher,
    pub publisher: Publisher,
    pub notifier: Notifier,
    pub templates: Templates,
    pub settings: Settings,
    pub lease: Duration,
    /// How long a step is tried again.
    pub deadline: Duration,
    /// How long a vanished reply queue is waited for.
    pub missing_queue_timeout: Duration,
    /// This worker's name: unique in the pool and for this run of the process.
    pub owner: String,
    /// Told when a message was committed to the outbox.
    pub outbox_hint: Arc<Notify>,
    /// Told when an operation was committed.
    pub hint: Arc<Notify>,
}

impl Workshop {
    /// When a step that begins now is given up, in milliseconds of the database's clock.
    pub(crate) fn deadline_after(&self, now_ms: i64) -> i64 {
        now_ms.saturating_add(i64::try_from(self.deadline.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The pool member that runs operations.
pub struct Runner {
    shop: Arc<Workshop>,
    keeper: Arc<Keeper>,
    permits: Arc<Semaphore>,
    shares: Shares,
    tasks: TaskTracker,
}

impl Runner {
    pub fn new(shop: Arc<Workshop>, permits: usize) -> Self {
        let keeper = Keeper::new(shop.store.clone(), shop.lease);
        let permits = Arc::new(Semaphore::new(permits));
        Self { shop, keeper, permits, shares: Shares::default(), tasks: TaskTracker::new() }
    }

    /// Works until told to stop, then hands back what it holds: steps in progress end at their next record.
    pub async fn run(self, stop: CancellationToken) {
        let keeping = CancellationToken::new();
        let keepers = TaskTracker::new();
        keepers.spawn(Arc::clone(&self.keeper).run(keeping.clone()));
        // With every permit in use there is nothing to look for.
        while let Some(Ok(free)) = stop.run_until_cancelled(self.permits.acquire()).await {
            drop(free);
            // Armed before the look, so that a hint during it is not missed.
            let hint = self.shop.hint.notified();
            let pause = match self.claim_due(&stop).await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::warn!(%error, "operations cannot be looked for");
                    SWEEP
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = hint => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
        // The keeper goes last: what was still at work needed its leases.
        keeping.cancel();
        keepers.close();
        keepers.wait().await;
    }

    /// Claims what is due, as long as there are places for it, and says how long nothing more will be.
    async fn claim_due(&self, stop: &CancellationToken) -> Result<Duration, store::Error> {
        let store = &self.shop.store;
        loop {
            let next = self.shares.next(store.due_operations().await?);
            if next.is_empty() {
                break;
            }
            let mut claimed = false;
            for due in next {
                // Until a place is free there is no need to know when something is due.
                let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { return Ok(BUSY) };
                if stop.is_cancelled() {
                    return Ok(BUSY);
                }
                let Some((operation, held)) = self.claim(due.operation).await? else { continue };
                claimed = true;
                self.start(operation, held, (permit, self.shares.take(due.project)), stop);
            }
            // Others of the pool are at it too: whoever was too late every time lets them.
            if !claimed {
                return Ok(BUSY);
            }
        }
        let (now, due) = (store.now_ms().await?, store.next_due_ms().await?);
        let due = due.map(|at| Duration::from_millis((at - now).max(0).unsigned_abs()));
        Ok(due.map_or(SWEEP, |due| due.clamp(BUSY, SWEEP)))
    }

    /// Claims an operation, unless another worker was first or nobody can read it.
    async fn claim(&self, uuid: Uuid) -> Result<Option<(Operation, Arc<Held>)>, store::Error> {
        let store = &self.shop.store;
        let began = Instant::now();
        match store.claim(uuid, &self.shop.owner, self.shop.lease).await {
            Ok(claimed) => Ok(claimed.map(|(operation, lease)| (operation, self.keeper.hold(lease, began)))),
            // The others must not wait behind one that nobody can read.
            Err(error) if error.is_unreadable() => {
                tracing::error!(%error, operation = %uuid, "an operation cannot be read; it is left for a while");
                store.postpone(uuid, UNREADABLE_RETRY).await?;
                Ok(None)
            }
            // Another worker was at it in the same moment; whoever it was, it is found again if it is still due.
            Err(error) if error.is_retryable() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Drives a claimed operation beside the others; its place is free again afterwards.
    fn start(
        &self,
        operation: Operation,
        held: Arc<Held>,
        place: (OwnedSemaphorePermit, Share),
        stop: &CancellationToken,
    ) {
        let (shop, keeper, stop) = (Arc::clone(&self.shop), Arc::clone(&self.keeper), stop.clone());
        let span = tracing::info_span!(
            "operation",
            operation = %operation.uuid,
            kind = operation.kind.as_str(),
            bay = tracing::field::Empty,
            app = tracing::field::Empty,
            request_id = operation.request_id.as_deref().unwrap_or_default(),
        );
        if let Some(subject) = steps::subject(operation.kind) {
            span.record(subject, tracing::field::display(operation.subject));
        }
        let work = async move {
            // Dropped by a panic too: a lease that nobody works under must not be prolonged.
            let at_work = AtWork { keeper: &keeper, held: &held };
            Drive { shop: &shop, held: &held, keeper: &keeper, stop }.run(operation).await;
            drop(at_work);
            drop(place);
        };
        self.tasks.spawn(work.instrument(span));
    }
}

/// A lease is let go of when the work under it ends, however it ends.
struct AtWork<'a> {
    keeper: &'a Keeper,
    held: &'a Arc<Held>,
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.keeper.let_go(self.held);
    }
}

/// One worker driving one operation, as long as it holds its lease.
struct Drive<'a> {
    shop: &'a Workshop,
    held: &'a Arc<Held>,
    keeper: &'a Keeper,
    stop: CancellationToken,
}

/// What came of one round of an operation.
enum Round {
    /// On to the next step at once.
    On(Box<Operation>),
    /// Handed back for whoever is free then.
    Left,
    /// The operation is over.
    Over(Ending, Option<String>),
}

impl Drive<'_> {
    async fn run(&self, operation: Operation) {
        let outcome = tokio::select! {
            outcome = self.rounds(operation) => outcome,
            // Nothing more may be written or asked for: another worker may be at it already.
            () = self.held.lost.cancelled() => Ok(()),
        };
        match outcome {
            Ok(()) => {}
            Err(store::Error::LeaseLost { .. }) => self.keeper.lose(self.held),
            // Whatever was not recorded is found again when the lease has run out.
            Err(error) => tracing::warn!(%error, "the operation is left until its lease ends"),
        }
    }

    async fn rounds(&self, mut operation: Operation) -> Result<(), store::Error> {
        let (kind, created_ms) = (operation.kind, operation.created_ms);
        loop {
            if self.stop.is_cancelled() {
                return self.shop.store.release(&self.held.lease).await;
            }
            match self.round(operation).await? {
                Round::Left => return Ok(()),
                Round::Over(ending, reason) => {
                    self.count_end(kind, created_ms).await;
                    tracing::info!(?ending, reason, "the operation is over");
                    self.shop.hint.notify_one();
                    return Ok(());
                }
                Round::On(next) => operation = *next,
            }
        }
    }

    async fn count_end(&self, kind: Kind, created_ms: i64) {
        if let Ok(now_ms) = self.shop.store.now_ms().await {
            let took = u64::try_from(now_ms - created_ms).unwrap_or_default();
            metrics::operation_ended(kind, Duration::from_millis(took));
        }
    }

    async fn round(&self, operation: Operation) -> Result<Round, store::Error> {
        match steps::plan(operation.kind) {
            PlanOf::Bay(plan) => self.round_of(plan, operation).await,
            PlanOf::App(plan) => self.round_of(plan, operation).await,
            PlanOf::Deployment(plan) => self.round_of(plan, operation).await,
        }
    }

    async fn round_of<S: Subject>(
        &self,
        plan: &dyn Plan<S>,
        mut operation: Operation,
    ) -> Result<Round, store::Error> {
        let Some((step, next)) = steps::find(plan, &operation.step) else {
            // An older worker of a mixed pool does not know a newer step: somebody who does will take it.
            tracing::warn!(step = operation.step, "this worker does not know the step");
            return self.hand_back(operation).await;
        };
        if step.bounded() {
            operation.attempts += 1;
            self.begin(&operation).await?;
        }
        // A delete may have come meanwhile.
        if let Some(fresh) = self.shop.store.operation(operation.uuid).await? {
            operation.superseded = fresh.superseded;
        }
        let progress = Progress::decode(&operation.progress)
            .map_err(|_| store::Error::corrupt("an operation's progress"))?;
        let Some(subject) = S::read(&self.shop.store, operation.subject, &progress).await? else {
            return self.without_subject::<S>(operation, &progress, next).await;
        };
        let scene = Scene {
            operation: &operation,
            progress: &progress,
            subject: &subject,
            store: &self.shop.store,
            cloud: &*self.shop.cloud,
            certificates: &*self.shop.certificates,
            forge: &self.shop.forge,
            frameworks: &*self.shop.frameworks,
            fetcher: &self.shop.fetcher,
            templates: &self.shop.templates,
            settings: &self.shop.settings,
            held: self.held,
        };
        // A step that ends its workers has nobody to report its failure: past the deadline it is not begun again.
        // The last try of one that only retries comes within its longest wait, and says what went wrong.
        let change = if step.bounded()
            && operation.attempts > MOST_ENDS
            && self.past(&operation, LONGEST_RETRY).await?
        {
            let text = format!("Gave up: the step `{}` was begun {} times.", step.name(), operation.attempts);
            plan.failed(&scene, Fault::Internal(text))
        } else {
            self.change(step, plan, &scene).await?
        };
        let (mut change, mut attempt, mut unstorable) = (change, 1, false);
        loop {
            match self.record(operation.clone(), &progress, &subject, change.clone(), next).await {
                // A service said what no column takes: it will say so again.
                Err(error @ store::Error::Unstorable(_)) if !unstorable => {
                    tracing::error!(%error, step = step.name(), "what the step found cannot be stored");
                    unstorable = true;
                    let text = format!("What the step `{}` found cannot be stored.", step.name());
                    change = plan.failed(&scene, Fault::Internal(text));
                }
                // It gave way to another transaction. Whether the lease still holds is asked again.
                Err(error) if error.is_retryable() && attempt < RECORD_ATTEMPTS => {
                    tracing::debug!(%error, attempt, "what the step changed is recorded again");
                    tokio::time::sleep(Duration::from_millis(rand::random_range(5..=20) << attempt)).await;
                    attempt += 1;
                }
                recorded => return recorded,
            }
        }
    }

    /// Counts the attempt before the step acts, so that a step which kills its worker is noticed.
    async fn begin(&self, operation: &Operation) -> Result<(), store::Error> {
        let began = Instant::now();
        let mut tx = self.shop.store.begin_held(&self.held.lease, self.shop.lease).await?;
        tx.advance(&self.held.lease, operation, Wake::Now).await?;
        tx.commit().await?;
        self.held.renewed_at(began);
        Ok(())
    }

    async fn change<S: Subject>(
        &self,
        step: &dyn Step<S>,
        plan: &dyn Plan<S>,
        scene: &Scene<'_, S>,
    ) -> Result<Change<S>, store::Error> {
        let operation = scene.operation;
        let label = |phase: Phase| format!("{}/{}/{phase}", operation.kind.as_str(), step.name());
        if operation.superseded
            && let Some(change) = plan.superseded(scene)
        {
            tracing::info!(step = step.name(), "the operation stops for a delete");
            return Ok(change);
        }
        fault::point(label(Phase::Begin));
        let outcome = AssertUnwindSafe(step.run(scene)).catch_unwind().await;
        fault::point(label(Phase::Effect));
        let error = match outcome {
            Ok(Ok(change)) => {
                metrics::step(operation.kind, step.name(), StepOutcome::Done);
                return Ok(Change { seen: !step.bounded(), ..change });
            }
            Ok(Err(error)) => error,
            Err(_panic) => {
                metrics::panic_caught();
                let text = format!("The step `{}` broke off; see the log.", step.name());
                StepError::Fatal(Fault::Internal(text))
            }
        };
        match error {
            StepError::Store(error) => Err(error),
            StepError::Fatal(fault) => {
                metrics::step(operation.kind, step.name(), StepOutcome::Failed);
                tracing::warn!(step = step.name(), %fault, "the step failed");
                Ok(plan.failed(scene, fault))
            }
            StepError::Retry { fault, after } => {
                metrics::step(operation.kind, step.name(), StepOutcome::Retry);
                // The first try is never the last: by the count a plan knows that an effect may come late.
                if step.bounded() && operation.attempts > 1 && self.past(operation, Duration::ZERO).await? {
                    tracing::warn!(step = step.name(), %fault, "the step is given up at its deadline");
                    return Ok(plan.failed(scene, given_up(fault)));
                }
                let least = if step.bounded() { Duration::ZERO } else { self.shop.settings.poll_interval };
                // What is waited for without an end is not asked for more often when nobody answers.
                let after = after
                    .unwrap_or_else(|| backoff(operation.attempts))
                    .clamp(least, LONGEST_RETRY.max(least));
                tracing::info!(
                    step = step.name(),
                    reason = %fault,
                    retry_ms = after.as_millis(),
                    "the step is tried again"
                );
                Ok(Change::again(after))
            }
        }
    }

    /// Whether so much time has passed since the operation's deadline.
    async fn past(&self, operation: &Operation, grace: Duration) -> Result<bool, store::Error> {
        let Some(deadline) = operation.deadline_ms else { return Ok(false) };
        let grace = i64::try_from(grace.as_millis()).unwrap_or(i64::MAX);
        Ok(self.shop.store.now_ms().await? >= deadline.saturating_add(grace))
    }

    async fn record<S: Subject>(
        &self,
        operation: Operation,
        progress: &Progress,
        subject: &S,
        change: Change<S>,
        next: Option<&'static str>,
    ) -> Result<Round, store::Error> {
        let label = format!("{}/{}/{}", operation.kind.as_str(), operation.step, Phase::Committed);
        let began = Instant::now();
        let round = recorder::Recorder { shop: self.shop, held: self.held }
            .record(operation, progress, subject, change, next)
            .await?;
        self.held.renewed_at(began);
        fault::point(label);
        Ok(round)
    }

    async fn hand_back(&self, operation: Operation) -> Result<Round, store::Error> {
        let mut tx = self.shop.store.begin_held(&self.held.lease, self.shop.lease).await?;
        tx.advance(&self.held.lease, &operation, Wake::Release { after: SWEEP }).await?;
        tx.commit().await?;
        Ok(Round::Left)
    }

    /// The row is gone: a delete that came after a create was undone has nothing left to do.
    async fn without_subject<S: Subject>(
        &self,
        operation: Operation,
        progress: &Progress,
        next: Option<&'static str>,
    ) -> Result<Round, store::Error> {
        let change = if operation.kind.is_delete() {
            Change::done().reply(Answer::Null).event(Outcome::Success)
        } else {
            let fault = S::not_found(operation.subject);
            Change::failed(fault.to_string()).reply(Answer::Fault(fault)).event(Outcome::Failure)
        };
        let gone = S::gone(operation.subject);
        self.record(operation, progress, &gone, change, next).await
    }
}

/// What is told of a fault that no try has mended.
fn given_up(fault: Fault) -> Fault {
    if let Fault::Internal(reason) = fault { Fault::Internal(format!("Gave up: {reason}")) } else { fault }
}

/// Between two tries of a step: doubling from half a second to half a minute, spread so that a pool does not march in
/// step.
fn backoff(attempts: u32) -> Duration {
    let ceiling = Duration::from_millis(500).saturating_mul(1 << attempts.clamp(1, 7).saturating_sub(1));
    ceiling.min(Duration::from_secs(30)).mul_f64(rand::random_range(0.5..=1.0))
}
