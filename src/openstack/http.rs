//! One way to send a request: bounded in time and size, repeated only where that is safe, with errors that
//! say what to do and tell no secrets.

mod answer;
mod redirect;
#[cfg(test)]
mod tests;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use backon::BackoffBuilder;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::time::Instant;
use url::Url;

use super::error::{Call, Error, Kind, Result};
use super::settings::{Limits, Tls};
pub(crate) use answer::Response;

/// How many redirects one request follows: Heat needs one.
const REDIRECTS: usize = 3;

/// Learns of every attempt, for the metrics.
pub trait Observer: Send + Sync {
    /// `status` is the answer's code, or `None` when there was no answer.
    fn request(&self, service: &'static str, method: &str, status: Option<u16>, took: Duration);
}

/// Counts nothing.
impl Observer for () {
    fn request(&self, _: &'static str, _: &str, _: Option<u16>, _: Duration) {}
}

/// The moment by which a call has ended, retries and waits included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn within(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    pub(crate) fn instant(self) -> Instant {
        self.0
    }

    fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// A request, and whether sending it twice does no harm.
pub(crate) struct Request {
    method: Method,
    url: Url,
    body: Option<Vec<u8>>,
    token: Option<SecretString>,
    subject: Option<SecretString>,
    /// A secret in the body.
    secret: Option<SecretString>,
    repeatable: bool,
    accept: &'static str,
}

impl Request {
    fn new(method: Method, url: Url, repeatable: bool) -> Self {
        let accept = "application/json";
        Self { method, url, body: None, token: None, subject: None, secret: None, repeatable, accept }
    }

    pub(crate) fn get(url: Url) -> Self {
        Self::new(Method::GET, url, true)
    }

    pub(crate) fn delete(url: Url) -> Self {
        Self::new(Method::DELETE, url, true)
    }

    pub(crate) fn post(url: Url) -> Self {
        Self::new(Method::POST, url, false)
    }

    pub(crate) fn patch(url: Url) -> Self {
        Self::new(Method::PATCH, url, false)
    }

    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_vec(body).expect("bodies have text keys and no failing serializers"));
        self
    }

    pub(crate) fn token(mut self, token: SecretString) -> Self {
        self.token = Some(token);
        self
    }

    /// The token that is asked about.
    pub(crate) fn subject(mut self, token: SecretString) -> Self {
        self.subject = Some(token);
        self
    }

    /// Names the secret in the body, so that no error repeats it.
    pub(crate) fn holding(mut self, secret: SecretString) -> Self {
        self.secret = Some(secret);
        self
    }

    /// Asks for an answer of another type than JSON.
    pub(crate) fn accepting(self, accept: &'static str) -> Self {
        Self { accept, ..self }
    }

    /// Says of a POST or PATCH that a repetition changes nothing more.
    pub(crate) fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// Takes this request's secrets out of a text that the service wrote: some repeat what they refuse.
    fn scrub(&self, text: &str) -> String {
        let secrets = [&self.token, &self.subject, &self.secret];
        secrets
            .into_iter()
            .flatten()
            .map(ExposeSecret::expose_secret)
            .filter(|secret| !secret.is_empty())
            .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }

    fn call(&self, service: &'static str) -> Call {
        Call { service, method: self.method.to_string(), path: self.url.path().to_owned() }
    }
}

/// One service over one connection pool. Clones share it.
#[derive(Clone)]
pub(crate) struct Client {
    service: &'static str,
    http: reqwest::Client,
    limits: Limits,
    observer: Arc<dyn Observer>,
}

impl Client {
    pub(crate) fn new(
        service: &'static str,
        tls: &Tls,
        limits: Limits,
        observer: Arc<dyn Observer>,
    ) -> Result<Self> {
        Ok(Self { service, http: tls::client(tls, limits)?, limits, observer })
    }

