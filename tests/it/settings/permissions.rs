//! The permissions that SECURITY.md gives to the broker's accounts are enough, and are no more than they say.

use std::sync::Arc;

use mesos_conductor::amqp::settings::Broker;
use mesos_conductor::amqp::{Message, PublishError, Publisher};
use mesos_conductor::client::NotificationListener;
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use super::node::{self, Lease};
use crate::support::worker::command;
use crate::support::{Caller, World};

/// What `rabbitmqctl set_permissions -p magnum ACCOUNT "…" "…" "…"` of SECURITY.md grants.
fn documented(account: &str) -> [String; 3] {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("SECURITY.md");
    let text = std::fs::read_to_string(path).expect("SECURITY.md is there").replace("\\\n", " ");
    let command = format!("rabbitmqctl set_permissions -p magnum {account} ");
    let line =
        text.lines().find_map(|line| line.trim().strip_prefix(&command)).expect("the command is there");
    let patterns: Vec<_> = line.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    patterns.try_into().expect("three patterns")
}

/// An account of this virtual host, and how it connects.
async fn account(node: &Lease, base: &Broker, name: &str, [configure, write, read]: [String; 3]) -> Broker {
    let (user, password) = (format!("{name}-{}", Uuid::new_v4().simple()), Uuid::new_v4().to_string());
    node.put(&["users", &user], json!({ "password": password, "tags": "" })).await;
    let permissions = json!({ "configure": configure, "write": write, "read": read });
    node.put(&["permissions", &base.vhost, &user], permissions).await;
    let mut broker = base.clone();
    for host in &mut broker.hosts {
        host.username.clone_from(&user);
        host.password = SecretString::from(password.clone());
    }
    broker
}

fn url(broker: &Broker) -> String {
    use secrecy::ExposeSecret as _;
    let host = &broker.hosts[0];
    let (user, password) = (&host.username, host.password.expose_secret());
    format!("rabbit://{user}:{password}@{}:{}/{}", host.host, host.port, broker.vhost)
}

async fn publish(broker: &Broker, exchange: &str, routing_key: &str) -> Result<(), PublishError> {
    let publisher = Publisher::new(Arc::new(broker.clone()));
    let message = Message {
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
        content_type: "application/json".to_owned(),
        content_encoding: "utf-8".to_owned(),
        body: b"{}".to_vec(),
        mandatory: true,
        ..Message::default()
    };
    let sent = publisher.publish(&message).await;
    publisher.close().await;
    sent
}

fn assert_refused(sent: &Result<(), PublishError>) {
    let Err(PublishError::Disconnected(reason)) = sent else { panic!("it is not refused: {sent:?}") };
    assert!(reason.contains("ACCESS_REFUSED") || reason.contains("403"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_permissions_serve_calls_and_notifications_and_no_more() {
    let Some(node) = node::shared().await else { return };
    let mut world = World::new().await;
    let vhost = format!("magnum-{}", Uuid::new_v4().simple());
    node.put(&["vhosts", &vhost], json!({})).await;
    let all = || [".*", ".*", ".*"].map(str::to_owned);
    // Names as the document has them: the virtual host is this test's own.
    let base = Broker {
        vhost: vhost.clone(),
        exchange: "magnum".to_owned(),
        topic: "magnum-conductor".to_owned(),
        ..node.route(&world.broker)
    };
    let operator = account(&node, &base, "operator", all()).await;
    let conductor = account(&node, &base, "conductor", documented("conductor")).await;
    let api = account(&node, &base, "api", documented("magnum-api")).await;
    let stranger = account(&node, &base, "stranger", ["", "^other$", ""].map(str::to_owned)).await;

    world.amqp = url(&conductor);
    world.broker = api.clone();
    let mut listener =
        NotificationListener::open(&operator, &["notifications"]).await.expect("the operator may listen");
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    caller.create_bay(&model).await;
    let told = tokio::time::timeout(crate::support::PATIENCE, listener.next()).await;
    assert!(told.expect("a notification comes").event_type.starts_with("magnum.cluster.create"));
    assert!(!worker.log_text().contains("ACCESS_REFUSED"), "{}", worker.log_text());

    let queue = "magnum-conductor";
    for (exchange, routing_key) in [("magnum", queue), ("", queue)] {
        assert_refused(&publish(&stranger, exchange, routing_key).await);
    }
    // Past the control exchange nobody but the conductor writes into queues.
    assert_refused(&publish(&api, "", queue).await);
    assert_refused(&publish(&conductor, "amq.topic", queue).await);
    worker.stop().await;

    // The doctor names whoever may send requests.
    let output =
        command(&world, &["doctor", "--format", "json", "--management-url", &node.management_url()]).await;
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("rows");
    let mut found: Vec<_> = rows.iter().filter(|row| row["check"] == "broker permissions").collect();
    found.sort_by_key(|row| row["detail"].as_str());
    let found: Vec<_> = found.iter().map(|row| (row["state"].as_str(), row["detail"].as_str())).collect();
    // guest made the virtual host.
    let user = |broker: &Broker| broker.hosts[0].username.clone();
    let expected = [user(&api), user(&conductor), "guest".to_owned(), user(&operator)];
    assert_eq!(found.len(), 4, "{rows:?}");
    for ((state, detail), (user, wanted)) in
        found.into_iter().zip(expected.into_iter().zip(["warning", "ok", "warning", "warning"]))
    {
        assert!(detail.expect("text").starts_with(&format!("{user} may write to magnum")), "{detail:?}");
        assert_eq!(state, Some(wanted), "{detail:?}");
    }
    caller.client.close().await;
    node.delete(&["vhosts", &vhost]).await;
}
