//! `app_*` and `deployment_*`: apps on a bay. Commands are checked here and done by operations; questions that only the
//! framework can answer are put to it at once.

mod create;
mod query;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

use super::command::{Command, NOTIFY_QUEUE, WAIT};
use crate::app::{Action as Doing, App, Status};
use crate::bay::Bay;
use crate::error::Fault;
use crate::framework;
use crate::objects;
use crate::operation::progress::{Cancelled, Deed, OnDeadline, Progress, Work};
use crate::operation::record::Kind;
use crate::operation::steps::AWAIT_DEPLOYMENT;
use crate::operation::subject::BayDeployment;
use crate::rpc::arguments::{self, Argument, optional, required};
use crate::rpc::method::{Action, Answers, Call, CallError, Method, Write, Written};
use crate::store::{AppFilter, Key, Page, Scope, Transaction};
pub(super) use create::Create;
pub(super) use query::{Deployments, Diagnose, List, Show, Tasks, Versions};

const APP: Argument = required("app_ident").text();
const BAY: Argument = required("bay_ident").text();
const FORCE: Argument = optional("force").flag();
/// Seconds that the deployment may take, and what becomes of it then.
const DEADLINE: Argument = optional("deadline").integer();
const ON_DEADLINE: Argument = optional("on_deadline").text();

/// As many requests as may stand in a row behind the one that an app is busy with.
const MOST_WAITING: u64 = 32;
/// No deployment is waited for longer than a week.
const LONGEST: i64 = 7 * 24 * 3600;

/// A bay of the caller's, by uuid or name.
async fn find_bay(call: &Call<'_>, ident: &str) -> Result<Bay, CallError> {
    let store = &call.shop.store;
    if let Ok(uuid) = Uuid::parse_str(ident)
        && let Some(bay) = store.bay(&call.scope, Key::Uuid(uuid)).await?
    {
        return Ok(bay);
    }
    let mut named = store.bays_named(&call.scope, ident).await?;
    let first = named.pop().ok_or_else(|| Fault::BayNotFound(ident.to_owned()))?;
    if !named.is_empty() {
        let text = "Multiple bays exist with same name. Please use the bay uuid instead.";
        return Err(Fault::Conflict(text.to_owned()).into());
    }
    Ok(first)
}

/// An app of the caller's on a bay, by uuid or name.
async fn find_app(call: &Call<'_>, bay: &Bay, ident: &str) -> Result<App, CallError> {
    let store = &call.shop.store;
    let found = match Uuid::parse_str(ident) {
        Ok(uuid) => store.app(&call.scope, Key::Uuid(uuid)).await?.filter(|app| app.bay_uuid == bay.uuid),
        Err(_) => {
            let filter =
                AppFilter { bay_uuid: Some(bay.uuid), name: Some(ident.to_owned()), ..AppFilter::default() };
            store.apps(&call.scope, &filter, &Page { limit: Some(1), ..Page::default() }).await?.pop()
        }
    };
    Ok(found.ok_or_else(|| Fault::AppNotFound(ident.to_owned()))?)
}

/// The app and the bay that a call is about.
async fn located(call: &Call<'_>) -> Result<(App, Bay), CallError> {
    let bay = find_bay(call, arguments::text(call.args(), "bay_ident")?.unwrap_or_default()).await?;
    let app = find_app(call, &bay, arguments::text(call.args(), "app_ident")?.unwrap_or_default()).await?;
    Ok((app, bay))
}

/// What is to be done, as far as every command on an app says it.
fn work(call: &Call<'_>, deed: Deed, several: bool) -> Result<Work, Fault> {
    let args = call.args();
    let configured = &call.shop.settings.deployments;
    let deadline = match arguments::integer(args, "deadline")? {
        None => configured.deadline,
        Some(seconds) if (1..=LONGEST).contains(&seconds) => Duration::from_secs(seconds.unsigned_abs()),
        Some(_) => {
            let text = format!("deadline must be from 1 to {LONGEST} seconds.");
            return Err(Fault::InvalidParameterValue(text));
        }
    };
    let on_deadline = match arguments::text(args, "on_deadline")? {
        // Several apps are there together or not at all.
        None if several => OnDeadline::Rollback,
        None => configured.on_deadline,
        Some(text) => OnDeadline::parse(text).ok_or_else(|| {
            Fault::InvalidParameterValue("on_deadline must be leave, rollback or cancel.".to_owned())
        })?,
    };
    Ok(Work {
        deed,
        force: arguments::flag(args, "force")?,
        deadline,
        on_deadline,
        before: None,
        marks: BTreeMap::new(),
        deployments: Vec::new(),
        until_ms: None,
    })
}

/// A manifest as text, whichever way it was sent.
fn manifest_text(value: Option<&Value>) -> Result<Option<String>, Fault> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(json @ (Value::Object(_) | Value::Array(_))) => Ok(Some(json.to_string())),
        Some(Value::Bool(_) | Value::Number(_)) => {
            Err(Fault::InvalidManifest("/: must be an app, an array of apps or a group".to_owned()))
        }
    }
}

