//! `transport_url`, which is no URL by the standard: it has several hosts, each with a user of its own.

use percent_encoding::percent_decode_str;
use secrecy::SecretString;

use super::settings::{DEFAULT_PORT, Host, TransportUrl};

/// Why a text is no `transport_url`. Says where, never what: a URL that was split at the wrong place has
/// pieces of the password anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// There is no `://`.
    #[error("a transport URL starts with rabbit://")]
    NoScheme,
    /// It is the URL of something else.
    #[error("the scheme of the transport URL is none of rabbit, amqp, amqps and kombu+...")]
    Scheme,
    /// A percent sequence is not UTF-8.
    #[error("host {number} of the transport URL has percent-encoded bytes that are not UTF-8")]
    Encoding {
        /// Which host, from 1.
        number: usize,
    },
    /// The virtual host is not UTF-8.
    #[error("the virtual host of the transport URL has percent-encoded bytes that are not UTF-8")]
    VirtualHost,
    /// The port is no port.
    #[error(
        "host {number} of the transport URL has no valid port (in a user or password, '/', '@', ',', ':', \
         '?' and '#' must be percent-encoded)"
    )]
    Port {
        /// Which host, from 1.
        number: usize,
    },
    /// `[` without `]`, or something between `]` and the port.
    #[error("host {number} of the transport URL has an unfinished IPv6 address")]
    Brackets {
        /// Which host, from 1.
        number: usize,
    },
}

pub(super) fn parse(url: &str) -> Result<TransportUrl, UrlError> {
    let (scheme, rest) = url.trim().split_once("://").ok_or(UrlError::NoScheme)?;
    let tls = match scheme {
        "rabbit" | "amqp" | "kombu" => false,
        "amqps" => true,
        other if other.starts_with("kombu+") => false,
        _ => return Err(UrlError::Scheme),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, vhost) = rest.split_once('/').unwrap_or((rest, ""));
    let mut hosts = Vec::new();
    for (index, text) in authority.split(',').enumerate() {
        // `rabbit://` alone is this machine; a stray comma among other hosts is nothing.
        if !text.is_empty() || authority.is_empty() {
            hosts.push(host(text, index + 1)?);
        }
    }
    if hosts.is_empty() {
        hosts.push(Host::default());
    }
    let vhost = decode(vhost).ok_or(UrlError::VirtualHost)?;
    let mut options: std::collections::BTreeMap<String, String> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    if tls {
        options.entry("ssl".to_owned()).or_insert_with(|| "true".to_owned());
    }
    let vhost = if vhost.is_empty() { "/".to_owned() } else { vhost };
    Ok(TransportUrl { hosts, vhost, options })
}

fn host(text: &str, number: usize) -> Result<Host, UrlError> {
    let mut host = Host::default();
    let encoding = UrlError::Encoding { number };
    let address = match text.split_once('@') {
        None => text,
        Some((user, address)) => {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            host.username = decode(name).ok_or(encoding)?;
            host.password = SecretString::from(decode(password).ok_or(encoding)?);
            // A second '@' was part of the password; what is left of it must not pass for a host name.
            if address.contains('@') {
                return Err(UrlError::Port { number });
            }
            address
        }
    };
    let (name, port) = match address.strip_prefix('[') {
        Some(inner) => {
            let (name, after) = inner.split_once(']').ok_or(UrlError::Brackets { number })?;
            match after.strip_prefix(':') {
                Some(port) => (name, Some(port)),
                None if after.is_empty() => (name, None),
                None => return Err(UrlError::Brackets { number }),
            }
        }
        None => address.split_once(':').map_or((address, None), |(name, port)| (name, Some(port))),
    };
    if !name.is_empty() {
        host.host = decode(name).ok_or(encoding)?;
    }
    host.port = match port {
        None | Some("") => DEFAULT_PORT,
        Some(port) => {
            let port = decode(port).and_then(|port| port.parse().ok());
            port.filter(|port| *port != 0).ok_or(UrlError::Port { number })?
        }
    };
    Ok(host)
}

