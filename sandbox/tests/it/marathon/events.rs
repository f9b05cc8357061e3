//! The event stream, byte for byte.

use mesos_conductor_sandbox::{MarathonConfig, Profile};
use reqwest::Response;
use serde_json::{Value, json};

use super::{Town, still};
use crate::support::DEADLINE;

/// An open stream, cut into frames.
pub(super) struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    pub(super) async fn open(town: &Town, node: usize, query: &str) -> Self {
        let url = format!("{}/v2/events{query}", town.marathon.urls()[node]);
        let request = town.cloud.client().get(url).header("accept", "text/event-stream");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        Self { response, text: String::new() }
    }

    /// The next frame without the empty line behind it; an empty one is a heartbeat. None when the stream ended.
    pub(super) async fn frame(&mut self) -> Option<String> {
        loop {
            if let Some(rest) = self.text.strip_prefix("\r\n") {
                self.text = rest.to_owned();
                return Some(String::new());
            }
            if let Some((frame, rest)) = self.text.split_once("\r\n\r\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(frame);
            }
            let chunk = tokio::time::timeout(DEADLINE, self.response.chunk()).await.expect("nothing comes");
            self.text.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }

    /// The next event as its type and its data; heartbeats are passed over.
    pub(super) async fn event(&mut self) -> Option<(String, Value)> {
        loop {
            let frame = self.frame().await?;
            if let Some((kind, data)) = frame.split_once("\r\n") {
                let kind = kind.strip_prefix("event: ").unwrap().to_owned();
                return Some((kind, serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap()));
            }
        }
    }

    async fn until(&mut self, wanted: &str) -> Value {
        loop {
            let (kind, data) = self.event().await.expect("the stream ended");
            if kind == wanted {
                return data;
            }
        }
    }
}

#[tokio::test]
async fn a_stream_begins_with_its_own_attachment_and_then_beats() {
    let town = Town::start(MarathonConfig::default()).await;
    let mut stream = Stream::open(&town, 0, "").await;
    let first = stream.frame().await.unwrap();
    assert!(
        first.starts_with("event: event_stream_attached\r\ndata: {") && !first.contains("id:"),
        "{first}"
    );
    assert!(first.contains("\"remoteAddress\":\"127.0.0.1\"") && first.contains("\"timestamp\""));
    assert_eq!(stream.frame().await.unwrap(), "", "every ten seconds, a hundred times as fast");
    assert_eq!(stream.frame().await.unwrap(), "");
}

#[tokio::test]
async fn a_deployment_is_told_by_its_plan_and_in_the_end_by_its_id() {
    let town = Town::still().await;
    let mut stream = Stream::open(&town, 0, "").await;
    let deployment = town.create(json!({"id": "/shop/web", "cmd": "sleep 1"})).await;
    town.finish();
    assert_eq!(stream.until("api_post_event").await["uri"], "/v2/apps");
    assert_eq!(stream.until("group_change_success").await["groupId"], "/shop");
    let info = stream.until("deployment_info").await;
    assert_eq!((&info["plan"]["id"], info.get("id")), (&json!(deployment), None));
    assert!(info["plan"].get("target").is_none() && info["currentStep"]["actions"][0]["app"] == "/shop/web");
    let update = stream.until("status_update_event").await;
    assert_eq!((&update["taskStatus"], &update["appId"]), (&json!("TASK_RUNNING"), &json!("/shop/web")));
    assert_eq!(stream.until("deployment_success").await["id"], deployment);
}

#[tokio::test]
async fn types_are_filtered_the_attachment_too() {
    let town = Town::still().await;
    let mut stream =
        Stream::open(&town, 0, "?event_type=deployment_success&event_type=app_terminated_event").await;
    town.create(json!({"id": "/web", "cmd": "sleep 1"})).await;
    town.finish();
    assert_eq!(stream.event().await.unwrap().0, "deployment_success");
}

#[tokio::test]
async fn who_does_not_accept_a_stream_gets_a_page() {
    let town = Town::still().await;
    let answer = town.call("GET", "/v2/events", Value::Null).await;
    assert_eq!((answer.status, answer.header("content-type")), (405, "text/html;charset=utf-8".to_owned()));
}

#[tokio::test]
async fn a_silent_stream_stays_open_and_a_closed_one_ends() {
    let town = Town::start(MarathonConfig::default()).await;
    let mut stream = Stream::open(&town, 0, "").await;
    stream.frame().await.unwrap();
    town.marathon.set_silent(true);
    town.create(json!({"id": "/web", "cmd": "sleep 1"})).await;
    town.wait(|marathon| marathon.deployments().is_empty()).await;
    assert_eq!(town.marathon.streams(), 1);
    town.marathon.close_streams();
    while let Some(frame) = stream.frame().await {
        assert_eq!(frame, "", "only a heartbeat from before");
    }
}

/// Has a client open a stream and read nothing, while so many large events are told; says after how many it was
/// let go, if it was.
async fn lags(profile: Profile, events: usize) -> Option<usize> {
    let town = Town::start(MarathonConfig { event_buffer: Some(1), ..still(profile) }).await;
    let stream = Stream::open(&town, 0, "?event_type=api_post_event").await;
    for number in 0..events {
        let large = number.to_string().repeat(700_000);
        let app = json!({"cmd": "sleep 1", "instances": 0, "env": {"X": large}});
        town.change("PUT", "/v2/apps/web?force=true", app).await;
        if town.marathon.streams() == 0 {
            return Some(number + 1);
        }
    }
    drop(stream);
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_lags_is_let_go_or_loses_events() {
    // How many it takes depends on the buffers of both ends of the connection, which nobody here can make smaller.
    let enough = lags(Profile::V1_11, 20).await.expect("it is let go");
    assert_eq!(lags(Profile::V1_6, enough + 1).await, None);
}

#[tokio::test]
async fn plans_are_told_whole_or_light() {
    let check = async |profile: Profile, query: &str, whole: bool| {
        let town = Town::start(still(profile)).await;
        let mut stream = Stream::open(&town, 0, query).await;
        town.create(json!({"id": "/web", "cmd": "sleep 1"})).await;
        town.finish();
        let plan = stream.until("deployment_success").await["plan"].clone();
        assert_eq!(plan.pointer("/target/apps/0/id").is_some(), whole, "{} {query}", profile.version);
        assert_eq!(plan.get("original").is_some(), whole);
    };
    check(Profile::V1_3, "?plan-format=light", true).await;
    check(Profile::V1_6, "", true).await;
    check(Profile::V1_6, "?plan-format=light", false).await;
    check(Profile::V1_11, "", false).await;
}

#[tokio::test]
async fn an_open_stream_is_known_until_its_client_leaves() {
    let town = Town::start(MarathonConfig::default()).await;
    let stream = Stream::open(&town, 0, "").await;
    assert_eq!(town.marathon.streams(), 1);
    drop(stream);
    town.wait(|marathon| marathon.streams() == 0).await;
}
