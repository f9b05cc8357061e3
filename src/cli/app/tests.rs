use std::io::Write as _;

use super::*;
use crate::cli::{
    self,
    output::Format,
    tests::{Printed, Scripted, failure, output, parse},
};

const UUID: &str = "7f3e7f5c-0c35-4b1c-9d0e-00000000000a";
const BAY: &str = "7f3e7f5c-0c35-4b1c-9d0e-000000000001";

fn app(status: &str, reason: Option<&str>, running: u32) -> Value {
    json!({
        "magnum_object.name": "App",
        "magnum_object.namespace": "magnum",
        "magnum_object.version": "1.0",
        "magnum_object.data": {
            "uuid": UUID, "name": "web", "bay_uuid": BAY, "status": status, "status_reason": reason,
            "framework_id": "/web", "instances": 2, "tasks_staged": 2 - running, "tasks_running": running,
            "tasks_healthy": running, "tasks_unhealthy": 0, "endpoints": ["10.0.0.2:31000"],
        },
    })
}

async fn run_as(
    format: Format,
    line: &str,
    answers: impl IntoIterator<Item = Result<Value, Error>>,
) -> (Result<(), Error>, Scripted, Printed, Printed) {
    let conductor = Scripted::new(answers);
    let (mut output, results, progress) = output(format, false);
    let context = RequestContext::default().with("project_id", "p-1").with("user_id", "u-1");
    let parsed = parse(line);
    let outcome = if let cli::Command::App(command) = parsed {
        command.run_on(&conductor, &context, &mut output).await
    } else if let cli::Command::Deployment(command) = parsed {
        command.run_on(&conductor, &mut output).await
    } else {
        panic!("{line}")
    };
    (outcome, conductor, results, progress)
}

/// Runs a command line against prepared answers.
async fn run(
    line: &str,
    answers: impl IntoIterator<Item = Result<Value, Error>>,
) -> (Result<(), Error>, Scripted, Printed, Printed) {
    run_as(Format::Table, line, answers).await
}

