//! The small HTTP listener for probes and Prometheus: `/livez`, `/readyz`, `/metrics`.
//!
//! It tells reasons in words an operator can act on; checks must keep secrets out of them.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::metrics::PrometheusHandle;

/// One thing that must be well before this worker is ready, such as the broker or the database.
#[async_trait]
pub trait HealthCheck: Send + Sync {
    fn name(&self) -> &'static str;

    /// `Err` says why not, in one line.
    async fn check(&self) -> Result<(), String>;
}

/// The sign of life of the process's main loop: it beats, and `/livez` fails when it has stopped.
#[derive(Debug, Clone)]
pub struct Pulse {
    last: Arc<Mutex<Instant>>,
    silence: Duration,
}

impl Pulse {
    /// `silence` is how long the loop may be quiet and still count as alive.
    pub fn new(silence: Duration) -> Self {
        Self { last: Arc::new(Mutex::new(Instant::now())), silence }
    }

    pub fn beat(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn quiet_for(&self) -> Duration {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// What the listener shows.
#[derive(Clone)]
pub struct Probes {
    pub checks: Vec<Arc<dyn HealthCheck>>,
    /// Without one, `/livez` says that the process answers, and no more.
    pub pulse: Option<Pulse>,
    pub metrics: PrometheusHandle,
    /// How long a check may take before it counts as failed.
    pub check_timeout: Duration,
}

impl std::fmt::Debug for Probes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.checks.iter().map(|check| check.name()).collect();
        f.debug_struct("Probes").field("checks", &names).finish_non_exhaustive()
    }
}

/// The body of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    pub ready: bool,
    pub checks: Vec<CheckResult>,
}

/// One line of [`Readiness`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    pub name: String,
    pub ok: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// Serves until `stop`. The caller binds, so that a taken port is a fault at start and port 0 is known.
pub async fn serve(listener: TcpListener, probes: Probes, stop: CancellationToken) -> io::Result<()> {
    axum::serve(listener, router(probes)).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// The routes alone, for embedding.
pub fn router(probes: Probes) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(probes)
}

async fn livez(State(probes): State<Probes>) -> Response {
    match &probes.pulse {
        Some(pulse) if pulse.quiet_for() > pulse.silence => {
            let quiet = pulse.quiet_for().as_secs();
            let text = format!("the main loop has been quiet for {quiet} s\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
        Some(_) | None => "ok\n".into_response(),
    }
}

async fn readyz(State(probes): State<Probes>) -> Response {
    let readiness = probes.readiness().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

async fn metrics(State(probes): State<Probes>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], probes.metrics.render())
        .into_response()
}

impl Probes {
    /// Runs all checks side by side, so that the answer takes as long as the slowest one.
    pub async fn readiness(&self) -> Readiness {
        let checks = join_all(self.checks.iter().map(|check| self.run(check.as_ref()))).await;
        Readiness { ready: checks.iter().all(|check| check.ok), checks }
    }

    async fn run(&self, check: &dyn HealthCheck) -> CheckResult {
        let result = match tokio::time::timeout(self.check_timeout, check.check()).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {:?}", self.check_timeout)),
        };
        CheckResult { name: check.name().to_owned(), ok: result.is_ok(), reason: result.err() }
    }
}

#[cfg(test)]
mod tests;
