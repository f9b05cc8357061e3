//! Marathon's stream of events as hints.
//!
//! Events are not in order, may be lost, and are not repeated: they say when to look, never what is.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LOCATION};
use serde::Deserialize;
use tokio::time::timeout;
use url::Url;

use super::client::{Client, Deadline, unanswered};
use super::error::{Effect, refused};
use super::profile::Feature;
use super::sse::{Decoder, Frame};
use super::{Limits, Marathon};
use crate::app::AppId;
use crate::framework::error::{Error, Result};
use crate::framework::seen::{DeploymentId, Ended, Hint};

/// How often a master may send us on to another one.
const REDIRECTS: usize = 3;

/// As much of a refusal's text as is read.
const REFUSAL_LIMIT: usize = 64 * 1024;

/// The events that mean something here.
const TYPES: &[&str] = &[
    "event_stream_attached",
    "deployment_success",
    "deployment_failed",
    "deployment_info",
    "deployment_step_success",
    "deployment_step_failure",
    "status_update_event",
    "instance_changed_event",
    "instance_health_changed_event",
    "health_status_changed_event",
    "failed_health_check_event",
    "app_terminated_event",
    "api_post_event",
];

/// Opens a stream at the leader.
pub(super) async fn attach(marathon: &Marathon, within: Duration) -> Result<BoxStream<'static, Hint>> {
    let deadline = Deadline::within(within);
    if !marathon.has(Feature::Events, deadline.remaining()).await? {
        let message = "this release has no stream of events".to_owned();
        return Err(Error::NotSupported { message });
    }
    let mut query: Vec<(&str, &str)> = Vec::new();
    if marathon.has(Feature::EventFilter, deadline.remaining()).await? {
        query.extend(TYPES.iter().map(|name| ("event_type", *name)));
    }
    if marathon.has(Feature::LightPlan, deadline.remaining()).await? {
        query.push(("plan-format", "light"));
    }
    let response = open(&marathon.client, &query, deadline).await?;
    let chunks = stream::try_unfold(response, |mut response| async {
        Ok::<_, reqwest::Error>(response.chunk().await?.map(|chunk| (chunk, response)))
    });
    Ok(hints(chunks.boxed(), marathon.limits))
}

/// What a stream's bytes say, until they end or nothing comes for too long.
fn hints<C, E>(chunks: BoxStream<'static, Result<C, E>>, limits: Limits) -> BoxStream<'static, Hint>
where
    C: AsRef<[u8]> + 'static,
    E: 'static,
{
    let reading = Reading {
        chunks,
        decoder: Decoder::new(limits.event_size),
        silence: limits.events_silence,
        hints: VecDeque::new(),
        ended: false,
    };
    stream::unfold(reading, |mut reading| async { Some((reading.next().await?, reading)) }).boxed()
}

/// Asks the masters in turn, and the leader that one of them names.
async fn open(client: &Client, query: &[(&str, &str)], deadline: Deadline) -> Result<reqwest::Response> {
    let masters = client.masters();
    let mut last = Error::Unavailable { message: "there is no time left".to_owned(), retry_after: None };
    let mut order = masters.order();
    while let Some(index) = order.next() {
        let left = u32::try_from(order.len() + 1).unwrap_or(u32::MAX);
        let limit = deadline.remaining() / left;
        if limit.is_zero() {
            break;
        }
        match timeout(limit, follow(client, index, query)).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error)) if !matches!(error, Error::Unavailable { .. }) => return Err(error),
            Ok(Err(error)) => last = error,
            Err(_) => {
                let message = "no stream of events in time".to_owned();
                last = Error::Unavailable { message, retry_after: None };
            }
        }
        masters.failed(index);
    }
    Err(last)
}

/// Asks one master, and goes where it sends us: to another master of this bay, since credentials go along.
async fn follow(client: &Client, index: usize, query: &[(&str, &str)]) -> Result<reqwest::Response> {
    let masters = client.masters();
    let mut index = index;
    for _ in 0..=REDIRECTS {
        let response = ask(client, index, query).await?;
        let status = response.status().as_u16();
        if (300..400).contains(&status) {
            index = target(client, index, response.headers())?;
            continue;
        }
        if status != 200 {
            return Err(refusal(client, response).await);
        }
        // Old followers pass the stream on, but keep events back until they have many.
        if let Some(leader) = masters.behind(response.headers()).filter(|leader| *leader != index) {
            index = leader;
            continue;
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return Err(Error::Protocol { message: "it gives something else than events".to_owned() });
        }
        masters.answered(index, response.headers());
        return Ok(response);
    }
    let message = "the masters send us round in a circle".to_owned();
    Err(Error::Unavailable { message, retry_after: None })
}

async fn ask(client: &Client, index: usize, query: &[(&str, &str)]) -> Result<reqwest::Response> {
    let mut url = client.masters().url(index).clone();
    url.path_segments_mut().expect("masters have http URLs").pop_if_empty().extend(["v2", "events"]);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    let request = client.prepare(Method::GET, url).header(ACCEPT, "text/event-stream");
    request.send().await.map_err(|error| unanswered(error, Effect::Reads))
}

/// The master that a redirect leads to.
fn target(client: &Client, from: usize, headers: &HeaderMap) -> Result<usize> {
    let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
    let target = location.and_then(|location| client.masters().url(from).join(location).ok());
    target.as_ref().and_then(|target| client.masters().position(target)).ok_or_else(|| {
        let where_to = target.as_ref().map_or_else(|| "nowhere".to_owned(), origin);
        let message = format!("the events are said to be at {where_to}, which is none of the bay's masters");
        // Another master may be the leader itself.
        Error::Unavailable { message, retry_after: None }
    })
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

async fn refusal(client: &Client, mut response: reqwest::Response) -> Error {
    let (status, headers) = (response.status().as_u16(), std::mem::take(response.headers_mut()));
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > REFUSAL_LIMIT {
            break;
        }
    }
    refused(status, &headers, &body, Effect::Reads, |text| client.scrub(text))
}

