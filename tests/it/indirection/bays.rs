//! Bays as rows: what clients may write of them, and what is the conductor's.

use std::time::Duration;

use mesos_conductor_sandbox::Config;
use mesos_conductor_sandbox::known::{DEMO_PROJECT, DEMO_USER};
use serde_json::{Value, json};

use super::{changed, no_updates, refused_with, unchanged};
use crate::support::database::Backend;
use crate::support::{Caller, World, data};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bay_is_found_listed_and_filtered() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let fields = |name: &str, status: &str, count: i64| {
        json!({ "name": name, "baymodel_id": model, "status": status, "node_count": count,
                "node_addresses": [format!("10.0.0.{count}")] })
    };
    let first = caller.make("Bay", fields("a", "CREATE_COMPLETE", 1)).await;
    caller.make("Bay", fields("b", "CREATE_FAILED", 2)).await;
    caller.make("Bay", fields("b", "UPDATE_COMPLETE", 3)).await;
    let expected = caller.read("Bay", "get_by_uuid", json!([first["uuid"]])).await.unwrap();
    assert_eq!(data(&data(&expected)["baymodel"])["uuid"], model.as_str());
    for (method, ident) in [
        ("get", &first["id"]),
        ("get", &first["uuid"]),
        ("get_by_id", &first["id"]),
        ("get_by_name", &json!("a")),
    ] {
        assert_eq!(caller.read("Bay", method, json!([ident])).await.unwrap(), expected, "{method}({ident})");
    }
    refused_with(
        caller.read("Bay", "get_by_name", json!(["b"])).await,
        "Conflict",
        "Multiple bays exist with same name. Please use the bay uuid instead.",
    );
    refused_with(
        caller.read("Bay", "get", json!(["b"])).await,
        "InvalidIdentity",
        "Expected an uuid or int but received b.",
    );
    let counts =
        async |filters: Value| caller.listed("Bay", json!({ "filters": filters }), "node_count").await;
    assert_eq!(counts(json!({})).await, [1, 2, 3]);
    assert_eq!(counts(json!({ "name": "b" })).await, [2, 3]);
    assert_eq!(counts(json!({ "status": ["CREATE_FAILED", "CREATE_COMPLETE"] })).await, [1, 2]);
    assert_eq!(counts(json!({ "node_count": 2 })).await, [2]);
    assert_eq!(counts(json!({ "node_addresses": ["10.0.0.3"] })).await, [3]);
    assert_eq!(counts(json!({ "status": ["NEVER_HEARD_OF"] })).await, [0; 0]);
    let page = json!({ "marker": expected, "limit": 1, "sort_key": "node_count", "sort_dir": "asc" });
    assert_eq!(caller.listed("Bay", page, "node_count").await, [2]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_created_row_belongs_to_the_caller_and_is_told_back() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let fields = json!({ "name": "b1", "baymodel_id": model, "project_id": "theirs", "user_id": "theirs",
                         "status": "CREATE_COMPLETE", "node_count": 3, "bay_create_timeout": 5 });
    let made = caller.make("Bay", fields.clone()).await;
    assert_eq!((&made["project_id"], &made["user_id"]), (&json!(DEMO_PROJECT.id), &json!(DEMO_USER.id)));
    assert!(made.get("name").is_none() && made.get("node_count").is_none(), "the sender has these");
    assert!(data(&made["baymodel"])["uuid"] == model.as_str());
    let mut twin = fields;
    twin["uuid"] = made["uuid"].clone();
    let uuid = made["uuid"].as_str().unwrap();
    refused_with(
        caller.act(changed("Bay", uuid, twin), "create").await,
        "BayAlreadyExists",
        &format!("A bay with UUID {uuid} already exists."),
    );
    assert_eq!(world.sandbox.stacks().len(), 0, "it is a row and nothing else");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_the_conductors_of_a_bay_cannot_be_written() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let uuid = caller.create_bay(&model).await;
    let before = caller.bay(&uuid).await.unwrap();
    for field in [
        "id",
        "project_id",
        "user_id",
        "baymodel_id",
        "stack_id",
        "trust_id",
        "trustee_username",
        "trustee_password",
        "trustee_user_id",
        "ca_cert_ref",
        "magnum_cert_ref",
        "created_at",
        "updated_at",
    ] {
        let value = match field {
            "id" => json!(7),
            "created_at" | "updated_at" => json!("2020-01-01T00:00:00Z"),
            _ => json!("mine"),
        };
        let text = format!("cannot change bay property(ies) {field}.");
        let answer = caller.act(changed("Bay", &uuid, json!({ "name": "x", field: value })), "save").await;
        refused_with(answer, "InvalidParameterValue", &text);
    }
    let mut other = changed("Bay", &uuid, json!({ "name": "x" }));
    other["magnum_object.changes"] = json!(["uuid"]);
    let answer = caller.act(other, "save").await;
    refused_with(answer, "InvalidParameterValue", "Cannot overwrite UUID for an existing Bay.");
    let stolen = json!({ "name": "b2", "baymodel_id": model, "stack_id": data(&before)["stack_id"] });
    refused_with(
        caller.act(crate::support::object("Bay", "1.5", stolen), "create").await,
        "InvalidParameterValue",
        "cannot change bay property(ies) stack_id.",
    );
    assert_eq!(caller.bay(&uuid).await.unwrap(), before);
    // The trust and the trustee are still good: the bay can be deleted.
    caller.call("bay_delete", json!({ "uuid": uuid })).await.unwrap();
    caller.wait_until_gone(&uuid).await;
    crate::support::assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_leaves_what_the_conductor_knows_of_a_bay() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let uuid = caller.create_bay(&model).await;
    let before = data(&caller.bay(&uuid).await.unwrap()).clone();
    // A client echoes the whole object; only what it changed counts.
    let mut echo = unchanged("Bay", before.clone());
    echo["magnum_object.data"]["name"] = json!("renamed");
    echo["magnum_object.data"]["trustee_password"] = json!("mine");
    echo["magnum_object.data"]["status_reason"] = json!("looked at");
    echo["magnum_object.data"]["node_addresses"] = json!([]);
    echo["magnum_object.changes"] = json!(["name", "status_reason"]);
    assert_eq!(caller.act(echo.clone(), "save").await.unwrap(), no_updates());
    let after = data(&caller.bay(&uuid).await.unwrap()).clone();
    let mut expected = before.clone();
    expected["name"] = json!("renamed");
    expected["status_reason"] = json!("looked at");
    expected["updated_at"] = after["updated_at"].clone();
    assert_eq!(after, expected);
    let refreshed = caller.act(unchanged("Bay", data(&echo).clone()), "refresh").await.unwrap();
    assert_eq!(refreshed[0]["node_addresses"], before["node_addresses"]);
    assert!(refreshed[0].get("name").is_none() && refreshed[0].get("trustee_password").is_none());
    caller.call("bay_delete", json!({ "uuid": uuid })).await.unwrap();
    caller.wait_until_gone(&uuid).await;
    crate::support::assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bay_with_an_operation_under_way_is_not_saved_and_not_destroyed() {
    let slow = Config { create_time: Duration::from_secs(3600), ..Config::default() };
    let world = World::with(Backend::Sqlite, slow).await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let bay = caller.call("bay_create", Caller::bay_args(&model, 2)).await.unwrap();
    let uuid = data(&bay)["uuid"].as_str().unwrap().to_owned();
    for method in ["save", "destroy"] {
        let answer = caller.act(changed("Bay", &uuid, json!({ "name": "x" })), method).await;
        refused_with(answer, "OperationInProgress", "Bay b1 already has an operation in progress.");
    }
    assert_eq!(world.sandbox.finish_stacks(""), 1);
    let bay = caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    assert_eq!(data(&bay)["name"], "b1");
    // Without one the row goes, and nothing else: what it stood for is the caller's to find.
    let settled = async || {
        let answer = caller.act(unchanged("Bay", json!({ "uuid": uuid })), "destroy").await;
        answer.ok().map(|answer| assert_eq!(answer, no_updates()))
    };
    assert!(crate::support::eventually(settled).await.is_some(), "the operation has not ended");
    let gone = format!("Bay {uuid} could not be found.");
    refused_with(caller.bay(&uuid).await, "BayNotFound", &gone);
    assert_eq!(world.sandbox.stacks().len(), 1);
    assert!(world.database.texts("SELECT uuid FROM nodegroup").await.is_empty());
    worker.stop().await;
}
