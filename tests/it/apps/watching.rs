//! What somebody else does to an app is shown, by whichever worker watches the bay, with a stream of events or without.

use mesos_conductor_sandbox::{Access, Behaviour, Marathon, MarathonConfig, Profile, Script, Service};
use serde_json::{Value, json};

use super::faults::world_with;
use crate::support::app::{Town, checked, manifest};
use crate::support::worker::Worker;
use crate::support::{Caller, World, data, eventually};

const WATCHED: &str = "mesos_conductor_bays_watched";
const ENDED: &str = "mesos_conductor_event_streams_ended_total";

/// A worker that only looks when an event tells it to, for all that a test can wait.
async fn attentive(world: &World) -> Worker {
    let configuration = world
        .configuration("")
        .replace("[marathon]\npoll_interval = \"1s\"", "[marathon]\npoll_interval = \"5m\"");
    assert!(configuration.contains("5m"));
    Worker::start_with(world, &configuration, None).await
}

async fn until_streams(marathon: &Marathon, count: usize) {
    let open = eventually(|| async { (marathon.streams() == count).then_some(()) });
    assert!(open.await.is_some(), "{} streams are open, not {count}", marathon.streams());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_does_to_an_app_is_shown() {
    let world = World::new().await;
    let worker = attentive(&world).await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    until_streams(&town.marathon(), 1).await;

    town.behind("PUT", "/v2/apps//web", json!({ "instances": 3 })).await;
    let app = town.until("web", |app| app["tasks_running"] == 3).await;
    assert_eq!((&app["instances"], &app["status"]), (&json!(3), &json!("CREATE_COMPLETE")));
    assert_eq!(app["status_reason"], Value::Null, "a number of instances is no difference");

    town.behind("PUT", "/v2/apps//web", json!({ "env": { "A": "b" } })).await;
    let app = town.until("web", |app| app["status_reason"].is_string()).await;
    let reason = app["status_reason"].as_str().unwrap();
    assert!(reason.contains("/env") && reason.contains("/web"), "{reason}");

    town.until_quiet().await;
    town.behind("DELETE", "/v2/apps//web", Value::Null).await;
    let app = town.until("web", |app| app["tasks_running"] == 0).await;
    assert!(app["status_reason"].as_str().unwrap().contains("not in the framework any more"), "{app}");

    // And when it is as it should be again, nothing is left of it.
    let back =
        town.done("app_update", "web", json!({ "manifest": manifest("/web").to_string() })).await.unwrap();
    assert_eq!((&data(&back)["status_reason"], &data(&back)["tasks_running"]), (&Value::Null, &json!(1)));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_fails_is_seen_to_be_replaced() {
    let world = World::new().await;
    let worker = attentive(&world).await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let mut fragile = manifest("/web");
    fragile["backoffSeconds"] = json!(500);
    town.run("web", &fragile).await;
    until_streams(&town.marathon(), 1).await;
    town.marathon().fail_tasks("/web", "the disk is full");
    town.until("web", |app| app["tasks_running"] == 0).await;
    let why = town.ask("app_diagnose", "web", json!({})).await.unwrap();
    assert!(why["reasons"].to_string().contains("the disk is full"), "{why}");
    town.until("web", |app| app["tasks_running"] == 1).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_worker_watches_a_bay_and_another_takes_its_place() {
    let world = World::new().await;
    let (first, second) = (attentive(&world).await, attentive(&world).await);
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    town.run("other", &manifest("/other")).await;
    until_streams(&town.marathon(), 1).await;
    let asked = world.sandbox.count(Service::Marathon, "GET", "/v2/events");
    assert_eq!(asked, 1, "one stream for all apps and both workers");
    let of_first = eventually(|| async {
        let both = (first.metric(WATCHED).await, second.metric(WATCHED).await);
        (both.0 + both.1 > 0.5).then_some(both.0 > 0.5)
    });
    let (watching, other) = if of_first.await.unwrap() { (first, second) } else { (second, first) };
    watching.kill().await;
    until_streams(&town.marathon(), 0).await;
    until_streams(&town.marathon(), 1).await;
    assert!(other.metric(WATCHED).await > 0.5);
    town.behind("PUT", "/v2/apps//web", json!({ "instances": 2 })).await;
    town.until("web", |app| app["tasks_running"] == 2).await;
    // A worker that stops in order hands over at once.
    let third = attentive(&world).await;
    other.stop().await;
    until_streams(&town.marathon(), 1).await;
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_goes_silent_is_noticed_and_opened_anew() {
    let world = World::new().await;
    let worker = world.framework_worker("events_silence = \"1s\"").await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    until_streams(&town.marathon(), 1).await;
    assert!(worker.metric(ENDED).await < 0.5, "its heartbeats keep it alive");
    town.marathon().set_silent(true);
    let noticed = eventually(|| async { (worker.metric(ENDED).await >= 1.0).then_some(()) });
    assert!(noticed.await.is_some());
    town.behind("PUT", "/v2/apps//web", json!({ "instances": 2 })).await;
    town.until("web", |app| app["tasks_running"] == 2).await;
    town.marathon().set_silent(false);
    until_streams(&town.marathon(), 1).await;
    assert!(world.sandbox.count(Service::Marathon, "GET", "/v2/events") >= 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_of_three_masters_leads_is_listened_to() {
    let access = Access::basic("conductor", "marathon-password-4711");
    let world = world_with(MarathonConfig { access, ..MarathonConfig::default() }).await;
    let login = "http_username = \"conductor\"\nhttp_password = \"marathon-password-4711\"";
    let worker = world.framework_worker(login).await;
    let caller = Caller::new(&world).await;
    let town = Town::with_masters(&caller, 3).await;
    for leader in [2, 1] {
        town.marathon().elect(leader);
        let name = format!("web{leader}");
        town.run(&name, &manifest(&format!("/{name}"))).await;
        until_streams(&town.marathon(), 1).await;
        town.done("app_scale", &name, json!({ "instances": 2 })).await.unwrap();
    }
    town.marathon().fail_over();
    until_streams(&town.marathon(), 0).await;
    until_streams(&town.marathon(), 1).await;
    assert_eq!(town.marathon().deployments_begun(), 4);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_is_seen_to_end_though_its_stream_was_closed() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("other", &manifest("/other")).await;
    until_streams(&town.marathon(), 1).await;
    town.marathon().behave(Script::new("/web", Behaviour::Healthy { after_seconds: 200 }));
    let mut args = town.create_args("web", &checked("/web"));
    args["wait"] = json!(true);
    let close = async {
        let begun = eventually(|| async { (!town.marathon().deployments().is_empty()).then_some(()) });
        assert!(begun.await.is_some());
        town.marathon().close_streams();
        until_streams(&town.marathon(), 0).await;
        town.marathon().set_silent(true);
    };
    let (created, ()) = tokio::join!(caller.call("app_create", args), close);
    assert_eq!(data(&created.unwrap())["tasks_healthy"], 1);
    town.marathon().set_silent(false);
    until_streams(&town.marathon(), 1).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_framework_without_events_is_polled() {
    let world = world_with(MarathonConfig::of(Profile::V0_8)).await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    town.behind("PUT", "/v2/apps//web", json!({ "instances": 2 })).await;
    town.until("web", |app| app["tasks_running"] == 2).await;
    assert_eq!(world.sandbox.count(Service::Marathon, "GET", "/v2/events"), 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_events_worth_of_hints_ends_a_wait_at_once() {
    let world = World::new().await;
    let worker = attentive(&world).await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    // Its first look comes too early, and the next one would be minutes away.
    town.marathon().behave(Script::new("/web", Behaviour::Healthy { after_seconds: 100 }));
    town.run("web", &checked("/web")).await;
    let begun = std::time::Instant::now();
    town.done("app_scale", "web", json!({ "instances": 3 })).await.unwrap();
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bay_without_apps_is_watched_by_nobody() {
    let world = World::new().await;
    let worker = attentive(&world).await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    until_streams(&town.marathon(), 1).await;
    town.done("app_delete", "web", json!({})).await.unwrap();
    until_streams(&town.marathon(), 0).await;
    let none = eventually(|| async { (worker.metric(WATCHED).await < 0.5).then_some(()) });
    assert!(none.await.is_some());
    worker.stop().await;
}
