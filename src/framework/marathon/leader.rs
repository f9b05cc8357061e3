//! Which of a bay's masters to ask first.

use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::header::HeaderMap;
use url::Url;

use crate::framework::endpoint::Endpoint;

/// On every answer of the leader's own: where it is.
const LEADER: &str = "x-marathon-leader";

/// On answers that came through another master.
const VIA: &str = "x-marathon-via";

/// The masters of one bay. Which one is the leader is only a guess that saves a detour: each passes requests on.
#[derive(Debug)]
pub(super) struct Masters {
    endpoint: Endpoint,
    first: AtomicUsize,
}

impl Masters {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, first: AtomicUsize::new(0) }
    }

    pub(super) fn url(&self, index: usize) -> &Url {
        &self.endpoint.masters()[index]
    }

    /// Every master, the best guess first.
    pub(super) fn order(&self) -> impl ExactSizeIterator<Item = usize> + use<> {
        let (count, first) = (self.endpoint.masters().len(), self.first.load(Ordering::Relaxed));
        (0..count).map(move |offset| (first + offset) % count)
    }

    /// The master at a URL, if it is one of this bay's.
    pub(super) fn position(&self, url: &Url) -> Option<usize> {
        self.endpoint.position(url)
    }

    /// This master answered; it may have said who leads.
    pub(super) fn answered(&self, index: usize, headers: &HeaderMap) {
        self.first.store(self.leader(headers).unwrap_or(index), Ordering::Relaxed);
    }

    /// This master did not answer: begin with another one next time.
    pub(super) fn failed(&self, index: usize) {
        let next = (index + 1) % self.endpoint.masters().len();
        self.first.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed).ok();
    }

    /// The leader that an answer names, if it is one of this bay's masters.
    fn leader(&self, headers: &HeaderMap) -> Option<usize> {
        let url = Url::parse(headers.get(LEADER)?.to_str().ok()?).ok()?;
        self.endpoint.position(&url)
    }

    /// The leader behind the master that passed a request on.
    pub(super) fn behind(&self, headers: &HeaderMap) -> Option<usize> {
        headers.contains_key(VIA).then(|| self.leader(headers)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn masters() -> Masters {
        let urls = ["http://a:8080", "http://b:8080", "http://c:8080"];
        Masters::new(Endpoint::new(urls.iter().map(|url| Url::parse(url).unwrap()).collect()).unwrap())
    }

    fn headers(leader: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(LEADER), HeaderValue::from_static(leader))])
    }

    #[test]
    fn the_leader_is_asked_first_when_it_is_one_of_the_masters() {
        let masters = masters();
        masters.answered(0, &headers("http://c:8080"));
        assert_eq!(masters.order().collect::<Vec<_>>(), [2, 0, 1]);
        masters.answered(1, &headers("http://evil:8080"));
        assert_eq!(masters.order().collect::<Vec<_>>(), [1, 2, 0]);
        masters.answered(2, &HeaderMap::new());
        assert_eq!(masters.order().collect::<Vec<_>>(), [2, 0, 1]);
    }

    #[test]
    fn one_that_failed_is_not_asked_first_again() {
        let masters = masters();
        masters.failed(0);
        assert_eq!(masters.order().next(), Some(1));
        masters.failed(0);
        assert_eq!(masters.order().next(), Some(1));
        masters.failed(1);
        masters.failed(2);
        assert_eq!(masters.order().next(), Some(0));
    }

    #[test]
    fn a_leader_is_behind_only_what_was_passed_on() {
        let masters = masters();
        let mut named = headers("http://b:8080");
        assert_eq!(masters.behind(&named), None);
        named.insert(VIA, HeaderValue::from_static("1.1 a:8080"));
        assert_eq!(masters.behind(&named), Some(1));
    }
}
