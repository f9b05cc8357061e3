//! The request log: what a test asserts on when the question is "how often, in which order, as whom".

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::keystone::TokenKind;

/// Which of the stand-ins a request went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    Keystone,
    Heat,
    Barbican,
    Marathon,
    Mesos,
}

impl Service {
    /// The service behind a path of the shared port, and the path as the real service would see it.
    pub(crate) fn of(path: &str) -> Option<(Self, &str)> {
        let prefixed =
            |prefix: &str| path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        prefixed("/identity")
            .map(|rest| (Self::Keystone, rest))
            .or_else(|| prefixed("/heat").map(|rest| (Self::Heat, rest)))
            .or_else(|| prefixed("/key-manager").map(|rest| (Self::Barbican, rest)))
    }
}

/// One request as it was seen and answered.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// Rises by one with each request; survives a clearing of the log.
    pub number: u64,
    #[serde(serialize_with = "crate::clock::serialize")]
    pub time: OffsetDateTime,
    pub service: Service,
    /// The address that was asked, as `ip:port`.
    pub host: String,
    pub method: String,
    /// The path without the sandbox's prefix: `/v3/auth/tokens`, `/v1/<project>/stacks`.
    pub path: String,
    pub query: String,
    /// What the request authenticated with. The token itself is never kept here.
    pub token: TokenKind,
    /// The project of the token, when it has one.
    pub project: Option<String>,
    /// The answer's status; `None` while unanswered, and for ever when the connection was dropped.
    pub status: Option<u16>,
    /// The fault that was applied, if any.
    pub fault: Option<&'static str>,
}

impl Request {
    /// Whether this is a request of that service and method whose path fits `pattern` (see [`path_fits`]).
    #[must_use]
    pub fn is(&self, service: Service, method: &str, pattern: &str) -> bool {
        self.service == service && self.method.eq_ignore_ascii_case(method) && path_fits(pattern, &self.path)
    }
}

/// Whether `path` contains the parts of `pattern` in order: `*` stands for anything, a final `$` for the end.
///
/// `"/stacks"` fits any path with that text, `"/stacks$"` only one that ends there.
#[must_use]
pub fn path_fits(pattern: &str, path: &str) -> bool {
    let (pattern, anchored) = match pattern.strip_suffix('$') {
        Some(head) => (head, true),
        None => (pattern, false),
    };
    let mut rest = path;
    let mut parts = pattern.split('*').peekable();
    while let Some(part) = parts.next() {
        if anchored && parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    next: u64,
    requests: Vec<Request>,
}

/// A request before the log has numbered it.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) time: OffsetDateTime,
    pub(crate) service: Service,
    pub(crate) host: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) token: TokenKind,
    pub(crate) project: Option<String>,
    pub(crate) fault: Option<&'static str>,
}

impl Log {
    /// Enters a request on arrival, so that one which is never answered is on record too.
    pub(crate) fn arrived(&mut self, arrival: Arrival) -> u64 {
        let number = self.next;
        self.next += 1;
        let Arrival { time, service, host, method, path, query, token, project, fault } = arrival;
        self.requests.push(Request {
            number,
            time,
            service,
            host,
            method,
            path,
            query,
            token,
            project,
            status: None,
            fault,
        });
        number
    }

    pub(crate) fn answered(&mut self, number: u64, status: u16) {
        if let Some(request) = self.requests.iter_mut().rev().find(|r| r.number == number) {
            request.status = Some(status);
        }
    }

    pub(crate) fn requests(&self) -> &[Request] {
        &self.requests
    }

    pub(crate) fn clear(&mut self) {
        self.requests.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_by_parts_in_order_and_anchor_at_the_end() {
        let check =
            |pattern, path, expected| assert_eq!(path_fits(pattern, path), expected, "{pattern} {path}");
        check("/stacks", "/v1/p/stacks/a/b", true);
        check("/stacks$", "/v1/p/stacks/a/b", false);
        check("/stacks$", "/v1/p/stacks", true);
        check("/stacks/*/*$", "/v1/p/stacks/a/b", true);
        check("/users*/trusts", "/v3/OS-TRUST/trusts", false);
        check("", "/anything", true);
        check("/a$", "/a/a", true);
    }

    #[test]
    fn a_prefix_must_end_at_a_slash() {
        assert_eq!(Service::of("/heat/v1/p"), Some((Service::Heat, "/v1/p")));
        assert_eq!(Service::of("/identity/v3"), Some((Service::Keystone, "/v3")));
        assert_eq!(Service::of("/heater/v1"), None);
    }
}
