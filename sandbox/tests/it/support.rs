//! A client of the sandbox that follows no redirect and hides no answer.

use std::time::Duration;

use mesos_conductor_sandbox::{Config, KnownProject, KnownUser, Sandbox, known};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use serde_json::{Value, json};

/// How long a condition may take on a busy machine before a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Stacks that stay in progress until a test says otherwise.
pub(crate) fn frozen() -> Config {
    let ages = Duration::from_secs(86_400);
    Config { create_time: ages, update_time: ages, delete_time: ages, ..nowhere() }
}

/// Stacks whose addresses are made up.
pub(crate) fn nowhere() -> Config {
    Config { bays: None, ..Config::default() }
}

pub(crate) struct Cloud {
    pub(crate) sandbox: Sandbox,
    client: Client,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> String {
        self.headers.get(name).unwrap().to_str().unwrap().to_owned()
    }

    pub(crate) fn subject(&self) -> String {
        assert_eq!(self.status, 201, "{}", self.body);
        self.header("x-subject-token")
    }
}

impl Cloud {
    pub(crate) async fn start(config: Config) -> Self {
        // In a build of the whole workspace reqwest has TLS, and wants to know whose.
        let installed = rustls::crypto::ring::default_provider().install_default();
        drop(installed);
        let client = Client::builder().redirect(Policy::none()).timeout(DEADLINE).build().unwrap();
        Self { sandbox: Sandbox::start(config).await.unwrap(), client }
    }

    pub(crate) async fn try_send(
        &self,
        method: &str,
        url: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> reqwest::Result<Answer> {
        let mut request = self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), url);
        if let Some(token) = token {
            request = request.header("x-auth-token", token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, headers, body })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    async fn send(&self, method: &str, url: &str, token: &str, body: Option<Value>) -> Answer {
        let token = Some(token).filter(|token| !token.is_empty());
        self.try_send(method, url, token, body).await.unwrap()
    }

    /// A call to Keystone; the path begins after the version, an empty token is not sent.
    pub(crate) async fn keystone(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> Answer {
        self.send(method, &format!("{}{path}", self.sandbox.auth_url()), token, body).await
    }

    /// A call to Heat for the demo project.
    pub(crate) async fn heat(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Answer {
        let url = format!("{}{path}", self.sandbox.heat_url(known::DEMO_PROJECT.id));
        self.send(method, &url, token, body).await
    }

    pub(crate) async fn control(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.send(method, &format!("{}/control{path}", self.sandbox.url()), "", body).await
    }

    pub(crate) async fn authenticate(&self, identity: Value, scope: Value) -> Answer {
        let body = json!({"auth": {"identity": identity, "scope": scope}});
        self.keystone("POST", "/auth/tokens", "", Some(body)).await
    }

    pub(crate) async fn project_token(&self, user: KnownUser, project: KnownProject) -> String {
        let scope = json!({"project": {"id": project.id}});
        self.authenticate(password(user.id, user.password), scope).await.subject()
    }

    pub(crate) async fn demo_token(&self) -> String {
        self.project_token(known::DEMO_USER, known::DEMO_PROJECT).await
    }

    pub(crate) async fn domain_admin_token(&self) -> String {
        let admin = known::TRUSTEE_DOMAIN_ADMIN;
        let scope = json!({"domain": {"id": known::TRUSTEE_DOMAIN.id}});
        self.authenticate(password(admin.id, admin.password), scope).await.subject()
    }

    /// Makes a user in the trustee domain and says its id.
    pub(crate) async fn make_trustee(&self, name: &str) -> String {
        let token = self.domain_admin_token().await;
        let user = json!({"user": {"name": name, "password": "pw", "domain_id": known::TRUSTEE_DOMAIN.id}});
        let answer = self.keystone("POST", "/users", &token, Some(user)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body["user"]["id"].as_str().unwrap().to_owned()
    }

    /// Has the demo user trust the trustee and says the trust's id.
    pub(crate) async fn make_trust(&self, trustee: &str) -> String {
        let token = self.demo_token().await;
        let answer = self.keystone("POST", "/OS-TRUST/trusts", &token, Some(trust_body(trustee))).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body["trust"]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn trust_token(&self, trustee: &str, trust: &str) -> Answer {
        self.authenticate(password(trustee, "pw"), json!({"OS-TRUST:trust": {"id": trust}})).await
    }
}

pub(crate) fn password(user_id: &str, password: &str) -> Value {
    json!({"methods": ["password"], "password": {"user": {"id": user_id, "password": password}}})
}

pub(crate) fn trust_body(trustee: &str) -> Value {
    json!({"trust": {
        "trustor_user_id": known::DEMO_USER.id,
        "trustee_user_id": trustee,
        "project_id": known::DEMO_PROJECT.id,
        "impersonation": true,
        "expires_at": null,
        "remaining_uses": null,
        "roles": [{"name": "member"}, {"name": "heat_stack_owner"}],
    }})
}
