//! Several apps in one manifest: one app here, one operation, and done when all of them are.

use serde_json::{Value, json};

use crate::support::app::{Town, manifest};
use crate::support::{Caller, World, data};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_lives_as_one_app() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let group = json!({
        "id": "/shop", "apps": [manifest("web")], "groups": [{ "id": "back", "apps": [manifest("db"), manifest("mq")] }],
    });
    let app = town.run("shop", &group).await;
    assert_eq!((&data(&app)["framework_id"], &data(&app)["instances"]), (&json!("/shop"), &json!(3)));
    assert_eq!(data(&app)["tasks_running"], 3);
    assert_eq!(town.marathon().apps(), ["/shop/back/db", "/shop/back/mq", "/shop/web"]);
    assert_eq!(town.marathon().deployments_begun(), 1);

    let tasks = town.ask("app_tasks", "shop", json!({})).await.unwrap();
    assert_eq!(tasks.as_array().map(Vec::len), Some(3));
    town.done("app_restart", "shop", json!({})).await.unwrap();
    let after = town.ask("app_tasks", "shop", json!({})).await.unwrap();
    for task in after.as_array().unwrap() {
        assert!(tasks.as_array().unwrap().iter().all(|old| old["id"] != task["id"]), "{task}");
    }
    let (class, text) = town.refused("app_scale", "shop", json!({ "instances": 2 })).await;
    assert_eq!(class, "NotSupported", "{text}");
    assert_eq!(data(&town.show("shop").await.unwrap())["status"], "UPDATE_COMPLETE");

    // What the new manifest does not have goes.
    let smaller = json!({ "id": "/shop", "apps": [manifest("web")] });
    let updated = town.done("app_update", "shop", json!({ "manifest": smaller.to_string() })).await.unwrap();
    assert_eq!(data(&updated)["tasks_running"], 1);
    assert_eq!(town.marathon().apps(), ["/shop/web"]);
    let versions = town.ask("app_versions", "shop", json!({})).await.unwrap();
    assert!(versions.as_array().is_some_and(|versions| !versions.is_empty()), "{versions}");
    assert_eq!(town.done("app_delete", "shop", json!({})).await.unwrap(), Value::Null);
    assert!(town.marathon().apps().is_empty());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_apps_live_as_one() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let both = json!([manifest("/a"), manifest("/b/c")]);
    let app = town.run("both", &both).await;
    assert_eq!((&data(&app)["framework_id"], &data(&app)["tasks_running"]), (&json!("/a,/b/c"), &json!(2)));
    assert_eq!(town.marathon().deployments_begun(), 1);
    let mut changed = both.clone();
    changed[1]["env"] = json!({ "A": "b" });
    changed[0]["instances"] = json!(2);
    let updated = town.done("app_update", "both", json!({ "manifest": changed })).await.unwrap();
    assert_eq!(data(&updated)["tasks_running"], 3);
    assert_eq!(town.marathon().deployments_begun(), 2);
    for (method, more) in [("app_versions", json!({})), ("app_rollback", json!({ "version": "x" }))] {
        assert_eq!(town.refused(method, "both", more).await.0, "NotSupported", "{method}");
    }
    town.done("app_restart", "both", json!({})).await.unwrap();
    let shown = town.show("both").await.unwrap();
    assert_eq!(
        (&data(&shown)["status"], &data(&shown)["status_reason"]),
        (&json!("UPDATE_COMPLETE"), &Value::Null)
    );
    // One of them is taken away behind our back: that is said, and deleting the rest is no fault.
    town.until_quiet().await;
    town.behind("DELETE", "/v2/apps//a", Value::Null).await;
    let app = town.until("both", |app| app["status_reason"].is_string()).await;
    assert!(app["status_reason"].as_str().unwrap().contains("/a is not in the framework"), "{app}");
    assert_eq!(town.done("app_delete", "both", json!({})).await.unwrap(), Value::Null);
    assert!(town.marathon().apps().is_empty());
    worker.stop().await;
}
