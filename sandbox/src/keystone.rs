//! A stand-in Keystone: users, tokens that expire, and trusts, with the refusals of the real one.

mod api;
mod auth;
mod error;
mod token;
mod trust;
mod trust_api;
mod user_api;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::known::{self, KnownDomain, KnownProject};

pub(crate) use api::router;
pub(crate) use error::Error;
pub use token::TokenKind;
pub(crate) use token::{Scope, Token};
pub use trust::Trust;

/// A user as the sandbox shows it; the password stays inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    pub id: String,
    pub name: String,
    pub domain_id: String,
    pub enabled: bool,
}

pub(crate) struct Account {
    pub(crate) user: User,
    password: String,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("user", &self.user).finish_non_exhaustive()
    }
}

/// All that Keystone knows.
#[derive(Debug)]
pub(crate) struct Identity {
    accounts: BTreeMap<String, Account>,
    tokens: HashMap<String, Token>,
    trusts: BTreeMap<String, Trust>,
}

impl Identity {
    pub(crate) fn seeded() -> Self {
        let accounts = known::USERS.iter().map(|known| {
            let user = User {
                id: known.id.to_owned(),
                name: known.name.to_owned(),
                domain_id: known.domain.id.to_owned(),
                enabled: true,
            };
            (user.id.clone(), Account { user, password: known.password.to_owned() })
        });
        Self { accounts: accounts.collect(), tokens: HashMap::new(), trusts: BTreeMap::new() }
    }

    pub(crate) fn users(&self) -> impl Iterator<Item = &User> {
        self.accounts.values().map(|account| &account.user)
    }

    pub(crate) fn user(&self, id: &str) -> Option<&User> {
        self.accounts.get(id).map(|account| &account.user)
    }

    fn user_by_name(&self, name: &str, domain_id: &str) -> Option<&User> {
        self.users().find(|user| user.name == name && user.domain_id == domain_id)
    }

    pub(crate) fn password_is(&self, user_id: &str, password: &str) -> bool {
        self.accounts.get(user_id).is_some_and(|account| account.password == password)
    }

    pub(crate) fn trusts(&self) -> impl Iterator<Item = &Trust> {
        self.trusts.values()
    }

    pub(crate) fn token_count(&self) -> usize {
        self.tokens.len()
    }

    fn add_user(
        &mut self,
        name: &str,
        domain_id: &str,
        password: &str,
        enabled: bool,
    ) -> Result<User, Error> {
        if self.user_by_name(name, domain_id).is_some() {
            return Err(Error::Conflict(format!(
                "Conflict occurred attempting to store user - Duplicate entry found with name {name} at \
                 domain ID {domain_id}."
            )));
        }
        let user = User { id: new_id(), name: name.to_owned(), domain_id: domain_id.to_owned(), enabled };
        let account = Account { user: user.clone(), password: password.to_owned() };
        self.accounts.insert(user.id.clone(), account);
        Ok(user)
    }

    fn change_user(
        &mut self,
        id: &str,
        password: Option<String>,
        enabled: Option<bool>,
    ) -> Result<User, Error> {
        let account = self.accounts.get_mut(id).ok_or_else(|| Error::not_found("user", id))?;
        if let Some(password) = password {
            account.password = password;
            self.tokens.retain(|_, token| token.user_id != id);
        }
        account.user.enabled = enabled.unwrap_or(account.user.enabled);
        Ok(account.user.clone())
    }

    /// Removes a user with every trust it gave or was given; its tokens stop working as they refer to it.
    pub(crate) fn remove_user(&mut self, id: &str) -> Result<(), Error> {
        self.accounts.remove(id).ok_or_else(|| Error::not_found("user", id))?;
        self.trusts.retain(|_, trust| trust.trustor_user_id != id && trust.trustee_user_id != id);
        self.tokens.retain(|_, token| token.user_id != id);
        Ok(())
    }

