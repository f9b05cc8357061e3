use std::time::Duration;

use super::*;
use crate::cli::{
    self,
    output::Format,
    tests::{Printed, Scripted, failure, output, parse},
};

const UUID: &str = "7f3e7f5c-0c35-4b1c-9d0e-000000000001";

fn bay(status: &str, reason: Option<&str>) -> Value {
    json!({
        "magnum_object.name": "Bay",
        "magnum_object.namespace": "magnum",
        "magnum_object.version": "1.5",
        "magnum_object.data": {
            "uuid": UUID, "name": "b", "status": status, "status_reason": reason, "node_count": 1,
            "master_count": 1, "api_address": "10.0.0.1", "node_addresses": ["10.0.0.2"],
        },
    })
}

fn model() -> Value {
    json!({
        "magnum_object.name": "BayModel",
        "magnum_object.namespace": "magnum",
        "magnum_object.version": "1.10",
        "magnum_object.data": { "uuid": "m-1", "name": "m" },
    })
}

fn context() -> RequestContext {
    RequestContext::default().with("project_id", "p-1").with("user_id", "u-1")
}

/// Runs a command line against prepared answers.
async fn run(
    line: &str,
    answers: impl IntoIterator<Item = Result<Value, Error>>,
) -> (Result<(), Error>, Scripted, Printed, Printed) {
    let conductor = Scripted::new(answers);
    let (mut output, results, progress) = output(Format::Table, false);
    let cli::Command::Bay(command) = parse(line) else { panic!("{line}") };
    let outcome = command.run_on(&conductor, &context(), &mut output).await;
    (outcome, conductor, results, progress)
}

#[tokio::test(start_paused = true)]
async fn create_waits_for_the_end_and_shows_each_state_once() {
    let (outcome, conductor, results, progress) = run(
        "x bay create --name b --baymodel m --node-count 2 --timeout 9",
        [
            Ok(model()),
            Ok(bay("CREATE_IN_PROGRESS", None)),
            Ok(bay("CREATE_IN_PROGRESS", None)),
            Ok(bay("CREATE_IN_PROGRESS", None)),
            Ok(bay("CREATE_COMPLETE", None)),
        ],
    )
    .await;
    outcome.unwrap();
    let looks = ["Bay.get_by_uuid"; 3];
    assert_eq!(conductor.methods(), [&["BayModel.get_by_name", "bay_create"], &looks[..]].concat());

    let args = conductor.args("bay_create");
    assert_eq!(args["bay_create_timeout"], 9);
    let sent = &args["bay"]["magnum_object.data"];
    assert_eq!((&sent["baymodel_id"], &sent["node_count"]), (&json!("m-1"), &json!(2)));
    assert_eq!((&sent["project_id"], &sent["user_id"]), (&json!("p-1"), &json!("u-1")));

    assert_eq!(progress.text(), "   0 s  b  CREATE_IN_PROGRESS\n   2 s  b  CREATE_COMPLETE\n");
    assert!(results.text().contains("status          CREATE_COMPLETE\n"), "{}", results.text());
    assert!(results.text().contains("node_addresses  10.0.0.2\n"), "{}", results.text());
}

#[tokio::test]
async fn no_wait_prints_what_the_conductor_answered() {
    let answers = [Ok(model()), Ok(bay("CREATE_IN_PROGRESS", None))];
    let (outcome, conductor, results, _) = run("x bay create --baymodel m --no-wait", answers).await;
    outcome.unwrap();
    assert_eq!(conductor.methods().len(), 2);
    assert!(results.text().contains("CREATE_IN_PROGRESS"));
}

#[tokio::test(start_paused = true)]
async fn a_create_that_fails_says_why() {
    let answers =
        [Ok(model()), Ok(bay("CREATE_IN_PROGRESS", None)), Ok(bay("CREATE_FAILED", Some("no valid host")))];
    let (outcome, _, results, _) = run("x bay create --baymodel m", answers).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert_eq!(error.to_string(), "b  CREATE_FAILED  no valid host");
    assert!(results.text().contains("no valid host"), "the bay is shown all the same");

    let gone = [Ok(model()), Ok(bay("CREATE_IN_PROGRESS", None)), failure("BayNotFound", "gone")];
    let (outcome, ..) = run("x bay create --baymodel m", gone).await;
    assert!(outcome.unwrap_err().to_string().contains("is gone"));

    let refused = [Ok(model()), failure("InvalidParameterValue", "bad flavor")];
    let (outcome, ..) = run("x bay create --baymodel m", refused).await;
    assert_eq!(outcome.unwrap_err().to_string(), "the conductor says: InvalidParameterValue: bad flavor");
}

