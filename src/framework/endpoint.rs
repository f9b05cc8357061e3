//! Where a bay's framework is to be found.

use url::{Host, Url};

use crate::bay::Bay;

/// The base URLs of all masters, at least one; the order is that of the bay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Vec<Url>);

/// How addresses become URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    pub tls: bool,
    pub port: u16,
}

/// Why there is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointFault {
    #[error("the bay has no address yet")]
    None,
    #[error("the bay's address {0:?} is neither a host nor an http URL")]
    Address(String),
}

impl Endpoint {
    /// URLs as they are given.
    pub fn new(masters: Vec<Url>) -> Result<Self, EndpointFault> {
        if masters.is_empty() { Err(EndpointFault::None) } else { Ok(Self(masters)) }
    }

    /// The masters' addresses, then the API's, which may be a load balancer's.
    pub fn of(bay: &Bay, access: Access) -> Result<Self, EndpointFault> {
        let mut masters: Vec<Url> = Vec::new();
        let addresses = bay.master_addresses.iter().chain(&bay.api_address);
        for address in addresses.map(|address| address.trim()).filter(|address| !address.is_empty()) {
            let url = url(address, access).ok_or_else(|| EndpointFault::Address(address.to_owned()))?;
            if !masters.contains(&url) {
                masters.push(url);
            }
        }
        Self::new(masters)
    }

    pub fn masters(&self) -> &[Url] {
        &self.0
    }

    /// Which of the masters a URL is of, by its origin: nothing else is given credentials.
    pub fn position(&self, url: &Url) -> Option<usize> {
        self.0.iter().position(|master| master.origin() == url.origin())
    }
}

/// A host, a host with a port, or a whole URL.
fn url(address: &str, access: Access) -> Option<Url> {
    if address.contains("://") {
        let url = Url::parse(address).ok()?;
        let plain = url.username().is_empty() && url.password().is_none();
        return (matches!(url.scheme(), "http" | "https") && plain && url.has_host()).then_some(url);
    }
    let scheme = if access.tls { "https" } else { "http" };
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<std::net::Ipv6Addr>() {
        return Url::parse(&format!("{scheme}://{}:{}/", Host::<String>::Ipv6(address), access.port)).ok();
    }
    if address.contains(['/', '@', '?', '#', ' ']) {
        return None;
    }
    let mut url = Url::parse(&format!("{scheme}://{address}/")).ok().filter(Url::has_host)?;
    if !address.contains(':') {
        url.set_port(Some(access.port)).ok()?;
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Access = Access { tls: false, port: 8080 };

    fn bay(masters: &[&str], api: Option<&str>) -> Bay {
        Bay {
            master_addresses: masters.iter().map(|text| (*text).to_owned()).collect(),
            api_address: api.map(str::to_owned),
            ..Bay::default()
        }
    }

    #[track_caller]
    fn check(masters: &[&str], api: Option<&str>, access: Access, expected: &[&str]) {
        let endpoint = Endpoint::of(&bay(masters, api), access).unwrap();
        assert_eq!(endpoint.masters().iter().map(Url::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn masters_come_first_and_each_address_once() {
        check(
            &["10.0.0.3", "10.0.0.4"],
            Some("10.0.0.3"),
            PLAIN,
            &["http://10.0.0.3:8080/", "http://10.0.0.4:8080/"],
        );
        check(&["10.0.0.3"], Some("192.0.2.1"), PLAIN, &["http://10.0.0.3:8080/", "http://192.0.2.1:8080/"]);
        check(&[], Some("marathon.example"), PLAIN, &["http://marathon.example:8080/"]);
    }

    #[test]
    fn an_address_may_be_written_in_several_ways() {
        check(&["10.0.0.3:80"], None, PLAIN, &["http://10.0.0.3/"]);
        check(&["fd00::1", "[fd00::2]"], None, PLAIN, &["http://[fd00::1]:8080/", "http://[fd00::2]:8080/"]);
        check(&["http://m:9090/service/marathon"], None, PLAIN, &["http://m:9090/service/marathon"]);
        check(&["10.0.0.3"], None, Access { tls: true, port: 8443 }, &["https://10.0.0.3:8443/"]);
    }

    #[test]
    fn what_is_no_address_is_told() {
        assert_eq!(Endpoint::of(&bay(&[], None), PLAIN), Err(EndpointFault::None));
        for text in ["a b", "ftp://a", "a/b", "user@a", "http://u:p@a", "a:99999"] {
            let refused = Endpoint::of(&bay(&[text], None), PLAIN);
            assert_eq!(refused, Err(EndpointFault::Address(text.to_owned())));
        }
    }
}
