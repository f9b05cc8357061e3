//! `POST /v3/auth/tokens`: who the caller is, and what the token it gets is good for.

use serde::Deserialize;
use time::OffsetDateTime;

use super::{Error, Identity, Scope, Token, domain_by, new_id, project_by_id};
use crate::known;

#[derive(Deserialize)]
pub(super) struct AuthRequest {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    identity: Credentials,
    scope: Option<ScopeRequest>,
}

#[derive(Deserialize)]
struct Credentials {
    methods: Vec<String>,
    password: Option<PasswordMethod>,
    token: Option<TokenMethod>,
}

#[derive(Deserialize)]
struct PasswordMethod {
    user: UserReference,
}

#[derive(Deserialize)]
struct UserReference {
    id: Option<String>,
    name: Option<String>,
    domain: Option<Reference>,
    password: String,
}

#[derive(Deserialize)]
struct TokenMethod {
    id: String,
}

/// Something named by its id, or by its name.
#[derive(Deserialize)]
struct Reference {
    id: Option<String>,
    name: Option<String>,
    domain: Option<Box<Reference>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ScopeRequest {
    /// The text `unscoped`.
    Word(String),
    Object(ScopeObject),
}

#[derive(Deserialize)]
struct ScopeObject {
    project: Option<Reference>,
    domain: Option<Reference>,
    #[serde(rename = "OS-TRUST:trust")]
    trust: Option<TrustReference>,
}

#[derive(Deserialize)]
struct TrustReference {
    id: String,
}

/// Who the caller proved to be; a token made from a token does not outlive it.
struct Proven {
    user_id: String,
    methods: Vec<String>,
    not_after: Option<OffsetDateTime>,
}

impl Identity {
    pub(super) fn authenticate(
        &mut self,
        request: &AuthRequest,
        now: OffsetDateTime,
        lifetime: std::time::Duration,
    ) -> Result<Token, Error> {
        let proven = self.prove(&request.auth.identity, now)?;
        let (scope, user_id) = self.scope(request.auth.scope.as_ref(), &proven.user_id, now)?;
        let expires = proven.not_after.unwrap_or(now + lifetime);
        let token = Token {
            id: new_token_id(),
            audit_id: new_id(),
            user_id,
            methods: proven.methods,
            scope,
            issued: now,
            expires,
        };
        self.tokens.insert(token.id.clone(), token.clone());
        Ok(token)
    }

    fn prove(&self, credentials: &Credentials, now: OffsetDateTime) -> Result<Proven, Error> {
        let methods = credentials.methods.clone();
        match (methods.first().map(String::as_str), &credentials.password, &credentials.token) {
            (Some("password"), Some(PasswordMethod { user }), _) => {
                let user_id = self.check_password(user)?;
                Ok(Proven { user_id, methods, not_after: None })
            }
            (Some("token"), _, Some(TokenMethod { id })) => {
                let token = self
                    .live_token(id, now)
                    .ok_or_else(|| Error::NotFound("Failed to validate token".to_owned()))?;
                if token.scope.kind() == super::TokenKind::Trust {
                    return Err(Error::Forbidden(
                        "A trust-scoped token cannot be exchanged for another token.".to_owned(),
                    ));
                }
                let mut methods = methods;
                methods.extend(token.methods.iter().filter(|method| *method != "token").cloned());
                Ok(Proven { user_id: token.user_id.clone(), methods, not_after: Some(token.expires) })
            }
            _ => Err(Error::BadRequest(
                "Expecting to find password or token in identity, as named by its methods.".to_owned(),
            )),
        }
    }

    fn check_password(&self, user: &UserReference) -> Result<String, Error> {
        let found = match (&user.id, &user.name) {
            (Some(id), _) => self.user(id),
            (None, Some(name)) => {
                let reference = user
                    .domain
                    .as_ref()
                    .ok_or_else(|| Error::BadRequest("Expecting to find domain in user.".to_owned()))?;
                let domain = domain_by(reference.id.as_deref(), reference.name.as_deref());
                domain.and_then(|domain| self.user_by_name(name, domain.id))
            }
            (None, None) => {
                return Err(Error::BadRequest("Expecting to find id or name in user.".to_owned()));
            }
        };
        let user_id = found.filter(|found| found.enabled).map(|found| found.id.clone());
        user_id.filter(|id| self.password_is(id, &user.password)).ok_or(Error::Unauthorized)
    }

    /// The scope asked for, and whom the token will speak for.
    fn scope(
        &mut self,
        request: Option<&ScopeRequest>,
        user_id: &str,
        now: OffsetDateTime,
    ) -> Result<(Scope, String), Error> {
        let own = |scope| Ok((scope, user_id.to_owned()));
        let object = match request {
            None => return own(Scope::Unscoped),
            Some(ScopeRequest::Word(word)) if word == "unscoped" => return own(Scope::Unscoped),
            Some(ScopeRequest::Word(_)) => return Err(Error::BadRequest("Unknown scope.".to_owned())),
            Some(ScopeRequest::Object(object)) => object,
        };
        match (&object.project, &object.domain, &object.trust) {
            (Some(project), None, None) => {
                let project = find_project(project)?;
                if self.project_roles(user_id, &project).is_empty() {
                    return Err(Error::Unauthorized);
                }
                own(Scope::Project(project))
            }
            (None, Some(domain), None) => {
                let domain = domain_by(domain.id.as_deref(), domain.name.as_deref());
                let domain = domain.ok_or(Error::Unauthorized)?.id;
                if self.domain_roles(user_id, domain).is_empty() {
                    return Err(Error::Unauthorized);
                }
                own(Scope::Domain(domain.to_owned()))
            }
            (None, None, Some(trust)) => self.use_trust(&trust.id, user_id, now),
            (None, None, None) => own(Scope::Unscoped),
            _ => Err(Error::BadRequest("A token has one scope only.".to_owned())),
        }
    }
}

fn find_project(reference: &Reference) -> Result<String, Error> {
    if let Some(id) = &reference.id {
        return project_by_id(id).map(|project| project.id.to_owned()).ok_or(Error::Unauthorized);
    }
    let (Some(name), Some(domain)) = (&reference.name, &reference.domain) else {
        return Err(Error::BadRequest("Expecting to find domain in project.".to_owned()));
    };
    let domain = domain_by(domain.id.as_deref(), domain.name.as_deref());
    let in_default = domain.is_some_and(|domain| domain.id == known::DEFAULT_DOMAIN.id);
    let project = known::PROJECTS.into_iter().find(|project| in_default && project.name == name);
    project.map(|project| project.id.to_owned()).ok_or(Error::Unauthorized)
}

/// As long as a Fernet token, so that whatever stores one is tried at its real size.
pub(super) fn new_token_id() -> String {
    let noise: String = (0..5).map(|_| new_id()).collect();
    format!("gAAAAAB{noise}")
}