#[tokio::test(start_paused = true)]
async fn waiting_survives_a_worker_that_restarts_but_not_one_that_stays_away() {
    let silence =
        || Err(Error::TimedOut { method: "object_class_action".to_owned(), waited: Duration::ZERO });
    let mut answers = vec![Ok(model()), Ok(bay("CREATE_IN_PROGRESS", None))];
    answers.extend([silence(), silence(), Ok(bay("CREATE_IN_PROGRESS", None)), silence()]);
    answers.push(Ok(bay("CREATE_COMPLETE", None)));
    let (outcome, ..) = run("x bay create --baymodel m", answers).await;
    outcome.unwrap();

    let mut answers = vec![Ok(model()), Ok(bay("CREATE_IN_PROGRESS", None))];
    answers.extend((0..6).map(|_| silence()));
    let (outcome, ..) = run("x bay create --baymodel m", answers).await;
    assert_eq!(outcome.unwrap_err().exit_code(), 75);
}

#[tokio::test(start_paused = true)]
async fn update_changes_the_node_count_and_nothing_else() {
    let answers = [
        Ok(bay("CREATE_COMPLETE", None)),
        Ok(bay("UPDATE_IN_PROGRESS", None)),
        Ok(bay("UPDATE_COMPLETE", None)),
    ];
    let (outcome, conductor, ..) = run(&format!("x bay update {UUID} --node-count 3"), answers).await;
    outcome.unwrap();
    let sent = &conductor.args("bay_update")["bay"];
    assert_eq!(sent["magnum_object.changes"], json!(["node_count"]));
    assert_eq!(sent["magnum_object.data"]["node_count"], 3);
    assert_eq!(conductor.methods(), ["Bay.get_by_uuid", "bay_update", "Bay.get_by_uuid"]);
}

#[tokio::test(start_paused = true)]
async fn delete_waits_until_the_bay_is_gone() {
    let answers = [
        Ok(bay("CREATE_COMPLETE", None)),
        Ok(Value::Null),
        Ok(bay("DELETE_IN_PROGRESS", None)),
        failure("BayNotFound", "gone"),
    ];
    let (outcome, conductor, _, progress) = run("x bay delete b", answers).await;
    outcome.unwrap();
    assert_eq!(conductor.args("bay_delete"), json!({ "uuid": UUID }), "by uuid, whatever it was called by");
    assert!(progress.text().ends_with(&format!("bay {UUID} is deleted\n")), "{}", progress.text());

    let stuck =
        [Ok(bay("CREATE_COMPLETE", None)), Ok(Value::Null), Ok(bay("DELETE_FAILED", Some("network in use")))];
    let (outcome, ..) = run("x bay delete b", stuck).await;
    assert!(outcome.unwrap_err().to_string().contains("DELETE_FAILED  network in use"));
}

#[tokio::test]
async fn list_pages_after_a_marker_as_the_api_does() {
    let answers = [Ok(bay("CREATE_COMPLETE", None)), Ok(json!([bay("CREATE_COMPLETE", None)]))];
    let (outcome, conductor, results, _) =
        run("x bay list --limit 2 --marker b --sort-key name --sort-dir desc", answers).await;
    outcome.unwrap();
    assert_eq!(conductor.methods(), ["Bay.get_by_name", "Bay.list"]);
    assert!(results.text().starts_with("UUID"), "{}", results.text());
    assert!(results.text().contains(UUID));
}

#[tokio::test]
async fn an_answer_that_is_no_bay_is_a_fault_of_the_conductor() {
    let (outcome, ..) = run("x bay show b", [Ok(json!({"x": 1}))]).await;
    assert_eq!(outcome.unwrap_err().exit_code(), 70);
    let (outcome, ..) = run("x bay list", [Ok(Value::Null)]).await;
    assert!(outcome.unwrap_err().to_string().contains("a list was asked for, and null came"));
}

#[tokio::test]
async fn a_model_is_created_with_what_the_conductor_filled_in() {
    let conductor = Scripted::new([Ok(json!([{"uuid": "m-9", "obj_what_changed": []}, null]))]);
    let (mut output, results, _) = output(Format::Json, false);
    let line = "x baymodel create --name m --image i --flavor f --external-network n --label a=b --label \
        c=d=e --public";
    let cli::Command::BayModel(command) = parse(line) else { panic!() };
    command.run_on(&conductor, &context(), &mut output).await.unwrap();
    let args = conductor.args("object_action");
    assert_eq!(args["objmethod"], "create");
    let sent = &args["objinst"]["magnum_object.data"];
    assert_eq!(sent["labels"], json!({"a": "b", "c": "d=e"}));
    assert_eq!((&sent["coe"], &sent["public"]), (&json!("mesos"), &json!(true)));
    let shown: Value = serde_json::from_str(&results.text()).unwrap();
    assert_eq!((&shown["uuid"], &shown["name"]), (&json!("m-9"), &json!("m")));
}
