//! The control API and the binary: the same reach for processes that are not written in Rust.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use mesos_conductor_sandbox::{Config, Sandbox, known};
use serde_json::{Value, json};

use crate::support::{Cloud, frozen};

#[tokio::test]
async fn requests_are_told_without_the_secrets_they_carried() {
    let cloud = Cloud::start(Config::default()).await;
    let token = cloud.demo_token().await;
    cloud.heat("GET", "/stacks?limit=1", &token, None).await;
    let all = cloud.control("GET", "/requests", None).await.body;
    assert_eq!(all["requests"].as_array().unwrap().len(), 2, "the control API itself is not logged");
    let heat = cloud.control("GET", "/requests?service=heat&method=get&path=/stacks$", None).await.body;
    let seen = &heat["requests"][0];
    assert_eq!((&seen["token"], &seen["status"]), (&json!("project"), &json!(200)));
    assert_eq!((&seen["query"], &seen["project"]), (&json!("limit=1"), &json!(known::DEMO_PROJECT.id)));
    assert!(!all.to_string().contains(&token) && !all.to_string().contains(known::DEMO_USER.password));
    assert_eq!(cloud.control("DELETE", "/requests", None).await.status, 204);
    assert!(cloud.sandbox.requests().is_empty());
}

#[tokio::test]
async fn faults_are_armed_listed_and_removed_over_http() {
    let cloud = Cloud::start(Config::default()).await;
    let one = json!({"service": "keystone", "times": 1, "action": {"status": {"code": 502}}});
    let ids =
        cloud.control("POST", "/faults", Some(json!([one, {"action": "hang"}]))).await.body["ids"].clone();
    assert_eq!(ids, json!([0, 1]));
    assert_eq!(cloud.control("DELETE", "/faults/1", None).await.status, 204);
    assert_eq!(cloud.control("DELETE", "/faults/1", None).await.status, 404);
    assert_eq!(cloud.keystone("GET", "/regions", "", None).await.status, 502);
    let armed = cloud.control("GET", "/faults", None).await.body;
    assert_eq!((armed["faults"].as_array().unwrap().len(), &armed["faults"][0]["hits"]), (1, &json!(1)));
    let half_bad = json!([{"action": "hang"}, {"action": "explode"}]);
    assert_eq!(cloud.control("POST", "/faults", Some(half_bad)).await.status, 400);
    assert_eq!(cloud.sandbox.faults().list().len(), 1, "a list is taken whole or not at all");
    assert_eq!(cloud.control("DELETE", "/faults", None).await.status, 204);
    assert!(cloud.sandbox.faults().list().is_empty());
}

#[tokio::test]
async fn stacks_are_failed_finished_and_shown_over_http() {
    let cloud = Cloud::start(frozen()).await;
    let token = cloud.demo_token().await;
    let template = json!({
        "heat_template_version": "2013-05-23",
        "parameters": {"secret": {"type": "string", "hidden": true}},
    });
    for name in ["bad", "good"] {
        let body = json!({"stack_name": name, "template": template, "parameters": {"secret": "hush"}});
        assert_eq!(cloud.heat("POST", "/stacks", &token, Some(body)).await.status, 201);
    }
    cloud.control("POST", "/stacks/bad/fail", Some(json!({"reason": "no room"}))).await;
    let finished = cloud.control("POST", "/stacks/good/finish", None).await.body;
    assert_eq!(finished["finished"], 1);
    let state = cloud.control("GET", "/state", None).await.body;
    assert_eq!(state["stacks"][0]["status"], "CREATE_FAILED");
    assert_eq!(state["stacks"][0]["reason"], "Resource CREATE failed: no room");
    assert_eq!(state["stacks"][1]["status"], "CREATE_COMPLETE");
    assert!(!state.to_string().contains("hush"));
}

#[tokio::test]
async fn time_and_tokens_are_moved_over_http() {
    let cloud = Cloud::start(Config::default()).await;
    let token = cloud.demo_token().await;
    cloud.control("POST", "/advance", Some(json!({"ms": 3_601_000}))).await;
    assert_eq!(cloud.keystone("GET", "/regions", &token, None).await.status, 401);
    let token = cloud.demo_token().await;
    assert_eq!(cloud.control("DELETE", "/tokens", None).await.status, 204);
    assert_eq!(cloud.keystone("GET", "/regions", &token, None).await.status, 401);
}

#[tokio::test]
async fn stopping_frees_the_port() {
    let sandbox = Sandbox::start(Config::default()).await.unwrap();
    let listen = sandbox.address();
    assert!(Sandbox::start(Config { listen, ..Config::default() }).await.is_err(), "taken while it runs");
    sandbox.stop().await;
    Sandbox::start(Config { listen, ..Config::default() }).await.unwrap();
}

/// Ends the process with the test, however the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn the_binary_introduces_itself_in_one_line_and_serves() {
    let cloud = Cloud::start(Config::default()).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_mesos-conductor-sandbox"));
    command.args(["serve", "--speed", "600", "--print-env"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let said: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let auth_url = said["auth_url"].as_str().unwrap();
    let user = &said["users"]["demo"];
    let body = json!({"auth": {"identity": crate::support::password(
        user["id"].as_str().unwrap(),
        user["password"].as_str().unwrap(),
    )}});
    let answer = cloud.try_send("POST", &format!("{auth_url}/auth/tokens"), None, Some(body)).await.unwrap();
    assert_eq!(answer.status, 201);
    let exports: Vec<String> = lines.by_ref().take(8).map(Result::unwrap).collect();
    assert!(exports.contains(&format!("export OS_AUTH_URL={auth_url}")));
}
