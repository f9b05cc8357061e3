//! One look at the stacks of a project, or of all: by as few requests as there can be, with whatever is let in.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::{Member, SHUT_OUT, locked};
use crate::bay::Status;
use crate::openstack::{Credentials, Error, IDS_PER_LISTING, StackSummary};
use crate::operation::step;
use crate::store::{self, Key, Scope, StackLot, StackScope, StackWait};
use crate::telemetry::metrics::{self, Hint, Listed};

/// Stacks on a page: some hundred kilobytes.
const PAGE: usize = 500;
/// How many bays' trusts are tried before the service user is.
const TRUSTS: usize = 5;

/// What a round came to.
enum Sight {
    /// The states of those stacks that there are.
    Seen(HashMap<String, String>),
    /// Nobody is let in: everybody has to look for himself.
    ShutOut,
    /// The deployment does not grant the listing of all projects.
    Refused,
    /// Something that may pass.
    Failed(Error),
}

impl Member {
    /// Looks, wakes whom it concerns, and says when the next look is due.
    pub(super) async fn round(&self, lot: StackLot) {
        let after = self.look(&lot).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "what is seen of stacks cannot be told");
            self.settings.interval(lot.youngest)
        });
        // Workers and projects are not to march in step.
        let after = after.mul_f64(rand::random_range(0.9..=1.1));
        if let Err(error) = self.shop.store.set_stack_turn(&lot.scope, &self.shop.owner, after).await {
            tracing::debug!(%error, "the next look comes when this one's time has run out");
        }
    }

    async fn look(&self, lot: &StackLot) -> Result<Duration, store::Error> {
        let waits = self.shop.store.stack_waits(&lot.scope).await?;
        let interval = self.settings.interval(lot.youngest);
        if waits.is_empty() {
            return Ok(interval);
        }
        match self.sight(&lot.scope, &waits).await? {
            Sight::Seen(states) => self.tell(&waits, &states).await?,
            Sight::ShutOut => self.wake(waits.iter().map(|wait| wait.operation).collect()).await?,
            Sight::Refused => return Ok(SHUT_OUT),
            Sight::Failed(error) => {
                tracing::info!(%error, "the stacks cannot be listed now");
                let patience = error.retry_after().unwrap_or_default();
                return Ok(patience.clamp(interval, self.settings.longest.max(interval)));
            }
        }
        Ok(interval)
    }

    /// Wakes those whose stack is not as their bay shows it, and spares the others their own look.
    async fn tell(&self, waits: &[StackWait], states: &HashMap<String, String>) -> Result<(), store::Error> {
        let still =
            |wait: &&StackWait| states.get(&wait.stack_id).is_some_and(|state| is_as_shown(wait, state));
        let (still, moved): (Vec<_>, Vec<_>) = waits.iter().partition(still);
        self.wake(moved.iter().map(|wait| wait.operation).collect()).await?;
        let fallback = self.settings.fallback();
        let soon = still.iter().filter(|wait| wait.looks_in < fallback / 2);
        let soon: Vec<Uuid> = soon.map(|wait| wait.operation).collect();
        self.shop.store.put_off_stack_waits(&soon, fallback).await.map(drop)
    }

    async fn wake(&self, operations: Vec<Uuid>) -> Result<(), store::Error> {
        let woken = self.shop.store.wake_stack_waits(&operations).await?;
        if woken > 0 {
            metrics::stacks_woken(Hint::Listing, woken);
            self.shop.hint.notify_one();
        }
        Ok(())
    }

    async fn sight(&self, scope: &StackScope, waits: &[StackWait]) -> Result<Sight, store::Error> {
        let ids: Vec<String> = waits.iter().map(|wait| wait.stack_id.clone()).collect();
        match scope {
            StackScope::Everywhere => Ok(self.everywhere(scope, &ids).await),
            StackScope::Project(project) => self.of_project(scope, project.clone(), waits, &ids).await,
        }
    }

    async fn everywhere(&self, scope: &StackScope, ids: &[String]) -> Sight {
        let service = Credentials::Service { project_id: None };
        match self.by_id(scope, &service, ids).await {
            Ok(states) => Sight::Seen(states),
            Err(error) if is_shut_out(&error) => {
                tracing::warn!(
                    %error,
                    "the listing of all projects' stacks is not granted; projects are listed one by one"
                );
                *locked(&self.refused) = Some(Instant::now());
                Sight::Refused
            }
            Err(error) => Sight::Failed(error),
        }
    }

    /// With the trust of any of the bays, the oldest operation's first, else with the service user.
    async fn of_project(
        &self,
        scope: &StackScope,
        project_id: Option<String>,
        waits: &[StackWait],
        ids: &[String],
    ) -> Result<Sight, store::Error> {
        let shut_out: HashSet<Uuid> = {
            let mut shut_out = locked(&self.shut_out);
            shut_out.retain(|_, since| since.elapsed() < SHUT_OUT);
            shut_out.keys().copied().collect()
        };
        for wait in waits.iter().filter(|wait| !shut_out.contains(&wait.bay)).take(TRUSTS) {
            let Some(bay) = self.shop.store.bay(&Scope::All, Key::Uuid(wait.bay)).await? else { continue };
            let Some(trust) = step::trust(&bay) else { continue };
            match self.states(scope, &trust, ids).await {
                Ok(states) => return Ok(Sight::Seen(states)),
                Err(error) if is_shut_out(&error) => {
                    tracing::info!(%error, bay = %wait.bay, "the bay's trust lets nobody in; others are tried");
                    locked(&self.shut_out).insert(wait.bay, Instant::now());
                }
                Err(error) => return Ok(Sight::Failed(error)),
            }
        }
        if !self.shop.settings.service_user {
            return Ok(Sight::ShutOut);
        }
        Ok(match self.states(scope, &Credentials::Service { project_id }, ids).await {
            Ok(states) => Sight::Seen(states),
            Err(error) if is_shut_out(&error) => Sight::ShutOut,
            Err(error) => Sight::Failed(error),
        })
    }

    /// Many stacks are looked for on the project's pages, as long as that takes fewer requests than asking for them by
    /// id. What is on none of these is asked for by id before it counts as missing.
    async fn states(
        &self,
        scope: &StackScope,
        actor: &Credentials,
        ids: &[String],
    ) -> Result<HashMap<String, String>, Error> {
        let mut wanted: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let mut states = HashMap::with_capacity(wanted.len());
        let mut last: Option<String> = None;
        for _ in 1..wanted.len().div_ceil(IDS_PER_LISTING) {
            self.begin(scope).await;
            let within = self.shop.settings.request_timeout;
            let page = self.shop.cloud.stack_page(actor, PAGE, last.as_deref(), within).await;
            let page = match counted(scope, page) {
                // The stack behind which this page begins has gone meanwhile.
                Err(error) if error.is_not_found() => break,
                page => page?,
            };
            last = page.last().map(|stack| stack.id.clone());
            states.extend(
                page.into_iter()
                    .filter(|stack| wanted.remove(stack.id.as_str()))
                    .map(|stack| (stack.id, stack.status)),
            );
            if wanted.is_empty() || last.is_none() {
                break;
            }
        }
        let rest: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
        states.extend(self.by_id(scope, actor, &rest).await?);
        Ok(states)
    }

    async fn by_id(
        &self,
        scope: &StackScope,
        actor: &Credentials,
        ids: &[String],
    ) -> Result<HashMap<String, String>, Error> {
        let mut states = HashMap::with_capacity(ids.len());
        for chunk in ids.chunks(IDS_PER_LISTING) {
            self.begin(scope).await;
            let (cloud, within) = (&self.shop.cloud, self.shop.settings.request_timeout);
            let listed = match scope {
                StackScope::Everywhere => cloud.stack_list_everywhere(actor, chunk, within).await,
                StackScope::Project(_) => cloud.stack_list(actor, chunk, within).await,
            };
            states.extend(counted(scope, listed)?.into_iter().map(|stack| (stack.id, stack.status)));
        }
        Ok(states)
    }

    /// Waits for the next request's turn, and says that the round goes on.
    async fn begin(&self, scope: &StackScope) {
        self.pace.turn().await;
        let store = &self.shop.store;
        if let Err(error) = store.set_stack_turn(scope, &self.shop.owner, self.shop.lease).await {
            tracing::debug!(%error, "somebody else may look at the same stacks");
        }
    }
}

fn counted(scope: &StackScope, listed: Result<Vec<StackSummary>, Error>) -> Result<Vec<StackSummary>, Error> {
    let outcome = match &listed {
        Ok(_) => Listed::Ok,
        Err(error) if is_shut_out(error) => Listed::ShutOut,
        Err(_) => Listed::Failed,
    };
    metrics::stack_listing(*scope == StackScope::Everywhere, outcome);
    listed
}

/// Whether there is nothing to look at: only what is in progress can go on without a word.
fn is_as_shown(wait: &StackWait, state: &str) -> bool {
    let moving = [
        Status::CreateInProgress,
        Status::UpdateInProgress,
        Status::DeleteInProgress,
        Status::RollbackInProgress,
    ];
    wait.status.as_deref() == Some(state) && moving.iter().any(|status| status.as_str() == state)
}

/// A trust that is gone, a role that was lost: others may still be let in.
fn is_shut_out(error: &Error) -> bool {
    error.is_unauthorized() || error.is_forbidden()
}
