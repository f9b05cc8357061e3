//! Keystone v3: tokens for every kind of [`Credentials`], trustees and trusts.

mod cache;
#[cfg(test)]
mod tests;
mod token;
mod trust;
mod trustee;

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::credentials::{Credentials, Session};
use super::error::{Error, Kind, Result};
use super::http::{Client, Deadline, Observer, Request, Response};
use super::settings::{PasswordAuth, Settings, TrustSettings, identity_root};
use cache::Cache;

const SERVICE: &str = "keystone";

/// The client. Clones share the connections and the token cache.
#[derive(Clone)]
pub struct Keystone(Arc<Inner>);

struct Inner {
    http: Client,
    /// Calls go to the configured address, not to the catalog's identity endpoint: the token of a trustee
    /// that has no project has an empty catalog.
    root: Option<Url>,
    service: Option<PasswordAuth>,
    trust: Option<TrustSettings>,
    cache: Cache,
}

impl Keystone {
    pub fn new(settings: Settings, observer: Arc<dyn Observer>) -> Result<Self> {
        let http = Client::new(SERVICE, &settings.identity_tls, settings.limits, observer)?;
        let root = settings.auth_url.as_deref().map(identity_root).transpose()?;
        let Settings { service, trust, limits, .. } = settings;
        let cache = Cache::new(limits.token_cache_time);
        Ok(Self(Arc::new(Inner { http, root, service, trust, cache })))
    }

    pub fn trusts_configured(&self) -> bool {
        self.0.trust.is_some()
    }

    /// A token that works for these credentials, from the cache while it lasts.
    pub async fn session(&self, credentials: &Credentials, within: Duration) -> Result<Session> {
        self.authenticate(credentials, Deadline::within(within)).await
    }

    /// Sends a request in the name of these credentials. A token that is refused is dropped and, where
    /// another one can be had, replaced once.
    pub(crate) async fn send(
        &self,
        http: &Client,
        credentials: &Credentials,
        request: impl Fn(&Session) -> Result<Request>,
        deadline: Deadline,
    ) -> Result<Response> {
        let session = self.authenticate(credentials, deadline).await?;
        let refused = match http.send(request(&session)?.token(session.token.clone()), deadline).await {
            Err(error) if error.is_unauthorized() => error,
            other => return other,
        };
        self.0.cache.forget(credentials, &session, deadline).await;
        if matches!(credentials, Credentials::Token(_)) {
            return Err(refused);
        }
        let session = self.authenticate(credentials, deadline).await?;
        http.send(request(&session)?.token(session.token.clone()), deadline).await
    }

    async fn authenticate(&self, credentials: &Credentials, deadline: Deadline) -> Result<Session> {
        let fetched =
            self.0.cache.get_or_fetch(credentials, deadline, || self.fetch(credentials, deadline)).await;
        fetched.map_err(|error| match error {
            // A trust or a token that is unknown. It must not be taken for the thing that the token is wanted
            // for.
            Error { kind: Kind::NotFound { message, .. }, call } => {
                Error { kind: Kind::Unauthorized { message }, call }
            }
            other => other,
        })
    }

    fn url(&self, segments: &[&str]) -> Result<Url> {
        let missing = "Keystone's address is not configured: set [keystone_authtoken] www_authenticate_uri";
        let mut url = self.0.root.clone().ok_or_else(|| Error::config(missing))?;
        super::http::push(&mut url, segments)?;
        Ok(url)
    }

    fn trust_settings(&self) -> Result<&TrustSettings> {
        self.0.trust.as_ref().ok_or_else(|| Error::config("[trust] is not configured"))
    }
}
