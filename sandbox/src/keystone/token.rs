//! Tokens: what they are scoped to, which roles they carry, and the body that describes them.

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Identity, domain_by, project_by_id, role_id};
use crate::clock::keystone_time;
use crate::known;

/// What a request authenticated with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// No token was sent.
    None,
    Unscoped,
    Project,
    Domain,
    Trust,
    /// A token that was good once: expired, or its user or trust is gone.
    Expired,
    /// Never issued here, or revoked.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    Unscoped,
    Project(String),
    Domain(String),
    Trust { trust_id: String, project_id: Option<String> },
}

impl Scope {
    pub(crate) fn kind(&self) -> TokenKind {
        match self {
            Self::Unscoped => TokenKind::Unscoped,
            Self::Project(_) => TokenKind::Project,
            Self::Domain(_) => TokenKind::Domain,
            Self::Trust { .. } => TokenKind::Trust,
        }
    }

    pub(crate) fn project(&self) -> Option<&str> {
        match self {
            Self::Project(id) => Some(id),
            Self::Trust { project_id, .. } => project_id.as_deref(),
            Self::Unscoped | Self::Domain(_) => None,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) id: String,
    /// What audit records call the token by, as its id is a secret.
    pub(crate) audit_id: String,
    /// Whom the token speaks for: the trustor, when it is scoped to an impersonating trust.
    pub(crate) user_id: String,
    pub(crate) methods: Vec<String>,
    pub(crate) scope: Scope,
    pub(crate) issued: OffsetDateTime,
    pub(crate) expires: OffsetDateTime,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("user_id", &self.user_id)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl Identity {
    pub(crate) fn roles_of(&self, token: &Token) -> Vec<String> {
        let own = |roles: Vec<&'static str>| roles.into_iter().map(str::to_owned).collect();
        match &token.scope {
            Scope::Unscoped => Vec::new(),
            Scope::Project(project) => own(self.project_roles(&token.user_id, project)),
            Scope::Domain(domain) => own(self.domain_roles(&token.user_id, domain)),
            Scope::Trust { trust_id, .. } => {
                self.trusts.get(trust_id).map(|trust| trust.roles.clone()).unwrap_or_default()
            }
        }
    }

    /// The `token` object of an answer; `base_url` is where the catalog points to.
    pub(super) fn describe(&self, token: &Token, base_url: &str) -> Value {
        let mut body = json!({
            "methods": token.methods,
            "user": self.describe_user(&token.user_id),
            "issued_at": keystone_time(token.issued),
            "expires_at": keystone_time(token.expires),
            "audit_ids": [token.audit_id],
        });
        // An unscoped token has neither roles nor a catalog.
        if token.scope == Scope::Unscoped {
            return body;
        }
        let roles = self.roles_of(token);
        body["roles"] = roles.iter().map(|name| json!({"id": role_id(name), "name": name})).collect();
        body["catalog"] = catalog(base_url, token.scope.project());
        if let Some(project) = token.scope.project().and_then(project_by_id) {
            let domain = describe_domain(known::DEFAULT_DOMAIN.id);
            body["project"] = json!({"id": project.id, "name": project.name, "domain": domain});
            body["is_domain"] = json!(false);
        }
        if let Scope::Domain(id) = &token.scope {
            body["domain"] = describe_domain(id);
        }
        if let Scope::Trust { trust_id, .. } = &token.scope
            && let Some(trust) = self.trusts.get(trust_id)
        {
            body["OS-TRUST:trust"] = json!({
                "id": trust.id,
                "impersonation": trust.impersonation,
                "trustor_user": {"id": trust.trustor_user_id},
                "trustee_user": {"id": trust.trustee_user_id},
            });
        }
        body
    }

    fn describe_user(&self, id: &str) -> Value {
        let Some(user) = self.user(id) else { return Value::Null };
        let domain = describe_domain(&user.domain_id);
        json!({"id": user.id, "name": user.name, "domain": domain, "password_expires_at": null})
    }
}

fn describe_domain(id: &str) -> Value {
    json!({"id": id, "name": domain_by(Some(id), None).map(|domain| domain.name)})
}

/// The services of the deployment; Heat's endpoint carries the project of the token.
pub(super) fn catalog(base_url: &str, project: Option<&str>) -> Value {
    let mut services = vec![service("identity", "keystone", &format!("{base_url}/identity"))];
    if let Some(project) = project {
        services.push(service("orchestration", "heat", &format!("{base_url}/heat/v1/{project}")));
        services.push(service("key-manager", "barbican", &format!("{base_url}/key-manager")));
    }
    Value::Array(services)
}

fn service(kind: &str, name: &str, url: &str) -> Value {
    let endpoint = |interface: &str| {
        json!({
            "id": format!("{kind}-{interface}"),
            "interface": interface,
            "region": known::REGION,
            "region_id": known::REGION,
            "url": url,
        })
    };
    let endpoints: Vec<Value> = ["public", "internal", "admin"].into_iter().map(endpoint).collect();
    json!({"id": kind, "type": kind, "name": name, "endpoints": endpoints})
}
