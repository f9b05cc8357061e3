//! `bay_create`, `bay_update`, `bay_delete`: checked here, done by operations.

use std::time::Duration;

use async_trait::async_trait;
use mesos_conductor_proto::object::Object;
use serde_json::Value;
use uuid::Uuid;

use crate::bay::{Bay, BayModel, Status, parameters};
use crate::error::Fault;
use crate::objects;
use crate::operation::progress::{Before, Progress, Repair};
use crate::operation::record::{Kind, Operation};
use crate::operation::{step, steps};
use crate::rpc::arguments::{self, Argument, optional, required};
use crate::rpc::endpoints::command::{Command, NOTIFY_QUEUE, WAIT};
use crate::rpc::method::{Action, Answers, Call, CallError, Method, Write, Written};
use crate::store::{self, Key, Scope, Transaction, Visibility};

mod password;

/// How long a caller who changes nothing waits for Heat to say whether anything is broken.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// The size of Magnum's text columns.
const TEXT_LIMIT: usize = 255;

pub(super) struct Create;

#[async_trait]
impl Method for Create {
    fn name(&self) -> &'static str {
        "bay_create"
    }

    fn answers(&self) -> Answers {
        Answers::Object(objects::BAY)
    }

    fn writes(&self, _call: &Call<'_>) -> bool {
        true
    }

    fn arguments(&self) -> &'static [Argument] {
        const TAKES: &[Argument] = &[
            required("bay").object(objects::BAY),
            optional("bay_create_timeout").integer(),
            WAIT,
            NOTIFY_QUEUE,
        ];
        TAKES
    }

    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
        let object = arguments::object(call.args(), "bay", objects::BAY)?;
        let command = Command::read(call, Kind::BayCreate, Some(&object))?;
        if command.token.is_none() {
            return Err(no_token().into());
        }
        let model = find_model(call, object.text("baymodel_id").unwrap_or_default()).await?;
        let mut bay = new_bay(call, &object)?;
        bay.model_id = Some(model.uuid.to_string());
        bay.keypair.clone_from(&model.keypair_id);
        bay.labels = model.labels.clone();
        parameters::driver_supported(&model).map_err(Fault::from)?;
        // What Heat would refuse for want of a parameter is refused before anything is made.
        parameters::stack_parameters(&bay, &model, &call.shop.settings.placement, None)
            .map_err(Fault::from)?;
        if call.shop.cloud.trusts_configured() {
            let project = bay.project_id.as_deref().unwrap_or_default();
            bay.trustee_username = Some(format!("{}_{project}", bay.uuid));
            bay.trustee_password = Some(password::generate(&call.settings.password_symbols));
        }
        Ok(Action::Write(Box::new(CreateBay { command, bay })))
    }
}

fn no_token() -> Fault {
    Fault::AuthorizationFailure {
        client: "keystone".to_owned(),
        message: "The request carried no token.".to_owned(),
    }
}

async fn find_model(call: &Call<'_>, ident: &str) -> Result<BayModel, CallError> {
    let not_found = || Fault::BayModelNotFound(ident.to_owned());
    let uuid = Uuid::parse_str(ident).map_err(|_| not_found())?;
    Ok(call
        .shop
        .store
        .model(&call.scope, Visibility::OrPublic, Key::Uuid(uuid))
        .await?
        .ok_or_else(not_found)?)
}

/// Refuses what Magnum's columns do not hold. SQLite would hold it, and Heat would be asked for it.
fn storable(name: &str, number: Option<i64>) -> Result<(), Fault> {
    match number {
        Some(number) if i32::try_from(number).is_err() => {
            Err(Fault::InvalidParameterValue(format!("{name} is out of range: {number}.")))
        }
        Some(_) | None => Ok(()),
    }
}

