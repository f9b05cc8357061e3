//! What may be chosen when a sandbox is started.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::marathon::MarathonConfig;

/// The settings of one sandbox. The defaults suit tests: any free port, stacks that take a few hundred
/// milliseconds.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How long a token is good for.
    pub token_lifetime: Duration,
    /// How long a stack stays `CREATE_IN_PROGRESS`.
    pub create_time: Duration,
    /// How long a stack stays `UPDATE_IN_PROGRESS`.
    pub update_time: Duration,
    /// How long a stack stays `DELETE_IN_PROGRESS`.
    pub delete_time: Duration,
    /// How long a deleted stack can still be shown by its id, as Heat does until it purges; zero hides it
    /// at once.
    pub deleted_visible: Duration,
    /// Whether stacks of all projects are listed for who asks for that. Heat's own policy refuses it to everybody.
    pub global_listing: bool,
    /// The Marathon that each bay's stack has once it is built, at addresses of its own (127.x.y.z) that then are
    /// the stack's outputs. Without it, or where these cannot be bound, the addresses of stacks lead nowhere.
    pub bays: Option<MarathonConfig>,
    /// Where the Marathon of a bay listens.
    pub marathon_port: u16,
    /// The same with TLS.
    pub marathon_tls_port: u16,
    /// Where the Mesos masters of a bay listen.
    pub mesos_port: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            token_lifetime: Duration::from_secs(3600),
            create_time: Duration::from_millis(300),
            update_time: Duration::from_millis(200),
            delete_time: Duration::from_millis(200),
            deleted_visible: Duration::from_secs(3600),
            global_listing: false,
            bays: Some(MarathonConfig::default()),
            marathon_port: 8080,
            marathon_tls_port: 8443,
            mesos_port: 5050,
        }
    }
}

impl Config {
    /// The times of a real cloud (create five minutes, update two, delete one), divided by `speed`.
    #[must_use]
    pub fn at_speed(speed: u32) -> Self {
        let speed = speed.max(1);
        Self {
            create_time: Duration::from_secs(300) / speed,
            update_time: Duration::from_secs(120) / speed,
            delete_time: Duration::from_secs(60) / speed,
            bays: Some(MarathonConfig { speed, ..MarathonConfig::default() }),
            ..Self::default()
        }
    }
}
