//! Stand-ins for Keystone, Heat, Barbican, Marathon and Mesos that behave: they check, refuse, expire and take their time
//! like the real ones, and fail on demand. One port serves `/identity/v3`, `/heat/v1/<project>`, `/key-manager/v1` and, for whoever
//! looks in from outside, `/control`. Each Marathon and each Mesos master has a port of its own: those of a bay
//! answer at the addresses that are its stack's outputs.
//!
//! Never linked into the worker: only the tests and the demo use it.
//!
//! - [`known`]: the users and projects that exist from the start
//! - [`Rule`], [`Action`]: faults
//! - [`Request`]: the log of what was asked
//! - [`Marathon`]: one Marathon, and what its apps are made to do

mod barbican;
mod clock;
mod clusters;
mod config;
mod control;
mod fault;
mod heat;
mod keystone;
pub mod known;
mod log;
mod marathon;
mod mesos;
mod server;
mod tls;
mod world;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use world::Shared;

pub use config::Config;
pub use fault::{Action, ArmedRule, Rule};
pub use heat::{Doom, Node, Progress, Stack, StackAction};
pub use keystone::{TokenKind, Trust, User};
pub use known::{KnownDomain, KnownProject, KnownUser};
pub use log::{Request, Service, path_fits};
pub use marathon::{Access, Behaviour, Marathon, MarathonConfig, MarathonEvent, Profile, Script};

/// A running sandbox; dropping it ends the server and all its connections.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    shared: Shared,
    server: JoinSet<()>,
}

