//! What is fetched, and which ways into our own networks are closed: with real listeners on the loopback.

use std::collections::VecDeque;
use std::sync::Mutex;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

const ENOUGH: Duration = Duration::from_secs(10);

fn settings(allowed: &[&str]) -> Settings {
    Settings {
        schemes: vec!["https".to_owned(), "http".to_owned()],
        allowed: Networks::parse(allowed.iter().copied()).unwrap(),
        max_size: 1000,
        timeout: Duration::from_secs(10),
    }
}

fn fetcher(allowed: &[&str]) -> Fetcher {
    rustls::crypto::ring::default_provider().install_default().ok();
    Fetcher::new(settings(allowed)).unwrap()
}

/// A server that gives manifests, and leads elsewhere.
async fn server(running: &mut JoinSet<()>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = Router::new()
        .route("/app.json", get(|| async { r#"{"id": "/a"}"# }))
        .route("/long", get(|| async { "x".repeat(1001) }))
        .route("/bytes", get(|| async { vec![0xff, 0xfe] }))
        .route("/missing", get(|| async { StatusCode::NOT_FOUND }))
        .route("/nowhere", get(|| async { StatusCode::FOUND }))
        .route("/hop1", get(|| async { Redirect::temporary("/hop2") }))
        .route("/hop2", get(|| async { Redirect::temporary("/hop3") }))
        .route("/hop3", get(|| async { Redirect::temporary("/app.json") }))
        .route("/circle", get(|| async { Redirect::temporary("/circle") }))
        .route("/file", get(|| async { Redirect::temporary("file:///etc/passwd") }))
        .route("/hang", get(std::future::pending::<StatusCode>))
        .route(
            "/inside",
            get(move || async move { Redirect::temporary(&format!("http://127.0.0.2:{port}/app.json")) }),
        )
        .route(
            "/again",
            get(
                move || async move { Redirect::temporary(&format!("http://rebinding.test:{port}/app.json")) },
            ),
        );
    running.spawn(async move { axum::serve(listener, app).await.unwrap() });
    port
}

/// Answers each question with the next of its answers, and counts the questions.
struct Scripted(Mutex<VecDeque<&'static str>>);

impl Scripted {
    fn new(answers: &[&'static str]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(answers.iter().copied().collect())))
    }

    fn left(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[async_trait]
impl Lookup for Scripted {
    async fn lookup(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
        let answer = self.0.lock().unwrap().pop_front().expect("no more questions than answers");
        Ok(answer.split_whitespace().map(|address| address.parse().unwrap()).collect())
    }
}

#[tokio::test]
async fn a_manifest_is_fetched_from_a_network_that_is_open() {
    let mut running = JoinSet::new();
    let port = server(&mut running).await;
    let open = fetcher(&["127.0.0.1"]);
    let at = |path: &str| format!("http://127.0.0.1:{port}/{path}");
    assert_eq!(open.fetch(&at("app.json"), ENOUGH).await.unwrap(), r#"{"id": "/a"}"#);
    assert_eq!(open.fetch(&at("hop1"), ENOUGH).await.unwrap(), r#"{"id": "/a"}"#);
    let name = "127.0.0.1".to_owned();
    for (path, expected) in [
        ("circle", FetchFault::Redirects(name.clone())),
        ("long", FetchFault::TooLong(name.clone(), 1000)),
        ("bytes", FetchFault::NotText(name.clone())),
        ("missing", FetchFault::Status(name.clone(), 404)),
        ("nowhere", FetchFault::Status(name.clone(), 302)),
        ("file", FetchFault::Scheme { found: "file".to_owned(), allowed: "https or http".to_owned() }),
    ] {
        assert_eq!(open.fetch(&at(path), ENOUGH).await, Err(expected), "{path}");
    }
}

#[tokio::test]
async fn no_spelling_of_the_loopback_is_open_by_default() {
    let mut running = JoinSet::new();
    let port = server(&mut running).await;
    let closed = fetcher(&[]);
    for host in [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[::]",
    ] {
        let found = closed.fetch(&format!("http://{host}:{port}/app.json"), ENOUGH).await;
        assert!(matches!(found, Err(FetchFault::Forbidden(_))), "{host}: {found:?}");
    }
}

#[tokio::test]
async fn a_redirect_into_a_closed_network_is_not_followed() {
    let mut running = JoinSet::new();
    let port = server(&mut running).await;
    let open = fetcher(&["127.0.0.1"]);
    let found = open.fetch(&format!("http://127.0.0.1:{port}/inside"), ENOUGH).await;
    assert_eq!(found, Err(FetchFault::Forbidden("127.0.0.2".to_owned())));
}

#[tokio::test]
async fn a_name_that_changes_its_address_gains_nothing() {
    let mut running = JoinSet::new();
    let port = server(&mut running).await;
    rustls::crypto::ring::default_provider().install_default().ok();
    let url = format!("http://rebinding.test:{port}/again");

    // Checked and connected to are one address: the second answer is never asked for.
    let lookup = Scripted::new(&["127.0.0.1", "127.0.0.2"]);
    let open = Fetcher::with_lookup(settings(&["127.0.0.1"]), lookup.clone()).unwrap();
    open.fetch(&format!("http://rebinding.test:{port}/app.json"), ENOUGH).await.unwrap();
    assert_eq!(lookup.left(), 1);

    // The next hop is asked about again, and refused.
    let lookup = Scripted::new(&["127.0.0.1", "127.0.0.2"]);
    let open = Fetcher::with_lookup(settings(&["127.0.0.1"]), lookup.clone()).unwrap();
    let forbidden = FetchFault::Forbidden("rebinding.test".to_owned());
    assert_eq!(open.fetch(&url, ENOUGH).await, Err(forbidden));
    assert_eq!(lookup.left(), 0);

    // Of several addresses only those that are open are connected to.
    let lookup = Scripted::new(&["127.0.0.2 10.0.0.1 127.0.0.1"]);
    let open = Fetcher::with_lookup(settings(&["127.0.0.1"]), lookup).unwrap();
    open.fetch(&format!("http://rebinding.test:{port}/app.json"), ENOUGH).await.unwrap();
}

#[tokio::test]
async fn what_does_not_come_in_time_is_given_up() {
    let mut running = JoinSet::new();
    let port = server(&mut running).await;
    let limit = Duration::from_millis(200);
    let found = fetcher(&["127.0.0.1"]).fetch(&format!("http://127.0.0.1:{port}/hang"), limit).await;
    assert_eq!(found, Err(FetchFault::Timeout(limit)));
    assert!(found.unwrap_err().is_retryable());
}

#[tokio::test]
async fn urls_that_say_too_much_or_too_little_are_refused() {
    let open = fetcher(&["127.0.0.1"]);
    for (url, expected) in [
        ("", FetchFault::Url),
        ("app.json", FetchFault::Url),
        ("http://u:p@127.0.0.1/", FetchFault::Credentials),
        (
            "ftp://127.0.0.1/",
            FetchFault::Scheme { found: "ftp".to_owned(), allowed: "https or http".to_owned() },
        ),
    ] {
        assert_eq!(open.fetch(url, ENOUGH).await, Err(expected), "{url}");
    }
    // Nothing listens there: the reason is not told apart from others.
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let found = open.fetch(&format!("http://127.0.0.1:{unused}/"), ENOUGH).await;
    assert_eq!(found, Err(FetchFault::Unreachable("127.0.0.1".to_owned())));
}
