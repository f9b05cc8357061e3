//! Which addresses are somebody's public server, and which lead into a network of ours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Private networks that are opened on purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

/// IPv4 that is not public: this network, private, shared (carriers' NAT), loopback, link-local, protocol
/// assignments, documentation, relays, benchmarks, multicast, reserved.
const CLOSED_V4: &[(Ipv4Addr, u8)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The only IPv6 that is routed in public.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What of it is not public: protocol assignments (Teredo among them) and documentation.
const CLOSED_V6: &[(Ipv6Addr, u8)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// IPv6 forms of IPv4, and the byte at which the IPv4 address begins: mapped, compatible, NAT64, 6to4.
const EMBEDDING: &[(Ipv6Addr, u8, usize)] = &[
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 12),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 0), 96, 12),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, 12),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 2),
];

impl Networks {
    /// Reads networks such as `10.1.0.0/16`, or single addresses.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, NotANetwork> {
        texts.into_iter().map(network).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a connection may be made to an address.
    pub(super) fn admit(&self, address: IpAddr) -> bool {
        self.0.iter().any(|open| open.contains(&address))
            || match address {
                IpAddr::V4(address) => !within_v4(address, CLOSED_V4),
                IpAddr::V6(address) => match embedded(address) {
                    Some(inner) => self.admit(IpAddr::V4(inner)),
                    None => {
                        within_v6(address, GLOBAL_V6) && !CLOSED_V6.iter().any(|net| within_v6(address, *net))
                    }
                },
            }
    }
}

fn within_v4(address: Ipv4Addr, networks: &[(Ipv4Addr, u8)]) -> bool {
    networks.iter().any(|(network, length)| Ipv4Net::new_assert(*network, *length).contains(&address))
}

fn within_v6(address: Ipv6Addr, (network, length): (Ipv6Addr, u8)) -> bool {
    Ipv6Net::new_assert(network, length).contains(&address)
}

/// The IPv4 address that an IPv6 address leads to.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let (.., at) = EMBEDDING.iter().find(|(net, length, _)| within_v6(address, (*net, *length)))?;
    let octets = address.octets();
    let inner: [u8; 4] = octets.get(*at..*at + 4)?.try_into().ok()?;
    Some(Ipv4Addr::from(inner))
}

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network such as 10.1.0.0/16")]
pub struct NotANetwork(pub String);

fn network(text: &str) -> Result<IpNet, NotANetwork> {
    let fault = || NotANetwork(text.to_owned());
    let text = text.trim();
    let network = match IpAddr::from_str(text) {
        Ok(address) => IpNet::from(address),
        Err(_) => IpNet::from_str(text).map_err(|_| fault())?,
    };
    // A network that has bits behind its mask is a slip of the pen, and would open more than was meant.
    if network == network.trunc() { Ok(network) } else { Err(fault()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(networks: &[&str], address: &str) -> bool {
        Networks::parse(networks.iter().copied()).unwrap().admit(address.parse().unwrap())
    }

    #[test]
    fn only_public_addresses_are_open() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "203.0.113.9",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "100::1",
            "4000::1",
            "fec0::1",
        ] {
            assert!(!admits(&[], address), "{address}");
        }
        for address in [
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert!(admits(&[], address), "{address}");
        }
    }

    #[test]
    fn a_listed_network_is_open_in_every_form_of_its_addresses() {
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::1"] {
            assert!(admits(&["10.1.0.0/16"], address), "{address}");
        }
        assert!(!admits(&["10.1.0.0/16"], "10.2.0.1"));
        assert!(admits(&["127.0.0.1", "fd00::/8"], "127.0.0.1"));
        assert!(!admits(&["127.0.0.1"], "127.0.0.2"));
        assert!(admits(&["fd00::/8"], "fd00::7"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0.1/8", "private", "10.0.0"] {
            assert_eq!(Networks::parse([text]), Err(NotANetwork(text.to_owned())));
        }
    }
}
