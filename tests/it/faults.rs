//! What a cloud can do to the worker, and what the worker makes of it: one of each at the end, or nothing and the reason.

use std::time::{Duration, Instant};

use mesos_conductor::client::CallError;
use mesos_conductor_sandbox::known::{DEMO_PROJECT, DEMO_USER};
use mesos_conductor_sandbox::{Action, Config, Doom, Rule, Sandbox, Service};
use serde_json::{Value, json};

use crate::support::database::Backend;
use crate::support::peer::Peer;
use crate::support::worker::Worker;
use crate::support::{Caller, World, assert_remaining, data, eventually, failure_class, map, object};

/// Stacks that only move when told to.
fn still() -> Config {
    let long = Duration::from_secs(3600);
    Config { create_time: long, update_time: long, delete_time: long, ..Config::default() }
}

async fn still_world() -> World {
    World::with(Backend::Sqlite, still()).await
}

/// A worker, a caller, and a model to make bays from.
async fn begin(world: &World) -> (Worker, Caller<'_>, String) {
    let worker = world.worker().await;
    let caller = Caller::new(world).await;
    let model = caller.create_model().await;
    (worker, caller, model)
}

fn update_args(uuid: &str, node_count: i64) -> Value {
    json!({ "bay": object("Bay", "1.5", json!({ "uuid": uuid, "node_count": node_count })) })
}

fn message(error: &CallError) -> String {
    let CallError::Remote(failure) = error else { panic!("not a failure of the conductor: {error}") };
    failure.message.clone()
}

/// Creates, scales and deletes a bay while `rule` does its harm to one of the requests.
async fn a_bays_life_survives(rule: Rule) {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    world.sandbox.faults().add(rule);
    let uuid = caller.create_bay(&model).await;
    assert_eq!(caller.bays().await.len(), 1);
    assert_remaining(&world.sandbox, 1);
    caller.call("bay_update", update_args(&uuid, 4)).await.expect("the bay is scaled");
    let bay = caller.wait_for_status(&uuid, "UPDATE_COMPLETE").await;
    assert_eq!(data(&bay)["node_addresses"].as_array().map(Vec::len), Some(4));
    assert_remaining(&world.sandbox, 1);
    let answer = caller.call("bay_delete", json!({ "uuid": uuid })).await.expect("the bay is deleted");
    assert_eq!(answer, Value::Null);
    caller.wait_until_gone(&uuid).await;
    assert_remaining(&world.sandbox, 0);
    let hits: u32 = world.sandbox.faults().list().iter().map(|armed| armed.hits).sum();
    assert!(hits > 0, "the fault never came to pass");
    worker.stop().await;
}

macro_rules! survived {
    ($($name:ident: $service:ident $method:literal $path:literal, $action:expr;)+) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            a_bays_life_survives(Rule::new(Service::$service, $method, $path, $action).once()).await;
        }
    )+ };
}

