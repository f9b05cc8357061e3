//! Requests of every kind, and every form of answer.

use std::time::Duration;

use mesos_conductor::client::{CallError, CallOptions};
use mesos_conductor_proto::{codec::Encoding, context::RequestContext};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::Instant};

use super::broker::{Running, args, broker, client, eventually, options};

#[tokio::test]
async fn a_call_returns_what_the_method_returned() {
    let Some(broker) = broker() else { return };
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    let sent = json!({"name": "bay \u{1f680} 100%", "nodes": [1, 2.5, null]});
    let context = RequestContext::default().with("project_id", "p1");
    let options = CallOptions { context, ..options() };
    assert_eq!(client.call("echo", args(sent.clone()), options).await.unwrap(), sent);
    client.close().await;
    running.stop().await;
}

#[tokio::test]
async fn a_failure_comes_back_as_the_class_it_was() {
    let Some(broker) = broker() else { return };
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    for legacy in [false, true] {
        let options = CallOptions { legacy, ..options() };
        match client.call("fail", args(json!({})), options).await {
            Err(CallError::Remote(failure)) => {
                assert_eq!(
                    (failure.class.as_str(), failure.message.as_str()),
                    ("BayNotFound", "no 100% bay")
                );
            }
            other => panic!("not a failure: {other:?}"),
        }
    }
    client.close().await;
    running.stop().await;
}

#[tokio::test]
async fn both_reply_forms_and_both_encodings_carry_the_result() {
    let Some(broker) = broker() else { return };
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        for legacy in [false, true] {
            let options = CallOptions { encoding, legacy, ..options() };
            let sent = json!({"n": 7});
            assert_eq!(client.call("echo", args(sent.clone()), options.clone()).await.unwrap(), sent);
            assert_eq!(client.call("null", args(json!({})), options).await.unwrap(), Value::Null);
        }
    }
    // Two messages for each of the four calls of the old form, one for each of the others.
    assert_eq!(client.stats().messages, 4 * 2 + 4);
    assert_eq!((client.stats().duplicates, client.stats().unmatched, client.stats().unreadable), (0, 0, 0));
    client.close().await;
    running.stop().await;
}

#[tokio::test]
async fn calls_in_flight_get_their_own_answers() {
    let Some(broker) = broker() else { return };
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    let mut calls = JoinSet::new();
    for n in 0..200 {
        let client = client.clone();
        calls.spawn(async move { (n, client.call("echo", args(json!({"n": n})), options()).await) });
    }
    while let Some(call) = calls.join_next().await {
        let (n, outcome) = call.unwrap();
        assert_eq!(outcome.unwrap(), json!({"n": n}));
    }
    client.close().await;
    running.stop().await;
}

#[tokio::test]
async fn a_cast_is_handled_and_not_answered() {
    let Some(broker) = broker() else { return };
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    client.cast("echo", args(json!({"n": 1})), options()).await.unwrap();
    eventually("the cast is handled", async || running.script.count("echo") == 1).await;
    assert_eq!(client.stats().messages, 0);
    client.close().await;
    running.stop().await;
}

#[tokio::test]
async fn a_fanout_reaches_every_server_and_a_directed_call_only_one() {
    let Some(broker) = broker() else { return };
    let mut other = broker.clone();
    other.server = "node2".to_owned();
    let (first, second) = (Running::start(&broker).await, Running::start(&other).await);
    let client = client(&broker).await;
    client.fanout("mute", args(json!({})), options()).await.unwrap();
    eventually("both servers have it", async || {
        first.script.count("mute") == 1 && second.script.count("mute") == 1
    })
    .await;
    for _ in 0..3 {
        let options = CallOptions { server: Some("node2".to_owned()), ..options() };
        client.call("echo", args(json!({})), options).await.unwrap();
    }
    assert_eq!((first.script.count("echo"), second.script.count("echo")), (0, 3));
    let by: Vec<_> = second.script.seen().iter().map(|seen| format!("{:?}", seen.routing)).collect();
    assert_eq!(by, ["Fanout", "Server", "Server", "Server"]);
    client.close().await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_call_to_a_topic_that_nobody_serves_fails_at_once() {
    let Some(broker) = broker() else { return };
    let client = client(&broker).await;
    let started = Instant::now();
    let error = client.call("echo", args(json!({})), options()).await.unwrap_err();
    assert!(started.elapsed() < options().timeout / 2);
    let text = error.to_string();
    assert!(matches!(error, CallError::Unroutable { .. }), "{error:?}");
    assert!(text.contains("no conductor is listening on") && text.contains(&broker.topic), "{text}");
    client.close().await;
}

#[tokio::test]
async fn a_call_that_is_not_answered_ends_with_its_timeout() {
    let Some(broker) = broker() else { return };
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    let options = CallOptions { timeout: Duration::from_millis(300), ..options() };
    let error = client.call("mute", args(json!({})), options).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error:?}");
    client.close().await;
    running.stop().await;
}

#[tokio::test]
async fn heartbeats_keep_a_long_call_alive_past_its_monitor_timeout() {
    let Some(broker) = broker() else { return };
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    let patience = Duration::from_secs(4);
    let options = CallOptions { monitor_timeout: Some(patience), ..options() };
    let started = Instant::now();
    let result = client.call("long", args(json!({})), options).await.unwrap();
    assert!(started.elapsed() > patience, "it was no long call");
    assert_eq!((result, client.stats().heartbeats), (json!("at last"), 3));
    client.close().await;
    running.stop().await;
}

#[tokio::test]
async fn a_monitored_call_without_heartbeats_is_given_up_early() {
    let Some(broker) = broker() else { return };
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    let options = CallOptions { monitor_timeout: Some(Duration::from_secs(2)), ..options() };
    let started = Instant::now();
    let error = client.call("mute", args(json!({})), options.clone()).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error:?}");
    assert!(started.elapsed() < options.timeout / 2);
    client.close().await;
    running.stop().await;
}

#[tokio::test]
async fn a_reply_that_comes_twice_counts_once() {
    let Some(broker) = broker() else { return };
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    assert_eq!(client.call("twice", args(json!({})), options()).await.unwrap(), json!("twice"));
    eventually("the repeated reply is counted", async || client.stats().duplicates == 1).await;
    assert_eq!(client.stats().unmatched, 0);
    client.close().await;
    running.stop().await;
}
