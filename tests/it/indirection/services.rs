//! The processes of Magnum, this worker among them.

use serde_json::{Value, json};

use super::{deed, no_updates, object, refused_with, unchanged};
use crate::outages::database_proxy;
use crate::support::database::Backend;
use crate::support::worker::Worker;
use crate::support::{Caller, World, data, eventually};

const BINARY: &str = "magnum-conductor";

fn configured(world: &World) -> String {
    world.configuration("").replace("[conductor]\n", "[conductor]\nreport_interval = \"100ms\"\n")
}

/// The report count of the only conductor there is, once it has one above `past`.
async fn reported(caller: &Caller<'_>, past: i64) -> i64 {
    let counted = eventually(async || {
        let found = caller.call("object_class_action", super::list("MagnumService", json!({}))).await.ok()?;
        let [only] = found.as_array()?.as_slice() else { return None };
        let service = data(only);
        assert_eq!((&service["host"], &service["binary"]), (&json!("worker.test"), &json!(BINARY)));
        assert_eq!((&service["disabled"], &service["forced_down"]), (&json!(false), &json!(false)));
        assert!(service["last_seen_up"].is_string(), "{service}");
        service["report_count"].as_i64().filter(|count| *count > past)
    });
    counted.await.expect("the worker reports")
}

/// A worker's row: one per host, renewed, and no other after a restart.
async fn report(backend: Backend) {
    let world = World::on(backend).await;
    let worker = Worker::start_with(&world, &configured(&world), None).await;
    let caller = Caller::new(&world).await;
    let first = reported(&caller, 0).await;
    let later = reported(&caller, first).await;
    let asked = caller.read("MagnumService", "get_by_host_and_binary", json!(["worker.test", BINARY])).await;
    let id = data(&asked.unwrap())["id"].clone();
    worker.kill().await;
    let worker = Worker::start_with(&world, &configured(&world), None).await;
    reported(&caller, later).await;
    let asked = caller.read("MagnumService", "get_by_host_and_binary", json!(["worker.test", BINARY])).await;
    assert_eq!(data(&asked.unwrap())["id"], id, "a restart makes no other row");
    worker.stop().await;
    world.database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_reports_that_it_is_up_on_sqlite() {
    report(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_reports_that_it_is_up_on_postgresql() {
    report(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_reports_that_it_is_up_on_mysql() {
    report(Backend::MySql).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_of_a_host_share_its_row() {
    let world = World::on(Backend::Postgres).await;
    let configuration = configured(&world);
    let (first, second) = tokio::join!(
        Worker::start_with(&world, &configuration, None),
        Worker::start_with(&world, &configuration, None)
    );
    let caller = Caller::new(&world).await;
    reported(&caller, 10).await;
    first.stop().await;
    let now = reported(&caller, 0).await;
    reported(&caller, now).await;
    second.stop().await;
    world.database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reports_go_on_once_the_database_is_back() {
    let mut world = World::on(Backend::Postgres).await;
    let proxy = database_proxy(&mut world).await;
    let impatient = configured(&world).replace("[database]\n", "[database]\npool_timeout = \"500ms\"\n");
    let worker = Worker::start_with(&world, &impatient, None).await;
    let caller = Caller::new(&world).await;
    reported(&caller, 0).await;
    proxy.set_open(false);
    proxy.cut();
    assert!(worker.logged("the report in magnum_service waits for the next time").await);
    let counted = world.database.texts("SELECT CAST(report_count AS TEXT) FROM magnum_service").await;
    proxy.set_open(true);
    reported(&caller, counted[0].parse().unwrap()).await;
    worker.stop().await;
    world.database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_processes_report_over_rpc() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let missing = caller.read("MagnumService", "get_by_host_and_binary", json!(["elsewhere", BINARY])).await;
    assert_eq!(missing.unwrap(), Value::Null);
    let fields = json!({ "host": "elsewhere", "binary": BINARY, "disabled": false, "forced_down": false,
                         "report_count": 0 });
    let made = caller.make("MagnumService", fields.clone()).await;
    assert_eq!(made["last_seen_up"], Value::Null);
    refused_with(
        caller.act(object("MagnumService", "1.0", fields), "create").await,
        "MagnumServiceAlreadyExists",
        "A magnum service with ID magnum-conductor on elsewhere already exists.",
    );
    let row = async || {
        let found =
            caller.read("MagnumService", "get_by_host_and_binary", json!(["elsewhere", BINARY])).await;
        data(&found.unwrap()).clone()
    };
    let service = row().await;
    let up = caller.act(unchanged("MagnumService", service.clone()), "report_state_up").await.unwrap();
    assert_eq!(up, json!([{ "report_count": 1, "obj_what_changed": [] }, null]));
    let seen = row().await;
    assert!(seen["last_seen_up"].is_string() && seen["report_count"] == 1, "{seen}");
    let again = caller.act(unchanged("MagnumService", service.clone()), "refresh").await.unwrap();
    assert_eq!((&again[0]["report_count"], &again[0]["last_seen_up"]), (&json!(1), &seen["last_seen_up"]));

    let save = |fields: Value| {
        let mut saved = object("MagnumService", "1.0", fields);
        saved["magnum_object.data"]["id"] = service["id"].clone();
        deed(saved, "save")
    };
    let disable = save(json!({ "disabled": true, "disabled_reason": "upgrade" }));
    assert_eq!(caller.call("object_action", disable).await.unwrap(), no_updates());
    let disabled = row().await;
    assert_eq!((&disabled["disabled"], &disabled["report_count"]), (&json!(true), &json!(1)));
    refused_with(
        caller.call("object_action", save(json!({ "host": "mine" }))).await,
        "InvalidParameterValue",
        "cannot change magnum service property(ies) host.",
    );
    let old = save(json!({ "last_seen_up": "2020-01-01T00:00:00Z" }));
    caller.call("object_action", old).await.unwrap();
    assert_eq!(row().await["last_seen_up"], "2020-01-01T00:00:00Z");
    // A count that does not grow is no sign of life, one that grows is.
    caller.call("object_action", save(json!({ "report_count": 1 }))).await.unwrap();
    assert_eq!(row().await["last_seen_up"], "2020-01-01T00:00:00Z");
    caller.call("object_action", save(json!({ "report_count": 2 }))).await.unwrap();
    assert_ne!(row().await["last_seen_up"], "2020-01-01T00:00:00Z");

    assert_eq!(
        caller.act(unchanged("MagnumService", service.clone()), "destroy").await.unwrap(),
        no_updates()
    );
    let gone = format!("A magnum service {} could not be found.", service["id"]);
    for method in ["destroy", "save", "report_state_up", "refresh"] {
        let answer = caller.act(unchanged("MagnumService", service.clone()), method).await;
        refused_with(answer, "MagnumServiceNotFound", &gone);
    }
    worker.stop().await;
}
