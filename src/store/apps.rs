//! Apps: rows of ours, each of one bay.

use uuid::Uuid;

use crate::app::{App, Status};

use super::Store;
use super::columns::{Columns, columns};
use super::driver::{Read, Row, Transaction, params};
use super::error::Error;
use super::page::{Key, Page, Scope, Select, SortKeys};
use super::text::{list_from_json, list_to_json, reason};
use super::vault::Vault;

/// Equality filters of a list.
#[derive(Debug, Clone, Default)]
pub struct AppFilter {
    pub bay_uuid: Option<Uuid>,
    pub name: Option<String>,
    pub framework_id: Option<String>,
    pub status: Option<Status>,
    pub project_id: Option<String>,
    pub user_id: Option<String>,
}

const FROM: &str = "app t";
const COLUMNS: &str = "t.id, t.uuid, t.name, t.bay_uuid, t.project_id, t.user_id, t.manifest, t.manifest_url, \
     t.framework_id, t.instances, t.status, t.status_reason, t.version, t.deployment_id, t.tasks_staged, \
     t.tasks_running, t.tasks_healthy, t.tasks_unhealthy, t.endpoints, t.created_at, t.updated_at";
const SORT_KEYS: SortKeys = &[
    ("id", "t.id"),
    ("uuid", "t.uuid"),
    ("name", "t.name"),
    ("bay_uuid", "t.bay_uuid"),
    ("project_id", "t.project_id"),
    ("user_id", "t.user_id"),
    ("framework_id", "t.framework_id"),
    ("instances", "t.instances"),
    ("status", "t.status"),
    ("tasks_running", "t.tasks_running"),
    ("created_at", "t.created_at"),
    ("updated_at", "t.updated_at"),
];

impl Store {
    pub async fn app(&self, scope: &Scope, key: Key) -> Result<Option<App>, Error> {
        find(&mut &*self, scope, key).await
    }

    pub async fn apps(&self, scope: &Scope, filter: &AppFilter, page: &Page) -> Result<Vec<App>, Error> {
        let mut select = visible(scope);
        filter.apply(&mut select);
        let rows = select.page(&mut &*self, page).await?;
        rows.iter().map(|row| read(row, &self.vault)).collect()
    }

    /// Writes what a framework shows of an app, unless an operation has changed the app since it was read.
    pub async fn show_app(&self, app: &App, read_status: Option<Status>) -> Result<bool, Error> {
        let sql = "UPDATE app SET instances = ?, status_reason = ?, version = ?, deployment_id = ?, tasks_staged = ?, \
             tasks_running = ?, tasks_healthy = ?, tasks_unhealthy = ?, endpoints = ?, updated_at = {now} \
             WHERE uuid = ? AND status = ?";
        let params = params![
            app.instances,
            app.status_reason.as_deref().map(reason),
            &app.version,
            &app.deployment_id,
            app.tasks_staged,
            app.tasks_running,
            app.tasks_healthy,
            app.tasks_unhealthy,
            list_to_json(&app.endpoints),
            app.uuid,
            read_status.map(Status::as_str),
        ];
        Ok(self.execute(sql, params).await? > 0)
    }
}

impl AppFilter {
    fn apply(&self, select: &mut Select) {
        if let Some(bay) = self.bay_uuid {
            select.and("t.bay_uuid = ?", params![bay]);
        }
        if let Some(status) = self.status {
            select.and("t.status = ?", params![status.as_str()]);
        }
        for (condition, value) in [
            ("t.name = {exact}", &self.name),
            ("t.framework_id = {exact}", &self.framework_id),
            ("t.project_id = {exact}", &self.project_id),
            ("t.user_id = {exact}", &self.user_id),
        ] {
            if value.is_some() {
                select.and(condition, params![value]);
            }
        }
    }
}

impl Transaction {
    /// Reads an app and keeps it, and the operation that is active on it, from being changed until the end.
    pub async fn app(&mut self, scope: &Scope, key: Key) -> Result<Option<App>, Error> {
        let Some(app) = find(self, scope, key).await? else { return Ok(None) };
        self.lock_behind_operation(app.uuid, "SELECT id FROM app WHERE uuid = ?").await?;
        find(self, scope, key).await
    }

    /// Every app of a bay, whoever owns it.
    pub async fn apps_of(&mut self, bay: Uuid) -> Result<Vec<App>, Error> {
        let mut select = Select::new(COLUMNS, FROM, SORT_KEYS);
        select.and("t.bay_uuid = ?", params![bay]);
        let rows = select.all(self).await?;
        rows.iter().map(|row| read(row, self.vault())).collect()
    }

    /// The name of another app of the bay that has the same name or a claim on what this one names. The caller holds
    /// the bay's lock.
    pub async fn rival(&mut self, app: &App) -> Result<Option<String>, Error> {
        let wanted = app.framework_id.as_deref();
        let others = self.apps_of(app.bay_uuid).await?;
        let others = others.into_iter().filter(|other| other.uuid != app.uuid);
        let rival = others.into_iter().find_map(|other| {
            let name = other.name.clone().unwrap_or_else(|| other.uuid.to_string());
            if app.name.is_some() && other.name == app.name {
                return Some(format!("named {name}"));
            }
            let claimed = wanted.is_some_and(|wanted| other.claims(wanted));
            claimed.then(|| format!("{name}, which has {}", other.framework_id.unwrap_or_default()))
        });
        Ok(rival)
    }