/// A manifest of the bay's framework, without faults.
fn checked(bay: &Bay, text: &str) -> Result<crate::app::Manifest, Fault> {
    let kind = framework::Kind::of(&bay.labels)
        .map_err(|fault| Fault::InvalidParameterValue(format!("{fault}.")))?;
    kind.manifest(text).map_err(|faults| Fault::InvalidManifest(faults.to_string()))
}

/// A command on an app that exists.
struct Change {
    command: Command,
    scope: Scope,
    app: Uuid,
    work: Work,
}

impl Change {
    fn of(call: &Call<'_>, kind: Kind, (app, bay): (&App, &Bay), deed: Deed) -> Result<Action, CallError> {
        let own = app.manifest.as_deref().unwrap_or_default();
        let text = if let Deed::Update(text) = &deed { text } else { own };
        let several = checked(bay, text).is_ok_and(|manifest| manifest.apps().len() > 1);
        let work = work(call, deed, several)?;
        let command = Command::read(call, kind, None)?;
        let scope = call.scope.clone();
        Ok(Action::Write(Box::new(Self { command, scope, app: app.uuid, work })))
    }

    /// Stands in the row, behind what was asked for before.
    async fn queue(&self, tx: &mut Transaction, app: &App) -> Result<Written, CallError> {
        let progress = Progress { work: Some(self.work.clone()), ..self.command.progress() };
        let Some(last) = tx.last_operation(app.uuid).await? else {
            return self.command.begin(tx, app, &progress).await;
        };
        let deletes = self.command.kind == Kind::AppDelete;
        if last.kind == Kind::AppDelete && deletes {
            return self.join(tx, &last).await;
        }
        if last.kind == Kind::AppDelete {
            return Err(self.refused(app, "it is being deleted.").into());
        }
        if self.work.force || deletes {
            tx.supersede_all(app.uuid).await?;
        } else if tx.unfinished(app.uuid).await? > MOST_WAITING {
            return Err(self.refused(app, "too many requests wait for it.").into());
        }
        self.command.begin_after(tx, app, &progress, last.uuid).await
    }

    /// The first delete answers this caller too; one that has answered already has nothing more to say.
    async fn join(
        &self,
        tx: &mut Transaction,
        first: &crate::operation::record::Operation,
    ) -> Result<Written, CallError> {
        let Some(reply_to) = &self.command.reply_to else { return Ok(Written::Operation) };
        if first.step == AWAIT_DEPLOYMENT && !reply_to.at_end {
            return Ok(Written::Answer(Value::Null));
        }
        self.command.await_answer(tx, first.uuid).await?;
        Ok(Written::Operation)
    }

    fn refused(&self, app: &App, reason: &str) -> Fault {
        let name = app.name.clone().unwrap_or_else(|| app.uuid.to_string());
        Fault::AppOperationInProgress { app: name, reason: reason.to_owned() }
    }
}

#[async_trait]
impl Write for Change {
    async fn apply(&self, tx: &mut Transaction) -> Result<Written, CallError> {
        let not_found = || Fault::AppNotFound(self.app.to_string());
        let app = tx.app(&self.scope, Key::Uuid(self.app)).await?.ok_or_else(not_found)?;
        let leaving = app.status.is_some_and(|status: Status| status.action == Doing::Delete);
        if leaving && self.command.kind != Kind::AppDelete {
            return Err(self.refused(&app, "it was asked to be deleted.").into());
        }
        self.queue(tx, &app).await
    }
}

/// Declares a command on an app: its name, its kind, its arguments besides those that all have, and what it does.
macro_rules! commands {
    ($($(#[$about:meta])* $name:ident, $method:literal, $kind:ident, [$($argument:expr),*], $answers:expr, $read:expr;)*) => { $(
        $(#[$about])*
        pub(super) struct $name;

        #[async_trait]
        impl Method for $name {
            fn name(&self) -> &'static str {
                $method
            }

            fn answers(&self) -> Answers {
                $answers
            }

            fn writes(&self, _call: &Call<'_>) -> bool {
                true
            }

            fn arguments(&self) -> &'static [Argument] {
                const TAKES: &[Argument] = &[APP, BAY, $($argument,)* WAIT, NOTIFY_QUEUE];
                TAKES
            }

            async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
                let (app, bay) = located(call).await?;
                let read: fn(&Call<'_>) -> Result<Deed, Fault> = $read;
                Change::of(call, Kind::$kind, (&app, &bay), read(call)?)
            }
        }
    )* };
}

commands! {
    Delete, "app_delete", AppDelete, [FORCE, DEADLINE], Answers::Nothing, |_| Ok(Deed::Delete);
    Scale, "app_scale", AppScale, [required("instances").integer(), FORCE, DEADLINE, ON_DEADLINE],
        Answers::Object(objects::APP), instances;
    Restart, "app_restart", AppRestart, [FORCE, DEADLINE, ON_DEADLINE], Answers::Object(objects::APP),
        |_| Ok(Deed::Restart);
    Rollback, "app_rollback", AppRollback, [required("version").text(), FORCE, DEADLINE, ON_DEADLINE],
        Answers::Object(objects::APP), version;
    TaskKill, "app_task_kill", AppTaskKill,
        [required("task_id").text(), optional("scale").flag(), optional("wipe").flag(), FORCE, DEADLINE],
        Answers::Object(objects::APP), task;
}

