//! What came back: read within limits and turned into a value or a typed error.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::openstack::error::{Call, Error, Kind, Result};

/// A catalog or a stack has some ten kilobytes; more than this is a fault on the other side.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// As much of an unstructured error page as helps a reader.
const TEXT_LIMIT: usize = 300;

/// No service means to be left alone for longer.
const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(3600);

/// An answer whose body is complete.
pub(crate) struct Response {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    call: Option<Call>,
}

/// Sends a request and reads the whole answer.
pub(super) async fn read(request: reqwest::RequestBuilder) -> Result<Response> {
    let mut response = request.send().await.map_err(unanswered)?;
    let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unanswered)? {
        if body.len() + chunk.len() > BODY_LIMIT {
            return Err(Kind::Garbage(format!("it is longer than {BODY_LIMIT} bytes")).into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response { status, headers, body, call: None })
}

impl Response {
    pub(super) fn status(&self) -> u16 {
        self.status
    }

    pub(super) fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A token that came in a header.
    pub(crate) fn secret_header(&self, name: &str) -> Result<SecretString> {
        let missing = || self.garbage(format!("it lacks the header {name}"));
        self.header(name).map(SecretString::from).ok_or_else(missing)
    }

    /// A body that is a secret's text.
    pub(crate) fn secret_text(&self) -> Result<SecretString> {
        let text = std::str::from_utf8(&self.body).map_err(|_| self.garbage("it is no text".to_owned()))?;
        Ok(text.into())
    }

    /// The body as JSON. The fault names the line and column, never the text: a body can hold tokens.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|fault| {
            let what = match fault.classify() {
                serde_json::error::Category::Data => "is not of the expected form",
                serde_json::error::Category::Io
                | serde_json::error::Category::Syntax
                | serde_json::error::Category::Eof => "is no JSON",
            };
            self.garbage(format!("it {what} (line {}, column {})", fault.line(), fault.column()))
        })
    }

    fn garbage(&self, text: String) -> Error {
        Error { kind: Kind::Garbage(text), call: self.call.clone().map(Box::new) }
    }

    /// Passes a success on and makes an error of everything else.
    pub(super) fn success(mut self, call: &Call, scrub: impl Fn(&str) -> String) -> Result<Self> {
        if (200..300).contains(&self.status) {
            self.call = Some(call.clone());
            return Ok(self);
        }
        Err(Error::from(self.failure(scrub)).at(call))
    }

    fn failure(&self, scrub: impl Fn(&str) -> String) -> Kind {
        let Failure { message, error_type, structured } = Failure::read(&self.body);
        let message = scrub(&message);
        match self.status {
            401 => Kind::Unauthorized { message },
            403 => Kind::Forbidden { message },
            404 if structured => Kind::NotFound { message, error_type },
            // A proxy's or web server's page. To take it for the service's word would be to forget what
            // exists.
            404 => Kind::Garbage(format!("a 404 that is not the service's own: {message}")),
            409 => Kind::Conflict { message, error_type },
            code @ (429 | 503) => Kind::Busy { code, message, retry_after: self.retry_after() },
            code @ 400..500 => Kind::BadRequest { code, message, error_type },
            code => Kind::Status { code, message },
        }
    }

    /// Seconds, or a date by the service's own clock when it tells that.
    fn retry_after(&self) -> Option<Duration> {
        let text = self.header(RETRY_AFTER.as_str())?.trim();
        let date = |text: &str| OffsetDateTime::parse(text, &Rfc2822).ok();
        let wait = match text.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let now = self.header("date").and_then(date).unwrap_or_else(OffsetDateTime::now_utc);
                Duration::try_from(date(text)? - now).unwrap_or(Duration::ZERO)
            }
        };
        Some(wait.min(RETRY_AFTER_LIMIT))
    }
}

/// What an error's body says. Keystone and Heat both put it under `error`, Barbican has `title` and `description` at the
/// top, proxies send pages.
struct Failure {
    message: String,
    error_type: Option<String>,
    /// Whether it has the form of these services' errors.
    structured: bool,
}

impl Failure {
    fn read(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            error: Option<Detail>,
            #[serde(default)]
            explanation: Option<String>,
            #[serde(default)]
            title: Option<String>,
            #[serde(default)]
            description: Option<String>,
        }
        #[derive(Deserialize)]
        struct Detail {
            #[serde(default)]
            message: Option<String>,
            #[serde(default)]
            r#type: Option<Value>,
        }
        let Ok(body) = serde_json::from_slice::<Body>(body) else {
            let message = excerpt(&String::from_utf8_lossy(body));
            return Self { message, error_type: None, structured: false };
        };
        let structured = body.error.is_some() || (body.title.is_some() && body.description.is_some());
        let (message, kind) = body.error.map_or((None, None), |detail| (detail.message, detail.r#type));
        let message = message.filter(|text| !text.is_empty()).or(body.explanation);
        let message = message.or(body.description).unwrap_or_default();
        Self { message, error_type: kind.and_then(|kind| kind.as_str().map(str::to_owned)), structured }
    }
}

/// The first words of a page, on one line.
fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().take(TEXT_LIMIT).collect();
    if short.len() < line.len() {
        short.push_str("...");
    }
    short
}

/// Why there is no complete answer. The text of reqwest's own error holds the URL with its query, its sources
/// do not.
fn unanswered(error: reqwest::Error) -> Error {
    let host = error.url().map_or_else(String::new, |url| {
        format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
    });
    let error = error.without_url();
    let text = || {
        let mut deepest: &dyn std::error::Error = &error;
        while let Some(source) = deepest.source() {
            deepest = source;
        }
        deepest.to_string()
    };
    if error.is_connect() {
        Kind::Connect(format!("{host}: {}", text())).into()
    } else if error.is_builder() {
        Error::config(text())
    } else if error.is_timeout() {
        Kind::Timeout { sent: true }.into()
    } else {
        Kind::Lost(text()).into()
    }
}