/// The bay as asked for: of the object only what a caller may choose is taken (I7), the owner is the context's (I6).
fn new_bay(call: &Call<'_>, object: &Object) -> Result<Bay, CallError> {
    let context = &call.request.context;
    let asked = object.text("uuid").and_then(|text| Uuid::parse_str(text).ok());
    let timeout = match arguments::integer(call.args(), "bay_create_timeout")? {
        Some(minutes) => Some(minutes),
        None => object.integer("bay_create_timeout"),
    };
    if timeout.is_some_and(|minutes| minutes < 0) {
        return Err(
            Fault::InvalidParameterValue("bay_create_timeout must not be negative.".to_owned()).into()
        );
    }
    for (name, number) in [
        ("bay_create_timeout", timeout),
        ("node_count", object.integer("node_count")),
        ("master_count", object.integer("master_count")),
    ] {
        storable(name, number)?;
    }
    for name in ["name", "discovery_url"] {
        if object.text(name).is_some_and(|text| text.chars().count() > TEXT_LIMIT) {
            let text = format!("{name} must not be longer than {TEXT_LIMIT} characters.");
            return Err(Fault::InvalidParameterValue(text).into());
        }
    }
    Ok(Bay {
        uuid: asked.unwrap_or_else(Uuid::new_v4),
        name: object.text("name").map(str::to_owned),
        project_id: context.project_id().map(str::to_owned),
        user_id: context.user_id().map(str::to_owned),
        status: Some(Status::CreateInProgress),
        create_timeout: timeout,
        node_count: Some(object.integer("node_count").unwrap_or(1)),
        master_count: Some(object.integer("master_count").unwrap_or(1)),
        discovery_url: object.text("discovery_url").map(str::to_owned),
        ..Bay::default()
    })
}

struct CreateBay {
    command: Command,
    bay: Bay,
}

#[async_trait]
impl Write for CreateBay {
    async fn apply(&self, tx: &mut Transaction) -> Result<Written, CallError> {
        // The model may have gone since it was read.
        let model = self.bay.model_id.clone().unwrap_or_default();
        let uuid = Uuid::parse_str(&model).map_err(|_| Fault::BayModelNotFound(model.clone()))?;
        tx.model(&Scope::All, Visibility::OwnOnly, Key::Uuid(uuid))
            .await?
            .ok_or(Fault::BayModelNotFound(model))?;
        match tx.insert_bay(&self.bay).await {
            Err(store::Error::Duplicate) => {
                return Err(Fault::BayAlreadyExists(self.bay.uuid.to_string()).into());
            }
            other => other?,
        };
        self.command.begin(tx, &self.bay, &self.command.progress()).await
    }
}

pub(super) struct Update;

const NODES_TO_REMOVE: &str = "nodes_to_remove";

#[async_trait]
impl Method for Update {
    fn name(&self) -> &'static str {
        "bay_update"
    }

    fn answers(&self) -> Answers {
        Answers::Object(objects::BAY)
    }

    fn writes(&self, _call: &Call<'_>) -> bool {
        true
    }

    fn arguments(&self) -> &'static [Argument] {
        const TAKES: &[Argument] =
            &[required("bay").object(objects::BAY), optional(NODES_TO_REMOVE).list(), WAIT, NOTIFY_QUEUE];
        TAKES
    }

    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
        let object = arguments::object(call.args(), "bay", objects::BAY)?;
        let leaving = arguments::texts(call.args(), NODES_TO_REMOVE)?;
        let command = Command::read(call, Kind::BayUpdate, Some(&object))?;
        let ident = object.text("uuid").unwrap_or_default().to_owned();
        let uuid = Uuid::parse_str(&ident).map_err(|_| Fault::BayNotFound(ident))?;
        let refused: Vec<_> = object
            .changes()
            .iter()
            // A plain dict marks all its fields as changed; the uuid only says which bay is meant.
            .filter(|field| !matches!(field.as_str(), "node_count" | "uuid"))
            .cloned()
            .collect();
        if !refused.is_empty() {
            let fields = refused.join(", ");
            return Err(
                Fault::InvalidParameterValue(format!("cannot change bay property(ies) {fields}.")).into()
            );
        }
        let node_count = object.integer("node_count").filter(|_| object.is_changed("node_count"));
        storable("node_count", node_count)?;
        if node_count.is_some_and(|count| count < 1) {
            return Err(Fault::InvalidParameterValue("node_count must be at least 1.".to_owned()).into());
        }
        let repair = is_broken(call, uuid, node_count).await?;
        let scope = call.scope.clone();
        Ok(Action::Write(Box::new(UpdateBay { command, uuid, scope, node_count, leaving, repair })))
    }
}

