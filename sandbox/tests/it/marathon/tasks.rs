//! Instances: listed, killed, lost, and seen by Mesos.

use serde_json::{Value, json};

use super::{Town, counts, web};

async fn two() -> (Town, Vec<Value>) {
    let town = Town::still().await;
    town.create(web(2)).await;
    town.finish();
    let tasks = town.get("/v2/apps/web/tasks").await["tasks"].as_array().unwrap().clone();
    (town, tasks)
}

fn id(task: &Value) -> &str {
    task["id"].as_str().unwrap()
}

#[tokio::test]
async fn a_killed_instance_is_replaced_without_a_deployment() {
    let (town, tasks) = two().await;
    let killed = town.call("DELETE", &format!("/v2/apps/web/tasks/{}", id(&tasks[0])), Value::Null).await;
    assert_eq!((killed.status, &killed.body["task"]["id"]), (200, &tasks[0]["id"]));
    assert!(town.marathon.deployments().is_empty());
    town.pass(1.0);
    assert_eq!(counts(&town.app("/web").await).1, 1);
    town.pass(5.0);
    assert_eq!(counts(&town.app("/web").await).1, 2);
    let gone = town.call("DELETE", &format!("/v2/apps/web/tasks/{}", id(&tasks[0])), Value::Null).await;
    assert_eq!(
        (gone.status, &gone.body["message"]),
        (404, &json!(format!("Task '{}' does not exist", id(&tasks[0]))))
    );
}

#[tokio::test]
async fn a_kill_that_scales_is_a_deployment_and_takes_the_lock() {
    let (town, tasks) = two().await;
    let path = format!("/v2/apps/web/tasks/{}?scale=true", id(&tasks[1]));
    town.change("DELETE", &path, Value::Null).await;
    let other = format!("/v2/apps/web/tasks/{}?scale=true", id(&tasks[0]));
    assert_eq!(town.call("DELETE", &other, Value::Null).await.status, 409);
    town.finish();
    let app = town.app("/web").await;
    assert_eq!((&app["instances"], counts(&app).1), (&json!(1), 1));
    assert_eq!(app["tasks"][0]["id"], tasks[0]["id"], "the one that was named has gone");
    let both = town.call("DELETE", "/v2/apps/web/tasks?scale=true&wipe=true", Value::Null).await;
    let text = "You cannot use scale and wipe at the same time.";
    assert_eq!((both.status, &both.body["message"]), (400, &json!(text)));
}

#[tokio::test]
async fn all_instances_of_an_app_are_killed_or_those_on_a_host() {
    let (town, tasks) = two().await;
    let host = tasks[0]["host"].as_str().unwrap();
    let killed = town.call("DELETE", &format!("/v2/apps/web/tasks?host={host}"), Value::Null).await;
    assert_eq!(killed.body["tasks"].as_array().unwrap().len(), 1);
    let wiped = town.call("DELETE", "/v2/apps/web/tasks?wipe=true", Value::Null).await;
    assert_eq!(wiped.body["tasks"].as_array().unwrap().len(), 1);
    town.pass(10.0);
    assert_eq!(counts(&town.app("/web").await).1, 2);
    town.change("DELETE", "/v2/apps/web/tasks?scale=true", Value::Null).await;
    town.finish();
    assert_eq!(town.app("/web").await["instances"], 0);
    let none = town.call("DELETE", "/v2/apps/web/tasks?scale=true", Value::Null).await;
    assert_eq!((none.status, &none.body["message"]), (404, &json!("Path '/web' does not exist")));
}

#[tokio::test]
async fn instances_are_killed_by_a_list_of_ids() {
    let (town, tasks) = two().await;
    let ids = json!({"ids": [tasks[0]["id"], "web.instance-0._app.1"]});
    let killed = town.call("POST", "/v2/tasks/delete", ids).await;
    assert_eq!((killed.status, killed.body["tasks"].as_array().unwrap().len()), (200, 1));
    let malformed = town.call("POST", "/v2/tasks/delete", json!({"ids": ["nonsense"]})).await;
    assert_eq!(malformed.status, 400);
    assert!(malformed.body["message"].as_str().unwrap().starts_with("Invalid task id 'nonsense'."));
}

#[tokio::test]
async fn instances_are_listed_by_their_state() {
    let (town, _) = two().await;
    town.create(json!({"id": "/other", "cmd": "sleep 1"})).await;
    town.pass(2.0);
    let list = async |query: &str| {
        let tasks = town.get(&format!("/v2/tasks{query}")).await["tasks"].clone();
        tasks.as_array().unwrap().len()
    };
    assert_eq!((list("").await, list("?status=running").await, list("?status[]=staging").await), (3, 2, 1));
}

#[tokio::test]
async fn mesos_agrees_with_marathon() {
    let (town, tasks) = two().await;
    let masters = town.marathon.mesos_urls();
    let state =
        town.cloud.try_send("GET", &format!("{}/master/state", masters[0]), None, None).await.unwrap();
    let framework = &state.body["frameworks"][0];
    assert_eq!(framework["id"], town.get("/v2/info").await["frameworkId"]);
    let seen = framework["tasks"].as_array().unwrap();
    assert_eq!(seen.len(), 2);
    for task in &tasks {
        let same = seen.iter().find(|seen| seen["id"] == task["id"]).unwrap();
        assert_eq!((&same["state"], &same["slave_id"]), (&task["state"], &task["slaveId"]));
    }
    let agents = state.body["slaves"].as_array().unwrap();
    let used: f64 = agents.iter().map(|agent| agent["used_resources"]["cpus"].as_f64().unwrap()).sum();
    assert!((used - 0.2).abs() < 1e-6 && agents.len() == 3, "{used}");
}

#[tokio::test]
async fn what_ran_on_a_lost_agent_is_started_elsewhere() {
    let (town, tasks) = two().await;
    let host = tasks[0]["host"].as_str().unwrap();
    assert!(town.marathon.lose_agent(host) && !town.marathon.lose_agent(host));
    town.pass(10.0);
    let app = town.app("/web").await;
    assert_eq!((counts(&app).1, &app["lastTaskFailure"]["state"]), (2, &json!("TASK_LOST")));
    assert!(app["tasks"].as_array().unwrap().iter().all(|task| task["host"] != host));
}
