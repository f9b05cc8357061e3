//! Apps as objects and as data: both forms of the object, both encodings, the indirection API, lists.

use std::time::Duration;

use mesos_conductor::client::CallOptions;
use mesos_conductor_proto::codec::Encoding;
use mesos_conductor_proto::message::{Reply, ReplyContent};
use mesos_conductor_sandbox::known::{OTHER_PROJECT, OTHER_USER};
use mesos_conductor_sandbox::{Action, Rule, Sandbox, Service};
use serde_json::{Value, json};

use crate::support::app::{Town, manifest, message};
use crate::support::peer::Peer;
use crate::support::{Caller, World, data, failure_class, map, object};

fn ask(method: &str, args: Value, kwargs: Value) -> Value {
    json!({ "objname": "App", "objmethod": method, "objver": "1.0", "args": args, "kwargs": kwargs })
}

fn deed(method: &str, fields: Value) -> Value {
    json!({ "objinst": object("App", "1.0", fields), "objmethod": method, "args": [], "kwargs": {} })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_a_dict_and_json_itself_make_the_same_app() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let fields = |name: &str| json!({ "name": name, "bay_uuid": town.bay, "manifest": manifest(&format!("/{name}")).to_string() });
    let mut bare = fields("c");
    bare["manifest"] = manifest("/c");
    for (name, app) in [("a", object("App", "1.0", fields("a"))), ("b", fields("b")), ("c", bare)] {
        let app = caller.call("app_create", json!({ "app": app, "wait": true })).await.unwrap();
        assert_eq!(app["magnum_object.name"], "App");
        assert_eq!(
            (&app["magnum_object.version"], &app["magnum_object.namespace"]),
            (&json!("1.0"), &json!("magnum"))
        );
        assert_eq!(data(&app)["manifest"], manifest(&format!("/{name}")).to_string());
        assert_eq!(data(&app)["project_id"], world.demo().to_map()["project_id"]);
    }
    // One that is given no name has its framework's.
    let unnamed = json!({ "app": { "bay_uuid": town.bay, "manifest": manifest("/shop/d") }, "wait": true });
    assert_eq!(data(&caller.call("app_create", unnamed).await.unwrap())["name"], "shop/d");
    // What only the conductor may say is not taken from a client.
    let mut claimed = fields("e");
    for (field, value) in
        [("status", json!("DELETE_FAILED")), ("project_id", json!("x")), ("framework_id", json!("/z"))]
    {
        claimed[field] = value;
    }
    let app = caller.call("app_create", json!({ "app": claimed, "wait": true })).await.unwrap();
    assert_eq!(
        (&data(&app)["status"], &data(&app)["framework_id"]),
        (&json!("CREATE_COMPLETE"), &json!("/e"))
    );
    assert_eq!(data(&app)["project_id"], world.demo().to_map()["project_id"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_in_messagepack_is_answered_in_it() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    let peer = Peer::open(&world).await;
    let mut request = peer.request(&world, "app_show", town.args("web", json!({})));
    request.encoding = Encoding::MessagePack;
    let packed = "application/x-msgpack";
    peer.send_bytes(packed, &request.encode()).await;
    let reply = peer.replies(1).await.remove(0);
    let ReplyContent::Result { value, .. } = Reply::decode(Some(packed), &reply).unwrap().content else {
        panic!("no result")
    };
    assert_eq!(value, town.show("web").await.unwrap());

    let options = CallOptions { encoding: Encoding::MessagePack, ..world.options() };
    let scaled = town.args("web", json!({ "instances": 2, "wait": true }));
    let scaled = caller.client.call("app_scale", map(scaled), options).await.unwrap();
    assert_eq!(data(&scaled)["tasks_running"], 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_indirection_api_reads_apps_and_renames_them() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let app = town.run("web", &manifest("/web")).await;
    town.run("db", &manifest("/db")).await;
    let (uuid, id) = (data(&app)["uuid"].clone(), data(&app)["id"].clone());
    for (method, ident) in [
        ("get", &uuid),
        ("get", &id),
        ("get_by_uuid", &uuid),
        ("get_by_id", &id),
        ("get_by_name", &json!("web")),
    ] {
        let read = ask(method, json!([ident]), json!({}));
        let found = caller.call("object_class_action", read.clone()).await.unwrap();
        assert_eq!(data(&found)["uuid"], uuid, "{method}");
        let stranger = world.context(OTHER_USER, OTHER_PROJECT);
        let error = caller.call_as(stranger, "object_class_action", read).await.unwrap_err();
        assert_eq!(failure_class(&error), "AppNotFound", "{method}");
    }
    let listed = async |kwargs: Value| {
        let found = caller.call("object_class_action", ask("list", json!([]), kwargs)).await.unwrap();
        found.as_array().unwrap().iter().map(|app| data(app)["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(listed(json!({ "sort_key": "name", "sort_dir": "asc" })).await, ["db", "web"]);
    assert_eq!(listed(json!({ "filters": { "framework_id": "/web" } })).await, ["web"]);
    assert_eq!(listed(json!({ "filters": { "bay_uuid": "none" } })).await, [""; 0]);

    // Only its name is the client's.
    caller.call("object_action", deed("save", json!({ "uuid": uuid, "name": "shop" }))).await.unwrap_err();
    let mut renamed = deed("save", json!({ "uuid": uuid, "name": "shop" }));
    renamed["objinst"]["magnum_object.changes"] = json!(["name"]);
    caller.call("object_action", renamed.clone()).await.unwrap();
    assert_eq!(data(&town.show("shop").await.unwrap())["uuid"], uuid);
    for (name, class) in [("db", "AppAlreadyExists"), (uuid.as_str().unwrap(), "InvalidParameterValue")] {
        let mut taken = renamed.clone();
        taken["objinst"]["magnum_object.data"]["name"] = json!(name);
        let error = caller.call("object_action", taken).await.unwrap_err();
        assert_eq!(failure_class(&error), class, "{name}");
    }
    for field in ["manifest", "status", "instances", "project_id"] {
        let mut save = deed("save", json!({ "uuid": uuid, field: null }));
        save["objinst"]["magnum_object.changes"] = json!([field]);
        let error = caller.call("object_action", save).await.unwrap_err();
        assert!(message(&error).contains(field), "{error}");
    }
    let refreshed =
        caller.call("object_action", deed("refresh", json!({ "uuid": uuid, "name": "web" }))).await.unwrap();
    assert_eq!(refreshed[0]["name"], "shop", "{refreshed}");
    for method in ["create", "destroy"] {
        let error = caller.call("object_action", deed(method, json!({ "uuid": uuid }))).await.unwrap_err();
        assert_eq!(failure_class(&error), "NotSupported", "{method}: {error}");
    }
    assert_eq!(town.marathon().apps().len(), 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apps_are_listed_page_by_page() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    for name in ["a", "b", "c"] {
        town.run(name, &manifest(&format!("/{name}"))).await;
    }
    let names = async |more: Value| {
        let mut args = json!({ "bay_ident": town.bay });
        args.as_object_mut().unwrap().extend(map(more));
        let found = caller.call("app_list", args).await?;
        let names =
            found.as_array().unwrap().iter().map(|app| data(app)["name"].as_str().unwrap().to_owned());
        Ok::<_, mesos_conductor::client::CallError>(names.collect::<Vec<_>>())
    };
    assert_eq!(names(json!({ "sort_key": "name", "sort_dir": "desc" })).await.unwrap(), ["c", "b", "a"]);
    assert_eq!(names(json!({ "limit": 2, "sort_key": "name" })).await.unwrap(), ["a", "b"]);
    assert_eq!(names(json!({ "limit": 2, "sort_key": "name", "marker": "b" })).await.unwrap(), ["c"]);
    let marker = town.show("a").await.unwrap();
    assert_eq!(names(json!({ "marker": marker, "sort_key": "name" })).await.unwrap(), ["b", "c"]);
    assert_eq!(names(json!({ "filters": { "name": "b" } })).await.unwrap(), ["b"]);
    assert_eq!(names(json!({ "filters": { "status": "CREATE_COMPLETE" } })).await.unwrap().len(), 3);
    assert_eq!(names(json!({ "filters": { "status": "DELETE_FAILED" } })).await.unwrap(), [""; 0]);
    let error = names(json!({ "sort_key": "manifest" })).await.unwrap_err();
    assert_eq!(failure_class(&error), "InvalidParameterValue", "{error}");
    let error = names(json!({ "marker": "none" })).await.unwrap_err();
    assert_eq!(failure_class(&error), "AppNotFound");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_name_outlives_the_operation_that_was_under_way() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let app = town.run("web", &manifest("/web")).await;
    let uuid = data(&app)["uuid"].clone();
    let slow = Rule::new(Service::Marathon, "PATCH", "/v2/apps", Action::SlowAnswer(1500)).once();
    world.sandbox.faults().add(slow);
    let rename = async {
        let asked = |sandbox: &Sandbox| sandbox.count(Service::Marathon, "PATCH", "/v2/apps") >= 1;
        assert!(world.sandbox.wait_until(Duration::from_secs(30), asked).await, "the framework is asked");
        let mut renamed = deed("save", json!({ "uuid": uuid, "name": "shop" }));
        renamed["objinst"]["magnum_object.changes"] = json!(["name"]);
        caller.call("object_action", renamed).await.expect("it is renamed");
    };
    let (scaled, ()) = tokio::join!(town.done("app_scale", "web", json!({ "instances": 2 })), rename);
    scaled.expect("it is scaled");
    assert_eq!(data(&town.show("shop").await.expect("it has its new name"))["uuid"], uuid);
    worker.stop().await;
}
