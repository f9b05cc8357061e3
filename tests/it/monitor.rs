//! What is seen of living bays: their health, and how much of them is in use.

use std::sync::Arc;
use std::time::Duration;

use mesos_conductor::bay::Bay;
use mesos_conductor::client::NotificationListener;
use mesos_conductor::framework::credentials::{Keyring, Login};
use mesos_conductor::framework::marathon::Limits;
use mesos_conductor::framework::{Directory, Frameworks, Settings};
use mesos_conductor::notify::{Era, Measured, Notifier};
use mesos_conductor_proto::notification::{Driver, Notification};
use mesos_conductor_sandbox::{Action, Config, MarathonConfig, Rule, Sandbox, Service};
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use crate::support::worker::Worker;
use crate::support::{Caller, PATIENCE, World, eventually};

const ENOUGH: Duration = Duration::from_secs(20);

async fn monitoring(world: &World, options: &str) -> Worker {
    Worker::start(world, &format!("[monitor]\ninterval = \"300ms\"\n{options}"), None).await
}

async fn health_is(world: &World, status: &str) -> String {
    let seen = eventually(async || {
        let sql =
            "SELECT COALESCE(health_status, '') || ' ' || COALESCE(health_status_reason, '') FROM cluster";
        let text = world.database.texts(sql).await.pop()?;
        text.strip_prefix(&format!("{status} ")).map(str::to_owned)
    });
    seen.await.unwrap_or_else(|| panic!("the bay never was {status}"))
}

