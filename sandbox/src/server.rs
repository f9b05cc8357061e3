//! Serves the connections itself, so that a fault can end one without an answer.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
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
use tokio_rustls::TlsAcceptor;

use crate::clusters::{Door, Place, Side};
use crate::fault::Action;
use crate::log::{Arrival, Service};
use crate::world::Shared;
use crate::{barbican, control, heat, keystone, marathon, mesos};

/// Tells hyper to close the connection without an answer.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

/// What answers behind a listener.
#[derive(Clone)]
enum Site {
    /// The shared port: Keystone, Heat, Barbican and the control API.
    Cloud(TowerToHyperService<Router>),
    Marathon(Place),
    Mesos(Place),
}

#[derive(Clone)]
struct Server {
    shared: Shared,
    site: Site,
    /// Where it listens, as `ip:port`.
    host: String,
}

/// Serves the shared port and every Marathon that is opened, until it is dropped, which ends them all.
pub(crate) async fn serve(listener: TcpListener, shared: Shared) {
    let router = Router::new()
        .nest("/identity", keystone::router())
        .nest("/heat", heat::router())
        .nest("/key-manager", barbican::router())
        .nest("/control", control::router())
        .with_state(shared.clone());
    let server = Server {
        shared: shared.clone(),
        site: Site::Cloud(TowerToHyperService::new(router)),
        host: listener.local_addr().map(|address| address.to_string()).unwrap_or_default(),
    };
    let mut listeners = JoinSet::new();
    listeners.spawn(accept(listener, server, None));
    drive(&shared, &mut listeners).await;
}

/// Lets things happen when their time has come, and opens doors, without anybody asking.
async fn drive(shared: &Shared, listeners: &mut JoinSet<()>) {
    loop {
        let activity = shared.activity.notified();
        let mut activity = std::pin::pin!(activity);
        // From here on nothing is missed, whatever happens before the wait below.
        activity.as_mut().enable();
        let (doors, happened, wait) = {
            let mut world = shared.world();
            let wait = world.clusters.next_due().map(|due| due - world.clock.now());
            (world.clusters.take_doors(), world.clusters.take_happened(), wait)
        };
        for door in doors {
            if let Err(error) = open(door, shared, listeners) {
                tracing::warn!(%error, "a listener cannot be served");
            }
        }
        if happened {
            shared.changed();
        }
        let wait = wait.map_or(Duration::from_secs(3600), |wait| wait.try_into().unwrap_or_default());
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = activity => {}
            Some(_) = listeners.join_next() => {}
        }
    }
}

fn open(door: Door, shared: &Shared, listeners: &mut JoinSet<()>) -> std::io::Result<()> {
    let Door { listener, side, place, tls, mut open } = door;
    let listener = TcpListener::from_std(listener)?;
    let host = listener.local_addr()?.to_string();
    let site = match side {
        Side::Marathon => Site::Marathon(place),
        Side::Mesos => Site::Mesos(place),
    };
    let server = Server { shared: shared.clone(), site, host };
    listeners.spawn(async move {
        tokio::select! {
            () = accept(listener, server, tls.map(TlsAcceptor::from)) => {}
            // The other end is dropped with the cluster.
            _ = open.changed() => {}
        }
    });
    Ok(())
}

async fn accept(listener: TcpListener, server: Server, tls: Option<TlsAcceptor>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                // A node that is cut off is no better than a closed port.
                Ok((stream, _)) if !server.is_up() => drop(stream),
                Ok((stream, remote)) => {
                    connections.spawn(connection(stream, remote, server.clone(), tls.clone()));
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

async fn connection(stream: TcpStream, remote: SocketAddr, server: Server, tls: Option<TlsAcceptor>) {
    let service = service_fn(|request| server.answer(remote, request));
    let served = match tls {
        None => http1::Builder::new().serve_connection(TokioIo::new(stream), service).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => http1::Builder::new().serve_connection(TokioIo::new(stream), service).await,
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                return;
            }
        },
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

impl Server {
    fn is_up(&self) -> bool {
        match &self.site {
            Site::Cloud(_) | Site::Mesos(_) => true,
            Site::Marathon(place) => self
                .shared
                .world()
                .clusters
                .get(place.cluster)
                .is_some_and(|cluster| cluster.is_up(place.node)),
        }
    }

    /// The service that a path belongs to, and the path as it sees it; the control API belongs to none.
    fn service<'a>(&self, path: &'a str) -> Option<(Service, &'a str)> {
        match &self.site {
            Site::Cloud(_) => Service::of(path),
            Site::Marathon(_) => Some((Service::Marathon, path)),
            Site::Mesos(_) => Some((Service::Mesos, path)),
        }
    }

    async fn answer(
        &self,
        remote: SocketAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Dropped> {
        if !self.is_up() {
            return Err(Dropped);
        }
        let path = request.uri().path().to_owned();
        let Some((service, path)) = self.service(&path) else {
            let response = self.route(remote, request).await;
            self.shared.changed();
            return Ok(response);
        };
        let (number, fault) = self.arrived(service, path, &request);
        let result = self.answer_with(fault, remote, request).await;
        if let Ok(response) = &result {
            self.shared.world().log.answered(number, response.status().as_u16());
        }
        self.shared.changed();
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
        let fault = world.rules.apply(service, &self.host, request.method().as_str(), path);
        let number = world.log.arrived(Arrival {
            time,
            service,
            host: self.host.clone(),
            method: request.method().to_string(),
            path: path.to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            token: kind,
            project,
            fault: fault.as_ref().map(Action::name),
        });
        drop(world);
        self.shared.changed();
        (number, fault)
    }

    async fn answer_with(
        &self,
        fault: Option<Action>,
        remote: SocketAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Dropped> {
        match fault {
            None => Ok(self.route(remote, request).await),
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
                Ok(self.route(remote, request).await)
            }
            Some(Action::SlowAnswer(ms)) => {
                let response = self.route(remote, request).await;
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(response)
            }
            Some(Action::ResetBefore) => Err(Dropped),
            Some(Action::ResetAfter) => {
                self.route(remote, request).await;
                Err(Dropped)
            }
            Some(Action::Garbage(body)) => {
                let (mut parts, _) = self.route(remote, request).await.into_parts();
                parts.headers.remove(CONTENT_LENGTH);
                Ok(Response::from_parts(parts, Body::from(body)))
            }
            Some(Action::Hang) => std::future::pending().await,
        }
    }

    async fn route(&self, remote: SocketAddr, request: Request<Incoming>) -> Response<Body> {
        match &self.site {
            Site::Cloud(router) => {
                let answered: Result<_, Infallible> = router.call(request).await;
                match answered {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
            Site::Marathon(place) => marathon::serve(&self.shared, *place, remote, request).await,
            Site::Mesos(place) => mesos::serve(&self.shared, *place, request).await,
        }
    }
}

fn token_of(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-auth-token").and_then(|value| value.to_str().ok())
}
