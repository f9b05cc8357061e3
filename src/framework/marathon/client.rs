//! Sends a request to one of a bay's masters, and to the next where that can do no harm.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::time::Instant;
use url::Url;

use super::error::{Effect, lost, refused};
use super::leader::Masters;
use crate::app::AppId;
use crate::framework::credentials::Login;
use crate::framework::endpoint::Endpoint;
use crate::framework::error::{Error, Result};
use crate::framework::{Force, Observer};

/// A thousand apps with their tasks have some megabytes; more than this is a fault on the other side.
const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// The moment by which a call has ended.
#[derive(Debug, Clone, Copy)]
pub(in crate::framework) struct Deadline(Instant);

impl Deadline {
    pub(in crate::framework) fn within(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    pub(in crate::framework) fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// A request to whichever master answers it.
pub(in crate::framework) struct Request {
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    fn new(method: Method, path: &[&str]) -> Self {
        let path = path.iter().map(|segment| (*segment).to_owned()).collect();
        Self { method, path, query: Vec::new(), body: None }
    }

    pub(in crate::framework) fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    pub(in crate::framework) fn post(path: &[&str]) -> Self {
        Self::new(Method::POST, path)
    }

    pub(super) fn put(path: &[&str]) -> Self {
        Self::new(Method::PUT, path)
    }

    pub(super) fn patch(path: &[&str]) -> Self {
        Self::new(Method::PATCH, path)
    }

    pub(super) fn delete(path: &[&str]) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Goes on with an id: its slashes part segments.
    pub(super) fn id(mut self, id: &AppId) -> Self {
        self.path.extend(id.segments().map(str::to_owned));
        self
    }

    pub(super) fn segment(mut self, segment: &str) -> Self {
        self.path.push(segment.to_owned());
        self
    }

    pub(super) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Always said, since what is meant without it differs between resources.
    pub(super) fn force(self, force: Force) -> Self {
        self.query("force", if force == Force::Override { "true" } else { "false" })
    }

    pub(in crate::framework) fn json(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_vec(body).expect("bodies have text keys and no failing serializers"));
        self
    }

    fn effect(&self) -> Effect {
        if self.method == Method::GET { Effect::Reads } else { Effect::Changes }
    }

    /// Each segment is percent-encoded as a whole, so that none can leave its place.
    fn url(&self, master: &Url) -> Result<Url> {
        if self.path.iter().any(|segment| matches!(segment.as_str(), "" | "." | "..")) {
            return Err(Error::NotFound { message: "no resource has such a name".to_owned() });
        }
        let mut url = master.clone();
        url.path_segments_mut().expect("masters have http URLs").pop_if_empty().extend(&self.path);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(url)
    }
}

/// A success, read whole.
pub(in crate::framework) struct Answer {
    pub(super) headers: HeaderMap,
    body: Vec<u8>,
    effect: Effect,
}

impl Answer {
    /// The body as JSON. The fault names the place, never the text: definitions can hold passwords.
    pub(in crate::framework) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let body: &[u8] = if self.body.is_empty() { b"null" } else { &self.body };
        serde_json::from_slice(body).map_err(|fault| {
            let place = format!("line {}, column {}", fault.line(), fault.column());
            match self.effect {
                Effect::Reads => {
                    Error::Protocol { message: format!("it is not what was asked for ({place})") }
                }
                // It said yes, to somebody.
                Effect::Changes => Error::Unknown { message: format!("the answer cannot be read ({place})") },
            }
        })
    }
}

/// One bay's Marathon over one connection pool.
pub(in crate::framework) struct Client {
    http: reqwest::Client,
    masters: Masters,
    authorization: Option<HeaderValue>,
    secret: Option<SecretString>,
    request_timeout: Duration,
    observer: Arc<dyn Observer>,
    /// Whether a master that sends us on merely says that another one leads.
    only_leaders_answer: bool,
}

impl Client {
    pub(in crate::framework) fn new(
        http: reqwest::Client,
        endpoint: Endpoint,
        login: &Login,
        request_timeout: Duration,
        observer: Arc<dyn Observer>,
    ) -> Result<Self> {
        let (authorization, secret) = match login {
            Login::None => (None, None),
            Login::Basic { username, password } => {
                let pair = STANDARD.encode(format!("{username}:{}", password.expose_secret()));
                (Some(sensitive(&format!("Basic {pair}"))?), Some(password.clone()))
            }
            Login::Token(token) => {
                (Some(sensitive(&format!("token={}", token.expose_secret()))?), Some(token.clone()))
            }
        };
        let masters = Masters::new(endpoint);
        Ok(Self {
            http,
            masters,
            authorization,
            secret,
            request_timeout,
            observer,
            only_leaders_answer: false,
        })
    }

    /// For servers that do not pass requests on: one that sends us on has done nothing, and the next is asked.
    pub(in crate::framework) fn where_only_leaders_answer(self) -> Self {
        Self { only_leaders_answer: true, ..self }
    }

