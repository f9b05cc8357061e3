//! Watching the frameworks of bays: apps are shown as they are, and whoever waits for one looks when something moved.
//!
//! Each bay with apps is watched by one worker of the pool, over one stream of events for all its apps. An event only
//! says that it is time to look; without a stream, and now and then with one, the bay is looked at anyway.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use uuid::Uuid;

use crate::app::{App, Phase};
use crate::bay::Bay;
use crate::framework::account::{as_seen, drift};
use crate::framework::{self, Depth, Error, Framework, Hint, Seen, Selection};
use crate::operation::runner::Workshop;
use crate::operation::steps::AWAIT_DEPLOYMENT;
use crate::store::{self, AppFilter, Key, Page, Scope};
use crate::telemetry::metrics;

/// Between two looks for bays that nobody watches.
const SWEEP: Duration = Duration::from_secs(1);
/// How long a bay is left to a worker that says nothing any more.
const HOLD: Duration = Duration::from_secs(15);
/// Bays that one worker takes on at a time, so that others of the pool have their share.
const AT_ONCE: u32 = 50;
/// How long further events are awaited before a look: they come in bursts.
const BURST: Duration = Duration::from_millis(300);
/// A bay is looked at after this many intervals even when its stream says nothing.
const QUIET_INTERVALS: u32 = 6;

/// The pool member that watches frameworks.
pub struct Watch {
    shop: Arc<Workshop>,
    tasks: TaskTracker,
    watched: HashMap<Uuid, CancellationToken>,
}

impl Watch {
    pub fn new(shop: Arc<Workshop>) -> Self {
        Self { shop, tasks: TaskTracker::new(), watched: HashMap::new() }
    }

    /// Watches until told to stop, then leaves its bays to others.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(SWEEP);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut kept = Instant::now();
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.watched.retain(|_, watching| !watching.is_cancelled());
            if let Err(error) = self.sweep(&mut kept).await {
                tracing::warn!(%error, "bays cannot be taken to be watched");
            }
            metrics::bays_watched(self.watched.len());
        }
        for watching in self.watched.values() {
            watching.cancel();
        }
        self.tasks.close();
        self.tasks.wait().await;
        if let Err(error) = self.shop.store.leave_watches(&self.shop.owner).await {
            tracing::debug!(%error, "the watched bays are left until others notice");
        }
    }

    async fn sweep(&mut self, kept: &mut Instant) -> Result<(), store::Error> {
        let store = &self.shop.store;
        if kept.elapsed() >= HOLD / 3 {
            let ours = store.keep_watches(&self.shop.owner, HOLD).await?;
            *kept = Instant::now();
            for (bay, watching) in &self.watched {
                if !ours.contains(bay) {
                    tracing::info!(%bay, "the bay has no apps any more, or another worker watches it");
                    watching.cancel();
                    store.leave_watch(*bay, &self.shop.owner).await?;
                }
            }
        }
        for bay in store.unwatched_bays(AT_ONCE).await? {
            if !store.claim_watch(bay, &self.shop.owner, HOLD).await? {
                continue;
            }
            let watching = CancellationToken::new();
            self.watched.insert(bay, watching.clone());
            let watcher = Watcher { shop: Arc::clone(&self.shop), bay };
            let span = tracing::info_span!("watch", %bay);
            let work = async move {
                watching.run_until_cancelled(watcher.run()).await;
                watching.cancel();
            };
            self.tasks.spawn(work.instrument(span));
        }
        Ok(())
    }
}

/// What a failed operation left behind, for as long as it goes on.
fn still_under_way(app: &App, seen: &[Seen]) -> Option<String> {
    let listed =
        |id: &str| seen.iter().any(|seen| seen.deployments.iter().any(|listed| listed.as_str() == id));
    app.deployment_id.clone().filter(|ids| ids.split(',').any(listed))
}

/// One worker watching one bay.
struct Watcher {
    shop: Arc<Workshop>,
    bay: Uuid,
}

