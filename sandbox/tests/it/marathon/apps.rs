//! Apps: what is shown of them and what a change does to them.

use serde_json::{Value, json};

use super::{Town, counts, web};

#[tokio::test]
async fn an_app_is_created_deployed_scaled_and_deleted() {
    let town = Town::still().await;
    let created = town.call("POST", "/v2/apps", web(2)).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.header("location"), format!("{}/web", town.marathon.url()));
    assert_eq!(created.body["deployments"][0]["id"], created.header("marathon-deployment-id"));
    assert_eq!(counts(&created.body), (0, 0, 0, 0));
    let shown = &town.get("/v2/deployments").await[0];
    assert_eq!((&shown["currentStep"], &shown["totalSteps"]), (&json!(0), &json!(2)));
    assert_eq!(shown["steps"][1]["actions"][0], json!({"action": "ScaleApplication", "app": "/web"}));
    town.pass(2.0);
    assert_eq!(counts(&town.app("/web").await), (2, 0, 0, 0));
    assert_eq!(town.get("/v2/deployments").await[0]["currentStep"], 2);
    town.finish();
    let app = town.app("/web").await;
    assert_eq!((counts(&app), &app["deployments"]), ((0, 2, 0, 0), &json!([])));
    let before = app["versionInfo"].clone();

    town.change("PUT", "/v2/apps/web", json!({"instances": 3})).await;
    town.finish();
    let app = town.app("/web").await;
    assert_eq!(counts(&app).1, 3);
    assert_eq!(app["versionInfo"]["lastConfigChangeAt"], before["lastConfigChangeAt"]);
    assert_ne!(app["versionInfo"]["lastScalingAt"], before["lastScalingAt"]);

    let deleted = town.change("DELETE", "/v2/apps/web", Value::Null).await;
    assert_eq!(
        town.call("GET", "/v2/apps/web", Value::Null).await.status,
        404,
        "gone before its instances are"
    );
    assert_eq!(town.get("/v2/deployments").await[0]["id"], deleted);
    town.finish();
    assert!(town.marathon.events().iter().any(|event| event.kind == "app_terminated_event"));
}

#[tokio::test]
async fn the_same_definition_again_changes_nothing() {
    let town = Town::still().await;
    town.create(web(1)).await;
    town.finish();
    let before = town.app("/web").await;
    let deployment = town.change("PUT", "/v2/apps/web", web(1)).await;
    assert_eq!(town.told_of(&deployment), ["deployment_success"], "it ends at once");
    assert_eq!(town.app("/web").await["version"], before["version"]);
    assert_eq!(town.app("/web").await["tasks"], before["tasks"]);
}

#[tokio::test]
async fn a_put_patches_unless_it_is_to_replace() {
    let town = Town::still().await;
    let labelled = json!({"id": "/web", "cmd": "sleep 100", "labels": {"a": "b"}, "env": {"X": "y"}});
    town.create(labelled).await;
    town.finish();
    town.change("PUT", "/v2/apps/web", json!({"env": {"X": "z"}})).await;
    town.finish();
    let app = town.app("/web").await;
    assert_eq!((&app["labels"]["a"], &app["env"]["X"]), (&json!("b"), &json!("z")));
    town.change("PUT", "/v2/apps/web?partialUpdate=false", json!({"cmd": "sleep 100"})).await;
    town.finish();
    let app = town.app("/web").await;
    assert_eq!((&app["labels"], &app["env"]), (&json!({}), &json!({})));
    town.change("PATCH", "/v2/apps/web", json!({"labels": {"c": "d"}})).await;
    let unknown = town.call("PATCH", "/v2/apps/none", json!({"instances": 1})).await;
    assert_eq!((unknown.status, &unknown.body["message"]), (404, &json!("App '/none' does not exist")));
}

