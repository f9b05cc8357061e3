//! No tenant sees another's: a foreign bay or model is "not found", whatever is asked of it.

use mesos_conductor_proto::context::RequestContext;
use mesos_conductor_sandbox::known::{ADMIN_PROJECT, ADMIN_USER, DEMO_PROJECT, OTHER_PROJECT, OTHER_USER};
use serde_json::{Value, json};

use crate::support::{Caller, World, data, failure_class, model_fields, object};

fn other(world: &World) -> RequestContext {
    world.context(OTHER_USER, OTHER_PROJECT)
}

fn admin(world: &World) -> RequestContext {
    world.context(ADMIN_USER, ADMIN_PROJECT).with("is_admin", true)
}

fn read(object: &str, method: &str, args: Value) -> Value {
    let version = if object == "Bay" { "1.5" } else { "1.10" };
    json!({ "objname": object, "objmethod": method, "objver": version, "args": args, "kwargs": {} })
}

fn act(method: &str, fields: Value) -> Value {
    json!({ "objinst": object("BayModel", "1.10", fields), "objmethod": method, "args": [], "kwargs": {} })
}

/// The uuids that a list shows.
async fn listed(caller: &Caller<'_>, context: RequestContext, object: &str) -> Vec<String> {
    let found = caller.call_as(context, "object_class_action", read(object, "list", json!([]))).await;
    let found = found.expect("it is listed");
    found
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| data(one)["uuid"].as_str().unwrap().to_owned())
        .collect()
}

async fn refusal(caller: &Caller<'_>, context: RequestContext, method: &str, args: Value) -> String {
    let refused = caller.call_as(context, method, args).await;
    failure_class(&refused.expect_err("it is refused")).to_owned()
}

fn public_model() -> Value {
    let mut fields = model_fields();
    fields["public"] = json!(true);
    fields
}

