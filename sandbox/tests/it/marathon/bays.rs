//! The Marathons of bays: at the addresses that their stacks tell, from the first to the last.

use mesos_conductor_sandbox::{Behaviour, Config, Script};
use serde_json::{Value, json};

use crate::support::{Cloud, DEADLINE};

const TEMPLATE: &str = "
heat_template_version: 2013-05-23
parameters:
  number_of_masters: {type: number, default: 1}
  number_of_slaves: {type: number, default: 1}
outputs:
  api_address: {value: x}
  mesos_master: {value: x}
  mesos_slaves: {value: x}
";

/// Ports that nobody else on the machine is likely to have, and stacks that are built at once.
fn housed() -> Config {
    Config { marathon_port: 18_080, mesos_port: 15_050, ..Config::default() }
}

async fn build(cloud: &Cloud, name: &str, parameters: Value) -> (String, String) {
    let token = cloud.demo_token().await;
    let body = json!({"stack_name": name, "template": TEMPLATE, "parameters": parameters});
    let answer = cloud.heat("POST", "/stacks", &token, Some(body)).await;
    let id = answer.body["stack"]["id"].as_str().unwrap().to_owned();
    cloud.sandbox.finish_stacks(name);
    (token, id)
}

async fn outputs(cloud: &Cloud, token: &str, name: &str, id: &str) -> Value {
    let shown = cloud.heat("GET", &format!("/stacks/{name}/{id}"), token, None).await.body;
    let outputs = shown["stack"]["outputs"].as_array().unwrap();
    outputs
        .iter()
        .map(|o| (o["output_key"].as_str().unwrap().to_owned(), o["output_value"].clone()))
        .collect()
}

#[tokio::test]
async fn a_bay_answers_at_the_addresses_of_its_stack() {
    let cloud = Cloud::start(housed()).await;
    let (token, id) = build(&cloud, "bay-1-x7", json!({"number_of_masters": 3, "number_of_slaves": 2})).await;
    let told = outputs(&cloud, &token, "bay-1-x7", &id).await;
    let address = told["api_address"].as_str().unwrap().to_owned();
    assert!(address.starts_with("127."), "{told}");
    assert_eq!(told["mesos_master"][0], address);
    let marathon = cloud.sandbox.marathon_for("bay-1").unwrap();
    assert_eq!((marathon.urls().len(), marathon.url()), (3, format!("http://{address}:18080")));
    let info = cloud.try_send("GET", &format!("{}/v2/info", marathon.url()), None, None).await.unwrap();
    assert_eq!(info.body["leader"], format!("{address}:18080"));
    let app = json!({"id": "/web", "cmd": "sleep 1", "instances": 2});
    cloud.try_send("POST", &format!("{}/v2/apps", marathon.urls()[2]), None, Some(app)).await.unwrap();
    let up = || marathon.app("/web").is_some_and(|app| app["tasksRunning"] == 2);
    assert!(cloud.sandbox.wait_until(DEADLINE, |_| up()).await);
    let state =
        cloud.try_send("GET", &format!("http://{address}:15050/state"), None, None).await.unwrap().body;
    let hosts: Vec<&Value> =
        state["slaves"].as_array().unwrap().iter().map(|agent| &agent["hostname"]).collect();
    assert_eq!(hosts, told["mesos_slaves"].as_array().unwrap().iter().collect::<Vec<_>>());
    let follower = marathon.mesos_urls()[1].clone();
    let redirected = cloud.try_send("GET", &format!("{follower}/state"), None, None).await.unwrap();
    assert_eq!((redirected.status, redirected.header("location")), (307, format!("//{address}:15050/state")));
}

