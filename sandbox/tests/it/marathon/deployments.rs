//! Deployments: steps, locks, checks, and every way to end.

use mesos_conductor_sandbox::{Behaviour, MarathonConfig, Profile, Script};
use serde_json::{Value, json};

use super::{Town, counts, still, web};

#[tokio::test]
async fn a_lock_refuses_the_next_change_and_misleads_about_its_deployment() {
    let town = Town::still().await;
    town.marathon.behave(Script::new("/web", Behaviour::StuckStaging));
    let first = town.create(web(1)).await;
    town.pass(5.0);
    let refused = town.call("PUT", "/v2/apps/web", json!({"instances": 2})).await;
    assert_eq!((refused.status, &refused.body["deployments"]), (409, &json!([{"id": first}])));
    let events = town.marathon.events();
    let failed = events.iter().find(|event| event.kind == "deployment_failed").unwrap();
    assert_ne!(failed.body["id"], first, "told for a plan that never was");
    assert!(events.iter().any(|event| event.kind == "group_change_failed"));
    // Another app is nobody's concern.
    town.create(json!({"id": "/other", "cmd": "sleep 1"})).await;
}

#[tokio::test]
async fn a_forced_change_cancels_what_was_under_way() {
    let town = Town::still().await;
    town.marathon.behave(Script::new("/web", Behaviour::StuckStaging));
    let first = town.create(web(1)).await;
    town.pass(5.0);
    town.marathon.clear_scripts();
    let second = town.change("PUT", "/v2/apps/web?force=true", json!({"cmd": "sleep 2"})).await;
    let events = town.marathon.events();
    let failed = events.iter().find(|event| event.kind == "deployment_failed").unwrap();
    assert_eq!(
        (&failed.body["id"], &failed.body["reason"]),
        (&json!(first), &json!("The upgrade has been cancelled"))
    );
    town.finish();
    assert_eq!(town.told_of(&second).last(), Some(&"deployment_success"));
}

#[tokio::test]
async fn a_delete_is_forced_unless_it_says_otherwise() {
    let town = Town::still().await;
    town.marathon.behave(Script::new("/web", Behaviour::StuckStaging));
    town.create(web(1)).await;
    town.pass(5.0);
    assert_eq!(town.call("DELETE", "/v2/apps/web?force=false", Value::Null).await.status, 409);
    town.change("DELETE", "/v2/apps/web", Value::Null).await;
    town.finish();
    assert!(town.marathon.apps().is_empty());
}

#[tokio::test]
async fn cancelling_a_create_deletes_the_app_and_cancelling_an_update_restores_it() {
    let town = Town::still().await;
    town.marathon.behave(Script::new("/web", Behaviour::StuckStaging).containing("bad"));
    let deployment = town.create(json!({"id": "/web", "cmd": "bad one"})).await;
    town.pass(5.0);
    let undone = town.change("DELETE", &format!("/v2/deployments/{deployment}"), Value::Null).await;
    assert_ne!(undone, deployment);
    town.finish();
    assert!(town.marathon.apps().is_empty());
    let unknown = town.call("DELETE", &format!("/v2/deployments/{deployment}"), Value::Null).await;
    let text = format!("DeploymentPlan {deployment} does not exist");
    assert_eq!((unknown.status, &unknown.body["message"]), (404, &json!(text)));

    town.create(web(2)).await;
    town.finish();
    let update = town.change("PUT", "/v2/apps/web", json!({"cmd": "bad two"})).await;
    town.pass(5.0);
    town.change("DELETE", &format!("/v2/deployments/{update}"), Value::Null).await;
    town.finish();
    let app = town.app("/web").await;
    assert_eq!((app["cmd"].as_str(), counts(&app).1), (Some("sleep 100"), 2));
    assert_eq!(town.told_of(&update).last(), Some(&"deployment_failed"));
}

#[tokio::test]
async fn cancelling_a_delete_brings_the_app_back() {
    let town = Town::still().await;
    town.marathon.behave(Script::new("/web", Behaviour::Unkillable));
    town.create(web(1)).await;
    town.finish();
    let delete = town.change("DELETE", "/v2/apps/web", Value::Null).await;
    town.pass(5.0);
    town.marathon.clear_scripts();
    town.change("DELETE", &format!("/v2/deployments/{delete}"), Value::Null).await;
    assert_eq!(town.marathon.apps(), ["/web"]);
}