#[tokio::test]
async fn an_earlier_version_is_shown_and_rolled_back_to() {
    let town = Town::still().await;
    town.create(web(1)).await;
    town.finish();
    town.change("PUT", "/v2/apps/web", json!({"cmd": "sleep 200"})).await;
    town.finish();
    let versions = town.get("/v2/apps/web/versions").await["versions"].clone();
    let first = versions[1].as_str().unwrap();
    assert_eq!(town.get(&format!("/v2/apps/web/versions/{first}")).await["cmd"], "sleep 100");
    town.change("PUT", "/v2/apps/web", json!({"version": first})).await;
    town.finish();
    let app = town.app("/web").await;
    assert_eq!(app["cmd"], "sleep 100");
    assert_ne!(app["version"], versions[1], "a version of its own");
    let both = town.call("PUT", "/v2/apps/web", json!({"version": first, "cmd": "sleep 9"})).await;
    assert_eq!(both.status, 422);
    let text = "The 'version' field may only be combined with the 'id' field.";
    assert_eq!(both.body["message"], text);
    let unknown = json!({"version": "2001-01-01T00:00:00.000Z"});
    let unknown = town.call("PUT", "/v2/apps/web", unknown).await;
    let text = "App '/web' does not exist in version 2001-01-01T00:00:00.000Z";
    assert_eq!((unknown.status, &unknown.body["message"]), (404, &json!(text)));
}

#[tokio::test]
async fn as_many_versions_are_kept_as_the_release_keeps() {
    let town = Town::still().await;
    town.create(web(0)).await;
    for number in 0..55 {
        town.change("PUT", "/v2/apps/web?force=true", json!({"labels": {"n": number.to_string()}})).await;
    }
    assert_eq!(town.get("/v2/apps/web/versions").await["versions"].as_array().unwrap().len(), 50);
}

#[tokio::test]
async fn a_restart_replaces_every_instance_of_the_same_definition() {
    let town = Town::still().await;
    town.create(web(2)).await;
    town.finish();
    let before = town.app("/web").await;
    let deployment = town.change("POST", "/v2/apps/web/restart", Value::Null).await;
    let action = &town.get("/v2/deployments").await[0]["steps"][0]["actions"][0]["action"];
    assert_eq!(action, "RestartApplication");
    town.finish();
    let after = town.app("/web").await;
    assert_ne!(after["versionInfo"]["lastConfigChangeAt"], before["versionInfo"]["lastConfigChangeAt"]);
    let ids = |app: &Value| {
        app["tasks"].as_array().unwrap().iter().map(|task| task["id"].clone()).collect::<Vec<_>>()
    };
    assert!(ids(&after).iter().all(|id| !ids(&before).contains(id)) && ids(&after).len() == 2);
    assert_eq!(
        town.told_of(&deployment),
        ["deployment_info", "deployment_step_success", "deployment_success"]
    );
}

#[tokio::test]
async fn lists_are_filtered_and_embed_what_is_asked() {
    let town = Town::still().await;
    town.create(json!({"id": "/shop/web", "cmd": "nginx -g", "labels": {"env": "prod"}})).await;
    town.create(json!({"id": "/shop/db", "cmd": "postgres -D", "labels": {"env": "test"}})).await;
    town.finish();
    let ids = |listed: Value, key: &str| {
        let list = listed[key].as_array().unwrap().clone();
        list.iter().map(|app| app["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(town.get("/v2/apps?cmd=nginx").await, "apps"), ["/shop/web"]);
    assert_eq!(ids(town.get("/v2/apps?id=DB").await, "apps"), ["/shop/db"]);
    assert_eq!(ids(town.get("/v2/apps?label=env%3D%3Dtest").await, "apps"), ["/shop/db"]);
    assert_eq!(ids(town.get("/v2/apps/shop/*").await, "*").len(), 2);
    let plain = town.get("/v2/apps").await["apps"][0].clone();
    assert!(plain.get("tasks").is_none() && plain["tasksRunning"] == 1 && plain["deployments"] == json!([]));
    let embedded = town.get("/v2/apps?embed=apps.tasks&embed=app.unheard").await["apps"][0].clone();
    assert_eq!(embedded["tasks"][0]["state"], "TASK_RUNNING");
    assert_eq!(town.get("/v2/apps//shop/web").await["app"]["id"], "/shop/web", "slashes do not count");
}
