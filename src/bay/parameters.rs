//! What a bay's stack is called, what it is asked for, and what its outputs mean.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use super::secrets::{self, Secrets};
use super::{Bay, BayModel, template};

/// What the deployment, not the bay or its model, says about a new stack.
#[derive(Debug, Clone)]
pub struct Placement {
    /// Who may reach the nodes of every bay, beside those the model's label `allowed_cidrs` names.
    pub allowed_cidrs: Vec<String>,
    /// Certificates, PEM, that nodes need to believe the cloud's own services.
    pub openstack_ca: Option<String>,
    /// Whether nodes check the certificate of Heat.
    pub verify_ca: bool,
}

impl Default for Placement {
    fn default() -> Self {
        Self { allowed_cidrs: Vec::new(), openstack_ca: None, verify_ca: true }
    }
}

/// Why a bay cannot be described to Heat. Each message says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    #[error("the required Heat parameter `{0}` has no value in the bay model or the bay")]
    Missing(&'static str),
    #[error(
        "{0} masters: the count must be odd, since an even one survives no more losses than {fewer} would",
        fewer = .0 - 1
    )]
    EvenMasters(i64),
    #[error("`{name}` is {count}: it must be at least {least}")]
    TooFew { name: &'static str, count: i64, least: i64 },
    #[error("label `{label}`: {reason}")]
    Label { label: &'static str, reason: String },
    #[error("`{0}` is not an IPv4 address range such as 192.0.2.0/24")]
    Cidr(String),
    #[error(
        "volume driver `{0}` is not offered: it would need a trust or a password of the bay's owner on every \
         node, where any task could read it"
    )]
    VolumeDriver(String),
    #[error(
        "a private registry (`registry_enabled`) is not built: have the image or an app's manifest name one"
    )]
    Registry,
}

/// A kind of bay that no template here builds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no bays of server type `{server_type}`, distribution `{os}` and engine `{coe}`: only vm, ubuntu or centos \
     or coreos or fedora-coreos, mesos"
)]
pub struct NotSupported {
    pub server_type: String,
    pub os: String,
    pub coe: String,
}

/// Whether a bay of this model can be built at all.
pub fn driver_supported(model: &BayModel) -> Result<(), NotSupported> {
    // Objects of the first releases have no server type; every bay was then made of virtual machines.
    let server_type = model.server_type.as_deref().unwrap_or("vm");
    let os = model.cluster_distro.as_deref().unwrap_or_default();
    let coe = model.coe.as_deref().unwrap_or_default();
    if (server_type, coe) == ("vm", "mesos") && template::known_distro(os).is_some() {
        return Ok(());
    }
    Err(NotSupported { server_type: server_type.to_owned(), os: os.to_owned(), coe: coe.to_owned() })
}

/// How many of `masters` are a true majority. Even counts are refused.
pub fn quorum(masters: i64) -> Result<i64, ParameterError> {
    at_least("master_count", masters, 1)?;
    if masters % 2 == 0 {
        return Err(ParameterError::EvenMasters(masters));
    }
    Ok(masters / 2 + 1)
}

/// The name of a bay's stack: the same on every run, and of this bay alone.
pub fn stack_name(bay: &Bay) -> String {
    const READABLE: usize = 30;
    let name = bay.name.as_deref().unwrap_or_default();
    let mut readable: String = name
        .chars()
        .map(|c| if matches!(c, '_' | '.') { '-' } else { c.to_ascii_lowercase() })
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    if !readable.starts_with(|c: char| c.is_ascii_alphabetic()) {
        readable.insert_str(0, "bay-");
    }
    readable.truncate(READABLE);
    format!("{}-{}", readable.trim_end_matches('-'), bay.uuid.simple())
}

