//! Faults on demand: what can go wrong between a client and a service, told as rules that are tried in order.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::log::{Service, path_fits};

/// What happens to a request that a rule applies to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Answer with this instead of doing anything.
    Status {
        code: u16,
        #[serde(default)]
        body: String,
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// Wait this many milliseconds, then serve normally. A client that gives up first prevents the effect.
    Latency(u64),
    /// Take effect at once, but answer only after this many milliseconds.
    SlowAnswer(u64),
    /// Close the connection; nothing takes effect.
    ResetBefore,
    /// Take effect, then close the connection without an answer.
    ResetAfter,
    /// Take effect and answer with the usual status, but with this as the body.
    Garbage(String),
    /// Keep the connection open and never answer; nothing takes effect.
    Hang,
}

impl Action {
    /// An error answer without a body.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::Status { code, body: String::new(), headers: BTreeMap::new() }
    }

    /// An error page, as a web server or a proxy in front of the service writes it.
    #[must_use]
    pub fn html(code: u16) -> Self {
        let body = format!("<html><body><h2>HTTP ERROR {code}</h2></body></html>");
        let headers = BTreeMap::from([("content-type".to_owned(), "text/html;charset=utf-8".to_owned())]);
        Self::Status { code, body, headers }
    }

    /// An error answer that asks the client to come back later.
    #[must_use]
    pub fn retry_after(code: u16, wait: Duration) -> Self {
        let headers = BTreeMap::from([("retry-after".to_owned(), wait.as_secs().to_string())]);
        Self::Status { code, body: String::new(), headers }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Latency(_) => "latency",
            Self::SlowAnswer(_) => "slow_answer",
            Self::ResetBefore => "reset_before",
            Self::ResetAfter => "reset_after",
            Self::Garbage(_) => "garbage",
            Self::Hang => "hang",
        }
    }
}

/// Which requests, how many of them, and what happens to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Any service when absent.
    #[serde(default)]
    pub service: Option<Service>,
    /// Part of the address that is asked (`ip:port`), such as that of one bay's Marathon; any when absent.
    #[serde(default)]
    pub host: Option<String>,
    /// Any method when absent.
    #[serde(default)]
    pub method: Option<String>,
    /// A pattern as in [`path_fits`]; empty fits every path.
    #[serde(default)]
    pub path: String,
    /// How many fitting requests pass unharmed first.
    #[serde(default)]
    pub skip: u32,
    /// How many requests it then hits; all of them when absent.
    #[serde(default)]
    pub times: Option<u32>,
    pub action: Action,
}

impl Rule {
    /// Hits every fitting request, until narrowed by [`Rule::nth`] or [`Rule::times`].
    #[must_use]
    pub fn new(service: Service, method: &str, path: &str, action: Action) -> Self {
        let (method, path) = (Some(method.to_owned()), path.to_owned());
        Self { service: Some(service), host: None, method, path, skip: 0, times: None, action }
    }

    /// Only the `n`th fitting request, counted from one.
    #[must_use]
    pub fn nth(self, n: u32) -> Self {
        Self { skip: n.saturating_sub(1), times: Some(1), ..self }
    }

    /// Only the first `n` fitting requests.
    #[must_use]
    pub fn times(self, n: u32) -> Self {
        Self { times: Some(n), ..self }
    }

    /// Only the first fitting request.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    /// Only requests to an address with that text in it.
    #[must_use]
    pub fn at(self, host: &str) -> Self {
        Self { host: Some(host.to_owned()), ..self }
    }

    fn fits(&self, service: Service, host: &str, method: &str, path: &str) -> bool {
        self.service.is_none_or(|wanted| wanted == service)
            && self.host.as_deref().is_none_or(|wanted| host.contains(wanted))
            && self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && path_fits(&self.path, path)
    }
}

/// A rule with its counts.
#[derive(Debug, Clone, Serialize)]
pub struct ArmedRule {
    pub id: u64,
    #[serde(flatten)]
    pub rule: Rule,
    /// Fitting requests so far, the skipped ones included.
    pub seen: u32,
    /// Requests it was applied to.
    pub hits: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Rules {
    next: u64,
    armed: Vec<ArmedRule>,
}

impl Rules {
    pub(crate) fn add(&mut self, rule: Rule) -> u64 {
        let id = self.next;
        self.next += 1;
        self.armed.push(ArmedRule { id, rule, seen: 0, hits: 0 });
        id
    }

    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let before = self.armed.len();
        self.armed.retain(|armed| armed.id != id);
        self.armed.len() < before
    }

    pub(crate) fn clear(&mut self) {
        self.armed.clear();
    }

    pub(crate) fn armed(&self) -> &[ArmedRule] {
        &self.armed
    }

    /// The first rule that applies. Rules still skipping count the request and let the next rule have it.
    pub(crate) fn apply(&mut self, service: Service, host: &str, method: &str, path: &str) -> Option<Action> {
        for armed in &mut self.armed {
            let spent = armed.rule.times.is_some_and(|times| armed.hits >= times);
            if spent || !armed.rule.fits(service, host, method, path) {
                continue;
            }
            armed.seen += 1;
            if armed.seen > armed.rule.skip {
                armed.hits += 1;
                return Some(armed.rule.action.clone());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(rules: &mut Rules, count: usize) -> Vec<bool> {
        (0..count).map(|_| rules.apply(Service::Heat, "h:1", "POST", "/v1/p/stacks").is_some()).collect()
    }

    #[test]
    fn nth_hits_exactly_that_request() {
        let mut rules = Rules::default();
        rules.add(Rule::new(Service::Heat, "post", "/stacks$", Action::Hang).nth(3));
        assert_eq!(hits(&mut rules, 5), [false, false, true, false, false]);
    }

    #[test]
    fn a_spent_rule_yields_to_the_next() {
        let mut rules = Rules::default();
        rules.add(Rule::new(Service::Heat, "POST", "", Action::ResetBefore).once());
        rules.add(Rule::new(Service::Heat, "POST", "", Action::ResetAfter).once());
        let mut next = || rules.apply(Service::Heat, "h:1", "POST", "/x");
        assert_eq!(next(), Some(Action::ResetBefore));
        assert_eq!(next(), Some(Action::ResetAfter));
        assert_eq!(next(), None);
    }

    #[test]
    fn another_service_or_method_is_left_alone() {
        let mut rules = Rules::default();
        rules.add(Rule::new(Service::Heat, "POST", "", Action::Hang));
        assert_eq!(rules.apply(Service::Keystone, "h:1", "POST", "/x"), None);
        assert_eq!(rules.apply(Service::Heat, "h:1", "GET", "/x"), None);
    }

    #[test]
    fn a_rule_reads_from_json() {
        let text = r#"{"service":"heat","path":"/stacks","times":2,
            "action":{"status":{"code":503,"headers":{"Retry-After":"1"}}}}"#;
        let rule: Rule = serde_json::from_str(text).unwrap();
        assert_eq!(rule.times, Some(2));
        assert!(matches!(rule.action, Action::Status { code: 503, .. }));
        assert!(serde_json::from_str::<Rule>(r#"{"acton":"hang","action":"hang"}"#).is_err());
    }
}