    /// Sends a request until it is answered, cannot be helped by repeating, or the time is over.
    pub(crate) async fn send(&self, request: Request, deadline: Deadline) -> Result<Response> {
        let mut backoff = backon::ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(2))
            .with_max_times(self.limits.max_retries)
            .with_jitter()
            .build();
        loop {
            let error = match self.follow(&request, deadline).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let Some(delay) = backoff.next().filter(|_| may_repeat(&request, &error)) else {
                return Err(error);
            };
            let delay = error.retry_after().unwrap_or(delay);
            // A wait that leaves no time for the attempt is better spent by the caller, who holds nothing
            // meanwhile.
            if delay >= deadline.remaining() {
                return Err(error);
            }
            tracing::debug!(error = %error, delay_ms = delay.as_millis(), "calling again");
            tokio::time::sleep(delay).await;
        }
    }

    /// One attempt, at the place where the service says the thing really is.
    async fn follow(&self, request: &Request, deadline: Deadline) -> Result<Response> {
        let call = request.call(self.service);
        let mut url = request.url.clone();
        for _ in 0..=REDIRECTS {
            let response = self.attempt(request, &url, deadline).await.map_err(|error| error.at(&call))?;
            if !response.is_redirect() {
                return response.success(&call, |text| request.scrub(text));
            }
            url = redirect::target(&url, &response).map_err(|error| error.at(&call))?;
        }
        Err(Error::from(Kind::Garbage("it redirects in a circle".to_owned())).at(&call))
    }

    async fn attempt(&self, request: &Request, url: &Url, deadline: Deadline) -> Result<Response> {
        let limit = self.limits.timeout.min(deadline.remaining());
        if limit.is_zero() {
            return Err(Kind::Timeout { sent: false }.into());
        }
        let started = Instant::now();
        let result = answer::read(self.prepare(request, url, limit)?).await;
        let status = match &result {
            Ok(response) => Some(response.status()),
            Err(_) => None,
        };
        self.observer.request(self.service, request.method.as_str(), status, started.elapsed());
        result
    }

    fn prepare(&self, request: &Request, url: &Url, limit: Duration) -> Result<reqwest::RequestBuilder> {
        let mut builder = self
            .http
            .request(request.method.clone(), url.clone())
            .timeout(limit)
            .header(ACCEPT, request.accept);
        if let Some(token) = &request.token {
            builder = builder.header("X-Auth-Token", sensitive(token)?);
        }
        if let Some(subject) = &request.subject {
            builder = builder.header("X-Subject-Token", sensitive(subject)?);
        }
        if let Some(body) = &request.body {
            builder = builder.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        Ok(builder)
    }
}

/// Whether this request may be sent again after this error.
fn may_repeat(request: &Request, error: &Error) -> bool {
    match &error.kind {
        // Nothing was sent, or the service says that it did nothing: no request is harmed by a repetition.
        Kind::Connect(_) | Kind::Busy { code: 429, .. } => true,
        Kind::Timeout { sent: false } | Kind::Garbage(_) => false,
        Kind::Timeout { sent: true } | Kind::Lost(_) | Kind::Busy { .. } | Kind::Status { .. } => {
            request.repeatable && error.is_retryable()
        }
        Kind::Unauthorized { .. }
        | Kind::Forbidden { .. }
        | Kind::NotFound { .. }
        | Kind::Conflict { .. }
        | Kind::BadRequest { .. }
        | Kind::Catalog(_)
        | Kind::Config(_) => false,
    }
}

fn sensitive(token: &SecretString) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(token.expose_secret()).map_err(|_| {
        // A token with control characters can come from a message; no service would accept it.
        Error::from(Kind::Unauthorized { message: "the token has characters that no token has".to_owned() })
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Appends path segments, each percent-encoded as a whole, so that no name can leave its place in the path.
pub(crate) fn push(url: &mut Url, segments: &[&str]) -> Result<()> {
    if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
        return Err(Error::config(format!("{segments:?} is no path to anything")));
    }
    url.path_segments_mut()
        .map_err(|()| Error::catalog("the endpoint's URL cannot carry a path"))?
        .pop_if_empty()
        .extend(segments);
    Ok(())
}