/// Whether an update that changes nothing has something to do all the same: Heat replaces a server that it takes to be
/// broken, such as that of a lost master, when the stack is updated.
async fn is_broken(call: &Call<'_>, uuid: Uuid, node_count: Option<i64>) -> Result<bool, CallError> {
    let shop = call.shop;
    let Some(bay) = shop.store.bay(&call.scope, Key::Uuid(uuid)).await? else { return Ok(false) };
    let unchanged = node_count.is_none() || node_count == bay.node_count;
    let (Some(stack), true) = (&bay.stack_id, unchanged && bay.status.is_some_and(Status::allows_update))
    else {
        return Ok(false);
    };
    let Some(credentials) = step::standing(&bay, &shop.settings) else { return Ok(false) };
    let within = shop.settings.request_timeout.min(LONGEST_LOOK);
    match shop.cloud.stack_broken_servers(&credentials, stack, within).await {
        Ok(broken) => {
            for server in &broken {
                let (name, stack) = (&server.name, server.stack_name.as_deref().unwrap_or_default());
                tracing::info!(bay = %uuid, name, stack, status = server.status, "a server is to be replaced");
            }
            Ok(!broken.is_empty())
        }
        // What was asked for is nothing, and that can be done.
        Err(error) => {
            tracing::warn!(bay = %uuid, %error, "whether anything of the bay is broken cannot be seen");
            Ok(false)
        }
    }
}

struct UpdateBay {
    command: Command,
    uuid: Uuid,
    scope: Scope,
    node_count: Option<i64>,
    /// The agents that are to go, by their addresses.
    leaving: Vec<String>,
    repair: bool,
}

#[async_trait]
impl Write for UpdateBay {
    async fn apply(&self, tx: &mut Transaction) -> Result<Written, CallError> {
        let bay = locate(tx, &self.scope, self.uuid).await?;
        let wanted = self.node_count.or(bay.node_count);
        if !self.leaving.is_empty() && wanted >= bay.node_count {
            let text = format!("{NODES_TO_REMOVE} names agents, and the bay is not to have fewer of them.");
            return Err(Fault::InvalidParameterValue(text).into());
        }
        let repair = self.repair && wanted == bay.node_count;
        if wanted == bay.node_count && !repair {
            let model = match bay.model_id.as_deref().and_then(|id| Uuid::parse_str(id).ok()) {
                Some(uuid) => tx.model(&Scope::All, Visibility::OwnOnly, Key::Uuid(uuid)).await?,
                None => None,
            };
            let version = objects::version_or_latest(objects::BAY, self.command.object_version.as_deref())?;
            return Ok(Written::Answer(objects::bay_primitive(&bay, model.as_ref(), version)?));
        }
        let progress = Progress {
            repair: repair.then(Repair::default),
            nodes_to_remove: self.leaving.clone(),
            ..self.command.progress()
        };
        begin_update(tx, &self.command, bay, wanted, progress).await
    }
}