#[tokio::test]
async fn a_cancel_by_force_leaves_the_app_as_it_stands() {
    let town = Town::still().await;
    town.create(web(2)).await;
    town.finish();
    town.marathon.behave(Script::new("/web", Behaviour::StuckStaging));
    let update = town.change("PUT", "/v2/apps/web", json!({"cmd": "sleep 7"})).await;
    town.pass(5.0);
    let answer = town.call("DELETE", &format!("/v2/deployments/{update}?force=true"), Value::Null).await;
    assert_eq!((answer.status, answer.body), (202, json!("")));
    assert!(town.marathon.deployments().is_empty());
    let app = town.app("/web").await;
    assert_eq!(
        (app["cmd"].as_str(), counts(&app)),
        (Some("sleep 7"), (2, 2, 0, 0)),
        "old and new side by side"
    );
}

#[tokio::test]
async fn a_rolling_restart_keeps_within_its_capacities() {
    let town = Town::still().await;
    let strategy = json!({"minimumHealthCapacity": 0.75, "maximumOverCapacity": 0.25});
    let mut app = web(4);
    app["upgradeStrategy"] = strategy;
    town.create(app).await;
    town.finish();
    town.change("PUT", "/v2/apps/web", json!({"cmd": "sleep 7"})).await;
    let mut seen = Vec::new();
    while !town.marathon.deployments().is_empty() {
        town.pass(0.5);
        let (staged, running, ..) = counts(&town.marathon.app("/web").unwrap());
        assert!(running >= 3 && staged + running <= 5, "{staged} staged, {running} running");
        seen.push(staged + running);
        assert!(seen.len() < 100, "{seen:?}");
    }
    assert!(seen.contains(&5) || seen.contains(&3), "{seen:?}");
    assert_eq!(counts(&town.app("/web").await), (0, 4, 0, 0));
}

#[tokio::test]
async fn a_deployment_waits_for_health_and_for_readiness() {
    let town = Town::still().await;
    let app = json!({"id": "/web", "cmd": "sleep 100", "instances": 1,
        "portDefinitions": [{"port": 0, "name": "http"}],
        "healthChecks": [{"intervalSeconds": 5, "gracePeriodSeconds": 1}],
        "readinessChecks": [{"portName": "http", "intervalSeconds": 20, "timeoutSeconds": 5}]});
    let deployment = town.create(app).await;
    town.pass(5.0);
    assert_eq!(counts(&town.app("/web").await), (0, 1, 0, 0));
    town.pass(5.0);
    assert_eq!(counts(&town.app("/web").await), (0, 1, 1, 0));
    let results = &town.get("/v2/deployments").await[0]["currentActions"][0]["readinessCheckResults"];
    assert_eq!((&results[0]["ready"], &results[0]["lastResponse"]["status"]), (&json!(false), &json!(503)));
    town.pass(20.0);
    assert_eq!(town.told_of(&deployment).last(), Some(&"deployment_success"));
    let kinds: Vec<_> = town.marathon.events().iter().map(|event| event.kind).collect();
    assert!(
        kinds.contains(&"health_status_changed_event") && kinds.contains(&"instance_health_changed_event")
    );
}

#[tokio::test]
async fn an_instance_that_is_never_healthy_is_killed_and_replaced_for_ever() {
    let town = Town::still().await;
    town.marathon.behave(Script::new("/web", Behaviour::NeverHealthy));
    let mut app = web(1);
    app["healthChecks"] =
        json!([{"intervalSeconds": 2, "gracePeriodSeconds": 4, "maxConsecutiveFailures": 2}]);
    town.create(app).await;
    town.pass(8.0);
    let app = town.app("/web").await;
    assert_eq!(counts(&app), (0, 1, 0, 1));
    assert_eq!(app["tasks"][0]["healthCheckResults"][0]["alive"], false);
    town.pass(60.0);
    let app = town.app("/web").await;
    assert_eq!(app["lastTaskFailure"]["state"], "TASK_KILLED");
    assert_eq!(town.marathon.deployments().len(), 1, "a deployment never fails on its own");
    let kills = town.marathon.events().iter().filter(|e| e.kind == "unhealthy_instance_kill_event").count();
    assert!((2..20).contains(&kills), "{kills}");
}

