//! What an app is: one manifest that somebody asked to run on a bay.

use time::PrimitiveDateTime;
use uuid::Uuid;

use super::status::Status;

/// An app as it is recorded. What the framework alone decides (counts, version, endpoints) is what was last seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct App {
    /// The row's number, 0 until stored.
    pub id: i64,
    pub uuid: Uuid,
    pub name: Option<String>,
    pub bay_uuid: Uuid,
    pub project_id: Option<String>,
    pub user_id: Option<String>,
    /// The JSON text as it was sent or fetched.
    pub manifest: Option<String>,
    pub manifest_url: Option<String>,
    /// What the framework calls it: [`super::Subject`] as text.
    pub framework_id: Option<String>,
    pub instances: Option<i64>,
    pub status: Option<Status>,
    pub status_reason: Option<String>,
    /// The framework's version of the definition, a time stamp of its own.
    pub version: Option<String>,
    pub deployment_id: Option<String>,
    pub tasks_staged: Option<i64>,
    pub tasks_running: Option<i64>,
    pub tasks_healthy: Option<i64>,
    pub tasks_unhealthy: Option<i64>,
    /// `host:port` of every running task.
    pub endpoints: Vec<String>,
    pub created_at: Option<PrimitiveDateTime>,
    pub updated_at: Option<PrimitiveDateTime>,
}

impl App {
    /// Whether this app has a claim on something that `framework_id` names: one of its apps, or the group of one.
    pub fn claims(&self, framework_id: &str) -> bool {
        let own = self.framework_id.as_deref().unwrap_or_default();
        let below = |one: &str, other: &str| {
            one.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        own.split(',')
            .filter(|id| !id.is_empty())
            .any(|own| framework_id.split(',').any(|other| below(own, other) || below(other, own)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_claims_its_ids_and_what_is_below_or_above_them() {
        let app = |id: &str| App { framework_id: Some(id.to_owned()), ..App::default() };
        for (own, other, claimed) in [
            ("/web", "/web", true),
            ("/web", "/web2", false),
            ("/shop", "/shop/web", true),
            ("/shop/web", "/shop", true),
            ("/shop/web", "/shop/db", false),
            ("/a,/b/c", "/x,/b", true),
            ("/a,/b/c", "/x,/b/d", false),
        ] {
            assert_eq!(app(own).claims(other), claimed, "{own} {other}");
        }
        assert!(!App::default().claims("/web"), "one that waits for its manifest claims nothing yet");
    }
}
