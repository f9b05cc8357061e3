//! What an app is: one manifest that somebody asked to run on a bay.

use time::PrimitiveDateTime;
use uuid::Uuid;

use super::status::Status;

/// An app as it is recorded. What the framework alone decides (counts, version, endpoints) is what was last seen.
#[derive(Debug, Clone, Default)]
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
