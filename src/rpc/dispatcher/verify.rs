//! Whether callers are who their contexts say: asked of Keystone where `[conductor] verify_tokens` wants that.
//!
//! A context is not signed: without this, whoever may publish to the queue can write any user and project into it.

use mesos_conductor_proto::context::RequestContext;

use super::Dispatcher;
use crate::error::Fault;
use crate::openstack::Session;

/// The role that makes an administrator.
const ADMIN: &str = "admin";

impl Dispatcher {
    pub(super) async fn verify(&self, context: &RequestContext) -> Result<(), Fault> {
        if !self.settings.verify_tokens {
            return Ok(());
        }
        let Some(token) = context.auth_token().filter(|token| !token.is_empty()) else {
            return Err(refused("The request has no token, and only callers with a token are served."));
        };
        let session = self.shop.cloud.verify(&token.into(), self.shop.settings.request_timeout).await;
        match session {
            Ok(session) => agree(context, &session),
            Err(error) if error.is_unauthorized() || error.is_forbidden() => {
                tracing::warn!(%error, "Keystone does not know the token of a request");
                Err(refused("Keystone refuses the token of the request."))
            }
            Err(error) => {
                tracing::warn!(%error, "the token of a request could not be verified");
                let message = "The token of the request could not be verified. Try again later.".to_owned();
                Err(Fault::AuthorizationFailure { client: "keystone".to_owned(), message })
            }
        }
    }
}

/// What the context claims beyond what the token is worth is refused; what it leaves out gives nobody more.
fn agree(context: &RequestContext, session: &Session) -> Result<(), Fault> {
    let is_admin = |role: &str| role.eq_ignore_ascii_case(ADMIN);
    let claims_admin = context.is_admin() || context.roles().into_iter().any(is_admin);
    let same_project = |project: &str| session.project_id.as_deref() == Some(project);
    let differs = if context.user_id().is_some_and(|user| user != session.user_id) {
        "user"
    } else if context.project_id().is_some_and(|project| !same_project(project)) {
        "project"
    } else if claims_admin && !session.roles.iter().any(|role| is_admin(role)) {
        "administrator"
    } else {
        return Ok(());
    };
    tracing::warn!(differs, "the context of a request claims what its token does not give");
    Err(refused("The token of the request is not one of the user, project and role that it names."))
}

fn refused(text: &str) -> Fault {
    Fault::NotAuthorized(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};
    use time::OffsetDateTime;

    use super::*;

    fn agrees(context: Value, roles: &[&str]) -> bool {
        let Value::Object(context) = context else { panic!("{context} is no map") };
        let context = RequestContext::from_map(context).unwrap();
        let session = Session {
            token: "t".into(),
            catalog: Arc::default(),
            user_id: "u1".to_owned(),
            project_id: Some("p1".to_owned()),
            domain_id: None,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            expires_at: OffsetDateTime::now_utc(),
        };
        agree(&context, &session).is_ok()
    }

    #[test]
    fn a_context_claims_no_more_than_its_token_gives() {
        for (context, agreed) in [
            (json!({ "user_id": "u1", "project_id": "p1", "roles": ["member"] }), true),
            (json!({ "user_id": "u1", "project_id": null }), true),
            (json!({}), true),
            (json!({ "user_id": "u2", "project_id": "p1" }), false),
            (json!({ "user_id": "u1", "project_id": "p2" }), false),
            (json!({ "user_id": "u1", "tenant": "11111111111111111111111111111111" }), false),
            (json!({ "user_id": "u1", "project_id": "p1", "is_admin": true }), false),
            (json!({ "user_id": "u1", "project_id": "p1", "roles": ["Admin"] }), false),
            (json!({ "is_admin": true, "all_tenants": true }), false),
        ] {
            assert_eq!(agrees(context.clone(), &["member"]), agreed, "{context}");
        }
        assert!(agrees(json!({ "user_id": "u1", "is_admin": true, "all_tenants": true }), &["admin"]));
    }
}
