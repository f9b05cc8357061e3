//! One process of the real program, as far as the database goes: its name, its dispatcher, and what it has in memory.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mesos_conductor::amqp::{Delivery, Disposition, Handler, Publisher, Routing, settings::Broker};
use mesos_conductor::bay::Bay;
use mesos_conductor::bay::parameters::Placement;
use mesos_conductor::bay::template::Templates;
use mesos_conductor::certificate::keep::database::Database;
use mesos_conductor::certificate::{Forge, Rules};
use mesos_conductor::framework::manifest_url::{self, Fetcher, Networks};
use mesos_conductor::framework::{self, Agents, Framework, Frameworks};
use mesos_conductor::notify::Notifier;
use mesos_conductor::openstack::{
    Cloud, Credentials, NewStack, Outputs, Result, Session, Stack, StackPatch, StackResource, StackSummary,
    Trustee,
};
use mesos_conductor::operation::progress::OnDeadline;
use mesos_conductor::operation::record::{Lease, Operation};
use mesos_conductor::operation::runner::Workshop;
use mesos_conductor::operation::step::{Deployments, Draining, Settings, Undrained};
use mesos_conductor::rpc::{self, Dispatcher};
use mesos_conductor::store::{OutboxRow, Store};
use secrecy::SecretString;
use tokio::sync::Notify;

/// Longer than any test: what ends before is ended by the test.
pub(crate) const LONG: Duration = Duration::from_secs(24 * 3600);

pub(crate) struct Office {
    pub(crate) name: String,
    dispatcher: Dispatcher,
    /// The operation in its hands, as it was claimed or last recorded.
    pub(crate) held: Option<(Operation, Lease)>,
    /// The bay as it was when the step began.
    pub(crate) bay: Option<Bay>,
    pub(crate) letters: Vec<OutboxRow>,
}

impl Office {
    pub(crate) fn open(store: &Store, name: String) -> Self {
        let settings = rpc::Settings {
            ping_enabled: false,
            notify_queues: regex::Regex::new("^$").unwrap(),
            password_symbols: vec!["abcdefgh".to_owned()],
            max_attempts: 1000,
            max_size: 1 << 20,
            verify_tokens: false,
        };
        let dispatcher = Dispatcher::new(Arc::new(workshop(store, &name)), settings);
        Self { name, dispatcher, held: None, bay: None, letters: Vec::new() }
    }

    pub(crate) async fn deliver(&self, body: Vec<u8>, redelivered: bool) -> Disposition {
        let delivery = Delivery {
            body,
            content_type: Some("application/json".to_owned()),
            compression: None,
            redelivered,
            routing: Routing::Topic,
            expiration: None,
        };
        self.dispatcher.handle(delivery).await
    }
}

fn workshop(store: &Store, name: &str) -> Workshop {
    // The fetcher of manifests wants to know, though nothing is fetched. The second time it is known.
    rustls::crypto::ring::default_provider().install_default().ok();
    let manifests = manifest_url::Settings {
        schemes: Vec::new(),
        allowed: Networks::parse([]).unwrap(),
        max_size: 0,
        timeout: LONG,
    };
    let rules = Rules { allow_ca: false, extensions: Vec::new(), usages: Vec::new(), valid_for: 1 };
    Workshop {
        store: store.clone(),
        cloud: Arc::new(Unasked),
        certificates: Arc::new(Database(store.clone())),
        forge: Forge::new(rules, 2048),
        frameworks: Arc::new(Unasked),
        fetcher: Fetcher::new(manifests).unwrap(),
        publisher: Publisher::new(Arc::new(Broker::default())),
        notifier: Notifier {
            publisher_id: "sim".to_owned(),
            exchange: "sim".to_owned(),
            topics: Vec::new(),
            driver: None,
            missing_queue_timeout: LONG,
        },
        templates: Templates::embedded(),
        settings: Settings {
            poll_interval: LONG,
            poll_fallback: LONG,
            request_timeout: LONG,
            service_user: false,
            placement: Placement::default(),
            default_create_timeout: None,
            deployments: Deployments { poll_interval: LONG, deadline: LONG, on_deadline: OnDeadline::Leave },
            draining: Draining {
                deadline: LONG,
                on_deadline: Undrained::Remove,
                unreachable: Undrained::Remove,
            },
        },
        lease: LONG,
        deadline: LONG,
        missing_queue_timeout: LONG,
        owner: name.to_owned(),
        outbox_hint: Arc::new(Notify::new()),
        hint: Arc::new(Notify::new()),
    }
}

/// Recording a request asks nobody but the database.
struct Unasked;

const NOBODY: &str = "recording a request asks nobody";

#[async_trait]
impl Frameworks for Unasked {
    async fn of(&self, _: &Bay) -> framework::Result<Arc<dyn Framework>> {
        unreachable!("{NOBODY}")
    }

    async fn agents_of(&self, _: &Bay) -> framework::Result<Arc<dyn Agents>> {
        unreachable!("{NOBODY}")
    }
}

#[async_trait]
impl Cloud for Unasked {
    fn trusts_configured(&self) -> bool {
        true
    }

    async fn verify(&self, _: &SecretString, _: Duration) -> Result<Session> {
        unreachable!("{NOBODY}")
    }

    async fn ensure_trustee(&self, _: &str, _: &SecretString, _: Duration) -> Result<String> {
        unreachable!("{NOBODY}")
    }

    async fn find_trustee(&self, _: &str, _: Duration) -> Result<Option<String>> {
        unreachable!("{NOBODY}")
    }

    async fn ensure_trust(&self, _: &Credentials, _: &Trustee, _: Duration) -> Result<String> {
        unreachable!("{NOBODY}")
    }

    async fn delete_trust(&self, _: &Credentials, _: &str, _: Duration) -> Result<()> {
        unreachable!("{NOBODY}")
    }

    async fn delete_trustee(&self, _: &str, _: Duration) -> Result<()> {
        unreachable!("{NOBODY}")
    }

    async fn stack_create(&self, _: &Credentials, _: &NewStack, _: Duration) -> Result<String> {
        unreachable!("{NOBODY}")
    }

    async fn stack_find(&self, _: &Credentials, _: &str, _: Duration) -> Result<Option<Stack>> {
        unreachable!("{NOBODY}")
    }

    async fn stack_show(&self, _: &Credentials, _: &str, _: Outputs, _: Duration) -> Result<Option<Stack>> {
        unreachable!("{NOBODY}")
    }

    async fn stack_list(&self, _: &Credentials, _: &[String], _: Duration) -> Result<Vec<StackSummary>> {
        unreachable!("{NOBODY}")
    }

    async fn stack_page(
        &self,
        _: &Credentials,
        _: usize,
        _: Option<&str>,
        _: Duration,
    ) -> Result<Vec<StackSummary>> {
        unreachable!("{NOBODY}")
    }

    async fn stack_list_everywhere(
        &self,
        _: &Credentials,
        _: &[String],
        _: Duration,
    ) -> Result<Vec<StackSummary>> {
        unreachable!("{NOBODY}")
    }

    async fn stack_broken_servers(
        &self,
        _: &Credentials,
        _: &str,
        _: Duration,
    ) -> Result<Vec<StackResource>> {
        unreachable!("{NOBODY}")
    }

    async fn stack_update(&self, _: &Credentials, _: &str, _: &StackPatch, _: Duration) -> Result<()> {
        unreachable!("{NOBODY}")
    }

    async fn stack_delete(&self, _: &Credentials, _: &str, _: Duration) -> Result<bool> {
        unreachable!("{NOBODY}")
    }
}
