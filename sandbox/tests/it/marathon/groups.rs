//! Groups: several apps as one change.

use serde_json::{Value, json};

use super::Town;

fn shop() -> Value {
    json!({"id": "/shop", "groups": [{"id": "backend", "apps": [{"id": "db", "cmd": "sleep 1"}]}],
        "apps": [{"id": "web", "cmd": "sleep 1", "dependencies": ["backend/db"]}]})
}

#[tokio::test]
async fn a_group_is_one_deployment_in_the_order_of_dependencies() {
    let town = Town::still().await;
    let created = town.call("POST", "/v2/groups", shop()).await;
    assert_eq!((created.status, created.header("location")), (201, format!("{}/shop", town.marathon.url())));
    let deployment = town.get("/v2/deployments").await[0].clone();
    assert_eq!(deployment["affectedApps"], json!(["/shop/backend/db", "/shop/web"]));
    assert_eq!(
        deployment["steps"][1]["actions"],
        json!([{"action": "ScaleApplication", "app": "/shop/backend/db"}])
    );
    town.finish();
    let shown = town.get("/v2/groups/shop").await;
    assert_eq!(
        (&shown["apps"][0]["id"], &shown["groups"][0]["apps"][0]["id"]),
        (&json!("/shop/web"), &json!("/shop/backend/db"))
    );
    let again = town.call("POST", "/v2/groups", shop()).await;
    let text = "Group /shop is already created. Use PUT to change this group.";
    assert_eq!((again.status, &again.body["message"]), (409, &json!(text)));
    assert!(again.body.get("deployments").is_none(), "which tells it from a lock");
}

#[tokio::test]
async fn what_a_group_no_longer_mentions_goes() {
    let town = Town::still().await;
    town.change("POST", "/v2/groups", shop()).await;
    town.finish();
    let version = town.get("/v2/groups/shop").await["version"].clone();
    town.change("PUT", "/v2/groups/shop", json!({"apps": [{"id": "new", "cmd": "sleep 1"}]})).await;
    town.finish();
    assert_eq!(town.marathon.apps(), ["/shop/backend/db", "/shop/new"]);
    town.change("PUT", "/v2/groups/shop", json!({"scaleBy": 2})).await;
    town.finish();
    assert_eq!(town.app("/shop/new").await["instances"], 2);
    let versions = town.get("/v2/groups/shop/versions").await;
    assert!(versions.as_array().unwrap().contains(&version), "{versions}");
    town.change("PUT", "/v2/groups/shop", json!({"version": version})).await;
    town.finish();
    assert_eq!(town.marathon.apps(), ["/shop/backend/db", "/shop/web"]);
    town.change("DELETE", "/v2/groups/shop", Value::Null).await;
    town.finish();
    assert!(town.marathon.apps().is_empty());
    assert_eq!(town.call("GET", "/v2/groups/shop", Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let town = Town::still().await;
    let plan = town.call("PUT", "/v2/groups/shop?dryRun=true", shop()).await;
    assert_eq!(plan.body["steps"][0]["actions"][0]["action"], "StartApplication");
    assert!(town.marathon.apps().is_empty() && town.marathon.deployments().is_empty());
}

#[tokio::test]
async fn one_bad_app_refuses_the_whole_group() {
    let town = Town::still().await;
    let mut group = shop();
    group["groups"][0]["apps"][0]["cpus"] = json!(-1);
    let refused = town.call("POST", "/v2/groups", group).await;
    assert_eq!(
        (refused.status, &refused.body["details"][0]["path"]),
        (422, &json!("/groups(0)/apps(0)/cpus"))
    );
    assert!(town.marathon.apps().is_empty());
    let circle = json!({"id": "/c", "apps": [{"id": "a", "cmd": "sleep 1", "dependencies": ["b"]},
        {"id": "b", "cmd": "sleep 1", "dependencies": ["a"]}]});
    let refused = town.call("POST", "/v2/groups", circle).await;
    assert_eq!(
        (refused.status, &refused.body["message"]),
        (422, &json!("Dependency graph has cyclic dependencies."))
    );
}
