//! Bays and bay models as a client lives with them: made, listed, scaled, deleted, and refused for good reasons.

use std::time::Duration;

use mesos_conductor_sandbox::known::{ADMIN_PROJECT, ADMIN_USER};
use mesos_conductor_sandbox::{Action, Config, Doom, Rule, Sandbox, Service};
use serde_json::{Value, json};

use crate::support::database::Backend;
use crate::support::worker::Worker;
use crate::support::{Caller, World, assert_remaining, data, failure_class, map, model_fields, object};

async fn begin(world: &World) -> (Worker, Caller<'_>, String) {
    let worker = world.worker().await;
    let caller = Caller::new(world).await;
    let model = caller.create_model().await;
    (worker, caller, model)
}

/// Stacks that only move when told to.
async fn still_world() -> World {
    let long = Duration::from_secs(3600);
    let cloud = Config { create_time: long, update_time: long, delete_time: long, ..Config::default() };
    World::with(Backend::Sqlite, cloud).await
}

fn uuid_of(object: &Value) -> String {
    data(object)["uuid"].as_str().expect("a uuid").to_owned()
}

async fn accept(caller: &Caller<'_>, model: &str) -> String {
    uuid_of(&caller.call("bay_create", Caller::bay_args(model, 2)).await.expect("the bay is accepted"))
}

fn update_args(uuid: &str, fields: Value) -> Value {
    let mut fields = fields;
    fields["uuid"] = json!(uuid);
    let mut object = object("Bay", "1.5", fields);
    let changes = object["magnum_object.changes"].as_array_mut().expect("changes");
    changes.retain(|field| field != "uuid");
    json!({ "bay": object })
}

fn read(object: &str, method: &str, args: Value, kwargs: Value) -> Value {
    let version = if object == "Bay" { "1.5" } else { "1.10" };
    json!({ "objname": object, "objmethod": method, "objver": version, "args": args, "kwargs": kwargs })
}

async fn refused(caller: &Caller<'_>, method: &str, args: Value) -> (String, String) {
    let error = caller.call(method, args).await.expect_err("it is refused");
    (failure_class(&error).to_owned(), error.to_string())
}

async fn list(caller: &Caller<'_>, object: &str, args: Value, kwargs: Value) -> Vec<Value> {
    let found = caller.call("object_class_action", read(object, "list", args, kwargs)).await.expect("a list");
    found.as_array().expect("a list").clone()
}

