//! Everything a sandbox remembers, behind one mutex: requests are small, and one lock makes each of them atomic.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::clock::Clock;
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
            log: Log::default(),
            rules: Rules::default(),
        };
        Self {
            world: Arc::new(Mutex::new(world)),
            activity: Arc::new(Notify::new()),
            base_url: Arc::from(base_url),
        }
    }

    /// The world as of now: stacks whose time has come have moved on.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        // A test that panics while it looks at the world must not take the server down with it.
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = world.clock.now();
        let visible = world.config.deleted_visible;
        world.heat.settle(now, visible);
        world
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
