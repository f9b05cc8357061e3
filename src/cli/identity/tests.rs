use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing};
use clap::Parser;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::*;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    identity: Identity,
}

fn identity(line: &str) -> Identity {
    Arguments::try_parse_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{error}")).identity
}

fn token_body() -> Value {
    json!({"token": {
        "user": {"id": "u-1", "name": "ada", "domain": {"id": "default", "name": "Default"}},
        "project": {"id": "p-1", "name": "engines", "domain": {"id": "default"}},
        "roles": [{"id": "1", "name": "member"}, {"id": "2", "name": "reader"}],
        "expires_at": "2030-01-01T00:00:00.000000Z",
        "catalog": [],
    }})
}

/// A Keystone that knows one password and one token.
async fn keystone() -> (String, tokio_util::sync::DropGuard) {
    rustls::crypto::ring::default_provider().install_default().ok();
    let log_in = |Json(body): Json<Value>| async move {
        let user = &body["auth"]["identity"]["password"]["user"];
        if user["password"] != "s3cret" || user["domain"]["name"] != "Default" {
            let error = json!({"error": {"message": "The request you have made requires authentication."}});
            return (StatusCode::UNAUTHORIZED, Json(error)).into_response();
        }
        assert_eq!(body["auth"]["scope"]["project"]["domain"]["id"], "default");
        (StatusCode::CREATED, [("X-Subject-Token", "t0ken")], Json(token_body())).into_response()
    };
    let look_up = |headers: axum::http::HeaderMap| async move {
        assert_eq!(headers["X-Auth-Token"], headers["X-Subject-Token"]);
        Json(token_body())
    };
    let router = Router::new().route("/identity/v3/auth/tokens", routing::post(log_in).get(look_up));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/identity/v2.0/", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let serving = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    TaskTracker::new().spawn(serving.into_future());
    (url, stop.drop_guard())
}

#[tokio::test]
async fn a_login_makes_the_context_that_the_api_would_send() {
    let (url, _guard) = keystone().await;
    let who = identity(&format!(
        "x --os-auth-url {url} --os-username ada --os-password s3cret --os-project-name engines \
         --os-user-domain-name Default"
    ));
    let context = who.owner_context().await.unwrap();
    assert_eq!(context.auth_token(), Some("t0ken"));
    assert_eq!((context.project_id(), context.user_id()), (Some("p-1"), Some("u-1")));
    assert_eq!(context.roles(), ["member", "reader"]);
    assert_eq!(context.auth_url(), Some(url.replace("/v2.0/", "/v3").as_str()));
    assert_eq!(context.token_expires_at(), Some("2030-01-01T00:00:00.000000Z"));
    assert!(context.request_id().is_some_and(|id| id.starts_with("req-")));
    for shown in [format!("{who:?}"), format!("{context:?}")] {
        assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
    }
}

#[tokio::test]
async fn a_token_serves_instead_of_a_password() {
    let (url, _guard) = keystone().await;
    let context = identity(&format!("x --os-auth-url {url} --os-token mine")).owner_context().await.unwrap();
    assert_eq!((context.auth_token(), context.project_id()), (Some("mine"), Some("p-1")));
}

#[tokio::test]
async fn a_refused_login_says_what_keystone_said() {
    let (url, _guard) = keystone().await;
    let who = identity(&format!(
        "x --os-auth-url {url} --os-username ada --os-password wrong --os-project-name engines"
    ));
    let error = who.context().await.unwrap_err();
    assert_eq!(error.exit_code(), 77);
    assert!(error.to_string().contains("401 Unauthorized: The request you have made"), "{error}");
    assert!(!error.to_string().contains("wrong"), "{error}");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let missing = |line: &'static str| async move { identity(line).owner_context().await.unwrap_err() };
    assert!(missing("x").await.to_string().contains("set OS_AUTH_URL"));
    let error = missing("x --os-auth-url http://127.0.0.1:1 --os-username a --os-password b").await;
    assert_eq!(error.to_string(), "OS_AUTH_URL is set, but OS_PROJECT_NAME is not");
    assert_eq!(error.exit_code(), 64);
    let away = missing("x --os-auth-url http://127.0.0.1:1 --os-token t").await;
    assert!(away.to_string().contains("http://127.0.0.1:1/v3/auth/tokens: "), "{away}");
}

#[tokio::test]
async fn a_context_can_be_claimed_or_given_whole() {
    let claimed = identity("x --as-project p --as-user u").owner_context().await.unwrap();
    assert_eq!((claimed.project_id(), claimed.user_id(), claimed.is_admin()), (Some("p"), Some("u"), false));
    let given = identity("x --context {\"project_id\":\"p\",\"request_id\":\"req-1\"}")
        .owner_context()
        .await
        .unwrap();
    assert_eq!((given.project_id(), given.request_id()), (Some("p"), Some("req-1")));
    assert!(Arguments::try_parse_from(["x", "--context", "{\"is_admin\":\"yes\"}"]).is_err());
}
