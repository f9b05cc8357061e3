//! What callers, listeners and operators are told of apps: notifications, heartbeats, deployments; and what nobody is.

use std::time::Duration;

use mesos_conductor::client::{CallOptions, NotificationListener};
use mesos_conductor_proto::notification::Priority;
use mesos_conductor_sandbox::{Action, Behaviour, Rule, Script, Service};
use serde_json::{Value, json};

use crate::support::app::{Town, checked, manifest};
use crate::support::{Caller, World, data, eventually, failure_class, map};

const SECRET: &str = "database-password-4711";

fn with_secret(id: &str) -> Value {
    let mut secret = manifest(id);
    secret["env"] = json!({ "DB_PASSWORD": SECRET });
    secret
}

/// Reads notifications of apps until there are so many: action, outcome, and everything that they say.
async fn told(listener: &mut NotificationListener, count: usize) -> Vec<(String, String, String)> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let next = tokio::time::timeout(Duration::from_secs(30), listener.next()).await;
        let next = next.unwrap_or_else(|_| panic!("only these were told: {seen:?}"));
        let Some(action) = next.event_type.strip_prefix("magnum.app.").map(str::to_owned) else { continue };
        let outcome = next.payload["outcome"].as_str().unwrap().to_owned();
        let priority = if outcome == "failure" { Priority::Error } else { Priority::Info };
        let cadf = match action.as_str() {
            "create" | "update" | "delete" => action.clone(),
            finer => format!("update/{finer}"),
        };
        assert_eq!((next.priority, &next.payload["action"]), (priority, &json!(cadf)));
        assert_eq!(next.payload["typeURI"], "http://schemas.dmtf.org/cloud/audit/1.0/event");
        assert_eq!(next.payload["target"]["typeURI"], "service/magnum/app");
        assert_eq!(next.payload["target"]["attachments"][0]["name"], "app_data");
        seen.push((action, outcome, format!("{} {:?}", next.payload, next.context)));
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_hear_of_every_change_and_of_no_manifest() {
    let mut world = World::new().await;
    world.log_filter = "trace".to_owned();
    let worker = world.worker().await;
    let mut listener = NotificationListener::open(&world.broker, &["notifications"]).await.unwrap();
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    // Something goes wrong on the way, so that the log has reason to say much.
    world.sandbox.faults().add(Rule::new(Service::Marathon, "POST", "/v2/apps$", Action::html(502)).once());
    town.run("web", &with_secret("/web")).await;
    town.done("app_scale", "web", json!({ "instances": 2 })).await.unwrap();
    town.done("app_restart", "web", json!({})).await.unwrap();
    let mut changed = with_secret("/web");
    changed["cmd"] = json!("sleep 2000");
    town.done("app_update", "web", json!({ "manifest": changed.to_string() })).await.unwrap();
    let versions = town.ask("app_versions", "web", json!({})).await.unwrap();
    town.done("app_rollback", "web", json!({ "version": versions[1] })).await.unwrap();
    let mut refused = changed.clone();
    refused["portDefinitions"] = json!([{ "port": 0, "name": "http" }]);
    refused["container"] =
        json!({ "type": "MESOS", "portMappings": [{ "containerPort": 80, "name": "http" }] });
    town.done("app_update", "web", json!({ "manifest": refused.to_string() })).await.unwrap_err();
    let kept: Vec<Vec<u8>> = std::fs::read_dir(world.directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains(".sqlite"))
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    town.done("app_delete", "web", json!({})).await.unwrap();
    let told = told(&mut listener, 14).await;
    let actions: Vec<_> = told.iter().map(|(action, outcome, _)| format!("{action} {outcome}")).collect();
    let expected = [
        "create pending",
        "create success",
        "scale pending",
        "scale success",
        "restart pending",
        "restart success",
        "update pending",
        "update success",
        "rollback pending",
        "rollback success",
        "update pending",
        "update failure",
        "delete pending",
        "delete success",
    ];
    assert_eq!(actions, expected);
    for (action, outcome, text) in &told {
        assert!(!text.contains(SECRET) && !text.contains("manifest"), "{action} {outcome}: {text}");
        assert!(text.contains("/web"), "{action} {outcome}: {text}");
    }
    let log = worker.log_text();
    assert!(log.len() > 10_000 && !log.contains(SECRET), "the log tells the secret");
    let found =
        |text: &str| kept.iter().any(|file| file.windows(text.len()).any(|part| part == text.as_bytes()));
    assert!(found("/web"), "the app is kept");
    assert!(!found(SECRET), "the database has the secret in clear");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_long_deployment_hears_heartbeats() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.marathon().behave(Script::new("/web", Behaviour::Healthy { after_seconds: 700 }));
    let mut args = town.create_args("web", &checked("/web"));
    args["wait"] = json!(true);
    let options = CallOptions { monitor_timeout: Some(Duration::from_secs(4)), ..world.options() };
    let app = caller.client.call("app_create", map(args), options).await.unwrap();
    assert_eq!((&data(&app)["status"], &data(&app)["tasks_healthy"]), (&json!("CREATE_COMPLETE"), &json!(1)));
    assert!(caller.client.stats().heartbeats >= 2, "{:?}", caller.client.stats());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deployments_are_listed_and_cancelled_with_and_without_their_changes() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    let list = async || caller.call("deployment_list", json!({ "bay_ident": "b1" })).await.unwrap();
    assert_eq!(list().await, json!([]));
    town.marathon().behave(Script::new("/web", Behaviour::StuckStaging).containing("bad-image"));
    for force in [false, true] {
        let mut bad = manifest("/web");
        bad["env"] = json!({ "IMAGE": "bad-image" });
        let begun = town.ask("app_update", "web", json!({ "manifest": bad.to_string() })).await.unwrap();
        let id = data(&begun)["deployment_id"].clone();
        let listed = list().await;
        assert_eq!((&listed[0]["id"], &listed[0]["apps"]), (&id, &json!(["/web"])), "{listed}");
        let cancel = json!({ "bay_ident": town.bay, "deployment_id": id, "force": force, "wait": true });
        let cancelled = caller.call("deployment_cancel", cancel.clone()).await.unwrap();
        assert_eq!(cancelled["deployment_id"].is_string(), !force, "{cancelled}");
        assert_eq!(list().await, json!([]));
        let again = caller.call("deployment_cancel", cancel).await.unwrap_err();
        assert_eq!(failure_class(&again), "DeploymentNotFound");
        let env = town.marathon().app("/web").unwrap()["env"].clone();
        assert_eq!(env, if force { json!({ "IMAGE": "bad-image" }) } else { json!({}) });
        if force {
            break;
        }
        // The update hears of it at once: what it asked for cannot come any more.
        let app = town.until_status("web", "UPDATE_FAILED").await;
        assert!(
            app["status_reason"].as_str().unwrap().contains("changed in the framework meanwhile"),
            "{app}"
        );
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_deployment_whose_answer_is_lost_is_cancelled_once() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    let id = town.lock("/web").await;
    let lost = Rule::new(Service::Marathon, "DELETE", "/v2/deployments/", Action::ResetAfter).once();
    world.sandbox.faults().add(lost);
    let cancel = json!({ "bay_ident": town.bay, "deployment_id": id, "wait": true });
    caller.call("deployment_cancel", cancel).await.unwrap();
    town.until_quiet().await;
    let one = eventually(|| async { (town.marathon().app("/web")?["instances"] == 1).then_some(()) });
    assert!(one.await.is_some());
    assert_eq!(town.marathon().deployments_begun(), 3, "the create, what locked it, and what took that back");
    worker.stop().await;
}
