//! The Marathons of a sandbox and the listeners they answer at: those that a test started, and those of bays.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;

use crate::config::Config;
use crate::heat::{Node, Stack};
use crate::marathon::{Access, Cluster, MarathonConfig};
use crate::tls::{self, Authority};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClusterId(u64);

/// One node of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) cluster: ClusterId,
    pub(crate) node: usize,
}

/// What answers behind a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Marathon,
    Mesos,
}

/// A listener that is bound already, so that connections wait, and that somebody has to serve.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) side: Side,
    pub(crate) place: Place,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// Ends when the cluster is gone.
    pub(crate) open: watch::Receiver<()>,
}

#[derive(Debug)]
struct Entry {
    cluster: Cluster,
    _open: watch::Sender<()>,
}

#[derive(Debug, Default)]
pub(crate) struct Clusters {
    next: u64,
    entries: BTreeMap<ClusterId, Entry>,
    doors: Vec<Door>,
    authority: Option<Authority>,
    addresses: Addresses,
    /// Whether anything happened on its own since somebody last asked.
    happened: bool,
}

/// The listeners of a cluster's two sides, and what they serve with.
#[derive(Default)]
struct Listeners {
    marathon: Vec<TcpListener>,
    mesos: Vec<TcpListener>,
    marathon_tls: Option<Arc<ServerConfig>>,
    mesos_tls: Option<Arc<ServerConfig>>,
}

impl Clusters {
    pub(crate) fn get(&self, id: ClusterId) -> Option<&Cluster> {
        self.entries.get(&id).map(|entry| &entry.cluster)
    }

    pub(crate) fn get_mut(&mut self, id: ClusterId) -> Option<&mut Cluster> {
        self.entries.get_mut(&id).map(|entry| &mut entry.cluster)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ClusterId, &Cluster)> {
        self.entries.iter().map(|(id, entry)| (*id, &entry.cluster))
    }

    /// The latest cluster of that name; or of the stack of that id; or whose name has that text in it.
    pub(crate) fn find(&self, name: &str) -> Option<ClusterId> {
        let by =
            |fits: &dyn Fn(&Cluster) -> bool| self.iter().filter(|(_, c)| fits(c)).last().map(|(id, _)| id);
        by(&|cluster| cluster.name == name)
            .or_else(|| by(&|cluster| cluster.stack.as_deref() == Some(name)))
            .or_else(|| by(&|cluster| cluster.name.contains(name)))
    }

    pub(crate) fn take_doors(&mut self) -> Vec<Door> {
        std::mem::take(&mut self.doors)
    }

    pub(crate) fn ca_pem(&mut self) -> std::io::Result<String> {
        Ok(self.authority()?.pem())
    }

    fn authority(&mut self) -> std::io::Result<&Authority> {
        if self.authority.is_none() {
            self.authority = Some(Authority::new()?);
        }
        self.authority.as_ref().ok_or_else(|| std::io::Error::other("no authority"))
    }

    /// Lets everything happen in every cluster whose time has come.
    pub(crate) fn settle(&mut self, now: OffsetDateTime) {
        for entry in self.entries.values_mut() {
            self.happened |= entry.cluster.settle(now);
        }
    }

    pub(crate) fn take_happened(&mut self) -> bool {
        std::mem::take(&mut self.happened)
    }

    pub(crate) fn next_due(&self) -> Option<OffsetDateTime> {
        self.iter().filter_map(|(_, cluster)| cluster.schedule.next_due()).min()
    }

    /// Starts a Marathon on free ports of 127.0.0.1.
    pub(crate) fn start(
        &mut self,
        name: &str,
        config: MarathonConfig,
        now: OffsetDateTime,
    ) -> std::io::Result<ClusterId> {
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let nodes = config.nodes.max(1);
        let marathon: Vec<_> = (0..nodes).map(|_| free()).collect::<Result<_, _>>()?;
        let mesos = (0..nodes).map(|_| free()).collect::<Result<_, _>>()?;
        let marathon_tls = config.tls.then(|| self.authority()?.server(&[Ipv4Addr::LOCALHOST.into()]));
        let marathon_tls = marathon_tls.transpose()?;
        self.open(name, config, Listeners { marathon, mesos, marathon_tls, mesos_tls: None }, now)
    }

    fn open(
        &mut self,
        name: &str,
        config: MarathonConfig,
        listeners: Listeners,
        now: OffsetDateTime,
    ) -> std::io::Result<ClusterId> {
        let addresses = |listeners: &[TcpListener]| {
            listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<SocketAddr>, _>>()
        };
        let (nodes, masters) = (addresses(&listeners.marathon)?, addresses(&listeners.mesos)?);
        let id = ClusterId(self.next);
        self.next += 1;
        let (sender, open) = watch::channel(());
        let sides = [
            (Side::Marathon, listeners.marathon, listeners.marathon_tls),
            (Side::Mesos, listeners.mesos, listeners.mesos_tls),
        ];
        for (side, listeners, tls) in sides {
            for (node, listener) in listeners.into_iter().enumerate() {
                listener.set_nonblocking(true)?;
                let place = Place { cluster: id, node };
                self.doors.push(Door { listener, side, place, tls: tls.clone(), open: open.clone() });
            }
        }
        let cluster = Cluster::new(name, config, &nodes, &masters, now);
        self.entries.insert(id, Entry { cluster, _open: sender });
        Ok(id)
    }