#[tokio::test]
async fn a_crash_loop_is_told_and_slows_down() {
    let town = Town::still().await;
    town.marathon.behave(Script::new("/web", Behaviour::crash_loop("Command exited with status 1")));
    let mut app = web(1);
    (app["backoffSeconds"], app["backoffFactor"], app["maxLaunchDelaySeconds"]) =
        (json!(4), json!(2), json!(20));
    town.create(app).await;
    town.pass(4.0);
    let failure = town.app("/web").await["lastTaskFailure"].clone();
    assert_eq!(
        (&failure["state"], &failure["message"]),
        (&json!("TASK_FAILED"), &json!("Command exited with status 1"))
    );
    let queued = town.get("/v2/queue").await["queue"][0].clone();
    assert_eq!((&queued["app"]["id"], &queued["count"]), (&json!("/web"), &json!(1)));
    assert_eq!(queued["delay"]["overdue"], false);
    assert!((1..=4).contains(&queued["delay"]["timeLeftSeconds"].as_u64().unwrap()), "{queued}");
    town.pass(100.0);
    let failures = town.marathon.events().iter().filter(|e| e.body["taskStatus"] == "TASK_FAILED").count();
    assert!((5..=8).contains(&failures), "4, 8, 16, 20, 20 seconds apart: {failures}");
    let reset = town.call("DELETE", "/v2/queue/web/delay", Value::Null).await;
    assert_eq!(
        (reset.status, town.call("DELETE", "/v2/queue/none/delay", Value::Null).await.status),
        (204, 404)
    );
}

#[tokio::test]
async fn what_does_not_fit_waits_in_the_queue_and_says_why() {
    let town = Town::still().await;
    town.create(json!({"id": "/big", "cmd": "sleep 1", "cpus": 64, "mem": 16})).await;
    town.create(json!({"id": "/one-each", "cmd": "sleep 1", "cpus": 0.1, "mem": 16, "instances": 5,
        "constraints": [["hostname", "UNIQUE"]]}))
        .await;
    town.pass(30.0);
    let queue = town.get("/v2/queue?embed=lastUnusedOffers").await["queue"].clone();
    let item =
        |id: &str| queue.as_array().unwrap().iter().find(|item| item["app"]["id"] == id).unwrap().clone();
    let big = item("/big");
    assert_eq!(big["delay"], json!({"overdue": true, "timeLeftSeconds": 0}));
    assert_eq!(big["lastUnusedOffers"][0]["reason"], json!(["InsufficientCpus"]));
    let last = big["processedOffersSummary"]["rejectSummaryLastOffers"].as_array().unwrap().clone();
    let row = |reason: &str| last.iter().find(|row| row["reason"] == reason).unwrap().clone();
    assert_eq!(row("InsufficientCpus"), json!({"reason": "InsufficientCpus", "declined": 3, "processed": 3}));
    assert_eq!(row("InsufficientMemory")["processed"], 0, "what was declined is not looked at any further");
    let unique = item("/one-each");
    assert_eq!(
        (&unique["count"], &unique["lastUnusedOffers"][0]["reason"][0]),
        (&json!(2), &json!("UnfulfilledConstraint"))
    );
    assert_eq!(counts(&town.app("/one-each").await).1, 3);
    town.marathon.behave(Script::new("/odd", Behaviour::unschedulable("DeclinedScarceResources")));
    town.create(json!({"id": "/odd", "cmd": "sleep 1"})).await;
    town.pass(3.0);
    assert!(
        town.get("/v2/queue?embed=lastUnusedOffers")
            .await
            .to_string()
            .contains("\"DeclinedScarceResources\"]")
    );
}

#[tokio::test]
async fn so_many_deployments_and_no_more() {
    let town = Town::start(MarathonConfig { max_deployments: Some(2), ..still(Profile::V1_11) }).await;
    town.marathon.behave(Script::new("", Behaviour::StuckStaging));
    for id in ["/a", "/b"] {
        town.create(json!({"id": id, "cmd": "sleep 1"})).await;
    }
    let refused = town.call("POST", "/v2/apps?force=true", json!({"id": "/c", "cmd": "sleep 1"})).await;
    assert_eq!(refused.status, 403);
    assert!(refused.body["message"].as_str().unwrap().starts_with("Max number (2) of running deployments"));
}

#[tokio::test]
async fn an_instance_that_dies_later_is_replaced() {
    let town = Town::still().await;
    town.create(web(2)).await;
    town.finish();
    assert_eq!(town.marathon.fail_tasks("/web", "out of memory"), 2);
    assert_eq!(counts(&town.app("/web").await), (0, 0, 0, 0));
    town.pass(10.0);
    let app = town.app("/web").await;
    assert_eq!((counts(&app).1, &app["lastTaskFailure"]["message"]), (2, &json!("out of memory")));
}
