//! What is refused, and in whose words.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use mesos_conductor_sandbox::{Access, Action, MarathonConfig, Profile, Rule, Service};
use reqwest::header::AUTHORIZATION;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use super::{Town, still, web};

#[tokio::test]
async fn a_duplicate_is_told_apart_from_a_lock() {
    let town = Town::still().await;
    town.create(web(1)).await;
    let refused = town.call("POST", "/v2/apps", web(1)).await;
    assert_eq!(
        (refused.status, refused.body),
        (409, json!({"message": "An app with id [/web] already exists."}))
    );
}

#[tokio::test]
async fn an_invalid_definition_is_told_in_the_shape_of_the_release() {
    let bad = json!({"id": "/web", "cmd": "sleep 1", "upgradeStrategy": {"minimumHealthCapacity": 2}});
    let check = async |profile, expected: Value| {
        let town = Town::start(still(profile)).await;
        let refused = town.call("POST", "/v2/apps", bad.clone()).await;
        assert_eq!((refused.status, refused.body), (422, expected), "{}", profile.version);
    };
    let (attribute, error) = ("upgradeStrategy.minimumHealthCapacity", "is not between 0.0 and 1.0");
    let pairs = json!([{"attribute": attribute, "error": error}]);
    check(Profile::V0_8, json!({"message": "Bean is not valid", "errors": pairs})).await;
    check(Profile::V0_15, json!({"message": "Object is not valid", "details": pairs})).await;
    let paths = json!([{"path": "/upgradeStrategy/minimumHealthCapacity", "errors": [error]}]);
    check(Profile::V1_11, json!({"message": "Object is not valid", "details": paths})).await;
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_bad_requests() {
    let send = async |town: &Town, body: &'static str| {
        let request = town.cloud.client().post(format!("{}/v2/apps", town.marathon.url())).body(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let town = Town::still().await;
    let (status, body) = send(&town, "{").await;
    assert_eq!((status, &body["message"], body["details"].is_string()), (400, &json!("Invalid JSON"), true));
    let (status, body) = send(&town, "").await;
    assert_eq!((status, &body["message"]), (400, &json!("Please specify data in JSON format")));
    let (status, body) = send(&town, r#"{"id": "/a", "instances": "two"}"#).await;
    let details = json!([{"path": "/instances", "errors": ["error.expected.jsnumber"]}]);
    assert_eq!((status, body), (422, json!({"message": "Invalid JSON", "details": details})));
    let old = Town::start(still(Profile::V1_3)).await;
    assert_eq!(send(&old, r#"{"id": "/a", "instances": "two"}"#).await.0, 400);
}

#[tokio::test]
async fn unknown_paths_and_things_are_told_by_name() {
    let town = Town::still().await;
    let missing = [
        ("GET", "/v2/apps/none", "App '/none' does not exist"),
        ("DELETE", "/v2/apps/none", "App '/none' does not exist"),
        ("POST", "/v2/apps/none/restart", "App '/none' does not exist"),
        ("GET", "/v2/apps/none/tasks", "App '/none' does not exist"),
        ("GET", "/v2/groups/none", "Group '/none' does not exist"),
        ("DELETE", "/v2/deployments/none", "DeploymentPlan none does not exist"),
    ];
    for (method, path, message) in missing {
        let answer = town.call(method, path, Value::Null).await;
        assert_eq!((answer.status, &answer.body["message"]), (404, &json!(message)), "{method} {path}");
    }
    let unknown = town.call("GET", "/v2/deployments/some-id", Value::Null).await;
    assert_eq!((unknown.status, &unknown.body["message"]), (500, &json!("URI not found")));
    let old = Town::start(still(Profile::V1_6)).await;
    let unknown = old.call("GET", "/v2/nothing", Value::Null).await;
    assert_eq!((unknown.status, &unknown.body["message"]), (404, &json!("URI not found: /v2/nothing")));
}

#[tokio::test]
async fn a_password_is_asked_for_everywhere() {
    let access = Access::basic("ann", "secret");
    let town = Town::start(MarathonConfig { access, ..still(Profile::V1_11) }).await;
    for path in ["/ping", "/v2/apps", "/v2/events"] {
        let refused = town.call("GET", path, Value::Null).await;
        let challenge = refused.header("www-authenticate");
        assert_eq!((refused.status, challenge.as_str()), (401, "basic realm=\"Mesosphere\""), "{path}");
        assert!(refused.body.to_string().contains("<html>"));
    }
    let url = format!("{}/v2/apps", town.marathon.url());
    let answer = town.cloud.client().get(url).basic_auth("ann", Some("secret")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_token_may_be_wrong_or_too_weak() {
    let access = Access::Token { token: "all".to_owned(), read_only: Some("read".to_owned()) };
    assert!(!format!("{access:?}").contains("all"));
    let town = Town::start(MarathonConfig { access, ..still(Profile::V1_11) }).await;
    let send = async |method: reqwest::Method, token: &str| {
        let request = town.cloud.client().request(method, format!("{}/v2/apps", town.marathon.url()));
        let request = request.header(AUTHORIZATION, format!("token={token}")).body(web(1).to_string());
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap()["message"].clone())
    };
    let unauthorized = (401, json!("Invalid username or password."));
    assert_eq!(send(reqwest::Method::GET, "none").await, unauthorized);
    assert_eq!(send(reqwest::Method::GET, "read").await.0, 200);
    let forbidden = (403, json!("Not Authorized to perform this action!"));
    assert_eq!(send(reqwest::Method::POST, "read").await, forbidden);
    assert_eq!(send(reqwest::Method::POST, "all").await.0, 201);
}

#[tokio::test]
async fn tls_is_served_under_the_sandboxs_own_authority() {
    let town = Town::start(MarathonConfig { tls: true, ..still(Profile::V1_11) }).await;
    let url = town.marathon.url();
    let mut roots = RootCertStore::empty();
    let pem = town.cloud.sandbox.ca_pem().unwrap();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let address = url.strip_prefix("https://").unwrap().to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
        stream.write_all(b"GET /ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    });
    let answer = asked.await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("pong\n"), "{answer}");
}

#[tokio::test]
async fn an_answer_may_be_lost_before_or_after_the_effect() {
    let town = Town::still().await;
    for (action, made) in [(Action::ResetBefore, 0), (Action::ResetAfter, 1)] {
        town.cloud.sandbox.faults().add(Rule::new(Service::Marathon, "POST", "/v2/apps$", action).once());
        let url = format!("{}/v2/apps", town.marathon.url());
        let lost = town.cloud.try_send("POST", &url, None, Some(web(1))).await;
        assert!(lost.is_err());
        assert_eq!(town.marathon.apps().len(), made);
    }
    assert_eq!(town.cloud.sandbox.count(Service::Marathon, "POST", "/v2/apps$"), 2);
}
