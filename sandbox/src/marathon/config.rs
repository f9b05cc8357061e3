//! What may be chosen when a Marathon is started.

use std::net::Ipv4Addr;

use super::profile::Profile;

/// Who is let in.
#[derive(Clone, Default)]
pub enum Access {
    #[default]
    Open,
    /// HTTP basic authentication, on everything.
    Basic { user: String, password: String },
    /// `Authorization: token=...`. The second token, if any, may only read.
    Token { token: String, read_only: Option<String> },
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Basic { .. } => "Basic",
            Self::Token { .. } => "Token",
        })
    }
}

impl Access {
    #[must_use]
    pub fn basic(user: &str, password: &str) -> Self {
        Self::Basic { user: user.to_owned(), password: password.to_owned() }
    }

    #[must_use]
    pub fn token(token: &str) -> Self {
        Self::Token { token: token.to_owned(), read_only: None }
    }
}

/// The settings of one Marathon and of the Mesos cluster below it.
#[derive(Debug, Clone)]
pub struct MarathonConfig {
    pub profile: Profile,
    /// How many nodes there are; the first leads.
    pub nodes: usize,
    pub access: Access,
    /// Who is let in to the Mesos masters; basic authentication at most.
    pub mesos_access: Access,
    /// Whether to serve HTTPS, with a certificate of the sandbox's own authority. A bay's serve it, and let in whom
    /// the bay's stack says, with what that stack was given; those of a bay without TLS do not.
    pub tls: bool,
    /// How many times faster than a real one time passes: at 1 a launch takes 2 s and a heartbeat comes after 10 s.
    pub speed: u32,
    /// What the Mesos masters say that they are.
    pub mesos_version: &'static str,
    /// The Mesos agents by hostname.
    pub agents: Vec<String>,
    pub agent_cpus: f64,
    pub agent_mem: f64,
    /// Overrides the profile's number of events that a listener may lag behind.
    pub event_buffer: Option<usize>,
    /// Overrides the profile's number of deployments that may run at once.
    pub max_deployments: Option<usize>,
}

impl Default for MarathonConfig {
    fn default() -> Self {
        let agent = |n: u8| Ipv4Addr::new(10, 0, 0, 100 + n).to_string();
        Self {
            profile: Profile::V1_11,
            nodes: 1,
            access: Access::Open,
            mesos_access: Access::Open,
            tls: false,
            speed: 100,
            mesos_version: "1.11.0",
            agents: (1..=3).map(agent).collect(),
            agent_cpus: 4.0,
            agent_mem: 8192.0,
            event_buffer: None,
            max_deployments: None,
        }
    }
}

impl MarathonConfig {
    /// One node of that version.
    #[must_use]
    pub fn of(profile: Profile) -> Self {
        Self { profile, ..Self::default() }
    }
}