fn instances(call: &Call<'_>) -> Result<Deed, Fault> {
    let number = arguments::integer(call.args(), "instances")?;
    let count =
        number.and_then(|number| u32::try_from(number).ok()).filter(|count| *count <= i32::MAX as u32);
    let wrong = || Fault::InvalidParameterValue(format!("instances must be from 0 to {}.", i32::MAX));
    count.map(Deed::Scale).ok_or_else(wrong)
}

fn version(call: &Call<'_>) -> Result<Deed, Fault> {
    let version = arguments::text(call.args(), "version")?.filter(|version| !version.is_empty());
    let wrong = || Fault::InvalidParameterValue("version must be one of app_versions.".to_owned());
    version.map(|version| Deed::Rollback(version.to_owned())).ok_or_else(wrong)
}

fn task(call: &Call<'_>) -> Result<Deed, Fault> {
    let args = call.args();
    let task = arguments::text(args, "task_id")?.filter(|task| !task.is_empty());
    let task = task.ok_or_else(|| Fault::InvalidParameterValue("task_id must name a task.".to_owned()))?;
    let (scale, wipe) = (arguments::flag(args, "scale")?, arguments::flag(args, "wipe")?);
    if scale && wipe {
        let text = "scale and wipe cannot be asked for at the same time.".to_owned();
        return Err(Fault::InvalidParameterValue(text));
    }
    Ok(Deed::KillTask { task: task.to_owned(), scale, wipe })
}

/// Puts a manifest in the place of the app's.
pub(super) struct Update;

#[async_trait]
impl Method for Update {
    fn name(&self) -> &'static str {
        "app_update"
    }

    fn answers(&self) -> Answers {
        Answers::Object(objects::APP)
    }

    fn writes(&self, _call: &Call<'_>) -> bool {
        true
    }

    fn arguments(&self) -> &'static [Argument] {
        const TAKES: &[Argument] =
            &[APP, BAY, required("manifest"), FORCE, DEADLINE, ON_DEADLINE, WAIT, NOTIFY_QUEUE];
        TAKES
    }

    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
        let (app, bay) = located(call).await?;
        let text = manifest_text(call.args().get("manifest"))?;
        let text = text.ok_or_else(|| Fault::InvalidManifest("/: is required".to_owned()))?;
        same_subject(&app, &checked(&bay, &text)?)?;
        Change::of(call, Kind::AppUpdate, (&app, &bay), Deed::Update(text))
    }
}

/// An update keeps what the app is called. Several apps without a group stay the same ones: nothing would say that one
/// which is left out is to be deleted.
fn same_subject(app: &App, manifest: &crate::app::Manifest) -> Result<(), Fault> {
    let (own, new) = (app.framework_id.clone().unwrap_or_default(), manifest.subject().to_string());
    let ids = |text: &str| text.split(',').map(str::to_owned).collect::<BTreeSet<_>>();
    if own.is_empty() || ids(&own) == ids(&new) {
        return Ok(());
    }
    Err(Fault::InvalidManifest(format!("/id: is {new}, and the app is {own}; another id is another app")))
}

/// Ends a deployment of a bay's framework.
pub(super) struct Cancel;

#[async_trait]
impl Method for Cancel {
    fn name(&self) -> &'static str {
        "deployment_cancel"
    }

    fn answers(&self) -> Answers {
        Answers::Shape("Cancelled")
    }

    fn writes(&self, _call: &Call<'_>) -> bool {
        true
    }

    fn arguments(&self) -> &'static [Argument] {
        const TAKES: &[Argument] = &[BAY, required("deployment_id").text(), FORCE, WAIT, NOTIFY_QUEUE];
        TAKES
    }

    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
        let args = call.args();
        let bay = find_bay(call, arguments::text(args, "bay_ident")?.unwrap_or_default()).await?;
        let id = arguments::text(args, "deployment_id")?.unwrap_or_default().to_owned();
        if id.is_empty() {
            return Err(Fault::DeploymentNotFound(id).into());
        }
        let command = Command::read(call, Kind::DeploymentCancel, None)?;
        let force = arguments::flag(args, "force")?;
        Ok(Action::Write(Box::new(CancelDeployment { command, bay, id, force })))
    }
}

struct CancelDeployment {
    command: Command,
    bay: Bay,
    id: String,
    force: bool,
}

#[async_trait]
impl Write for CancelDeployment {
    async fn apply(&self, tx: &mut Transaction) -> Result<Written, CallError> {
        let cancelled = Cancelled {
            bay: self.bay.uuid,
            deployment: self.id.clone(),
            force: self.force,
            reverts: Vec::new(),
        };
        let progress = Progress { cancelled: Some(cancelled), ..self.command.progress() };
        let subject = BayDeployment { uuid: Uuid::new_v4(), bay: self.bay.clone(), id: self.id.clone() };
        self.command.begin(tx, &subject, &progress).await
    }
}
