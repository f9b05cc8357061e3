//! When a request is sent again, when it is not, and how long all of it lasts.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use url::Url;

use super::{Client, Deadline, Observer, Request};
use crate::openstack::Kind;
use crate::openstack::fake::{Fake, LONG, Reply};
use crate::openstack::settings::{Limits, Tls};

fn client() -> Client {
    Client::new("heat", &Tls::default(), Limits::default(), Arc::new(())).unwrap()
}

fn url(fake: &Fake) -> Url {
    Url::parse(&format!("{}/thing?secret=hunter2", fake.address)).unwrap()
}

/// Answers with these one after the other, then with 200.
async fn answering(replies: Vec<Reply>) -> Fake {
    let mut replies = replies.into_iter();
    Fake::start(move |_| Some(replies.next().unwrap_or_else(|| Reply::Json(200, json!({}))))).await
}

fn busy(code: u16, retry_after: &str) -> Reply {
    Reply::WithHeaders(
        code,
        vec![("retry-after", retry_after.to_owned())],
        json!({"error": {"message": "full"}}),
    )
}

#[tokio::test]
async fn what_only_reads_is_sent_again_after_a_fault() {
    for reply in [Reply::Lost, Reply::Json(500, json!({})), Reply::Page(502, "bad gateway".to_owned())] {
        let fake = answering(vec![reply]).await;
        client().send(Request::get(url(&fake)), Deadline::within(LONG)).await.unwrap();
        assert_eq!(fake.seen().len(), 2);
    }
}

#[tokio::test]
async fn what_changes_something_is_not_sent_again_when_it_may_have_worked() {
    for reply in [Reply::Lost, Reply::Json(500, json!({})), busy(503, "0")] {
        let fake = answering(vec![reply]).await;
        client().send(Request::post(url(&fake)), Deadline::within(LONG)).await.err().unwrap();
        assert_eq!(fake.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_refusal_for_too_many_requests_is_sent_again_whatever_it_is() {
    let fake = answering(vec![busy(429, "0")]).await;
    client().send(Request::post(url(&fake)), Deadline::within(LONG)).await.unwrap();
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn attempts_are_limited() {
    let fake = Fake::start(|_| Some(Reply::Json(500, json!({"error": {"message": "broken"}})))).await;
    let error = client().send(Request::get(url(&fake)), Deadline::within(LONG)).await.err().unwrap();
    assert_eq!(fake.seen().len(), 1 + Limits::default().max_retries);
    assert!(error.is_retryable() && error.effect_unknown());
    assert_eq!(error.to_string(), "heat: GET /thing: unexpected status 500: broken");
}

#[tokio::test]
async fn a_service_that_asks_to_be_left_alone_is_left_alone() {
    let fake = answering(vec![busy(503, "1")]).await;
    let begun = Instant::now();
    client().send(Request::get(url(&fake)), Deadline::within(LONG)).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn a_wait_past_the_deadline_is_left_to_the_caller() {
    let fake = answering(vec![busy(503, "60")]).await;
    let begun = Instant::now();
    let deadline = Deadline::within(Duration::from_secs(10));
    let error = client().send(Request::get(url(&fake)), deadline).await.err().unwrap();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_retry_after_date_is_read_by_the_services_own_clock() {
    let date = ("date", "Thu, 01 Jan 2015 00:00:00 GMT".to_owned());
    let retry = ("retry-after", "Thu, 01 Jan 2015 00:00:30 GMT".to_owned());
    let fake = answering(vec![Reply::WithHeaders(503, vec![date, retry], json!({}))]).await;
    let deadline = Deadline::within(Duration::from_secs(5));
    let error = client().send(Request::get(url(&fake)), deadline).await.err().unwrap();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let fake = Fake::start(|_| Some(Reply::Hang)).await;
    let begun = Instant::now();
    let deadline = Deadline::within(Duration::from_millis(300));
    let error = client().send(Request::get(url(&fake)), deadline).await.err().unwrap();
    assert!(matches!(error.kind, Kind::Timeout { sent: true }) && error.effect_unknown(), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());

    let error =
        client().send(Request::get(url(&fake)), Deadline::within(Duration::ZERO)).await.err().unwrap();
    assert!(matches!(error.kind, Kind::Timeout { sent: false }) && !error.effect_unknown(), "{error}");
    assert_eq!(fake.seen().len(), 1);
}

#[tokio::test]
async fn a_refused_connection_is_provably_unsent_and_names_the_host() {
    let free = Fake::start(|_| None).await.address;
    let deadline = Deadline::within(Duration::from_secs(5));
    let error = client().send(Request::post(Url::parse(&free).unwrap()), deadline).await.err().unwrap();
    assert!(
        matches!(error.kind, Kind::Connect(_)) && error.is_retryable() && !error.effect_unknown(),
        "{error}"
    );
    assert!(error.to_string().contains(free.trim_start_matches("http://")), "{error}");
}

#[tokio::test]
async fn no_error_shows_the_query() {
    for reply in [Reply::Page(400, "no".to_owned()), Reply::Hang, Reply::Lost] {
        let fake = answering(vec![reply]).await;
        let deadline = Deadline::within(Duration::from_millis(300));
        let error = client().send(Request::post(url(&fake)), deadline).await.err().unwrap();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let fake = answering(vec![Reply::Page(200, "x".repeat(9 * 1024 * 1024))]).await;
    let error = client().send(Request::post(url(&fake)), Deadline::within(LONG)).await.err().unwrap();
    assert!(matches!(error.kind, Kind::Garbage(_)) && error.effect_unknown(), "{error}");
}

#[tokio::test]
async fn every_attempt_is_observed() {
    struct Seen(Mutex<Vec<(String, Option<u16>)>>);
    impl Observer for Seen {
        fn request(&self, service: &'static str, method: &str, status: Option<u16>, _: Duration) {
            self.0.lock().unwrap().push((format!("{service} {method}"), status));
        }
    }
    let fake = answering(vec![Reply::Json(500, json!({})), Reply::Lost]).await;
    let seen = Arc::new(Seen(Mutex::default()));
    let observer = Arc::clone(&seen);
    let client = Client::new("heat", &Tls::default(), Limits::default(), observer).unwrap();
    client.send(Request::get(url(&fake)), Deadline::within(LONG)).await.unwrap();
    let line = "heat GET".to_owned();
    assert_eq!(*seen.0.lock().unwrap(), [(line.clone(), Some(500)), (line.clone(), None), (line, Some(200))]);
}

#[tokio::test]
async fn a_file_that_is_no_certificate_is_a_configuration_fault_naming_it() {
    let tls = Tls { ca_file: Some("/nonexistent/ca.pem".into()), ..Tls::default() };
    let error = Client::new("heat", &tls, Limits::default(), Arc::new(())).err().unwrap();
    assert!(error.to_string().contains("/nonexistent/ca.pem"), "{error}");
}

#[test]
fn a_name_cannot_leave_its_place_in_the_path() {
    let mut url = Url::parse("http://h/v1/p1/").unwrap();
    super::push(&mut url, &["stacks", "a/../b?c"]).unwrap();
    assert_eq!(url.as_str(), "http://h/v1/p1/stacks/a%2F..%2Fb%3Fc");
    for bad in ["", ".", ".."] {
        assert!(super::push(&mut url, &["stacks", bad]).is_err(), "{bad:?}");
    }
}