// Heat sends whoever names a stack by its id on to its whole address, with two parts: there it takes effect.
survived! {
    the_answer_to_making_the_trustee_is_lost: Keystone "POST" "/users$", Action::ResetAfter;
    the_answer_to_making_the_trust_is_lost: Keystone "POST" "/trusts$", Action::ResetAfter;
    the_answer_to_making_the_stack_is_lost: Heat "POST" "/stacks$", Action::ResetAfter;
    the_answer_to_making_the_stack_is_garbage: Heat "POST" "/stacks$", Action::Garbage("<html>".to_owned());
    the_answer_to_updating_the_stack_is_lost: Heat "PATCH" "/stacks/*/", Action::ResetAfter;
    the_answer_to_deleting_the_stack_is_lost: Heat "DELETE" "/stacks/*/", Action::ResetAfter;
    the_answer_to_deleting_the_trust_is_lost: Keystone "DELETE" "/trusts/", Action::ResetAfter;
    the_answer_to_deleting_the_trustee_is_lost: Keystone "DELETE" "/users/", Action::ResetAfter;
    a_connection_closes_before_the_stack_is_made: Heat "POST" "/stacks$", Action::ResetBefore;
    a_log_in_is_refused_for_a_moment: Keystone "POST" "/auth/tokens$", Action::status(502);
    heat_never_answers_a_look: Heat "GET" "/stacks/", Action::Hang;
    heat_never_answers_the_creation: Heat "POST" "/stacks$", Action::Hang;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_asks_for_patience_gets_it() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let busy = Action::retry_after(503, Duration::from_secs(2));
    world.sandbox.faults().add(Rule::new(Service::Heat, "POST", "/stacks$", busy).once());
    caller.create_bay(&model).await;
    assert_remaining(&world.sandbox, 1);
    let requests = world.sandbox.requests();
    let asked: Vec<_> = requests.iter().filter(|seen| seen.is(Service::Heat, "POST", "/stacks$")).collect();
    assert_eq!(asked.len(), 2);
    assert!(asked[1].time - asked[0].time >= Duration::from_secs(2), "it was asked again too soon");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_revoked_while_a_stack_builds_are_replaced() {
    let world = still_world().await;
    let (worker, caller, model) = begin(&world).await;
    let bay = caller.call("bay_create", Caller::bay_args(&model, 2)).await.expect("the bay is accepted");
    let uuid = data(&bay)["uuid"].as_str().expect("a uuid").to_owned();
    let looked = |sandbox: &Sandbox| sandbox.count(Service::Heat, "GET", "/stacks/") >= 2;
    assert!(world.sandbox.wait_until(Duration::from_secs(30), looked).await);
    world.sandbox.revoke_all_tokens();
    world.sandbox.finish_stacks("");
    caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    assert_remaining(&world.sandbox, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callers_token_that_ends_before_the_stack_undoes_everything() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let slow = Rule::new(Service::Keystone, "POST", "/trusts$", Action::SlowAnswer(700)).once();
    world.sandbox.faults().add(slow);
    let revoke = async {
        let made = |sandbox: &Sandbox| !sandbox.trusts().is_empty();
        assert!(world.sandbox.wait_until(Duration::from_secs(30), made).await, "the trust is made");
        world.sandbox.revoke_all_tokens();
    };
    let (answer, ()) = tokio::join!(caller.call("bay_create", Caller::bay_args(&model, 2)), revoke);
    assert_eq!(failure_class(&answer.unwrap_err()), "AuthorizationFailure");
    assert!(caller.bays().await.is_empty(), "no row is left");
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_no_good_leaves_nothing() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let context = world.demo().with("auth_token", "not-a-token");
    let answer = caller.call_as(context, "bay_create", Caller::bay_args(&model, 2)).await;
    let error = answer.unwrap_err();
    assert!(["AuthorizationFailure", "TrustCreateFailed"].contains(&failure_class(&error)), "{error}");
    assert!(!message(&error).contains("not-a-token"), "{error}");
    assert!(caller.bays().await.is_empty());
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g32_what_heat_refuses_is_told_in_heats_words_and_undone() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let text = "Property error: resources.master.properties.flavor: 100% of %(name)s is \"wrong\"";
    let body = json!({ "code": 400, "title": "Bad Request", "explanation": "refused", "error": {
        "type": "StackValidationFailed", "message": text, "traceback": null } });
    let action = Action::Status { code: 400, body: body.to_string(), headers: [].into() };
    world.sandbox.faults().add(Rule::new(Service::Heat, "POST", "/stacks$", action));
    let error = caller.call("bay_create", Caller::bay_args(&model, 2)).await.unwrap_err();
    assert_eq!(failure_class(&error), "InvalidParameterValue");
    assert!(message(&error).contains(text), "{error}");
    assert!(caller.bays().await.is_empty());
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_heat_refuses_leaves_the_bay_as_it_was() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let uuid = caller.create_bay(&model).await;
    let body = json!({ "code": 400, "title": "Bad Request", "explanation": "refused", "error": {
        "type": "StackValidationFailed", "message": "too many", "traceback": null } });
    let action = Action::Status { code: 400, body: body.to_string(), headers: [].into() };
    world.sandbox.faults().add(Rule::new(Service::Heat, "PATCH", "/stacks/", action));
    let error = caller.call("bay_update", update_args(&uuid, 9)).await.unwrap_err();
    assert_eq!(
        (failure_class(&error), message(&error).contains("too many")),
        ("InvalidParameterValue", true)
    );
    let bay = caller.bay(&uuid).await.unwrap();
    assert_eq!((&data(&bay)["status"], &data(&bay)["node_count"]), (&json!("CREATE_COMPLETE"), &json!(2)));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_that_fails_stays_with_its_reason_until_deleted() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let reason = "Resource CREATE failed: Forbidden: resources.slaves: Quota exceeded, 100% used";
    world.sandbox.fail_stack(Doom::new("", reason));
    let bay = caller.call("bay_create", Caller::bay_args(&model, 2)).await.expect("the stack was accepted");
    let uuid = data(&bay)["uuid"].as_str().expect("a uuid").to_owned();
    let bay = caller.wait_for_status(&uuid, "CREATE_FAILED").await;
    let said = data(&bay)["status_reason"].as_str().unwrap_or_default().to_owned();
    assert!(said.contains(reason), "{said}");
    assert_remaining(&world.sandbox, 1);
    assert_eq!(caller.call("bay_delete", json!({ "uuid": uuid })).await.unwrap(), Value::Null);
    caller.wait_until_gone(&uuid).await;
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

/// The bay of a stack that somebody removed while `command` was waiting for it.
async fn after_the_stack_went(command: Option<&str>, status: &str) {
    let world = still_world().await;
    let (worker, caller, model) = begin(&world).await;
    let bay = caller.call("bay_create", Caller::bay_args(&model, 2)).await.expect("the bay is accepted");
    let uuid = data(&bay)["uuid"].as_str().expect("a uuid").to_owned();
    if let Some(command) = command {
        world.sandbox.finish_stacks("");
        caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
        caller.call(command, update_args(&uuid, 5)).await.expect("the update is accepted");
    }
    let id = world.sandbox.stacks()[0].id.clone();
    assert!(world.sandbox.remove_stack(&id));
    let bay = caller.wait_for_status(&uuid, status).await;
    let reason = data(&bay)["status_reason"].as_str().unwrap_or_default();
    assert!(reason.contains(&id) && reason.contains("not found"), "{reason}");
    assert_eq!(caller.call("bay_delete", json!({ "uuid": uuid })).await.unwrap(), Value::Null);
    caller.wait_until_gone(&uuid).await;
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_removed_during_create_fails_the_bay() {
    after_the_stack_went(None, "CREATE_FAILED").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_removed_during_update_fails_the_bay() {
    after_the_stack_went(Some("bay_update"), "UPDATE_FAILED").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_removed_during_delete_is_what_delete_wants() {
    let world = still_world().await;
    let (worker, caller, model) = begin(&world).await;
    let bay = caller.call("bay_create", Caller::bay_args(&model, 2)).await.expect("the bay is accepted");
    let uuid = data(&bay)["uuid"].as_str().expect("a uuid").to_owned();
    world.sandbox.finish_stacks("");
    caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    caller.call("bay_delete", json!({ "uuid": uuid })).await.expect("the delete is accepted");
    assert_eq!(data(&caller.bay(&uuid).await.unwrap())["status"], "DELETE_IN_PROGRESS");
    let id = world.sandbox.stacks()[0].id.clone();
    assert!(world.sandbox.remove_stack(&id));
    caller.wait_until_gone(&uuid).await;
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_that_cannot_be_deleted_leaves_a_bay_to_delete_again() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let uuid = caller.create_bay(&model).await;
    world.sandbox.fail_stack(Doom::new("", "Resource DELETE failed: volume in use"));
    caller.call("bay_delete", json!({ "uuid": uuid })).await.expect("the delete is accepted");
    let bay = caller.wait_for_status(&uuid, "DELETE_FAILED").await;
    assert!(data(&bay)["status_reason"].as_str().unwrap_or_default().contains("volume in use"), "{bay}");
    assert_remaining(&world.sandbox, 1);
    caller.call("bay_delete", json!({ "uuid": uuid })).await.expect("the delete is accepted");
    caller.wait_until_gone(&uuid).await;
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bay_whose_trustee_was_removed_can_be_deleted() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let uuid = caller.create_bay(&model).await;
    assert!(world.sandbox.remove_user(&world.sandbox.trustees()[0].id));
    assert!(world.sandbox.trusts().is_empty());
    assert_eq!(caller.call("bay_delete", json!({ "uuid": uuid })).await.unwrap(), Value::Null);
    caller.wait_until_gone(&uuid).await;
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bay_whose_trust_was_removed_can_be_deleted() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let uuid = caller.create_bay(&model).await;
    let trust = world.sandbox.trusts()[0].id.clone();
    let url = format!("{}/OS-TRUST/trusts/{trust}", world.sandbox.auth_url());
    let token = world.sandbox.issue_token(DEMO_USER, DEMO_PROJECT);
    let removed = reqwest::Client::new().delete(url).header("x-auth-token", token).send().await.unwrap();
    assert!(removed.status().is_success(), "{removed:?}");
    assert_eq!(caller.call("bay_delete", json!({ "uuid": uuid })).await.unwrap(), Value::Null);
    caller.wait_until_gone(&uuid).await;
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undo_that_fails_for_a_while_is_finished_all_the_same() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    let faults = world.sandbox.faults();
    faults.add(Rule::new(Service::Heat, "POST", "/stacks$", Action::status(400)));
    faults.add(Rule::new(Service::Keystone, "DELETE", "/trusts/", Action::status(500)).times(2));
    faults.add(Rule::new(Service::Keystone, "DELETE", "/users/", Action::ResetAfter).once());
    caller.call("bay_create", Caller::bay_args(&model, 2)).await.unwrap_err();
    assert!(caller.bays().await.is_empty());
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cast_whose_create_fails_leaves_nothing_either() {
    let world = World::new().await;
    let (worker, caller, model) = begin(&world).await;
    world.sandbox.faults().add(Rule::new(Service::Heat, "POST", "/stacks$", Action::status(403)));
    caller.client.cast("bay_create", map(Caller::bay_args(&model, 2)), world.options()).await.unwrap();
    let refused = |sandbox: &Sandbox| sandbox.count(Service::Keystone, "DELETE", "/users/") >= 1;
    assert!(world.sandbox.wait_until(Duration::from_secs(30), refused).await, "it is undone");
    let gone = eventually(|| async { caller.bays().await.is_empty().then_some(()) });
    assert!(gone.await.is_some());
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_that_goes_slowly_does_not_use_up_the_time_of_what_follows() {
    let cloud = Config { delete_time: Duration::from_secs(5), ..Config::default() };
    let world = World::with(Backend::Sqlite, cloud).await;
    let configuration = world.configuration("");
    let limited = configuration.replace("[conductor]\n", "[conductor]\noperation_deadline = \"3s\"\n");
    assert_ne!(limited, configuration);
    let worker = Worker::start_with(&world, &limited, None).await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let uuid = caller.create_bay(&model).await;
    let busy = Rule::new(Service::Keystone, "DELETE", "/trusts/", Action::status(503)).once();
    world.sandbox.faults().add(busy);
    caller.call("bay_delete", json!({ "uuid": uuid })).await.expect("the delete is accepted");
    caller.wait_until_gone(&uuid).await;
    assert_remaining(&world.sandbox, 0);
    worker.stop().await;
}

/// A worker that gives what does not work three seconds, a caller, and a model to make bays from.
async fn begin_limited(world: &World) -> (Worker, Caller<'_>, String) {
    let configuration = world.configuration("");
    let limited = configuration.replace("[conductor]\n", "[conductor]\noperation_deadline = \"3s\"\n");
    assert_ne!(limited, configuration);
    let worker = Worker::start_with(world, &limited, None).await;
    let caller = Caller::new(world).await;
    let model = caller.create_model().await;
    (worker, caller, model)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_look_at_a_stack_that_takes_long_is_not_the_last() {
    let world = still_world().await;
    let (worker, caller, model) = begin_limited(&world).await;
    let bay = caller.call("bay_create", Caller::bay_args(&model, 2)).await.expect("the bay is accepted");
    let uuid = data(&bay)["uuid"].as_str().expect("a uuid").to_owned();
    // The stack takes longer than anything else may.
    let until = Instant::now() + Duration::from_secs(4);
    let long = |_: &Sandbox| Instant::now() > until;
    assert!(world.sandbox.wait_until(Duration::from_secs(30), long).await);
    let refused = Rule::new(Service::Heat, "GET", "/stacks", Action::status(403)).times(3);
    world.sandbox.faults().add(refused);
    let looked = |sandbox: &Sandbox| sandbox.faults().list().iter().any(|armed| armed.hits >= 3);
    assert!(world.sandbox.wait_until(Duration::from_secs(30), looked).await, "nobody looked");
    world.sandbox.finish_stacks("");
    caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    worker.stop().await;
}

/// Scales a bay from two agents to four while no answer to it is ever heard, for longer than the deadline.
async fn an_unheard_update(action: Action) -> (World, String) {
    let world = World::new().await;
    let (worker, caller, model) = begin_limited(&world).await;
    let uuid = caller.create_bay(&model).await;
    world.sandbox.faults().add(Rule::new(Service::Heat, "PATCH", "/stacks/*/", action));
    world.sandbox.faults().add(Rule::new(Service::Heat, "GET", "/stacks", Action::status(503)));
    let unheard = caller.client.cast("bay_update", map(update_args(&uuid, 4)), world.options()).await;
    unheard.expect("it is sent");
    let settling = eventually(async || {
        (world.database.texts("SELECT step FROM operation WHERE kind = 'bay_update'").await == ["settle"])
            .then_some(())
    });
    assert!(settling.await.is_some(), "{}", worker.log_text());
    world.sandbox.faults().clear();
    let ended = eventually(async || {
        let running = "SELECT uuid FROM operation WHERE state = 'running'";
        world.database.texts(running).await.is_empty().then_some(())
    });
    assert!(ended.await.is_some(), "{}", worker.log_text());
    worker.stop().await;
    (world, uuid)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_took_effect_unheard_is_complete() {
    let (world, uuid) = an_unheard_update(Action::ResetAfter).await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let bay = caller.wait_for_status(&uuid, "UPDATE_COMPLETE").await;
    assert_eq!(data(&bay)["node_count"], 4);
    assert_eq!(data(&bay)["node_addresses"].as_array().map(Vec::len), Some(4));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_never_took_effect_leaves_the_bay_as_it_was() {
    let (world, uuid) = an_unheard_update(Action::status(503)).await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let bay = caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    assert_eq!(data(&bay)["node_count"], 2);
    let reason = world.database.texts("SELECT reason FROM operation WHERE kind = 'bay_update'").await;
    assert!(reason[0].contains("Gave up"), "{reason:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_method_breaks_off_is_answered_once_and_for_all() {
    let world = World::new().await;
    let worker = world.doomed_worker("panic:request/bay_create/begin").await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let peer = Peer::open(&world).await;
    let request = peer.request(&world, "bay_create", Caller::bay_args(&model, 2));
    peer.send(&request).await;
    let replies = peer.replies(1).await;
    let text = String::from_utf8_lossy(&replies[0]).into_owned();
    assert!(text.contains("The request broke off"), "{text}");
    worker.stop().await;
    // Where it would not break off, its repeat hears the same.
    let worker = world.worker().await;
    peer.send(&request).await;
    assert_eq!(peer.replies(2).await[1], replies[0]);
    assert!(caller.bays().await.is_empty());
    worker.stop().await;
}

/// Whoever breaks off with a lease in hand does not prolong it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_whose_record_breaks_off_goes_on_when_its_lease_ends() {
    let world = World::new().await;
    let worker = world.doomed_worker("panic:bay_create/stack/committed").await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    let uuid = caller.create_bay(&model).await;
    caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    assert!(worker.logged("fault point").await, "it never broke off");
    assert_remaining(&world.sandbox, 1);
    worker.stop().await;
}