/// The parameters a bay's stack is created with. What has no value is left out, and the template's default
/// holds. A bay without `secrets` has no TLS.
pub fn stack_parameters(
    bay: &Bay,
    model: &BayModel,
    placement: &Placement,
    secrets: Option<&Secrets>,
) -> Result<Map<String, Value>, ParameterError> {
    let mut parameters = Parameters::default();
    parameters.text("cluster_name", bay.name.as_deref());
    parameters.text("ssh_key_name", given(&bay.keypair).or_else(|| given(&model.keypair_id)));
    parameters.text("server_image", given(&model.image_id));
    parameters.text("master_flavor", given(&model.master_flavor_id));
    parameters.text("slave_flavor", given(&model.flavor_id));
    nodes(bay, &mut parameters)?;
    network(model, &mut parameters)?;
    parameters.value("allowed_cidrs", json!(allowed_cidrs(model, placement)?));
    parameters.text("http_proxy", given(&model.http_proxy));
    parameters.text("https_proxy", given(&model.https_proxy));
    parameters.text("no_proxy", given(&model.no_proxy));
    if let Some(driver) = given(&model.volume_driver) {
        return Err(ParameterError::VolumeDriver(driver.to_owned()));
    }
    if model.registry_enabled {
        return Err(ParameterError::Registry);
    }
    agent_labels(bay, model, &mut parameters)?;
    package_labels(bay, model, &mut parameters)?;
    parameters.text("openstack_ca", placement.openstack_ca.as_deref());
    parameters.value("verify_ca", json!(placement.verify_ca));
    if let Some(secrets) = secrets {
        tls(bay, secrets, &mut parameters);
    }
    Ok(parameters.0)
}

/// The parameters that change when a bay is scaled.
///
/// `leaving` are the private addresses of the agents to remove. The list is sent even when it is empty: Heat keeps the
/// last one, and a new agent may get the address of one that was removed before.
pub fn scale_parameters(bay: &Bay, leaving: &[&str]) -> Result<Map<String, Value>, ParameterError> {
    let agents = bay.node_count.ok_or(ParameterError::Missing("number_of_slaves"))?;
    at_least("node_count", agents, 0)?;
    let mut parameters = Parameters::default();
    parameters.value("number_of_slaves", json!(agents));
    parameters.value("slaves_to_remove", json!(leaving));
    Ok(parameters.0)
}

/// Takes a stack's outputs into the bay. An output that is missing, or not yet known, leaves what the bay
/// has.
///
/// Returns the names of those outputs.
pub fn apply_outputs(bay: &mut Bay, outputs: &BTreeMap<String, Value>) -> Vec<&'static str> {
    let mut missing = Vec::new();
    match outputs.get("api_address").and_then(Value::as_str) {
        Some(address) if !address.is_empty() => bay.api_address = Some(address.to_owned()),
        _ => missing.push("api_address"),
    }
    match outputs.get("mesos_master").and_then(addresses) {
        Some(masters) => bay.master_addresses = masters,
        None => missing.push("mesos_master"),
    }
    match outputs.get("mesos_slaves").and_then(addresses) {
        Some(agents) => bay.node_addresses = agents,
        None => missing.push("mesos_slaves"),
    }
    missing
}

/// The private addresses of a stack's agents, in the order of their index; `None` when the stack does not tell them.
pub fn private_agents(outputs: &BTreeMap<String, Value>) -> Option<Vec<String>> {
    outputs.get("mesos_slaves_private").and_then(addresses)
}

/// The public addresses of a stack's agents, in the order of their index.
pub fn public_agents(outputs: &BTreeMap<String, Value>) -> Option<Vec<String>> {
    outputs.get("mesos_slaves").and_then(addresses)
}

/// A list of addresses. A null in it, or for it, is Heat's word for "not yet".
fn addresses(output: &Value) -> Option<Vec<String>> {
    let known = output.as_array()?.iter().filter_map(Value::as_str).filter(|address| !address.is_empty());
    Some(known.map(str::to_owned).collect())
}

#[derive(Default)]
struct Parameters(Map<String, Value>);

impl Parameters {
    fn value(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.value(name, json!(value));
        }
    }
}

fn nodes(bay: &Bay, parameters: &mut Parameters) -> Result<(), ParameterError> {
    let masters = bay.master_count.unwrap_or(1);
    parameters.value("quorum", json!(quorum(masters)?));
    parameters.value("number_of_masters", json!(masters));
    if let Some(agents) = bay.node_count {
        at_least("node_count", agents, 0)?;
        parameters.value("number_of_slaves", json!(agents));
    }
    Ok(())
}

fn network(model: &BayModel, parameters: &mut Parameters) -> Result<(), ParameterError> {
    let external = given(&model.external_network_id).ok_or(ParameterError::Missing("external_network"))?;
    parameters.text("external_network", Some(external));
    parameters.value("floating_ip_enabled", json!(model.floating_ip_enabled));
    parameters.value("master_lb_enabled", json!(model.master_lb_enabled));
    parameters.text("dns_nameserver", given(&model.dns_nameserver));
    match given(&model.fixed_network) {
        // Liberty's models hold the addresses of the network to make where later ones name an existing
        // network.
        Some(network) if is_cidr(network) => parameters.text("fixed_network_cidr", Some(network)),
        Some(network) => {
            parameters.text("fixed_network", Some(network));
            parameters.text("fixed_subnet", given(&model.fixed_subnet));
        }
        None => {}
    }
    Ok(())
}

