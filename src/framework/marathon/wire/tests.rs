//! Answers of old and new releases are read alike.

use serde_json::json;

use super::*;

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn deployment(value: Value) -> Deployment {
    read::<WireDeployment>(value).into()
}

#[test]
fn steps_of_deployments_are_read_in_all_three_forms() {
    let act = |name: &str| json!({name: "ScaleApplication", "app": "/a"});
    for steps in [
        json!([[act("action")], [act("action")]]),
        json!([{"actions": [act("type")]}, {"actions": [act("type")]}]),
        json!([{"actions": [act("action")]}, {"actions": [act("action")]}]),
    ] {
        let found = deployment(json!({"id": "d", "affectedApps": ["/a"], "steps": steps}));
        assert_eq!(found.steps, [["ScaleApplication /a"], ["ScaleApplication /a"]]);
        assert_eq!(found.total_steps, 2);
    }
    let found = deployment(json!({
        "id": "d", "version": "2026-01-01T00:00:00.000Z", "affectedApps": ["/a"], "affectedPods": ["/p"],
        "steps": null, "currentActions": [{"action": "ScalePod", "pod": "/p", "readinessCheckResults": []}],
        "currentStep": 1, "totalSteps": 3,
    }));
    assert_eq!((found.current_step, found.total_steps), (1, 3));
    assert_eq!((found.apps, found.actions), (vec!["/a".into(), "/p".into()], vec!["ScalePod /p".to_owned()]));
}

#[test]
fn an_app_is_shown_with_what_runs_of_it() {
    let app: OneApp = read(json!({"app": {
        "id": "/web", "cmd": "sleep 1", "instances": 2, "healthChecks": [{}], "container": null,
        "tasksStaged": 1, "tasksRunning": 1, "tasksHealthy": 1, "tasksUnhealthy": 0,
        "version": "2026-01-02T00:00:00.000Z",
        "versionInfo": {"lastScalingAt": "2026-01-02T00:00:00.000Z", "lastConfigChangeAt": "2026-01-01T00:00:00.000Z"},
        "deployments": [{"id": "d"}],
        "lastTaskFailure": {"appId": "/web", "host": "h", "message": "exit 1", "state": "TASK_FAILED", "taskId": "t0",
                            "timestamp": "x", "version": "y", "slaveId": "s"},
        "tasks": [
            {"id": "t1", "host": "10.0.0.1", "ports": [31000, 31001], "state": "TASK_RUNNING",
             "healthCheckResults": [{"alive": true}, null], "ipAddresses": [{"ipAddress": "10.0.0.1"}]},
            {"id": "t2", "host": "10.0.0.2", "ports": [31000], "state": "TASK_STAGING", "startedAt": null},
        ],
    }}));
    let seen = app.seen().unwrap();
    assert_eq!(seen.endpoints, ["10.0.0.1:31000", "10.0.0.1:31001"]);
    assert_eq!((seen.tasks[0].healthy, seen.tasks[1].healthy), (Some(true), None));
    assert_eq!(seen.last_config_change_at, Some(Version::new("2026-01-01T00:00:00.000Z")));
    assert_eq!(seen.last_failure.as_ref().unwrap().message, "exit 1");
    assert_eq!(seen.deployments, [DeploymentId::new("d")]);
    assert!(!seen.is_up() && !seen.is_settled());
    assert!(!seen.definition.body().contains_key("tasks"));
}

#[test]
fn an_app_of_an_old_release_lacks_much() {
    let app: OneApp = read(json!({"app": {
        "id": "/web", "instances": 1, "tasksStaged": 0, "tasksRunning": 1, "ports": [10000],
        "tasks": [{"id": "t", "host": "fd00::1", "ports": [31000], "startedAt": "x", "stagedAt": "y"}],
    }}));
    let seen = app.seen().unwrap();
    assert_eq!(seen.endpoints, ["[fd00::1]:31000"]);
    assert!(seen.is_settled());
}

#[test]
fn apps_with_names_that_none_has_today_are_passed_over() {
    let apps: Apps = read(json!({"apps": [{"id": "/Old_Name"}, {"id": "/new"}]}));
    let ids: Vec<_> = apps.seen().unwrap().into_iter().map(|seen| seen.id.to_string()).collect();
    assert_eq!(ids, ["/new"]);
    let strange: Apps = read(json!({"apps": [{"id": "/a", "tasksRunning": "many"}]}));
    assert!(matches!(strange.seen(), Err(Error::Protocol { .. })));
}

#[test]
fn a_change_names_its_deployment_in_one_of_two_places() {
    let named: Changed = read(json!({"version": "v", "deploymentId": "d1"}));
    assert_eq!(named.deployment(), Some(&DeploymentId::new("d1")));
    let old: Changed = read(json!({"id": "/a", "version": "v", "deployments": [{"id": "d2"}]}));
    assert_eq!(old.deployment(), Some(&DeploymentId::new("d2")));
    assert_eq!(read::<Changed>(json!({})).deployment(), None);
}

#[test]
fn the_queue_says_why_tasks_wait() {
    let queue: Queue = read(json!({"queue": [
        {"app": {"id": "/a"}, "count": 2, "delay": {"timeLeftSeconds": 0, "overdue": true}, "since": "x",
         "processedOffersSummary": {"processedOffersCount": 10, "unusedOffersCount": 9, "rejectSummaryLastOffers": [
            {"reason": "UnfulfilledRole", "declined": 0, "processed": 10},
            {"reason": "InsufficientCpus", "declined": 9, "processed": 10}]}},
        {"app": {"id": "/b"}, "count": 1, "delay": {"timeLeftSeconds": 12, "overdue": false}},
        {"pod": {"id": "/p"}},
    ]}));
    let found: Vec<Waiting> = queue.into();
    let cpus = Unused { reason: "InsufficientCpus".to_owned(), declined: 9, processed: 10 };
    assert_eq!((found[0].delay, &found[0].unused), (Delay::Offers, &vec![cpus]));
    assert_eq!(found[1].delay, Delay::Backoff(Duration::from_secs(12)));
    assert_eq!(found[2].app, "/p");
}

#[test]
fn the_newest_version_comes_first() {
    for value in [json!({"versions": ["2020", "2022", "2021"]}), json!(["2020", "2022", "2021"])] {
        let versions: Vec<Version> = read::<Versions>(value).into();
        assert_eq!(versions.iter().map(Version::as_str).collect::<Vec<_>>(), ["2022", "2021", "2020"]);
    }
}
