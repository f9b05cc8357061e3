//! Trusts: a trustor lets a trustee act in its name, with some of its roles, on one project.

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Error, Identity, Scope, role_id};
use crate::clock::keystone_time;

/// A trust as the sandbox holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trust {
    pub id: String,
    pub trustor_user_id: String,
    pub trustee_user_id: String,
    pub project_id: Option<String>,
    pub impersonation: bool,
    /// Names of the delegated roles.
    pub roles: Vec<String>,
    #[serde(serialize_with = "crate::clock::serialize_optional")]
    pub expires_at: Option<OffsetDateTime>,
    pub remaining_uses: Option<u32>,
}

impl Trust {
    pub(super) fn is_expired(&self, now: OffsetDateTime) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// The trust as Keystone's listing tells it: without the roles.
    pub(super) fn summary(&self, auth_url: &str) -> Value {
        json!({
            "id": self.id,
            "trustor_user_id": self.trustor_user_id,
            "trustee_user_id": self.trustee_user_id,
            "project_id": self.project_id,
            "impersonation": self.impersonation,
            "expires_at": self.expires_at.map(keystone_time),
            "remaining_uses": self.remaining_uses,
            "redelegation_count": 0,
            "redelegated_trust_id": null,
            "deleted_at": null,
            "links": {"self": format!("{auth_url}/OS-TRUST/trusts/{}", self.id)},
        })
    }

    /// The trust as Keystone shows it alone.
    pub(super) fn details(&self, auth_url: &str) -> Value {
        let mut body = self.summary(auth_url);
        body["roles"] = self.roles.iter().map(|name| json!({"id": role_id(name), "name": name})).collect();
        let link = format!("{auth_url}/OS-TRUST/trusts/{}/roles", self.id);
        body["roles_links"] = json!({"self": link, "next": null, "previous": null});
        body
    }
}

impl Identity {
    pub(super) fn trust(&self, id: &str, now: OffsetDateTime) -> Result<&Trust, Error> {
        let trust = self.trusts.get(id).filter(|trust| !trust.is_expired(now));
        trust.ok_or_else(|| Error::not_found("trust", id))
    }

    pub(super) fn add_trust(&mut self, trust: Trust) {
        self.trusts.insert(trust.id.clone(), trust);
    }

    /// Removes a trust; the tokens scoped to it stop working as they refer to it.
    pub(super) fn remove_trust(&mut self, id: &str) {
        self.trusts.remove(id);
    }

    /// A token is being scoped to a trust: says whom it speaks for, and counts the use.
    pub(super) fn use_trust(
        &mut self,
        id: &str,
        user_id: &str,
        now: OffsetDateTime,
    ) -> Result<(Scope, String), Error> {
        // Keystone hides from a caller it does not know yet whether the trust exists.
        let trust = self.trust(id, now).map_err(|_| Error::Unauthorized)?.clone();
        if trust.trustee_user_id != user_id {
            return Err(Error::Forbidden("User is not a trustee.".to_owned()));
        }
        if !self.user(&trust.trustor_user_id).is_some_and(|trustor| trustor.enabled) {
            return Err(Error::Forbidden("Trustor is disabled.".to_owned()));
        }
        if let Some(uses) = trust.remaining_uses {
            let left = uses.checked_sub(1).ok_or(Error::Unauthorized)?;
            if let Some(stored) = self.trusts.get_mut(id) {
                stored.remaining_uses = Some(left);
            }
        }
        let speaks_for = if trust.impersonation { trust.trustor_user_id } else { trust.trustee_user_id };
        Ok((Scope::Trust { trust_id: trust.id, project_id: trust.project_id }, speaks_for))
    }
}
