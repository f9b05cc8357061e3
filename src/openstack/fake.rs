//! A server for the tests of these clients: it answers as the test's script says, gives tokens where the
//! script says nothing, and remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Response};
use secrecy::SecretString;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::task::JoinSet;

use super::settings::{DomainRef, Limits, PasswordAuth, Settings, TrustSettings, UserRef};
use super::{Credentials, OpenStack, Trustee};

/// Long enough for every call of a test.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) token: String,
    pub(crate) body: Value,
    pub(crate) host: String,
    subject: String,
}

impl Seen {
    /// Whether it is this method on this path, `"PATCH /heat/v1/p1/stacks/s"`.
    pub(crate) fn is(&self, line: &str) -> bool {
        self.line() == line
    }

    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether someone logs in, with a scope of this kind if one is named.
    pub(crate) fn is_login(&self) -> bool {
        self.is("POST /v3/auth/tokens")
    }
}

/// What the script answers.
pub(crate) enum Reply {
    Json(u16, Value),
    WithHeaders(u16, Vec<(&'static str, String)>, Value),
    Page(u16, String),
    /// The effect took place and the connection breaks before the answer is complete.
    Lost,
    Hang,
}

impl Reply {
    pub(crate) fn redirect(to: impl Into<String>) -> Self {
        Self::WithHeaders(302, vec![("location", to.into())], json!({}))
    }
}

type Script = Box<dyn FnMut(&Seen) -> Option<Reply> + Send>;

struct State {
    script: Script,
    seen: Vec<Seen>,
    logins: usize,
    lifetime: time::Duration,
}

/// The running server; it ends with this value.
pub(crate) struct Fake {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
    _server: JoinSet<()>,
}

impl Fake {
    pub(crate) async fn start(script: impl FnMut(&Seen) -> Option<Reply> + Send + 'static) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            script: Box::new(script),
            seen: Vec::new(),
            logins: 0,
            lifetime: time::Duration::hours(1),
        }));
        let shared = Arc::clone(&state);
        let router =
            axum::Router::new().fallback(move |request: Request| answer(Arc::clone(&shared), request));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, state, _server: server }
    }

    /// How long the tokens last that are given from now on.
    pub(crate) fn set_lifetime(&self, lifetime: time::Duration) {
        self.state.lock().unwrap().lifetime = lifetime;
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        self.seen().iter().filter(|seen| seen.is(line)).count()
    }

    pub(crate) fn logins(&self) -> usize {
        self.count("POST /v3/auth/tokens")
    }

    pub(crate) fn settings(&self) -> Settings {
        let name =
            |name: &str| UserRef::Name { name: name.to_owned(), domain: DomainRef::Id("default".to_owned()) };
        Settings {
            auth_url: Some(self.address.clone()),
            service: Some(PasswordAuth {
                user: name("magnum"),
                password: SecretString::from("service-secret"),
                project: None,
            }),
            trust: Some(TrustSettings {
                domain: DomainRef::Name("magnum".to_owned()),
                admin: name("domain-admin"),
                admin_password: SecretString::from("admin-secret"),
                roles: vec![],
            }),
            limits: Limits { max_retries: 2, ..Limits::default() },
            ..Settings::default()
        }
    }

    pub(crate) fn cloud(&self) -> OpenStack {
        OpenStack::new(self.settings(), Arc::new(())).unwrap()
    }
}

pub(crate) fn service() -> Credentials {
    Credentials::Service { project_id: Some("p1".to_owned()) }
}

pub(crate) fn caller() -> Credentials {
    Credentials::Token(SecretString::from("callers-token"))
}

pub(crate) fn trustee() -> Trustee {
    Trustee { user_id: "trustee-1".to_owned(), password: SecretString::from("trustee-secret") }
}

pub(crate) fn trust(trust_id: &str) -> Credentials {
    Credentials::Trust { trustee: trustee(), trust_id: trust_id.to_owned() }
}

/// Keystone's form of an error.
pub(crate) fn keystone_error(code: u16, message: &str) -> Reply {
    Reply::Json(code, json!({"error": {"code": code, "message": message, "title": "Error"}}))
}

/// Heat's form of an error.
pub(crate) fn heat_error(code: u16, kind: &str, message: &str) -> Reply {
    let error = json!({"type": kind, "message": message, "traceback": null});
    Reply::Json(
        code,
        json!({"code": code, "title": "Error", "explanation": "It did not work.", "error": error}),
    )
}

async fn answer(state: Arc<Mutex<State>>, request: Request) -> Response<Body> {
    let seen = see(request).await;
    let reply = {
        let mut state = state.lock().unwrap();
        state.seen.push(seen.clone());
        (state.script)(&seen).unwrap_or_else(|| state.token(&seen))
    };
    match reply {
        Reply::Json(status, body) => respond(status, &[], body.to_string().into()),
        Reply::WithHeaders(status, headers, body) => respond(status, &headers, body.to_string().into()),
        Reply::Page(status, text) => respond(status, &[], text.into()),
        Reply::Lost => {
            let chunks = [Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("cut"))];
            respond(200, &[], Body::from_stream(futures_util::stream::iter(chunks)))
        }
        Reply::Hang => std::future::pending().await,
    }
}

async fn see(request: Request) -> Seen {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let text = |headers: &HeaderMap, name: &str| {
        headers.get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
    };
    Seen {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        token: text(&head.headers, "x-auth-token"),
        subject: text(&head.headers, "x-subject-token"),
        host: text(&head.headers, "host"),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }
}

impl State {
    /// What Keystone says when someone logs in or asks about a token.
    fn token(&mut self, seen: &Seen) -> Reply {
        let scope = &seen.body["auth"]["scope"];
        let (status, token, user) = match seen.line().as_str() {
            "POST /v3/auth/tokens" => {
                self.logins += 1;
                let user = &seen.body["auth"]["identity"]["password"]["user"];
                let user = if user["id"].is_string() { &user["id"] } else { &user["name"] };
                (201, format!("token-{}", self.logins), user.clone())
            }
            "GET /v3/auth/tokens" => (200, seen.subject.clone(), json!("caller")),
            other => return Reply::Page(418, format!("the script has no answer to {other}")),
        };
        let endpoint =
            |face, region, url| json!({"interface": face, "region": region, "region_id": region, "url": url});
        let heat = format!("http://{}/heat/v1/p1", seen.host);
        let mut body = json!({
            "expires_at": (OffsetDateTime::now_utc() + self.lifetime).format(&Rfc3339).unwrap(),
            "user": {"id": user, "name": user},
            "roles": [{"id": "r1", "name": "member"}, {"id": "r2", "name": "heat_stack_owner"}],
            "catalog": [{"type": "orchestration", "name": "heat", "endpoints": [
                endpoint("admin", "RegionOne", "http://127.0.0.1:9/"), endpoint("public", "RegionOne", &heat),
            ]}],
        });
        if scope["domain"].is_object() {
            body["domain"] = json!({"id": "domain-1"});
        } else {
            body["project"] = json!({"id": "p1"});
        }
        Reply::WithHeaders(status, vec![("x-subject-token", token)], json!({"token": body}))
    }
}

fn respond(status: u16, headers: &[(&'static str, String)], body: Body) -> Response<Body> {
    let builder = Response::builder().status(status);
    headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, value)).body(body).unwrap()
}
