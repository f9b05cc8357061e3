//! The indirection API: reads and writes of objects, which magnum-api does through the conductor.

use async_trait::async_trait;
use mesos_conductor_proto::codec::Map;
use mesos_conductor_proto::object::Object;
use mesos_conductor_proto::version::Version;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bay::{Bay, BayModel, Status};
use crate::error::Fault;
use crate::objects;
use crate::rpc::arguments::{self, Argument, bind, optional, required};
use crate::rpc::method::{Action, Answers, Call, CallError, Method, Write, Written};
use crate::store::{self, BayFilter, Key, Page, Scope, Transaction, Visibility};

/// A method of an object's class: a read.
pub(super) struct ObjectClassAction;

#[async_trait]
impl Method for ObjectClassAction {
    fn name(&self) -> &'static str {
        "object_class_action"
    }

    fn answers(&self) -> Answers {
        Answers::ClassMethod
    }

    fn arguments(&self) -> &'static [Argument] {
        const TAKES: &[Argument] = &[
            required("objname").text(),
            required("objmethod").text(),
            required("objver").text(),
            required("args").list(),
            required("kwargs").dict(),
        ];
        TAKES
    }

    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
        let args = call.args();
        let objname = arguments::text(args, "objname")?.unwrap_or_default();
        let objmethod = arguments::text(args, "objmethod")?.unwrap_or_default();
        let version = objects::version_or_latest(objname, arguments::text(args, "objver")?)?;
        let read = Read { call, objmethod, version };
        let answer = match objname {
            objects::BAY => read.bay().await?,
            objects::BAY_MODEL => read.model().await?,
            other => return Err(Fault::UnsupportedObject(other.to_owned()).into()),
        };
        Ok(Action::Answer(answer))
    }
}

/// One read of a class.
struct Read<'a> {
    call: &'a Call<'a>,
    objmethod: &'a str,
    version: Version,
}

impl Read<'_> {
    async fn bay(&self) -> Result<Value, CallError> {
        let (store, scope) = (&self.call.shop.store, &self.call.scope);
        match self.objmethod {
            "get_by_uuid" => {
                let ident = self.ident("uuid")?;
                let found = match Uuid::parse_str(&ident) {
                    Ok(uuid) => store.bay(scope, Key::Uuid(uuid)).await?,
                    Err(_) => None,
                };
                self.one_bay(found, ident).await
            }
            "get_by_name" => {
                let name = self.ident("name")?;
                let mut found = store.bays_named(scope, &name).await?;
                let first = found.pop();
                if !found.is_empty() {
                    return Err(several("bays", "bay"));
                }
                self.one_bay(first, name).await
            }
            "list" => {
                let asked = self.bound(&["limit", "marker", "sort_key", "sort_dir", "filters"])?;
                let page = page(&asked, objects::BAY)?;
                let Some(filter) = filter(&asked)? else { return Ok(json!([])) };
                let bays = store.bays(scope, &filter, &page).await.map_err(sorted)?;
                let mut primitives = Vec::with_capacity(bays.len());
                for bay in &bays {
                    primitives.push(self.bay_primitive(bay).await?);
                }
                Ok(Value::Array(primitives))
            }
            _ => Err(self.unsupported(objects::BAY)),
        }
    }

    async fn one_bay(&self, found: Option<Bay>, ident: String) -> Result<Value, CallError> {
        let bay = found.ok_or(Fault::BayNotFound(ident))?;
        self.bay_primitive(&bay).await
    }

    /// The bay with the model it was made from, whoever owns that.
    async fn bay_primitive(&self, bay: &Bay) -> Result<Value, CallError> {
        let model = match bay.model_id.as_deref().and_then(|id| Uuid::parse_str(id).ok()) {
            Some(uuid) => {
                self.call.shop.store.model(&Scope::All, Visibility::OwnOnly, Key::Uuid(uuid)).await?
            }
            None => None,
        };
        Ok(objects::bay_primitive(bay, model.as_ref(), self.version)?)
    }

    async fn model(&self) -> Result<Value, CallError> {
        let (store, scope) = (&self.call.shop.store, &self.call.scope);
        match self.objmethod {
            "get_by_uuid" => {
                let ident = self.ident("uuid")?;
                let found = match Uuid::parse_str(&ident) {
                    Ok(uuid) => store.model(scope, Visibility::OrPublic, Key::Uuid(uuid)).await?,
                    Err(_) => None,
                };
                self.one_model(found, ident)
            }
            "get_by_name" => {
                let name = self.ident("name")?;
                let mut found = store.models_named(scope, Visibility::OrPublic, &name).await?;
                let first = found.pop();
                if !found.is_empty() {
                    return Err(several("baymodels", "baymodel"));
                }
                self.one_model(first, name)
            }
            "list" => {
                let asked = self.bound(&["limit", "marker", "sort_key", "sort_dir"])?;
                let page = page(&asked, objects::BAY_MODEL)?;
                let models = store.models(scope, Visibility::OrPublic, &page).await.map_err(sorted)?;
                let primitives = models.iter().map(|model| objects::model_primitive(model, self.version));
                Ok(Value::Array(primitives.collect::<Result<_, _>>()?))
            }
            _ => Err(self.unsupported(objects::BAY_MODEL)),
        }
    }

    fn one_model(&self, found: Option<BayModel>, ident: String) -> Result<Value, CallError> {
        let model = found.ok_or(Fault::BayModelNotFound(ident))?;
        Ok(objects::model_primitive(&model, self.version)?)
    }

    fn ident(&self, name: &'static str) -> Result<String, Fault> {
        let bound = self.bound(&[name])?;
        match bound.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            // A name or uuid that is no text is the name of nothing.
            Some(other) => Ok(other.to_string()),
            None => Err(Fault::WrongArguments(format!(
                "{}() missing 1 required positional argument: '{name}'",
                self.objmethod
            ))),
        }
    }

    fn bound(&self, names: &[&'static str]) -> Result<Map, Fault> {
        let (positional, keywords) = inner_arguments(self.call.args());
        bind(self.objmethod, names, &positional, &keywords)
    }

    fn unsupported(&self, object: &str) -> CallError {
        Fault::NotSupported { operation: format!("{object}.{}", self.objmethod) }.into()
    }
}

