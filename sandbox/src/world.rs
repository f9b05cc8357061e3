//! Everything a sandbox remembers, behind one mutex: requests are small, and one lock makes each of them atomic.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::barbican::Barbican;
use crate::clock::Clock;
use crate::clusters::Clusters;
use crate::config::Config;
use crate::fault::Rules;
use crate::heat::Heat;
use crate::keystone::Identity;
use crate::log::Log;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) identity: Identity,
    pub(crate) heat: Heat,
    pub(crate) barbican: Barbican,
    pub(crate) clusters: Clusters,
    pub(crate) log: Log,
    pub(crate) rules: Rules,
}

/// The handle that every request handler and the owner of the sandbox share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    world: Arc<Mutex<World>>,
    /// Woken whenever a request was logged or answered.
    pub(crate) activity: Arc<Notify>,
    base_url: Arc<str>,
}

impl Shared {
    pub(crate) fn new(config: Config, base_url: &str) -> Self {
        let world = World {
            config,
            clock: Clock::new(),
            identity: Identity::seeded(),
            heat: Heat::default(),
            barbican: Barbican::default(),
            clusters: Clusters::default(),
            log: Log::default(),
            rules: Rules::default(),
        };
        Self {
            world: Arc::new(Mutex::new(world)),
            activity: Arc::new(Notify::new()),
            base_url: Arc::from(base_url),
        }
    }

    /// The world as of now: whatever had its time has happened.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        // A test that panics while it looks at the world must not take the server down with it.
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = world.clock.now();
        let visible = world.config.deleted_visible;
        world.heat.settle(now, visible);
        let World { heat, clusters, config, .. } = &mut *world;
        if let Some(stacks) = heat.take_moved() {
            clusters.follow(stacks, config, now);
        }
        clusters.settle(now);
        world
    }

    /// Wakes whoever waits for something to happen.
    pub(crate) fn changed(&self) {
        self.activity.notify_waiters();
    }

    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    pub(crate) fn auth_url(&self) -> String {
        format!("{}/identity/v3", self.base_url)
    }

    pub(crate) fn heat_url(&self, project: &str) -> String {
        format!("{}/heat/v1/{project}", self.base_url)
    }
}
