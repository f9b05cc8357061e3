//! Looks at living bays now and then: how much of their memory and processors is in use, which listeners are told, and
//! whether they are healthy, which their rows show.
//!
//! One worker of the pool does it for all, whoever comes first. A bay that cannot be looked at keeps nobody up.

mod look;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use look::Look;

use crate::amqp::Publisher;
use crate::bay::{Bay, Health, Status};
use crate::notify::{Era, Measured};
use crate::operation::outbox;
use crate::operation::runner::Workshop;
use crate::store::{self, BayFilter, Key, Page, Periodic, Scope, Turn};
use crate::telemetry::metrics;

/// Bays that are looked at at the same time.
const AT_ONCE: usize = 16;
/// Bays that are read from the database at a time.
const PAGE: u32 = 500;

/// The states of bays that there is something to look at in: those of a stack that was built once.
const LIVING: &[Status] = &[
    Status::CreateComplete,
    Status::UpdateComplete,
    Status::UpdateInProgress,
    Status::UpdateFailed,
    Status::RollbackInProgress,
    Status::RollbackComplete,
    Status::RollbackFailed,
    Status::ResumeComplete,
    Status::RestoreComplete,
    Status::SnapshotComplete,
    Status::CheckComplete,
    Status::AdoptComplete,
];

/// What is looked at, and who is told.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub every: Duration,
    /// Whether bays show their health.
    pub health: bool,
    /// In which era's words listeners are told; `None` tells nobody.
    pub metrics: Option<Era>,
    /// The longest that one look may take.
    pub within: Duration,
}

/// The pool member that monitors bays.
pub struct Monitor {
    pub shop: Arc<Workshop>,
    pub settings: Settings,
    pub notifications: Publisher,
}

impl Monitor {
    /// Monitors until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        if !self.settings.health && self.settings.metrics.is_none() {
            return;
        }
        loop {
            let pause = stop.run_until_cancelled(self.turn()).await;
            let Some(pause) = pause else { return };
            let pause = pause.unwrap_or_else(|error| {
                tracing::warn!(%error, "bays are not monitored now");
                self.settings.every
            });
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Looks at all bays if it is this worker's turn, and says how long it is nobody's.
    async fn turn(&self) -> Result<Duration, store::Error> {
        let store = &self.shop.store;
        match store.take_turn(Periodic::Monitor, &self.shop.owner, self.settings.every).await? {
            Turn::Later(rest) => Ok(rest),
            Turn::Ours => {
                self.look_at_all().await?;
                metrics::periodic_run(Periodic::Monitor);
                // The next look says when the next turn is.
                Ok(Duration::ZERO)
            }
        }
    }

    async fn look_at_all(&self) -> Result<(), store::Error> {
        let filter = BayFilter { status: LIVING.to_vec(), ..BayFilter::default() };
        let mut page = Page { limit: Some(PAGE), ..Page::default() };
        loop {
            let bays = match self.shop.store.bays(&Scope::All, &filter, &page).await {
                // The bay behind which this page begins has gone meanwhile: the next turn sees the others.
                Err(store::Error::Marker(_)) => return Ok(()),
                bays => bays?,
            };
            let Some(last) = bays.last() else { return Ok(()) };
            page.marker = Some(Key::Id(last.id));
            let looks = bays.into_iter().map(|bay| {
                let span = tracing::info_span!("monitor", bay = %bay.uuid);
                async move { self.look_at(&bay).await }.instrument(span)
            });
            stream::iter(looks).buffer_unordered(AT_ONCE).collect::<()>().await;
        }
    }

    async fn look_at(&self, bay: &Bay) {
        let look = Look::at(bay, &*self.shop.frameworks, self.settings.within).await;
        if self.settings.health
            && let Err(error) = self.show(bay, look.health(bay)).await
        {
            tracing::debug!(%error, "the bay's health cannot be recorded");
        }
        if let Some(era) = self.settings.metrics
            && let Ok(load) = &look.mesos
        {
            let measured = Measured { cpu_util: load.cpus.percent(), memory_util: load.memory.percent() };
            self.tell(era, bay, measured).await;
        }
    }

    /// A row that says it already is left as it is.
    async fn show(&self, bay: &Bay, health: Health) -> Result<(), store::Error> {
        if bay.health.as_ref() == Some(&health) {
            return Ok(());
        }
        if bay.health.as_ref().map(|health| health.status) != Some(health.status) {
            let (status, reason) = (health.status.as_str(), health.reason_text());
            tracing::info!(status, reason, "the bay's health has changed");
        }
        self.shop.store.set_health(bay.uuid, &health).await
    }

    /// Once: the next measurement is worth more than this one later.
    async fn tell(&self, era: Era, bay: &Bay, measured: Measured) {
        for outgoing in self.shop.notifier.measured(era, bay, measured) {
            for message in outbox::messages(&outgoing) {
                if let Err(error) = self.notifications.publish_notification(&message).await {
                    tracing::debug!(%error, "a measurement is told to nobody");
                }
            }
        }
    }
}
