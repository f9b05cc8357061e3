//! One tenant asks for hundreds of bays: the other's three are not behind them.

use mesos_conductor_proto::message::Request;
use mesos_conductor_sandbox::known::{DEMO_PROJECT, OTHER_PROJECT, OTHER_USER};
use mesos_conductor_sandbox::{Action, Rule, Service};
use serde_json::json;

use crate::support::database::Backend;
use crate::support::peer::{Peer, outcome};
use crate::support::worker::Worker;
use crate::support::{Caller, World, eventually, model_fields, object};

const FLOOD: usize = 300;
const FEW: usize = 3;

/// When an operation was accepted, and when it ended.
struct Times {
    accepted: i64,
    ended: Option<i64>,
}

async fn times(world: &World, project: &str) -> Vec<Times> {
    let rows = "SELECT CONCAT_WS(' ', project_id, created_ms, finished_ms) FROM operation";
    let read = |row: String| {
        let mut parts = row.split(' ');
        let number = |text: &str| text.parse().expect("milliseconds");
        let ours = parts.next() == Some(project);
        let accepted = parts.next().map(number).expect("it was accepted");
        ours.then(|| Times { accepted, ended: parts.next().map(number) })
    };
    world.database.texts(rows).await.into_iter().filter_map(read).collect()
}

async fn public_model(caller: &Caller<'_>) -> String {
    let mut fields = model_fields();
    fields["public"] = json!(true);
    let args = json!({
        "objinst": object("BayModel", "1.10", fields), "objmethod": "create", "args": [], "kwargs": {},
    });
    let made = caller.call("object_action", args).await.expect("the model is created");
    made[0]["uuid"].as_str().expect("a uuid").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_flood_does_not_hold_up_another_tenant() {
    let world = World::on(Backend::Postgres).await;
    let configuration =
        world.configuration("").replace("[DEFAULT]", "[DEFAULT]\nexecutor_thread_pool_size = 4");
    let worker = Worker::start_with(&world, &configuration, None).await;
    let model = public_model(&Caller::new(&world).await).await;
    // Slower than requests come, so that there is a flood to wade through.
    world.sandbox.faults().add(Rule::new(Service::Heat, "POST", "/stacks$", Action::SlowAnswer(200)));
    let (flood, few) = (Peer::open(&world).await, Peer::open(&world).await);
    for _ in 0..FLOOD {
        flood.send(&flood.request(&world, "bay_create", Caller::bay_args(&model, 1))).await;
    }
    let accepted =
        eventually(async || (times(&world, DEMO_PROJECT.id).await.len() == FLOOD).then_some(())).await;
    assert!(accepted.is_some(), "the flood is not even accepted:\n{}", worker.log_text());
    for _ in 0..FEW {
        let request = few.request(&world, "bay_create", Caller::bay_args(&model, 1));
        few.send(&Request { context: world.context(OTHER_USER, OTHER_PROJECT), ..request }).await;
    }
    assert!(few.replies(FEW).await.iter().all(|reply| outcome(reply).is_ok()));
    let ended = eventually(async || {
        let times = times(&world, OTHER_PROJECT.id).await;
        times.iter().all(|times| times.ended.is_some()).then_some(times)
    });
    let ended = ended.await.expect("the few are done");
    assert_eq!(ended.len(), FEW);
    let asked = ended.iter().map(|times| times.accepted).min().expect("there are some");
    let done = ended.iter().filter_map(|times| times.ended).max().expect("there are some");
    // In the order of the database: how far the flood was when the few came, and when they were done.
    let rest: Vec<Times> = times(&world, DEMO_PROJECT.id).await;
    let waiting = rest.iter().filter(|times| times.ended.is_none_or(|ended| ended > asked)).count();
    let overtaken = rest.iter().filter(|times| times.ended.is_none_or(|ended| ended > done)).count();
    assert!(waiting > FLOOD / 2, "there was no flood: {waiting} of {FLOOD} waited when the others came");
    assert!(overtaken > waiting / 2, "the others were done when {overtaken} of {waiting} were not");
    worker.kill().await;
    world.database.drop_it().await;
}
