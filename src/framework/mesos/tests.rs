//! What masters of several releases say, and what follows from it. How they are asked is shown against the sandbox.

use serde_json::json;
use time::OffsetDateTime;

use super::wire::{Schedule, State, Status, Usage};
use super::{machine, means};
use crate::framework::agents::{AgentId, Closed, Means};

fn state(body: serde_json::Value) -> State {
    serde_json::from_value(body).unwrap()
}

fn id(host: &str) -> AgentId {
    AgentId { id: "a".to_owned(), hostname: host.to_owned(), address: host.to_owned() }
}

#[test]
fn the_release_says_how_an_agent_is_kept_from_work() {
    for (version, expected) in [
        ("1.11.0", Means::Drain),
        ("1.9.0-rc1", Means::Drain),
        ("1.8.1", Means::Maintenance),
        ("0.28.2", Means::Maintenance),
        ("0.25.0", Means::Maintenance),
        ("0.24.1", Means::None),
        ("", Means::None),
        ("2.0.0", Means::Drain),
    ] {
        assert_eq!(means(version), expected, "{version}");
    }
}

#[test]
fn g20_tasks_of_every_framework_count_until_they_have_ended() {
    let task = |agent: &str, state: &str| json!({ "slave_id": agent, "state": state });
    let census = state(json!({
        "version": "0.28.0",
        "slaves": [
            { "id": "S0", "hostname": "10.0.0.4", "pid": "slave(1)@10.0.0.4:5051", "active": true },
            { "id": "S1", "hostname": "agent-1", "pid": "slave(1)@10.0.0.5:5051" },
        ],
        "frameworks": [
            { "name": "marathon", "tasks": [task("S0", "TASK_RUNNING"), task("S0", "TASK_FINISHED")] },
            { "name": "batch", "tasks": [task("S0", "TASK_STAGING"), task("S1", "TASK_KILLED")] },
        ],
        "orphan_tasks": [task("S0", "TASK_RUNNING")],
    }))
    .census();
    assert_eq!(census.at("10.0.0.4").unwrap().tasks, 3);
    assert_eq!(census.at("10.0.0.5").unwrap().tasks, 0, "it is found by the address it registered from");
    assert_eq!(census.at("10.0.0.6"), None);
}

#[test]
fn an_agent_is_closed_when_it_is_drained_or_deactivated() {
    let slave = |more: serde_json::Value| {
        let mut slave = json!({ "id": "S0", "hostname": "h", "pid": "slave(1)@[fd00::1]:5051" });
        slave.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        state(json!({ "version": "1.9.0", "slaves": [slave] })).census().agents.remove(0)
    };
    assert_eq!(slave(json!({})).closed, Closed::No);
    assert_eq!(slave(json!({ "deactivated": true })).closed, Closed::Yes);
    let drain = |state: &str| json!({ "deactivated": true, "drain_info": { "state": state } });
    assert_eq!(slave(drain("DRAINING")).closed, Closed::Draining);
    assert_eq!(slave(drain("DRAINED")).closed, Closed::Yes);
    assert_eq!(slave(json!({})).id.address, "fd00::1");
}

#[test]
fn what_others_have_planned_stays_in_the_schedule() {
    let theirs = json!({
        "machine_ids": [{ "hostname": "10.0.0.9", "ip": "10.0.0.9" }],
        "unavailability": { "start": { "nanoseconds": 7 }, "duration": { "nanoseconds": 8 } },
    });
    let mut schedule: Schedule = serde_json::from_value(json!({ "windows": [theirs] })).unwrap();
    schedule.add(vec![machine(&id("10.0.0.4")), machine(&id("10.0.0.5"))], OffsetDateTime::UNIX_EPOCH);
    assert!(schedule.has(&id("10.0.0.5")) && schedule.has(&id("10.0.0.9")) && !schedule.has(&id("10.0.0.6")));
    let (first, second) = (id("10.0.0.4"), id("10.0.0.5"));
    assert!(schedule.remove([&first, &second].into_iter()));
    assert!(!schedule.remove([&first].into_iter()), "it is gone already");
    assert_eq!(serde_json::to_value(&schedule).unwrap(), json!({ "windows": [theirs] }));
}

#[test]
fn a_machine_is_down_when_the_status_says_so() {
    let status: Status =
        serde_json::from_value(json!({ "down_machines": [{ "hostname": "A", "ip": "10.0.0.4" }] })).unwrap();
    let named = |hostname: &str| AgentId { hostname: hostname.to_owned(), ..id("10.0.0.4") };
    assert!(status.is_down(&named("a")) && !status.is_down(&named("b")));
    assert!(!serde_json::from_value::<Status>(json!({})).unwrap().is_down(&named("a")));
}

#[test]
fn g36_what_is_in_use_is_summed_over_the_agents_that_are_connected() {
    let slave = |active: bool, used: f64| {
        json!({
            "id": "S", "active": active, "resources": { "cpus": 4, "mem": 2048.0, "ports": "[1-2]" },
            "used_resources": { "cpus": used, "mem": 512, "disk": 1 },
        })
    };
    let usage = |leader: &str, slaves: serde_json::Value| {
        let state =
            json!({ "pid": "master@10.0.0.3:5050", "leader": leader, "slaves": slaves, "frameworks": [7] });
        serde_json::from_value::<Usage>(state).unwrap().load()
    };
    let slaves = json!([slave(true, 1.0), slave(true, 0.5), slave(false, 4.0)]);
    assert_eq!(usage("master@10.0.0.4:5050", slaves.clone()), None, "another master leads");
    let load = usage("master@10.0.0.3:5050", slaves).unwrap();
    assert_eq!((load.registered, load.active), (3, 2));
    assert_eq!((load.cpus.percent(), load.memory.percent()), (18.75, 25.0));
    let empty = usage("master@10.0.0.3:5050", json!([])).unwrap();
    assert_eq!((empty.cpus.percent(), empty.memory.percent()), (0.0, 0.0), "nothing is divided by nothing");
}