fn manifest(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[tokio::test(start_paused = true)]
async fn create_sends_the_manifest_and_shows_how_the_tasks_come_up() {
    let file = manifest("{\"id\": \"/web\"}");
    let line = format!(
        "x app create --bay b --name web --manifest {} --deadline 60 --on-deadline rollback",
        file.path().display()
    );
    let answers = [
        Ok(app("CREATE_IN_PROGRESS", None, 0)),
        Ok(app("CREATE_IN_PROGRESS", None, 0)),
        Ok(app("CREATE_IN_PROGRESS", None, 1)),
        Ok(app("CREATE_COMPLETE", None, 2)),
    ];
    let (outcome, conductor, results, progress) = run(&line, answers).await;
    outcome.unwrap();
    assert_eq!(conductor.methods(), ["app_create", "app_show", "app_show", "app_show"]);
    assert_eq!(conductor.args("app_show"), json!({"app_ident": UUID, "bay_ident": BAY}));

    let args = conductor.args("app_create");
    let sent = &args["app"]["magnum_object.data"];
    assert_eq!((&sent["name"], &sent["bay_uuid"]), (&json!("web"), &json!("b")));
    assert_eq!(sent["manifest"], "{\"id\": \"/web\"}", "as it is in the file");
    assert_eq!((&args["deadline"], &args["on_deadline"]), (&json!(60), &json!("rollback")));
    assert_eq!(args.get("force"), None, "what was not asked for is left to the conductor");

    assert_eq!(
        progress.text(),
        "   0 s  web  CREATE_IN_PROGRESS  0 of 2 running\n\
         \x20  1 s  web  CREATE_IN_PROGRESS  1 of 2 running, 1 healthy\n\
         \x20  2 s  web  CREATE_COMPLETE  2 of 2 running, 2 healthy\n"
    );
    assert!(results.text().contains("endpoints        10.0.0.2:31000\n"), "{}", results.text());
}

#[tokio::test]
async fn a_new_app_has_one_manifest_of_one_source() {
    let (outcome, conductor, ..) = run(
        "x app create --bay b --manifest-url https://h/web.json --no-wait",
        [Ok(app("CREATE_IN_PROGRESS", None, 0))],
    )
    .await;
    outcome.unwrap();
    let sent = conductor.args("app_create")["app"]["magnum_object.data"].clone();
    assert_eq!((&sent["manifest_url"], sent.get("manifest")), (&json!("https://h/web.json"), None));

    for line in ["x app create --bay b", "x app create --bay b --manifest f --manifest-url u"] {
        let refused = <cli::Cli as clap::Parser>::try_parse_from(line.split_whitespace()).unwrap_err();
        assert!(refused.to_string().contains("--manifest-url"), "{refused}");
    }
    let (outcome, conductor, ..) = run("x app create --bay b --manifest /nowhere/web.json", []).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.exit_code(), 64);
    assert!(error.to_string().starts_with("the manifest /nowhere/web.json cannot be read"), "{error}");
    assert!(conductor.methods().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_fails_says_why_and_is_a_failure() {
    let file = manifest("{}");
    let line = format!("x app update web --bay b --manifest {}", file.path().display());
    let answers = [
        Ok(app("UPDATE_IN_PROGRESS", None, 1)),
        Ok(app("UPDATE_FAILED", Some("the deadline has passed: TASK_FAILED: exited"), 0)),
    ];
    let (outcome, conductor, results, _) = run(&line, answers).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let expected = "web  UPDATE_FAILED  0 of 2 running  the deadline has passed: TASK_FAILED: exited";
    assert_eq!(error.to_string(), expected);
    assert!(results.text().contains("UPDATE_FAILED"), "the app is shown all the same");
    let sent = json!({"app_ident": "web", "bay_ident": "b", "manifest": "{}"});
    assert_eq!(conductor.args("app_update"), sent);

    let (outcome, ..) = run("x app restart web --bay b", [Ok(app("UPDATE_FAILED", None, 0))]).await;
    assert_eq!(outcome.unwrap_err().exit_code(), 1, "also when it had failed before the answer");
    let (outcome, ..) = run("x app restart web --bay b", [failure("AppNotFound", "no web")]).await;
    assert_eq!(outcome.unwrap_err().to_string(), "the conductor says: AppNotFound: no web");
    let gone = [Ok(app("UPDATE_IN_PROGRESS", None, 1)), failure("AppNotFound", "gone")];
    let (outcome, ..) = run("x app restart web --bay b", gone).await;
    assert!(outcome.unwrap_err().to_string().starts_with(&format!("app {UUID} is gone")));
}

#[tokio::test]
async fn each_change_is_asked_for_by_its_own_method() {
    let done = || Ok(app("UPDATE_COMPLETE", None, 2));
    for (line, method, own) in [
        ("scale web --bay b --instances 0 --force", "app_scale", json!({"instances": 0, "force": true})),
        ("restart web --bay b --deadline 5", "app_restart", json!({"deadline": 5})),
        ("rollback web --bay b --to v1", "app_rollback", json!({"version": "v1"})),
        (
            "kill web t.1 --bay b --scale",
            "app_task_kill",
            json!({"task_id": "t.1", "scale": true, "wipe": false}),
        ),
    ] {
        let (outcome, conductor, ..) = run(&format!("x app {line}"), [done()]).await;
        outcome.unwrap();
        let mut expected = json!({"app_ident": "web", "bay_ident": "b"});
        expected.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        assert_eq!((conductor.methods(), conductor.args(method)), (vec![method.to_owned()], expected));
    }
}

#[tokio::test]
async fn rollback_goes_to_the_version_before_the_newest() {
    let answers = [Ok(json!(["v3", "v2", "v1"])), Ok(app("UPDATE_COMPLETE", None, 2))];
    let (outcome, conductor, ..) = run("x app rollback web --bay b", answers).await;
    outcome.unwrap();
    assert_eq!(conductor.args("app_rollback")["version"], "v2");

    let (outcome, conductor, ..) = run("x app rollback web --bay b", [Ok(json!(["v1"]))]).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.exit_code(), conductor.methods().len()), (64, 1));
    assert!(error.to_string().contains("no version before the newest"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn delete_waits_until_the_app_is_gone() {
    let answers = [
        Ok(app("CREATE_COMPLETE", None, 2)),
        Ok(Value::Null),
        Ok(app("DELETE_IN_PROGRESS", None, 1)),
        failure("AppNotFound", "gone"),
    ];
    let (outcome, conductor, _, progress) = run("x app delete web --bay b --force", answers).await;
    outcome.unwrap();
    let sent = json!({"app_ident": UUID, "bay_ident": "b", "force": true});
    assert_eq!(conductor.args("app_delete"), sent, "by uuid, whatever it was called by");
    assert!(progress.text().ends_with(&format!("app {UUID} is deleted\n")), "{}", progress.text());

    let stuck = [
        Ok(app("CREATE_COMPLETE", None, 2)),
        Ok(Value::Null),
        Ok(app("DELETE_FAILED", Some("the deployment is stuck"), 1)),
    ];
    let (outcome, ..) = run("x app delete web --bay b", stuck).await;
    let error = outcome.unwrap_err().to_string();
    assert!(error.starts_with("the app is still there: web  DELETE_FAILED"), "{error}");
    assert!(error.ends_with("the deployment is stuck"), "{error}");
}

#[tokio::test]
async fn list_names_the_bay_only_where_it_tells_apps_apart() {
    let line = "x app list --bay b --limit 2 --marker web --sort-key name --sort-dir desc";
    let (outcome, conductor, results, _) = run(line, [Ok(json!([app("CREATE_COMPLETE", None, 2)]))]).await;
    outcome.unwrap();
    let sent = json!({"bay_ident": "b", "limit": 2, "marker": "web", "sort_key": "name", "sort_dir": "desc"});
    assert_eq!(conductor.args("app_list"), sent);
    assert!(results.text().contains("/web") && !results.text().contains(BAY), "{}", results.text());

    let (_, _, results, _) = run("x app list", [Ok(json!([app("CREATE_COMPLETE", None, 2)]))]).await;
    assert!(results.text().contains(BAY), "{}", results.text());
    let (outcome, ..) = run("x app list", [Ok(Value::Null)]).await;
    assert_eq!(outcome.unwrap_err().exit_code(), 70);
}

#[tokio::test]
async fn tasks_and_versions_are_tables() {
    let task = json!({
        "app": "/web", "id": "web.1", "host": "h1", "ports": [31000, 31001], "state": "TASK_RUNNING",
        "healthy": true, "version": "v1", "staged_at": null, "started_at": "t", "agent_id": null, "addresses": [],
    });
    let (outcome, _, results, _) = run("x app tasks web --bay b", [Ok(json!([task]))]).await;
    outcome.unwrap();
    assert_eq!(
        results.text(),
        "ID     STATE         HEALTHY  HOST  PORTS         VERSION  STARTED_AT\n\
         web.1  TASK_RUNNING  true     h1    31000, 31001  v1       t\n"
    );
    let (_, _, results, _) = run("x app versions web --bay b", [Ok(json!(["v2", "v1"]))]).await;
    assert_eq!(results.text(), "VERSION\nv2\nv1\n");
    let (outcome, ..) = run("x app tasks web --bay b", [Ok(json!(["web.1"]))]).await;
    assert_eq!(outcome.unwrap_err().exit_code(), 70);
}

#[tokio::test]
async fn a_diagnosis_is_a_list_of_reasons() {
    let answer = json!({
        "uuid": UUID, "name": "web", "status": "UPDATE_FAILED", "running": false,
        "reasons": ["/web: 0 of 2 instances are running", "/web: the last failure: exited"],
        "last_failures": [],
    });
    let (outcome, _, results, _) = run("x app diagnose web --bay b", [Ok(answer.clone())]).await;
    outcome.unwrap();
    assert_eq!(
        results.text(),
        "web  UPDATE_FAILED  it is not running\n\
         - /web: 0 of 2 instances are running\n\
         - /web: the last failure: exited\n"
    );
    let (_, _, results, _) = run_as(Format::Json, "x app diagnose web --bay b", [Ok(answer.clone())]).await;
    assert_eq!(serde_json::from_str::<Value>(&results.text()).unwrap(), answer);
}

#[tokio::test]
async fn deployments_are_listed_and_ended() {
    let deployment = json!({
        "id": "d-1", "version": "v1", "apps": ["/web"], "current_step": 1, "total_steps": 2,
        "steps": [["ScaleApplication /web"]], "actions": ["ScaleApplication /web"],
    });
    let (outcome, conductor, results, _) = run("x deployment list --bay b", [Ok(json!([deployment]))]).await;
    outcome.unwrap();
    assert_eq!(conductor.args("deployment_list"), json!({"bay_ident": "b"}));
    assert!(results.text().contains("d-1  /web"), "{}", results.text());

    for (force, reverse, said) in [
        ("", json!("d-2"), "deployment d-1 is ended; deployment d-2 takes its changes back\n"),
        ("--force", Value::Null, "deployment d-1 is ended; what it changed stays\n"),
    ] {
        let line = format!("x deployment cancel d-1 --bay b {force}");
        let (outcome, conductor, _, notes) = run(&line, [Ok(json!({"deployment_id": reverse}))]).await;
        outcome.unwrap();
        let sent = json!({"bay_ident": "b", "deployment_id": "d-1", "force": !force.is_empty()});
        assert_eq!(conductor.args("deployment_cancel"), sent);
        assert_eq!(notes.text(), said);
    }
}
