//! A world per test: its own sandbox cloud, database, exchange and topic; workers in it are real processes.

#[path = "support/app.rs"]
pub(crate) mod app;
#[path = "support/database.rs"]
pub(crate) mod database;
#[path = "support/document.rs"]
pub(crate) mod document;
#[path = "support/peer.rs"]
pub(crate) mod peer;
#[path = "support/worker.rs"]
pub(crate) mod worker;

use std::time::Duration;

use mesos_conductor::amqp::settings::Broker;
use mesos_conductor::client::{CallError, CallOptions, Client};
use mesos_conductor_proto::codec::Map;
use mesos_conductor_proto::context::RequestContext;
use mesos_conductor_sandbox::known::{DEMO_PROJECT, DEMO_USER};
use mesos_conductor_sandbox::{Config, KnownProject, KnownUser, Sandbox};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use self::database::{Backend, Database};
use self::worker::Worker;

/// How long anything may take that is waited for: only a fault makes a test wait this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) database: Database,
    pub(crate) broker: Broker,
    pub(crate) directory: TempDir,
    /// How workers reach the broker: a test may put a proxy between.
    pub(crate) amqp: String,
    /// How workers reach the database, likewise.
    pub(crate) database_url: String,
    pub(crate) log_filter: String,
    /// Where certificates are kept.
    pub(crate) certificates: &'static str,
    /// Bits of the keys that are made. Short ones are quick, and few tests are about them.
    pub(crate) key_size: u32,
    /// Whether the Marathons and Mesos masters of bays with TLS speak it. It needs keys of the usual length.
    bay_tls: bool,
    /// Seconds.
    pub(crate) lease: u64,
}

