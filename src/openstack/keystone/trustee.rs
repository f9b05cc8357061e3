//! Trustee users: one per bay, in a domain of their own.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::Keystone;
use crate::openstack::credentials::{Credentials, Trustee};
use crate::openstack::error::{Error, Kind, Result};
use crate::openstack::http::{Deadline, Request};
use crate::openstack::settings::DomainRef;

#[derive(Deserialize)]
struct One {
    user: User,
}

#[derive(Deserialize)]
struct Many {
    users: Vec<User>,
}

#[derive(Deserialize)]
struct User {
    id: String,
    name: String,
    domain_id: Option<String>,
}

impl Keystone {
    /// The domain that trustees are made in.
    pub async fn trustee_domain_id(&self, within: Duration) -> Result<String> {
        self.domain_of_trustees(Deadline::within(within)).await
    }

    async fn domain_of_trustees(&self, deadline: Deadline) -> Result<String> {
        if let DomainRef::Id(id) = &self.trust_settings()?.domain {
            return Ok(id.clone());
        }
        // The administrator's token is scoped to the domain and says which one that is; the token is cached.
        let session = self.authenticate(&Credentials::DomainAdmin, deadline).await?;
        session.domain_id.ok_or_else(|| {
            Error::from(Kind::Garbage("a token for a domain does not name the domain".to_owned()))
        })
    }

    /// Makes the trustee, or adopts the one an earlier run made under this name. Ends with one user whose
    /// password is this one.
    pub async fn ensure_trustee(
        &self,
        name: &str,
        password: &SecretString,
        within: Duration,
    ) -> Result<String> {
        let deadline = Deadline::within(within);
        let domain_id = self.domain_of_trustees(deadline).await?;
        let body = json!({"user": {
            "name": name, "password": password.expose_secret(), "domain_id": domain_id, "enabled": true,
        }});
        let create = |_: &_| Ok(Request::post(self.url(&["users"])?).json(&body).holding(password.clone()));
        match self.send(&self.0.http, &Credentials::DomainAdmin, create, deadline).await {
            Ok(answer) => Ok(answer.json::<One>()?.user.id),
            Err(conflict) if conflict.is_conflict() => {
                let found = self.user_named(name, &domain_id, deadline).await?;
                // Deleted in the moment between: the conflict is over, and the next run makes the user.
                let user_id = found.ok_or(conflict)?;
                self.ensure_password(&user_id, password, deadline).await?;
                Ok(user_id)
            }
            Err(error) => Err(error),
        }
    }

    /// Finds the id of a trustee by its name.
    pub async fn find_trustee(&self, name: &str, within: Duration) -> Result<Option<String>> {
        let deadline = Deadline::within(within);
        let domain_id = self.domain_of_trustees(deadline).await?;
        self.user_named(name, &domain_id, deadline).await
    }

    /// Deletes a trustee and with it the trusts given to it; one that is gone counts as deleted.
    pub async fn delete_trustee(&self, user_id: &str, within: Duration) -> Result<()> {
        let request = |_: &_| Ok(Request::delete(self.url(&["users", user_id])?));
        let deadline = Deadline::within(within);
        match self.send(&self.0.http, &Credentials::DomainAdmin, request, deadline).await {
            Err(error) if !error.is_not_found() => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn user_named(&self, name: &str, domain_id: &str, deadline: Deadline) -> Result<Option<String>> {
        let request = |_: &_| {
            let mut url = self.url(&["users"])?;
            url.query_pairs_mut().append_pair("name", name).append_pair("domain_id", domain_id);
            Ok(Request::get(url))
        };
        let answer = self.send(&self.0.http, &Credentials::DomainAdmin, request, deadline).await?;
        // A server that does not know a filter ignores it.
        let same = |user: &User| user.name == name && user.domain_id.as_deref() == Some(domain_id);
        Ok(answer.json::<Many>()?.users.into_iter().find(same).map(|user| user.id))
    }

    /// Logs in first: setting the same password again can break a rule about the last passwords.
    async fn ensure_password(
        &self,
        user_id: &str,
        password: &SecretString,
        deadline: Deadline,
    ) -> Result<()> {
        let trustee = Trustee { user_id: user_id.to_owned(), password: password.clone() };
        match self.authenticate(&Credentials::TrusteeUnscoped(trustee), deadline).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_unauthorized() => {
                let body = json!({"user": {"password": password.expose_secret(), "enabled": true}});
                let request = |_: &_| {
                    Ok(Request::patch(self.url(&["users", user_id])?)
                        .json(&body)
                        .holding(password.clone())
                        .repeatable())
                };
                self.send(&self.0.http, &Credentials::DomainAdmin, request, deadline).await?;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
