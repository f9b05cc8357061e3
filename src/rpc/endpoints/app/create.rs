//! `app_create`.

use async_trait::async_trait;
use mesos_conductor_proto::object::Object;
use serde_json::Value;
use uuid::Uuid;

use super::{DEADLINE, FORCE, ON_DEADLINE, checked, find_bay, manifest_text, work};
use crate::app::{App, Status};
use crate::bay::{Bay, Status as BayStatus};
use crate::error::Fault;
use crate::objects;
use crate::operation::progress::{Deed, Progress, Work};
use crate::operation::record::Kind;
use crate::operation::steps::app_create::with_manifest;
use crate::rpc::arguments::{Argument, required};
use crate::rpc::endpoints::command::{Command, NOTIFY_QUEUE, WAIT};
use crate::rpc::method::{Action, Answers, Call, CallError, Method, Write, Written};
use crate::store::{self, Key, Scope, Transaction};

/// The size of the columns.
const TEXT_LIMIT: usize = 255;
const URL_LIMIT: usize = 2048;

pub(in crate::rpc::endpoints) struct Create;

#[async_trait]
impl Method for Create {
    fn name(&self) -> &'static str {
        "app_create"
    }

    fn answers(&self) -> Answers {
        Answers::Object(objects::APP)
    }

    fn writes(&self, _call: &Call<'_>) -> bool {
        true
    }

    fn arguments(&self) -> &'static [Argument] {
        const TAKES: &[Argument] =
            &[required("app").object(objects::APP), FORCE, DEADLINE, ON_DEADLINE, WAIT, NOTIFY_QUEUE];
        TAKES
    }

    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
        let object = object(call)?;
        let command = Command::read(call, Kind::AppCreate, Some(&object))?;
        let bay = find_bay(call, object.text("bay_uuid").unwrap_or_default()).await?;
        let mut app = draft(call, &bay, &object)?;
        let mut several = false;
        if let Some(text) = object.text("manifest").filter(|text| !text.is_empty()) {
            let manifest = checked(&bay, text)?;
            several = manifest.apps().len() > 1;
            app = with_manifest(&app, text.to_owned(), &manifest);
        }
        if app.manifest.is_some() == app.manifest_url.is_some() {
            let text = "An app needs either a manifest or a manifest_url.".to_owned();
            return Err(Fault::InvalidParameterValue(text).into());
        }
        let work = work(call, Deed::Create, several)?;
        Ok(Action::Write(Box::new(CreateApp { command, scope: call.scope.clone(), app, work })))
    }
}

/// The app that is asked for. In a plain dict the manifest may be JSON itself instead of its text.
fn object(call: &Call<'_>) -> Result<Object, CallError> {
    let mut sent = call.args().get("app").cloned().unwrap_or(Value::Null);
    if let Value::Object(fields) = &mut sent
        && !Object::is_primitive(&Value::Object(fields.clone()))
        && let Some(text) = manifest_text(fields.get("manifest"))?
    {
        fields.insert("manifest".to_owned(), Value::String(text));
    }
    let object = objects::read(&sent, Some(objects::APP))?;
    if object.name() != objects::APP {
        let text = format!("Argument `app` is an object {}, not {}.", object.name(), objects::APP);
        return Err(Fault::InvalidParameterValue(text).into());
    }
    Ok(object)
}

/// Of the object only what a caller may choose is taken (I7). The app is its bay's project's (I6).
fn draft(call: &Call<'_>, bay: &Bay, object: &Object) -> Result<App, Fault> {
    let text = |name: &str| object.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let (name, manifest_url) = (text("name"), text("manifest_url"));
    let invalid = |text: String| Err(Fault::InvalidParameterValue(text));
    if let Some(name) = &name {
        if name.chars().count() > TEXT_LIMIT {
            return invalid(format!("name must not be longer than {TEXT_LIMIT} characters."));
        }
        if Uuid::parse_str(name).is_ok() {
            return invalid("name must not look like a uuid: apps are asked for by either.".to_owned());
        }
    }
    if manifest_url.as_ref().is_some_and(|url| url.len() > URL_LIMIT) {
        return invalid(format!("manifest_url must not be longer than {URL_LIMIT} bytes."));
    }
    let asked = object.text("uuid").and_then(|text| Uuid::parse_str(text).ok());
    Ok(App {
        uuid: asked.unwrap_or_else(Uuid::new_v4),
        name,
        bay_uuid: bay.uuid,
        project_id: bay.project_id.clone(),
        user_id: call.request.context.user_id().map(str::to_owned),
        manifest_url,
        status: Some(Status::NEW),
        ..App::default()
    })
}

struct CreateApp {
    command: Command,
    scope: Scope,
    app: App,
    work: Work,
}

#[async_trait]
impl Write for CreateApp {
    async fn apply(&self, tx: &mut Transaction) -> Result<Written, CallError> {
        let uuid = self.app.bay_uuid;
        let bay = tx.bay(&self.scope, Key::Uuid(uuid)).await?;
        let bay = bay.ok_or_else(|| Fault::BayNotFound(uuid.to_string()))?;
        let leaving = tx.active_operation(uuid).await?.is_some_and(|active| active.kind == Kind::BayDelete);
        usable(&bay, leaving)?;
        if let Some(rival) = tx.rival(&self.app).await? {
            return Err(Fault::AppAlreadyExists(rival).into());
        }
        match tx.insert_app(&self.app).await {
            Err(store::Error::Duplicate) => {
                return Err(Fault::AppAlreadyExists(format!("with UUID {}", self.app.uuid)).into());
            }
            other => other?,
        };
        let progress = Progress { work: Some(self.work.clone()), ..self.command.progress() };
        self.command.begin(tx, &self.app, &progress).await
    }
}

/// A bay that is not there yet, or not for long, runs nothing new.
fn usable(bay: &Bay, leaving: bool) -> Result<(), Fault> {
    let status = bay.status.filter(|_| !leaving).unwrap_or(BayStatus::DeleteInProgress);
    let refused = matches!(
        status,
        BayStatus::CreateInProgress
            | BayStatus::CreateFailed
            | BayStatus::DeleteInProgress
            | BayStatus::DeleteFailed
            | BayStatus::DeleteComplete
    );
    if refused {
        let operation = format!("Running apps on a bay when its status is \"{status}\"");
        return Err(Fault::NotSupported { operation });
    }
    Ok(())
}
