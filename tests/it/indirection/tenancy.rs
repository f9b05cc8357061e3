//! Every remotable method of every object, called by a stranger.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{ask, changed, deed, list, stranger};
use crate::support::app::{Town, manifest};
use crate::support::{Caller, World, data, failure_class, model_fields, object};

/// What a stranger is told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    NotFound,
    Nothing,
    /// These belong to no tenant.
    Anything,
    /// It makes one of the stranger's own.
    Own,
}

fn expected(object: &str, method: &str) -> Told {
    match (object, method) {
        ("MagnumService" | "BayLock", _) => Told::Anything,
        (_, "list") => Told::Nothing,
        (_, "create") => Told::Own,
        _ => Told::NotFound,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_neither_sees_nor_changes_anything_by_any_method() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.make("BayModel", model_fields()).await;
    let bay = caller.make("Bay", json!({ "name": "mine", "baymodel_id": model["uuid"] })).await;
    let pair = caller.make("X509KeyPair", json!({ "name": "mine", "bay_uuid": bay["uuid"] })).await;
    let town = Town::of(&caller, &caller.create_bay(model["uuid"].as_str().unwrap()).await);
    let app = data(&town.run("web", &manifest("/web")).await).clone();
    let everything = async || {
        let mut all = Vec::new();
        for name in ["App", "Bay", "BayModel", "X509KeyPair"] {
            all.push(caller.call("object_class_action", list(name, json!({}))).await.unwrap());
        }
        all
    };
    let before = everything().await;
    let mut tried = BTreeSet::new();
    for remotable in mesos_conductor::rpc::remotable_methods() {
        let (name, method) = (remotable.object, remotable.method);
        let (row, title, class) = match name {
            "App" => (&app, "web", "AppNotFound"),
            "Bay" => (&bay, "mine", "BayNotFound"),
            "BayModel" => (&model, "mesos-model", "BayModelNotFound"),
            "X509KeyPair" => (&pair, "mine", "X509KeyPairNotFound"),
            _ => (&Value::Null, "", ""),
        };
        let told = expected(name, method);
        if told == Told::Anything {
            continue;
        }
        tried.insert(name);
        let uuid = row["uuid"].as_str().unwrap();
        let (rpc, args) = if remotable.of_class {
            let ident = match method {
                "get_by_id" => row["id"].clone(),
                "get_by_name" => json!(title),
                "get_by_bay_uuid" => bay["uuid"].clone(),
                "list" => Value::Null,
                _ => json!(uuid),
            };
            let arguments = if ident.is_null() { json!([]) } else { json!([ident]) };
            // The owner gets something by the same words.
            let own = caller.read(name, method, arguments.clone()).await.unwrap();
            assert!(own.is_object() || !own.as_array().unwrap().is_empty(), "{name}.{method}: {own}");
            ("object_class_action", ask(name, method, arguments))
        } else {
            ("object_action", deed(changed(name, uuid, json!({ "name": "taken" })), method))
        };
        if told == Told::Own {
            continue;
        }
        match (caller.call_as(stranger(&world), rpc, args).await, told) {
            (Ok(answer), Told::Nothing) => assert_eq!(answer, json!([]), "{name}.{method}"),
            (Err(error), Told::NotFound) => assert_eq!(failure_class(&error), class, "{name}.{method}"),
            (answer, told) => panic!("{name}.{method}: {answer:?}, not {told:?}"),
        }
    }
    assert_eq!(tried, BTreeSet::from(["App", "Bay", "BayModel", "X509KeyPair"]));
    let delete =
        caller.call_as(stranger(&world), "x509keypair_delete", json!({ "uuid": pair["uuid"] })).await;
    assert_eq!(failure_class(&delete.unwrap_err()), "X509KeyPairNotFound");
    assert_eq!(everything().await, before);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stranger_creates_is_the_strangers_and_of_visible_models_only() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    // A bay would keep the model from being deleted.
    let bay = object("Bay", "1.5", json!({ "name": "b", "baymodel_id": model }));
    let refused = caller.call_as(stranger(&world), "object_action", deed(bay, "create")).await;
    assert_eq!(failure_class(&refused.unwrap_err()), "BayModelNotFound");
    let pair = object("X509KeyPair", "1.1", json!({ "name": "p", "project_id": "mine" }));
    let made = caller.call_as(stranger(&world), "object_action", deed(pair, "create")).await.unwrap();
    assert_eq!(made[0]["project_id"], mesos_conductor_sandbox::known::OTHER_PROJECT.id);
    assert!(caller.listed("X509KeyPair", json!({}), "uuid").await.is_empty());
    // A foreign marker is unknown.
    let own = caller.make("X509KeyPair", json!({ "name": "own" })).await;
    let marker = caller.read("X509KeyPair", "get", json!([own["uuid"]])).await.unwrap();
    let marked = caller.call_as(
        stranger(&world),
        "object_class_action",
        list("X509KeyPair", json!({ "marker": marker })),
    );
    assert_eq!(failure_class(&marked.await.unwrap_err()), "InvalidParameterValue");
    assert_eq!(data(&marker)["name"], "own");
    worker.stop().await;
}
