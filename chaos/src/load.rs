//! What the pool is asked for while things break: bays that are built, resized and deleted, and apps that live on others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mesos_conductor_proto::context::RequestContext;
use mesos_conductor_sandbox::Sandbox;
use mesos_conductor_sandbox::known::{DEMO_PROJECT, DEMO_USER, KnownProject, KnownUser};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::Client;

/// Between two looks at a bay.
const LOOK: Duration = Duration::from_millis(150);

/// What every actor shares.
pub(crate) struct Stage {
    pub(crate) client: Arc<Client>,
    pub(crate) sandbox: Arc<Sandbox>,
    /// Nothing new is begun once it is set.
    pub(crate) over: AtomicBool,
    /// When an answer that has not come is no longer waited for, in milliseconds after `began`.
    pub(crate) patience_ms: AtomicU64,
    pub(crate) began: Instant,
    pub(crate) model: String,
}

impl Stage {
    fn patience(&self) -> Instant {
        self.began + Duration::from_millis(self.patience_ms.load(Ordering::Relaxed))
    }

    pub(crate) fn end(&self, patience: Duration) {
        let until = (self.began.elapsed() + patience).as_millis();
        self.patience_ms.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    async fn command(&self, method: &str, args: Value) -> Option<Result<Value, String>> {
        self.client.command(method, args, &context(&self.sandbox), self.patience()).await
    }

    async fn status(&self, bay: &str) -> Option<Result<String, String>> {
        let args = json!({
            "objname": "Bay", "objmethod": "get_by_uuid", "objver": "1.5", "args": [bay], "kwargs": {},
        });
        let context = context(&self.sandbox);
        let found = self.client.query("object_class_action", &args, &context, self.patience());
        Some(found.await?.map(|bay| data(&bay)["status"].as_str().unwrap_or_default().to_owned()))
    }

    /// Waits until nothing happens to the bay any more. `None`: it is not there.
    async fn at_rest(&self, bay: &str) -> Option<String> {
        loop {
            match self.status(bay).await? {
                Ok(status) if !status.ends_with("IN_PROGRESS") => return Some(status),
                Ok(_) => tokio::time::sleep(LOOK).await,
                Err(_) => return None,
            }
        }
    }
}

/// Who asks: with a token of now, as an API has it.
pub(crate) fn context(sandbox: &Sandbox) -> RequestContext {
    context_of(sandbox, DEMO_USER, DEMO_PROJECT)
}

pub(crate) fn context_of(sandbox: &Sandbox, user: KnownUser, project: KnownProject) -> RequestContext {
    RequestContext::default()
        .with("auth_token", sandbox.issue_token(user, project))
        .with("auth_url", sandbox.auth_url())
        .with("user_id", user.id)
        .with("user_name", user.name)
        .with("project_id", project.id)
        .with("project_name", project.name)
        .with("domain_id", user.domain.id)
        .with("roles", json!(["member", "heat_stack_owner"]))
        .with("request_id", format!("req-{}", Uuid::new_v4()))
        .with("is_admin", false)
}

/// A Bay or `BayModel` as clients send it: every field changed.
fn object(name: &str, version: &str, data: Value) -> Value {
    let changes: Vec<String> =
        data.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default();
    json!({
        "magnum_object.name": name, "magnum_object.namespace": "magnum", "magnum_object.version": version,
        "magnum_object.data": data, "magnum_object.changes": changes,
    })
}

fn data(object: &Value) -> &Value {
    &object["magnum_object.data"]
}

/// Makes the bay model that all bays are built from.
pub(crate) async fn create_model(client: &Client, sandbox: &Sandbox) -> anyhow::Result<String> {
    create_model_as(client, &context(sandbox)).await
}

pub(crate) async fn create_model_as(client: &Client, context: &RequestContext) -> anyhow::Result<String> {
    let fields = json!({
        "name": "mesos-model", "coe": "mesos", "cluster_distro": "ubuntu", "server_type": "vm",
        "image_id": "ubuntu-mesos", "keypair_id": "testkey", "external_network_id": "public",
        "flavor_id": "m1.small", "master_flavor_id": "m1.small", "dns_nameserver": "8.8.8.8",
    });
    let args = json!({
        "objinst": object("BayModel", "1.10", fields), "objmethod": "create", "args": [], "kwargs": {},
    });
    let patience = Instant::now() + Duration::from_secs(60);
    let made = client.command("object_action", args, context, patience).await;
    let Some(Ok(answer)) = made else { anyhow::bail!("the bay model was not made: {made:?}") };
    Ok(answer[0]["uuid"].as_str().unwrap_or_default().to_owned())
}

pub(crate) fn bay_args(model: &str, name: &str) -> Value {
    let fields = json!({ "name": name, "baymodel_id": model, "node_count": 2, "master_count": 1 });
    json!({ "bay": object("Bay", "1.5", fields), "bay_create_timeout": 10 })
}

/// Builds, resizes and deletes one bay after another. Every fourth is deleted while it is being built.
pub(crate) async fn bays(stage: Arc<Stage>) {
    let mut turn = 0_u32;
    while !stage.is_over() {
        turn += 1;
        let name = format!("b{}", Uuid::new_v4().simple());
        let Some(Ok(bay)) = stage.command("bay_create", bay_args(&stage.model, &name)).await else {
            continue;
        };
        let Some(uuid) = data(&bay)["uuid"].as_str().map(str::to_owned) else { continue };
        let hasty = turn.is_multiple_of(4);
        if !hasty && stage.at_rest(&uuid).await.as_deref() == Some("CREATE_COMPLETE") && !stage.is_over() {
            let fields = json!({ "uuid": uuid, "node_count": 3 });
            let mut resized = object("Bay", "1.5", fields);
            resized["magnum_object.changes"] = json!(["node_count"]);
            if let Some(Ok(_)) = stage.command("bay_update", json!({ "bay": resized })).await {
                stage.at_rest(&uuid).await;
            }
        }
        // The last one stays: what live bays need must be there at the end.
        if stage.is_over() {
            return;
        }
        for _ in 0..3 {
            let deleted = stage.command("bay_delete", json!({ "uuid": uuid })).await;
            // Deleted, or not there any more; else the cloud refused and it is asked for again.
            if !matches!(deleted, Some(Ok(_))) || stage.at_rest(&uuid).await.is_none() {
                break;
            }
        }
    }
}

/// Builds one bay and runs one app after another on it.
pub(crate) async fn apps(stage: Arc<Stage>, bay: String) {
    while !stage.is_over() {
        let name = format!("a{}", Uuid::new_v4().simple());
        let manifest =
            json!({ "id": format!("/{name}"), "cmd": "sleep 1000", "cpus": 0.1, "mem": 16, "instances": 1 });
        let app = json!({ "name": name, "bay_uuid": bay, "manifest": manifest.to_string() });
        let made = stage.command("app_create", json!({ "app": app, "wait": true })).await;
        let ask = |method: &'static str, more: Value| {
            let mut args = json!({ "app_ident": name, "bay_ident": bay, "wait": true });
            for (key, value) in more.as_object().into_iter().flatten() {
                args[key] = value.clone();
            }
            stage.command(method, args)
        };
        if matches!(made, Some(Ok(_))) && !stage.is_over() {
            ask("app_scale", json!({ "instances": 2 })).await;
            ask("app_restart", json!({})).await;
        }
        if stage.is_over() {
            return;
        }
        ask("app_delete", json!({})).await;
    }
}

/// A bay for apps, built before anything breaks.
pub(crate) async fn town(stage: &Stage) -> anyhow::Result<String> {
    let made =
        stage.command("bay_create", bay_args(&stage.model, &format!("t{}", Uuid::new_v4().simple()))).await;
    let Some(Ok(bay)) = made else { anyhow::bail!("a bay for apps was not made: {made:?}") };
    let uuid = data(&bay)["uuid"].as_str().unwrap_or_default().to_owned();
    let status = stage.at_rest(&uuid).await;
    anyhow::ensure!(status.as_deref() == Some("CREATE_COMPLETE"), "a bay for apps became {status:?}");
    Ok(uuid)
}
