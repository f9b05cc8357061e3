//! Bays that get smaller: which agents go, what becomes of what runs on them, and what is left when it goes wrong.

use std::sync::Arc;
use std::time::Duration;

use mesos_conductor::bay::Bay;
use mesos_conductor::framework::credentials::{Keyring, Login};
use mesos_conductor::framework::marathon::Limits;
use mesos_conductor::framework::{Directory, Frameworks, Settings};
use mesos_conductor_sandbox::known::{DEMO_PROJECT, DEMO_USER};
use mesos_conductor_sandbox::{
    Action, Config, Doom, Marathon, MarathonConfig, Rule, Sandbox, Service, Stack, StackAction,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::Town;
use crate::support::database::Backend;
use crate::support::worker::Worker;
use crate::support::{Caller, World, data, eventually, failure_class, map, object};

const ENOUGH: Duration = Duration::from_secs(10);

/// A world whose bays' masters are of that release of Mesos.
async fn with_mesos(version: &'static str) -> World {
    let bays = MarathonConfig { mesos_version: version, ..MarathonConfig::default() };
    World::with(Backend::Sqlite, Config { bays: Some(bays), ..Config::default() }).await
}

/// A worker with these options in its section `[conductor]`.
async fn worker(world: &World, options: &str) -> Worker {
    let configuration =
        world.configuration("").replace("[conductor]\n", &format!("[conductor]\n{options}\n"));
    Worker::start_with(world, &configuration, None).await
}

/// A bay with so many agents.
async fn bay(caller: &Caller<'_>, agents: i64) -> String {
    let model = caller.create_model().await;
    let bay = caller.call("bay_create", Caller::bay_args(&model, agents)).await.expect("the bay is created");
    let uuid = data(&bay)["uuid"].as_str().expect("a uuid").to_owned();
    caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    uuid
}

fn scale(uuid: &str, agents: i64) -> Value {
    json!({ "bay": object("Bay", "1.5", json!({ "uuid": uuid, "node_count": agents })) })
}

async fn scaled(caller: &Caller<'_>, uuid: &str, agents: i64) -> Value {
    caller.call("bay_update", scale(uuid, agents)).await.expect("the update is accepted");
    let bay = caller.wait_for_status(uuid, "UPDATE_COMPLETE").await;
    assert_eq!(data(&bay)["node_count"], agents);
    data(&bay).clone()
}

fn stack(sandbox: &Sandbox) -> Stack {
    sandbox.stacks().into_iter().next().expect("the bay has a stack")
}

fn marathon(sandbox: &Sandbox) -> Marathon {
    sandbox.marathons().into_iter().next().expect("the bay has a Marathon")
}

/// The agents' indexes in their group: which members of it there are.
fn indexes(sandbox: &Sandbox) -> Vec<u32> {
    stack(sandbox).slaves.iter().map(|slave| slave.index).collect()
}

fn address(sandbox: &Sandbox, index: u32) -> String {
    let slaves = stack(sandbox).slaves;
    slaves.iter().find(|slave| slave.index == index).expect("that member is there").private_ip.clone()
}

fn reason(bay: &Value) -> &str {
    bay["status_reason"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g17_the_agent_that_runs_nothing_is_the_one_that_disappears() {
    let world = World::new().await;
    let worker = worker(&world, "").await;
    let caller = Caller::new(&world).await;
    let uuid = bay(&caller, 4).await;
    let idle = address(&world.sandbox, 1);
    for busy in [0, 2, 3] {
        assert!(marathon(&world.sandbox).occupy(&address(&world.sandbox, busy), 1));
    }
    let bay = scaled(&caller, &uuid, 3).await;
    assert_eq!(indexes(&world.sandbox), [0, 2, 3], "the member with the highest index stays: it has work");
    assert_eq!(stack(&world.sandbox).parameters["slaves_to_remove"], idle);
    assert!(!bay["node_addresses"].as_array().unwrap().contains(&json!(idle)));
    assert_eq!(world.sandbox.count(Service::Mesos, "POST", "/api/v1"), 1, "nobody else is bothered");
    assert_eq!(marathon(&world.sandbox).closed(), [""; 0]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g18_the_agent_that_the_caller_named_is_the_one_that_disappears() {
    let world = World::new().await;
    let worker = worker(&world, "drain_deadline = \"1s\"").await;
    let caller = Caller::new(&world).await;
    let uuid = bay(&caller, 3).await;
    let named = address(&world.sandbox, 1);
    let naming = |agents: i64, names: &[&str]| {
        let mut args = scale(&uuid, agents);
        args["nodes_to_remove"] = json!(names);
        args
    };
    for (agents, names) in [
        (3, vec![&*named]),
        (4, vec![&*named]),
        (2, vec!["10.9.9.9"]),
        (2, vec![&*named, &address(&world.sandbox, 0)]),
    ] {
        let error = caller.call("bay_update", naming(agents, &names)).await.expect_err("it cannot be done");
        assert_eq!(failure_class(&error), "InvalidParameterValue", "{agents} {names:?}: {error}");
        let bay = caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
        assert_eq!(data(&bay)["node_count"], 3);
    }
    assert_eq!(indexes(&world.sandbox), [0, 1, 2]);
    // It has work, and the others have none.
    assert!(marathon(&world.sandbox).occupy(&named, 1));
    caller.call("bay_update", naming(2, &[&named])).await.expect("the update is accepted");
    caller.wait_for_status(&uuid, "UPDATE_COMPLETE").await;
    assert_eq!(indexes(&world.sandbox), [0, 2]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g17_the_next_update_names_nobody_and_a_place_is_not_used_again() {
    let world = World::new().await;
    let worker = worker(&world, "").await;
    let caller = Caller::new(&world).await;
    let uuid = bay(&caller, 2).await;
    assert!(marathon(&world.sandbox).occupy(&address(&world.sandbox, 1), 1));
    scaled(&caller, &uuid, 1).await;
    assert_eq!(indexes(&world.sandbox), [1]);
    let asked = world.sandbox.count(Service::Mesos, "GET", "/state");
    caller.call("bay_update", scale(&uuid, 3)).await.expect("the update is accepted");
    let grown = eventually(|| async { (indexes(&world.sandbox).len() == 3).then_some(()) });
    assert!(grown.await.is_some(), "{:?}", indexes(&world.sandbox));
    assert_eq!(indexes(&world.sandbox), [1, 2, 3]);
    assert_eq!(stack(&world.sandbox).parameters["slaves_to_remove"], "");
    assert_eq!(world.sandbox.count(Service::Mesos, "GET", "/state"), asked, "who grows asks no master");
    worker.stop().await;
}

#[tokio::test]
async fn g19_the_mesos_master_that_leads_is_asked_and_found_among_several() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let sandbox = Sandbox::start(Config::default()).await.unwrap();
    let marathon =
        sandbox.start_marathon("town", MarathonConfig { nodes: 3, ..MarathonConfig::default() }).unwrap();
    let mut masters = marathon.mesos_urls();
    masters.reverse();
    let bay = Bay { uuid: Uuid::new_v4(), master_addresses: masters, ..Bay::default() };
    let settings = Settings {
        port: 8080,
        tls_port: 8443,
        mesos_port: 5050,
        mesos_login: Login::None,
        credentials: Keyring::default(),
        connect_timeout: ENOUGH,
        limits: Limits { request_timeout: ENOUGH, events_silence: ENOUGH, event_size: 1 << 20 },
    };
    let agents = Directory::new(settings, Arc::new(()), Arc::new(())).agents_of(&bay).await.unwrap();
    let census = agents.census(ENOUGH).await.unwrap();
    assert_eq!(census.agents.len(), marathon.agents().len());
    let answers: Vec<_> = sandbox.requests().iter().map(|asked| (asked.service, asked.status)).collect();
    let sent_on = (Service::Mesos, Some(307));
    assert_eq!(answers, [sent_on, sent_on, (Service::Mesos, Some(200))]);
    // A change is sent to one master after the other too, since one that sends us on has done nothing.
    agents.close(&census, &census.agents[..1], ENOUGH).await.unwrap();
    assert_eq!(marathon.closed(), [census.agents[0].id.hostname.as_str()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g20_busy_agents_are_emptied_before_they_go() {
    let world = World::new().await;
    let worker = worker(&world, "").await;
    let caller = Caller::new(&world).await;
    let uuid = bay(&caller, 2).await;
    let town = Town::of(&caller, &uuid);
    let mut manifest = crate::support::app::manifest("/web");
    manifest["instances"] = json!(4);
    town.run("web", &manifest).await;
    // Both have work; the first one has less.
    assert!(marathon(&world.sandbox).occupy(&address(&world.sandbox, 1), 3));
    let stays = address(&world.sandbox, 1);
    scaled(&caller, &uuid, 1).await;
    assert_eq!(indexes(&world.sandbox), [1]);
    let moved = eventually(|| async {
        let app = marathon(&world.sandbox).app("/web")?;
        let tasks = app["tasks"].as_array()?;
        let there = tasks.iter().all(|task| task["host"] == json!(stays) && task["state"] == "TASK_RUNNING");
        (tasks.len() == 4 && there).then_some(())
    });
    assert!(moved.await.is_some(), "{:?}", marathon(&world.sandbox).app("/web"));
    let events = marathon(&world.sandbox).events();
    let lost = events.iter().filter(|event| event.body["taskStatus"] == "TASK_LOST").count();
    assert_eq!(lost, 0, "no task was lost with its agent");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g20_an_older_mesos_is_told_of_maintenance_and_marathon_moves_its_tasks() {
    let world = with_mesos("1.8.1").await;
    let worker = worker(&world, "").await;
    let caller = Caller::new(&world).await;
    let uuid = bay(&caller, 2).await;
    let town = Town::of(&caller, &uuid);
    let mut manifest = crate::support::app::manifest("/web");
    manifest["instances"] = json!(4);
    town.run("web", &manifest).await;
    assert!(marathon(&world.sandbox).occupy(&address(&world.sandbox, 1), 3));
    let theirs = json!({ "windows": [{
        "machine_ids": [{ "hostname": "elsewhere", "ip": "192.0.2.9" }],
        "unavailability": { "start": { "nanoseconds": 7 } },
    }] });
    plan(&world.sandbox, &theirs).await;
    scaled(&caller, &uuid, 1).await;
    assert_eq!(indexes(&world.sandbox), [1]);
    assert_eq!(marathon(&world.sandbox).closed(), ["elsewhere"], "what was planned by others is left");
    assert_eq!(world.sandbox.count(Service::Mesos, "POST", "/machine/down"), 1);
    let events = marathon(&world.sandbox).events();
    let lost = events.iter().filter(|event| event.body["taskStatus"] == "TASK_LOST").count();
    assert_eq!(lost, 0, "no task was lost with its agent");
    worker.stop().await;
}

/// Posts a maintenance schedule, as an operator would.
async fn plan(sandbox: &Sandbox, schedule: &Value) {
    let url = format!("{}/maintenance/schedule", marathon(sandbox).mesos_urls()[0]);
    let answer = reqwest::Client::new().post(url).json(schedule).send().await.expect("the master answers");
    assert!(answer.status().is_success(), "{:?}", answer.text().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g20_past_the_deadline_agents_go_with_what_they_run_and_the_bay_says_so() {
    let world = World::new().await;
    let worker = worker(&world, "drain_deadline = \"300ms\"").await;
    let caller = Caller::new(&world).await;
    let uuid = bay(&caller, 2).await;
    let (less, more) = (address(&world.sandbox, 0), address(&world.sandbox, 1));
    assert!(marathon(&world.sandbox).occupy_for_good(&less, 1));
    assert!(marathon(&world.sandbox).occupy_for_good(&more, 2));
    let bay = scaled(&caller, &uuid, 1).await;
    assert_eq!(indexes(&world.sandbox), [1]);
    let told = format!("The agents that were to go were not empty within 0.3 s ({less}: 1 tasks).");
    assert!(reason(&bay).contains(&told), "{bay}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g20_past_the_deadline_agents_may_stay_and_get_work_again() {
    let world = World::new().await;
    let worker = worker(&world, "drain_deadline = \"300ms\"\ndrain_on_deadline = \"fail\"").await;
    let caller = Caller::new(&world).await;
    let uuid = bay(&caller, 2).await;
    let hosts = [address(&world.sandbox, 0), address(&world.sandbox, 1)];
    assert!(marathon(&world.sandbox).occupy_for_good(&hosts[0], 2));
    assert!(marathon(&world.sandbox).occupy_for_good(&hosts[1], 1));
    // What the caller hears depends on whether the deadline or the answer comes first.
    let unheard = caller.client.cast("bay_update", map(scale(&uuid, 1)), world.options()).await;
    unheard.expect("it is sent");
    let waits = eventually(|| async {
        worker.log_text().contains("the draining of agents is given up").then_some(())
    });
    assert!(waits.await.is_some(), "{}", worker.log_text());
    assert_eq!(marathon(&world.sandbox).closed(), [hosts[1].as_str()]);
    // Draining cannot be called off: not before the last task is gone is the agent given work again.
    marathon(&world.sandbox).vacate(&hosts[1]);
    let bay = caller.wait_for_status(&uuid, "CREATE_COMPLETE").await;
    assert_eq!(data(&bay)["node_count"], 2);
    assert_eq!(indexes(&world.sandbox), [0, 1]);
    assert_eq!(marathon(&world.sandbox).closed(), [""; 0]);
    assert_eq!(world.sandbox.count(Service::Heat, "PATCH", "/stacks"), 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g20_when_no_master_answers_the_highest_index_goes_and_the_bay_says_so() {
    let world = World::new().await;
    let worker = worker(&world, "").await;
    let caller = Caller::new(&world).await;
    let uuid = bay(&caller, 2).await;
    mute(&world.sandbox);
    let bay = scaled(&caller, &uuid, 1).await;
    assert_eq!(indexes(&world.sandbox), [0]);
    assert!(reason(&bay).contains("What runs on the agents was not known"), "{bay}");
    assert!(reason(&bay).starts_with("Stack UPDATE completed successfully"), "{bay}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g20_when_no_master_answers_the_update_may_be_refused() {
    let world = World::new().await;
    let worker = worker(&world, "drain_unreachable = \"fail\"").await;
    let caller = Caller::new(&world).await;
    let uuid = bay(&caller, 2).await;
    mute(&world.sandbox);
    let error = caller.call("bay_update", scale(&uuid, 1)).await.expect_err("it is refused");
    assert_eq!(failure_class(&error), "FrameworkUnavailable");
    let bay = caller.bay(&uuid).await.unwrap();
    assert_eq!((&data(&bay)["status"], &data(&bay)["node_count"]), (&json!("CREATE_COMPLETE"), &json!(2)));
    assert_eq!(world.sandbox.count(Service::Heat, "PATCH", "/stacks"), 0);
    worker.stop().await;
}

/// No master says anything any more.
fn mute(sandbox: &Sandbox) {
    let refuse = Action::Status { code: 503, body: String::new(), headers: [].into() };
    sandbox.faults().add(Rule::new(Service::Mesos, "GET", "/state", refuse));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g20_agents_get_work_again_when_heat_fails_or_refuses_the_update() {
    for version in ["1.11.0", "1.8.1"] {
        let world = with_mesos(version).await;
        let worker = worker(&world, "").await;
        let caller = Caller::new(&world).await;
        let uuid = bay(&caller, 2).await;
        let body = json!({ "code": 400, "title": "Bad Request", "explanation": "refused", "error": {
            "type": "StackValidationFailed", "message": "no quota, 100%", "traceback": null } });
        let refuse = Action::Status { code: 400, body: body.to_string(), headers: [].into() };
        let rule = world.sandbox.faults().add(Rule::new(Service::Heat, "PATCH", "/stacks", refuse));
        let error = caller.call("bay_update", scale(&uuid, 1)).await.expect_err("Heat refuses it");
        assert_eq!(failure_class(&error), "InvalidParameterValue", "{error}");
        assert_eq!(marathon(&world.sandbox).closed(), [""; 0], "{version}");
        let bay = caller.bay(&uuid).await.unwrap();
        assert_eq!(
            (&data(&bay)["status"], &data(&bay)["node_count"]),
            (&json!("CREATE_COMPLETE"), &json!(2))
        );
        world.sandbox.faults().remove(rule);

        world.sandbox.fail_stack(Doom::new("", "no host").of(StackAction::Update));
        caller.call("bay_update", scale(&uuid, 1)).await.expect("the update is accepted");
        let bay = caller.wait_for_status(&uuid, "UPDATE_FAILED").await;
        assert!(reason(data(&bay)).contains("no host"), "{bay}");
        assert_eq!(indexes(&world.sandbox), [0, 1]);
        assert_eq!(marathon(&world.sandbox).closed(), [""; 0], "{version}");
        assert_eq!(marathon(&world.sandbox).agents().len(), 2, "{version}: every agent is back");
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_master_is_replaced_by_an_update_that_changes_nothing() {
    let world = World::new().await;
    let worker = worker(&world, "").await;
    let caller = Caller::new(&world).await;
    let town = Town::with_masters(&caller, 3).await;
    let before = stack(&world.sandbox).masters;
    let unchanged = json!({ "bay": object("Bay", "1.5", json!({ "uuid": town.bay })) });
    let answer = caller.call("bay_update", unchanged.clone()).await.expect("the bay is shown");
    assert_eq!(data(&answer)["status"], "CREATE_COMPLETE", "nothing is broken, so nothing is done");

    assert!(world.sandbox.break_server(&before[1].private_ip));
    let answer = caller.call("bay_update", unchanged.clone()).await.expect("the update is accepted");
    assert_eq!(data(&answer)["status"], "UPDATE_IN_PROGRESS");
    let bay = caller.wait_for_status(&town.bay, "UPDATE_COMPLETE").await;
    let after = stack(&world.sandbox).masters;
    assert_ne!(after[1].server, before[1].server);
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]), "the others are left alone");
    assert_eq!(after[1].private_ip, before[1].private_ip, "it has the address of the lost one");
    assert_eq!(data(&bay)["node_count"], 2);
    let answer = caller.call("bay_update", unchanged).await.expect("the bay is shown");
    assert_eq!(data(&answer)["status"], "UPDATE_COMPLETE");
    assert_eq!(world.sandbox.count(Service::Heat, "PATCH", "/stacks/*/"), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_changes_nothing_is_answered_when_heat_says_nothing() {
    let world = World::new().await;
    let worker = worker(&world, "").await;
    let caller = Caller::new(&world).await;
    let uuid = bay(&caller, 1).await;
    let refuse = Action::Status { code: 503, body: String::new(), headers: [].into() };
    world.sandbox.faults().add(Rule::new(Service::Heat, "GET", "/resources", refuse));
    let answer = caller.call("bay_update", scale(&uuid, 1)).await.expect("the bay is shown");
    assert_eq!(data(&answer)["status"], "CREATE_COMPLETE");
    worker.stop().await;
}

/// An operator changes the stack before the conductor has seen its own update end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scale_that_somebody_overtakes_ends_with_what_the_stack_has() {
    let long = Duration::from_secs(3600);
    let world = World::with(Backend::Sqlite, Config { update_time: long, ..Config::default() }).await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let uuid = bay(&caller, 2).await;
    caller.call("bay_update", scale(&uuid, 4)).await.expect("the update is accepted");
    caller.wait_for_status(&uuid, "UPDATE_IN_PROGRESS").await;
    worker.signal("STOP").await;
    world.sandbox.finish_stacks("");
    let stack = stack(&world.sandbox);
    let url = format!("{}/stacks/{}/{}", world.sandbox.heat_url(DEMO_PROJECT.id), stack.name, stack.id);
    let answer = reqwest::Client::new()
        .patch(url)
        .header("X-Auth-Token", world.sandbox.issue_token(DEMO_USER, DEMO_PROJECT))
        .json(&json!({ "parameters": { "number_of_slaves": 5 } }))
        .send()
        .await
        .expect("Heat answers");
    assert!(answer.status().is_success(), "{answer:?}");
    world.sandbox.finish_stacks("");
    worker.signal("CONT").await;
    let bay = caller.wait_for_status(&uuid, "UPDATE_COMPLETE").await;
    assert_eq!(data(&bay)["node_count"], 5);
    worker.stop().await;
}