/// Any 32 bytes: the pools of workers on a database server have to be given a key.
pub(crate) const ENCRYPTION_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// The URL of the real broker. Absent, the tests that need it say so; in CI that is a failure.
pub(crate) fn amqp_url() -> String {
    std::env::var("CONDUCTOR_TEST_AMQP_URL")
        .expect("CONDUCTOR_TEST_AMQP_URL names a RabbitMQ; `make test` starts one")
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(Backend::Sqlite).await
    }

    pub(crate) async fn on(backend: Backend) -> Self {
        Self::with(backend, Config::default()).await
    }

    /// A world whose cloud takes its time as configured.
    pub(crate) async fn with(backend: Backend, cloud: Config) -> Self {
        // Any HTTP client of the tests needs one, whether or not it speaks TLS.
        rustls::crypto::ring::default_provider().install_default().ok();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let bay_tls = cloud.bays.as_ref().is_some_and(|bays| bays.tls);
        let sandbox = Sandbox::start(cloud).await.expect("the sandbox starts");
        let database = Database::create(backend, directory.path()).await;
        let amqp = amqp_url();
        let id = Uuid::new_v4().simple().to_string();
        let mut broker = Broker::from_transport_url(&amqp).expect("the broker's URL");
        broker.exchange = format!("magnum-{id}");
        broker.topic = format!("conductor-{id}");
        let database_url = database.url().to_owned();
        let log_filter = "info,mesos_conductor=debug".to_owned();
        let world = Self {
            sandbox,
            database,
            broker,
            directory,
            amqp,
            database_url,
            log_filter,
            certificates: "x509keypair",
            key_size: if bay_tls { 2048 } else { 1024 },
            bay_tls,
            lease: 2,
        };
        if backend != Backend::Sqlite {
            worker::migrate(&world).await;
        }
        world
    }

    /// A worker's configuration; `more` is added as it is.
    pub(crate) fn configuration(&self, more: &str) -> String {
        let trustee = mesos_conductor_sandbox::known::TRUSTEE_DOMAIN_ADMIN;
        let service = mesos_conductor_sandbox::known::SERVICE_USER;
        format!(
            r#"
[DEFAULT]
host = "worker.test"
transport_url = "{amqp}"
control_exchange = "{exchange}"
rpc_ping_enabled = true
[conductor]
topic = "{topic}"
operation_lease = "{lease}s"
encryption_key = "{key}"
poll_interval = "100ms"
[heat_notifications]
enabled = false
[marathon]
poll_interval = "1s"
bay_credentials = {bay_credentials}
[telemetry]
health_listen = "127.0.0.1:0"
log_format = "json"
log_filter = "{log_filter}"
[database]
connection = "{database}"
[keystone_auth]
auth_url = "{auth_url}"
username = "{service_name}"
password = "{service_password}"
project_name = "service"
user_domain_id = "default"
project_domain_id = "default"
[trust]
trustee_domain_id = "{trustee_domain}"
trustee_domain_admin_id = "{trustee_admin}"
trustee_domain_admin_password = "{trustee_password}"
[certificates]
cert_manager_type = "{certificates}"
[x509]
rsa_key_size = {key_size}
[oslo_messaging_notifications]
driver = "messagingv2"
{more}
"#,
            bay_credentials = self.bay_tls,
            certificates = self.certificates,
            key_size = self.key_size,
            amqp = self.amqp.replace("amqp://", "rabbit://"),
            exchange = self.broker.exchange,
            topic = self.broker.topic,
            lease = self.lease,
            key = ENCRYPTION_KEY,
            log_filter = self.log_filter,
            database = self.database_url,
            auth_url = self.sandbox.auth_url(),
            service_name = service.name,
            service_password = service.password,
            trustee_domain = trustee.domain.id,
            trustee_admin = trustee.id,
            trustee_password = trustee.password,
        )
    }

    pub(crate) async fn worker(&self) -> Worker {
        Worker::start(self, "", None).await
    }

    /// A worker with these options in its section `[marathon]`.
    pub(crate) async fn framework_worker(&self, options: &str) -> Worker {
        let configuration =
            self.configuration("").replace("[marathon]\n", &format!("[marathon]\n{options}\n"));
        Worker::start_with(self, &configuration, None).await
    }

    /// A worker that stops itself at a named point: `kill:bay_create/stack/effect`.
    pub(crate) async fn doomed_worker(&self, fault: &str) -> Worker {
        Worker::start(self, "", Some(fault)).await
    }

    /// A worker that shares the database and not the queue: it gets no requests, and takes over what others leave.
    /// The broker's settings returned are those of its own queue.
    pub(crate) async fn bystander(&self) -> (Worker, Broker) {
        let topic = format!("{}-bystander", self.broker.topic);
        let configuration = self.configuration("").replace(&self.broker.topic, &topic);
        let worker = Worker::start_with(self, &configuration, None).await;
        (worker, Broker { topic, ..self.broker.clone() })
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.broker).await.expect("a client connects")
    }

    pub(crate) fn demo(&self) -> RequestContext {
        self.context(DEMO_USER, DEMO_PROJECT)
    }

    /// The context that magnum-api makes for a user's request.
    pub(crate) fn context(&self, user: KnownUser, project: KnownProject) -> RequestContext {
        RequestContext::default()
            .with("auth_token", self.sandbox.issue_token(user, project))
            .with("auth_url", self.sandbox.auth_url())
            .with("user_id", user.id)
            .with("user_name", user.name)
            .with("project_id", project.id)
            .with("project_name", project.name)
            .with("domain_id", user.domain.id)
            .with("roles", json!(["member", "heat_stack_owner"]))
            .with("request_id", format!("req-{}", Uuid::new_v4()))
            .with("is_admin", false)
    }

    pub(crate) fn options(&self) -> CallOptions {
        CallOptions { timeout: PATIENCE, context: self.demo(), ..CallOptions::default() }
    }
}

/// The fields of a bay model that can be built.
pub(crate) fn model_fields() -> Value {
    json!({
        "name": "mesos-model", "coe": "mesos", "cluster_distro": "ubuntu", "server_type": "vm",
        "image_id": "ubuntu-mesos", "keypair_id": "testkey", "external_network_id": "public",
        "flavor_id": "m1.small", "master_flavor_id": "m1.small", "dns_nameserver": "8.8.8.8",
        "labels": { "mesos_slave_work_dir": "/tmp/mesos" },
    })
}

/// A Bay or `BayModel` as clients send it: every field changed.
pub(crate) fn object(name: &str, version: &str, data: Value) -> Value {
    let changes: Vec<String> = data.as_object().expect("fields").keys().cloned().collect();
    json!({
        "magnum_object.name": name, "magnum_object.namespace": "magnum", "magnum_object.version": version,
        "magnum_object.data": data, "magnum_object.changes": changes,
    })
}

pub(crate) fn map(value: Value) -> Map {
    if let Value::Object(map) = value { map } else { panic!("{value} is no map") }
}

/// The fields in a serialised object.
pub(crate) fn data(object: &Value) -> &Value {
    &object["magnum_object.data"]
}

