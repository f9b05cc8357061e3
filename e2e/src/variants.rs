//! Which bays there are: one line for each kind that has to be seen to live.

use serde_json::{Map, Value, json};

use crate::row::Columns;

use self::Trait::{ExistingNetwork, LoadBalancer, NoFloatingIps, NoTls, Packages};

/// A kind of bay: what its model and its masters are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variant {
    pub(crate) distribution: &'static str,
    pub(crate) masters: i64,
    traits: &'static [Trait],
}

/// In what a bay model differs from the plainest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trait {
    /// The nodes are put into a network that is there already.
    ExistingNetwork,
    /// One address in front of all masters.
    LoadBalancer,
    /// The nodes have the addresses of their network only.
    NoFloatingIps,
    NoTls,
    /// The nodes get their software from where the labels say.
    Packages,
}

const fn variant(distribution: &'static str, masters: i64, traits: &'static [Trait]) -> Variant {
    Variant { distribution, masters, traits }
}

pub(crate) const VARIANTS: &[Variant] = &[
    variant("ubuntu", 1, &[]),
    variant("ubuntu", 1, &[ExistingNetwork]),
    variant("ubuntu", 3, &[]),
    variant("ubuntu", 3, &[ExistingNetwork]),
    variant("ubuntu", 3, &[LoadBalancer, NoTls]),
    variant("ubuntu", 1, &[NoFloatingIps]),
    variant("ubuntu", 3, &[ExistingNetwork, LoadBalancer, NoFloatingIps]),
    variant("centos", 1, &[]),
    variant("centos", 3, &[ExistingNetwork, LoadBalancer]),
    variant("coreos", 1, &[Packages, NoTls]),
    variant("coreos", 3, &[Packages, LoadBalancer]),
    variant("fedora-coreos", 1, &[Packages, ExistingNetwork, NoFloatingIps]),
];

/// The stand-ins give each kind of address a range of its own (`scripts/openstack/stand_ins/infrastructure.py`).
const FIXED: &str = "127.10.";
const FLOATING: &str = "127.20.";
const VIRTUAL: &str = "127.30.";

impl Trait {
    fn name(self) -> &'static str {
        match self {
            Self::ExistingNetwork => "existing network",
            Self::LoadBalancer => "load balancer",
            Self::NoFloatingIps => "no floating IPs",
            Self::NoTls => "no TLS",
            Self::Packages => "packages",
        }
    }

    /// What the bay model says.
    fn fields(self) -> Value {
        match self {
            Self::ExistingNetwork => json!({ "fixed_network": "shared" }),
            Self::LoadBalancer | Self::NoFloatingIps => json!({}),
            Self::NoTls => json!({ "tls_disabled": true }),
            Self::Packages => json!({ "labels": packages() }),
        }
    }
}

/// Nothing fetches them: no node runs.
fn packages() -> Map<String, Value> {
    let of = |name: &str| {
        let url = format!("https://packages.test/{name}.tgz");
        [
            (format!("{name}_package_url"), json!(url)),
            (format!("{name}_package_sha256"), json!("ab".repeat(32))),
        ]
    };
    ["zookeeper", "mesos", "marathon"].into_iter().flat_map(of).collect()
}

impl Variant {
    /// How the addresses of its nodes begin.
    pub(crate) fn node_range(&self) -> &'static str {
        if self.has(Trait::NoFloatingIps) { FIXED } else { FLOATING }
    }

    /// How the address begins at which it is asked.
    pub(crate) fn api_range(&self) -> &'static str {
        match (self.has_balancer(), self.node_range()) {
            (true, FIXED) => VIRTUAL,
            (_, range) => range,
        }
    }

    /// What its bay model has beyond what Mitaka's objects can say.
    pub(crate) fn columns(&self) -> Columns {
        Columns {
            fixed_subnet: self.has(Trait::ExistingNetwork).then_some("shared-subnet"),
            master_lb_enabled: self.has_balancer(),
            floating_ip_enabled: !self.has(Trait::NoFloatingIps),
        }
    }

    fn has(&self, one: Trait) -> bool {
        self.traits.contains(&one)
    }

    pub(crate) fn has_tls(&self) -> bool {
        !self.has(Trait::NoTls)
    }

    /// Whether it is asked at an address that no master has.
    pub(crate) fn has_balancer(&self) -> bool {
        self.has(Trait::LoadBalancer)
    }

    pub(crate) fn name(&self) -> String {
        let masters =
            if self.masters == 1 { "1 master".to_owned() } else { format!("{} masters", self.masters) };
        let traits = self.traits.iter().map(|one| format!(", {}", one.name()));
        format!("{}, {masters}{}", self.distribution, traits.collect::<String>())
    }

    /// What its bay model has beside what every model has.
    pub(crate) fn model(&self) -> Map<String, Value> {
        let mut fields = Map::from_iter([
            ("cluster_distro".to_owned(), json!(self.distribution)),
            ("tls_disabled".to_owned(), json!(false)),
        ]);
        for one in self.traits {
            if let Value::Object(more) = one.fields() {
                fields.extend(more);
            }
        }
        fields
    }
}
