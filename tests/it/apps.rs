//! Apps on a bay, over RPC, on the bay's own Marathon.

use mesos_conductor_sandbox::{Behaviour, Script};
use serde_json::{Value, json};

use crate::support::app::{Town, manifest};
use crate::support::{Caller, World, data, eventually};

mod changes;
mod deadlines;
mod faults;
mod groups;
mod objects;
mod races;
mod refusals;
mod secured;
mod telling;
mod urls;
mod watching;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_is_created_shown_changed_and_deleted() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;

    let definition = json!({ "id": "/shop/web", "cmd": "sleep 1000", "cpus": 0.1, "mem": 16, "instances": 2,
        "portDefinitions": [{ "port": 0 }], "env": { "A": "b" } });
    let accepted = caller.call("app_create", town.create_args("web", &definition)).await.unwrap();
    let app = data(&accepted);
    assert_eq!((&app["name"], &app["framework_id"]), (&json!("web"), &json!("/shop/web")));
    assert_eq!(app["status"], "CREATE_IN_PROGRESS");
    assert!(app["deployment_id"].is_string(), "{app}");
    let uuid = app["uuid"].as_str().unwrap().to_owned();

    let app = town.until_status("web", "CREATE_COMPLETE").await;
    assert_eq!((&app["instances"], &app["tasks_running"]), (&json!(2), &json!(2)));
    assert_eq!(app["endpoints"].as_array().map(Vec::len), Some(2), "{app}");
    assert!(app["deployment_id"].is_null() && app["version"].is_string(), "{app}");
    assert_eq!(serde_json::from_str::<Value>(app["manifest"].as_str().unwrap()).unwrap(), definition);
    let listed = caller.call("app_list", json!({ "bay_ident": "b1" })).await.unwrap();
    assert_eq!(data(&listed[0])["uuid"], json!(uuid));

    let scaled = town.ask("app_scale", &uuid, json!({ "instances": 3, "wait": true })).await.unwrap();
    assert_eq!(
        (&data(&scaled)["status"], &data(&scaled)["tasks_running"]),
        (&json!("UPDATE_COMPLETE"), &json!(3))
    );

    let tasks = town.ask("app_tasks", "web", json!({})).await.unwrap();
    let before: Vec<_> = tasks.as_array().unwrap().iter().map(|task| task["id"].clone()).collect();
    town.ask("app_restart", "web", json!({ "wait": true })).await.unwrap();
    let tasks = town.ask("app_tasks", "web", json!({})).await.unwrap();
    assert!(tasks.as_array().unwrap().iter().all(|task| !before.contains(&task["id"])), "{tasks}");

    let mut second = definition.clone();
    second["cmd"] = json!("sleep 2000");
    town.ask("app_update", "web", json!({ "manifest": second.to_string(), "wait": true })).await.unwrap();
    assert_eq!(town.marathon().app("/shop/web").unwrap()["cmd"], "sleep 2000");
    assert_eq!(data(&town.show("web").await.unwrap())["instances"], 2);

    let versions = town.ask("app_versions", "web", json!({})).await.unwrap();
    let oldest = versions.as_array().unwrap().last().unwrap().clone();
    let back = town.ask("app_rollback", "web", json!({ "version": oldest, "wait": true })).await.unwrap();
    assert_eq!(town.marathon().app("/shop/web").unwrap()["cmd"], "sleep 1000");
    assert!(data(&back)["manifest"].as_str().unwrap().contains("sleep 1000"), "{back}");

    let tasks = town.ask("app_tasks", "web", json!({})).await.unwrap();
    let task = tasks[0]["id"].as_str().unwrap();
    let killed = town.ask("app_task_kill", "web", json!({ "task_id": task, "scale": true, "wait": true }));
    assert_eq!(data(&killed.await.unwrap())["instances"], 1);

    assert_eq!(town.ask("app_delete", "web", json!({})).await.unwrap(), Value::Null);
    town.until_gone("web").await;
    assert!(town.marathon().apps().is_empty());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_bay_takes_the_records_of_its_apps_along() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    town.marathon().behave(Script::new("/slow", Behaviour::StuckStaging));
    caller.call("app_create", town.create_args("slow", &manifest("/slow"))).await.unwrap();
    caller.call("bay_delete", json!({ "uuid": town.bay })).await.unwrap();
    caller.wait_until_gone(&town.bay).await;
    let left = eventually(|| async {
        let apps = world.database.texts("SELECT uuid FROM app").await;
        let busy = world.database.texts("SELECT operation_uuid FROM active_operation").await;
        (apps.is_empty() && busy.is_empty()).then_some(())
    });
    assert!(left.await.is_some(), "{}", worker.log_text());
    worker.stop().await;
}