/// What a test does most: bay models and bays over RPC, as the demo user.
pub(crate) struct Caller<'a> {
    pub(crate) world: &'a World,
    pub(crate) client: Client,
}

impl<'a> Caller<'a> {
    pub(crate) async fn new(world: &'a World) -> Self {
        Self { world, client: world.client().await }
    }

    pub(crate) async fn call(&self, method: &str, args: Value) -> Result<Value, CallError> {
        self.client.call(method, map(args), self.world.options()).await
    }

    /// In the name of somebody else.
    pub(crate) async fn call_as(
        &self,
        context: RequestContext,
        method: &str,
        args: Value,
    ) -> Result<Value, CallError> {
        self.client.call(method, map(args), CallOptions { context, ..self.world.options() }).await
    }

    /// Creates a model and returns its uuid.
    pub(crate) async fn create_model(&self) -> String {
        let args = json!({
            "objinst": object("BayModel", "1.10", model_fields()), "objmethod": "create", "args": [], "kwargs": {},
        });
        let answer = self.call("object_action", args).await.expect("the model is created");
        answer[0]["uuid"].as_str().expect("a uuid").to_owned()
    }

    pub(crate) fn bay_args(model: &str, node_count: i64) -> Value {
        let fields =
            json!({ "name": "b1", "baymodel_id": model, "node_count": node_count, "master_count": 1 });
        json!({ "bay": object("Bay", "1.5", fields), "bay_create_timeout": 10 })
    }

    /// Creates a bay and waits until it is complete. Returns its uuid.
    pub(crate) async fn create_bay(&self, model: &str) -> String {
        let bay = self.call("bay_create", Self::bay_args(model, 2)).await.expect("the bay is created");
        let uuid = data(&bay)["uuid"].as_str().expect("a uuid").to_owned();
        self.wait_for_status(&uuid, "CREATE_COMPLETE").await;
        uuid
    }

    pub(crate) async fn bay(&self, uuid: &str) -> Result<Value, CallError> {
        let args = json!({
            "objname": "Bay", "objmethod": "get_by_uuid", "objver": "1.5", "args": [uuid], "kwargs": {},
        });
        self.call("object_class_action", args).await
    }

    pub(crate) async fn bays(&self) -> Vec<Value> {
        let args = json!({
            "objname": "Bay", "objmethod": "list", "objver": "1.5", "args": [1000, null],
            "kwargs": { "sort_key": "id", "sort_dir": "asc" },
        });
        let listed = self.call("object_class_action", args).await.expect("bays are listed");
        listed.as_array().expect("a list").clone()
    }

    pub(crate) async fn wait_for_status(&self, uuid: &str, status: &str) -> Value {
        let found = eventually(|| async {
            let bay = self.bay(uuid).await.ok()?;
            (data(&bay)["status"] == status).then_some(bay)
        });
        match found.await {
            Some(bay) => bay,
            None => panic!("the bay never was {status}; it is {:?}", self.bay(uuid).await),
        }
    }

    pub(crate) async fn wait_until_gone(&self, uuid: &str) {
        let gone = eventually(|| async {
            self.bays().await.iter().all(|bay| data(bay)["uuid"] != uuid).then_some(())
        });
        assert!(gone.await.is_some(), "the bay is still there: {:?}", self.bay(uuid).await);
    }
}

/// One of everything that so many living bays need, and nothing else.
pub(crate) fn assert_remaining(sandbox: &Sandbox, bays: usize) {
    assert_eq!(sandbox.stacks().len(), bays, "stacks: {:?}", sandbox.stacks());
    assert_eq!(sandbox.trusts().len(), bays, "trusts: {:?}", sandbox.trusts());
    assert_eq!(sandbox.trustees().len(), bays, "trustees: {:?}", sandbox.trustees());
}

/// Asks again and again until there is an answer or the patience ends.
pub(crate) async fn eventually<T, F, Fut>(mut ask: F) -> Option<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut every = tokio::time::interval(Duration::from_millis(50));
    while tokio::time::Instant::now() < deadline {
        every.tick().await;
        if let Some(found) = ask().await {
            return Some(found);
        }
    }
    None
}

/// The class of the failure a call ended in.
pub(crate) fn failure_class(error: &CallError) -> &str {
    let CallError::Remote(failure) = error else { panic!("not a failure of the conductor: {error}") };
    &failure.class
}
