//! Sequences that an API service of Mitaka or Liberty sends, byte for byte, and Magnum's own conductor's answers.

mod compare;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use mesos_conductor_proto::message::{Assembly, Reply};
use mesos_conductor_sandbox::Config;
use mesos_conductor_sandbox::known::{DEMO_PROJECT, DEMO_USER};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use self::compare::{Difference, Known};
use crate::support::database::Backend;
use crate::support::document::generated;
use crate::support::peer::Peer;
use crate::support::{World, eventually};

/// A message and the answer to it.
#[derive(Deserialize)]
struct Step {
    step: String,
    origin: String,
    after: Option<String>,
    body: String,
    answer: Value,
}

/// A difference that there is for a reason.
#[derive(Deserialize)]
struct Listed {
    field: String,
    theirs: Value,
    ours: Value,
    /// The releases, each with the steps in whose answers it is.
    steps: std::collections::BTreeMap<String, Vec<String>>,
    reason: String,
}

const RELEASES: [&str; 2] = ["mitaka", "liberty"];
const SEQUENCES: [&str; 2] = ["bay_models", "bays"];
/// The token in the recorded messages.
const TOKEN: &str = "goodtoken";

fn read<T: for<'a> Deserialize<'a>>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/replays").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// One sequence on its way.
struct Replay<'a> {
    world: &'a World,
    peer: Peer,
    known: Known,
}

impl Replay<'_> {
    /// Sends a body and returns what came back, as the data has it.
    async fn exchange(&self, body: &str) -> Value {
        let msg_id = Uuid::new_v4().simple().to_string();
        let body =
            self.known.fill(body).replace("{{msg_id}}", &msg_id).replace("{{reply_q}}", &self.peer.queue);
        assert!(!body.contains("{{"), "a placeholder stands for nothing yet: {body}");
        self.peer.send_bytes("application/json", body.as_bytes()).await;
        let outcome = eventually(async || {
            let mut assembly = Assembly::default();
            let replies = self.peer.seen();
            let replies =
                replies.iter().map(|body| Reply::decode(Some("application/json"), body).expect("a reply"));
            replies.filter(|reply| reply.msg_id == msg_id).find_map(|reply| assembly.accept(reply.content))
        });
        match outcome.await.expect("it is answered") {
            Ok(result) => json!({ "result": result }),
            Err(failure) => {
                let lines = [failure.tb.first(), failure.tb.last()];
                json!({ "failure": {
                    "class": failure.class, "module": failure.module, "message": failure.message,
                    "args": failure.args, "kwargs": failure.kwargs, "tb": lines,
                }})
            }
        }
    }

    /// Lets the cloud finish, and waits until the bay shows it.
    async fn reach(&self, status: &str) {
        let reached = eventually(async || {
            self.world.sandbox.finish_stacks("");
            let statuses = self.world.database.texts("SELECT status FROM cluster").await;
            let busy = self.world.database.texts("SELECT operation_uuid FROM active_operation").await;
            (statuses == [status] && busy.is_empty()).then_some(())
        });
        assert!(reached.await.is_some(), "the bay never is {status}");
    }
}

/// The differences in the answers of one sequence, each with its step.
async fn replay(release: &str, sequence: &str) -> Vec<(String, Difference)> {
    let slow = Config { create_time: Duration::from_secs(3600), ..Config::default() };
    let world = World::with(Backend::Sqlite, slow).await;
    world.sandbox.accept_token(TOKEN, DEMO_USER, DEMO_PROJECT);
    let worker = world.worker().await;
    let mut replay = Replay { world: &world, peer: Peer::open(&world).await, known: Known::default() };
    let mut differences = Vec::new();
    for step in read::<Vec<Step>>(&format!("{release}/{sequence}.json")) {
        assert!(step.origin == "recorded" || step.origin.starts_with("derived: "), "{}", step.step);
        if let Some(status) = &step.after {
            replay.reach(status).await;
        }
        let answer = replay.exchange(&step.body).await;
        let found = replay.known.compare(&step.answer, &answer);
        differences.extend(found.into_iter().map(|difference| (step.step.clone(), difference)));
    }
    worker.stop().await;
    differences
}

/// The differences that are listed for a release, sorted like those found.
fn expected(listed: &[Listed], release: &str, sequence: &[String]) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for entry in listed {
        for step in entry.steps.get(release).into_iter().flatten().filter(|step| sequence.contains(step)) {
            lines.insert(line(step, &entry.field, &entry.theirs, &entry.ours));
        }
    }
    lines
}

fn line(step: &str, field: &str, theirs: &Value, ours: &Value) -> String {
    format!("{step}: {field}: theirs {theirs}, ours {ours}")
}

async fn holds(release: &str, sequence: &str) {
    let steps: Vec<Step> = read(&format!("{release}/{sequence}.json"));
    let steps: Vec<String> = steps.into_iter().map(|step| step.step).collect();
    let listed = read::<Vec<Listed>>("differences.json");
    let found = replay(release, sequence).await;
    let found: BTreeSet<String> = found
        .iter()
        .map(|(step, difference)| line(step, &difference.field, &difference.theirs, &difference.ours))
        .collect();
    let expected = expected(&listed, release, &steps);
    let unlisted: Vec<_> = found.difference(&expected).collect();
    let gone: Vec<_> = expected.difference(&found).collect();
    assert!(
        unlisted.is_empty() && gone.is_empty(),
        "{release} {sequence}: not listed {unlisted:#?}; listed, not found {gone:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mitakas_bay_models_are_answered_as_by_its_own_conductor() {
    holds("mitaka", "bay_models").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mitakas_bays_are_answered_as_by_its_own_conductor() {
    holds("mitaka", "bays").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libertys_bay_models_are_answered_as_by_its_own_conductor() {
    holds("liberty", "bay_models").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libertys_bays_are_answered_as_by_its_own_conductor() {
    holds("liberty", "bays").await;
}

/// The tests above hold the list to what was seen; this one holds the document to the list.
#[test]
fn the_differences_are_in_the_document() {
    let mut table = String::from("\n| sequence | requests recorded | derived |\n|---|---|---|\n");
    let mut steps = BTreeSet::new();
    for release in RELEASES {
        for sequence in SEQUENCES {
            let all: Vec<Step> = read(&format!("{release}/{sequence}.json"));
            let recorded = all.iter().filter(|step| step.origin == "recorded").count();
            let derived = all.len() - recorded;
            table += &format!("| {release}, {} | {recorded} | {derived} |\n", sequence.replace('_', " "));
            steps.extend(all.into_iter().map(|step| (release.to_owned(), step.step)));
        }
    }
    table += "\n| field | in the answers to | there | here | why |\n|---|---|---|---|---|\n";
    for entry in read::<Vec<Listed>>("differences.json") {
        let mut places = Vec::new();
        for (release, named) in &entry.steps {
            for step in named {
                assert!(steps.contains(&(release.clone(), step.clone())), "{release} has no step {step}");
            }
            places.push(format!("{release}: {}", named.join(", ")));
        }
        let (theirs, ours) = (&entry.theirs, &entry.ours);
        let (field, places, reason) = (&entry.field, places.join("; "), &entry.reason);
        table += &format!("| `{field}` | {places} | `{theirs}` | `{ours}` | {reason} |\n");
    }
    table += "\n";
    generated("docs/COMPATIBILITY.md", "replays", &table);
}