    /// Gives an app the name and the place in the framework that its manifest turned out to ask for, unless it has
    /// a rival.
    pub async fn claim_app(&mut self, app: &App) -> Result<Option<String>, Error> {
        self.bay(&Scope::All, Key::Uuid(app.bay_uuid)).await?;
        let rival = self.rival(app).await?;
        if rival.is_none() {
            let sql = "UPDATE app SET name = ?, framework_id = ? WHERE uuid = ?";
            self.execute(sql, params![&app.name, &app.framework_id, app.uuid]).await?;
        }
        Ok(rival)
    }

    /// Inserts an app and returns its number, or [`Error::Duplicate`], after which the transaction goes on.
    pub async fn insert_app(&mut self, app: &App) -> Result<i64, Error> {
        let columns = columns(app, self.vault());
        self.insert_columns("app", columns).await
    }

    /// Writes what may change of an app; false when it is gone.
    pub async fn update_app(&mut self, app: &App) -> Result<bool, Error> {
        let columns = columns(app, self.vault()).only(|name| !FIXED.contains(&name));
        self.update_columns("app", app.id, columns).await
    }

    /// Gives an app another name; false when it is gone.
    pub async fn rename_app(&mut self, app: Uuid, name: Option<&str>) -> Result<bool, Error> {
        let sql = "UPDATE app SET name = ?, updated_at = {now} WHERE uuid = ?";
        Ok(self.execute(sql, params![name, app]).await? > 0)
    }

    /// Deletes an app; false when there is none.
    pub async fn delete_app(&mut self, app: Uuid) -> Result<bool, Error> {
        Ok(self.execute("DELETE FROM app WHERE uuid = ?", params![app]).await? > 0)
    }

    /// Ends the records of everything that ran on a bay: what was asked of them ends with them.
    pub(super) async fn delete_apps_of(&mut self, bay: Uuid) -> Result<(), Error> {
        self.execute("DELETE FROM bay_watch WHERE bay_uuid = ?", params![bay]).await?;
        self.execute("DELETE FROM app WHERE bay_uuid = ?", params![bay]).await.map(drop)
    }
}

/// What never changes of an app, and its name: that is its owner's, who may change it while a step is under way.
const FIXED: [&str; 5] = ["uuid", "name", "bay_uuid", "project_id", "user_id"];

fn columns(app: &App, vault: &Vault) -> Columns {
    // A manifest may hold passwords, in the environment of what it starts.
    let manifest = app.manifest.as_ref().map(|text| vault.seal(&manifest_of(app.uuid), text.as_bytes()));
    columns! {
        "uuid": app.uuid,
        "name": &app.name,
        "bay_uuid": app.bay_uuid,
        "project_id": &app.project_id,
        "user_id": &app.user_id,
        "manifest": manifest,
        "manifest_url": &app.manifest_url,
        "framework_id": &app.framework_id,
        "instances": app.instances,
        "status": app.status.map(Status::as_str),
        "status_reason": app.status_reason.as_deref().map(reason),
        "version": &app.version,
        "deployment_id": &app.deployment_id,
        "tasks_staged": app.tasks_staged,
        "tasks_running": app.tasks_running,
        "tasks_healthy": app.tasks_healthy,
        "tasks_unhealthy": app.tasks_unhealthy,
        "endpoints": list_to_json(&app.endpoints),
    }
}

fn manifest_of(app: Uuid) -> String {
    format!("app.manifest:{app}")
}

fn visible(scope: &Scope) -> Select {
    let mut select = Select::new(COLUMNS, FROM, SORT_KEYS);
    select.within(scope, "");
    select
}

async fn find<R: Read>(db: &mut R, scope: &Scope, key: Key) -> Result<Option<App>, Error> {
    let mut select = visible(scope);
    select.key(key);
    let rows = select.all(db).await?;
    rows.first().map(|row| read(row, db.vault())).transpose()
}

fn read(row: &Row, vault: &Vault) -> Result<App, Error> {
    let uuid = row.uuid("uuid")?;
    let status = row.text("status")?.map(|status| status.parse::<Status>()).transpose();
    let manifest = row.text("manifest")?.map(|stored| vault.open(&manifest_of(uuid), &stored)).transpose()?;
    let manifest = manifest.map(String::from_utf8).transpose().map_err(|_| Error::corrupt("app.manifest"))?;
    Ok(App {
        id: row.int("id")?,
        uuid,
        name: row.text("name")?,
        bay_uuid: row.uuid("bay_uuid")?,
        project_id: row.text("project_id")?,
        user_id: row.text("user_id")?,
        manifest,
        manifest_url: row.text("manifest_url")?,
        framework_id: row.text("framework_id")?,
        instances: row.int_opt("instances")?,
        status: status.map_err(|error| Error::corrupt(error.to_string()))?,
        status_reason: row.text("status_reason")?,
        version: row.text("version")?,
        deployment_id: row.text("deployment_id")?,
        tasks_staged: row.int_opt("tasks_staged")?,
        tasks_running: row.int_opt("tasks_running")?,
        tasks_healthy: row.int_opt("tasks_healthy")?,
        tasks_unhealthy: row.int_opt("tasks_unhealthy")?,
        endpoints: list_from_json(row.text("endpoints")?, "app.endpoints")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

impl Store {
    /// Lets the operation that waits at this step, on this subject, look now.
    pub async fn wake(&self, subject: Uuid, step: &str) -> Result<u64, Error> {
        let sql = "UPDATE operation SET run_at = {now_ms} WHERE subject_uuid = ? AND state = 'running' \
             AND step = ? AND after_operation IS NULL AND run_at > {now_ms} AND lease_until <= {now_ms}";
        self.execute(sql, params![subject, step]).await
    }
}