    pub(crate) fn close(&mut self, id: ClusterId) -> bool {
        self.entries.remove(&id).is_some()
    }

    /// Gives each bay that was built a Marathon at its stack's addresses, and takes it from those that are gone.
    pub(crate) fn follow(&mut self, stacks: &mut [Stack], config: &Config, now: OffsetDateTime) {
        let Some(settings) = &config.bays else { return };
        self.entries.retain(|_, entry| {
            let stack = entry.cluster.stack.as_ref();
            stack.is_none_or(|id| stacks.iter().any(|stack| stack.id == *id && !stack.is_deleted()))
        });
        for stack in stacks.iter_mut().filter(|stack| stack.is_bay() && !stack.is_deleted()) {
            let found = self.entries.iter().find(|(_, e)| e.cluster.stack.as_ref() == Some(&stack.id));
            let id = match found.map(|(id, _)| *id) {
                Some(id) => id,
                None if stack.masters.is_empty() => continue,
                None => match self.house(stack, settings.clone(), config, now) {
                    Ok(id) => id,
                    Err(error) => {
                        tracing::warn!(%error, stack = stack.name, "the bay gets no Marathon");
                        continue;
                    }
                },
            };
            for slave in stack.slaves.iter_mut().filter(|slave| !is_loopback(slave)) {
                settle_in(slave, self.addresses.next());
            }
            let hosts: Vec<String> = stack.slaves.iter().map(|slave| slave.private_ip.clone()).collect();
            if let Some(cluster) = self.get_mut(id) {
                cluster.set_agents(&hosts, now);
            }
        }
    }

    /// Opens the bay's Marathon and gives its masters the addresses where it answers.
    fn house(
        &mut self,
        stack: &mut Stack,
        mut settings: MarathonConfig,
        config: &Config,
        now: OffsetDateTime,
    ) -> std::io::Result<ClusterId> {
        let mut listeners = Listeners::default();
        let mut addresses = Vec::new();
        let told = |name: &str| stack.parameters.get(name).map(String::as_str).unwrap_or_default();
        settings.tls &= told("tls_enabled").eq_ignore_ascii_case("true");
        let port = if settings.tls { config.marathon_tls_port } else { config.marathon_port };
        for _ in &stack.masters {
            let (address, marathon, mesos) = self.addresses.bind(port, config.mesos_port)?;
            addresses.push(address);
            listeners.marathon.push(marathon);
            listeners.mesos.push(mesos);
        }
        if settings.tls {
            let tls = tls::given(told("node_certificate"), told("node_key"))?;
            (listeners.marathon_tls, listeners.mesos_tls) = (Some(Arc::clone(&tls)), Some(tls));
            settings.access = Access::basic(told("marathon_username"), told("marathon_password"));
            settings.mesos_access = Access::basic(told("mesos_principal"), told("mesos_secret"));
        }
        let settings = MarathonConfig { nodes: addresses.len(), agents: Vec::new(), ..settings };
        let id = self.open(&stack.name, settings, listeners, now)?;
        if let Some(cluster) = self.get_mut(id) {
            cluster.stack = Some(stack.id.clone());
        }
        for (master, address) in stack.masters.iter_mut().zip(addresses) {
            settle_in(master, address);
        }
        Ok(id)
    }
}

fn is_loopback(node: &Node) -> bool {
    node.private_ip.starts_with("127.")
}

fn settle_in(node: &mut Node, address: Ipv4Addr) {
    node.private_ip = address.to_string();
    node.public_ip.clone_from(&node.private_ip);
}

/// Hands out addresses of this machine's own network, 127.16.0.0 and up, that nobody else is likely to use.
#[derive(Debug)]
struct Addresses {
    next: u32,
}

const FIRST: u32 = u32::from_be_bytes([127, 16, 0, 1]);
const COUNT: u32 = u32::from_be_bytes([127, 240, 0, 0]) - FIRST;
/// How many addresses are tried for a master before a bay goes without.
const TRIES: usize = 50;

impl Default for Addresses {
    /// Sandboxes of other processes begin elsewhere.
    fn default() -> Self {
        let (_, random) = uuid::Uuid::new_v4().as_u64_pair();
        Self { next: u32::try_from(random % u64::from(COUNT)).unwrap_or(0) }
    }
}

impl Addresses {
    fn next(&mut self) -> Ipv4Addr {
        loop {
            let address = Ipv4Addr::from_bits(FIRST + self.next % COUNT);
            self.next = self.next.wrapping_add(1);
            if !matches!(address.octets()[3], 0 | 255) {
                return address;
            }
        }
    }

    fn bind(&mut self, first: u16, second: u16) -> std::io::Result<(Ipv4Addr, TcpListener, TcpListener)> {
        let mut last = std::io::Error::other("no address was tried");
        for _ in 0..TRIES {
            let address = self.next();
            let bound = TcpListener::bind((address, first))
                .and_then(|first| Ok((address, first, TcpListener::bind((address, second))?)));
            match bound {
                Ok(bound) => return Ok(bound),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}
