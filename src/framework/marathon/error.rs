//! What Marathon, a master that passes requests on, or a proxy before them means by an answer that is no success.
//!
//! The same codes mean different things: 409 is a lock or a duplicate, 403 may be no question of rights, 5xx may come
//! after the effect. Bodies have had several forms, and pages of HTML come in between.

use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use serde_json::Value;
use url::Url;

use crate::framework::error::{Detail, Error};
use crate::framework::seen::DeploymentId;

/// As much of a text as helps a reader.
const TEXT_LIMIT: usize = 500;

/// As many details as anyone reads.
const DETAIL_LIMIT: usize = 50;

/// No service means to be left alone for longer.
const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(3600);

/// What masters say when they know that the leader has not got the request.
const NOTHING_DONE: &[&str] = &[
    "Could not determine the current leader",
    "Connection to leader refused",
    "Detected proxying loop",
    "Too many concurrent requests",
    "There is no leader",
];

/// What a request does when it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Reads,
    Changes,
}

/// A request that was or may have been lost on its way back.
pub(super) fn lost(effect: Effect, message: String) -> Error {
    match effect {
        Effect::Reads => Error::Unavailable { message, retry_after: None },
        Effect::Changes => Error::Unknown { message },
    }
}

/// The meaning of an answer that is no success. `scrub` takes secrets out of texts.
pub(super) fn refused(
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    effect: Effect,
    scrub: impl Fn(&str) -> String,
) -> Error {
    let said = Said::read(body, scrub);
    let text = said.text(status);
    match status {
        300..400 => Error::Unauthorized { message: redirected(status, headers) },
        400 | 422 => Error::Invalid { message: text, details: said.details },
        401 => Error::Unauthorized { message: text },
        403 if said.message.contains("running deployments") => Error::TooManyDeployments { message: text },
        403 => Error::Forbidden { message: text },
        404 => not_found(&said, text),
        409 => match said.deployments {
            Some(deployments) => Error::Locked { message: text, deployments },
            None => Error::AlreadyExists { message: text },
        },
        408 | 429 => Error::Unavailable { message: text, retry_after: retry_after(headers) },
        // Late 1.6 and newer answer unknown routes so.
        500 if said.message.starts_with("URI not found") => Error::Protocol { message: text },
        502..=504 if said.nothing_done() => {
            Error::Unavailable { message: text, retry_after: retry_after(headers) }
        }
        503 if effect == Effect::Reads => {
            Error::Unavailable { message: text, retry_after: retry_after(headers) }
        }
        500.. => lost(effect, text),
        _ => Error::Protocol { message: text },
    }
}

fn not_found(said: &Said, text: String) -> Error {
    if said.nothing_done() {
        return Error::Unavailable { message: text, retry_after: None };
    }
    // A page is a proxy's: to take it for the framework's word would be to forget what exists. So would an old
    // Marathon's answer to a route that it does not have.
    if !said.structured || said.message.starts_with("URI not found") {
        return Error::Protocol { message: text };
    }
    Error::NotFound { message: text }
}

/// Plugins and proxies send those who are not logged in to a page where they could.
fn redirected(status: u16, headers: &HeaderMap) -> String {
    let target = headers.get(LOCATION).and_then(|location| Url::parse(location.to_str().ok()?).ok());
    match target {
        Some(target) => {
            format!("{status}, sent on to {}, as to a login", target.origin().ascii_serialization())
        }
        None => format!("{status}, sent on to another page, as to a login"),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_LIMIT))
}

/// What the body of an error says, in whichever of its forms.
struct Said {
    message: String,
    details: Vec<Detail>,
    /// Present, if empty, in the refusal by a lock alone.
    deployments: Option<Vec<DeploymentId>>,
    /// Whether it is Marathon's own.
    structured: bool,
}

impl Said {
    fn read(body: &[u8], scrub: impl Fn(&str) -> String) -> Self {
        let short = |text: &str| short(&scrub(text));
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
            let message = short(&without_tags(&String::from_utf8_lossy(body)));
            return Self { message, details: Vec::new(), deployments: None, structured: false };
        };
        let message = body.get("message").and_then(Value::as_str).map(short).unwrap_or_default();
        let listed = |name: &str| body.get(name).and_then(Value::as_array).into_iter().flatten();
        let details = match body.get("details") {
            Some(Value::String(text)) => vec![Detail { path: "/".to_owned(), problems: vec![short(text)] }],
            _ => listed("details")
                .chain(listed("errors"))
                .take(DETAIL_LIMIT)
                .map(|detail| read_detail(detail, short))
                .collect(),
        };
        let deployments = body.get("deployments").and_then(Value::as_array).map(|deployments| {
            deployments.iter().filter_map(|one| one.get("id")?.as_str()).map(DeploymentId::new).collect()
        });
        Self { message, details, deployments, structured: body.contains_key("message") }
    }

    fn nothing_done(&self) -> bool {
        NOTHING_DONE.iter().any(|words| self.message.contains(words))
    }

    fn text(&self, status: u16) -> String {
        if self.message.is_empty() { status.to_string() } else { format!("{status}, {}", self.message) }
    }
}

/// `{path, errors: []}`, or `{attribute, error}` of older releases.
fn read_detail(detail: &Value, short: impl Fn(&str) -> String) -> Detail {
    let text = |name: &str| detail.get(name).and_then(Value::as_str);
    let path = text("path").or_else(|| text("attribute")).unwrap_or("/");
    let problems: Vec<String> = match detail.get("errors") {
        Some(Value::Array(errors)) => {
            errors.iter().filter_map(Value::as_str).take(DETAIL_LIMIT).map(&short).collect()
        }
        Some(Value::String(error)) => vec![short(error)],
        Some(_) | None => text("error").map(&short).into_iter().collect(),
    };
    Detail { path: short(path), problems }
}

/// The words of a page of HTML: what stands outside of tags, styles and scripts.
fn without_tags(page: &str) -> String {
    if !page.trim_start().starts_with('<') {
        return page.to_owned();
    }
    let mut words = String::new();
    let mut hidden = false;
    for (index, part) in page.split('<').enumerate() {
        let (tag, text) = if index == 0 { ("", part) } else { part.split_once('>').unwrap_or((part, "")) };
        let tag = tag.to_ascii_lowercase();
        if tag.starts_with("style") || tag.starts_with("script") {
            hidden = true;
        } else if tag.starts_with("/style") || tag.starts_with("/script") {
            hidden = false;
        }
        if !hidden {
            words.push(' ');
            words.push_str(text);
        }
    }
    words
}

/// The first words, on one line.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().take(TEXT_LIMIT).collect();
    if short.len() < line.len() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests;
