//! The adapter against small masters on the loopback: who is asked, with what, and what an answer is taken for.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

use super::*;
use crate::framework::seen::Ended;
use crate::framework::trust::Trust;

const ENOUGH: Duration = Duration::from_secs(10);

/// What a master was asked.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    method: String,
    target: String,
    authorization: Option<String>,
    body: Value,
}

impl Asked {
    fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// A master that answers as a function says, and remembers what it was asked.
#[derive(Clone)]
struct Master {
    url: Url,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Master {
    async fn start(
        running: &mut JoinSet<()>,
        answer: impl Fn(&Asked) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let record = Arc::clone(&asked);
        let handle = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let asked = Asked {
                method: method.to_string(),
                target: uri.to_string(),
                authorization: headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()),
                body: serde_json::from_slice(&body).unwrap_or(Value::Null),
            };
            let response = answer(&asked);
            record.lock().unwrap().push(asked);
            async move { response }
        };
        let app = Router::new().fallback(handle);
        running.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, asked }
    }

    /// Everything but questions about the release.
    fn asked(&self) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.target != "/v2/info").cloned().collect()
    }

    fn lines(&self) -> Vec<String> {
        self.asked().iter().map(Asked::line).collect()
    }
}

/// A master of that release, which does whatever it is asked.
async fn obedient(running: &mut JoinSet<()>, release: &'static str, answer: Value) -> Master {
    Master::start(running, move |asked| {
        if asked.target == "/v2/info" {
            return axum::Json(json!({"name": "marathon", "version": release})).into_response();
        }
        axum::Json(answer.clone()).into_response()
    })
    .await
}

/// A listener that does this with every connection after it has read a request, and counts them.
async fn raw(running: &mut JoinSet<()>, answer: Option<&'static str>) -> (Url, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    running.spawn(async move {
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            if stream.read(&mut request).await.unwrap_or(0) > 0 {
                counter.fetch_add(1, Ordering::SeqCst);
            }
            match answer {
                Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                None => kept.push(stream),
            }
        }
    });
    (url, count)
}

fn open(masters: Vec<Url>, login: &Login) -> Marathon {
    rustls::crypto::ring::default_provider().install_default().ok();
    let limits = Limits {
        request_timeout: Duration::from_secs(5),
        events_silence: Duration::from_secs(1),
        event_size: 2000,
    };
    let http = Trust::System.client(Duration::from_secs(2)).unwrap();
    Marathon::new(http, Endpoint::new(masters).unwrap(), login, limits, Arc::new(())).unwrap()
}

fn one(master: &Master) -> Marathon {
    open(vec![master.url.clone()], &Login::None)
}

fn id(text: &str) -> AppId {
    AppId::parse(text).unwrap()
}

fn manifest(value: Value) -> Manifest {
    Manifest::from_value(value).unwrap()
}

fn web() -> Manifest {
    manifest(json!({"id": "/shop/web", "cmd": "sleep 1"}))
}

async fn unused_url() -> Url {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    Url::parse(&format!("http://{address}/")).unwrap()
}

fn page(status: StatusCode, reason: &str) -> Response {
    (status, Html(format!("<html><title>Error</title><h2>{reason}</h2></html>"))).into_response()
}

#[tokio::test]
async fn masters_are_asked_in_turn_until_one_answers() {
    let mut running = JoinSet::new();
    let leaderless = Master::start(&mut running, |_| {
        page(StatusCode::BAD_GATEWAY, "Could not determine the current leader")
    })
    .await;
    let leader = obedient(&mut running, "1.11.0", json!({"deploymentId": "d", "version": "v"})).await;
    let masters = vec![unused_url().await, leaderless.url.clone(), leader.url.clone()];
    let marathon = open(masters, &Login::None);

    let accepted = marathon.restart(&id("/shop/web"), Force::Respect, ENOUGH).await.unwrap();
    assert_eq!(accepted.deployments, [DeploymentId::new("d")]);
    assert_eq!(accepted.version, Some(Version::new("v")));
    assert_eq!(leader.lines(), ["POST /v2/apps/shop/web/restart?force=false"]);

    // The one that answered is asked first from now on.
    marathon.restart(&id("/shop/web"), Force::Override, ENOUGH).await.unwrap();
    assert_eq!((leaderless.lines().len(), leader.lines().len()), (1, 2));
}

