//! Trusts: what lets the worker act for a bay's owner after the owner's token has ended.
//!
//! A trust has no name to find it by. But each bay has a trustee of its own, so whatever trusts that user has
//! were made for this bay: one of them is adopted, the others are left-overs of lost answers.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Keystone;
use crate::openstack::credentials::{Credentials, Session, Trustee};
use crate::openstack::error::{Error, Result};
use crate::openstack::http::{Deadline, Request};

#[derive(Deserialize)]
struct One {
    trust: Trust,
}

#[derive(Deserialize)]
struct Many {
    trusts: Vec<Trust>,
}

#[derive(Deserialize)]
struct Trust {
    id: String,
    trustor_user_id: String,
    #[serde(default)]
    trustee_user_id: Option<String>,
    #[serde(default)]
    project_id: Option<String>,
    #[serde(default)]
    impersonation: bool,
    #[serde(default)]
    expires_at: Option<Value>,
    #[serde(default)]
    remaining_uses: Option<Value>,
}

impl Trust {
    /// Whether it is the one that would be made now. A listing leaves the roles out.
    fn fits(&self, caller: &Session) -> bool {
        self.trustor_user_id == caller.user_id
            && self.project_id == caller.project_id
            && self.impersonation
            && self.expires_at.is_none()
            && self.remaining_uses.is_none()
    }
}

impl Keystone {
    /// Leaves exactly one trust from the caller to the trustee and returns its id.
    pub async fn ensure_trust(
        &self,
        caller: &Credentials,
        trustee: &Trustee,
        within: Duration,
    ) -> Result<String> {
        let deadline = Deadline::within(within);
        let trustor = self.authenticate(caller, deadline).await?;
        let mut existing = self.trusts_of(trustee, deadline).await?;
        // Every run adopts the same one, whatever order they are listed in.
        existing.sort_by(|a, b| a.id.cmp(&b.id));
        let adopted = existing.iter().position(|trust| trust.fits(&trustor)).map(|at| existing.remove(at).id);
        for surplus in existing {
            let credentials = if surplus.trustor_user_id == trustor.user_id {
                caller.clone()
            } else {
                Credentials::Trust { trustee: trustee.clone(), trust_id: surplus.id.clone() }
            };
            self.end_trust(&credentials, &surplus.id, deadline).await?;
        }
        match adopted {
            Some(id) => Ok(id),
            None => self.create_trust(caller, &trustee.user_id, deadline).await,
        }
    }

    async fn create_trust(
        &self,
        caller: &Credentials,
        trustee_user_id: &str,
        deadline: Deadline,
    ) -> Result<String> {
        let configured = &self.trust_settings()?.roles;
        let request = |trustor: &Session| {
            let project_id = trustor.project_id.as_deref().ok_or_else(|| {
                Error::config("the caller's token has no project, so there is nothing to trust with")
            })?;
            let roles = if configured.is_empty() { &trustor.roles } else { configured };
            let roles: Vec<_> = roles.iter().map(|name| json!({"name": name})).collect();
            Ok(Request::post(self.url(&["OS-TRUST", "trusts"])?).json(&json!({"trust": {
                "expires_at": null,
                "impersonation": true,
                "project_id": project_id,
                "remaining_uses": null,
                "roles": roles,
                "trustee_user_id": trustee_user_id,
                "trustor_user_id": trustor.user_id,
            }})))
        };
        let answer = self.send(&self.0.http, caller, request, deadline).await?;
        Ok(answer.json::<One>()?.trust.id)
    }

    /// Keystone lets a trustee list what was given to it, and nobody else.
    async fn trusts_of(&self, trustee: &Trustee, deadline: Deadline) -> Result<Vec<Trust>> {
        let request = |_: &_| {
            let mut url = self.url(&["OS-TRUST", "trusts"])?;
            url.query_pairs_mut().append_pair("trustee_user_id", &trustee.user_id);
            Ok(Request::get(url))
        };
        let credentials = Credentials::TrusteeUnscoped(trustee.clone());
        let answer = self.send(&self.0.http, &credentials, request, deadline).await?;
        let mut trusts = answer.json::<Many>()?.trusts;
        trusts.retain(|trust| trust.trustee_user_id.as_ref().is_none_or(|id| *id == trustee.user_id));
        Ok(trusts)
    }

    /// Deletes a trust, with the caller's token or the trust itself; one that is gone counts as deleted.
    pub async fn delete_trust(
        &self,
        credentials: &Credentials,
        trust_id: &str,
        within: Duration,
    ) -> Result<()> {
        self.end_trust(credentials, trust_id, Deadline::within(within)).await
    }

    async fn end_trust(&self, credentials: &Credentials, trust_id: &str, deadline: Deadline) -> Result<()> {
        let request = |_: &_| Ok(Request::delete(self.url(&["OS-TRUST", "trusts", trust_id])?));
        match self.send(&self.0.http, credentials, request, deadline).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            // The trust admits nobody any more: it is gone, or its trustor lost the roles or the account.
            // Only the trustee's deletion, which always follows, can still remove it.
            Err(error)
                if matches!(credentials, Credentials::Trust { .. })
                    && (error.is_unauthorized() || error.is_forbidden()) =>
            {
                tracing::warn!(error = %error, "a trust cannot be used any more; it ends with its trustee");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