impl Watcher {
    /// Until the bay has no apps any more.
    async fn run(&self) {
        let poll = self.shop.settings.deployments.poll_interval;
        loop {
            let next = Instant::now() + poll;
            match self.watch().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => tracing::warn!(%error, "what the framework shows cannot be recorded"),
            }
            // A stream that has lasted is followed by the next one at once.
            sleep_until(next).await;
        }
        if let Err(error) = self.shop.store.leave_watch(self.bay, &self.shop.owner).await {
            tracing::debug!(%error, "the bay stays ours until that has run out");
        }
    }

    /// Follows one stream to its end, or looks once where there is none. False when there is nothing to watch.
    async fn watch(&self) -> Result<bool, store::Error> {
        let Some(bay) = self.shop.store.bay(&Scope::All, Key::Uuid(self.bay)).await? else {
            return Ok(false);
        };
        if self.apps().await?.is_empty() {
            return Ok(false);
        }
        let framework = match self.shop.frameworks.of(&bay).await {
            Ok(framework) => framework,
            Err(error) => {
                tracing::debug!(%error, "the bay has no framework to watch");
                return Ok(true);
            }
        };
        match framework.events(self.shop.settings.request_timeout).await {
            Ok(hints) => self.follow(&bay, &*framework, hints).await,
            Err(error) => {
                if !matches!(error, Error::NotSupported { .. }) {
                    tracing::info!(%error, "there is no stream of events; the bay is polled");
                }
                self.look(&bay, &*framework).await
            }
        }
    }

    async fn follow(
        &self,
        bay: &Bay,
        framework: &dyn Framework,
        mut hints: futures_util::stream::BoxStream<'static, Hint>,
    ) -> Result<bool, store::Error> {
        let quiet = self.shop.settings.deployments.poll_interval * QUIET_INTERVALS;
        let mut due = Instant::now() + quiet;
        loop {
            tokio::select! {
                hint = hints.next() => match hint {
                    Some(Hint::Attached | Hint::Deployment { .. } | Hint::AppChanged(_) | Hint::Unclear) => {
                        due = due.min(Instant::now() + BURST);
                    }
                    Some(Hint::Silent | Hint::Closed) | None => {
                        tracing::info!("the stream of events ended");
                        metrics::event_stream_ended();
                        return self.look(bay, framework).await;
                    }
                },
                () = sleep_until(due) => {
                    if !self.look(bay, framework).await? {
                        return Ok(false);
                    }
                    due = Instant::now() + quiet;
                }
            }
        }
    }

    /// Compares every app of the bay with what the framework shows. False when there is none.
    async fn look(&self, bay: &Bay, framework: &dyn Framework) -> Result<bool, store::Error> {
        metrics::framework_look();
        let seen = framework.list(Selection::All, Depth::Tasks, self.shop.settings.request_timeout).await;
        let apps = self.apps().await?;
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => {
                tracing::debug!(%error, "the framework shows nothing now");
                return Ok(!apps.is_empty());
            }
        };
        let mut woken = 0;
        for app in &apps {
            woken += self.compare(bay, app, &seen).await?;
        }
        if woken > 0 {
            self.shop.hint.notify_one();
        }
        Ok(!apps.is_empty())
    }

    /// Records what changed of one app, and lets the operation that waits for it look.
    async fn compare(&self, bay: &Bay, app: &App, seen: &[Seen]) -> Result<u64, store::Error> {
        let kind = framework::Kind::of(&bay.labels).ok();
        let manifest = kind.zip(app.manifest.as_deref()).and_then(|(kind, text)| kind.manifest(text).ok());
        let Some(manifest) = manifest else { return Ok(0) };
        let ids: HashSet<_> = manifest.apps().iter().map(crate::app::Definition::id).collect();
        let own: Vec<Seen> = seen.iter().filter(|seen| ids.contains(&seen.id)).cloned().collect();
        let mut shown = as_seen(app, &own);
        let phase = app.status.map(|status| status.phase);
        if phase == Some(Phase::Complete) {
            shown.status_reason = drift(manifest.apps(), &own);
        }
        if phase != Some(Phase::InProgress) {
            shown.deployment_id = still_under_way(app, &own);
        }
        let moved = shown != *app;
        if moved && phase != Some(Phase::InProgress) {
            self.shop.store.show_app(&shown, app.status).await?;
        }
        let still = own.iter().all(|seen| seen.deployments.is_empty());
        if moved || still {
            return self.shop.store.wake(app.uuid, AWAIT_DEPLOYMENT).await;
        }
        Ok(0)
    }

    async fn apps(&self) -> Result<Vec<App>, store::Error> {
        let filter = AppFilter { bay_uuid: Some(self.bay), ..AppFilter::default() };
        self.shop.store.apps(&Scope::All, &filter, &Page::default()).await
    }
}