#[tokio::test]
async fn when_no_master_answers_nothing_was_done() {
    let marathon = open(vec![unused_url().await, unused_url().await], &Login::None);
    let error = marathon.restart(&id("/a"), Force::Respect, ENOUGH).await.unwrap_err();
    assert!(error.is_retryable() && !error.effect_unknown(), "{error}");
    assert!(error.to_string().contains("no connection to 127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_not_repeated_but_a_question_is() {
    let mut running = JoinSet::new();
    let (dying, changes) = raw(&mut running, Some("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")).await;
    let other = obedient(&mut running, "1.11.0", json!({"apps": []})).await;
    let marathon = open(vec![dying.clone(), other.url.clone()], &Login::None);
    let error = marathon.restart(&id("/a"), Force::Respect, ENOUGH).await.unwrap_err();
    assert!(error.effect_unknown() && error.is_retryable(), "{error}");
    assert_eq!((changes.load(Ordering::SeqCst), other.lines().len()), (1, 0));

    let marathon = open(vec![dying, other.url.clone()], &Login::None);
    assert_eq!(marathon.list(Selection::All, Depth::Counts, ENOUGH).await.unwrap(), []);
    assert_eq!((changes.load(Ordering::SeqCst), other.lines().len()), (2, 1));
}

#[tokio::test]
async fn a_master_that_hangs_leaves_time_for_the_others() {
    let mut running = JoinSet::new();
    let (hanging, _) = raw(&mut running, None).await;
    let other = obedient(&mut running, "1.11.0", json!({"deployments": []})).await;
    let marathon = open(vec![hanging, other.url.clone()], &Login::None);
    let within = Duration::from_secs(2);
    let started = Instant::now();
    marathon.info(within).await.unwrap();
    assert!(started.elapsed() < within);
}

#[tokio::test]
async fn every_request_says_who_asks() {
    let mut running = JoinSet::new();
    let master = obedient(&mut running, "1.11.0", json!({"tasks": []})).await;
    let basic = Login::Basic { username: "u".to_owned(), password: "p".into() };
    for (login, expected) in [(basic, "Basic dTpw"), (Login::Token("jwt".into()), "token=jwt")] {
        open(vec![master.url.clone()], &login).tasks(&id("/a"), ENOUGH).await.unwrap();
        assert_eq!(master.asked().last().unwrap().authorization.as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn a_call_that_is_sent_on_is_not_followed() {
    let mut running = JoinSet::new();
    let login = obedient(&mut running, "1.11.0", json!({})).await;
    let target = login.url.to_string();
    let master = Master::start(&mut running, move |_| {
        (StatusCode::FOUND, [("location", target.clone())]).into_response()
    })
    .await;
    let marathon = open(vec![master.url.clone()], &Login::Token("jwt".into()));
    let error = marathon.info(ENOUGH).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert_eq!(login.asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn errors_hold_no_secret_that_the_other_side_repeats() {
    let mut running = JoinSet::new();
    let master = Master::start(&mut running, |asked| {
        let text = format!("you said {}", asked.authorization.clone().unwrap_or_default());
        (StatusCode::UNAUTHORIZED, axum::Json(json!({ "message": text }))).into_response()
    })
    .await;
    let marathon = open(vec![master.url.clone()], &Login::Token("hunter2".into()));
    let error = marathon.info(ENOUGH).await.unwrap_err();
    assert_eq!(error.to_string(), "the credentials were refused: 401, you said token=***");
}

#[tokio::test]
async fn an_absent_app_is_none_and_a_foreign_404_is_not() {
    let mut running = JoinSet::new();
    let master = Master::start(&mut running, |asked| {
        if asked.target.starts_with("/v2/apps/gone") {
            let body = json!({"message": "App '/gone' does not exist"});
            return (StatusCode::NOT_FOUND, axum::Json(body)).into_response();
        }
        page(StatusCode::NOT_FOUND, "nginx")
    })
    .await;
    let marathon = one(&master);
    assert_eq!(marathon.show(&id("/gone"), ENOUGH).await.unwrap(), None);
    assert!(matches!(marathon.show(&id("/a"), ENOUGH).await, Err(Error::Protocol { .. })));
}

#[tokio::test]
async fn the_deployment_is_read_from_wherever_a_release_puts_it() {
    let mut running = JoinSet::new();
    let newest = Master::start(&mut running, |asked| {
        if asked.target == "/v2/info" {
            return axum::Json(json!({"version": "1.11.0"})).into_response();
        }
        (StatusCode::CREATED, [("Marathon-Deployment-Id", "d")], axum::Json(json!({"id": "/shop/web"})))
            .into_response()
    })
    .await;
    let older =
        obedient(&mut running, "1.3.0", json!({"id": "/shop/web", "deployments": [{"id": "d"}]})).await;
    for master in [newest, older] {
        let accepted = one(&master).create(&web(), ENOUGH).await.unwrap();
        assert_eq!(accepted.deployments, [DeploymentId::new("d")]);
        assert_eq!(master.lines(), ["POST /v2/apps?force=false"]);
        assert_eq!(master.asked()[0].body, json!({"id": "/shop/web", "cmd": "sleep 1"}));
    }
}

#[tokio::test]
async fn a_release_that_would_overwrite_is_looked_at_first() {
    let mut running = JoinSet::new();
    let master = obedient(&mut running, "0.8.0", json!({"app": {"id": "/shop/web", "cmd": "sleep 2"}})).await;
    let error = one(&master).create(&web(), ENOUGH).await.unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error}");
    assert!(master.lines().iter().all(|line| line.starts_with("GET ")), "{:?}", master.lines());
}

#[tokio::test]
async fn several_apps_are_created_by_one_request_that_overwrites_none() {
    let mut running = JoinSet::new();
    let both = manifest(json!([{"id": "/a", "cmd": "sleep 1"}, {"id": "/b", "cmd": "sleep 1"}]));
    let busy = obedient(&mut running, "1.11.0", json!({"apps": [{"id": "/b"}, {"id": "/c"}]})).await;
    let error = one(&busy).create(&both, ENOUGH).await.unwrap_err();
    assert_eq!(error.to_string(), "it exists already: /b exists already");

    let free = obedient(&mut running, "1.11.0", json!({"apps": [{"id": "/c"}], "deploymentId": "d"})).await;
    one(&free).create(&both, ENOUGH).await.unwrap();
    let asked = free.asked();
    assert_eq!(asked.last().unwrap().line(), "PUT /v2/apps?force=false");
    assert_eq!(
        asked.last().unwrap().body,
        json!([{"id": "/a", "cmd": "sleep 1"}, {"id": "/b", "cmd": "sleep 1"}])
    );
    assert_eq!(asked.len(), 2);
}

#[tokio::test]
async fn a_group_is_created_updated_and_deleted_as_one() {
    let mut running = JoinSet::new();
    let master = obedient(&mut running, "1.11.0", json!({"deploymentId": "d"})).await;
    let group = manifest(json!({"id": "/g", "apps": [{"id": "a", "cmd": "sleep 1"}]}));
    let marathon = one(&master);
    marathon.create(&group, ENOUGH).await.unwrap();
    marathon.update(&group, Force::Override, ENOUGH).await.unwrap();
    marathon.rollback(&group.subject(), &Version::new("v"), Force::Respect, ENOUGH).await.unwrap();
    marathon.delete(&group.subject(), Force::Respect, ENOUGH).await.unwrap();
    let expected = [
        "POST /v2/groups",
        "PUT /v2/groups/g?force=true",
        "PUT /v2/groups/g?force=false",
        "DELETE /v2/groups/g?force=false",
    ];
    assert_eq!(master.lines(), expected);
    assert_eq!(master.asked()[0].body, json!({"id": "/g", "apps": [{"id": "/g/a", "cmd": "sleep 1"}]}));
    assert_eq!(master.asked()[2].body, json!({"version": "v"}));
}

#[tokio::test]
async fn an_update_replaces_in_every_release_as_far_as_that_can() {
    let mut running = JoinSet::new();
    let newest = obedient(&mut running, "1.4.0", json!({"deploymentId": "d"})).await;
    one(&newest).update(&web(), Force::Respect, ENOUGH).await.unwrap();
    assert_eq!(newest.lines(), ["PUT /v2/apps/shop/web?partialUpdate=false&force=false"]);

    // Where a PUT only adds, what the new definition leaves out is emptied.
    let seen = json!({"app": {"id": "/shop/web", "env": {"A": "b"}, "labels": {}, "constraints": [["h", "UNIQUE"]],
                              "ports": [10000], "cmd": "sleep 2"}, "deploymentId": "d"});
    let older = obedient(&mut running, "1.3.0", seen).await;
    one(&older).update(&web(), Force::Override, ENOUGH).await.unwrap();
    let last = older.asked().pop().unwrap();
    assert_eq!(last.line(), "PUT /v2/apps/shop/web?force=true");
    assert_eq!(last.body, json!({"id": "/shop/web", "cmd": "sleep 1", "env": {}, "constraints": []}));
}

#[tokio::test]
async fn other_changes_are_asked_for_in_the_words_of_the_release() {
    let mut running = JoinSet::new();
    let app = id("/shop/web");
    for (release, method) in [("1.3.0", "PUT"), ("1.4.0", "PATCH")] {
        let master = obedient(&mut running, release, json!({"deploymentId": "d"})).await;
        let marathon = one(&master);
        marathon.scale(&app, 0, Force::Respect, ENOUGH).await.unwrap();
        marathon
            .rollback(&Subject::App(app.clone()), &Version::new("v"), Force::Override, ENOUGH)
            .await
            .unwrap();
        marathon.kill_task(&app, "a b/../c", Kill::ScaleDown, Force::Respect, ENOUGH).await.unwrap();
        marathon.cancel(&DeploymentId::new("d"), Force::Override, ENOUGH).await.unwrap();
        let expected = [
            format!("{method} /v2/apps/shop/web?force=false"),
            "PUT /v2/apps/shop/web?force=true".to_owned(),
            "DELETE /v2/apps/shop/web/tasks/a%20b%2F..%2Fc?scale=true&wipe=false&force=false".to_owned(),
            "DELETE /v2/deployments/d?force=true".to_owned(),
        ];
        assert_eq!(master.lines(), expected);
        assert_eq!(master.asked()[0].body, json!({"instances": 0}));
        let outside = marathon.kill_task(&app, "..", Kill::Replace, Force::Respect, ENOUGH).await;
        assert!(matches!(outside, Err(Error::NotFound { .. })));
    }
}

#[tokio::test]
async fn apps_that_are_gone_count_as_deleted_unless_all_are() {
    let mut running = JoinSet::new();
    let master = Master::start(&mut running, |asked| {
        if asked.target.starts_with("/v2/apps/here") {
            return axum::Json(json!({"deploymentId": "d"})).into_response();
        }
        (StatusCode::NOT_FOUND, axum::Json(json!({"message": "App '/gone' does not exist"}))).into_response()
    })
    .await;
    let marathon = one(&master);
    let both = Subject::Apps(vec![id("/gone"), id("/here")]);
    let accepted = marathon.delete(&both, Force::Respect, ENOUGH).await.unwrap();
    assert_eq!(accepted.deployments, [DeploymentId::new("d")]);
    assert_eq!(master.lines(), ["DELETE /v2/apps/gone?force=false", "DELETE /v2/apps/here?force=false"]);
    let gone = Subject::Apps(vec![id("/gone"), id("/gone/too")]);
    assert!(matches!(marathon.delete(&gone, Force::Respect, ENOUGH).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_listing_shows_only_what_was_asked_for() {
    let mut running = JoinSet::new();
    let listed =
        json!({"apps": [{"id": "/shop"}, {"id": "/shop/web"}, {"id": "/workshop"}, {"id": "/a/shop"}]});
    let master = obedient(&mut running, "1.11.0", listed).await;
    let seen = one(&master).list(Selection::At(&id("/shop")), Depth::Counts, ENOUGH).await.unwrap();
    assert_eq!(seen.iter().map(|seen| seen.id.as_str()).collect::<Vec<_>>(), ["/shop", "/shop/web"]);
    assert_eq!(master.lines(), ["GET /v2/apps?embed=apps.counts&embed=apps.deployments&id=%2Fshop"]);
}

/// A response of events that stays open.
fn events(chunks: &[&'static str]) -> Response {
    let chunks: Vec<_> =
        chunks.iter().map(|chunk| Ok::<_, std::io::Error>(Bytes::from_static(chunk.as_bytes()))).collect();
    let body = Body::from_stream(stream::iter(chunks).chain(stream::pending()));
    ([("content-type", "text/event-stream")], body).into_response()
}

/// A master of that release that gives these events, then nothing.
async fn telling(
    running: &mut JoinSet<()>,
    release: &'static str,
    chunks: &'static [&'static str],
) -> Master {
    Master::start(running, move |asked| {
        if asked.target == "/v2/info" {
            return axum::Json(json!({ "version": release })).into_response();
        }
        events(chunks)
    })
    .await
}

const ATTACHED: &str = "event: event_stream_attached\r\ndata: {\"remoteAddress\":\"x\"}\r\n\r\n";

#[tokio::test]
async fn events_become_hints_until_nothing_is_heard() {
    let mut running = JoinSet::new();
    let master = telling(
        &mut running,
        "1.11.0",
        &[
            ATTACHED,
            "\r\n",
            "event: deployment_success\r\ndata: {\"id\":",
            "\"d\"}\r\n\r\nevent: status_update_event\r\ndata: {\"appId\":\"/a\"}\r\n\r\n",
        ],
    )
    .await;
    let hints: Vec<_> = one(&master).events(ENOUGH).await.unwrap().collect().await;
    let ended = Some(Ended::Success);
    let expected = [
        Hint::Attached,
        Hint::Deployment { id: DeploymentId::new("d"), ended },
        Hint::AppChanged(id("/a")),
        Hint::Silent,
    ];
    assert_eq!(hints, expected);
    let line = &master.lines()[0];
    assert!(line.starts_with("GET /v2/events?event_type=event_stream_attached&"), "{line}");
}

#[tokio::test]
async fn an_event_that_is_too_long_says_to_look() {
    let mut running = JoinSet::new();
    let master = Master::start(&mut running, |asked| {
        if asked.target == "/v2/info" {
            return axum::Json(json!({"version": "1.3.0"})).into_response();
        }
        let long = format!("event: deployment_info\r\ndata: {}\r\n\r\n", "x".repeat(100_000));
        ([("content-type", "text/event-stream")], long).into_response()
    })
    .await;
    let hints: Vec<_> = one(&master).events(ENOUGH).await.unwrap().collect().await;
    assert_eq!(hints, [Hint::Unclear, Hint::Closed]);
    assert_eq!(master.lines(), ["GET /v2/events"]);
}

/// A follower that sends those who want events to that place.
async fn follower(running: &mut JoinSet<()>, target: String) -> Master {
    Master::start(running, move |asked| {
        if asked.target == "/v2/info" {
            return axum::Json(json!({"version": "1.11.0"})).into_response();
        }
        (StatusCode::FOUND, [("location", format!("{target}v2/events"))]).into_response()
    })
    .await
}

#[tokio::test]
async fn events_are_followed_to_another_master_with_credentials() {
    let mut running = JoinSet::new();
    let leader = telling(&mut running, "1.11.0", &[ATTACHED]).await;
    let follower = follower(&mut running, leader.url.to_string()).await;
    let marathon = open(vec![follower.url.clone(), leader.url.clone()], &Login::Token("jwt".into()));
    let mut hints = marathon.events(ENOUGH).await.unwrap();
    assert_eq!(hints.next().await, Some(Hint::Attached));
    assert_eq!(leader.asked()[0].authorization.as_deref(), Some("token=jwt"));
    assert!(leader.lines()[0].contains("event_type="), "the filter goes along: {:?}", leader.lines());
}

#[tokio::test]
async fn events_are_not_followed_to_a_stranger() {
    let mut running = JoinSet::new();
    let stranger = telling(&mut running, "1.11.0", &[ATTACHED]).await;
    let follower = follower(&mut running, stranger.url.to_string()).await;
    let marathon = open(vec![follower.url.clone()], &Login::Token("jwt".into()));
    let Err(error) = marathon.events(ENOUGH).await else { panic!("it was followed") };
    assert!(error.to_string().contains("none of the bay's masters"), "{error}");
    assert_eq!(stranger.asked.lock().unwrap().len(), 0);

    // The leader itself is among the masters: it is found without the redirect.
    let leader = telling(&mut running, "1.11.0", &[ATTACHED]).await;
    let marathon = open(vec![follower.url, leader.url], &Login::None);
    assert_eq!(marathon.events(ENOUGH).await.unwrap().next().await, Some(Hint::Attached));
}

#[tokio::test]
async fn events_that_a_follower_passes_on_are_taken_from_the_leader() {
    let mut running = JoinSet::new();
    let leader = telling(&mut running, "1.6.0", &[ATTACHED]).await;
    let named = leader.url.to_string();
    let follower = Master::start(&mut running, move |asked| {
        if asked.target == "/v2/info" {
            return axum::Json(json!({"version": "1.6.0"})).into_response();
        }
        let mut response = events(&[]);
        response.headers_mut().insert("x-marathon-via", "1.1 follower".parse().unwrap());
        response.headers_mut().insert("x-marathon-leader", named.trim_end_matches('/').parse().unwrap());
        response
    })
    .await;
    let marathon = open(vec![follower.url, leader.url.clone()], &Login::None);
    assert_eq!(marathon.events(ENOUGH).await.unwrap().next().await, Some(Hint::Attached));
    assert!(leader.lines()[0].ends_with("&plan-format=light"), "{:?}", leader.lines());
}

#[tokio::test]
async fn a_release_without_events_says_so() {
    let mut running = JoinSet::new();
    let master = obedient(&mut running, "0.8.6", json!({})).await;
    let Err(error) = one(&master).events(ENOUGH).await else { panic!("it has events") };
    assert!(matches!(error, Error::NotSupported { .. }), "{error}");
}
