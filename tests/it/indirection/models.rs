//! Bay models.

use serde_json::json;

use super::{changed, deed, no_updates, refusal, refused_with, unchanged};
use crate::support::peer::{Peer, outcome};
use crate::support::{Caller, World, data, model_fields, object};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_found_by_number_uuid_and_name() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.make("BayModel", model_fields()).await;
    let (id, uuid) = (&model["id"], &model["uuid"]);
    let expected = caller.read("BayModel", "get_by_uuid", json!([uuid])).await.unwrap();
    assert_eq!(data(&expected)["name"], "mesos-model");
    let as_text = json!(id.to_string());
    for (method, ident) in [
        ("get", id),
        ("get", &as_text),
        ("get", uuid),
        ("get_by_id", id),
        ("get_by_name", &json!("mesos-model")),
    ] {
        let found = caller.read("BayModel", method, json!([ident])).await;
        assert_eq!(found.unwrap(), expected, "{method}({ident})");
    }
    let by_keyword = json!({
        "objname": "BayModel", "objmethod": "get_by_id", "objver": "1.7", "args": [],
        "kwargs": { "baymodel_id": id },
    });
    let liberty = caller.call("object_class_action", by_keyword).await.unwrap();
    assert_eq!(liberty["magnum_object.version"], "1.7");
    assert!(
        data(&liberty).get("server_type").is_none() && data(&liberty).get("ssh_authorized_key").is_some()
    );
    refused_with(
        caller.read("BayModel", "get", json!(["mesos-model"])).await,
        "InvalidIdentity",
        "Expected an uuid or int but received mesos-model.",
    );
    for (method, ident) in [("get", "99"), ("get_by_id", "x"), ("get_by_uuid", "x"), ("get_by_name", "x")] {
        let text = format!("Baymodel {ident} could not be found.");
        refused_with(caller.read("BayModel", method, json!([ident])).await, "BayModelNotFound", &text);
    }
    let (class, text) = refusal(caller.read("BayModel", "get_by_id", json!([])).await);
    assert_eq!(class, "TypeError");
    assert!(text.contains("baymodel_id"), "{text}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_several_models_have_is_a_conflict() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    for _ in 0..2 {
        caller.make("BayModel", model_fields()).await;
    }
    refused_with(
        caller.read("BayModel", "get_by_name", json!(["mesos-model"])).await,
        "Conflict",
        "Multiple baymodels exist with same name. Please use the baymodel uuid instead.",
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_are_listed_in_order_and_page_by_page() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    for name in ["b", "a", "c"] {
        let mut fields = model_fields();
        fields["name"] = json!(name);
        caller.make("BayModel", fields).await;
    }
    let names = async |kwargs| caller.listed("BayModel", kwargs, "name").await;
    assert_eq!(names(json!({})).await, ["b", "a", "c"]);
    assert_eq!(names(json!({ "sort_key": "name" })).await, ["a", "b", "c"]);
    assert_eq!(names(json!({ "sort_key": "name", "sort_dir": "desc", "limit": 2 })).await, ["c", "b"]);
    let marker = caller.read("BayModel", "get_by_name", json!(["a"])).await.unwrap();
    assert_eq!(names(json!({ "sort_key": "name", "marker": marker })).await, ["b", "c"]);
    let unsortable = super::list("BayModel", json!({ "sort_key": "nothing" }));
    refused_with(
        caller.call("object_class_action", unsortable).await,
        "InvalidParameterValue",
        "The sort_key value \"nothing\" is an invalid field for sorting",
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_writes_what_changed_and_nothing_else() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let made = caller.make("BayModel", model_fields()).await;
    let uuid = made["uuid"].as_str().unwrap();
    let before = caller.read("BayModel", "get_by_uuid", json!([uuid])).await.unwrap();
    // The client's copy is old in what it did not change.
    let mut stale = changed("BayModel", uuid, json!({ "name": "renamed", "labels": { "k": "v" } }));
    stale["magnum_object.data"]["image_id"] = json!("an old image");
    assert_eq!(caller.act(stale.clone(), "save").await.unwrap(), no_updates());
    let after = caller.read("BayModel", "get_by_uuid", json!([uuid])).await.unwrap();
    let mut expected = data(&before).clone();
    expected["name"] = json!("renamed");
    expected["labels"] = json!({ "k": "v" });
    expected["updated_at"] = data(&after)["updated_at"].clone();
    assert_eq!(data(&after), &expected);
    assert!(data(&after)["updated_at"].is_string());
    // The client may now look again.
    let refreshed = caller.act(unchanged("BayModel", data(&stale).clone()), "refresh").await.unwrap();
    assert_eq!(refreshed, json!([{ "image_id": "ubuntu-mesos", "obj_what_changed": [] }, null]));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_model_is_and_whose_cannot_be_changed() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let made = caller.make("BayModel", model_fields()).await;
    let uuid = made["uuid"].as_str().unwrap();
    let mut other = changed("BayModel", uuid, json!({ "name": "renamed" }));
    other["magnum_object.changes"] = json!(["name", "uuid"]);
    refused_with(
        caller.act(other, "save").await,
        "InvalidParameterValue",
        "Cannot overwrite UUID for an existing BayModel.",
    );
    refused_with(
        caller.act(changed("BayModel", uuid, json!({ "name": "x", "project_id": "mine" })), "save").await,
        "InvalidParameterValue",
        "cannot change baymodel property(ies) project_id.",
    );
    let after = caller.read("BayModel", "get_by_uuid", json!([uuid])).await.unwrap();
    assert_eq!((&data(&after)["name"], &data(&after)["updated_at"]), (&json!("mesos-model"), &json!(null)));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_in_use_can_be_published_and_nothing_else() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let uuid = caller.create_model().await;
    caller.make("Bay", json!({ "name": "b1", "baymodel_id": uuid })).await;
    let refused = format!("Baymodel {uuid} is referenced by one or multiple bays.");
    let tries = [
        json!({ "name": "x" }),
        json!({ "public": false }),
        json!({ "public": true, "name": "x" }),
        json!({}),
    ];
    for fields in tries {
        let answer = caller.act(changed("BayModel", &uuid, fields), "save").await;
        refused_with(answer, "BayModelReferenced", &refused);
    }
    let publish = changed("BayModel", &uuid, json!({ "public": true }));
    assert_eq!(caller.act(publish, "save").await.unwrap(), no_updates());
    let model = caller.read("BayModel", "get_by_uuid", json!([uuid])).await.unwrap();
    assert_eq!((&data(&model)["public"], &data(&model)["name"]), (&json!(true), &json!("mesos-model")));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_save_is_answered_and_not_done_again() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let uuid = caller.create_model().await;
    let peer = Peer::open(&world).await;
    let rename = |name: &str| deed(changed("BayModel", &uuid, json!({ "name": name })), "save");
    let first = peer.request(&world, "object_action", rename("first"));
    peer.send(&first).await;
    assert_eq!(outcome(&peer.replies(1).await[0]), Ok(no_updates()));
    caller.call("object_action", rename("second")).await.unwrap();
    peer.send(&first).await;
    let replies = peer.replies(2).await;
    assert_eq!(replies[0], replies[1]);
    let model = caller.read("BayModel", "get_by_uuid", json!([uuid])).await.unwrap();
    assert_eq!(data(&model)["name"], "second", "the repeat undid what came after it");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_is_told_at_the_version_of_an_older_release() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let backport = async |object: &serde_json::Value, version: &str| {
        let args = json!({ "objinst": object, "target_version": version });
        caller.call("object_backport", args).await
    };
    let model = caller.create_model().await;
    caller.make("Bay", json!({ "name": "b1", "baymodel_id": model })).await;
    let bay = caller.read("Bay", "get_by_name", json!(["b1"])).await.unwrap();
    assert_eq!(backport(&bay, "1.5").await.unwrap(), bay);
    let liberty = backport(&bay, "1.0").await.unwrap();
    let asked = json!({ "objname": "Bay", "objmethod": "get_by_name", "objver": "1.0", "args": ["b1"], "kwargs": {} });
    assert_eq!(liberty, caller.call("object_class_action", asked).await.unwrap());
    assert!(data(&liberty).get("baymodel").is_none() && data(&liberty).get("trust_id").is_none());
    let model = data(&bay)["baymodel"].clone();
    let older = backport(&model, "1.7").await.unwrap();
    assert_eq!(older["magnum_object.version"], "1.7");
    assert!(data(&older).get("server_type").is_none());
    let changed =
        backport(&object("BayModel", "1.10", json!({ "name": "x", "server_type": "vm" })), "1.7").await;
    assert_eq!(changed.unwrap(), object("BayModel", "1.7", json!({ "name": "x" })));
    let (class, text) = refusal(backport(&bay, "1.6").await);
    assert_eq!(class, "IncompatibleObjectVersion", "{text}");
    worker.stop().await;
}
