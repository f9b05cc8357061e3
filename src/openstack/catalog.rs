//! Keystone's service catalog: where a service is, by type, interface and region.

use serde::Deserialize;
use url::Url;

use super::error::{Error, Result};
use super::settings::Interface;

/// The part of a token's catalog that the clients look at.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Catalog(Vec<Service>);

#[derive(Debug, Clone, Deserialize)]
struct Service {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Clone, Deserialize)]
struct Endpoint {
    interface: String,
    #[serde(default, alias = "region_id")]
    region: Option<String>,
    url: String,
}

impl Catalog {
    /// The address of a service. No region means the first one listed.
    pub fn endpoint(&self, service: &str, interface: Interface, region: Option<&str>) -> Result<Url> {
        let endpoint = self
            .0
            .iter()
            .filter(|entry| entry.kind == service)
            .flat_map(|entry| &entry.endpoints)
            .find(|endpoint| {
                endpoint.interface == interface.as_str()
                    && region.is_none_or(|wanted| endpoint.region.as_deref() == Some(wanted))
            })
            .ok_or_else(|| {
                let place = region.map_or_else(String::new, |region| format!(" in region {region}"));
                let interface = interface.as_str();
                Error::catalog(format!("the catalog has no {interface} endpoint of type {service}{place}"))
            })?;
        Url::parse(&endpoint.url).map_err(|fault| {
            Error::catalog(format!("the endpoint of type {service} is no URL ({fault}): {}", endpoint.url))
        })
    }
}
