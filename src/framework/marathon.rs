//! Marathon 0.8 to 1.11 behind the port [`Framework`].

pub(super) mod client;
mod error;
mod events;
mod leader;
mod profile;
mod sse;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::credentials::Login;
use super::endpoint::Endpoint;
use super::error::{Error, Result};
use super::seen::{Accepted, Deployment, DeploymentId, Hint, Info, Seen, Task, Version, Waiting};
use super::{Depth, Force, Framework, Kill, Observer, Selection};
use crate::app::{AppId, Definition, Manifest, Subject};
use client::{Answer, Client, Deadline, Request};
use profile::{Feature, Release};

/// The id of a change's deployment, since 1.4.
const DEPLOYMENT: &str = "marathon-deployment-id";

/// How long a release that was read is believed: masters are upgraded under a running worker.
const RELEASE_KEPT: Duration = Duration::from_secs(600);

/// Fields that an update empties where a release can only add: lists and maps that a definition may leave out.
const EMPTIED: &[&str] =
    &["env", "labels", "constraints", "healthChecks", "readinessChecks", "uris", "fetch", "dependencies"];

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest that one request may take, whatever its caller's time.
    pub request_timeout: Duration,
    /// How long a stream of events may be without a sign of life.
    pub events_silence: Duration,
    /// The longest event that is read; a longer one is [`Hint::Unclear`].
    pub event_size: usize,
}

/// One bay's Marathon.
pub struct Marathon {
    client: Client,
    limits: Limits,
    release: Mutex<Option<(Release, Instant)>>,
}

impl Marathon {
    /// `http` is a pool that follows no redirects and has no timeout of its own.
    pub fn new(
        http: reqwest::Client,
        endpoint: Endpoint,
        login: &Login,
        limits: Limits,
        observer: Arc<dyn Observer>,
    ) -> Result<Self> {
        let client = Client::new(http, endpoint, login, limits.request_timeout, observer)?;
        Ok(Self { client, limits, release: Mutex::new(None) })
    }

    async fn has(&self, feature: Feature, within: Duration) -> Result<bool> {
        let known = *self.release.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((release, read)) = known
            && read.elapsed() < RELEASE_KEPT
        {
            return Ok(release.has(feature));
        }
        let (_, release) = self.read_info(within).await?;
        Ok(release.has(feature))
    }

    async fn read_info(&self, within: Duration) -> Result<(wire::WireInfo, Release)> {
        let info: wire::WireInfo = self.client.send(Request::get(&["v2", "info"]), within).await?.json()?;
        let release = Release::read(&info.version);
        *self.release.lock().unwrap_or_else(PoisonError::into_inner) = Some((release, Instant::now()));
        Ok((info, release))
    }

    async fn change(&self, request: Request, within: Duration) -> Result<Accepted> {
        accepted(&self.client.send(request, within).await?)
    }

    /// Those of these apps that exist.
    async fn existing(&self, apps: &[Definition], depth: Depth, within: Duration) -> Result<Vec<Seen>> {
        if let [app] = apps {
            return Ok(self.show(app.id(), within).await?.into_iter().collect());
        }
        let mut seen = self.list(Selection::All, depth, within).await?;
        seen.retain(|seen| apps.iter().any(|app| *app.id() == seen.id));
        Ok(seen)
    }

    async fn refuse_existing(&self, apps: &[Definition], within: Duration) -> Result<()> {
        let existing = self.existing(apps, Depth::Counts, within).await?;
        if existing.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = existing.iter().map(|seen| seen.id.as_str()).collect();
        Err(Error::AlreadyExists { message: format!("{} exists already", ids.join(", ")) })
    }

    /// The bodies that put definitions in the place of what is there, whatever the release.
    async fn replacing(&self, apps: &[Definition], replaces: bool, within: Duration) -> Result<Vec<Value>> {
        let seen = if replaces { Vec::new() } else { self.existing(apps, Depth::Counts, within).await? };
        let body = |app: &Definition| {
            let before = seen.iter().find(|seen| seen.id == *app.id());
            let mut body = before.map(|seen| emptied(&seen.definition, app)).unwrap_or_default();
            body.extend(app.body().clone());
            Value::Object(body)
        };
        Ok(apps.iter().map(body).collect())
    }
}

/// A group that says of all its parts what they are: what an update does not mention is kept.
fn whole(group: &Map<String, Value>) -> Map<String, Value> {
    let mut whole = group.clone();
    whole.entry("apps").or_insert_with(|| json!([]));
    let inner = group.get("groups").and_then(Value::as_array).into_iter().flatten();
    let inner = inner.filter_map(Value::as_object).map(self::whole).map(Value::Object).collect();
    whole.insert("groups".to_owned(), Value::Array(inner));
    whole
}

