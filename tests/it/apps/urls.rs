//! Manifests from elsewhere: fetched, checked like any other, and never from where the caller could not look itself.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::app::{Town, manifest, message};
use crate::support::{Caller, World, data, failure_class};

/// Serves a few answers by path, and counts its visitors.
struct Shelf {
    address: SocketAddr,
    visits: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Shelf {
    async fn open(answers: HashMap<&'static str, String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (visits, mut tasks) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        let seen = Arc::clone(&visits);
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                seen.fetch_add(1, Ordering::Relaxed);
                let mut asked = vec![0; 4096];
                let Ok(length) = stream.read(&mut asked).await else { continue };
                let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
                let path = asked.split(' ').nth(1).unwrap_or_default();
                let none = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned();
                let answer = answers.get(path).cloned().unwrap_or(none);
                stream.write_all(answer.as_bytes()).await.ok();
            }
        });
        Self { address, visits, _tasks: tasks }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::Relaxed)
    }
}

fn page(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

fn from_url(town: &Town<'_>, name: &str, url: &str) -> Value {
    json!({ "app": { "name": name, "bay_uuid": town.bay, "manifest_url": url }, "wait": true })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_fetched_from_our_own_networks() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let shelf = Shelf::open(HashMap::from([("/web", page(&manifest("/web").to_string()))])).await;
    let port = shelf.address.port();
    let urls = [
        shelf.url("/web"),
        format!("http://localhost:{port}/web"),
        format!("http://[::ffff:127.0.0.1]:{port}/web"),
        format!("http://2130706433:{port}/web"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://10.0.0.1/web".to_owned(),
        "http://[::1]/web".to_owned(),
        "ftp://example.org/web".to_owned(),
        "file:///etc/passwd".to_owned(),
        "http://user:pass@example.org/web".to_owned(),
        "web".to_owned(),
    ];
    for url in urls {
        let error = caller.call("app_create", from_url(&town, "web", &url)).await.unwrap_err();
        assert_eq!(failure_class(&error), "InvalidManifest", "{url}: {error}");
        assert_eq!(town.refused("app_show", "web", json!({})).await.0, "AppNotFound", "{url}");
    }
    assert_eq!(shelf.visits(), 0);
    let long = format!("http://example.org/{}", "x".repeat(2048));
    let error = caller.call("app_create", from_url(&town, "web", &long)).await.unwrap_err();
    assert_eq!(failure_class(&error), "InvalidParameterValue");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_allowed_is_fetched_from_and_leads_nowhere_else() {
    let world = World::new().await;
    let more = "manifest_url_allowed_networks = [\"127.0.0.1/32\"]\nmanifest_url_max_size = 2000";
    let worker = world.framework_worker(more).await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("there", &manifest("/there")).await;
    let shelf = Shelf::open(HashMap::from([
        ("/web", page(&manifest("/web").to_string())),
        ("/moved", redirect("/web")),
        ("/away", redirect("http://127.0.0.2:1/web")),
        ("/round", redirect("/round")),
        ("/there", page(&manifest("/there").to_string())),
        ("/faulty", page(r#"{"id": "/web", "instances": -1}"#)),
        ("/text", page("hello")),
        ("/long", page(&"x".repeat(2001))),
    ]))
    .await;
    for (path, class, text) in [
        ("/away", "InvalidManifest", "127.0.0.2"),
        ("/round", "InvalidManifest", "3 times"),
        ("/there", "AppAlreadyExists", "there"),
        ("/faulty", "InvalidManifest", "/instances"),
        ("/text", "InvalidManifest", "JSON"),
        ("/long", "InvalidManifest", "2000 bytes"),
        ("/none", "InvalidManifest", "404"),
    ] {
        let error = caller.call("app_create", from_url(&town, "web", &shelf.url(path))).await.unwrap_err();
        assert_eq!(failure_class(&error), class, "{path}: {error}");
        assert!(message(&error).contains(text), "{path}: {error}");
        assert_eq!(town.refused("app_show", "web", json!({})).await.0, "AppNotFound", "{path}");
    }
    let app = caller.call("app_create", from_url(&town, "web", &shelf.url("/moved"))).await.unwrap();
    let app = data(&app);
    assert_eq!((&app["status"], &app["framework_id"]), (&json!("CREATE_COMPLETE"), &json!("/web")));
    assert_eq!(
        (&app["manifest"], &app["manifest_url"]),
        (&json!(manifest("/web").to_string()), &json!(shelf.url("/moved")))
    );
    // An update brings its manifest along, and the URL says nothing any more.
    let mut changed = manifest("/web");
    changed["cmd"] = json!("sleep 2000");
    let updated = town.done("app_update", "web", json!({ "manifest": changed })).await.unwrap();
    assert_eq!(data(&updated)["manifest_url"], Value::Null);
    worker.stop().await;
}
