//! What counts as the same definition, and what an update would do.

use serde_json::{Value, json};

use super::*;

fn definition(body: Value) -> Definition {
    let Value::Object(body) = body else { panic!("an object") };
    let id = AppId::parse(body["id"].as_str().unwrap()).unwrap();
    Definition::new(id, body)
}

#[track_caller]
fn check(ours: Value, seen: Value, expected: &[&str]) {
    assert_eq!(differences(&definition(ours), &definition(seen)), expected);
}

/// As Marathon 1.11 shows a small app.
fn shown() -> Value {
    json!({
        "id": "/web", "cmd": "sleep 1000", "instances": 2, "cpus": 0.1, "mem": 128, "disk": 0, "gpus": 0,
        "executor": "", "backoffSeconds": 1, "backoffFactor": 1.15, "maxLaunchDelaySeconds": 300,
        "killSelection": "YOUNGEST_FIRST", "networks": [{"mode": "host"}], "requirePorts": false, "role": "*",
        "portDefinitions": [{"port": 10007, "protocol": "tcp", "name": "default"}],
        "upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 1},
        "unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0},
        "version": "2026-01-01T00:00:00.000Z", "tasksRunning": 2, "deployments": [], "labels": {}, "env": {},
        "versionInfo": {"lastScalingAt": "2026-01-01T00:00:00.000Z"},
    })
}

/// As Marathon 0.8 shows it.
fn shown_of_old() -> Value {
    json!({
        "id": "/web", "cmd": "sleep 1000", "args": null, "user": null, "env": {}, "instances": 2, "cpus": 0.1,
        "mem": 128.0, "disk": 0.0, "executor": "", "constraints": [], "uris": [], "storeUrls": [],
        "ports": [10007], "requirePorts": false, "backoffSeconds": 1, "backoffFactor": 1.15,
        "maxLaunchDelaySeconds": 3600, "container": null, "healthChecks": [], "dependencies": [],
        "upgradeStrategy": {"minimumHealthCapacity": 1.0, "maximumOverCapacity": 1.0}, "labels": {},
        "version": "2015-01-01T00:00:00.000Z", "tasksStaged": 0,
    })
}

#[test]
fn what_a_server_fills_in_is_no_difference() {
    let ours = json!({"id": "web", "cmd": "sleep 1000", "instances": 2, "cpus": 0.1});
    check(ours.clone(), shown(), &[]);
    check(ours, shown_of_old(), &[]);
}

#[test]
fn what_was_asked_and_is_not_there_is_a_difference() {
    let ours = json!({
        "id": "/web", "cmd": "sleep 9", "instances": 3, "cpus": 0.1, "labels": {"a/b": "1"},
        "healthChecks": [{"path": "/"}],
    });
    check(ours, shown(), &["/cmd", "/healthChecks", "/instances", "/labels/a~1b"]);
}

#[test]
fn what_is_there_and_was_not_asked_is_a_difference_unless_it_is_a_default() {
    let ours = json!({"id": "/web", "cmd": "sleep 1000", "instances": 2, "cpus": 0.1});
    for (name, value, expected) in [
        ("env", json!({"A": "b"}), "/env"),
        ("constraints", json!([["hostname", "UNIQUE"]]), "/constraints"),
        ("killSelection", json!("OLDEST_FIRST"), "/killSelection"),
        ("mem", json!(256), "/mem"),
        ("user", json!("root"), "/user"),
        ("portDefinitions", json!([{"port": 80, "name": "web"}]), "/portDefinitions"),
    ] {
        let mut seen = shown();
        seen[name] = value;
        check(ours.clone(), seen, &[expected]);
    }
}

#[test]
fn old_fields_and_those_that_replaced_them_are_one() {
    let old = json!({
        "id": "/web", "instances": 1, "uris": ["http://a/b.tgz"], "constraints": [["hostname", "unique"]],
        "container": {"type": "DOCKER", "docker": {
            "image": "nginx", "network": "BRIDGE",
            "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}]}},
    });
    let new = json!({
        "id": "/web", "fetch": [{"uri": "http://a/b.tgz", "extract": true, "executable": false, "cache": false}],
        "networks": [{"mode": "container/bridge"}], "constraints": [["hostname", "UNIQUE"]],
        "container": {"type": "DOCKER", "docker": {"image": "nginx", "forcePullImage": false,
                "privileged": false, "parameters": []}, "volumes": [],
            "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp", "servicePort": 10002}]},
    });
    check(old.clone(), new.clone(), &[]);
    check(new.clone(), old, &[]);
    let mut other = new.clone();
    other["networks"] = json!([{"mode": "host"}]);
    check(new, other, &["/networks/0/mode"]);
}

#[test]
fn a_port_of_0_is_the_servers_choice_and_another_is_not() {
    let ours = |port| json!({"id": "/a", "cmd": "sleep 1", "ports": [port]});
    let seen = json!({"id": "/a", "cmd": "sleep 1", "ports": [10001], "portDefinitions": [{"port": 10001}]});
    check(ours(0), seen.clone(), &[]);
    check(ours(10001), seen.clone(), &[]);
    check(ours(80), seen, &["/portDefinitions/0/port"]);
}

#[test]
fn a_user_network_keeps_its_name() {
    let ours = json!({
        "id": "/a", "ipAddress": {"networkName": "dcos"},
        "container": {"type": "DOCKER", "docker": {"image": "nginx", "network": "USER"}},
    });
    let seen = |name| {
        json!({"id": "/a", "networks": [{"mode": "container", "name": name}],
               "container": {"type": "DOCKER", "docker": {"image": "nginx"}}})
    };
    check(ours.clone(), seen("dcos"), &[]);
    check(ours, seen("other"), &["/networks/0/name"]);
}

#[test]
fn only_another_number_of_instances_is_a_scaling() {
    let before = definition(shown());
    let app = |extra: Value| {
        let mut body = json!({"id": "/web", "cmd": "sleep 1000", "instances": 2, "cpus": 0.1});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        definition(body)
    };
    assert_eq!(change(&before, &app(json!({}))), Change::Nothing);
    assert_eq!(change(&before, &app(json!({"instances": 5}))), Change::Scale);
    assert_eq!(change(&before, &app(json!({"instances": 5, "labels": {"a": "b"}}))), Change::Restart);
    assert_eq!(
        change(&before, &app(json!({"upgradeStrategy": {"minimumHealthCapacity": 0.2}}))),
        Change::Restart
    );
}