/// Begins what changes a bay that is at rest, and refuses where it is not.
pub(super) async fn begin_update(
    tx: &mut Transaction,
    command: &Command,
    bay: Bay,
    node_count: Option<i64>,
    progress: Progress,
) -> Result<Written, CallError> {
    let refusal = |status: &str| Fault::NotSupported {
        operation: format!("Updating a bay when stack status is \"{status}\""),
    };
    if !bay.status.is_some_and(Status::allows_update) {
        return Err(refusal(bay.status.map_or("None", Status::as_str)).into());
    }
    if let Some(active) = tx.active_operation(bay.uuid).await? {
        return Err(refusal(in_progress(active.kind)).into());
    }
    let before = Before {
        node_count: bay.node_count,
        status: bay.status.map(|status| status.as_str().to_owned()),
        status_reason: bay.status_reason.clone(),
    };
    let changed = Bay { node_count, status: Some(Status::UpdateInProgress), status_reason: None, ..bay };
    tx.update_bay(&changed).await?;
    let progress = Progress { before: Some(before), ..progress };
    command.begin(tx, &changed, &progress).await
}

/// The status that tells of an operation on a bay.
fn in_progress(kind: Kind) -> &'static str {
    if kind == Kind::BayCreate {
        return Status::CreateInProgress.as_str();
    }
    if kind.is_delete() { Status::DeleteInProgress.as_str() } else { Status::UpdateInProgress.as_str() }
}

pub(super) async fn locate(tx: &mut Transaction, scope: &Scope, uuid: Uuid) -> Result<Bay, CallError> {
    Ok(tx.bay(scope, Key::Uuid(uuid)).await?.ok_or_else(|| Fault::BayNotFound(uuid.to_string()))?)
}

pub(super) struct Delete;

#[async_trait]
impl Method for Delete {
    fn name(&self) -> &'static str {
        "bay_delete"
    }

    fn answers(&self) -> Answers {
        Answers::Nothing
    }

    fn writes(&self, _call: &Call<'_>) -> bool {
        true
    }

    fn arguments(&self) -> &'static [Argument] {
        const TAKES: &[Argument] = &[required("uuid").text(), WAIT, NOTIFY_QUEUE];
        TAKES
    }

    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
        let ident = arguments::text(call.args(), "uuid")?.unwrap_or_default().to_owned();
        let command = Command::read(call, Kind::BayDelete, None)?;
        let uuid = Uuid::parse_str(&ident).map_err(|_| Fault::BayNotFound(ident))?;
        Ok(Action::Write(Box::new(DeleteBay { command, uuid, scope: call.scope.clone() })))
    }
}

struct DeleteBay {
    command: Command,
    uuid: Uuid,
    scope: Scope,
}

#[async_trait]
impl Write for DeleteBay {
    async fn apply(&self, tx: &mut Transaction) -> Result<Written, CallError> {
        let bay = locate(tx, &self.scope, self.uuid).await?;
        match tx.active_operation(bay.uuid).await? {
            None => {
                let leaving = Bay { status: Some(Status::DeleteInProgress), status_reason: None, ..bay };
                tx.update_bay(&leaving).await?;
                self.command.begin(tx, &leaving, &self.command.progress()).await
            }
            // The first delete answers this caller too; one that has answered already has nothing more to say.
            Some(active) if active.kind == Kind::BayDelete => self.join(tx, &active).await,
            Some(active) => match tx.successor(active.uuid).await? {
                // An earlier delete waits for this operation to stop: it answers this caller too.
                Some(earlier) => self.join(tx, &earlier).await,
                None => {
                    tx.supersede(active.uuid).await?;
                    self.command.begin_after(tx, &bay, &self.command.progress(), active.uuid).await
                }
            },
        }
    }
}

impl DeleteBay {
    async fn join(&self, tx: &mut Transaction, active: &Operation) -> Result<Written, CallError> {
        let Some(reply_to) = &self.command.reply_to else { return Ok(Written::Operation) };
        let accepted = active.step != steps::first(Kind::BayDelete);
        if accepted && !reply_to.at_end {
            return Ok(Written::Answer(Value::Null));
        }
        self.command.await_answer(tx, active.uuid).await?;
        Ok(Written::Operation)
    }
}
