//! Key pairs: the objects and the two commands.

use mesos_conductor_sandbox::known::DEMO_PROJECT;
use serde_json::{Value, json};

use super::{changed, no_updates, refused_with, unchanged};
use crate::support::database::Backend;
use crate::support::peer::{Peer, outcome};
use crate::support::{Caller, World, data, object};

const SECRET: &str = "-----BEGIN PRIVATE KEY----- deadbeef";

fn fields(name: &str, bay: &str) -> Value {
    json!({ "name": name, "bay_uuid": bay, "ca_cert": "the authority", "certificate": "the certificate",
            "private_key": SECRET, "project_id": "theirs", "user_id": "theirs" })
}

/// The whole life of a key pair, on a database of each kind.
async fn live(backend: Backend) {
    let world = World::on(backend).await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let made = caller.make("X509KeyPair", fields("first", "bay-1")).await;
    assert_eq!(made["project_id"], DEMO_PROJECT.id);
    assert!(made.get("private_key").is_none(), "the sender keeps its key");
    caller.make("X509KeyPair", fields("second", "bay-2")).await;
    let (id, uuid) = (&made["id"], made["uuid"].as_str().unwrap());
    let expected = caller.read("X509KeyPair", "get_by_uuid", json!([uuid])).await.unwrap();
    assert_eq!(data(&expected)["private_key"], Value::Null);
    assert_eq!(data(&expected)["ca_cert"], "the authority");
    for (method, ident) in [
        ("get", id),
        ("get", &json!(uuid)),
        ("get_by_id", id),
        ("get_by_name", &json!("first")),
        ("get_by_bay_uuid", &json!("bay-1")),
    ] {
        let found = caller.read("X509KeyPair", method, json!([ident])).await;
        assert_eq!(found.unwrap(), expected, "{method}({ident})");
    }
    let names = async |kwargs| caller.listed("X509KeyPair", kwargs, "name").await;
    assert_eq!(names(json!({})).await, ["first", "second"]);
    assert_eq!(names(json!({ "filters": { "bay_uuid": "bay-2" } })).await, ["second"]);
    assert_eq!(names(json!({ "marker": expected, "sort_key": "name" })).await, ["second"]);

    let renamed = changed("X509KeyPair", uuid, json!({ "name": "renamed", "private_key": "another" }));
    assert_eq!(caller.act(renamed, "save").await.unwrap(), no_updates());
    let after = caller.read("X509KeyPair", "get_by_uuid", json!([uuid])).await.unwrap();
    assert_eq!((&data(&after)["name"], &data(&after)["bay_uuid"]), (&json!("renamed"), &json!("bay-1")));
    let refreshed = caller.act(unchanged("X509KeyPair", data(&expected).clone()), "refresh").await.unwrap();
    assert_eq!(refreshed[0]["name"], "renamed");
    for (fields, text) in [
        (json!({ "user_id": "mine" }), "cannot change x509keypair property(ies) user_id."),
        (json!({ "uuid": uuid }), "Cannot overwrite UUID for an existing X509KeyPair."),
    ] {
        let answer = caller.act(changed("X509KeyPair", uuid, fields), "save").await;
        refused_with(answer, "InvalidParameterValue", text);
    }
    let stored = world.database.texts("SELECT private_key FROM x509keypair").await;
    assert!(stored.len() == 2 && stored.iter().all(|key| key.starts_with("enc:v1:")));

    let destroyed = caller.act(unchanged("X509KeyPair", json!({ "uuid": uuid })), "destroy").await;
    assert_eq!(destroyed.unwrap(), no_updates());
    let gone = format!("A key pair {uuid} could not be found.");
    refused_with(
        caller.read("X509KeyPair", "get_by_uuid", json!([uuid])).await,
        "X509KeyPairNotFound",
        &gone,
    );
    assert!(!worker.log_text().contains("deadbeef"));
    worker.stop().await;
    world.database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_pair_lives_on_sqlite() {
    live(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_pair_lives_on_postgresql() {
    live(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_pair_lives_on_mysql() {
    live(Backend::MySql).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_several_key_pairs_share_is_a_conflict() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    for _ in 0..2 {
        caller.make("X509KeyPair", fields("same", "bay")).await;
    }
    for (method, ident, how) in
        [("get_by_name", "same", "with same name"), ("get_by_bay_uuid", "bay", "for the same bay")]
    {
        let text = format!("Multiple x509keypairs exist {how}. Please use the x509keypair uuid instead.");
        refused_with(caller.read("X509KeyPair", method, json!([ident])).await, "Conflict", &text);
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_pair_is_created_and_deleted_by_command_once() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let peer = Peer::open(&world).await;
    let create = json!({ "x509keypair": object("X509KeyPair", "1.1", fields("pair", "bay")) });
    let request = peer.request(&world, "x509keypair_create", create);
    peer.send(&request).await;
    peer.send(&request).await;
    let replies = peer.replies(2).await;
    assert_eq!(replies[0], replies[1]);
    let pair = outcome(&replies[0]).expect("the key pair is created");
    let uuid = data(&pair)["uuid"].as_str().unwrap().to_owned();
    assert_eq!(
        (&data(&pair)["project_id"], &data(&pair)["private_key"]),
        (&json!(DEMO_PROJECT.id), &Value::Null)
    );
    assert_eq!(caller.listed("X509KeyPair", json!({}), "uuid").await, [uuid.as_str()]);
    assert!(!String::from_utf8_lossy(&replies[0]).contains("deadbeef"));
    let mut twin = fields("twin", "bay");
    twin["uuid"] = json!(uuid);
    refused_with(
        caller.call("x509keypair_create", json!({ "x509keypair": twin })).await,
        "X509KeyPairAlreadyExists",
        &format!("A key pair with UUID {uuid} already exists."),
    );
    assert_eq!(caller.call("x509keypair_delete", json!({ "uuid": uuid })).await.unwrap(), Value::Null);
    for gone in [uuid.as_str(), "no uuid"] {
        refused_with(
            caller.call("x509keypair_delete", json!({ "uuid": gone })).await,
            "X509KeyPairNotFound",
            &format!("A key pair {gone} could not be found."),
        );
    }
    worker.stop().await;
}
