//! Fetches a manifest from where a caller says it is, without becoming the caller's way into our own networks.
//!
//! **Invariant:** a connection is only made to an address that was checked: a name is resolved here, once, and the
//! connection goes to what was found, so a name that resolves differently the next moment gains nothing. Every
//! redirect is checked like the first URL.

mod networks;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::LOCATION;
use tokio::time::timeout;
use url::{Host, Url};

pub use networks::Networks;

/// How many redirects are followed.
const REDIRECTS: usize = 3;

/// What may be fetched.
#[derive(Debug, Clone)]
pub struct Settings {
    pub schemes: Vec<String>,
    /// Private networks that may be reached all the same.
    pub allowed: Networks,
    pub max_size: usize,
    /// For everything, redirects included.
    pub timeout: Duration,
}

/// Why there is no manifest. Tells a caller nothing of our networks that the URL did not say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchFault {
    #[error("the manifest URL cannot be read")]
    Url,
    #[error("the manifest URL's scheme is {found}; it may be {allowed}")]
    Scheme { found: String, allowed: String },
    #[error("the manifest URL must not hold a user or a password")]
    Credentials,
    #[error("{0} is in a network that no manifest is fetched from")]
    Forbidden(String),
    #[error("there is no connection to {0}")]
    Unreachable(String),
    #[error("{0} answers with status {1}")]
    Status(String, u16),
    #[error("{0} leads on more than {REDIRECTS} times")]
    Redirects(String),
    #[error("what {0} gives is longer than {1} bytes")]
    TooLong(String, usize),
    #[error("what {0} gives is not UTF-8 text")]
    NotText(String),
    #[error("the manifest did not arrive within {0:?}")]
    Timeout(Duration),
    #[error("the manifest cannot be fetched: {0}")]
    Setup(String),
}

impl FetchFault {
    /// Whether the same URL may work later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout(_) => true,
            Self::Status(_, status) => *status >= 500 || *status == 429,
            Self::Url
            | Self::Scheme { .. }
            | Self::Credentials
            | Self::Forbidden(_)
            | Self::Redirects(_)
            | Self::TooLong(..)
            | Self::NotText(_)
            | Self::Setup(_) => false,
        }
    }
}

/// Finds the addresses of a name.
#[async_trait]
pub trait Lookup: Send + Sync {
    async fn lookup(&self, host: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// As the operating system does it.
struct System;

#[async_trait]
impl Lookup for System {
    async fn lookup(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Fetches manifests.
#[derive(Clone)]
pub struct Fetcher {
    http: reqwest::Client,
    settings: Arc<Settings>,
}

impl Fetcher {
    pub fn new(settings: Settings) -> Result<Self, FetchFault> {
        Self::with_lookup(settings, Arc::new(System))
    }

    pub(crate) fn with_lookup(settings: Settings, lookup: Arc<dyn Lookup>) -> Result<Self, FetchFault> {
        let settings = Arc::new(settings);
        let resolver = Guarded { settings: Arc::clone(&settings), lookup };
        let http = reqwest::Client::builder()
            .dns_resolver(Arc::new(resolver))
            .redirect(reqwest::redirect::Policy::none())
            // A proxy from the environment would resolve names itself.
            .no_proxy()
            // A kept connection would spare a later fetch the check.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("mesos-conductor/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|fault| FetchFault::Setup(fault.to_string()))?;
        Ok(Self { http, settings })
    }

    /// The text at a URL, within the time that the settings and the caller give.
    pub async fn fetch(&self, url: &str, within: Duration) -> Result<String, FetchFault> {
        let limit = self.settings.timeout.min(within);
        let mut url = Url::parse(url.trim()).map_err(|_| FetchFault::Url)?;
        let fetched = timeout(limit, async {
            for _ in 0..=REDIRECTS {
                self.admit(&url)?;
                let response =
                    self.http.get(url.clone()).send().await.map_err(|fault| broken(&url, &fault))?;
                if !response.status().is_redirection() {
                    return self.read(&url, response).await;
                }
                url = target(&url, &response)?;
            }
            Err(FetchFault::Redirects(host(&url)))
        });
        fetched.await.unwrap_or(Err(FetchFault::Timeout(limit)))
    }

    /// Checks what can be told without asking anybody. Names are checked when they are resolved.
    fn admit(&self, url: &Url) -> Result<(), FetchFault> {
        let schemes = &self.settings.schemes;
        if !schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case(url.scheme())) {
            return Err(FetchFault::Scheme { found: url.scheme().to_owned(), allowed: schemes.join(" or ") });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchFault::Credentials);
        }
        let literal = match url.host() {
            None => return Err(FetchFault::Url),
            Some(Host::Domain(_)) => return Ok(()),
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
        };
        if self.settings.allowed.admit(literal) { Ok(()) } else { Err(FetchFault::Forbidden(host(url))) }
    }

    async fn read(&self, url: &Url, mut response: reqwest::Response) -> Result<String, FetchFault> {
        let status = response.status();
        if !status.is_success() {
            return Err(FetchFault::Status(host(url), status.as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|fault| broken(url, &fault))? {
            if body.len() + chunk.len() > self.settings.max_size {
                return Err(FetchFault::TooLong(host(url), self.settings.max_size));
            }
            body.extend_from_slice(&chunk);
        }
        String::from_utf8(body).map_err(|_| FetchFault::NotText(host(url)))
    }
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

fn target(from: &Url, response: &reqwest::Response) -> Result<Url, FetchFault> {
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let status = response.status().as_u16();
    let location = location.ok_or_else(|| FetchFault::Status(host(from), status))?;
    from.join(location).map_err(|_| FetchFault::Url)
}

/// A refused connection and a closed port look the same: a caller shall not learn what listens where.
fn broken(url: &Url, fault: &reqwest::Error) -> FetchFault {
    let mut source: Option<&dyn std::error::Error> = Some(fault);
    while let Some(error) = source {
        if error.is::<Refused>() {
            return FetchFault::Forbidden(host(url));
        }
        source = error.source();
    }
    FetchFault::Unreachable(host(url))
}

/// Resolves names to the addresses that may be connected to.
struct Guarded {
    settings: Arc<Settings>,
    lookup: Arc<dyn Lookup>,
}

/// A name has addresses, and none may be connected to.
#[derive(Debug, thiserror::Error)]
#[error("no address of this name may be connected to")]
struct Refused;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (settings, lookup) = (Arc::clone(&self.settings), Arc::clone(&self.lookup));
        Box::pin(async move {
            let mut addresses = lookup.lookup(name.as_str()).await?;
            let found = addresses.len();
            addresses.retain(|address| settings.allowed.admit(*address));
            if addresses.is_empty() && found > 0 {
                return Err(Refused.into());
            }
            let addresses: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}