/// What `before` has and `after` leaves out, as empty as it can be said.
fn emptied(before: &Definition, after: &Definition) -> Map<String, Value> {
    let left_out = before
        .body()
        .iter()
        .filter(|(name, _)| EMPTIED.contains(&name.as_str()) && !after.body().contains_key(name.as_str()));
    left_out
        .filter_map(|(name, value)| match value {
            Value::Array(items) if !items.is_empty() => Some((name.clone(), json!([]))),
            Value::Object(fields) if !fields.is_empty() => Some((name.clone(), json!({}))),
            Value::Array(_)
            | Value::Object(_)
            | Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_) => None,
        })
        .collect()
}

fn accepted(answer: &Answer) -> Result<Accepted> {
    let named = answer.headers.get(DEPLOYMENT).and_then(|id| id.to_str().ok()).map(DeploymentId::new);
    let body = answer.json::<Option<wire::Changed>>()?.unwrap_or_default();
    let deployments = named.or_else(|| body.deployment().cloned()).into_iter().collect();
    Ok(Accepted { deployments, version: body.version })
}

fn app(request: fn(&[&str]) -> Request, id: &AppId) -> Request {
    request(&["v2", "apps"]).id(id)
}

fn group(request: fn(&[&str]) -> Request, id: &AppId) -> Request {
    request(&["v2", "groups"]).id(id)
}

fn no_history() -> Error {
    Error::NotSupported { message: "several apps without a group have no versions together".to_owned() }
}

#[async_trait]
impl Framework for Marathon {
    async fn info(&self, within: Duration) -> Result<Info> {
        let (info, release) = self.read_info(within).await?;
        Ok(Info {
            name: info.name,
            version: info.version,
            framework_id: info.framework_id,
            leader: info.leader,
            lists_at_once: release.has(Feature::ListsAtOnce),
        })
    }

    async fn create(&self, manifest: &Manifest, within: Duration) -> Result<Accepted> {
        let deadline = Deadline::within(within);
        if let Some(group) = manifest.group() {
            return self.change(Request::post(&["v2", "groups"]).json(group), within).await;
        }
        match manifest.apps() {
            [app] if self.has(Feature::RefusesDuplicate, deadline.remaining()).await? => {
                let request = Request::post(&["v2", "apps"]).force(Force::Respect).json(app.body());
                self.change(request, deadline.remaining()).await
            }
            apps => {
                // One request for all is a PUT, which would take the place of what exists.
                self.refuse_existing(apps, deadline.remaining()).await?;
                let bodies: Vec<_> = apps.iter().map(Definition::body).collect();
                let request = Request::put(&["v2", "apps"]).force(Force::Respect).json(&bodies);
                self.change(request, deadline.remaining()).await
            }
        }
    }

    async fn update(&self, manifest: &Manifest, force: Force, within: Duration) -> Result<Accepted> {
        let deadline = Deadline::within(within);
        if let (Subject::Group(id), Some(body)) = (manifest.subject(), manifest.group()) {
            return self.change(group(Request::put, &id).force(force).json(&whole(body)), within).await;
        }
        let replaces = self.has(Feature::Replaces, deadline.remaining()).await?;
        let bodies = self.replacing(manifest.apps(), replaces, deadline.remaining()).await?;
        let mut request = match (&bodies[..], manifest.apps()) {
            ([body], [one]) => app(Request::put, one.id()).json(body),
            (bodies, _) => Request::put(&["v2", "apps"]).json(&bodies),
        };
        if replaces {
            request = request.query("partialUpdate", "false");
        }
        self.change(request.force(force), deadline.remaining()).await
    }

    async fn scale(&self, id: &AppId, instances: u32, force: Force, within: Duration) -> Result<Accepted> {
        let deadline = Deadline::within(within);
        // PATCH never makes an app out of nothing but a number.
        let patches = self.has(Feature::Replaces, deadline.remaining()).await?;
        let method = if patches { Request::patch } else { Request::put };
        let request = app(method, id).force(force).json(&json!({ "instances": instances }));
        self.change(request, deadline.remaining()).await
    }

    async fn restart(&self, id: &AppId, force: Force, within: Duration) -> Result<Accepted> {
        self.change(app(Request::post, id).segment("restart").force(force), within).await
    }

