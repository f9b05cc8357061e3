//! The conductor as magnum-api asks it: bay models and bays, over RPC.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use mesos_conductor::client::{CallError, CallOptions, Client};
use mesos_conductor_proto::context::RequestContext;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::cloud::{User, text};

/// How long a bay may take for anything.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(250);

#[derive(Debug, Clone)]
pub(crate) struct Conductor {
    client: Client,
    auth_url: String,
}

/// What the conductor answers that is no result: the class of the failure and what it says.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) class: String,
    pub(crate) message: String,
}

impl Conductor {
    pub(crate) const fn new(client: Client, auth_url: String) -> Self {
        Self { client, auth_url }
    }

    /// A request in somebody's name: its result, or the conductor's refusal.
    async fn call(&self, user: &User, method: &str, args: Value) -> anyhow::Result<Result<Value, Refusal>> {
        let Value::Object(args) = args else { bail!("arguments are a map") };
        let context = self.context(user);
        let options = CallOptions { context, timeout: ANSWER, ..CallOptions::default() };
        match self.client.call(method, args, options).await {
            Ok(value) => Ok(Ok(value)),
            Err(CallError::Remote(failure)) => {
                Ok(Err(Refusal { message: failure.to_string(), class: failure.class }))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn context(&self, user: &User) -> RequestContext {
        RequestContext::default()
            .with("auth_token", user.token.as_str())
            .with("auth_url", self.auth_url.as_str())
            .with("user_id", user.id.as_str())
            .with("user_name", user.name)
            .with("project_id", user.project_id.as_str())
            .with("project_name", user.project)
            .with("domain_id", "default")
            .with("roles", json!(user.roles))
            .with("request_id", format!("req-{}", Uuid::new_v4()))
            .with("is_admin", false)
    }

    /// Makes a bay model of these fields beside those that all have. Returns its uuid.
    pub(crate) async fn create_model(
        &self,
        user: &User,
        fields: Map<String, Value>,
    ) -> anyhow::Result<String> {
        let mut model = json!({
            "name": "e2e", "coe": "mesos", "cluster_distro": "ubuntu", "server_type": "vm",
            "image_id": "mesos", "keypair_id": "key", "external_network_id": "public",
            "flavor_id": "m1.small", "master_flavor_id": "m1.small", "dns_nameserver": "192.0.2.53",
        });
        for (name, value) in fields {
            model[name] = value;
        }
        let args = json!({
            "objinst": object("BayModel", "1.10", model), "objmethod": "create", "args": [], "kwargs": {},
        });
        let answer = expected(self.call(user, "object_action", args).await?, "a bay model")?;
        Ok(text(&answer[0]["uuid"]))
    }

    /// Asks for a bay. Returns its uuid.
    pub(crate) async fn create(
        &self,
        user: &User,
        name: &str,
        model: &str,
        masters: i64,
        nodes: i64,
    ) -> anyhow::Result<String> {
        let bay = json!({ "name": name, "baymodel_id": model, "node_count": nodes, "master_count": masters });
        let args = json!({ "bay": object("Bay", "1.5", bay), "bay_create_timeout": 20 });
        let made = expected(self.call(user, "bay_create", args).await?, "a bay")?;
        Ok(text(&data(&made)["uuid"]))
    }

    /// Asks for another number of nodes.
    pub(crate) async fn resize(
        &self,
        user: &User,
        uuid: &str,
        nodes: i64,
    ) -> anyhow::Result<Result<Value, Refusal>> {
        self.resize_without(user, uuid, nodes, &[]).await
    }

    /// The same, and says whose addresses are to go.
    pub(crate) async fn resize_without(
        &self,
        user: &User,
        uuid: &str,
        nodes: i64,
        leaving: &[&str],
    ) -> anyhow::Result<Result<Value, Refusal>> {
        let mut bay = object("Bay", "1.5", json!({ "uuid": uuid, "node_count": nodes }));
        bay["magnum_object.changes"] = json!(["node_count"]);
        self.call(user, "bay_update", json!({ "bay": bay, "nodes_to_remove": leaving })).await
    }

    /// Asks for another authority.
    pub(crate) async fn rotate(&self, user: &User, uuid: &str) -> anyhow::Result<Result<Value, Refusal>> {
        let bay = object("Bay", "1.5", json!({ "uuid": uuid }));
        self.call(user, "rotate_ca_certificate", json!({ "bay": bay })).await
    }

    /// The certificate of a bay's authority.
    pub(crate) async fn authority(&self, user: &User, uuid: &str) -> anyhow::Result<String> {
        let bay = object("Bay", "1.5", json!({ "uuid": uuid }));
        let answer = self.call(user, "get_ca_certificate", json!({ "bay": bay })).await?;
        Ok(text(&data(&expected(answer, "the authority's certificate")?)["pem"]))
    }

    pub(crate) async fn delete(&self, user: &User, uuid: &str) -> anyhow::Result<Result<Value, Refusal>> {
        self.call(user, "bay_delete", json!({ "uuid": uuid })).await
    }

    /// The bay's fields; `None` when there is no such bay.
    pub(crate) async fn bay(&self, user: &User, uuid: &str) -> anyhow::Result<Option<Value>> {
        let args = json!({
            "objname": "Bay", "objmethod": "get_by_uuid", "objver": "1.5", "args": [uuid], "kwargs": {},
        });
        match self.call(user, "object_class_action", args).await? {
            Ok(bay) => Ok(Some(data(&bay).clone())),
            Err(refusal) if refusal.class == "BayNotFound" => Ok(None),
            Err(refusal) => bail!("a bay is not shown: {refusal:?}"),
        }
    }

    /// Waits until nothing happens to the bay any more. `None`: it is gone.
    pub(crate) async fn at_rest(&self, user: &User, uuid: &str) -> anyhow::Result<Option<Value>> {
        let began = Instant::now();
        loop {
            let Some(bay) = self.bay(user, uuid).await? else { return Ok(None) };
            if !text(&bay["status"]).ends_with("IN_PROGRESS") {
                return Ok(Some(bay));
            }
            if began.elapsed() > PATIENCE {
                bail!("the bay is still {} ({})", bay["status"], bay["status_reason"]);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the bay has reached this state.
    pub(crate) async fn reaches(&self, user: &User, uuid: &str, status: &str) -> anyhow::Result<Value> {
        let bay = self.at_rest(user, uuid).await?.context("the bay is gone")?;
        if bay["status"] != status {
            bail!("the bay is {} and not {status}: {}", bay["status"], bay["status_reason"]);
        }
        Ok(bay)
    }

    /// Waits until the bay is gone.
    pub(crate) async fn vanishes(&self, user: &User, uuid: &str) -> anyhow::Result<()> {
        match self.at_rest(user, uuid).await? {
            None => Ok(()),
            Some(bay) => bail!("the bay is {} and not gone: {}", bay["status"], bay["status_reason"]),
        }
    }
}

/// The answer to what may not be refused.
pub(crate) fn expected(answer: Result<Value, Refusal>, what: &str) -> anyhow::Result<Value> {
    answer.map_err(|refusal| anyhow::anyhow!("{what} was refused: {}: {}", refusal.class, refusal.message))
}

/// A Bay or `BayModel` as clients send it: every field changed.
fn object(name: &str, version: &str, data: Value) -> Value {
    let changes: Vec<&String> = data.as_object().map(|fields| fields.keys().collect()).unwrap_or_default();
    json!({
        "magnum_object.name": name, "magnum_object.namespace": "magnum", "magnum_object.version": version,
        "magnum_object.changes": changes, "magnum_object.data": data,
    })
}

fn data(object: &Value) -> &Value {
    &object["magnum_object.data"]
}