fn names(objects: &[Value]) -> Vec<&str> {
    objects.iter().map(|object| data(object)["name"].as_str().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bay_is_made_shown_scaled_and_deleted() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let uuid = caller.create_bay(&model).await;
    let by_uuid = caller.bay(&uuid).await.unwrap();
    let by_name =
        caller.call("object_class_action", read("Bay", "get_by_name", json!(["b1"]), json!({}))).await;
    assert_eq!(by_name.unwrap(), by_uuid);
    assert_eq!(list(&caller, "Bay", json!([]), json!({})).await, std::slice::from_ref(&by_uuid));
    let bay = data(&by_uuid);
    assert_eq!(bay["status"], "CREATE_COMPLETE");
    assert!(bay["api_address"].is_string() && bay["stack_id"].is_string(), "{bay}");
    assert_eq!(data(&bay["baymodel"])["uuid"], json!(model));
    let answer = caller.call("bay_update", update_args(&uuid, json!({ "node_count": 5 }))).await.unwrap();
    assert_eq!(data(&answer)["status"], "UPDATE_IN_PROGRESS");
    let bay = caller.wait_for_status(&uuid, "UPDATE_COMPLETE").await;
    assert_eq!(data(&bay)["node_addresses"].as_array().map(Vec::len), Some(5));
    assert_eq!(caller.call("bay_delete", json!({ "uuid": uuid })).await.unwrap(), Value::Null);
    caller.wait_until_gone(&uuid).await;
    let (class, _) = refused(&caller, "bay_delete", json!({ "uuid": uuid })).await;
    assert_eq!(class, "BayNotFound");
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_waits_is_answered_at_the_end() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let mut args = Caller::bay_args(&model, 2);
    args["wait"] = json!(true);
    let bay = caller.call("bay_create", args).await.unwrap();
    assert_eq!(data(&bay)["status"], "CREATE_COMPLETE");
    let mut args = update_args(&uuid_of(&bay), json!({ "node_count": 1 }));
    args["wait"] = json!(true);
    let bay = caller.call("bay_update", args).await.unwrap();
    assert_eq!((&data(&bay)["status"], &data(&bay)["node_count"]), (&json!("UPDATE_COMPLETE"), &json!(1)));
    let args = json!({ "uuid": uuid_of(&bay), "wait": true });
    assert_eq!(caller.call("bay_delete", args).await.unwrap(), Value::Null);
    assert!(caller.bays().await.is_empty());
    world.sandbox.fail_stack(Doom::new("", "no 100% host"));
    let mut args = Caller::bay_args(&model, 2);
    args["wait"] = json!(true);
    let (_, text) = refused(&caller, "bay_create", args).await;
    assert!(text.contains("no 100% host"), "{text}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_of_a_busy_bay_is_refused() {
    let world = still_world().await;
    let (worker, caller, model) = begin(&world).await;
    let uuid = accept(&caller, &model).await;
    let said = |status: &str| format!("Updating a bay when stack status is \"{status}\"");
    let (class, text) = refused(&caller, "bay_update", update_args(&uuid, json!({ "node_count": 3 }))).await;
    assert_eq!(class, "NotSupported");
    assert!(text.contains(&said("CREATE_IN_PROGRESS")), "{text}");
    world.sandbox.finish_stacks("");
    caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    caller.call("bay_update", update_args(&uuid, json!({ "node_count": 3 }))).await.unwrap();
    let (class, text) = refused(&caller, "bay_update", update_args(&uuid, json!({ "node_count": 4 }))).await;
    assert!(class == "NotSupported" && text.contains(&said("UPDATE_IN_PROGRESS")), "{text}");
    world.sandbox.finish_stacks("");
    let bay = caller.wait_for_status(&uuid, "UPDATE_COMPLETE").await;
    assert_eq!(data(&bay)["node_count"], 3);
    caller.call("bay_delete", json!({ "uuid": uuid })).await.unwrap();
    let (class, text) = refused(&caller, "bay_update", update_args(&uuid, json!({ "node_count": 4 }))).await;
    assert!(class == "NotSupported" && text.contains(&said("DELETE_IN_PROGRESS")), "{text}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_of_anything_but_the_node_count_is_refused() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let uuid = caller.create_bay(&model).await;
    for (field, value) in [("name", json!("b2")), ("master_count", json!(3)), ("stack_id", json!("x"))] {
        let (class, text) = refused(&caller, "bay_update", update_args(&uuid, json!({ field: value }))).await;
        assert!(class == "InvalidParameterValue" && text.contains(field), "{class}: {text}");
    }
    let (class, _) = refused(&caller, "bay_update", update_args(&uuid, json!({ "node_count": 0 }))).await;
    assert_eq!(class, "InvalidParameterValue");
    assert_eq!(data(&caller.bay(&uuid).await.unwrap())["status"], "CREATE_COMPLETE");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_echoes_without_changing_it_is_not_an_update() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let uuid = caller.create_bay(&model).await;
    let mut bay = caller.bay(&uuid).await.unwrap();
    bay["magnum_object.data"]["node_count"] = json!(3);
    bay["magnum_object.data"]["trustee_password"] = json!("echoed");
    bay["magnum_object.changes"] = json!(["node_count"]);
    caller.call("bay_update", json!({ "bay": bay })).await.unwrap();
    caller.wait_for_status(&uuid, "UPDATE_COMPLETE").await;
    // The trustee's true password still opens the way to delete.
    caller.call("bay_delete", json!({ "uuid": uuid })).await.unwrap();
    caller.wait_until_gone(&uuid).await;
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

/// A delete that comes while `held` keeps the create from making its stack.
async fn delete_supersedes_a_create_held_by(held: Rule) {
    let (service, method, path) = (held.service.unwrap(), held.method.clone().unwrap(), held.path.clone());
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    world.sandbox.faults().add(held);
    let mut args = Caller::bay_args(&model, 2);
    let uuid = uuid::Uuid::new_v4().to_string();
    args["bay"]["magnum_object.data"]["uuid"] = json!(uuid);
    args["bay"]["magnum_object.changes"].as_array_mut().unwrap().push(json!("uuid"));
    let delete = async {
        let asked = |sandbox: &Sandbox| sandbox.count(service, &method, &path) >= 1;
        assert!(world.sandbox.wait_until(Duration::from_secs(30), asked).await, "the create is held");
        let answer = caller.call("bay_delete", json!({ "uuid": uuid })).await;
        world.sandbox.faults().clear();
        answer
    };
    let (created, deleted) = tokio::join!(caller.call("bay_create", args), delete);
    assert_eq!(failure_class(&created.expect_err("the create is given up")), "Conflict");
    assert_eq!(deleted.expect("the delete is answered"), Value::Null);
    caller.wait_until_gone(&uuid).await;
    assert_remaining(&world.sandbox, 0);
    let idle = world.database.texts("SELECT operation_uuid FROM active_operation").await;
    assert!(idle.is_empty(), "{idle:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_supersedes_a_create_that_makes_its_trust() {
    let held = Rule::new(Service::Keystone, "POST", "/trusts$", Action::SlowAnswer(700)).once();
    delete_supersedes_a_create_held_by(held).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_supersedes_a_create_that_heat_keeps_off() {
    let held = Rule::new(Service::Heat, "POST", "/stacks$", Action::status(503));
    delete_supersedes_a_create_held_by(held).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_supersedes_a_create_whose_stack_builds() {
    let world = still_world().await;
    let (worker, caller, model) = begin(&world).await;
    let uuid = accept(&caller, &model).await;
    let deleted = caller.call("bay_delete", json!({ "uuid": uuid })).await;
    assert_eq!(deleted.unwrap(), Value::Null);
    world.sandbox.finish_stacks("");
    caller.wait_until_gone(&uuid).await;
    assert_remaining(&world.sandbox, 0);
    assert_eq!(world.sandbox.deleted_stacks().len(), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_creator_is_told_that_its_bay_was_deleted() {
    let world = still_world().await;
    let (worker, caller, model) = begin(&world).await;
    let mut args = Caller::bay_args(&model, 2);
    args["wait"] = json!(true);
    let delete = async {
        let made = |sandbox: &Sandbox| !sandbox.stacks().is_empty();
        assert!(world.sandbox.wait_until(Duration::from_secs(30), made).await);
        let uuid = uuid_of(&caller.bays().await[0]);
        assert_eq!(caller.call("bay_delete", json!({ "uuid": uuid })).await.unwrap(), Value::Null);
        world.sandbox.finish_stacks("");
        uuid
    };
    let (created, uuid) = tokio::join!(caller.call("bay_create", args), delete);
    assert_eq!(failure_class(&created.unwrap_err()), "Conflict");
    caller.wait_until_gone(&uuid).await;
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

/// Mitaka's own conductor lets only the trustor delete a bay that has a trust.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g33_a_bay_is_deleted_by_whoever_may() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let uuid = caller.create_bay(&model).await;
    let administrator =
        world.context(ADMIN_USER, ADMIN_PROJECT).with("is_admin", true).with("all_tenants", true);
    caller.call_as(administrator, "bay_delete", json!({ "uuid": uuid, "wait": true })).await.unwrap();
    caller.wait_until_gone(&uuid).await;
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_supersedes_an_update() {
    let world = still_world().await;
    let (worker, caller, model) = begin(&world).await;
    let uuid = accept(&caller, &model).await;
    world.sandbox.finish_stacks("");
    caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    caller.call("bay_update", update_args(&uuid, json!({ "node_count": 4 }))).await.unwrap();
    assert_eq!(caller.call("bay_delete", json!({ "uuid": uuid })).await.unwrap(), Value::Null);
    world.sandbox.finish_stacks("");
    caller.wait_until_gone(&uuid).await;
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_delete_joins_the_first() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let uuid = caller.create_bay(&model).await;
    let slow = Rule::new(Service::Heat, "DELETE", "/stacks/", Action::SlowAnswer(700)).once();
    world.sandbox.faults().add(slow);
    let delete = || caller.call("bay_delete", json!({ "uuid": uuid }));
    let waiting = caller.call("bay_delete", json!({ "uuid": uuid, "wait": true }));
    let (first, second, third) = tokio::join!(delete(), delete(), waiting);
    for answer in [first, second, third] {
        assert_eq!(answer.expect("every delete is answered"), Value::Null);
    }
    assert!(caller.bays().await.is_empty(), "the one who waited was told at the end");
    assert_eq!(world.database.texts("SELECT uuid FROM operation WHERE kind = 'bay_delete'").await.len(), 1);
    assert_eq!(world.sandbox.count(Service::Heat, "DELETE", "/stacks/*/*$"), 1);
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_delete_joins_a_first_that_waits_for_a_create_to_stop() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let slow = Rule::new(Service::Keystone, "POST", "/trusts$", Action::SlowAnswer(1000)).once();
    world.sandbox.faults().add(slow);
    caller.client.cast("bay_create", map(Caller::bay_args(&model, 2)), world.options()).await.unwrap();
    let asked = |sandbox: &Sandbox| sandbox.count(Service::Keystone, "POST", "/trusts$") >= 1;
    assert!(world.sandbox.wait_until(Duration::from_secs(30), asked).await);
    let uuid = uuid_of(&caller.bays().await[0]);
    let delete = || caller.call("bay_delete", json!({ "uuid": uuid }));
    let (first, second) = tokio::join!(delete(), delete());
    assert_eq!((first.expect("answered"), second.expect("answered")), (Value::Null, Value::Null));
    caller.wait_until_gone(&uuid).await;
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_cannot_be_built_are_refused_before_anything_is_made() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let with = |field: &str, value: Value| {
        let mut args = Caller::bay_args(&model, 2);
        args["bay"]["magnum_object.data"][field] = value;
        args
    };
    for (args, class) in [
        (with("master_count", json!(2)), "InvalidParameterValue"),
        (with("master_count", json!(0)), "InvalidParameterValue"),
        (with("node_count", json!(-1)), "InvalidParameterValue"),
        (with("node_count", json!(i64::MAX)), "InvalidParameterValue"),
        (with("name", json!("n".repeat(256))), "InvalidParameterValue"),
        (with("baymodel_id", json!(uuid::Uuid::new_v4().to_string())), "BayModelNotFound"),
    ] {
        assert_eq!(refused(&caller, "bay_create", args.clone()).await.0, class, "{args}");
    }
    assert!(caller.bays().await.is_empty());
    assert!(
        world
            .sandbox
            .requests()
            .iter()
            .all(|seen| !seen.path.contains("users") && !seen.path.contains("stacks"))
    );
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_in_use_stays() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let uuid = caller.create_bay(&model).await;
    let destroy = json!({
        "objinst": object("BayModel", "1.10", json!({ "uuid": model })), "objmethod": "destroy",
        "args": [], "kwargs": {},
    });
    assert_eq!(refused(&caller, "object_action", destroy.clone()).await.0, "BayModelReferenced");
    caller.call("bay_delete", json!({ "uuid": uuid })).await.unwrap();
    caller.wait_until_gone(&uuid).await;
    caller.call("object_action", destroy.clone()).await.expect("nobody needs it now");
    assert_eq!(refused(&caller, "object_action", destroy).await.0, "BayModelNotFound");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_several_have_names_none() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    caller.create_model().await;
    let (class, text) = refused(
        &caller,
        "object_class_action",
        read("BayModel", "get_by_name", json!(["mesos-model"]), json!({})),
    )
    .await;
    assert!(class == "Conflict" && text.contains("Multiple baymodels exist with same name"), "{text}");
    accept(&caller, &model).await;
    accept(&caller, &model).await;
    let by_name = read("Bay", "get_by_name", json!(["b1"]), json!({}));
    let (class, text) = refused(&caller, "object_class_action", by_name).await;
    assert!(class == "Conflict" && text.contains("Multiple bays exist with same name"), "{text}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_come_in_pages_after_a_marker() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    for name in ["c", "a", "b"] {
        let mut args = Caller::bay_args(&model, 1);
        args["bay"]["magnum_object.data"]["name"] = json!(name);
        uuid_of(&caller.call("bay_create", args).await.unwrap());
        let mut fields = model_fields();
        fields["name"] = json!(name);
        let create = json!({
            "objinst": object("BayModel", "1.10", fields), "objmethod": "create", "args": [], "kwargs": {},
        });
        caller.call("object_action", create).await.unwrap();
    }
    for class in ["Bay", "BayModel"] {
        let by_name = json!({ "sort_key": "name", "sort_dir": "asc" });
        let first = list(&caller, class, json!([2, null]), by_name.clone()).await;
        assert_eq!(names(&first), ["a", "b"], "{class}");
        let rest = list(&caller, class, json!([2, first[1]]), by_name).await;
        assert_eq!(names(&rest)[0], "c", "{class}");
        let by_id = json!({ "sort_key": "id", "sort_dir": "desc" });
        let backwards = list(&caller, class, json!([2, null]), by_id).await;
        assert_eq!(names(&backwards), ["b", "a"], "{class}");
        let all = list(&caller, class, json!([null, null]), json!({})).await;
        assert_eq!(
            names(&all),
            if class == "Bay" { vec!["c", "a", "b"] } else { vec!["mesos-model", "c", "a", "b"] }
        );
        let wrong = read(class, "list", json!([2, null]), json!({ "sort_key": "drop table" }));
        assert_eq!(refused(&caller, "object_class_action", wrong).await.0, "InvalidParameterValue");
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bays_are_filtered() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let uuid = caller.create_bay(&model).await;
    world.sandbox.fail_stack(Doom::new("", "no host"));
    let mut args = Caller::bay_args(&model, 4);
    args["bay"]["magnum_object.data"]["name"] = json!("b2");
    let failed = uuid_of(&caller.call("bay_create", args).await.unwrap());
    caller.wait_for_status(&failed, "CREATE_FAILED").await;
    let stack = data(&caller.bay(&uuid).await.unwrap())["stack_id"].clone();
    for (filters, wanted) in [
        (json!({ "status": ["CREATE_FAILED"] }), vec!["b2"]),
        (json!({ "status": ["CREATE_FAILED", "CREATE_COMPLETE"] }), vec!["b1", "b2"]),
        (json!({ "name": "b1" }), vec!["b1"]),
        (json!({ "baymodel_id": model }), vec!["b1", "b2"]),
        (json!({ "baymodel_id": uuid }), vec![]),
        (json!({ "node_count": 4 }), vec!["b2"]),
        (json!({ "master_count": 1, "name": "b2" }), vec!["b2"]),
        (json!({ "stack_id": stack }), vec!["b1"]),
        (json!({ "status": ["DELETE_IN_PROGRESS"] }), vec![]),
        (json!({ "status": ["NO_SUCH_STATUS"] }), vec![]),
    ] {
        let found = list(&caller, "Bay", json!([]), json!({ "filters": filters })).await;
        assert_eq!(names(&found), wanted, "{filters}");
    }
    worker.stop().await;
}
