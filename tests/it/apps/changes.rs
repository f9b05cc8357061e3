//! Several requests for one app: they stand in a row, are each done once and answered once, and the last one counts.

use std::collections::BTreeSet;

use mesos_conductor_proto::message::Reply;
use mesos_conductor_sandbox::{Action, Behaviour, Rule, Script, Service};
use serde_json::{Value, json};

use crate::support::app::{Town, manifest, message};
use crate::support::database::Backend;
use crate::support::peer::{Peer, outcome};
use crate::support::{Caller, PATIENCE, World, data, eventually, failure_class};

/// The deployments in the order of their events: a row of begun and ended.
fn overlaps(town: &Town<'_>) -> bool {
    let mut running = BTreeSet::new();
    let mut most = 0;
    for event in town.marathon().events() {
        let id = event.body["plan"]["id"].as_str().unwrap_or_default().to_owned();
        match event.kind {
            "deployment_info" => drop(running.insert(id)),
            "deployment_success" | "deployment_failed" => drop(running.remove(&id)),
            _ => {}
        }
        most = most.max(running.len());
    }
    assert!(most > 0, "nothing was deployed");
    most > 1
}

/// Half of the requests scale, and half of them put another manifest in place.
async fn requests_in_a_row(backend: Backend) {
    const ROUNDS: usize = 3;
    let world = World::on(backend).await;
    let workers = [world.worker().await, world.worker().await];
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    let peer = Peer::open(&world).await;
    for round in 1..=ROUNDS {
        let mut next = manifest("/web");
        next["env"] = json!({ "ROUND": round.to_string() });
        let scale = town.args("web", json!({ "instances": round + 1, "wait": true }));
        let update = town.args("web", json!({ "manifest": next.to_string(), "wait": true }));
        peer.send(&peer.request(&world, "app_scale", scale)).await;
        peer.send(&peer.request(&world, "app_update", update)).await;
    }
    let replies = peer.replies(2 * ROUNDS).await;
    let apps: Vec<Value> = replies.iter().map(|reply| outcome(reply).expect("it is done")).collect();
    assert!(apps.iter().all(|app| data(app)["status"] == "UPDATE_COMPLETE"), "{apps:?}");
    let answered: BTreeSet<_> =
        replies.iter().map(|body| Reply::decode(Some("application/json"), body).unwrap().msg_id).collect();
    assert_eq!(answered.len(), 2 * ROUNDS, "each call has its answer");

    let last = apps.iter().max_by_key(|app| data(app)["version"].as_str().unwrap().to_owned()).unwrap();
    let there = town.marathon().app("/web").unwrap();
    assert_eq!(there["instances"], data(last)["instances"]);
    let asked: Value = serde_json::from_str(data(last)["manifest"].as_str().unwrap()).unwrap();
    assert_eq!(there["env"], asked.get("env").cloned().unwrap_or_else(|| json!({})));
    let shown = town.show("web").await.unwrap();
    for field in ["manifest", "instances", "version", "status"] {
        assert_eq!(data(&shown)[field], data(last)[field], "{field}");
    }
    assert_eq!(town.marathon().deployments_begun(), 1 + 2 * ROUNDS, "none was lost, none was done twice");
    assert!(!overlaps(&town), "one after the other");
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(peer.seen().len(), 2 * ROUNDS);
    world.database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_do_the_requests_for_one_app_one_after_the_other() {
    requests_in_a_row(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_two_workers_do_the_requests_for_one_app_one_after_the_other() {
    requests_in_a_row(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_mysql_two_workers_do_the_requests_for_one_app_one_after_the_other() {
    requests_in_a_row(Backend::MySql).await;
}

async fn delete_ends_a_stuck_create(backend: Backend) {
    let world = World::on(backend).await;
    let worker = world.worker().await;
    let (caller, second) = (Caller::new(&world).await, Caller::new(&world).await);
    let town = Town::build(&caller).await;
    town.marathon().behave(Script::new("/web", Behaviour::StuckStaging));
    let mut create = town.create_args("web", &manifest("/web"));
    create["wait"] = json!(true);
    let delete = async {
        let begun = eventually(|| async { (!town.marathon().deployments().is_empty()).then_some(()) });
        assert!(begun.await.is_some(), "the create is begun");
        town.until("web", |app| app["deployment_id"].is_string()).await;
        town.done("app_delete", "web", json!({})).await
    };
    let (created, deleted) = tokio::join!(second.call("app_create", create), delete);
    let error = created.expect_err("the create does not come to its end");
    assert_eq!(failure_class(&error), "Conflict", "{error}");
    assert_eq!(deleted.unwrap(), Value::Null);
    town.until_gone("web").await;
    town.until_quiet().await;
    assert!(town.marathon().apps().is_empty());
    worker.stop().await;
    world.database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_takes_the_place_of_a_create_that_is_stuck() {
    delete_ends_a_stuck_create(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_delete_takes_the_place_of_a_create_that_is_stuck() {
    delete_ends_a_stuck_create(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_delete_joins_the_first_and_nothing_else_comes_behind_it() {
    let world = World::new().await;
    let worker = world.worker().await;
    let (caller, second) = (Caller::new(&world).await, Caller::new(&world).await);
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    world
        .sandbox
        .faults()
        .add(Rule::new(Service::Marathon, "DELETE", "/v2/apps/", Action::SlowAnswer(700)).once());
    let others = async {
        let asked = |sandbox: &mesos_conductor_sandbox::Sandbox| {
            sandbox.count(Service::Marathon, "DELETE", "/v2/apps/") == 1
        };
        assert!(world.sandbox.wait_until(PATIENCE, asked).await, "it is being deleted");
        let late = Town::of(&second, &town.bay);
        let scaled = late.refused("app_scale", "web", json!({ "instances": 2 })).await;
        (late.done("app_delete", "web", json!({})).await, scaled)
    };
    let (first, (second, scaled)) = tokio::join!(town.done("app_delete", "web", json!({})), others);
    assert_eq!((first.unwrap(), second.unwrap()), (Value::Null, Value::Null));
    assert_eq!(scaled.0, "AppOperationInProgress", "{}", scaled.1);
    assert_eq!(world.sandbox.count(Service::Marathon, "DELETE", "/v2/apps/"), 1);
    let deletes = world.database.texts("SELECT uuid FROM operation WHERE kind = 'app_delete'").await;
    assert_eq!(deletes.len(), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_update_takes_the_place_of_everything_that_is_stuck_before_it() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    town.marathon().behave(Script::new("/web", Behaviour::StuckStaging).containing("bad-image"));
    let with_env = |value: &str| {
        let mut changed = manifest("/web");
        changed["env"] = json!({ "IMAGE": value });
        changed.to_string()
    };
    let peer = Peer::open(&world).await;
    let stuck = town.args("web", json!({ "manifest": with_env("bad-image"), "wait": true }));
    peer.send(&peer.request(&world, "app_update", stuck)).await;
    town.until("web", |app| app["status"] == "UPDATE_IN_PROGRESS" && app["deployment_id"].is_string()).await;
    // One that waits behind it, and knows nothing of force.
    let waiting = town.args("web", json!({ "instances": 5, "wait": true }));
    peer.send(&peer.request(&world, "app_scale", waiting)).await;
    let queued = eventually(|| async {
        let running = "SELECT uuid FROM operation WHERE kind = 'app_scale' AND state = 'running'";
        (!world.database.texts(running).await.is_empty()).then_some(())
    });
    assert!(queued.await.is_some());
    assert!(peer.seen().is_empty(), "it waits");

    let forced = town.done("app_update", "web", json!({ "manifest": with_env("good"), "force": true })).await;
    assert_eq!(data(&forced.unwrap())["status"], "UPDATE_COMPLETE");
    let replies = peer.replies(2).await;
    assert!(replies.iter().all(|reply| outcome(reply) == Err("Conflict".to_owned())), "{replies:?}");
    let there = town.marathon().app("/web").unwrap();
    assert_eq!((&there["env"], &there["instances"]), (&json!({ "IMAGE": "good" }), &json!(1)));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_again_deploys_nothing_and_is_answered_with_the_same_bytes() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let mut changed = manifest("/web");
    changed["env"] = json!({ "A": "b" });
    let mut create = town.create_args("web", &manifest("/web"));
    create["wait"] = json!(true);
    let calls = [
        ("app_create", create),
        ("app_update", town.args("web", json!({ "manifest": changed.to_string(), "wait": true }))),
        ("app_scale", town.args("web", json!({ "instances": 2, "wait": true }))),
        ("app_restart", town.args("web", json!({ "wait": true }))),
        ("app_delete", town.args("web", json!({ "wait": true }))),
    ];
    for (begun, (method, args)) in calls.into_iter().enumerate() {
        let peer = Peer::open(&world).await;
        let request = peer.request(&world, method, args);
        peer.send(&request).await;
        peer.send(&request).await;
        outcome(&peer.replies(1).await[0]).unwrap_or_else(|class| panic!("{method}: {class}"));
        peer.send(&request).await;
        let replies = peer.replies(2).await;
        assert!(replies.iter().all(|reply| *reply == replies[0]), "{method}");
        assert_eq!(town.marathon().deployments_begun(), begun + 1, "{method}");
    }
    let operations = world.database.texts("SELECT uuid FROM operation WHERE kind LIKE 'app_%'").await;
    assert_eq!(operations.len(), 5);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_so_many_requests_may_wait_behind_one() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.marathon().behave(Script::new("/web", Behaviour::StuckStaging));
    caller.call("app_create", town.create_args("web", &manifest("/web"))).await.unwrap();
    let peer = Peer::open(&world).await;
    for instances in 0..40 {
        peer.send(&peer.request(&world, "app_scale", town.args("web", json!({ "instances": instances }))))
            .await;
    }
    let replies = peer.replies(8).await;
    assert!(replies.iter().all(|reply| outcome(reply) == Err("AppOperationInProgress".to_owned())));
    let waiting = world.database.texts("SELECT uuid FROM operation WHERE kind = 'app_scale'").await;
    assert_eq!(waiting.len(), 32);
    // All of them, and the create, hear that the app is deleted instead.
    assert_eq!(town.done("app_delete", "web", json!({})).await.unwrap(), Value::Null);
    let replies = peer.replies(40).await;
    assert!(replies.iter().all(|reply| outcome(reply).is_err()));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_behind_a_create_that_is_refused_finds_no_app() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let refusal = Action::Status {
        code: 422,
        body: json!({ "message": "Object is not valid", "details": [] }).to_string(),
        headers: std::collections::BTreeMap::new(),
    };
    let faults = world.sandbox.faults();
    faults.add(Rule::new(Service::Marathon, "GET", "/v2/apps/", Action::Latency(1500)).once());
    faults.add(Rule::new(Service::Marathon, "POST", "/v2/apps", refusal));
    let scale = async {
        town.until("web", |_| true).await;
        town.done("app_scale", "web", json!({ "instances": 2 })).await
    };
    let create = caller.call("app_create", town.create_args("web", &manifest("/web")));
    let (created, scaled) = tokio::join!(create, scale);
    let created = created.unwrap_err();
    assert_eq!(failure_class(&created), "InvalidManifest");
    assert!(message(&created).contains("Object is not valid"), "{created}");
    assert_eq!(failure_class(&scaled.unwrap_err()), "AppNotFound");
    worker.stop().await;
}