async fn create_model(caller: &Caller<'_>, context: RequestContext, fields: Value) -> Value {
    let created = caller.call_as(context, "object_action", act("create", fields)).await;
    created.expect("the model is created")[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_bay_is_not_found_and_not_changed() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let uuid = caller.create_bay(&model).await;
    let before = caller.bay(&uuid).await.unwrap();
    let writes = world.sandbox.requests().iter().filter(|seen| seen.method != "GET").count();
    let update = json!({ "bay": object("Bay", "1.5", json!({ "uuid": uuid, "node_count": 9 })) });
    let own = object("Bay", "1.5", json!({ "uuid": uuid }));
    for (method, args) in [
        ("object_class_action", read("Bay", "get_by_uuid", json!([uuid]))),
        ("object_class_action", read("Bay", "get_by_name", json!(["b1"]))),
        ("bay_update", update),
        ("bay_delete", json!({ "uuid": uuid })),
        ("get_ca_certificate", json!({ "bay": own })),
        ("sign_certificate", json!({ "bay": own, "certificate": { "csr": "x" } })),
        ("rotate_ca_certificate", json!({ "bay": own })),
    ] {
        assert_eq!(refusal(&caller, other(&world), method, args).await, "BayNotFound", "{method}");
    }
    assert!(listed(&caller, other(&world), "Bay").await.is_empty());
    assert_eq!(caller.bay(&uuid).await.unwrap(), before);
    let after = world.sandbox.requests().iter().filter(|seen| seen.method != "GET").count();
    assert_eq!(after, writes, "the cloud was asked to change something");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_model_is_not_found_and_not_used() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    for (method, args) in [
        ("object_class_action", read("BayModel", "get_by_uuid", json!([model]))),
        ("object_class_action", read("BayModel", "get_by_name", json!(["mesos-model"]))),
        ("object_action", act("destroy", json!({ "uuid": model }))),
        ("bay_create", Caller::bay_args(&model, 1)),
    ] {
        assert_eq!(refusal(&caller, other(&world), method, args).await, "BayModelNotFound", "{method}");
    }
    assert!(listed(&caller, other(&world), "BayModel").await.is_empty());
    assert_eq!(listed(&caller, world.demo(), "BayModel").await, [model]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_model_is_seen_and_used_and_not_destroyed_by_others() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = create_model(&caller, world.demo(), public_model()).await;
    let uuid = model["uuid"].as_str().unwrap().to_owned();
    assert_eq!(listed(&caller, other(&world), "BayModel").await, std::slice::from_ref(&uuid));
    let seen =
        caller.call_as(other(&world), "object_class_action", read("BayModel", "get_by_uuid", json!([uuid])));
    assert_eq!(data(&seen.await.unwrap())["project_id"], DEMO_PROJECT.id);
    let destroy = act("destroy", json!({ "uuid": uuid }));
    assert_eq!(refusal(&caller, other(&world), "object_action", destroy.clone()).await, "BayModelNotFound");
    let bay = caller.call_as(other(&world), "bay_create", Caller::bay_args(&uuid, 1)).await.unwrap();
    assert_eq!(data(&bay)["project_id"], OTHER_PROJECT.id);
    // The owner does not see the bay, and cannot take the model from under it.
    assert!(caller.bays().await.is_empty());
    assert_eq!(refusal(&caller, world.demo(), "object_action", destroy).await, "BayModelReferenced");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_administrator_who_asks_for_all_tenants_sees_all() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let bay = caller.create_bay(&model).await;
    assert!(listed(&caller, admin(&world), "Bay").await.is_empty());
    let asking = other(&world).with("all_tenants", true);
    assert!(listed(&caller, asking.clone(), "Bay").await.is_empty());
    assert!(listed(&caller, asking, "BayModel").await.is_empty());
    let all = admin(&world).with("all_tenants", true);
    assert_eq!(listed(&caller, all.clone(), "Bay").await, std::slice::from_ref(&bay));
    assert_eq!(listed(&caller, all.clone(), "BayModel").await, [model]);
    let seen =
        caller.call_as(all, "object_class_action", read("Bay", "get_by_uuid", json!([bay]))).await.unwrap();
    assert_eq!(data(&seen)["project_id"], DEMO_PROJECT.id);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_is_the_callers_whatever_the_object_says() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let mut fields = model_fields();
    fields["project_id"] = json!(DEMO_PROJECT.id);
    fields["user_id"] = json!("somebody");
    let model = create_model(&caller, other(&world), fields).await;
    let uuid = model["uuid"].as_str().unwrap().to_owned();
    assert_eq!(listed(&caller, other(&world), "BayModel").await, std::slice::from_ref(&uuid));
    assert!(listed(&caller, world.demo(), "BayModel").await.is_empty());
    let mut args = Caller::bay_args(&uuid, 1);
    args["bay"]["magnum_object.data"]["project_id"] = json!(DEMO_PROJECT.id);
    let bay = caller.call_as(other(&world), "bay_create", args).await.unwrap();
    assert_eq!(
        (&data(&bay)["project_id"], &data(&bay)["user_id"]),
        (&json!(OTHER_PROJECT.id), &json!(OTHER_USER.id))
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_cannot_look_into_another_project() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let uuid = caller.create_bay(&model).await;
    for filters in
        [json!({ "project_id": DEMO_PROJECT.id }), json!({ "name": "b1" }), json!({ "baymodel_id": model })]
    {
        let mut args = read("Bay", "list", json!([]));
        args["kwargs"] = json!({ "filters": filters });
        let found = caller.call_as(other(&world), "object_class_action", args.clone()).await.unwrap();
        assert_eq!(found, json!([]), "{filters}");
        let own = caller.call("object_class_action", args).await.unwrap();
        assert_eq!(own.as_array().map(Vec::len), Some(1), "{filters}");
    }
    // Nor is a foreign bay a marker.
    let bay = caller.bay(&uuid).await.unwrap();
    let marked = read("Bay", "list", json!([10, bay]));
    let answer = caller.call_as(other(&world), "object_class_action", marked).await;
    assert!(answer.as_ref().map_or(true, |found| found == &json!([])), "{answer:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_in_particular_sees_nothing() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    caller.create_bay(&model).await;
    assert!(listed(&caller, RequestContext::default(), "Bay").await.is_empty());
    assert!(listed(&caller, RequestContext::default(), "BayModel").await.is_empty());
    let empty = RequestContext::default().with("project_id", "").with("user_id", "");
    assert!(listed(&caller, empty, "Bay").await.is_empty());
    worker.stop().await;
}
