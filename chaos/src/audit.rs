//! The counting: what was asked, what was answered, what the database says, and what is left in the cloud.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mesos_conductor_sandbox::{Progress, Sandbox};
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Row as _};

use crate::client::{Asked, Client};
use crate::fault::{Crowd, Fault, POISON, POISONED};
use crate::row::Ground;

/// What a row of the table says.
#[derive(Debug, Default)]
pub(crate) struct Count {
    /// How often the fault struck.
    pub(crate) struck: u32,
    pub(crate) requests: usize,
    pub(crate) replies: u64,
    pub(crate) timeouts: u64,
    pub(crate) operations: usize,
    pub(crate) duplicates: usize,
    pub(crate) lost: usize,
    pub(crate) leaked: usize,
    /// From the first sending of a request to its answer, the longest.
    pub(crate) stall: Duration,
    /// Each promise that broke, in words.
    pub(crate) broken: Vec<String>,
}

impl Count {
    pub(crate) fn holds(&self) -> bool {
        self.broken.is_empty()
    }

    fn lose(&mut self, what: String) {
        self.lost += 1;
        self.broken.push(format!("lost: {what}"));
    }

    fn double(&mut self, what: String) {
        self.duplicates += 1;
        self.broken.push(format!("doubled: {what}"));
    }

    fn leak(&mut self, what: String) {
        self.leaked += 1;
        self.broken.push(format!("leaked: {what}"));
    }
}

pub(crate) struct Audit {
    database: AnyPool,
    sandbox: Arc<Sandbox>,
    client: Arc<Client>,
}

/// A bay as the database has it.
struct Bay {
    uuid: String,
    name: String,
    status: String,
    reason: String,
    stack: Option<String>,
    trust: Option<String>,
    trustee: Option<String>,
    agents: Option<i64>,
}

impl Audit {
    pub(crate) fn new(url: &str, sandbox: &Arc<Sandbox>, client: &Arc<Client>) -> anyhow::Result<Self> {
        sqlx::any::install_default_drivers();
        let database = AnyPoolOptions::new().max_connections(2).connect_lazy(url)?;
        Ok(Self { database, sandbox: Arc::clone(sandbox), client: Arc::clone(client) })
    }

    /// How many operations have ended; none, while the database does not say.
    pub(crate) async fn ended(&self) -> usize {
        self.texts("SELECT uuid FROM operation WHERE state <> 'running'").await.map_or(0, |ended| ended.len())
    }

