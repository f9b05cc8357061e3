//! The body of an event stream: frames as they come, and a heartbeat when none has come for a while.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use tokio::sync::mpsc;

use crate::clusters::Place;
use crate::world::Shared;

/// Streams until the cluster lets go of the listener or the client of the connection.
pub(super) fn response(
    frames: mpsc::Receiver<String>,
    heartbeat: Duration,
    shared: Shared,
    place: Place,
) -> Response {
    let chunks = unfold((frames, shared), move |(mut frames, shared)| async move {
        loop {
            let pause = tokio::time::sleep(heartbeat);
            tokio::select! {
                biased;
                frame = frames.recv() => {
                    let frame = frame?;
                    return Some((Ok::<_, Infallible>(frame), (frames, shared)));
                }
                () = pause => {
                    let silent = shared.world().clusters.get(place.cluster).is_none_or(|c| c.bus.silent);
                    if !silent {
                        return Some((Ok("\r\n".to_owned()), (frames, shared)));
                    }
                }
            }
        }
    });
    let kind = [(CONTENT_TYPE, "text/event-stream;charset=utf-8")];
    (StatusCode::OK, kind, Body::from_stream(chunks)).into_response()
}
