//! Bay locks, and the methods of the era that no Mesos bay has.

use serde_json::{Value, json};

use super::{ask, refusal, refused_with};
use crate::support::peer::{Peer, outcome};
use crate::support::{Caller, World, object};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_on_a_bay_is_taken_stolen_and_released() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let bay = "6182a4b0-32ec-4df8-8138-eacf02f38708";
    let lock = async |method: &str, args: Value| caller.read("BayLock", method, args).await.unwrap();
    assert_eq!(lock("steal", json!([bay, "one", "two"])).await, json!(true));
    assert_eq!(lock("create", json!([bay, "one"])).await, Value::Null);
    assert_eq!(lock("create", json!([bay, "two"])).await, "one");
    assert_eq!(lock("steal", json!([bay, "three", "two"])).await, "one");
    assert_eq!(lock("steal", json!([bay, "one", "two"])).await, Value::Null);
    assert_eq!(lock("release", json!([bay, "one"])).await, json!(true));
    assert_eq!(lock("release", json!([bay, "two"])).await, Value::Null);
    assert_eq!(lock("release", json!([bay, "two"])).await, json!(true));
    let (class, _) = refusal(caller.read("BayLock", "create", json!([bay])).await);
    assert_eq!(class, "TypeError");
    let (class, _) = refusal(caller.read("BayLock", "create", json!([bay, 7])).await);
    assert_eq!(class, "InvalidParameterValue");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_lock_is_not_taken_again() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let peer = Peer::open(&world).await;
    let request =
        peer.request(&world, "object_class_action", ask("BayLock", "create", json!(["bay", "one"])));
    peer.send(&request).await;
    assert_eq!(outcome(&peer.replies(1).await[0]), Ok(Value::Null));
    caller.read("BayLock", "release", json!(["bay", "one"])).await.unwrap();
    peer.send(&request).await;
    let replies = peer.replies(2).await;
    assert_eq!(replies[0], replies[1]);
    assert_eq!(caller.read("BayLock", "create", json!(["bay", "two"])).await.unwrap(), Value::Null);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_of_other_bay_types_say_what_to_use_instead() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    for name in mesos_conductor::rpc::unsupported_names() {
        // Releases differ in the arguments.
        for args in [json!({ "container_uuid": "x" }), json!({ "pod_ident": "x", "bay_ident": "y" })] {
            let (class, text) = refusal(caller.call(name, args).await);
            assert_eq!(class, "NotSupported", "{name}");
            assert!(text.starts_with(name) && text.contains("Marathon"), "{text}");
            assert!(text.ends_with(&format!("{name} is not supported.")), "{text}");
        }
    }
    let (class, _) = refusal(caller.call("container_dance", json!({})).await);
    assert_eq!(class, "NoSuchMethod");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_object_can_do_is_refused() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let not_supported = |what: &str| format!("{what} is not supported.");
    refused_with(caller.read("Bay", "dance", json!([])).await, "NotSupported", &not_supported("Bay.dance"));
    // A method of instances is none of the class, and the reverse.
    refused_with(caller.read("Bay", "save", json!([])).await, "NotSupported", &not_supported("Bay.save"));
    let model = object("BayModel", "1.10", json!({ "name": "x" }));
    refused_with(caller.act(model, "list").await, "NotSupported", &not_supported("BayModel.list"));
    let lock = object("BayLock", "1.0", json!({ "bay_uuid": "x" }));
    refused_with(caller.act(lock, "create").await, "NotSupported", &not_supported("BayLock.create"));
    let certificate = object("Certificate", "1.0", json!({ "csr": "x" }));
    refused_with(caller.act(certificate, "save").await, "NotSupported", &not_supported("Certificate.save"));
    for (name, version, class) in [
        ("Certificate", "1.0", "UnsupportedObjectError"),
        ("Bay", "1.6", "IncompatibleObjectVersion"),
        ("X509KeyPair", "1.2", "IncompatibleObjectVersion"),
        ("MagnumService", "2.0", "IncompatibleObjectVersion"),
        ("Cluster", "1.9", "IncompatibleObjectVersion"),
    ] {
        let asked =
            json!({ "objname": name, "objmethod": "list", "objver": version, "args": [], "kwargs": {} });
        assert_eq!(refusal(caller.call("object_class_action", asked).await).0, class, "{name} {version}");
    }
    worker.stop().await;
}
