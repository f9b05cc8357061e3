//! What Marathon can do to an app's operations, and what they make of it: one deployment, one answer, the reason in words.

use std::time::Duration;

use mesos_conductor_sandbox::{
    Access, Action, Behaviour, Config, MarathonConfig, Profile, Rule, Script, Service,
};
use serde_json::{Value, json};

use crate::support::app::{Town, checked, manifest, message};
use crate::support::database::Backend;
use crate::support::worker::Worker;
use crate::support::{Caller, PATIENCE, World, data, failure_class};

/// A world whose bays have such a Marathon.
pub(super) async fn world_with(marathon: MarathonConfig) -> World {
    World::with(Backend::Sqlite, Config { bays: Some(marathon), ..Config::default() }).await
}

/// A worker that gives steps up after a few seconds.
pub(super) async fn impatient(world: &World) -> Worker {
    let configuration =
        world.configuration("").replace("[conductor]\n", "[conductor]\noperation_deadline = \"3s\"\n");
    Worker::start_with(world, &configuration, None).await
}

/// The requests that change something, in the order of a life.
const CHANGES: [(&str, &str); 6] = [
    ("POST", "/v2/apps$"),
    ("PATCH", "/v2/apps/"),
    ("POST", "/restart$"),
    ("PUT", "/v2/apps/"),
    ("DELETE", "/tasks/"),
    ("DELETE", "/v2/apps/*web$"),
];

/// Creates, scales, restarts, updates, rolls back, kills a task and deletes while every kind of request fails once.
async fn a_life_with(profile: Profile, action: Action) {
    let world = world_with(MarathonConfig::of(profile)).await;
    let worker = world.framework_worker("request_timeout = \"700ms\"").await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let faults = world.sandbox.faults();
    let patches = profile == Profile::V1_11;
    // Older releases scale by PUT: there it is the scaling that has the fault of the update.
    let changes = CHANGES.iter().filter(|(method, _)| patches || *method != "PATCH");
    for (method, path) in changes {
        faults.add(Rule::new(Service::Marathon, method, path, action.clone()).once());
    }
    let begun = |count: usize| assert_eq!(town.marathon().deployments_begun(), count);
    town.run("web", &manifest("/web")).await;
    begun(1);
    town.done("app_scale", "web", json!({ "instances": 2 })).await.unwrap();
    begun(2);
    town.done("app_restart", "web", json!({})).await.unwrap();
    begun(3);
    let mut changed = manifest("/web");
    changed["env"] = json!({ "A": "b" });
    changed["instances"] = json!(2);
    town.done("app_update", "web", json!({ "manifest": changed.to_string() })).await.unwrap();
    begun(4);
    let versions = town.ask("app_versions", "web", json!({})).await.unwrap();
    let oldest = versions.as_array().unwrap().last().unwrap().clone();
    faults.add(Rule::new(Service::Marathon, "PUT", "/v2/apps/", action.clone()).once());
    let back = town.done("app_rollback", "web", json!({ "version": oldest })).await.unwrap();
    assert_eq!((&data(&back)["status"], &data(&back)["instances"]), (&json!("UPDATE_COMPLETE"), &json!(1)));
    begun(5);
    let tasks = town.ask("app_tasks", "web", json!({})).await.unwrap();
    let task = tasks[0]["id"].clone();
    let killed = town.done("app_task_kill", "web", json!({ "task_id": task, "scale": true })).await.unwrap();
    assert_eq!(data(&killed)["instances"], 0);
    begun(6);
    assert_eq!(town.done("app_delete", "web", json!({})).await.unwrap(), Value::Null);
    begun(7);
    assert!(town.marathon().apps().is_empty());
    for armed in faults.list() {
        assert_eq!(armed.hits, 1, "{armed:?}");
    }
    worker.stop().await;
}

macro_rules! survived {
    ($($name:ident: $profile:ident, $action:expr;)+) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            a_life_with(Profile::$profile, $action).await;
        }
    )+ };
}

