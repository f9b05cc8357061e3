//! How to reach Keystone and Heat, parsed: what cannot work cannot be held here.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

use super::error::{Error, Result};

/// Everything the clients are made from.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Keystone's address in any of its spellings; `None` makes every call fail with a configuration error.
    pub auth_url: Option<String>,
    pub identity_tls: Tls,
    /// The service user, from `[keystone_auth]` or the older `[keystone_authtoken] admin_*`.
    pub service: Option<PasswordAuth>,
    /// From `[trust]`; `None` when bays get no trust.
    pub trust: Option<TrustSettings>,
    pub heat: EndpointSettings,
    pub barbican: EndpointSettings,
    pub limits: Limits,
}

/// A user with a password, and the project it works in.
#[derive(Debug, Clone)]
pub struct PasswordAuth {
    pub user: UserRef,
    pub password: SecretString,
    pub project: Option<ProjectRef>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainRef {
    Id(String),
    Name(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserRef {
    Id(String),
    Name { name: String, domain: DomainRef },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectRef {
    Id(String),
    Name { name: String, domain: DomainRef },
}

/// The domain that trustees live in, and who may make them there.
#[derive(Debug, Clone)]
pub struct TrustSettings {
    pub domain: DomainRef,
    pub admin: UserRef,
    pub admin_password: SecretString,
    /// The roles a trust passes on; empty means all that the caller has.
    pub roles: Vec<String>,
}

/// Which of a service's endpoints to use, and how to trust it.
#[derive(Debug, Clone, Default)]
pub struct EndpointSettings {
    pub region_name: Option<String>,
    pub interface: Interface,
    pub tls: Tls,
}

/// `cafile`/`ca_file`, `certfile`/`cert_file`, `keyfile`/`key_file` and `insecure` of a section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    pub ca_file: Option<PathBuf>,
    pub cert_file: Option<PathBuf>,
    /// May be left out when the certificate's file holds the key too.
    pub key_file: Option<PathBuf>,
    pub insecure: bool,
}

/// How long one request may take, how often it is tried, and how long an answer about a token is believed.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub connect_timeout: Duration,
    /// Per attempt; the caller's own limit cuts it shorter.
    pub timeout: Duration,
    /// Further attempts after the first.
    pub max_retries: usize,
    /// What was learnt of a caller's token is asked again after this: it may have been revoked.
    pub token_cache_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(30),
            max_retries: 2,
            token_cache_time: Duration::from_secs(60),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Interface {
    #[default]
    Public,
    Internal,
    Admin,
}

impl Interface {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Interface {
    type Err = UnknownInterface;

    /// Reads Keystone's own names and the `...URL` spelling of `endpoint_type`.
    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text.strip_suffix("URL").unwrap_or(text) {
            "public" => Ok(Self::Public),
            "internal" => Ok(Self::Internal),
            "admin" => Ok(Self::Admin),
            _ => Err(UnknownInterface(text.to_owned())),
        }
    }
}

/// An `endpoint_type` that Keystone has no interface for.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no endpoint type; use publicURL, internalURL or adminURL")]
pub struct UnknownInterface(pub String);

/// Keystone's version 3 root, whichever way the configuration writes it: `[keystone_authtoken]` often still
/// says v2.0.
pub fn identity_root(auth_url: &str) -> Result<url::Url> {
    let trimmed = auth_url.trim().trim_end_matches('/');
    let base = trimmed.strip_suffix("/v2.0").or_else(|| trimmed.strip_suffix("/v3")).unwrap_or(trimmed);
    let url = url::Url::parse(&format!("{base}/v3"))
        .map_err(|fault| Error::config(format!("the Keystone URL {auth_url:?} cannot be read: {fault}")))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(Error::config(format!("the Keystone URL's scheme is {other:?}; use http or https"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_auth_url_leads_to_version_3() {
        for spelling in ["http://k:5000", "http://k:5000/", "http://k:5000/v2.0", "http://k:5000/v3/"] {
            assert_eq!(identity_root(spelling).unwrap().as_str(), "http://k:5000/v3", "{spelling}");
        }
        assert_eq!(identity_root("https://k/identity/v2.0/").unwrap().as_str(), "https://k/identity/v3");
    }

    #[test]
    fn an_auth_url_that_is_none_is_a_configuration_fault() {
        for bad in ["", "keystone", "ftp://k/v3"] {
            let error = identity_root(bad).unwrap_err();
            assert!(matches!(error.kind, super::super::Kind::Config(_)), "{bad}: {error}");
        }
    }

    #[test]
    fn endpoint_types_are_read_in_both_spellings() {
        assert_eq!("publicURL".parse(), Ok(Interface::Public));
        assert_eq!("internal".parse(), Ok(Interface::Internal));
        assert_eq!("adminURL".parse(), Ok(Interface::Admin));
        assert!("private".parse::<Interface>().is_err());
    }

    #[test]
    fn passwords_are_absent_from_debug_output() {
        let auth = PasswordAuth {
            user: UserRef::Id("u".to_owned()),
            password: SecretString::from("hunter2"),
            project: None,
        };
        let trust = TrustSettings {
            domain: DomainRef::Id("d".to_owned()),
            admin: UserRef::Id("a".to_owned()),
            admin_password: SecretString::from("hunter2"),
            roles: vec![],
        };
        let settings = Settings { service: Some(auth), trust: Some(trust), ..Settings::default() };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
