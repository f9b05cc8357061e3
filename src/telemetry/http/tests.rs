use std::net::SocketAddr;

use metrics_exporter_prometheus::PrometheusBuilder;
use tokio_util::task::TaskTracker;

use super::*;

struct Fixed(&'static str, Result<(), String>);

#[async_trait]
impl HealthCheck for Fixed {
    fn name(&self) -> &'static str {
        self.0
    }

    async fn check(&self) -> Result<(), String> {
        self.1.clone()
    }
}

struct Never;

#[async_trait]
impl HealthCheck for Never {
    fn name(&self) -> &'static str {
        "never"
    }

    async fn check(&self) -> Result<(), String> {
        std::future::pending().await
    }
}

fn probes(checks: Vec<Arc<dyn HealthCheck>>) -> Probes {
    Probes {
        checks,
        pulse: None,
        metrics: PrometheusBuilder::new().build_recorder().handle(),
        check_timeout: Duration::from_millis(50),
    }
}

/// Serves the probes on a free port for as long as the returned guard lives.
async fn start(probes: Probes) -> (SocketAddr, tokio_util::sync::DropGuard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    TaskTracker::new().spawn(serve(listener, probes, stop.clone()));
    (address, stop.drop_guard())
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    rustls::crypto::ring::default_provider().install_default().ok();
    let response = reqwest::get(format!("http://{address}{path}")).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn readiness_names_every_check_and_its_reason() {
    let checks: Vec<Arc<dyn HealthCheck>> = vec![
        Arc::new(Fixed("database", Ok(()))),
        Arc::new(Fixed("broker", Err("connection refused".to_owned()))),
        Arc::new(Never),
    ];
    let (address, _guard) = start(probes(checks)).await;
    let (status, body) = get(address, "/readyz").await;
    assert_eq!(status, 503);
    let readiness: Readiness = serde_json::from_str(&body).unwrap();
    assert!(!readiness.ready);
    let lines: Vec<_> =
        readiness.checks.iter().map(|c| (c.name.as_str(), c.ok, c.reason.as_deref())).collect();
    assert_eq!(
        lines,
        [
            ("database", true, None),
            ("broker", false, Some("connection refused")),
            ("never", false, Some("no answer within 50ms")),
        ]
    );
}

#[tokio::test]
async fn ready_when_every_check_passes() {
    let (address, _guard) = start(probes(vec![Arc::new(Fixed("database", Ok(())))])).await;
    let (status, body) = get(address, "/readyz").await;
    assert_eq!((status, body.as_str()), (200, r#"{"ready":true,"checks":[{"name":"database","ok":true}]}"#));
}

#[tokio::test]
async fn alive_while_the_main_loop_beats() {
    let quick = Pulse::new(Duration::ZERO);
    let (address, _guard) = start(Probes { pulse: Some(quick), ..probes(vec![]) }).await;
    assert_eq!(get(address, "/livez").await.0, 503, "a silence of zero is always exceeded");

    let pulse = Pulse::new(Duration::from_secs(60));
    pulse.beat();
    let (address, _guard) = start(Probes { pulse: Some(pulse), ..probes(vec![]) }).await;
    assert_eq!(get(address, "/livez").await, (200, "ok\n".to_owned()));
}

#[tokio::test]
async fn metrics_are_rendered() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    ::metrics::with_local_recorder(&recorder, || crate::telemetry::metrics::replies_dropped(1));
    let (address, _guard) = start(Probes { metrics: handle, ..probes(vec![]) }).await;
    let (status, body) = get(address, "/metrics").await;
    assert_eq!(status, 200);
    assert!(body.contains("mesos_conductor_replies_dropped_total 1"), "{body}");
}