fn inner_arguments(args: &Map) -> (Vec<Value>, Map) {
    let positional = args.get("args").and_then(Value::as_array).cloned().unwrap_or_default();
    let keywords = args.get("kwargs").and_then(Value::as_object).cloned().unwrap_or_default();
    (positional, keywords)
}

fn several(many: &str, one: &str) -> CallError {
    Fault::Conflict(format!("Multiple {many} exist with same name. Please use the {one} uuid instead."))
        .into()
}

fn sorted(error: store::Error) -> CallError {
    if let store::Error::SortKey(key) = &error {
        let text = format!("The sort_key value \"{key}\" is an invalid field for sorting");
        return Fault::InvalidParameterValue(text).into();
    }
    if let store::Error::Marker(uuid) = &error {
        return Fault::InvalidParameterValue(format!("The marker {uuid} could not be found.")).into();
    }
    error.into()
}

fn page(asked: &Map, object: &'static str) -> Result<Page, CallError> {
    let marker = match asked.get("marker") {
        None | Some(Value::Null) => None,
        // The whole object, as the API read it before.
        Some(value) => {
            let marker = objects::read(value, Some(object))?;
            if marker.name() != object {
                return Err(Fault::InvalidParameterValue(
                    "The marker is an object of another class.".to_owned(),
                )
                .into());
            }
            marker.text("uuid").and_then(|text| Uuid::parse_str(text).ok())
        }
    };
    let limit = arguments::integer(asked, "limit")?.and_then(|limit| u32::try_from(limit).ok());
    let sort_key = arguments::text(asked, "sort_key")?.map(str::to_owned);
    let descending = arguments::text(asked, "sort_dir")?.is_some_and(|dir| dir.eq_ignore_ascii_case("desc"));
    Ok(Page { limit, marker, sort_key, descending })
}

/// `None` is a filter that no bay passes.
fn filter(asked: &Map) -> Result<Option<BayFilter>, Fault> {
    let mut filter = BayFilter::default();
    let Some(Value::Object(filters)) = asked.get("filters") else { return Ok(Some(filter)) };
    let text = |name: &str| arguments::text(filters, name).map(|text| text.map(str::to_owned));
    filter.model_id = text("baymodel_id")?;
    filter.name = text("name")?;
    filter.stack_id = text("stack_id")?;
    filter.api_address = text("api_address")?;
    filter.project_id = text("project_id")?;
    filter.user_id = text("user_id")?;
    filter.node_count = arguments::integer(filters, "node_count")?;
    filter.master_count = arguments::integer(filters, "master_count")?;
    if let Some(statuses) = filters.get("status").filter(|status| !status.is_null()) {
        let listed = statuses.as_array().cloned().unwrap_or_else(|| vec![statuses.clone()]);
        // A status that no bay can have selects nothing by itself.
        let known = listed.iter().filter_map(|status| status.as_str()?.parse::<Status>().ok());
        filter.status = known.collect();
        if filter.status.is_empty() && !listed.is_empty() {
            return Ok(None);
        }
    }
    Ok(Some(filter))
}