fn allowed_cidrs(model: &BayModel, placement: &Placement) -> Result<Vec<String>, ParameterError> {
    let label = model.labels.get("allowed_cidrs").map(String::as_str).unwrap_or_default();
    let mut allowed = placement.allowed_cidrs.clone();
    allowed.extend(label.split(',').map(str::trim).filter(|cidr| !cidr.is_empty()).map(str::to_owned));
    match allowed.iter().find(|cidr| !is_cidr(cidr)) {
        Some(wrong) => Err(ParameterError::Cidr(wrong.clone())),
        None => Ok(allowed),
    }
}

const AGENT_LABELS: [&str; 4] = [
    "mesos_slave_isolation",
    "mesos_slave_image_providers",
    "mesos_slave_work_dir",
    "mesos_slave_executor_env_variables",
];

fn agent_labels(bay: &Bay, model: &BayModel, parameters: &mut Parameters) -> Result<(), ParameterError> {
    for name in AGENT_LABELS {
        parameters.text(name, label(bay, model, name));
    }
    let environment = "mesos_slave_executor_env_variables";
    if let Some(text) = label(bay, model, environment) {
        serde_json::from_str::<BTreeMap<String, String>>(text).map_err(|error| ParameterError::Label {
            label: environment,
            reason: format!("it must be a JSON object of strings: {error}"),
        })?;
    }
    Ok(())
}

/// Where a component comes from, the checksum that proves it, and whether Fedora `CoreOS` can have it from there
/// only: nothing is built into its images, and Fedora has no package of it.
const PACKAGES: [(&str, &str, bool); 5] = [
    ("zookeeper_package_url", "zookeeper_package_sha256", true),
    ("mesos_package_url", "mesos_package_sha256", true),
    ("marathon_package_url", "marathon_package_sha256", true),
    ("java_package_url", "java_package_sha256", false),
    ("docker_package_url", "docker_package_sha256", false),
];

fn package_labels(bay: &Bay, model: &BayModel, parameters: &mut Parameters) -> Result<(), ParameterError> {
    let distribution = model.cluster_distro.as_deref().and_then(template::known_distro);
    for (url, checksum, only_source) in PACKAGES {
        let Some(source) = label(bay, model, url) else {
            if only_source && distribution == Some("coreos") {
                return Err(ParameterError::Missing(url));
            }
            continue;
        };
        let sha256 = label(bay, model, checksum).unwrap_or_default();
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let reason = format!("`{url}` needs it: the package's SHA-256, 64 hexadecimal digits");
            return Err(ParameterError::Label { label: checksum, reason });
        }
        parameters.text(url, Some(source));
        parameters.text(checksum, Some(sha256));
    }
    Ok(())
}

fn tls(bay: &Bay, secrets: &Secrets, parameters: &mut Parameters) {
    parameters.value("tls_enabled", json!(true));
    for (name, value) in [
        ("ca_certificate", secrets.ca_certificate.as_str()),
        ("node_certificate", &secrets.node_certificate),
        ("node_key", secrets.node_key.expose_secret()),
        ("node_name", &secrets::node_name(bay.uuid)),
        ("mesos_principal", &secrets.mesos_principal),
        ("mesos_secret", secrets.mesos_secret.expose_secret()),
        ("marathon_username", &secrets.marathon_username),
        ("marathon_password", secrets.marathon_password.expose_secret()),
        ("zookeeper_password", secrets.zookeeper_password.expose_secret()),
    ] {
        parameters.text(name, Some(value));
    }
}

/// A label of the bay, else of its model: later releases let a bay change its model's labels.
fn label<'a>(bay: &'a Bay, model: &'a BayModel, name: &str) -> Option<&'a str> {
    let value = bay.labels.get(name).or_else(|| model.labels.get(name))?;
    (!value.is_empty()).then_some(value)
}

/// An empty text is no value: it is how some clients clear a field.
fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|text| !text.is_empty())
}

fn at_least(name: &'static str, count: i64, least: i64) -> Result<(), ParameterError> {
    if count < least { Err(ParameterError::TooFew { name, count, least }) } else { Ok(()) }
}

/// IPv4 only: so are the networks and the rules of the template.
fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    address.parse::<Ipv4Addr>().is_ok() && length.parse::<u8>().is_ok_and(|length| length <= 32)
}

#[cfg(test)]
mod tests;