impl Sandbox {
    /// Starts to serve. The sandbox answers from the moment this returns.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    pub async fn start(config: Config) -> std::io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let shared = Shared::new(config, &format!("http://{address}"));
        let mut server = JoinSet::new();
        server.spawn(server::serve(listener, shared.clone()));
        Ok(Self { address, shared, server })
    }

    /// Ends the server and waits until it is gone, so that the port is free again.
    pub async fn stop(mut self) {
        self.server.shutdown().await;
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The root of everything, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        self.shared.base_url().to_owned()
    }

    /// Keystone's URL, version included.
    #[must_use]
    pub fn auth_url(&self) -> String {
        self.shared.auth_url()
    }

    /// Heat's endpoint of a project, as the catalog tells it.
    #[must_use]
    pub fn heat_url(&self, project_id: &str) -> String {
        self.shared.heat_url(project_id)
    }

    /// The stacks that exist, oldest first; deleted ones are in [`Sandbox::deleted_stacks`].
    #[must_use]
    pub fn stacks(&self) -> Vec<Stack> {
        self.shared.world().heat.all().iter().filter(|stack| !stack.is_deleted()).cloned().collect()
    }

    #[must_use]
    pub fn deleted_stacks(&self) -> Vec<Stack> {
        self.shared.world().heat.all().iter().filter(|stack| stack.is_deleted()).cloned().collect()
    }

    /// The stack of that name or id that exists, if one does.
    #[must_use]
    pub fn stack(&self, name_or_id: &str) -> Option<Stack> {
        self.stacks().into_iter().find(|stack| stack.name == name_or_id || stack.id == name_or_id)
    }

    #[must_use]
    pub fn trusts(&self) -> Vec<Trust> {
        self.shared.world().identity.trusts().cloned().collect()
    }

    /// The names of what Barbican keeps: of its containers, and of all secrets, in them or not.
    #[must_use]
    pub fn kept_secrets(&self) -> (Vec<String>, Vec<String>) {
        let world = self.shared.world();
        (world.barbican.containers(), world.barbican.secrets())
    }

    /// Every user, those of [`known`] included.
    #[must_use]
    pub fn users(&self) -> Vec<User> {
        self.shared.world().identity.users().cloned().collect()
    }

    /// The users that were made for trusts.
    #[must_use]
    pub fn trustees(&self) -> Vec<User> {
        let made = |user: &User| {
            user.domain_id == known::TRUSTEE_DOMAIN.id && user.id != known::TRUSTEE_DOMAIN_ADMIN.id
        };
        self.users().into_iter().filter(made).collect()
    }

    #[must_use]
    pub fn password_is(&self, user_id: &str, password: &str) -> bool {
        self.shared.world().identity.password_is(user_id, password)
    }

    /// A token of a user scoped to a project, as an API would have got it for its caller.
    #[must_use]
    pub fn issue_token(&self, user: KnownUser, project: KnownProject) -> String {
        let mut world = self.shared.world();
        let (now, lifetime) = (world.clock.now(), world.config.token_lifetime);
        world.identity.mint(user.id, project.id, now, lifetime)
    }

    /// Makes a token good that was not issued here, such as one in a recorded message.
    pub fn accept_token(&self, id: &str, user: KnownUser, project: KnownProject) {
        let mut world = self.shared.world();
        let (now, lifetime) = (world.clock.now(), world.config.token_lifetime);
        world.identity.accept(id, user.id, project.id, now, lifetime);
    }

    /// Makes every token issued so far invalid.
    pub fn revoke_all_tokens(&self) {
        self.shared.world().identity.revoke_all_tokens();
    }

    /// Starts a Marathon of its own, which belongs to no stack, on free ports of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When no port can be listened on, or no certificate made.
    pub fn start_marathon(&self, name: &str, config: MarathonConfig) -> std::io::Result<Marathon> {
        let mut world = self.shared.world();
        let now = world.clock.now();
        let id = world.clusters.start(name, config, now)?;
        drop(world);
        self.shared.changed();
        Ok(Marathon::new(self.shared.clone(), id))
    }

    /// The Marathon of a bay by its stack's name, a part of it, or its id; also one that was started by name.
    #[must_use]
    pub fn marathon_for(&self, name: &str) -> Option<Marathon> {
        let id = self.shared.world().clusters.find(name)?;
        Some(Marathon::new(self.shared.clone(), id))
    }

    /// Every Marathon there is, oldest first.
    #[must_use]
    pub fn marathons(&self) -> Vec<Marathon> {
        let ids: Vec<_> = self.shared.world().clusters.iter().map(|(id, _)| id).collect();
        ids.into_iter().map(|id| Marathon::new(self.shared.clone(), id)).collect()
    }

    /// The certificate, as PEM, that clients of Marathons with TLS have to trust.
    ///
    /// # Errors
    ///
    /// When no key can be made.
    pub fn ca_pem(&self) -> std::io::Result<String> {
        self.shared.world().clusters.ca_pem()
    }

    /// Every request since the start or since [`Sandbox::clear_log`], the control API's excluded.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.world().log.requests().to_vec()
    }

    /// How many requests of that service and method had a path that fits (see [`path_fits`]).
    #[must_use]
    pub fn count(&self, service: Service, method: &str, pattern: &str) -> usize {
        self.shared.world().log.requests().iter().filter(|r| r.is(service, method, pattern)).count()
    }

    pub fn clear_log(&self) {
        self.shared.world().log.clear();
    }

    /// Waits until `condition` holds, looking after each request and every few milliseconds; says whether it
    /// did before the deadline.
    pub async fn wait_until(&self, deadline: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let holds = async {
            loop {
                let activity = self.shared.activity.notified();
                if condition(self) {
                    return;
                }
                // Stacks move with time, and not when somebody asks: the pause bounds how late that is seen.
                let pause = tokio::time::sleep(Duration::from_millis(5));
                tokio::select! { () = activity => {}, () = pause => {} }
            }
        };
        tokio::time::timeout(deadline, holds).await.is_ok()
    }

    #[must_use]
    pub fn faults(&self) -> Faults<'_> {
        Faults { shared: &self.shared }
    }

    /// Fails the action in progress of a stack with that text in its name, or else the next such action.
    pub fn fail_stack(&self, doom: Doom) {
        let mut world = self.shared.world();
        let now = world.clock.now();
        world.heat.fail(doom, now);
    }

    /// Ends what stacks with that text in their name are doing, whatever time it would take; says how many
    /// did something.
    pub fn finish_stacks(&self, name: &str) -> usize {
        let mut world = self.shared.world();
        let now = world.clock.now();
        world.heat.finish(name, now)
    }

    /// Has Heat find that the server at a private address is broken, as after a check of the stack; says whether there
    /// was one.
    pub fn break_server(&self, private_ip: &str) -> bool {
        self.shared.world().heat.break_server(private_ip)
    }

    /// Removes a stack behind everybody's back, as an operator might.
    pub fn remove_stack(&self, name_or_id: &str) -> bool {
        self.shared.world().heat.remove(name_or_id)
    }

    /// Removes a user and its trusts behind everybody's back.
    pub fn remove_user(&self, id: &str) -> bool {
        self.shared.world().identity.remove_user(id).is_ok()
    }

    /// Pushes the sandbox's clock forward: tokens expire and stacks move on without anybody waiting.
    pub fn advance(&self, by: Duration) {
        self.shared.world().clock.advance(by);
        self.shared.changed();
    }
}

/// The faults of a sandbox: rules that are tried in the order they were added.
#[derive(Debug, Clone, Copy)]
pub struct Faults<'a> {
    shared: &'a Shared,
}

impl Faults<'_> {
    /// Arms a rule and says its id.
    pub fn add(&self, rule: Rule) -> u64 {
        self.shared.world().rules.add(rule)
    }

    pub fn remove(&self, id: u64) -> bool {
        self.shared.world().rules.remove(id)
    }

    pub fn clear(&self) {
        self.shared.world().rules.clear();
    }

    /// Every rule with its counts, spent ones included.
    #[must_use]
    pub fn list(&self) -> Vec<ArmedRule> {
        self.shared.world().rules.armed().to_vec()
    }
}