#[tokio::test]
async fn agents_follow_the_stack_and_everything_ends_with_it() {
    let cloud = Cloud::start(housed()).await;
    let (token, id) = build(&cloud, "bay-2", json!({"number_of_slaves": 1})).await;
    let before = outputs(&cloud, &token, "bay-2", &id).await;
    let path = format!("/stacks/bay-2/{id}");
    let more = json!({"parameters": {"number_of_slaves": 3}});
    assert_eq!(cloud.heat("PATCH", &path, &token, Some(more)).await.status, 202);
    cloud.sandbox.finish_stacks("bay-2");
    let after = outputs(&cloud, &token, "bay-2", &id).await;
    assert_eq!(
        (&after["api_address"], &after["mesos_slaves"][0]),
        (&before["api_address"], &before["mesos_slaves"][0])
    );
    let marathon = cloud.sandbox.marathon_for(&id).unwrap();
    let state =
        cloud.try_send("GET", &format!("{}/state", marathon.mesos_urls()[0]), None, None).await.unwrap();
    assert_eq!(state.body["activated_slaves"], 3);
    let url = format!("{}/ping", marathon.url());
    assert_eq!(cloud.heat("DELETE", &path, &token, None).await.status, 204);
    cloud.sandbox.finish_stacks("bay-2");
    assert!(cloud.sandbox.marathon_for("bay-2").is_none() && marathon.url().is_empty());
    while cloud.try_send("GET", &url, None, None).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn every_bay_has_a_marathon_of_its_own() {
    let cloud = Cloud::start(housed()).await;
    for name in ["bay-a", "bay-b"] {
        build(&cloud, name, json!({})).await;
    }
    let (a, b) = (cloud.sandbox.marathon_for("bay-a").unwrap(), cloud.sandbox.marathon_for("bay-b").unwrap());
    assert_ne!(a.url(), b.url());
    a.behave(Script::new("/web", Behaviour::StuckStaging));
    let app = json!({"id": "/web", "cmd": "sleep 1"});
    cloud.try_send("POST", &format!("{}/v2/apps", a.url()), None, Some(app)).await.unwrap();
    assert_eq!((a.apps().len(), b.apps().len(), cloud.sandbox.marathons().len()), (1, 0, 2));
}

#[tokio::test]
async fn bays_without_a_marathon_have_made_up_addresses() {
    let cloud = Cloud::start(Config { bays: None, ..housed() }).await;
    let (token, id) = build(&cloud, "bay-3", json!({})).await;
    assert_eq!(outputs(&cloud, &token, "bay-3", &id).await["api_address"], "172.24.4.2");
    assert!(cloud.sandbox.marathon_for("bay-3").is_none());
}

#[tokio::test]
async fn the_control_api_reaches_every_marathon() {
    let cloud = Cloud::start(housed()).await;
    build(&cloud, "bay-4", json!({})).await;
    let script =
        json!({"app": "/web", "containing": "bad", "behaviour": {"crash_loop": {"message": "boom"}}});
    assert_eq!(cloud.control("POST", "/marathons/bay-4/behaviours", Some(script)).await.status, 204);
    let marathon = cloud.sandbox.marathon_for("bay-4").unwrap();
    let app = json!({"id": "/web", "cmd": "bad one"});
    cloud.try_send("POST", &format!("{}/v2/apps", marathon.url()), None, Some(app)).await.unwrap();
    let failed = || marathon.app("/web").is_some_and(|app| app["lastTaskFailure"]["message"] == "boom");
    assert!(cloud.sandbox.wait_until(DEADLINE, |_| failed()).await);
    let shown = cloud.control("GET", "/marathons/bay-4", None).await.body;
    assert_eq!((&shown["name"], &shown["apps"][0]["id"]), (&json!("bay-4"), &json!("/web")));
    let told = cloud.control("GET", "/marathons/bay-4/events", None).await.body;
    assert_eq!(told["events"][0]["kind"], "api_post_event");

    let own = json!({"name": "own", "profile": "1.3", "nodes": 2, "user": "ann", "password": "secret"});
    let started = cloud.control("POST", "/marathons", Some(own)).await;
    assert_eq!((started.status, started.body["urls"].as_array().unwrap().len()), (201, 2));
    assert_eq!(cloud.control("POST", "/marathons/own/leader", Some(json!({"elect": 1}))).await.status, 204);
    assert_eq!(cloud.control("GET", "/marathons/own", None).await.body["leader"], 1);
    assert_eq!(cloud.control("POST", "/marathons/own/leader", Some(json!("depose"))).await.status, 204);
    assert_eq!(cloud.control("GET", "/marathons/own", None).await.body["leader"], Value::Null);
    for (path, body) in [
        ("nodes", json!({"node": 0, "up": false})),
        ("streams", json!("silent")),
        ("streams", json!("closed")),
        ("agents/lose", json!({"host": "10.0.0.101"})),
    ] {
        assert_eq!(
            cloud.control("POST", &format!("/marathons/own/{path}"), Some(body)).await.status,
            204,
            "{path}"
        );
    }
    let failed = cloud.control("POST", "/marathons/bay-4/tasks/fail", Some(json!({"app": "/none"}))).await;
    assert_eq!(failed.body["failed"], 0);
    let unknown = cloud.control("GET", "/marathons/none", None).await;
    assert_eq!(
        (unknown.status, &unknown.body["error"]),
        (404, &json!("there is no Marathon of that name: none"))
    );
    assert_eq!(cloud.control("GET", "/marathons", None).await.body["marathons"].as_array().unwrap().len(), 2);
}
