//! What is kept of a bay beside Magnum's own row: under which names its certificates are, and what its nodes are given.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::Uuid;

/// What the nodes of a bay with TLS are given. Texts of certificates and keys are PEM.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// The bay's authority, and behind it those that it has replaced: all that a client needs to verify the nodes of
    /// every generation, which keep what they were built with.
    pub ca_certificate: String,
    /// One for all nodes, for clients and servers, with the name that [`node_name`] says; behind it the authority's
    /// certificates by those that it has replaced, for nodes that trust only one of them.
    pub node_certificate: String,
    pub node_key: SecretString,
    pub mesos_principal: String,
    pub mesos_secret: SecretString,
    pub marathon_username: String,
    pub marathon_password: SecretString,
    pub zookeeper_password: SecretString,
}

/// The name in the certificate of a bay's nodes. Clients connect to an address and verify this name.
pub fn node_name(bay: Uuid) -> String {
    format!("{bay}.mesos.bay")
}

impl Secrets {
    /// The stack's parameters that another authority changes.
    pub fn certificate_parameters(&self) -> Map<String, Value> {
        let texts = [
            ("ca_certificate", self.ca_certificate.as_str()),
            ("node_certificate", &self.node_certificate),
            ("node_key", self.node_key.expose_secret()),
        ];
        texts.into_iter().map(|(name, text)| (name.to_owned(), Value::from(text))).collect()
    }
}

/// All that is kept. Stored as MessagePack, encrypted; every field that a later release adds needs a default.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Kept {
    /// What is in force.
    pub current: Generation,
    /// What a rotation has made and the stack does not have yet.
    #[serde(default)]
    pub next: Option<Generation>,
    /// What a rotation has put out of force and not removed yet.
    #[serde(default)]
    pub retired: Option<Generation>,
    /// How the nodes and we get in; a bay without TLS has none.
    #[serde(default)]
    pub access: Option<Access>,
}

/// An authority and what it has signed. The names are committed before anything is made under them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Generation {
    /// Under which names the pairs are kept; a bay that was taken over has only references.
    #[serde(default)]
    pub names: Option<Names>,
    #[serde(default)]
    pub ca_ref: Option<String>,
    #[serde(default)]
    pub client_ref: Option<String>,
    #[serde(default)]
    pub node: Option<NodeTexts>,
}

/// The names of two pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    pub ca: Uuid,
    pub client: Uuid,
}

/// What the nodes serve with, and whom they trust. Made at once and never changed: of an earlier generation's past, each
/// has what it needs.
#[derive(Clone, Serialize, Deserialize)]
pub struct NodeTexts {
    pub ca_certificate: String,
    pub certificate: String,
    #[serde(serialize_with = "expose")]
    pub key: SecretString,
    /// The authorities that nodes may still serve with, the latest first.
    #[serde(default)]
    pub older: Vec<String>,
    /// The way from this authority to the oldest that can be reached: its certificate by the one before it, that one's
    /// by the one before that, and so on.
    #[serde(default)]
    pub crosses: Vec<String>,
}

impl fmt::Debug for NodeTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeTexts").finish_non_exhaustive()
    }
}

/// Names and passwords within a bay.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Access {
    pub mesos_principal: String,
    #[serde(serialize_with = "expose")]
    pub mesos_secret: SecretString,
    pub marathon_username: String,
    #[serde(serialize_with = "expose")]
    pub marathon_password: SecretString,
    #[serde(serialize_with = "expose")]
    pub zookeeper_password: SecretString,
}

/// Certificates in one text, one behind the other.
fn bundle(first: &str, others: &[String]) -> String {
    let all = std::iter::once(first).chain(others.iter().map(String::as_str));
    all.map(|text| format!("{}\n", text.trim_end())).collect()
}

/// Only for what is encrypted before it is stored.
fn expose<S: Serializer>(secret: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose_secret())
}

impl Generation {
    /// One that is still to be made.
    pub fn named() -> Self {
        let names = Names { ca: Uuid::new_v4(), client: Uuid::new_v4() };
        Self { names: Some(names), ..Self::default() }
    }
}

impl Kept {
    /// What the nodes are given now; `None` without TLS, or while it is still to be made.
    pub fn secrets(&self) -> Option<Secrets> {
        self.of(&self.current)
    }

    /// What the nodes are given once a rotation has reached them.
    pub fn next_secrets(&self) -> Option<Secrets> {
        self.of(self.next.as_ref()?)
    }

    fn of(&self, generation: &Generation) -> Option<Secrets> {
        let (node, access) = (generation.node.clone()?, self.access.clone()?);
        Some(Secrets {
            ca_certificate: bundle(&node.ca_certificate, &node.older),
            node_certificate: bundle(&node.certificate, &node.crosses),
            node_key: node.key,
            mesos_principal: access.mesos_principal,
            mesos_secret: access.mesos_secret,
            marathon_username: access.marathon_username,
            marathon_password: access.marathon_password,
            zookeeper_password: access.zookeeper_password,
        })
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self).expect("it has only texts, and maps with text keys")
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, rmp_serde::decode::Error> {
        rmp_serde::from_slice(bytes)
    }
}
