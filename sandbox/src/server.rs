//! Serves the connections itself, so that a fault can end one without an answer.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::fault::Action;
use crate::log::{Arrival, Service};
use crate::world::Shared;
use crate::{control, heat, keystone};

/// Tells hyper to close the connection without an answer.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

#[derive(Clone)]
struct Server {
    shared: Shared,
    router: TowerToHyperService<Router>,
}

/// Accepts connections until it is dropped, which ends them all.
pub(crate) async fn serve(listener: TcpListener, shared: Shared) {
    let router = Router::new()
        .nest("/identity", keystone::router())
        .nest("/heat", heat::router())
        .nest("/control", control::router())
        .with_state(shared.clone());
    let server = Server { shared, router: TowerToHyperService::new(router) };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, server.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    // Out of file descriptors, most likely: closing connections frees some.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, server: Server) {
    let service = service_fn(|request| server.answer(request));
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
        let path = request.uri().path().to_owned();
        let Some((service, path)) = Service::of(&path) else { return Ok(self.route(request).await) };
        let (number, fault) = self.arrived(service, path, &request);
        let result = self.answer_with(fault, request).await;
        if let Ok(response) = &result {
            self.shared.world().log.answered(number, response.status().as_u16());
        }
        self.shared.activity.notify_waiters();
        result
    }

    /// Enters the request in the log and picks its fault, in one step.
    fn arrived(&self, service: Service, path: &str, request: &Request<Incoming>) -> (u64, Option<Action>) {
        let mut world = self.shared.world();
        let time = world.clock.now();
        let token = token_of(request.headers());
        let kind = world.identity.kind(token, time);
        let live = token.and_then(|id| world.identity.live_token(id, time));
        let project = live.and_then(|token| token.scope.project()).map(str::to_owned);
        let fault = world.rules.apply(service, request.method().as_str(), path);
        let number = world.log.arrived(Arrival {
            time,
            service,
            method: request.method().to_string(),
            path: path.to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            token: kind,
            project,
            fault: fault.as_ref().map(Action::name),
        });
        drop(world);
        self.shared.activity.notify_waiters();
        (number, fault)
    }

    async fn answer_with(
        &self,
        fault: Option<Action>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Dropped> {
        match fault {
            None => Ok(self.route(request).await),
            Some(Action::Status { code, body, headers }) => {
                let mut response = Response::new(Body::from(body));
                *response.status_mut() =
                    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                *response.headers_mut() =
                    HeaderMap::try_from(&headers.into_iter().collect::<HashMap<_, _>>()).unwrap_or_default();
                Ok(response)
            }
            Some(Action::Latency(ms)) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(self.route(request).await)
            }
            Some(Action::SlowAnswer(ms)) => {
                let response = self.route(request).await;
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(response)
            }
            Some(Action::ResetBefore) => Err(Dropped),
            Some(Action::ResetAfter) => {
                self.route(request).await;
                Err(Dropped)
            }
            Some(Action::Garbage(body)) => {
                let (mut parts, _) = self.route(request).await.into_parts();
                parts.headers.remove(CONTENT_LENGTH);
                Ok(Response::from_parts(parts, Body::from(body)))
            }
            Some(Action::Hang) => std::future::pending().await,
        }
    }

    async fn route(&self, request: Request<Incoming>) -> Response<Body> {
        let answered: Result<_, Infallible> = self.router.call(request).await;
        match answered {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

fn token_of(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-auth-token").and_then(|value| value.to_str().ok())
}