fn decode(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    /// Hosts as `user:password@host:port`, then the virtual host.
    fn check(url: &str, hosts: &[&str], vhost: &str) {
        let parsed = parse(url).expect(url);
        let shown: Vec<_> = parsed
            .hosts
            .iter()
            .map(|h| format!("{}:{}@{}", h.username, h.password.expose_secret(), h.endpoint()))
            .collect();
        assert_eq!(
            (shown, parsed.vhost),
            (hosts.iter().map(ToString::to_string).collect(), vhost.to_owned())
        );
    }

    #[test]
    fn hosts_users_and_virtual_host_are_read() {
        let local = "guest:guest@localhost:5672";
        check("rabbit://", &[local], "/");
        check("rabbit:///", &[local], "/");
        check("rabbit:////", &[local], "/");
        check("kombu+memory:///bays", &[local], "bays");
        check("rabbit://:5673", &["guest:guest@localhost:5673"], "/");
        check("amqp://stack:s3@mq", &["stack:s3@mq:5672"], "/");
        check("rabbit://stack:s3@mq:5673//", &["stack:s3@mq:5673"], "/");
        check("rabbit://stack@mq/", &["stack:@mq:5672"], "/");
        check(
            "rabbit://a:1@h1:5673,b:2@h2,h3/v",
            &["a:1@h1:5673", "b:2@h2:5672", "guest:guest@h3:5672"],
            "v",
        );
        check("rabbit://a:1@[::1]:5673,b:2@[fe80::1]/%2f", &["a:1@[::1]:5673", "b:2@[fe80::1]:5672"], "/");
        check("rabbit://u%40x:p%3A%2F%2C%40%25@h%2Ecom:56%372/v%20w", &["u@x:p:/,@%@h.com:5672"], "v w");
        check("rabbit://h1,/v", &["guest:guest@h1:5672"], "v");
        check("rabbit://h1?ssl=true", &["guest:guest@h1:5672"], "/");
    }

    #[test]
    fn the_query_is_returned_decoded() {
        let options =
            parse("rabbit://h/v?ssl=1&kombu_reconnect_delay=0.5&ssl=true&x=a%20b+c").unwrap().options;
        let shown: Vec<_> = options.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(shown, ["kombu_reconnect_delay=0.5", "ssl=true", "x=a b c"]);
    }

    #[test]
    fn amqps_turns_tls_on() {
        assert_eq!(parse("amqps://h/").unwrap().options.get("ssl").map(String::as_str), Some("true"));
    }

    #[test]
    fn a_fault_is_placed_without_showing_the_password() {
        let wrong = [
            ("mq.example.com", UrlError::NoScheme),
            ("mysql://u:hunter2@h/", UrlError::Scheme),
            ("rabbit://u:hunter/2@h/", UrlError::Port { number: 1 }),
            ("rabbit://h1,u:hunter@2@h2:5672/", UrlError::Port { number: 2 }),
            ("rabbit://u:hunter2@h:0/", UrlError::Port { number: 1 }),
            ("rabbit://u:hunter2@h:70000/", UrlError::Port { number: 1 }),
            ("rabbit://u:hunter2@[::1/", UrlError::Brackets { number: 1 }),
            ("rabbit://u:hunter%ff@h/", UrlError::Encoding { number: 1 }),
            ("rabbit://u:hunter2@h/%ff", UrlError::VirtualHost),
        ];
        for (url, error) in wrong {
            let found = parse(url).expect_err(url);
            assert_eq!(found, error, "{url}");
            assert!(!format!("{found:?} {found}").contains("hunter"), "{url}");
        }
    }

    #[test]
    fn debug_hides_users() {
        let parsed = parse("rabbit://bob:hunter2@h/").unwrap();
        let shown = format!("{parsed:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("bob"), "{shown}");
    }
}
