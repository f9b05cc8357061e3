//! What operators and supervisors ask a worker, and what nobody can do to it over the wire.

use serde_json::{Value, json};

use crate::amqp::broker::Proxy;
use crate::support::peer::{Peer, outcome};
use crate::support::worker::Worker;
use crate::support::{Caller, World, eventually, object};

/// The check of that name in `/readyz`: whether it passed, and the reason if not.
pub(crate) async fn check(worker: &Worker, name: &str) -> (bool, String) {
    let (_, body) = worker.probe("/readyz").await;
    let body: Value = serde_json::from_str(&body).expect("readiness is JSON");
    let checks = body["checks"].as_array().expect("checks").iter();
    let found = checks.into_iter().find(|check| check["name"] == name).expect("the check is listed").clone();
    (found["ok"] == true, found["reason"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_its_broker_lives_and_says_why_it_is_not_ready() {
    let mut world = World::new().await;
    let proxy = Proxy::before(&world.broker).await;
    world.amqp = via(&world.amqp, proxy.port);
    let worker = world.worker().await;
    assert_eq!(worker.probe("/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(worker.probe("/readyz").await.0, 200);
    proxy.set_open(false);
    proxy.cut();
    // Which broker it is that does not answer, as soon as it has been tried again.
    let port = proxy.port.to_string();
    let told = eventually(async || {
        Some(check(&worker, "broker").await).filter(|(ok, why)| !ok && why.contains(&port))
    });
    let (_, reason) = told.await.expect("the broker's loss is told");
    assert!(!reason.contains("guest"), "{reason}");
    assert_eq!(worker.probe("/readyz").await.0, 503);
    assert_eq!(worker.probe("/livez").await.0, 200);
    assert!(check(&worker, "database").await.0 && check(&worker, "migrations").await.0);
    assert!(worker.metric("mesos_conductor_broker_connected").await < 1.0);
    proxy.set_open(true);
    let back = eventually(async || (worker.probe("/readyz").await.0 == 200).then_some(()));
    assert!(back.await.is_some(), "{}", worker.log_text());
    assert!(worker.metric("mesos_conductor_broker_reconnects_total").await >= 1.0);
    worker.stop().await;
}

/// The same URL with another host and port.
pub(crate) fn via(url: &str, port: u16) -> String {
    let (credentials, rest) = url.split_once('@').expect("a URL with credentials");
    let (_, path) = rest.split_once('/').expect("a URL with a path");
    format!("{credentials}@127.0.0.1:{port}/{path}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_operators_count_is_counted() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let uuid = caller.create_bay(&model).await;
    caller.call("bay_delete", json!({ "uuid": uuid })).await.unwrap();
    caller.wait_until_gone(&uuid).await;
    for (name, least) in [
        ("requests_total", 4.0),
        ("request_duration_seconds_count", 4.0),
        ("operation_steps_total", 9.0),
        ("operation_duration_seconds_count", 2.0),
        ("published_total", 7.0),
        ("openstack_requests_total", 9.0),
        ("openstack_request_duration_seconds_count", 9.0),
        ("stack_polls_total", 2.0),
        ("broker_connected", 1.0),
        ("build_info", 1.0),
    ] {
        let reached = eventually(async || {
            (worker.metric(&format!("mesos_conductor_{name}")).await >= least).then_some(())
        });
        assert!(reached.await.is_some(), "{name} is not {least} in\n{}", worker.probe("/metrics").await.1);
    }
    let (_, text) = worker.probe("/metrics").await;
    // What counts mishaps shows when there was one: the tests of the mishaps look there.
    for name in [
        "operations",
        "operation_oldest_seconds",
        "outbox_depth",
        "outbox_oldest_seconds",
        "requests_in_flight",
    ] {
        assert!(text.contains(&format!("# TYPE mesos_conductor_{name} ")), "{name} is missing in\n{text}");
    }
    worker.stop().await;
}

/// Bodies that are no requests.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let deep = "[".repeat(100_000);
    let inner = |text: &str| json!({ "oslo.version": "2.0", "oslo.message": text }).to_string().into_bytes();
    let nested =
        format!(r#"{{"method":"ping_conductor","args":{{"a":{}{}}}}}"#, "[".repeat(5000), "]".repeat(5000));
    vec![
        ("application/json", Vec::new()),
        ("application/json", b"\0\xff\xfe garbage".to_vec()),
        ("application/json", b"{\"oslo.version\": \"2.0\", \"oslo.mess".to_vec()),
        ("application/json", b"null".to_vec()),
        ("application/json", b"[]".to_vec()),
        ("application/json", b"17".to_vec()),
        ("application/json", deep.clone().into_bytes()),
        ("application/json", inner(&deep)),
        ("application/json", inner(&nested)),
        ("application/json", inner("{}")),
        ("application/json", inner(r#"{"method": 5, "args": {}}"#)),
        ("application/json", inner(r#"{"method": "ping_conductor", "args": [1, 2]}"#)),
        ("application/json", inner(r#"{"method": "ping_conductor", "args": {}, "version": {"a": 1}}"#)),
        ("application/json", inner(r#"{"method": "ping_conductor", "args": {}, "_msg_id": 5}"#)),
        ("application/json", json!({ "oslo.version": "9.0", "oslo.message": "{}" }).to_string().into_bytes()),
        (
            "application/json",
            json!({ "oslo.version": "2.0", "oslo.message": { "a": 1 } }).to_string().into_bytes(),
        ),
        ("application/x-msgpack", b"\xdf\xff\xff\xff\xff".to_vec()),
        ("application/x-msgpack", [0x91; 100_000].to_vec()),
        ("text/x-python-pickle", b"cos\nsystem\n".to_vec()),
        ("application/json", vec![b'['; 20 * 1024 * 1024]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_no_requests_are_rejected_and_counted() {
    let world = World::new().await;
    let worker = world.worker().await;
    let peer = Peer::open(&world).await;
    let bodies = hostile();
    for (content_type, body) in &bodies {
        peer.send_bytes(content_type, body).await;
    }
    let wanted = f64::from(u32::try_from(bodies.len()).unwrap());
    let counted =
        eventually(async || (worker.metric("mesos_conductor_rejects_total").await >= wanted).then_some(()));
    let all = counted.await.is_some();
    assert!(
        all,
        "{} of {wanted}\n{}",
        worker.metric("mesos_conductor_rejects_total").await,
        worker.log_text()
    );
    assert!(worker.metric("mesos_conductor_panics_total").await < 1.0);
    assert!(peer.seen().is_empty(), "nobody was answered");
    let caller = Caller::new(&world).await;
    assert_eq!(caller.call("ping_conductor", json!({})).await.unwrap(), json!(true));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_of_every_wrong_kind_are_refused_and_panic_nothing() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(i64::MAX),
        json!(1e300),
        json!(""),
        json!("\u{0}\u{ffff}%s%(x)d"),
        json!("x".repeat(100_000)),
        json!([]),
        json!([[[]]]),
        json!({}),
        json!({ "magnum_object.name": 5 }),
        object("Bay", "1.5", json!({})),
        object("Bay", "99.0", json!({})),
        object("Nobody", "1.0", json!({})),
        object("BayModel", "1.10", json!({ "labels": 5, "public": "maybe" })),
        object("Bay", "1.5", json!({ "uuid": [], "node_count": "many" })),
        object("Bay", "1.5", json!({ "baymodel_id": model, "node_count": i64::MAX, "master_count": 1 })),
        object("Bay", "1.5", json!({ "baymodel_id": model, "node_count": -4, "master_count": 1 })),
        object("Bay", "1.5", json!({ "baymodel_id": model, "node_count": 1, "master_count": 0 })),
        object("Bay", "1.5", json!({ "baymodel_id": model, "name": "n".repeat(5000), "node_count": 1 })),
    ];
    let mut requests = Vec::new();
    for value in &values {
        requests.push(("bay_create", json!({ "bay": value, "bay_create_timeout": 0 })));
        requests.push((
            "bay_create",
            json!({ "bay": object("Bay", "1.5", json!({})), "bay_create_timeout": value }),
        ));
        requests.push(("bay_update", json!({ "bay": value })));
        requests.push(("bay_delete", json!({ "uuid": value })));
        requests.push(("bay_delete", json!({ "uuid": model, "wait": value, "notify_queue": value })));
        requests.push((
            "object_action",
            json!({ "objinst": value, "objmethod": "destroy", "args": [], "kwargs": {} }),
        ));
        requests.push((
            "object_action",
            json!({ "objinst": value, "objmethod": value, "args": value, "kwargs": value }),
        ));
        for objmethod in ["list", "get_by_uuid", "get_by_name"] {
            requests.push(("object_class_action", json!({
                "objname": "Bay", "objmethod": objmethod, "objver": "1.5", "args": [value, value], "kwargs": {},
            })));
        }
        requests.push((
            "object_class_action",
            json!({
                "objname": value, "objmethod": value, "objver": value, "args": value, "kwargs": value,
            }),
        ));
    }
    let peer = Peer::open(&world).await;
    for (method, args) in &requests {
        peer.send(&peer.request(&world, method, args.clone())).await;
    }
    let replies = peer.replies(requests.len()).await;
    let accepted = replies.iter().filter_map(|reply| outcome(reply).ok()).filter(|value| value != &json!([]));
    assert_eq!(accepted.collect::<Vec<_>>(), Vec::<Value>::new(), "something hostile was accepted");
    assert!(worker.metric("mesos_conductor_panics_total").await < 1.0);
    assert!(caller.bays().await.is_empty());
    assert!(world.sandbox.stacks().is_empty());
    worker.stop().await;
}