    async fn rollback(
        &self,
        subject: &Subject,
        version: &Version,
        force: Force,
        within: Duration,
    ) -> Result<Accepted> {
        let request = match subject {
            Subject::App(id) => app(Request::put, id),
            Subject::Group(id) => group(Request::put, id),
            Subject::Apps(_) => return Err(no_history()),
        };
        self.change(request.force(force).json(&json!({ "version": version })), within).await
    }

    async fn delete(&self, subject: &Subject, force: Force, within: Duration) -> Result<Accepted> {
        let deadline = Deadline::within(within);
        let ids = match subject {
            Subject::Group(id) => return self.change(group(Request::delete, id).force(force), within).await,
            Subject::App(id) => std::slice::from_ref(id),
            Subject::Apps(ids) => ids,
        };
        let (mut all, mut absent) = (Accepted::default(), None);
        for id in ids {
            match self.change(app(Request::delete, id).force(force), deadline.remaining()).await {
                Ok(one) => {
                    all.deployments.extend(one.deployments);
                    all.version = one.version;
                }
                Err(error @ Error::NotFound { .. }) => absent = Some(error),
                Err(error) => return Err(error),
            }
        }
        match absent {
            Some(absent) if all == Accepted::default() => Err(absent),
            Some(_) | None => Ok(all),
        }
    }

    async fn show(&self, id: &AppId, within: Duration) -> Result<Option<Seen>> {
        let mut request = app(Request::get, id);
        for part in ["app.tasks", "app.counts", "app.deployments", "app.lastTaskFailure"] {
            request = request.query("embed", part);
        }
        match self.client.send(request, within).await {
            Ok(answer) => answer.json::<wire::OneApp>()?.seen().map(Some),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, selection: Selection<'_>, depth: Depth, within: Duration) -> Result<Vec<Seen>> {
        let parts: &[&str] = match depth {
            Depth::Counts => &["apps.counts", "apps.deployments"],
            Depth::Tasks => &["apps.counts", "apps.deployments", "apps.tasks", "apps.lastTaskFailure"],
        };
        let mut request = Request::get(&["v2", "apps"]);
        for part in parts {
            request = request.query("embed", *part);
        }
        if let Selection::At(id) = selection {
            // Marathon looks for the text anywhere in an id.
            request = request.query("id", id.as_str());
        }
        let mut seen = self.client.send(request, within).await?.json::<wire::Apps>()?.seen()?;
        if let Selection::At(id) = selection {
            seen.retain(|seen| seen.id == *id || seen.id.is_below(id));
        }
        Ok(seen)
    }

    async fn versions(&self, subject: &Subject, within: Duration) -> Result<Vec<Version>> {
        let request = match subject {
            Subject::App(id) => app(Request::get, id),
            Subject::Group(id) => group(Request::get, id),
            Subject::Apps(_) => return Err(no_history()),
        };
        let answer = self.client.send(request.segment("versions"), within).await?;
        answer.json::<wire::Versions>().map(Into::into)
    }

    async fn tasks(&self, id: &AppId, within: Duration) -> Result<Vec<Task>> {
        let answer = self.client.send(app(Request::get, id).segment("tasks"), within).await?;
        answer.json::<wire::Tasks>().map(Into::into)
    }

    async fn kill_task(
        &self,
        id: &AppId,
        task_id: &str,
        kill: Kill,
        force: Force,
        within: Duration,
    ) -> Result<Accepted> {
        let flag = |on: bool| if on { "true" } else { "false" };
        let request = app(Request::delete, id)
            .segment("tasks")
            .segment(task_id)
            .query("scale", flag(kill == Kill::ScaleDown))
            .query("wipe", flag(kill == Kill::Wipe))
            .force(force);
        self.change(request, within).await
    }

    async fn deployments(&self, within: Duration) -> Result<Vec<Deployment>> {
        let answer = self.client.send(Request::get(&["v2", "deployments"]), within).await?;
        let listed: Vec<wire::WireDeployment> = answer.json()?;
        Ok(listed.into_iter().map(Deployment::from).collect())
    }

    async fn cancel(&self, id: &DeploymentId, force: Force, within: Duration) -> Result<Accepted> {
        let request = Request::delete(&["v2", "deployments"]).segment(id.as_str()).force(force);
        self.change(request, within).await
    }

    async fn waiting(&self, within: Duration) -> Result<Vec<Waiting>> {
        let answer = self.client.send(Request::get(&["v2", "queue"]), within).await?;
        answer.json::<wire::Queue>().map(Into::into)
    }

    async fn events(&self, within: Duration) -> Result<BoxStream<'static, Hint>> {
        events::attach(self, within).await
    }
}
