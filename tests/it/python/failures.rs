//! Failing calls: what an unmodified client raises again.

use std::time::Duration;

use mesos_conductor_sandbox::{Action, Config, Rule, Service};
use serde_json::{Value, json};

use super::mitaka_bay;
use super::peer::Peer;
use crate::support::database::Backend;
use crate::support::{Caller, World, data, object};

/// A class of `magnum.common.exception`, made with this message and these further keyword arguments.
pub(crate) fn assert_magnum(error: &Value, class: &str, code: u16, message: &str, mut kwargs: Value) {
    kwargs["code"] = json!(code);
    assert_eq!(error["class"], format!("{class}_Remote"), "{error:#}");
    assert_eq!(error["base_classes"][0], format!("magnum.common.exception.{class}"), "{error:#}");
    assert_eq!(error["module"], "magnum.common.exception_Remote");
    assert_eq!(error["args"], json!([message]), "{error:#}");
    assert_eq!((&error["code"], &error["kwargs"]), (&json!(code), &kwargs), "{error:#}");
    let shown = error["message"].as_str().unwrap();
    assert!(shown.starts_with(&format!("{message}\n")), "{shown}");
}

/// A class that the client does not have or may not make.
pub(crate) fn assert_remote(error: &Value, class: &str, message: &str) {
    assert_eq!(error["class"], "RemoteError", "{error:#}");
    assert_eq!(error["remote"], json!({ "class": class, "message": message }));
}

fn class_action(object: &str, version: &str, method: &str, args: Value) -> Value {
    json!({ "objname": object, "objver": version, "objmethod": method, "args": args, "kwargs": {} })
}

#[tokio::test]
async fn what_heat_refuses_is_an_invalid_value_in_heats_words() {
    let world = World::new().await;
    let body = json!({ "code": 400, "title": "Bad Request", "explanation": "refused", "error": {
        "type": "StackValidationFailed", "message": "Property error: 100% wrong, %s", "traceback": null } });
    let action = Action::Status { code: 400, body: body.to_string(), headers: [].into() };
    world.sandbox.faults().add(Rule::new(Service::Heat, "POST", "/stacks$", action));
    let worker = world.worker().await;
    let (peer, caller) = (Peer::client(&world).await, Caller::new(&world).await);
    let model = peer.create_model().await;
    let error = peer.call("bay_create", mitaka_bay(&model)).await.expect_err("Heat refuses");
    assert_magnum(&error, "InvalidParameterValue", 400, "Property error: 100% wrong, %s", json!({}));
    assert!(caller.bays().await.is_empty());
    assert_eq!(peer.stray_replies().await, 0);
    worker.stop().await;
}

#[tokio::test]
async fn a_bay_that_is_busy_does_not_support_an_update() {
    let slow = Config { create_time: Duration::from_secs(600), ..Config::default() };
    let world = World::with(Backend::Sqlite, slow).await;
    let worker = world.worker().await;
    let peer = Peer::client(&world).await;
    let model = peer.create_model().await;
    let mut args = mitaka_bay(&model);
    args["bay"]["magnum_object.data"]["name"] = json!("100%s of it");
    let bay = peer.call("bay_create", args).await.expect("the bay is created");
    assert_eq!(data(&bay)["name"], "100%s of it");
    let change = object("Bay", "1.5", json!({ "uuid": data(&bay)["uuid"], "node_count": 3 }));
    let error = peer.call("bay_update", json!({ "bay": change })).await.expect_err("it is busy");
    let operation = "Updating a bay when stack status is \"CREATE_IN_PROGRESS\"";
    let message = format!("{operation} is not supported.");
    assert_magnum(&error, "NotSupported", 400, &message, json!({ "operation": operation }));
    worker.stop().await;
}

#[tokio::test]
async fn a_name_that_two_models_have_is_a_conflict() {
    let world = World::new().await;
    let worker = world.worker().await;
    let peer = Peer::client(&world).await;
    for _ in 0..2 {
        peer.create_model().await;
    }
    let by_name = class_action("BayModel", "1.10", "get_by_name", json!(["mesos-bm"]));
    let error = peer.call("object_class_action", by_name).await.expect_err("there are two");
    let message = "Multiple baymodels exist with same name. Please use the baymodel uuid instead.";
    assert_magnum(&error, "Conflict", 409, message, json!({}));
    worker.stop().await;
}

#[tokio::test]
async fn a_request_that_cannot_log_in_is_an_authorization_failure() {
    let world = World::new().await;
    let worker = world.worker().await;
    let (peer, caller) = (Peer::client(&world).await, Caller::new(&world).await);
    let model = peer.create_model().await;
    let mut context = peer.context().to_map();
    context.remove("auth_token");
    let error = peer.call_with("bay_create", mitaka_bay(&model), json!({ "context": context })).await;
    let message = "keystone connection failed. The request carried no token.";
    let kwargs = json!({ "client": "keystone" });
    assert_magnum(&error.expect_err("nobody asks"), "AuthorizationFailure", 403, message, kwargs);
    assert!(caller.bays().await.is_empty());
    worker.stop().await;
}

#[tokio::test]
async fn what_is_not_found_names_its_class_to_clients_that_lack_it() {
    let world = World::new().await;
    let worker = world.worker().await;
    let peer = Peer::client(&world).await;
    let absent = "6182a4b0-32ec-4df8-8138-eacf02f38708";
    let message = format!("Bay {absent} could not be found.");
    let error = peer.call("bay_delete", json!({ "uuid": absent })).await.expect_err("there is none");
    assert_remote(&error, "BayNotFound", &message);
    let show = class_action("Bay", "1.5", "get_by_uuid", json!([absent]));
    let error = peer.call("object_class_action", show).await.expect_err("there is none");
    assert_remote(&error, "BayNotFound", &message);
    worker.stop().await;
}

#[tokio::test]
async fn calls_that_no_endpoint_takes_fail_as_a_python_server_fails_them() {
    let world = World::new().await;
    let worker = world.worker().await;
    let peer = Peer::client(&world).await;
    let error = peer.call("no_such", json!({})).await.expect_err("no such method");
    assert_remote(&error, "NoSuchMethod", "Endpoint does not support RPC method no_such");
    let error = peer.call_with("ping_conductor", json!({}), json!({ "version": "1.9" })).await;
    let text = "Endpoint does not support RPC version 1.9. Attempted method: ping_conductor";
    assert_remote(&error.expect_err("a later version"), "UnsupportedVersion", text);
    let error = peer.call_with("ping_conductor", json!({}), json!({ "namespace": "other" })).await;
    let text = "Endpoint does not support RPC version 1.0. Attempted method: ping_conductor";
    assert_remote(&error.expect_err("another namespace"), "UnsupportedVersion", text);
    for (args, text) in [
        (json!({ "uuid": "u", "x": 1 }), "bay_delete() got an unexpected keyword argument 'x'"),
        (json!({}), "bay_delete() missing 1 required positional argument: 'uuid'"),
    ] {
        let error = peer.call("bay_delete", args).await.expect_err("wrong arguments");
        assert_eq!((&error["class"], &error["module"]), (&json!("TypeError"), &json!("builtins")));
        assert!(error["message"].as_str().unwrap().starts_with(&format!("{text}\n")), "{error:#}");
    }
    assert_eq!(peer.stray_replies().await, 0);
    worker.stop().await;
}