/// A method of an object: a write.
pub(super) struct ObjectAction;

#[async_trait]
impl Method for ObjectAction {
    fn name(&self) -> &'static str {
        "object_action"
    }

    fn answers(&self) -> Answers {
        Answers::Changes
    }

    fn writes(&self) -> bool {
        true
    }

    fn arguments(&self) -> &'static [Argument] {
        const TAKES: &[Argument] = &[
            required("objinst").any_object(),
            required("objmethod").text(),
            required("args").list(),
            required("kwargs").dict(),
            optional("objname").text(),
        ];
        TAKES
    }

    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
        let args = call.args();
        let class = arguments::text(args, "objname")?;
        let object = objects::read(args.get("objinst").unwrap_or(&Value::Null), class)?;
        let objmethod = arguments::text(args, "objmethod")?.unwrap_or_default();
        match (object.name(), objmethod) {
            (objects::BAY_MODEL, "create") => {
                let model = new_model(call, &object);
                Ok(Action::Write(Box::new(CreateModel { object, model })))
            }
            (objects::BAY_MODEL, "destroy") => {
                let ident = object.text("uuid").unwrap_or_default().to_owned();
                Ok(Action::Write(Box::new(DestroyModel { scope: call.scope.clone(), ident })))
            }
            (name, method) => Err(Fault::NotSupported { operation: format!("{name}.{method}") }.into()),
        }
    }
}

/// The model as asked for; its owner is the caller, whatever the object says (I6).
fn new_model(call: &Call<'_>, object: &Object) -> BayModel {
    let context = &call.request.context;
    let mut model = objects::model_from_object(object);
    if let Some(project) = context.project_id() {
        model.project_id = Some(project.to_owned());
    }
    if let Some(user) = context.user_id() {
        model.user_id = Some(user.to_owned());
    }
    if model.uuid.is_nil() {
        model.uuid = Uuid::new_v4();
    }
    model
}

struct CreateModel {
    object: Object,
    model: BayModel,
}

#[async_trait]
impl Write for CreateModel {
    async fn apply(&self, tx: &mut Transaction) -> Result<Written, CallError> {
        let id = match tx.insert_model(&self.model).await {
            Err(store::Error::Duplicate) => {
                return Err(Fault::BayModelAlreadyExists(self.model.uuid.to_string()).into());
            }
            other => other?,
        };
        let stored = tx.model(&Scope::All, Visibility::OwnOnly, Key::Id(id)).await?;
        let stored = stored.ok_or_else(|| store::Error::corrupt("a bay model just inserted"))?;
        let after = objects::model_primitive(&stored, self.object.version())?;
        Ok(Written::Answer(updates(&self.object, &after)))
    }
}

/// What an instance's method changed in it: the fields that the sender's copy lacks or has otherwise.
fn updates(sent: &Object, after: &Value) -> Value {
    let before = sent.to_primitive();
    let data = |primitive: &Value| primitive.get("magnum_object.data").and_then(Value::as_object).cloned();
    let before = data(&before).unwrap_or_default();
    let mut changed = data(after).unwrap_or_default();
    changed.retain(|name, value| before.get(name) != Some(value));
    changed.insert("obj_what_changed".to_owned(), json!([]));
    json!([changed, null])
}

struct DestroyModel {
    scope: Scope,
    ident: String,
}

#[async_trait]
impl Write for DestroyModel {
    async fn apply(&self, tx: &mut Transaction) -> Result<Written, CallError> {
        let not_found = || Fault::BayModelNotFound(self.ident.clone());
        let uuid = Uuid::parse_str(&self.ident).map_err(|_| not_found())?;
        // Seeing a public model is not owning it.
        let model =
            tx.model(&self.scope, Visibility::OwnOnly, Key::Uuid(uuid)).await?.ok_or_else(not_found)?;
        if tx.model_in_use(uuid).await? {
            return Err(Fault::BayModelReferenced(self.ident.clone()).into());
        }
        tx.delete_model(model.id).await?;
        Ok(Written::Answer(json!([{ "obj_what_changed": [] }, null])))
    }
}