    /// Waits until nothing is left to be done or said, or until it should have been.
    pub(crate) async fn settle(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            let busy = self.texts("SELECT uuid FROM operation WHERE state = 'running'").await;
            let unsaid = self.texts("SELECT routing_key FROM outbox").await;
            if matches!((busy, unsaid), (Ok(busy), Ok(unsaid)) if busy.is_empty() && unsaid.is_empty())
                && self.client.all_answered()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn texts(&self, statement: &'static str) -> anyhow::Result<Vec<String>> {
        let rows = sqlx::query(statement).fetch_all(&self.database).await?;
        rows.iter().map(|row| Ok(row.try_get::<String, _>(0)?)).collect()
    }

    pub(crate) async fn count(
        &self,
        ground: &Ground<'_>,
        struck: u32,
        fault: Fault,
    ) -> anyhow::Result<Count> {
        let asked = self.client.asked();
        let mut count = Count {
            struck,
            requests: asked.len(),
            replies: self.client.replies.load(Ordering::Relaxed),
            timeouts: self.client.timeouts.load(Ordering::Relaxed),
            ..Count::default()
        };
        if struck == 0 {
            count.broken.push("the fault never struck".to_owned());
        }
        answers(&mut count, &asked, fault);
        self.operations(&mut count, fault).await?;
        let bays = self.bays().await?;
        cloud(&mut count, &self.sandbox, &bays, &*ground.removed.lock().await);
        truth(&mut count, &self.sandbox, &bays, fault);
        let apps_removed = *ground.apps_removed.lock().await;
        self.apps(&mut count, &bays, apps_removed).await?;
        let aside = self.texts("SELECT COALESCE(method, '') FROM set_aside").await?;
        let poisoned = if fault == Fault::Crowd(Crowd::Poison) { POISONED } else { 0 };
        if aside.len() != poisoned || aside.iter().any(|method| method != POISON) {
            count.lose(format!("set aside are {aside:?}, and should be {poisoned}"));
        }
        Ok(count)
    }

    /// What was committed has ended, and was told, once.
    async fn operations(&self, count: &mut Count, fault: Fault) -> anyhow::Result<()> {
        for running in
            self.texts("SELECT kind || ' at ' || step FROM operation WHERE state = 'running'").await?
        {
            count.lose(format!("the operation {running} does not end"));
        }
        for unsaid in self.texts("SELECT purpose || ' to ' || routing_key FROM outbox").await? {
            count.lose(format!("a {unsaid} is not published"));
        }
        for kept in self.texts("SELECT subject_uuid FROM active_operation").await? {
            count.lose(format!("{kept} is busy for ever"));
        }
        let failed = "SELECT kind || ' at ' || step || ': ' || COALESCE(reason, '') FROM operation \
             WHERE state = 'failed' AND superseded = FALSE";
        for failed in self.texts(failed).await?.into_iter().filter(|_| !fault.may_fail()) {
            count.lose(format!("the operation {failed}"));
        }
        let told = tally(self.client.outcomes().into_iter().filter_map(|(event, outcome)| {
            ["success", "failure"].contains(&outcome.as_str()).then_some(event)
        }));
        let ended = self.texts("SELECT kind FROM operation WHERE state <> 'running'").await?;
        count.operations = ended.len();
        let ended = tally(ended.iter().filter_map(|kind| event_of(kind)));
        for event in ended.keys().chain(told.keys()).collect::<BTreeSet<_>>() {
            let of = |tally: &BTreeMap<String, usize>| tally.get(event).copied().unwrap_or_default();
            let (ended, told) = (of(&ended), of(&told));
            for _ in told..ended {
                count.lose(format!("of {ended} ends that {event} tells of {told} were told"));
            }
            for _ in ended..told {
                count.double(format!("{event} tells of {told} ends, there were {ended}"));
            }
        }
        Ok(())
    }

    async fn bays(&self) -> anyhow::Result<Vec<Bay>> {
        let statement = "SELECT c.uuid, c.name, c.status, c.status_reason, c.stack_id, c.trust_id, c.trustee_user_id, \
             CAST(n.node_count AS BIGINT) FROM cluster c JOIN nodegroup n ON n.cluster_id = c.uuid AND n.role = 'worker'";
        let rows = sqlx::query(statement).fetch_all(&self.database).await?;
        let text = |row: &sqlx::any::AnyRow, at: usize| row.try_get::<Option<String>, _>(at);
        rows.iter()
            .map(|row| {
                Ok(Bay {
                    uuid: text(row, 0)?.unwrap_or_default(),
                    name: text(row, 1)?.unwrap_or_default(),
                    status: text(row, 2)?.unwrap_or_default(),
                    reason: text(row, 3)?.unwrap_or_default(),
                    stack: text(row, 4)?,
                    trust: text(row, 5)?,
                    trustee: text(row, 6)?,
                    agents: row.try_get(7)?,
                })
            })
            .collect()
    }

    /// The apps of the bays are those that the database has, and each change of one began one deployment.
    async fn apps(&self, count: &mut Count, bays: &[Bay], removed: usize) -> anyhow::Result<()> {
        let rows = "SELECT framework_id FROM app WHERE status IN ('CREATE_COMPLETE', 'UPDATE_COMPLETE')";
        let complete: HashSet<String> = self.texts(rows).await?.into_iter().collect();
        let known: HashSet<String> =
            self.texts("SELECT COALESCE(framework_id, '') FROM app").await?.into_iter().collect();
        let mut there = HashSet::new();
        let mut begun = 0;
        for marathon in self.sandbox.marathons() {
            begun += marathon.deployments_begun();
            there.extend(marathon.apps());
            for deployment in marathon.deployments() {
                count.leak(format!("the deployment {} goes on", deployment["id"]));
            }
        }
        for app in there.difference(&known) {
            count.leak(format!("the app {app} belongs to no row"));
        }
        let missing = complete.difference(&there).count();
        if missing > removed {
            count.lose(format!("{missing} apps are complete and not there, {removed} were removed"));
        }
        let asked = self.texts("SELECT uuid FROM operation WHERE kind LIKE 'app%'").await?.len();
        // Deployments of bays that are gone are not counted by anybody any more.
        if begun > asked + removed {
            count.double(format!("{begun} deployments were begun for {asked} changes, {removed} by others"));
        }
        let names: BTreeMap<&str, usize> = bays.iter().fold(BTreeMap::new(), |mut names, bay| {
            *names.entry(bay.name.as_str()).or_default() += 1;
            names
        });
        for (name, times) in names.into_iter().filter(|(_, times)| *times > 1) {
            count.double(format!("one request for bay {name} made {times}"));
        }
        Ok(())
    }
}

/// The notification that tells of the end of such an operation.
fn event_of(kind: &str) -> Option<String> {
    let (of, deed) = kind.split_once('_')?;
    let of = match (of, deed) {
        ("bay", _) => "cluster",
        // Nothing is told of these.
        (_, "task_kill" | "cancel") => return None,
        _ => of,
    };
    Some(format!("magnum.{of}.{deed}"))
}

fn tally(of: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    of.fold(BTreeMap::new(), |mut tally, one| {
        *tally.entry(one).or_default() += 1;
        tally
    })
}

/// Every request that the broker had for certain is answered, in one way, and well where the cloud is.
fn answers(count: &mut Count, asked: &[Asked], fault: Fault) {
    for asked in asked {
        if let Some(failure) = asked.failure.as_ref().filter(|_| !fault.may_fail()) {
            count.lose(format!("{} was answered by {failure}", asked.method));
        }
        match asked.answered {
            Some(at) => count.stall = count.stall.max(at.duration_since(asked.sent)),
            None if asked.confirmed => {
                count.lose(format!("no answer to {} after {} tries", asked.method, asked.times))
            }
            None => count.broken.push(format!("a {} could not be sent", asked.method)),
        }
        if asked.answers.len() > 1 {
            count.double(format!("{} has {} different answers", asked.method, asked.answers.len()));
        }
    }
}

/// What live bays need is there, once, and nothing else.
fn cloud(count: &mut Count, sandbox: &Sandbox, bays: &[Bay], removed: &HashSet<String>) {
    let stacks: Vec<(String, String)> =
        sandbox.stacks().into_iter().map(|stack| (stack.id, stack.name)).collect();
    let trusts: Vec<(String, String)> =
        sandbox.trusts().into_iter().map(|trust| (trust.id, trust.trustee_user_id)).collect();
    let users: Vec<(String, String)> =
        sandbox.trustees().into_iter().map(|user| (user.id, user.name)).collect();
    /// What it is, those that are there as `(id, name)`, and which of them a bay needs.
    type Need = (&'static str, Vec<(String, String)>, fn(&Bay) -> Option<&String>);
    let needs: [Need; 3] = [
        ("stack", stacks, |bay| bay.stack.as_ref()),
        ("trust", trusts, |bay| bay.trust.as_ref()),
        ("trustee", users, |bay| bay.trustee.as_ref()),
    ];
    for (what, there, of) in needs {
        let needed: HashSet<&String> = bays.iter().filter_map(of).collect();
        for (id, name) in &there {
            if needed.contains(id) {
                continue;
            }
            let doubled =
                there.iter().any(|(other, theirs)| other != id && needed.contains(other) && theirs == name);
            match doubled {
                true => count.double(format!("the {what} {name}")),
                false => count.leak(format!("the {what} {name}")),
            }
        }
        for bay in bays.iter().filter(|bay| bay.status != "DELETE_COMPLETE") {
            if let Some(id) = of(bay)
                && !removed.contains(id)
                && !there.iter().any(|(known, _)| known == id)
            {
                count.lose(format!("the {what} of bay {} ({} {})", bay.uuid, bay.status, bay.reason));
            }
        }
    }
}

/// What a bay is said to be is what its stack is, and what failed says why.
fn truth(count: &mut Count, sandbox: &Sandbox, bays: &[Bay], fault: Fault) {
    for bay in bays {
        if bay.status.ends_with("IN_PROGRESS") {
            count.lose(format!("bay {} stays {}", bay.uuid, bay.status));
        }
        if bay.status.ends_with("FAILED") {
            if bay.reason.is_empty() {
                count.broken.push(format!("untrue: bay {} is {} and does not say why", bay.uuid, bay.status));
            }
            if !fault.may_fail() {
                count.lose(format!("bay {} is {}: {}", bay.uuid, bay.status, bay.reason));
            }
        }
        let complete = ["CREATE_COMPLETE", "UPDATE_COMPLETE"].contains(&bay.status.as_str());
        let Some(stack) = bay.stack.as_deref().filter(|_| complete).and_then(|id| sandbox.stack(id)) else {
            continue;
        };
        let agents = stack.parameters.get("number_of_slaves").and_then(|count| count.parse().ok());
        if stack.progress != Progress::Complete || agents != bay.agents {
            count.broken.push(format!(
                "untrue: bay {} is {} with {:?} agents, its stack is {:?} with {agents:?}",
                bay.uuid, bay.status, bay.agents, stack.progress
            ));
        }
    }
}

/// Keeps what a row left behind, for whoever looks into it.
pub(crate) fn keep(directory: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(directory)?.flatten() {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
