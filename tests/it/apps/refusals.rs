//! What is refused before Marathon hears of it, and what is nobody else's business.

use std::time::Duration;

use mesos_conductor_sandbox::known::{ADMIN_PROJECT, ADMIN_USER, OTHER_PROJECT, OTHER_USER};
use mesos_conductor_sandbox::{Config, Service};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{Town, manifest, message};
use crate::support::database::Backend;
use crate::support::{Caller, World, data, failure_class, object};

/// How many requests would have changed something.
fn changes(world: &World) -> usize {
    let count = |method| world.sandbox.count(Service::Marathon, method, "");
    ["POST", "PUT", "PATCH", "DELETE"].into_iter().map(count).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_that_mean_nothing_are_refused() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    let before = changes(&world);
    for (method, more, class, text) in [
        ("app_scale", json!({ "instances": -1 }), "InvalidParameterValue", "instances"),
        ("app_scale", json!({ "instances": 2_147_483_648_i64 }), "InvalidParameterValue", "instances"),
        ("app_scale", json!({ "instances": "many" }), "InvalidParameterValue", "instances"),
        ("app_scale", json!({ "instances": null }), "InvalidParameterValue", "instances"),
        ("app_scale", json!({ "instances": 1, "deadline": 0 }), "InvalidParameterValue", "deadline"),
        ("app_scale", json!({ "instances": 1, "deadline": 604_801 }), "InvalidParameterValue", "deadline"),
        (
            "app_scale",
            json!({ "instances": 1, "on_deadline": "panic" }),
            "InvalidParameterValue",
            "on_deadline",
        ),
        ("app_scale", json!({ "instances": 1, "force": "yes" }), "InvalidParameterValue", "force"),
        (
            "app_scale",
            json!({ "instances": 1, "notify_queue": "others" }),
            "InvalidParameterValue",
            "notify_queue",
        ),
        ("app_rollback", json!({ "version": "" }), "InvalidParameterValue", "version"),
        ("app_task_kill", json!({ "task_id": "" }), "InvalidParameterValue", "task_id"),
        (
            "app_task_kill",
            json!({ "task_id": "t", "scale": true, "wipe": true }),
            "InvalidParameterValue",
            "scale",
        ),
        ("app_update", json!({ "manifest": null }), "InvalidManifest", "/"),
        ("app_update", json!({ "manifest": 5 }), "InvalidManifest", "/"),
        ("app_update", json!({ "manifest": "{" }), "InvalidManifest", "JSON"),
        ("app_update", json!({ "manifest": manifest("/other") }), "InvalidManifest", "/id"),
        ("app_update", json!({ "manifest": [manifest("/web"), manifest("/x")] }), "InvalidManifest", "/id"),
        (
            "app_update",
            json!({ "manifest": { "id": "/web", "cmd": "sleep 1", "cpus": "two", "instances": -1 } }),
            "InvalidManifest",
            "/cpus",
        ),
    ] {
        let error = town.ask(method, "web", more.clone()).await.expect_err(method);
        assert_eq!(failure_class(&error), class, "{method} {more}: {error}");
        assert!(message(&error).contains(text), "{method} {more}: {error}");
    }
    for (method, args) in [
        ("app_scale", json!({ "app_ident": "web", "bay_ident": town.bay })),
        ("app_update", json!({ "app_ident": "web", "bay_ident": town.bay })),
        ("app_show", json!({ "app_ident": "web" })),
        ("app_show", json!({ "app_ident": "web", "bay_ident": town.bay, "colour": "red" })),
        ("deployment_cancel", json!({ "bay_ident": town.bay })),
    ] {
        let error = caller.call(method, args.clone()).await.expect_err(method);
        assert_eq!(failure_class(&error), "TypeError", "{method} {args}: {error}");
    }
    assert_eq!(changes(&world), before, "Marathon heard of none");
    assert_eq!(data(&town.show("web").await.unwrap())["status"], "CREATE_COMPLETE");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_exist_is_named() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    let unknown = Uuid::new_v4().to_string();
    for ident in ["nobody", unknown.as_str(), ""] {
        for (method, more) in every_method() {
            let (class, text) = town.refused(method, ident, more).await;
            assert_eq!((class.as_str(), text.contains(ident)), ("AppNotFound", true), "{method}: {text}");
        }
        let error = caller.call("app_list", json!({ "bay_ident": ident })).await.unwrap_err();
        assert_eq!(failure_class(&error), "BayNotFound");
    }
    let (class, text) = town.refused("app_task_kill", "web", json!({ "task_id": "web.none" })).await;
    assert_eq!((class.as_str(), text.contains("web.none")), ("TaskNotFound", true), "{text}");
    let (class, _) =
        town.refused("app_rollback", "web", json!({ "version": "2001-01-01T00:00:00.000Z" })).await;
    assert!(["AppNotFound", "InvalidManifest"].contains(&class.as_str()), "{class}");
    for id in ["", "none"] {
        let args = json!({ "bay_ident": town.bay, "deployment_id": id });
        let error = caller.call("deployment_cancel", args).await.unwrap_err();
        assert_eq!(failure_class(&error), "DeploymentNotFound", "{id}");
    }
    assert_eq!(data(&town.show("web").await.unwrap())["status"], "CREATE_COMPLETE");
    worker.stop().await;
}

