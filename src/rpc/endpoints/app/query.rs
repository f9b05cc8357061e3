//! Questions about apps. The rows are shown as they are kept; what only the framework knows is asked of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mesos_conductor_proto::codec::Map;
use serde_json::{Value, json};

use super::{APP, BAY, checked, find_app, find_bay, located};
use crate::app::{App, Manifest};
use crate::bay::Bay;
use crate::error::Fault;
use crate::framework::{Framework, explain};
use crate::objects;
use crate::rpc::arguments::{self, Argument, optional};
use crate::rpc::endpoints::indirection::{app_filter, page_of, sorted};
use crate::rpc::method::{Action, Answers, Call, CallError, Method};

fn primitive(app: &App) -> Result<Value, Fault> {
    objects::app_primitive(app, objects::version_or_latest(objects::APP, None)?)
}

/// How long a question may take, however often its framework has to be asked: somebody else's waits for its place.
#[derive(Clone, Copy)]
struct Until(Instant);

impl Until {
    fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// The framework of a bay, and until when it may answer.
async fn framework(call: &Call<'_>, bay: &Bay) -> Result<(Arc<dyn Framework>, Until), Fault> {
    let framework = call.shop.frameworks.of(bay).await.map_err(|error| error.fault(&bay.uuid.to_string()))?;
    Ok((framework, Until(Instant::now() + call.shop.settings.request_timeout)))
}

/// What an app's row says that it is; nothing while its manifest is still to be fetched.
fn manifest(bay: &Bay, app: &App) -> Result<Option<Manifest>, Fault> {
    app.manifest.as_deref().map(|text| checked(bay, text)).transpose()
}

fn called(app: &App) -> String {
    app.name.clone().unwrap_or_else(|| app.uuid.to_string())
}

/// Declares a question about one app.
macro_rules! questions {
    ($($name:ident, $method:literal, [$($argument:expr),*], $answers:expr, $run:path;)*) => { $(
        pub(in crate::rpc::endpoints) struct $name;

        #[async_trait]
        impl Method for $name {
            fn name(&self) -> &'static str {
                $method
            }

            fn answers(&self) -> Answers {
                $answers
            }

            fn arguments(&self) -> &'static [Argument] {
                const TAKES: &[Argument] = &[$($argument),*];
                TAKES
            }

            async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
                $run(call).await.map(Action::Answer)
            }
        }
    )* };
}

questions! {
    Show, "app_show", [APP, BAY], Answers::Object(objects::APP), show;
    List, "app_list", [
        optional("bay_ident").text(),
        optional("limit").integer(),
        optional("marker"),
        optional("sort_key").text(),
        optional("sort_dir").text(),
        optional("filters").dict()
    ], Answers::Objects(objects::APP), list;
    Versions, "app_versions", [APP, BAY], Answers::Shape("Versions"), versions;
    Tasks, "app_tasks", [APP, BAY], Answers::Shape("Tasks"), tasks;
    Diagnose, "app_diagnose", [APP, BAY], Answers::Shape("Diagnosis"), diagnose;
    Deployments, "deployment_list", [BAY], Answers::Shape("Deployments"), deployments;
}

async fn show(call: &Call<'_>) -> Result<Value, CallError> {
    let (app, _) = located(call).await?;
    Ok(primitive(&app)?)
}

async fn list(call: &Call<'_>) -> Result<Value, CallError> {
    let args = call.args();
    let none = Map::new();
    let filters = args.get("filters").and_then(Value::as_object).unwrap_or(&none);
    let Some(mut filter) = app_filter(filters)? else { return Ok(json!([])) };
    let bay = match arguments::text(args, "bay_ident")? {
        Some(ident) => Some(find_bay(call, ident).await?),
        None => None,
    };
    if let Some(bay) = &bay {
        filter.bay_uuid = Some(bay.uuid);
    }
    let mut asked = args.clone();
    // As magnum-api sends it, the object itself; or what it is called.
    if let (Some(ident), Some(bay)) = (args.get("marker").and_then(Value::as_str), &bay) {
        let marker = find_app(call, bay, ident).await?;
        asked.insert("marker".to_owned(), json!({ "uuid": marker.uuid.to_string() }));
    }
    let page = page_of::<App>(&asked)?;
    let apps = call.shop.store.apps(&call.scope, &filter, &page).await;
    let apps = apps.map_err(|error| sorted(error.into()))?;
    Ok(Value::Array(apps.iter().map(primitive).collect::<Result<_, _>>()?))
}

async fn versions(call: &Call<'_>) -> Result<Value, CallError> {
    let (app, bay) = located(call).await?;
    let Some(manifest) = manifest(&bay, &app)? else { return Ok(json!([])) };
    let (framework, until) = framework(call, &bay).await?;
    let versions = framework.versions(&manifest.subject(), until.left()).await;
    Ok(json!(versions.map_err(|error| error.fault(&called(&app)))?))
}

async fn tasks(call: &Call<'_>) -> Result<Value, CallError> {
    let (app, bay) = located(call).await?;
    let Some(manifest) = manifest(&bay, &app)? else { return Ok(json!([])) };
    let (framework, until) = framework(call, &bay).await?;
    let mut all = Vec::new();
    for definition in manifest.apps() {
        let id = definition.id();
        let tasks = framework.tasks(id, until.left()).await.map_err(|error| error.fault(&called(&app)))?;
        for task in tasks {
            let mut task = json!(task);
            task["app"] = json!(id.as_str());
            all.push(task);
        }
    }
    Ok(Value::Array(all))
}

/// Why it is not running, the nearest cause first.
async fn diagnose(call: &Call<'_>) -> Result<Value, CallError> {
    let (app, bay) = located(call).await?;
    let mut reasons: Vec<String> = app.status_reason.iter().cloned().collect();
    let (mut running, mut failures) = (false, Vec::new());
    if let Some(manifest) = manifest(&bay, &app)? {
        let (framework, until) = framework(call, &bay).await?;
        let fault = |error: crate::framework::Error| CallError::from(error.fault(&called(&app)));
        let queue = framework.waiting(until.left()).await.map_err(fault)?;
        let deployments = framework.deployments(until.left()).await.map_err(fault)?;
        running = true;
        for definition in manifest.apps() {
            let id = definition.id();
            let Some(seen) = framework.show(id, until.left()).await.map_err(fault)? else {
                running = false;
                reasons.push(format!("{id}: the framework does not have it"));
                continue;
            };
            running &= seen.is_up();
            reasons
                .extend(explain(&seen, &queue, &deployments).into_iter().map(|why| format!("{id}: {why}")));
            failures.extend(seen.last_failure);
        }
    }
    Ok(json!({
        "uuid": app.uuid.to_string(),
        "name": app.name,
        "status": app.status.map(|status| status.as_str()),
        "running": running,
        "reasons": reasons,
        "last_failures": failures,
    }))
}

async fn deployments(call: &Call<'_>) -> Result<Value, CallError> {
    let bay = find_bay(call, arguments::text(call.args(), "bay_ident")?.unwrap_or_default()).await?;
    let (framework, until) = framework(call, &bay).await?;
    let deployments = framework.deployments(until.left()).await;
    Ok(json!(deployments.map_err(|error| error.fault(&bay.uuid.to_string()))?))
}