/// Has a Marathon run an app.
async fn run_something(marathon: &str) {
    let app = json!({ "id": "/web", "cmd": "sleep 1000", "cpus": 0.5, "mem": 64, "instances": 1 });
    let answer = reqwest::Client::new().post(format!("{marathon}/v2/apps")).json(&app).send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g37_a_bays_health_is_what_its_mesos_and_its_marathon_say() {
    let world = World::new().await;
    let worker = monitoring(&world, "").await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    caller.create_bay(&model).await;
    let reason = health_is(&world, "HEALTHY").await;
    assert!(reason.contains(r#""mesos":"2 of 2 agents are active""#), "{reason}");
    assert!(reason.contains("answers"), "{reason}");
    let changes = |text: &str| text.matches("the bay's health has changed").count();
    let before = changes(&worker.log_text());
    for (service, part) in [(Service::Mesos, "mesos"), (Service::Marathon, "framework")] {
        world.sandbox.faults().add(Rule::new(service, "GET", "/", Action::status(503)));
        let reason = health_is(&world, "UNHEALTHY").await;
        assert!(reason.contains(&format!(r#""{part}":"out of service"#)), "{reason}");
        world.sandbox.faults().clear();
        health_is(&world, "HEALTHY").await;
    }
    // A change is said once, and nothing else of it.
    let text = worker.log_text();
    assert_eq!(changes(&text), before + 4, "{text}");
    assert!(!text.lines().any(|line| line.contains("WARN") && line.contains("monitor")), "{text}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_are_told_how_much_of_a_bay_is_in_use() {
    let world = World::new().await;
    let mut listener = NotificationListener::open(&world.broker, &["notifications"]).await.unwrap();
    let worker = monitoring(&world, "metrics = true\nhealth = false").await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let uuid = caller.create_bay(&model).await;
    let mut told = async |used: bool| loop {
        let notification = listener.next().await;
        if notification.event_type != "magnum.cluster.metrics.update" {
            continue;
        }
        let value = |index: usize| notification.payload["metrics"][index]["value"].as_f64().unwrap();
        if used == (value(0) > 0.0 && value(1) > 0.0) {
            break notification;
        }
    };
    let idle = timeout(PATIENCE, told(false)).await.expect("it is told");
    assert_eq!((idle.priority.upper(), idle.payload["resource_id"].as_str()), ("INFO", Some(uuid.as_str())));
    assert_eq!(idle.payload["project_id"], json!(mesos_conductor_sandbox::known::DEMO_PROJECT.id));
    assert_eq!(idle.payload["user_id"], json!(mesos_conductor_sandbox::known::DEMO_USER.id));
    let names = ["memory_util", "cpu_util"];
    for (index, name) in names.into_iter().enumerate() {
        let metric = &idle.payload["metrics"][index];
        assert_eq!((&metric["name"], &metric["unit"]), (&json!(name), &json!("%")), "{metric}");
    }
    run_something(&world.sandbox.marathons()[0].urls()[0]).await;
    let busy = timeout(PATIENCE, told(true)).await.expect("it is told");
    let value = busy.payload["metrics"][0]["value"].as_f64().unwrap();
    assert!(value > 0.0 && value < 100.0, "{}", busy.payload);
    worker.stop().await;
    listener.close().await;
}

/// What stock Magnum could not: its monitor ended at the first dead master, and at 512 KiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g36_the_leader_is_found_behind_dead_masters_and_its_large_state_is_read() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let sandbox = Sandbox::start(Config::default()).await.unwrap();
    let marathon =
        sandbox.start_marathon("large", MarathonConfig { nodes: 3, ..MarathonConfig::default() }).unwrap();
    let agents = marathon.agents();
    assert!(marathon.occupy(&agents[0], 4000));
    let [leader, second, third] = <[String; 3]>::try_from(marathon.mesos_urls()).unwrap();
    let state = reqwest::get(format!("{leader}/state")).await.unwrap().bytes().await.unwrap();
    assert!(state.len() > 524_288, "the state has only {} bytes", state.len());
    // Nobody listens on the first one any more.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("http://{}", dead.local_addr().unwrap());
    drop(dead);
    let master_addresses = vec![gone, second, third, leader];
    let bay = Bay { uuid: Uuid::new_v4(), master_addresses, ..Bay::default() };
    let limits = Limits { request_timeout: ENOUGH, events_silence: ENOUGH, event_size: 1 << 20 };
    let settings = Settings {
        port: 8080,
        tls_port: 8443,
        mesos_port: 5050,
        mesos_login: Login::None,
        credentials: Keyring::default(),
        connect_timeout: Duration::from_secs(2),
        limits,
    };
    let load = Directory::new(settings, Arc::new(()), Arc::new(()))
        .agents_of(&bay)
        .await
        .unwrap()
        .load(ENOUGH)
        .await
        .unwrap();
    assert_eq!((load.registered, load.active), (agents.len(), agents.len()));
    assert!(load.cpus.total > 0.0 && load.memory.total > 0.0, "{load:?}");
}

#[test]
fn measurements_have_the_name_that_each_era_gave_them() {
    let notifier = Notifier {
        publisher_id: "container-infra.h".to_owned(),
        exchange: "magnum".to_owned(),
        topics: vec!["notifications".to_owned(), "billing".to_owned()],
        driver: Some(Driver::Messagingv2),
        missing_queue_timeout: ENOUGH,
    };
    let measured = Measured { cpu_util: 12.5, memory_util: 50.0 };
    for (era, event) in
        [(Era::Cluster, "magnum.cluster.metrics.update"), (Era::Bay, "magnum.bay.metrics.update")]
    {
        let told = notifier.measured(era, &Bay::default(), measured);
        let keys: Vec<_> = told.iter().map(|message| message.routing_key.as_str()).collect();
        assert_eq!(keys, ["notifications.info", "billing.info"]);
        let notification = Notification::decode(Some("application/json"), &told[0].bodies[0]).unwrap();
        assert_eq!(notification.event_type, event);
        assert_eq!(notification.payload["metrics"][1]["value"], json!(12.5));
        let other = Notification::decode(Some("application/json"), &told[1].bodies[0]).unwrap();
        assert_ne!(notification.unique_id, other.unique_id);
    }
    let silent = Notifier { driver: None, ..notifier };
    assert!(silent.measured(Era::Cluster, &Bay::default(), measured).is_empty());
}
