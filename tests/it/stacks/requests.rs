//! How many requests one look at all stacks takes: the numbers in `docs/PERFORMANCE.md`, counted and not measured.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use mesos_conductor::amqp::{Publisher, settings::Broker};
use mesos_conductor::bay::Bay;
use mesos_conductor::bay::parameters::Placement;
use mesos_conductor::bay::template::Templates;
use mesos_conductor::certificate::keep::database::Database as InDatabase;
use mesos_conductor::config::Settings as Configuration;
use mesos_conductor::framework::manifest_url::{self, Fetcher, Networks};
use mesos_conductor::framework::{self, Agents, Framework, Frameworks};
use mesos_conductor::notify::Notifier;
use mesos_conductor::openstack::{
    Cloud, Credentials, IDS_PER_LISTING, NewStack, Outputs, Result, Session, Stack, StackPatch,
    StackResource, StackSummary, Trustee,
};
use mesos_conductor::operation::progress::OnDeadline;
use mesos_conductor::operation::runner::Workshop;
use mesos_conductor::operation::step::{self, Deployments, Draining, Undrained};
use mesos_conductor::store::{Backend, Store};
use mesos_conductor::watch::stacks::{Settings, Stacks};
use mesos_conductor::worker;
use secrecy::SecretString;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::store::database::{self, Database};
use crate::support::document::generated;
use crate::support::eventually;

const HOUR: Duration = Duration::from_secs(3600);
const MOST: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_grow_with_the_projects_and_hardly_with_the_bays() {
    database::with(Backend::Sqlite, |database| async move {
        fill(&database).await;
        let mut table =
            "| bays in progress | projects | requests per look | with the listing of all projects | one \
            by one |\n|---|---|---|---|---|\n"
                .to_owned();
        for bays in [10, 1000, MOST] {
            for projects in [1, 10, 100].into_iter().filter(|projects| *projects <= bays) {
                let own = look(&database, bays, projects, false).await;
                let everywhere = look(&database, bays, projects, true).await;
                assert!(own <= projects.max(bays.div_ceil(25)), "{bays} in {projects}: {own}");
                writeln!(table, "| {bays} | {projects} | {own} | {everywhere} | {bays} |").unwrap();
            }
        }
        generated("docs/PERFORMANCE.md", "stacks", &table);
    })
    .await;
}

/// Bays whose stacks are waited for, all of one project.
async fn fill(database: &Database) {
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)";
    let bays = format!(
        "INSERT INTO cluster (uuid, stack_id, status, created_at) {numbers} \
         SELECT printf('00000000-0000-4000-8000-%012d', i), printf('10000000-0000-4000-8000-%012d', i), \
         'CREATE_IN_PROGRESS', datetime('now') FROM n"
    );
    let operations = format!(
        "INSERT INTO operation (uuid, kind, subject_uuid, state, step, attempts, superseded, run_at, lease_until, \
         fence, created_ms) {numbers} SELECT printf('20000000-0000-4000-8000-%012d', i), 'bay_create', \
         printf('00000000-0000-4000-8000-%012d', i), 'running', 'await_stack', 0, FALSE, 9000000000000, 0, 0, \
         CAST(unixepoch() * 1000 AS INTEGER) FROM n"
    );
    database.raw(bays.leak()).await;
    database.raw(operations.leak()).await;
}

/// The requests of one look when the first so many bays are in progress, shared out among so many projects.
async fn look(database: &Database, bays: usize, projects: usize, everywhere: bool) -> usize {
    let (bays, projects) = (i64::try_from(bays).unwrap(), i64::try_from(projects).unwrap());
    let mut connection = SqliteConnection::connect(&database.url).await.unwrap();
    for (sql, number) in [
        ("UPDATE cluster SET project_id = 'p' || ((id - 1) % ?)", projects),
        (
            "UPDATE operation SET state = CASE WHEN CAST(substr(uuid, 25) AS INTEGER) < ? THEN 'running' \
             ELSE 'done' END",
            bays,
        ),
    ] {
        sqlx::query(sql).bind(number).execute(&mut connection).await.unwrap();
    }
    sqlx::query("DELETE FROM periodic").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

    let heat = Heat {
        requests: AtomicUsize::new(0),
        bays: usize::try_from(bays).unwrap(),
        projects: usize::try_from(projects).unwrap(),
    };
    let heat = Arc::new(heat);
    let shop = Arc::new(workshop(&database.store, Arc::<Heat>::clone(&heat)));
    let settings = Settings { first: HOUR, longest: HOUR, rate: 0, everywhere };
    let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
    running.spawn(Stacks::new(shop, settings).run(stop.clone()));
    let store = &database.store;
    let looked = eventually(async || {
        if everywhere {
            return (store.stack_turn_everywhere().await.unwrap() > HOUR / 2).then_some(());
        }
        let lots = store.stack_lots().await.unwrap();
        lots.iter().all(|lot| lot.due_in > HOUR / 2).then_some(())
    });
    looked.await.expect("every project is looked at");
    assert!(store.due_operations().await.unwrap().is_empty(), "nobody was woken");
    stop.cancel();
    running.join_all().await;
    heat.requests.load(Ordering::Relaxed)
}