    pub(in crate::framework) fn masters_count(&self) -> usize {
        self.masters.order().len()
    }

    /// Whoever answered last is not who was meant: the next one is asked first.
    pub(in crate::framework) fn pass_over(&self) {
        if let Some(first) = self.masters.order().next() {
            self.masters.failed(first);
        }
    }

    pub(super) fn masters(&self) -> &Masters {
        &self.masters
    }

    /// Sends a request to the masters in turn, until one answers it or may have acted on it.
    pub(in crate::framework) async fn send(&self, request: Request, within: Duration) -> Result<Answer> {
        let (deadline, effect) = (Deadline::within(within), request.effect());
        let mut last = Error::Unavailable { message: "there is no time left".to_owned(), retry_after: None };
        let mut order = self.masters.order();
        while let Some(index) = order.next() {
            let mut limit = deadline.remaining().min(self.request_timeout);
            if effect == Effect::Reads {
                // One master that hangs must leave time for the others. A change has one try that counts.
                let left = u32::try_from(order.len() + 1).unwrap_or(u32::MAX);
                limit = limit.min(deadline.remaining() / left);
            }
            if limit.is_zero() {
                break;
            }
            let url = request.url(self.masters.url(index))?;
            match self.attempt(&request, url, limit).await {
                Ok(answer) => {
                    self.masters.answered(index, &answer.headers);
                    return Ok(answer);
                }
                Err(error @ Error::Unavailable { .. }) => {
                    self.masters.failed(index);
                    tracing::debug!(error = %error, "asking the next master");
                    last = error;
                }
                Err(error) => {
                    if error.effect_unknown() {
                        self.masters.failed(index);
                    }
                    return Err(error);
                }
            }
        }
        Err(last)
    }

    async fn attempt(&self, request: &Request, url: Url, limit: Duration) -> Result<Answer> {
        let started = Instant::now();
        let mut builder = self.prepare(request.method.clone(), url).timeout(limit);
        builder = builder.header(ACCEPT, "application/json");
        if let Some(body) = &request.body {
            builder = builder.header(CONTENT_TYPE, "application/json").body(body.clone());
        } else if request.method != Method::GET {
            // An empty body is still one: Jetty refuses a POST without a length.
            builder = builder.header(CONTENT_TYPE, "application/json").body(Vec::new());
        }
        let effect = request.effect();
        let read = read(builder, effect).await;
        let status = read.as_ref().ok().map(|(status, ..)| *status);
        self.observer.request(request.method.as_str(), status, started.elapsed());
        let (status, headers, body) = read?;
        if (200..300).contains(&status) {
            return Ok(Answer { headers, body, effect });
        }
        if self.only_leaders_answer && status == 307 {
            let message = "another master leads, and none of those that are known".to_owned();
            return Err(Error::Unavailable { message, retry_after: None });
        }
        Err(refused(status, &headers, &body, effect, |text| self.scrub(text)))
    }

    /// A request that says who asks.
    pub(super) fn prepare(&self, method: Method, url: Url) -> reqwest::RequestBuilder {
        let builder = self.http.request(method, url);
        match &self.authorization {
            Some(authorization) => builder.header(AUTHORIZATION, authorization.clone()),
            None => builder,
        }
    }

    /// Takes our secret out of a text that the other side wrote: some repeat what they refuse.
    pub(super) fn scrub(&self, text: &str) -> String {
        match self.secret.as_ref().map(ExposeSecret::expose_secret) {
            Some(secret) if !secret.is_empty() => text.replace(secret, "***"),
            Some(_) | None => text.to_owned(),
        }
    }
}

async fn read(builder: reqwest::RequestBuilder, effect: Effect) -> Result<(u16, HeaderMap, Vec<u8>)> {
    let mut response = builder.send().await.map_err(|error| unanswered(error, effect))?;
    let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unanswered(error, effect))? {
        if body.len() + chunk.len() > BODY_LIMIT {
            let message = format!("it is longer than {BODY_LIMIT} bytes");
            return Err(match effect {
                Effect::Reads => Error::Protocol { message },
                Effect::Changes => Error::Unknown { message },
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, headers, body))
}

/// Why there is no complete answer. The text of reqwest's own error holds the URL with its query, its sources do not.
pub(super) fn unanswered(error: reqwest::Error, effect: Effect) -> Error {
    let host = error.url().map_or_else(String::new, |url| {
        format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
    });
    let error = error.without_url();
    let mut deepest: &dyn std::error::Error = &error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    if error.is_connect() {
        Error::Unavailable { message: format!("no connection to {host}: {deepest}"), retry_after: None }
    } else if error.is_builder() {
        Error::Config { message: deepest.to_string() }
    } else if error.is_timeout() {
        lost(effect, format!("no answer from {host} in time"))
    } else {
        lost(effect, format!("the connection to {host} broke: {deepest}"))
    }
}

fn sensitive(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Error::Config {
        message: "the credentials have characters that no header may have".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}