    /// The names of the roles a user has on a project of its own, trusts aside.
    pub(crate) fn project_roles(&self, user_id: &str, project_id: &str) -> Vec<&'static str> {
        let tenant = vec!["member", "reader", "heat_stack_owner"];
        match (user_id, project_id) {
            (id, _) if id == known::ADMIN_USER.id || id == known::SERVICE_USER.id => vec!["admin"],
            (id, project) if id == known::DEMO_USER.id && project == known::DEMO_PROJECT.id => tenant,
            (id, project) if id == known::OTHER_USER.id && project == known::OTHER_PROJECT.id => tenant,
            _ => Vec::new(),
        }
    }

    fn domain_roles(&self, user_id: &str, domain_id: &str) -> Vec<&'static str> {
        let trustee_admin = known::TRUSTEE_DOMAIN_ADMIN;
        let admin = user_id == known::ADMIN_USER.id
            || (user_id == trustee_admin.id && domain_id == trustee_admin.domain.id);
        if admin { vec!["admin"] } else { Vec::new() }
    }

    /// The token of that id if it still opens anything: not expired, its users and its trust still there.
    pub(crate) fn live_token(&self, id: &str, now: OffsetDateTime) -> Option<&Token> {
        let token = self.tokens.get(id)?;
        let enabled = |id: &str| self.user(id).is_some_and(|user| user.enabled);
        let trusted = match &token.scope {
            Scope::Trust { trust_id, .. } => self
                .trusts
                .get(trust_id)
                .is_some_and(|trust| !trust.is_expired(now) && enabled(&trust.trustee_user_id)),
            Scope::Unscoped | Scope::Project(_) | Scope::Domain(_) => true,
        };
        (now < token.expires && enabled(&token.user_id) && trusted).then_some(token)
    }

    /// What kind of token that is, for the request log.
    pub(crate) fn kind(&self, id: Option<&str>, now: OffsetDateTime) -> TokenKind {
        let Some(id) = id else { return TokenKind::None };
        match (self.live_token(id, now), self.tokens.contains_key(id)) {
            (Some(token), _) => token.scope.kind(),
            (None, true) => TokenKind::Expired,
            (None, false) => TokenKind::Unknown,
        }
    }

    fn revoke(&mut self, id: &str) {
        self.tokens.remove(id);
    }

    /// Issues a project-scoped token without a password being asked for.
    pub(crate) fn mint(
        &mut self,
        user_id: &str,
        project_id: &str,
        now: OffsetDateTime,
        life: Duration,
    ) -> String {
        let id = auth::new_token_id();
        self.accept(&id, user_id, project_id, now, life);
        id
    }

    /// Keeps a project-scoped token of that id.
    pub(crate) fn accept(
        &mut self,
        id: &str,
        user_id: &str,
        project_id: &str,
        now: OffsetDateTime,
        life: Duration,
    ) {
        let token = Token {
            id: id.to_owned(),
            audit_id: new_id(),
            user_id: user_id.to_owned(),
            methods: vec!["password".to_owned()],
            scope: Scope::Project(project_id.to_owned()),
            issued: now,
            expires: now + life,
        };
        self.tokens.insert(token.id.clone(), token);
    }

    /// Makes every token issued so far invalid, as a restart with new keys does.
    pub(crate) fn revoke_all_tokens(&mut self) {
        self.tokens.clear();
    }
}

/// Keystone's ids are 32 hexadecimal digits.
fn new_id() -> String {
    Uuid::new_v4().simple().to_string()
}

fn domain_by(id: Option<&str>, name: Option<&str>) -> Option<KnownDomain> {
    known::DOMAINS.into_iter().find(|d| Some(d.id) == id || (id.is_none() && Some(d.name) == name))
}

fn project_by_id(id: &str) -> Option<KnownProject> {
    known::PROJECTS.into_iter().find(|p| p.id == id)
}

fn role_id(name: &str) -> Option<&'static str> {
    known::ROLES.into_iter().find(|(_, known)| *known == name).map(|(id, _)| id)
}