/// A stream that is being read.
struct Reading<C, E> {
    chunks: BoxStream<'static, Result<C, E>>,
    decoder: Decoder,
    silence: Duration,
    hints: VecDeque<Hint>,
    ended: bool,
}

impl<C: AsRef<[u8]>, E> Reading<C, E> {
    async fn next(&mut self) -> Option<Hint> {
        loop {
            if let Some(hint) = self.hints.pop_front() {
                return Some(hint);
            }
            if self.ended {
                return None;
            }
            // Any byte is a sign of life, a heartbeat too.
            match timeout(self.silence, self.chunks.next()).await {
                Ok(Some(Ok(chunk))) => {
                    self.hints.extend(self.decoder.feed(chunk.as_ref()).into_iter().filter_map(hint));
                }
                Ok(Some(Err(_)) | None) => self.end(Hint::Closed),
                Err(_) => self.end(Hint::Silent),
            }
        }
    }

    fn end(&mut self, last: Hint) {
        self.ended = true;
        self.hints.push_back(last);
    }
}

/// What is read of any event.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Payload {
    id: Option<DeploymentId>,
    plan: Option<Plan>,
    reason: Option<String>,
    app_id: Option<AppId>,
    run_spec_id: Option<AppId>,
    app_definition: Option<AppDefinition>,
}

#[derive(Deserialize)]
struct Plan {
    id: DeploymentId,
}

#[derive(Deserialize)]
struct AppDefinition {
    id: AppId,
}

fn hint(frame: Frame) -> Option<Hint> {
    let Frame::Event { name, data } = frame else { return Some(Hint::Unclear) };
    if !TYPES.contains(&name.as_str()) {
        return None;
    }
    if name == "event_stream_attached" {
        return Some(Hint::Attached);
    }
    let Ok(payload) = serde_json::from_str::<Payload>(&data) else { return Some(Hint::Unclear) };
    let app = payload.app_id.or(payload.run_spec_id).or_else(|| payload.app_definition.map(|app| app.id));
    // Only the two that end a deployment have its id at the top.
    let deployment = payload.id.or_else(|| payload.plan.map(|plan| plan.id));
    let ended = match name.as_str() {
        "deployment_success" => Some(Ended::Success),
        "deployment_failed" => Some(Ended::Failure { reason: payload.reason }),
        _ => None,
    };
    let hint = match (name.starts_with("deployment_"), deployment, app) {
        (true, Some(id), _) => Hint::Deployment { id, ended },
        (false, _, Some(id)) => Hint::AppChanged(id),
        (true, None, _) | (false, _, None) => Hint::Unclear,
    };
    Some(hint)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(name: &str, data: Value, expected: Option<Hint>) {
        assert_eq!(hint(Frame::Event { name: name.to_owned(), data: data.to_string() }), expected, "{name}");
    }

    #[test]
    fn every_event_becomes_the_hint_that_it_is() {
        let deployment = |ended| Some(Hint::Deployment { id: DeploymentId::new("d"), ended });
        let changed = Some(Hint::AppChanged(AppId::parse("/a").unwrap()));
        check("event_stream_attached", json!({"remoteAddress": "x"}), Some(Hint::Attached));
        check(
            "deployment_success",
            json!({"id": "d", "plan": {"id": "d"}}),
            deployment(Some(Ended::Success)),
        );
        let reason = Some("The upgrade has been cancelled".to_owned());
        check(
            "deployment_failed",
            json!({"id": "d", "reason": reason}),
            deployment(Some(Ended::Failure { reason })),
        );
        check("deployment_failed", json!({"id": "d"}), deployment(Some(Ended::Failure { reason: None })));
        check(
            "deployment_info",
            json!({"plan": {"id": "d", "steps": []}, "currentStep": {}}),
            deployment(None),
        );
        check("status_update_event", json!({"appId": "/a", "taskStatus": "TASK_RUNNING"}), changed.clone());
        check("instance_changed_event", json!({"runSpecId": "/a", "id": "i"}), changed.clone());
        check("api_post_event", json!({"appDefinition": {"id": "/a"}}), changed);
        check("framework_message_event", json!({"appId": "/a"}), None);
    }

    /// What becomes of a stream that sends a heartbeat so many times, after so many seconds each.
    async fn beats(count: usize, seconds: u64) -> Vec<Hint> {
        let limits = Limits {
            request_timeout: Duration::from_secs(1),
            events_silence: Duration::from_secs(45),
            event_size: 1000,
        };
        let chunks = stream::iter(0..count).then(move |_| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok::<_, ()>("\r\n")
        });
        hints(chunks.boxed(), limits).collect().await
    }

    #[tokio::test(start_paused = true)]
    async fn a_heartbeat_is_a_sign_of_life() {
        assert_eq!(beats(100, 44).await, [Hint::Closed]);
        assert_eq!(beats(100, 46).await, [Hint::Silent]);
    }

    #[test]
    fn what_cannot_be_read_says_to_look_at_everything() {
        assert_eq!(hint(Frame::TooLong), Some(Hint::Unclear));
        check("deployment_info", json!({"currentStep": 1}), Some(Hint::Unclear));
        check("status_update_event", json!({"appId": "/Not_An_Id"}), Some(Hint::Unclear));
        check("status_update_event", json!([1]), Some(Hint::Unclear));
    }
}
