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
    #[serde(default)]
    region: Option<String>,
    /// The same by its newer name; most releases send both.
    #[serde(default)]
    region_id: Option<String>,
    url: String,
}

impl Endpoint {
    fn is_in(&self, region: &str) -> bool {
        self.region_id.as_deref().or(self.region.as_deref()) == Some(region)
    }
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
                endpoint.interface == interface.as_str() && region.is_none_or(|wanted| endpoint.is_in(wanted))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn catalog() -> Catalog {
        let endpoint =
            |face, region, url| json!({"interface": face, "region": region, "region_id": region, "url": url});
        let endpoints = [
            endpoint("internal", "RegionOne", "http://heat.internal/v1/p1"),
            endpoint("public", "RegionOne", "http://heat.one/v1/p1"),
            endpoint("public", "RegionTwo", "http://heat.two/v1/p1"),
        ];
        let identity =
            json!({"type": "identity", "endpoints": [{"interface": "public", "region": "Old", "url": "x"}]});
        let heat = json!({"type": "orchestration", "id": "2", "name": "heat", "endpoints": endpoints});
        serde_json::from_value(json!([identity, heat])).unwrap()
    }

    #[test]
    fn an_endpoint_is_found_by_type_interface_and_region() {
        let find =
            |interface, region| catalog().endpoint("orchestration", interface, region).unwrap().to_string();
        assert_eq!(find(Interface::Public, None), "http://heat.one/v1/p1");
        assert_eq!(find(Interface::Public, Some("RegionTwo")), "http://heat.two/v1/p1");
        assert_eq!(find(Interface::Internal, Some("RegionOne")), "http://heat.internal/v1/p1");
    }

    #[test]
    fn a_missing_endpoint_is_named() {
        let error = catalog().endpoint("orchestration", Interface::Admin, Some("RegionTwo")).unwrap_err();
        let expected = "the catalog has no admin endpoint of type orchestration in region RegionTwo";
        assert_eq!(error.to_string(), expected);
        assert!(!error.is_retryable() && !error.effect_unknown());
    }

    #[test]
    fn an_endpoint_that_is_no_url_is_an_error() {
        let error = catalog().endpoint("identity", Interface::Public, Some("Old")).unwrap_err();
        assert!(error.to_string().ends_with(": x"), "{error}");
    }
}
