//! What the nodes of a bay with TLS are given.

use secrecy::SecretString;
use uuid::Uuid;

/// What the nodes of a bay with TLS are given. Texts of certificates and keys are PEM.
#[derive(Debug, Clone)]
pub struct Secrets {
    pub ca_certificate: String,
    /// One for all nodes, for clients and servers, with the name that [`node_name`] says.
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