/// Every stack is in progress, and every call that reaches this is one request.
struct Heat {
    requests: AtomicUsize,
    bays: usize,
    projects: usize,
}

impl Heat {
    fn answer(&self, ids: impl Iterator<Item = String>) -> Result<Vec<StackSummary>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let stack = |id| StackSummary {
            id,
            name: "bay".to_owned(),
            status: "CREATE_IN_PROGRESS".to_owned(),
            status_reason: None,
            creation_time: None,
            updated_time: None,
        };
        Ok(ids.map(stack).collect())
    }
}

const NOBODY: &str = "looking at all stacks asks for nothing else";

#[async_trait]
impl Cloud for Heat {
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

    async fn stack_list(&self, _: &Credentials, ids: &[String], _: Duration) -> Result<Vec<StackSummary>> {
        assert!(ids.len() <= IDS_PER_LISTING, "more than one request");
        self.answer(ids.iter().cloned())
    }

    /// The stacks of every so-manieth bay are a project's.
    async fn stack_page(
        &self,
        actor: &Credentials,
        limit: usize,
        after: Option<&str>,
        _: Duration,
    ) -> Result<Vec<StackSummary>> {
        let Credentials::Service { project_id: Some(project) } = actor else { unreachable!("{NOBODY}") };
        let number = |text: &str| text.parse::<usize>().unwrap();
        let next = |id: &str| number(id.rsplit('-').next().unwrap()) + self.projects;
        let first = after.map_or_else(|| number(project.trim_start_matches('p')), next);
        let numbers = (first..self.bays).step_by(self.projects).take(limit);
        self.answer(numbers.map(|number| format!("10000000-0000-4000-8000-{number:012}")))
    }

    async fn stack_list_everywhere(
        &self,
        _: &Credentials,
        ids: &[String],
        _: Duration,
    ) -> Result<Vec<StackSummary>> {
        assert!(ids.len() <= IDS_PER_LISTING, "more than one request");
        self.answer(ids.iter().cloned())
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

#[async_trait]
impl Frameworks for Heat {
    async fn of(&self, _: &Bay) -> framework::Result<Arc<dyn Framework>> {
        unreachable!("{NOBODY}")
    }

    async fn agents_of(&self, _: &Bay) -> framework::Result<Arc<dyn Agents>> {
        unreachable!("{NOBODY}")
    }
}

fn workshop(store: &Store, heat: Arc<Heat>) -> Workshop {
    // The fetcher of manifests wants to know, though nothing is fetched. The second time it is known.
    rustls::crypto::ring::default_provider().install_default().ok();
    let manifests = manifest_url::Settings {
        schemes: Vec::new(),
        allowed: Networks::parse([]).unwrap(),
        max_size: 0,
        timeout: HOUR,
    };
    Workshop {
        store: store.clone(),
        frameworks: Arc::<Heat>::clone(&heat),
        cloud: heat,
        certificates: Arc::new(InDatabase(store.clone())),
        forge: worker::forge(&Configuration::default()).unwrap(),
        fetcher: Fetcher::new(manifests).unwrap(),
        publisher: Publisher::new(Arc::new(Broker::default())),
        notifier: Notifier {
            publisher_id: "test".to_owned(),
            exchange: "test".to_owned(),
            topics: Vec::new(),
            driver: None,
            missing_queue_timeout: HOUR,
        },
        templates: Templates::embedded(),
        settings: step::Settings {
            poll_interval: HOUR,
            poll_fallback: HOUR,
            request_timeout: HOUR,
            service_user: true,
            placement: Placement::default(),
            default_create_timeout: None,
            deployments: Deployments { poll_interval: HOUR, deadline: HOUR, on_deadline: OnDeadline::Leave },
            draining: Draining {
                deadline: HOUR,
                on_deadline: Undrained::Remove,
                unreachable: Undrained::Remove,
            },
        },
        lease: Duration::from_secs(60),
        deadline: HOUR,
        missing_queue_timeout: HOUR,
        owner: "test".to_owned(),
        outbox_hint: Arc::new(Notify::new()),
        hint: Arc::new(Notify::new()),
    }
}
