//! Faults: what the client sees, whether the effect happened, and what the log says.

use std::time::{Duration, Instant};

use mesos_conductor_sandbox::{Action, Config, Rule, Service, known};
use serde_json::{Value, json};

use crate::support::{Cloud, DEADLINE};

fn new_user() -> Value {
    json!({"user": {"name": "bay-1", "password": "pw", "domain_id": known::TRUSTEE_DOMAIN.id}})
}

/// Makes a user while `action` strikes once; says what came of it and how many users there are.
async fn make_user_under(action: Action) -> (Cloud, reqwest::Result<crate::support::Answer>, usize) {
    let cloud = Cloud::start(Config::default()).await;
    let token = cloud.domain_admin_token().await;
    cloud.sandbox.faults().add(Rule::new(Service::Keystone, "POST", "/users$", action).once());
    let url = format!("{}/users", cloud.sandbox.auth_url());
    let result = cloud.try_send("POST", &url, Some(&token), Some(new_user())).await;
    let made = cloud.sandbox.trustees().len();
    (cloud, result, made)
}

#[tokio::test]
async fn a_status_answers_instead_of_the_service() {
    let (cloud, result, made) = make_user_under(Action::retry_after(503, Duration::from_secs(7))).await;
    let answer = result.unwrap();
    assert_eq!((answer.status, answer.header("retry-after").as_str(), made), (503, "7", 0));
    let logged = cloud.sandbox.requests().pop().unwrap();
    assert_eq!((logged.status, logged.fault), (Some(503), Some("status")));
    cloud.make_trustee("bay-1").await;
    assert_eq!(cloud.sandbox.faults().list()[0].hits, 1, "once means once");
}

#[tokio::test]
async fn reset_before_is_a_connection_error_without_an_effect() {
    let (cloud, result, made) = make_user_under(Action::ResetBefore).await;
    let error = result.err().unwrap();
    assert!(error.is_request() && error.status().is_none(), "{error:?}");
    assert_eq!(made, 0);
    let logged = cloud.sandbox.requests().pop().unwrap();
    assert_eq!((logged.status, logged.fault), (None, Some("reset_before")));
}

#[tokio::test]
async fn reset_after_is_a_connection_error_with_the_effect() {
    let (cloud, result, made) = make_user_under(Action::ResetAfter).await;
    let error = result.err().unwrap();
    assert!(error.is_request() && error.status().is_none(), "{error:?}");
    assert_eq!(made, 1);
    assert_eq!(
        cloud.sandbox.count(Service::Keystone, "POST", "/users$"),
        1,
        "nobody retried behind our back"
    );
}

#[tokio::test]
async fn garbage_keeps_the_status_and_the_effect() {
    let (_cloud, result, made) = make_user_under(Action::Garbage("<html>".to_owned())).await;
    let answer = result.unwrap();
    assert_eq!((answer.status, answer.body, made), (201, json!("<html>"), 1));
}

#[tokio::test]
async fn latency_delays_and_a_slow_answer_has_taken_effect_already() {
    let began = Instant::now();
    let (_cloud, result, made) = make_user_under(Action::Latency(60)).await;
    assert_eq!((result.unwrap().status, made), (201, 1));
    assert!(began.elapsed() >= Duration::from_millis(60));

    let cloud = Cloud::start(Config::default()).await;
    let token = cloud.domain_admin_token().await;
    cloud.sandbox.faults().add(Rule::new(Service::Keystone, "POST", "/users$", Action::SlowAnswer(600_000)));
    let url = format!("{}/users", cloud.sandbox.auth_url());
    let call = cloud.try_send("POST", &url, Some(&token), Some(new_user()));
    let made = cloud.sandbox.wait_until(DEADLINE, |sandbox| sandbox.trustees().len() == 1);
    tokio::select! {
        made = made => assert!(made),
        _ = call => panic!("the answer came before its time"),
    }
}

#[tokio::test]
async fn a_hanging_request_is_in_the_log_and_has_no_effect() {
    let cloud = Cloud::start(Config::default()).await;
    let token = cloud.domain_admin_token().await;
    cloud.sandbox.faults().add(Rule::new(Service::Keystone, "POST", "/users$", Action::Hang));
    let url = format!("{}/users", cloud.sandbox.auth_url());
    let call = cloud.try_send("POST", &url, Some(&token), Some(new_user()));
    let arrived = cloud.sandbox.wait_until(DEADLINE, |sandbox| {
        sandbox.requests().last().is_some_and(|request| request.fault == Some("hang"))
    });
    tokio::select! {
        arrived = arrived => assert!(arrived),
        _ = call => panic!("a hanging request was answered"),
    }
    assert_eq!(cloud.sandbox.requests().pop().unwrap().status, None);
    assert!(cloud.sandbox.trustees().is_empty());
}

#[tokio::test]
async fn a_fault_hits_only_the_service_and_path_it_names() {
    let cloud = Cloud::start(Config::default()).await;
    cloud.sandbox.faults().add(Rule::new(Service::Heat, "GET", "/stacks$", Action::status(500)));
    let token = cloud.demo_token().await;
    assert_eq!(cloud.heat("GET", "/stacks", &token, None).await.status, 500);
    assert_eq!(cloud.heat("GET", "/stacks/none", &token, None).await.status, 404);
    cloud.sandbox.faults().clear();
    assert_eq!(cloud.heat("GET", "/stacks", &token, None).await.status, 200);
}
