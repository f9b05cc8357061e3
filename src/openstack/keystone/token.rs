//! How a token is asked for, and what the answer means.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Keystone;
use crate::openstack::catalog::Catalog;
use crate::openstack::credentials::{Credentials, Session};
use crate::openstack::error::{Error, Result};
use crate::openstack::http::{Deadline, Request};
use crate::openstack::settings::{DomainRef, ProjectRef, UserRef};

impl Keystone {
    pub(super) async fn fetch(&self, credentials: &Credentials, deadline: Deadline) -> Result<Session> {
        match credentials {
            Credentials::Token(token) => self.look_up(token, deadline).await,
            Credentials::Service { project_id } => self.service(project_id.as_deref(), deadline).await,
            Credentials::Trust { trustee, trust_id } => {
                let scope = json!({"OS-TRUST:trust": {"id": trust_id}});
                self.log_in(&UserRef::Id(trustee.user_id.clone()), &trustee.password, Some(scope), deadline)
                    .await
            }
            Credentials::TrusteeUnscoped(trustee) => {
                self.log_in(&UserRef::Id(trustee.user_id.clone()), &trustee.password, None, deadline).await
            }
            Credentials::DomainAdmin => {
                let trust = self.trust_settings()?;
                let scope = json!({"domain": domain(&trust.domain)});
                self.log_in(&trust.admin, &trust.admin_password, Some(scope), deadline).await
            }
        }
    }

    async fn service(&self, project_id: Option<&str>, deadline: Deadline) -> Result<Session> {
        let missing = "no service user is configured: set [keystone_auth]";
        let service = self.0.service.as_ref().ok_or_else(|| Error::config(missing))?;
        let scope = match (project_id, &service.project) {
            (Some(id), _) => Some(json!({"project": {"id": id}})),
            (None, Some(own)) => Some(json!({"project": project(own)})),
            (None, None) => None,
        };
        self.log_in(&service.user, &service.password, scope, deadline).await
    }

    async fn log_in(
        &self,
        who: &UserRef,
        password: &SecretString,
        scope: Option<Value>,
        deadline: Deadline,
    ) -> Result<Session> {
        let mut user = user(who);
        user["password"] = Value::from(password.expose_secret());
        let mut auth = json!({"identity": {"methods": ["password"], "password": {"user": user}}});
        if let Some(scope) = scope {
            auth["scope"] = scope;
        }
        // One token too many harms nobody.
        let request = Request::post(self.url(&["auth", "tokens"])?)
            .json(&json!({"auth": auth}))
            .holding(password.clone())
            .repeatable();
        let answer = self.0.http.send(request, deadline).await?;
        Ok(answer.json::<Answer>()?.token.session(answer.secret_header("X-Subject-Token")?))
    }

    /// Asks what a caller's token is worth. It may ask for itself; where the policy forbids that, the service
    /// user asks.
    async fn look_up(&self, token: &SecretString, deadline: Deadline) -> Result<Session> {
        let url = self.url(&["auth", "tokens"])?;
        let ask = |asker: SecretString| Request::get(url.clone()).token(asker).subject(token.clone());
        let answer = match self.0.http.send(ask(token.clone()), deadline).await {
            Err(error) if error.is_forbidden() && self.0.service.is_some() => {
                let asker = self.service(None, deadline).await?;
                self.0.http.send(ask(asker.token), deadline).await?
            }
            other => other?,
        };
        Ok(answer.json::<Answer>()?.token.session(token.clone()))
    }
}

fn domain(domain: &DomainRef) -> Value {
    match domain {
        DomainRef::Id(id) => json!({"id": id}),
        DomainRef::Name(name) => json!({"name": name}),
    }
}

fn user(user: &UserRef) -> Value {
    match user {
        UserRef::Id(id) => json!({"id": id}),
        UserRef::Name { name, domain: of } => json!({"name": name, "domain": domain(of)}),
    }
}

fn project(project: &ProjectRef) -> Value {
    match project {
        ProjectRef::Id(id) => json!({"id": id}),
        ProjectRef::Name { name, domain: of } => json!({"name": name, "domain": domain(of)}),
    }
}

#[derive(Deserialize)]
struct Answer {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    #[serde(deserialize_with = "moment")]
    expires_at: OffsetDateTime,
    user: Id,
    #[serde(default)]
    project: Option<Id>,
    #[serde(default)]
    domain: Option<Id>,
    #[serde(default)]
    roles: Vec<Role>,
    #[serde(default)]
    catalog: Catalog,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct Role {
    name: String,
}

fn moment<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<OffsetDateTime, D::Error> {
    let text = String::deserialize(from)?;
    OffsetDateTime::parse(&text, &Rfc3339).map_err(serde::de::Error::custom)
}

impl Token {
    fn session(self, token: SecretString) -> Session {
        Session {
            token,
            catalog: Arc::new(self.catalog),
            user_id: self.user.id,
            project_id: self.project.map(|project| project.id),
            domain_id: self.domain.map(|domain| domain.id),
            roles: self.roles.into_iter().map(|role| role.name).collect(),
            expires_at: self.expires_at,
        }
    }
}