survived! {
    answers_are_lost_after_the_effect: V1_11, Action::ResetAfter;
    answers_are_lost_after_the_effect_on_0_15: V0_15, Action::ResetAfter;
    answers_come_too_late: V1_11, Action::SlowAnswer(1500);
    answers_are_garbage: V1_11, Action::Garbage("<html>".to_owned());
    connections_close_before_the_effect: V1_11, Action::ResetBefore;
    connections_close_before_the_effect_on_1_3: V1_3, Action::ResetBefore;
    a_proxy_answers_502_with_a_page: V1_11, Action::html(502);
    a_master_answers_503_with_a_page: V1_11, Action::html(503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_deployment_is_waited_for() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    let lock = town.lock("/web").await;
    let release = async {
        assert!(worker.logged("the step is tried again").await, "{}", worker.log_text());
        town.unlock(&lock).await;
    };
    let (scaled, ()) = tokio::join!(town.done("app_scale", "web", json!({ "instances": 3 })), release);
    let scaled = scaled.unwrap();
    assert_eq!((&data(&scaled)["instances"], &data(&scaled)["tasks_running"]), (&json!(3), &json!(3)));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_deployment_without_an_end_is_named_at_the_deadline_and_gives_way_to_force() {
    let world = World::new().await;
    let worker = impatient(&world).await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    let lock = town.lock("/web").await;
    for (method, more) in
        [("app_scale", json!({ "instances": 3 })), ("app_restart", json!({})), ("app_delete", json!({}))]
    {
        let error = town.ask(method, "web", more).await.expect_err("it is locked");
        assert_eq!(failure_class(&error), "AppOperationInProgress", "{method}: {error}");
        assert!(message(&error).contains(&lock), "{method}: {error}");
    }
    let shown = town.show("web").await.unwrap();
    assert_eq!(data(&shown)["status"], "DELETE_FAILED");
    assert_eq!(town.marathon().app("/web").unwrap()["instances"], 7, "it is as the other left it");
    assert_eq!(town.done("app_delete", "web", json!({ "force": true })).await.unwrap(), Value::Null);
    assert!(town.marathon().apps().is_empty());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_is_there_and_the_same_is_taken_over() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.behind("POST", "/v2/apps", manifest("/web")).await;
    town.until_quiet().await;
    town.run("web", &manifest("/web")).await;
    assert_eq!(town.marathon().deployments_begun(), 1);

    town.behind("POST", "/v2/apps", manifest("/other")).await;
    let mut differs = manifest("/other");
    differs["cmd"] = json!("sleep 1");
    let error = caller.call("app_create", town.create_args("other", &differs)).await.unwrap_err();
    assert_eq!(failure_class(&error), "AppAlreadyExists");
    assert!(message(&error).contains("/cmd"), "{error}");
    assert_eq!(town.refused("app_show", "other", json!({})).await.0, "AppNotFound");
    assert_eq!(town.marathon().app("/other").unwrap()["cmd"], "sleep 1000");
    worker.stop().await;
}

/// What this Marathon refuses and the check before it does not.
fn refused_by_marathon() -> Value {
    let mut refused = manifest("/web");
    refused["portDefinitions"] = json!([{ "port": 0, "name": "http" }]);
    refused["container"] =
        json!({ "type": "MESOS", "portMappings": [{ "containerPort": 80, "name": "http" }] });
    refused
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_told_in_each_of_its_three_shapes() {
    for profile in [Profile::V0_8, Profile::V0_15, Profile::V1_11] {
        let world = world_with(MarathonConfig::of(profile)).await;
        let worker = world.worker().await;
        let caller = Caller::new(&world).await;
        let town = Town::build(&caller).await;
        let args = town.create_args("web", &refused_by_marathon());
        let error = caller.call("app_create", args).await.unwrap_err();
        assert_eq!(failure_class(&error), "InvalidManifest", "{profile:?}: {error}");
        let text = message(&error);
        assert!(text.contains("Port names must be unique") && text.contains("portDefinitions"), "{text}");
        assert_eq!(world.sandbox.count(Service::Marathon, "POST", "/v2/apps$"), 1, "it is not tried again");
        assert_eq!(town.refused("app_show", "web", json!({})).await.0, "AppNotFound");

        town.run("web", &manifest("/web")).await;
        let update = json!({ "manifest": refused_by_marathon().to_string() });
        let (class, text) = town.refused("app_update", "web", update).await;
        assert_eq!(class, "InvalidManifest", "{text}");
        let shown = town.show("web").await.unwrap();
        assert_eq!(data(&shown)["status"], "CREATE_COMPLETE", "nothing was changed");
        assert_eq!(data(&shown)["manifest"], manifest("/web").to_string());
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_deployments_are_no_question_of_rights() {
    let world = world_with(MarathonConfig { max_deployments: Some(1), ..MarathonConfig::default() }).await;
    let worker = impatient(&world).await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.marathon().behave(Script::new("/other", Behaviour::StuckStaging));
    let other = town.behind("POST", "/v2/apps", manifest("/other")).await;
    let error = caller.call("app_create", town.create_args("web", &manifest("/web"))).await.unwrap_err();
    assert_eq!(failure_class(&error), "FrameworkUnavailable", "{error}");
    assert!(message(&error).contains("running deployments"), "{error}");
    assert_eq!(town.refused("app_show", "web", json!({})).await.0, "AppNotFound");

    let before = world.sandbox.count(Service::Marathon, "POST", "/v2/apps$");
    let release = async {
        let asked = |sandbox: &mesos_conductor_sandbox::Sandbox| {
            sandbox.count(Service::Marathon, "POST", "/v2/apps$") > before
        };
        assert!(world.sandbox.wait_until(PATIENCE, asked).await);
        let id = other["deployments"][0]["id"].as_str().unwrap();
        town.behind("DELETE", &format!("/v2/deployments/{id}?force=true"), Value::Null).await;
    };
    let wanted = manifest("/web");
    tokio::join!(town.run("web", &wanted), release);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_goes_in_mid_deployment_takes_nothing_along() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::with_masters(&caller, 3).await;
    town.marathon().behave(Script::new("/web", Behaviour::Healthy { after_seconds: 150 }));
    let app = caller.call("app_create", town.create_args("web", &checked("/web"))).await.unwrap();
    let deployment = data(&app)["deployment_id"].clone();
    town.marathon().fail_over();
    town.until_status("web", "CREATE_COMPLETE").await;
    assert_eq!(town.marathon().deployments_begun(), 1);
    assert!(deployment.is_string());
    // Without any leader a change waits for the next one.
    town.marathon().depose();
    let elect = async {
        assert!(worker.logged("Could not determine the current leader").await);
        town.marathon().elect(2);
    };
    let (scaled, ()) = tokio::join!(town.done("app_scale", "web", json!({ "instances": 2 })), elect);
    assert_eq!(data(&scaled.unwrap())["tasks_healthy"], 2);
    assert_eq!(town.marathon().deployments_begun(), 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_told_and_right_ones_are_kept_secret() {
    let access = Access::basic("conductor", "marathon-password-4711");
    let world = world_with(MarathonConfig { access, ..MarathonConfig::default() }).await;
    let login = |password: &str| format!("http_username = \"conductor\"\nhttp_password = \"{password}\"");
    let worker = world.framework_worker(&login("wrong-password-4712")).await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let error = caller.call("app_create", town.create_args("web", &manifest("/web"))).await.unwrap_err();
    assert_eq!(failure_class(&error), "AuthorizationFailure", "{error}");
    assert_eq!(town.refused("app_show", "web", json!({})).await.0, "AppNotFound");
    let listed = caller.call("deployment_list", json!({ "bay_ident": town.bay })).await.unwrap_err();
    assert_eq!(failure_class(&listed), "AuthorizationFailure");
    let mut logs = worker.log_text();
    worker.stop().await;

    let worker = world.framework_worker(&login("marathon-password-4711")).await;
    town.run("web", &manifest("/web")).await;
    logs += &worker.log_text();
    worker.stop().await;
    for secret in ["marathon-password-4711", "wrong-password-4712"] {
        assert!(!logs.contains(secret));
        assert!(!error.to_string().contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bay_whose_framework_is_gone_is_told_as_that() {
    let world = World::new().await;
    let worker = impatient(&world).await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    town.marathon().set_up(0, false);
    for method in ["app_tasks", "app_versions", "app_diagnose", "app_restart"] {
        let (class, text) = town.refused(method, "web", json!({})).await;
        assert_eq!(class, "FrameworkUnavailable", "{method}: {text}");
    }
    let shown = town.show("web").await.unwrap();
    assert_eq!(data(&shown)["status"], "CREATE_COMPLETE", "what could not be begun changes nothing");
    town.marathon().set_up(0, true);
    town.marathon().elect(0);
    tokio::time::timeout(Duration::from_secs(30), town.done("app_restart", "web", json!({})))
        .await
        .expect("it is soon found again")
        .unwrap();
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_nobody_heard_of_and_that_is_refused_then_leaves_nothing() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let faults = world.sandbox.faults();
    faults.add(Rule::new(Service::Marathon, "POST", "/v2/apps$", Action::ResetAfter).once());
    faults.add(Rule::new(Service::Marathon, "POST", "/v2/apps$", Action::status(401)).once());
    let error = caller.call("app_create", town.create_args("web", &manifest("/web"))).await.unwrap_err();
    assert_eq!(failure_class(&error), "AuthorizationFailure", "{error}");
    assert_eq!(town.refused("app_show", "web", json!({})).await.0, "AppNotFound");
    town.until_quiet().await;
    assert!(town.marathon().apps().is_empty(), "what was made meanwhile is gone");
    // What somebody else made is left alone.
    town.behind("POST", "/v2/apps", manifest("/web")).await;
    faults.clear();
    faults.add(Rule::new(Service::Marathon, "POST", "/v2/apps$", Action::ResetBefore).once());
    faults.add(Rule::new(Service::Marathon, "POST", "/v2/apps$", Action::status(401)).once());
    caller.call("app_create", town.create_args("web", &manifest("/web"))).await.unwrap_err();
    assert_eq!(town.marathon().apps(), ["/web"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_bay_may_have_credentials_of_its_own() {
    let access = Access::token("bays-own-token-4713");
    let world = world_with(MarathonConfig { access, ..MarathonConfig::default() }).await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let error = caller.call("app_create", town.create_args("web", &manifest("/web"))).await.unwrap_err();
    assert_eq!(failure_class(&error), "AuthorizationFailure", "{error}");
    worker.stop().await;
    let file = world.directory.path().join("credentials.json");
    let entries =
        json!({ town.bay.clone(): { "token": "bays-own-token-4713" }, "*": { "token": "another" } });
    std::fs::write(&file, entries.to_string()).unwrap();
    let worker = world.framework_worker(&format!("credentials_file = {file:?}")).await;
    town.run("web", &manifest("/web")).await;
    assert!(!worker.log_text().contains("bays-own-token-4713"));
    worker.stop().await;
}
