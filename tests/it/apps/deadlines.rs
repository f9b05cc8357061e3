//! Marathon waits for ever for what cannot run. Here that has an end: it is told why, and left, taken back or cancelled.

use mesos_conductor_sandbox::{Behaviour, Script};
use serde_json::{Value, json};

use crate::support::app::{Town, manifest, message};
use crate::support::{Caller, World, data, eventually, failure_class};

const CRASH: &str = "Command exited with status 7";

/// A version of an app that a script makes fail.
fn bad(id: &str) -> Value {
    let mut bad = manifest(id);
    bad["env"] = json!({ "IMAGE": "bad-image" });
    bad
}

fn make_bad(town: &Town<'_>, id: &str, behaviour: Behaviour) {
    town.marathon().behave(Script::new(id, behaviour).containing("bad-image"));
}

/// Updates to the bad version, with a deadline of a second, and returns what its caller was told.
async fn fail_update(town: &Town<'_>, behaviour: Behaviour, reason: &str, more: Value) -> String {
    make_bad(town, "/web", behaviour);
    let mut args = json!({ "manifest": bad("/web").to_string(), "deadline": 1 });
    args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let error = town.done("app_update", "web", args).await.expect_err("it cannot run");
    assert_eq!(failure_class(&error), "DeploymentFailed", "{error}");
    let text = message(&error);
    assert!(text.contains("not done within 1 s") && text.contains(reason), "{text}");
    let shown = town.show("web").await.unwrap();
    assert_eq!(data(&shown)["status"], "UPDATE_FAILED");
    assert_eq!(data(&shown)["status_reason"], json!(text));
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_crashes_is_left_with_the_reason_and_can_be_mended() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    fail_update(&town, Behaviour::crash_loop(CRASH), CRASH, json!({})).await;
    let why = town.ask("app_diagnose", "web", json!({})).await.unwrap();
    assert_eq!(
        (&why["running"], &why["status"], &why["name"]),
        (&json!(false), &json!("UPDATE_FAILED"), &json!("web"))
    );
    assert!(why["reasons"].to_string().contains(CRASH), "{why}");
    assert_eq!(why["last_failures"][0]["message"], CRASH, "{why}");

    let mut good = manifest("/web");
    good["env"] = json!({ "IMAGE": "good" });
    let mended = town.done("app_update", "web", json!({ "manifest": good.to_string() })).await.unwrap();
    assert_eq!(
        (&data(&mended)["status"], &data(&mended)["status_reason"]),
        (&json!("UPDATE_COMPLETE"), &Value::Null)
    );
    let why = town.ask("app_diagnose", "web", json!({})).await.unwrap();
    assert_eq!((&why["running"], &why["reasons"]), (&json!(true), &json!([])), "{why}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_left_is_in_nobodys_way() {
    let world = World::new().await;
    let worker = super::faults::impatient(&world).await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    let leave = json!({ "on_deadline": "leave" });
    fail_update(&town, Behaviour::StuckStaging, "1 being started", leave.clone()).await;
    let left = town.marathon().deployments();
    assert_eq!(left.len(), 1, "it is left to go on");
    assert_eq!(data(&town.show("web").await.unwrap())["deployment_id"], left[0]["id"]);
    // It is in nobody's way: neither of an update that mends the app nor of its deletion.
    let mended = json!({ "manifest": manifest("/web").to_string() });
    assert_eq!(data(&town.done("app_update", "web", mended).await.unwrap())["status"], "UPDATE_COMPLETE");
    fail_update(&town, Behaviour::StuckStaging, "1 being started", leave).await;
    assert_eq!(town.done("app_delete", "web", json!({})).await.unwrap(), Value::Null);
    town.until_quiet().await;
    assert!(town.marathon().apps().is_empty());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_update_is_taken_back() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    let text =
        fail_update(&town, Behaviour::crash_loop(CRASH), CRASH, json!({ "on_deadline": "rollback" })).await;
    assert!(text.contains("taken back"), "{text}");
    town.until_quiet().await;
    let there = town.marathon().app("/web").unwrap();
    assert_eq!((&there["env"], &there["tasksRunning"]), (&json!({}), &json!(1)));
    let app = town.until("web", |app| app["tasks_running"] == 1).await;
    assert_eq!(app["manifest"], manifest("/web").to_string(), "the row says what runs");
    assert_eq!(app["deployment_id"], Value::Null);
    // It is an app like any other from here on.
    let scaled = town.done("app_scale", "web", json!({ "instances": 2 })).await.unwrap();
    assert_eq!(data(&scaled)["status"], "UPDATE_COMPLETE");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_update_is_cancelled_where_it_stands() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    let text =
        fail_update(&town, Behaviour::StuckStaging, "1 being started", json!({ "on_deadline": "cancel" }))
            .await;
    assert!(text.contains("cancelled"), "{text}");
    assert!(town.marathon().deployments().is_empty());
    assert_eq!(town.marathon().app("/web").unwrap()["env"], json!({ "IMAGE": "bad-image" }));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_agent_has_room_for_fails_with_that_reason() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.marathon().behave(Script::new("/web", Behaviour::unschedulable("InsufficientCpus")));
    let mut args = town.create_args("web", &manifest("/web"));
    args["deadline"] = json!(1);
    caller.call("app_create", args).await.expect("Marathon takes it on");
    let app = town.until_status("web", "CREATE_FAILED").await;
    let reason = app["status_reason"].as_str().unwrap();
    assert!(reason.contains("too little CPU") && reason.contains("0 of 1 instances"), "{reason}");
    let why = town.ask("app_diagnose", "web", json!({})).await.unwrap();
    assert!(why["reasons"].to_string().contains("too little CPU"), "{why}");
    // Once there is room it runs after all, and is shown so.
    town.marathon().clear_scripts();
    let scaled = town.done("app_scale", "web", json!({ "instances": 1, "force": true })).await.unwrap();
    assert_eq!(data(&scaled)["status"], "UPDATE_COMPLETE");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_create_is_taken_back_and_its_record_stays_to_say_why() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.marathon().behave(Script::new("/web", Behaviour::crash_loop(CRASH)));
    let mut args = town.create_args("web", &manifest("/web"));
    args["deadline"] = json!(1);
    args["on_deadline"] = json!("rollback");
    args["wait"] = json!(true);
    let error = caller.call("app_create", args).await.unwrap_err();
    assert_eq!(failure_class(&error), "DeploymentFailed");
    assert!(message(&error).contains(CRASH), "{error}");
    town.until_quiet().await;
    assert!(town.marathon().apps().is_empty());
    let shown = town.show("web").await.unwrap();
    assert_eq!(data(&shown)["status"], "CREATE_FAILED");
    town.marathon().clear_scripts();
    let mended =
        town.done("app_update", "web", json!({ "manifest": manifest("/web").to_string() })).await.unwrap();
    assert_eq!(data(&mended)["status"], "UPDATE_COMPLETE");
    assert_eq!(town.done("app_delete", "web", json!({})).await.unwrap(), Value::Null);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_apps_none_stays_when_one_cannot_run() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    make_bad(&town, "/shop/db", Behaviour::unschedulable("InsufficientMemory"));
    let several = json!([manifest("/shop/web"), bad("/shop/db")]);
    let group = json!({ "id": "/shop", "apps": [manifest("web"), bad("db")] });
    for (name, wanted) in [("several", several), ("group", group)] {
        let mut args = town.create_args(name, &wanted);
        args["deadline"] = json!(1);
        args["wait"] = json!(true);
        let error = caller.call("app_create", args).await.unwrap_err();
        assert_eq!(failure_class(&error), "DeploymentFailed", "{name}");
        assert!(message(&error).contains("too little memory"), "{name}: {error}");
        town.until_quiet().await;
        assert!(town.marathon().apps().is_empty(), "{name}: {:?}", town.marathon().apps());
        let shown = town.show(name).await.unwrap();
        assert_eq!(data(&shown)["status"], "CREATE_FAILED");
        assert_eq!(town.done("app_delete", name, json!({})).await.unwrap(), Value::Null);
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_whose_tasks_do_not_go_fails_and_can_be_asked_for_again() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.marathon().behave(Script::new("/web", Behaviour::Unkillable));
    town.run("web", &manifest("/web")).await;
    let error = town.done("app_delete", "web", json!({ "deadline": 1 })).await.unwrap_err();
    assert_eq!(failure_class(&error), "DeploymentFailed");
    let shown = town.show("web").await.unwrap();
    assert_eq!(data(&shown)["status"], "DELETE_FAILED");
    assert!(data(&shown)["status_reason"].as_str().unwrap().contains("within 1 s"), "{shown}");
    for agent in 1..=9 {
        town.marathon().lose_agent(&format!("10.0.0.{agent}"));
    }
    assert_eq!(town.done("app_delete", "web", json!({})).await.unwrap(), Value::Null);
    town.until_gone("web").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_configuration_says_what_becomes_of_it_when_the_caller_does_not() {
    let world = World::new().await;
    let more = "deployment_deadline = \"1s\"\ndeployment_on_deadline = \"rollback\"";
    let worker = world.framework_worker(more).await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    make_bad(&town, "/web", Behaviour::crash_loop(CRASH));
    town.ask("app_update", "web", json!({ "manifest": bad("/web").to_string() })).await.unwrap();
    town.until_status("web", "UPDATE_FAILED").await;
    town.until_quiet().await;
    assert_eq!(town.marathon().app("/web").unwrap()["env"], json!({}));
    let up = eventually(|| async { (town.marathon().app("/web")?["tasksRunning"] == 1).then_some(()) });
    assert!(up.await.is_some());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_changed_as_a_whole_or_not_at_all() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let group = json!({ "id": "/shop", "apps": [manifest("web"), manifest("db")] });
    town.run("shop", &group).await;
    make_bad(&town, "/shop/db", Behaviour::StuckStaging);
    let mut good = manifest("web");
    good["env"] = json!({ "IMAGE": "good" });
    let changed = json!({ "id": "/shop", "apps": [good, bad("db")] });
    let update = json!({ "manifest": changed.to_string(), "deadline": 1 });
    let error = town.done("app_update", "shop", update).await.unwrap_err();
    assert!(message(&error).contains("/shop/db") && message(&error).contains("taken back"), "{error}");
    town.until_quiet().await;
    for app in ["/shop/web", "/shop/db"] {
        assert_eq!(town.marathon().app(app).unwrap()["env"], json!({}), "{app}");
    }
    assert_eq!(data(&town.show("shop").await.unwrap())["manifest"], group.to_string());
    worker.stop().await;
}