/// Every method about one app, with arguments that would do.
fn every_method() -> [(&'static str, Value); 10] {
    [
        ("app_show", json!({})),
        ("app_versions", json!({})),
        ("app_tasks", json!({})),
        ("app_diagnose", json!({})),
        ("app_update", json!({ "manifest": manifest("/web") })),
        ("app_scale", json!({ "instances": 0, "force": true })),
        ("app_restart", json!({ "force": true })),
        ("app_rollback", json!({ "version": "x", "force": true })),
        ("app_task_kill", json!({ "task_id": "x" })),
        ("app_delete", json!({ "force": true })),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_finds_neither_bay_nor_app_and_changes_nothing() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let app = town.run("web", &manifest("/web")).await;
    let uuid = data(&app)["uuid"].as_str().unwrap();
    // The stranger's own bay is no way to the app either.
    let stranger = || world.context(OTHER_USER, OTHER_PROJECT);
    let shown = town.show("web").await.unwrap();
    let before = changes(&world);
    for bay in [town.bay.as_str(), "b1"] {
        for ident in [uuid, "web"] {
            for (method, more) in every_method() {
                let mut args = town.args(ident, more);
                args["bay_ident"] = json!(bay);
                let error = caller.call_as(stranger(), method, args).await.expect_err(method);
                assert_eq!(failure_class(&error), "BayNotFound", "{method}");
            }
        }
        for (method, args) in [
            ("app_list", json!({ "bay_ident": bay })),
            ("deployment_list", json!({ "bay_ident": bay })),
            ("deployment_cancel", json!({ "bay_ident": bay, "deployment_id": "d", "force": true })),
            ("app_create", json!({ "app": { "name": "x", "bay_uuid": bay, "manifest": manifest("/x") } })),
        ] {
            let error = caller.call_as(stranger(), method, args).await.expect_err(method);
            assert_eq!(failure_class(&error), "BayNotFound", "{method}");
        }
    }
    let all = caller.call_as(stranger(), "app_list", json!({})).await.unwrap();
    assert_eq!(all, json!([]));
    let filtered = json!({ "filters": { "bay_uuid": town.bay } });
    assert_eq!(caller.call_as(stranger(), "app_list", filtered).await.unwrap(), json!([]));
    assert_eq!(changes(&world), before);
    assert_eq!(town.show("web").await.unwrap(), shown);
    // An administrator who asks for all tenants sees it.
    let all = world.context(ADMIN_USER, ADMIN_PROJECT).with("is_admin", true).with("all_tenants", true);
    let seen = caller.call_as(all, "app_show", town.args(uuid, json!({}))).await.unwrap();
    assert_eq!(data(&seen)["uuid"], json!(uuid));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_cannot_be_asked_for_by_another_bays_name() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let app = town.run("web", &manifest("/web")).await;
    let model = caller.create_model().await;
    let second = Town::of(&caller, &caller.create_bay(&model).await);
    let uuid = data(&app)["uuid"].as_str().unwrap();
    assert_eq!(second.refused("app_show", uuid, json!({})).await.0, "AppNotFound");
    // Both bays are called b1.
    let error = caller.call("app_list", json!({ "bay_ident": "b1" })).await.unwrap_err();
    assert_eq!(failure_class(&error), "Conflict");
    // The same name and id are free on another bay.
    second.run("web", &manifest("/web")).await;
    let all = caller.call("app_list", json!({})).await.unwrap();
    assert_eq!(all.as_array().map(Vec::len), Some(2));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_cannot_be_is_refused_with_the_reason() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/shop/web")).await;
    let before = changes(&world);
    let app = |fields: Value| {
        let mut app = json!({ "bay_uuid": town.bay });
        app.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({ "app": app })
    };
    let faulty = json!({ "id": "/A_b", "instances": 1.5, "healthChecks": [{ "protocol": "SMOKE" }] });
    for (args, class, texts) in [
        (app(json!({ "name": "x" })), "InvalidParameterValue", vec!["manifest"]),
        (
            app(json!({ "manifest": manifest("/x"), "manifest_url": "http://example.org/x" })),
            "InvalidParameterValue",
            vec!["manifest_url"],
        ),
        (
            app(json!({ "manifest": faulty })),
            "InvalidManifest",
            vec!["/id", "/instances", "/healthChecks/0/protocol", "cmd"],
        ),
        (app(json!({ "manifest": { "id": "/x" } })), "InvalidManifest", vec!["cmd"]),
        (app(json!({ "manifest": "[]" })), "InvalidManifest", vec!["no app"]),
        (app(json!({ "manifest": [manifest("/x"), manifest("/x")] })), "InvalidManifest", vec!["/x"]),
        (
            app(json!({ "name": Uuid::new_v4().to_string(), "manifest": manifest("/x") })),
            "InvalidParameterValue",
            vec!["uuid"],
        ),
        (
            app(json!({ "name": "n".repeat(256), "manifest": manifest("/x") })),
            "InvalidParameterValue",
            vec!["name"],
        ),
        (app(json!({ "name": "web", "manifest": manifest("/x") })), "AppAlreadyExists", vec!["web"]),
        (
            app(json!({ "name": "x", "manifest": manifest("/shop/web") })),
            "AppAlreadyExists",
            vec!["/shop/web"],
        ),
        (app(json!({ "name": "x", "manifest": manifest("/shop") })), "AppAlreadyExists", vec!["/shop/web"]),
        (
            app(json!({ "name": "x", "manifest": manifest("/shop/web/a") })),
            "AppAlreadyExists",
            vec!["/shop/web"],
        ),
        (
            app(json!({ "name": "x", "manifest": [manifest("/y"), manifest("/shop/web")] })),
            "AppAlreadyExists",
            vec!["/shop/web"],
        ),
        (
            json!({ "app": object("Bay", "1.5", json!({ "name": "x" })) }),
            "InvalidParameterValue",
            vec!["Bay"],
        ),
        (json!({ "app": { "name": "x", "manifest": manifest("/x") } }), "BayNotFound", vec![]),
    ] {
        let error = caller.call("app_create", args.clone()).await.expect_err("it is refused");
        assert_eq!(failure_class(&error), class, "{args}: {error}");
        for text in texts {
            assert!(message(&error).contains(text), "{args}: {text} is not in {error}");
        }
    }
    assert_eq!(changes(&world), before, "Marathon heard of none");
    assert_eq!(world.database.texts("SELECT name FROM app").await, ["web"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bay_that_is_not_there_yet_or_not_for_long_runs_nothing() {
    let long = Duration::from_secs(3600);
    let cloud = Config { create_time: long, delete_time: long, ..Config::default() };
    let world = World::with(Backend::Sqlite, cloud).await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let bay = caller.call("bay_create", Caller::bay_args(&model, 1)).await.unwrap();
    let town = Town::of(&caller, data(&bay)["uuid"].as_str().unwrap());
    let refused = async |status: &str| {
        let error = caller.call("app_create", town.create_args("web", &manifest("/web"))).await.unwrap_err();
        assert_eq!(failure_class(&error), "NotSupported", "{error}");
        assert!(message(&error).contains(status), "{error}");
    };
    refused("CREATE_IN_PROGRESS").await;
    world.sandbox.finish_stacks("");
    caller.wait_for_status(&town.bay, "CREATE_COMPLETE").await;
    town.run("web", &manifest("/web")).await;
    caller.call("bay_delete", json!({ "uuid": town.bay })).await.unwrap();
    refused("DELETE_IN_PROGRESS").await;
    world.sandbox.finish_stacks("");
    caller.wait_until_gone(&town.bay).await;
    worker.stop().await;
}
