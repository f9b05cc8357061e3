//! Mesos agents that are kept from work: drained, or scheduled and taken down, and back again.

use mesos_conductor_sandbox::{MarathonConfig, Profile};
use serde_json::{Value, json};

use super::{Town, still, web};
use crate::support::Answer;

async fn town(mesos_version: &'static str) -> Town {
    let agents = vec!["10.0.0.101".to_owned(), "10.0.0.102".to_owned()];
    Town::start(MarathonConfig { mesos_version, agents, ..still(Profile::V1_11) }).await
}

/// Asks the master that leads.
async fn ask(town: &Town, method: &str, path: &str, body: Option<Value>) -> Answer {
    town.cloud
        .try_send(method, &format!("{}{path}", town.marathon.mesos_urls()[0]), None, body)
        .await
        .unwrap()
}

async fn slave(town: &Town, host: &str) -> Value {
    let state = ask(town, "GET", "/state", None).await.body;
    let slaves = state["slaves"].as_array().unwrap().clone();
    slaves.into_iter().find(|slave| slave["hostname"] == host).unwrap_or(Value::Null)
}

async fn operate(town: &Town, verb: &str, host: &str) -> u16 {
    let id = slave(town, host).await["id"].clone();
    let body = json!({ "type": verb.to_uppercase(), verb: { "agent_id": { "value": id } } });
    ask(town, "POST", "/api/v1", Some(body)).await.status
}

fn hosts(town: &Town) -> Vec<String> {
    let app = town.marathon.app("/web").unwrap();
    app["tasks"].as_array().unwrap().iter().map(|task| task["host"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_drained_agent_loses_its_tasks_and_gets_none_until_it_is_reactivated() {
    let town = town("1.11.0").await;
    town.create(web(4)).await;
    town.finish();
    assert!(town.marathon.occupy_for_good("10.0.0.101", 1));
    assert_eq!(operate(&town, "drain_agent", "10.0.0.101").await, 200);
    let drained = slave(&town, "10.0.0.101").await;
    assert_eq!(
        (&drained["drain_info"]["state"], &drained["deactivated"]),
        (&json!("DRAINING"), &json!(true))
    );
    assert_eq!(operate(&town, "reactivate_agent", "10.0.0.101").await, 400, "that cannot be called off");
    for _ in 0..20 {
        town.pass(1.0);
    }
    assert_eq!(hosts(&town), ["10.0.0.102"; 4]);
    town.marathon.vacate("10.0.0.101");
    assert_eq!(slave(&town, "10.0.0.101").await["drain_info"]["state"], "DRAINED");
    assert_eq!(operate(&town, "reactivate_agent", "10.0.0.101").await, 200);
    assert_eq!(slave(&town, "10.0.0.101").await["drain_info"], Value::Null);
    assert_eq!(town.marathon.closed(), [""; 0]);
}

#[tokio::test]
async fn an_older_mesos_knows_maintenance_and_no_draining() {
    let town = town("1.8.1").await;
    assert_eq!(operate(&town, "drain_agent", "10.0.0.101").await, 400);
    let machine = json!({ "hostname": "10.0.0.101", "ip": "10.0.0.101" });
    let down = ask(&town, "POST", "/machine/down", Some(json!([machine]))).await;
    assert_eq!(down.status, 400, "it is not scheduled");
    let window = json!({ "machine_ids": [machine], "unavailability": { "start": { "nanoseconds": 1 } } });
    let schedule = json!({ "windows": [window] });
    assert_eq!(ask(&town, "POST", "/maintenance/schedule", Some(schedule.clone())).await.status, 200);
    assert_eq!(ask(&town, "GET", "/maintenance/schedule", None).await.body, schedule);
    town.create(web(2)).await;
    town.finish();
    assert_eq!(hosts(&town), ["10.0.0.102"; 2], "this Marathon minds the schedule");
    assert_eq!(ask(&town, "POST", "/machine/down", Some(json!([machine]))).await.status, 200);
    assert_eq!(slave(&town, "10.0.0.101").await, Value::Null);
    let empty = ask(&town, "POST", "/maintenance/schedule", Some(json!({ "windows": [] }))).await;
    assert_eq!(empty.status, 400, "a machine that is down stays scheduled");
    assert_eq!(ask(&town, "POST", "/machine/up", Some(json!([machine]))).await.status, 200);
    assert!(slave(&town, "10.0.0.101").await.is_object());
    assert_eq!(town.marathon.closed(), [""; 0]);
}
