//! What manifests are read, what is wrong with others, and that no text whatever brings the reader down.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn faults(manifest: Value) -> Vec<String> {
    match Manifest::parse(&manifest.to_string()) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

/// One app with these fields is refused with exactly these faults.
#[track_caller]
fn check(fields: Value, expected: &[&str]) {
    let mut app = json!({"id": "/a", "cmd": "sleep 1"});
    app.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    assert_eq!(faults(app), expected);
}

fn ids(manifest: &Manifest) -> Vec<&str> {
    manifest.apps().iter().map(|app| app.id().as_str()).collect()
}

#[test]
fn one_app_is_a_manifest() {
    let manifest =
        Manifest::parse(r#"{"id": "web", "cmd": "sleep 1", "instances": 3, "future": {"x": [1]}}"#).unwrap();
    assert_eq!(manifest.subject(), Subject::App(AppId::parse("/web").unwrap()));
    assert_eq!(manifest.instances(), 3);
    let body = Value::Object(manifest.apps()[0].body().clone());
    assert_eq!(body, json!({"id": "/web", "cmd": "sleep 1", "instances": 3, "future": {"x": [1]}}));
}

#[test]
fn several_apps_are_a_manifest_in_both_spellings() {
    let apps = json!([{"id": "/b/x", "cmd": "sleep 1"}, {"id": "a", "cmd": "sleep 2"}]);
    for manifest in [apps.clone(), json!({ "apps": apps })] {
        let manifest = Manifest::from_value(manifest).unwrap();
        assert_eq!(ids(&manifest), ["/b/x", "/a"]);
        assert_eq!(manifest.subject().to_string(), "/b/x,/a");
        assert!(manifest.group().is_none());
    }
}

#[test]
fn a_group_is_a_manifest_and_its_ids_become_absolute() {
    let manifest = Manifest::from_value(json!({
        "id": "shop", "version": "2020-01-01T00:00:00.000Z", "dependencies": [],
        "apps": [{"id": "web", "cmd": "sleep 1", "dependencies": ["../data/db"]}],
        "groups": [{"id": "data", "apps": [{"id": "/shop/data/db", "cmd": "sleep 1", "version": "x"}]}],
    }))
    .unwrap();
    assert_eq!(ids(&manifest), ["/shop/web", "/shop/data/db"]);
    assert_eq!(manifest.subject(), Subject::Group(AppId::parse("/shop").unwrap()));
    let sent = Value::Object(manifest.group().unwrap().clone());
    assert_eq!(
        sent,
        json!({
            "id": "/shop", "dependencies": [],
            "apps": [{"id": "/shop/web", "cmd": "sleep 1", "dependencies": ["../data/db"]}],
            "groups": [{"id": "/shop/data", "apps": [{"id": "/shop/data/db", "cmd": "sleep 1"}]}],
        })
    );
}

#[test]
fn what_only_a_server_writes_is_taken_away() {
    let manifest = Manifest::from_value(json!({
        "id": "/a", "cmd": "sleep 1", "version": "x", "versionInfo": {}, "tasks": [], "tasksRunning": 1,
        "deployments": [], "lastTaskFailure": {}, "taskStats": {}, "tasksStaged": 0, "tasksHealthy": 0,
    }))
    .unwrap();
    assert_eq!(Value::Object(manifest.apps()[0].body().clone()), json!({"id": "/a", "cmd": "sleep 1"}));
}

#[test]
fn all_faults_are_told_at_once_each_with_its_place() {
    let manifest = json!({ "apps": [
        {"id": "/A", "cmd": "sleep 1", "instances": -1, "cpus": "much"},
        {"id": "/b", "container": {"type": "DOCKER", "docker": {"image": "x", "portMappings": [
            {"containerPort": 80}, {"hostPort": 70000}]}}},
    ]});
    assert_eq!(
        faults(manifest),
        [
            "/apps/0/instances: -1 is not a whole number from 0 to 2147483647",
            "/apps/0/cpus: must be a number of at least 0",
            "/apps/0/id: the segment \"A\" must be words of a-z, 0-9 and inner hyphens, parted by dots, such as web \
             or v1.web-2",
            "/apps/1/container/docker/portMappings/1/hostPort: 70000 is not a whole number from 0 to 65535",
        ]
    );
}

#[test]
fn fields_have_types_and_limits() {
    check(json!({"instances": 1.5}), &["/instances: 1.5 is not a whole number from 0 to 2147483647"]);
    check(json!({"instances": 2.0, "cpus": 0.001, "backoffFactor": 1, "args": null}), &[]);
    check(json!({"backoffFactor": 0.9}), &["/backoffFactor: 0.9 is not a number of at least 1"]);
    check(
        json!({"upgradeStrategy": {"minimumHealthCapacity": 1.1}}),
        &["/upgradeStrategy/minimumHealthCapacity: 1.1 is not a number from 0 to 1"],
    );
    check(
        json!({"killSelection": "RANDOM"}),
        &["/killSelection: \"RANDOM\" is not one of YOUNGEST_FIRST, OLDEST_FIRST"],
    );
    check(json!({"env": {"A": "b", "S": {"secret": "s"}}, "secrets": {"s": {"source": "/db"}}}), &[]);
    check(
        json!({"env": {"A": 1, "a/b": {}}}),
        &["/env/A: must be a text or an object", "/env/a~1b/secret: is required"],
    );
    check(json!({"labels": {"a": true}}), &["/labels/a: must be a text"]);
    check(json!({"constraints": [["hostname", "UNIQUE"], ["rack", "max_per", "2"]]}), &[]);
    check(
        json!({"constraints": [["hostname"], ["hostname", "NEAR"], ["hostname", "LIKE"], "x"]}),
        &[
            "/constraints/0: must be two or three texts: a field, an operator and perhaps a value",
            "/constraints/1/1: is not one of UNIQUE, CLUSTER, GROUP_BY, LIKE, UNLIKE, MAX_PER, IS",
            "/constraints/2: LIKE needs a value",
            "/constraints/3: must be an array of a field, an operator and perhaps a value",
        ],
    );
    check(json!({"acceptedResourceRoles": []}), &["/acceptedResourceRoles: must not be empty"]);
    check(
        json!({"dependencies": ["../b", "/X"]}),
        &[
            "/dependencies/1: the segment \"X\" must be words of a-z, 0-9 and inner hyphens, parted by dots, such as web \
         or v1.web-2",
        ],
    );
    check(json!({"unreachableStrategy": "disabled"}), &[]);
    check(json!({"unreachableStrategy": "never"}), &["/unreachableStrategy: must be disabled or an object"]);
    check(
        json!({"unreachableStrategy": {"inactiveAfterSeconds": 9, "expungeAfterSeconds": 8}}),
        &["/unreachableStrategy/inactiveAfterSeconds: must not be more than expungeAfterSeconds"],
    );
}

#[test]
fn an_app_says_what_to_run_in_one_way() {
    let needs = "/: needs one of cmd and args, or a container with an image";
    assert_eq!(faults(json!({"id": "/a"})), [needs]);
    assert_eq!(faults(json!({"id": "/a", "cmd": null, "args": []})), [needs]);
    check(json!({"args": ["x"]}), &["/: has both cmd and args: keep one of them"]);
    check(json!({"cmd": "x"}), &["/cmd: must have at least two characters"]);
    let container = json!({"type": "DOCKER", "docker": {"image": "nginx"}});
    assert!(faults(json!({"id": "/a", "container": container})).is_empty());
    assert!(faults(json!({"id": "/a", "container": container, "args": ["-v"]})).is_empty());
    check(
        json!({"container": {"type": "DOCKER"}}),
        &["/container/docker: is required for a container of type DOCKER"],
    );
}

#[test]
fn ports_are_said_once_and_are_different() {
    check(
        json!({"ports": [80], "portDefinitions": [{"port": 80}]}),
        &["/ports: are given along with portDefinitions: keep one of them"],
    );
    check(json!({"ports": [80, 0, 0, 80]}), &["/ports/3: the port 80 is given twice"]);
    check(
        json!({"portDefinitions": [{"port": 0, "name": "a"}, {"name": "a"}]}),
        &["/portDefinitions/1/name: is the name of another port too"],
    );
    check(json!({"uris": ["http://a"], "fetch": [{"uri": "http://a", "cache": true}]}), &[]);
    check(
        json!({"uris": ["http://a"], "fetch": [{"uri": "http://b"}]}),
        &["/uris: says something else than fetch: keep one of them"],
    );
}

#[test]
fn checks_refer_to_ports_that_exist() {
    check(json!({"healthChecks": [{"portIndex": 3}]}), &[]);
    check(
        json!({"healthChecks": [{"portIndex": 1}], "ports": [0]}),
        &["/healthChecks/0/portIndex: 1 is not the index of one of the 1 ports"],
    );
    check(
        json!({"healthChecks": [{"protocol": "COMMAND", "command": {"value": "true"}}, {"protocol": "MESOS_TCP"}]}),
        &["/healthChecks: has more than one check that Mesos runs (COMMAND and MESOS_*)"],
    );
    check(
        json!({"healthChecks": [{"protocol": "COMMAND"}]}),
        &["/healthChecks/0/command: needs a value for the protocol COMMAND"],
    );
    check(
        json!({"readinessChecks": [{"timeoutSeconds": 30}, {}]}),
        &[
            "/readinessChecks: has more than one check",
            "/readinessChecks/0/timeoutSeconds: 30 must be less than intervalSeconds, 30",
        ],
    );
    check(
        json!({"labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}, "instances": 2}),
        &["/instances: must be at most 1 for a single-instance app"],
    );
}

#[test]
fn ids_fit_together() {
    let app = |id: &str| json!({"id": id, "cmd": "sleep 1"});
    assert_eq!(faults(json!([app("/a"), app("a")])), ["/: /a is the id of two apps"]);
    assert_eq!(faults(json!([app("/a"), app("/a/b")])), ["/: /a is the id of an app and of a group"]);
    assert_eq!(
        faults(json!({"id": "/g", "apps": [app("/other/a")]})),
        ["/apps/0/id: /other/a is not in its group /g; use a relative id"]
    );
    assert_eq!(faults(json!({"id": "/", "apps": [app("a")]})), ["/id: must not be the root"]);
    assert_eq!(
        faults(app("/a/versions")),
        ["/id: must not end in /versions, which is a resource of every app"]
    );
    assert_eq!(faults(json!({"cmd": "sleep 1"})), ["/id: is required, and must be a text"]);
}

#[test]
fn dependencies_do_not_lead_in_a_circle() {
    let app = |id: &str, on: &[&str]| json!({"id": id, "cmd": "sleep 1", "dependencies": on});
    assert!(
        faults(json!([app("/a", &["/g"]), app("/g/b", &["../c"]), app("/g/c", &["/elsewhere"])])).is_empty()
    );
    assert_eq!(
        faults(json!([app("/a", &["/g"]), app("/g/b", &["/a"]), app("/z", &[])])),
        ["/: the dependencies of /a lead back to it"]
    );
}

#[test]
fn what_is_no_manifest_is_refused() {
    for (text, expected) in [
        ("", "/: is no JSON at line 1, column 0: EOF while parsing a value"),
        ("{\"id\": }", "/: is no JSON at line 1, column 8: expected value"),
        ("7", "/: must be an app, an array of apps or a group"),
        ("[]", "/: names no app"),
        ("[1]", "/0: must be an object"),
        (r#"{"apps": 1}"#, "/apps: must be an array"),
        (r#"{"id": "/g", "groups": [{"id": "h"}]}"#, "/: names no app"),
    ] {
        let found = Manifest::parse(text).unwrap_err().to_string();
        assert_eq!(found, expected, "{text}");
    }
    let long = format!("[{}]", " ".repeat(LENGTH_LIMIT));
    assert!(Manifest::parse(&long).unwrap_err().to_string().contains("longer"));
    assert!(Manifest::parse(&"[".repeat(10_000)).unwrap_err().to_string().contains("recursion limit"));
}

#[test]
fn faults_without_number_are_not_all_told() {
    let apps: Vec<_> = (0..500).map(|_| json!({"id": 1})).collect();
    let found = faults(Value::Array(apps));
    assert_eq!(found.len(), 51);
    assert_eq!(found[50], "/: has 950 more faults");
}

#[test]
fn apps_that_a_new_manifest_lacks_are_found() {
    let manifest = |ids: &[&str]| {
        let apps = ids.iter().map(|id| json!({"id": id, "cmd": "sleep 1"})).collect();
        Manifest::from_value(Value::Array(apps)).unwrap()
    };
    let (before, after) = (manifest(&["/a", "/b"]), manifest(&["/b", "/c"]));
    assert_eq!(after.removed_since(&before), [&AppId::parse("/a").unwrap()]);
}

/// JSON of any shape in which the names that mean something are likely.
fn hostile() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        "/?[a-z./]{0,6}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        prop::sample::select(
            &[
                "id",
                "apps",
                "groups",
                "cmd",
                "args",
                "instances",
                "container",
                "docker",
                "image",
                "portMappings",
                "ports",
                "portDefinitions",
                "healthChecks",
                "readinessChecks",
                "upgradeStrategy",
                "fetch",
                "uris",
                "dependencies",
                "constraints",
                "env",
                "labels",
                "unreachableStrategy",
                "portIndex",
                "networks",
            ][..]
        )
        .prop_map(str::to_owned),
        "\\PC{0,4}",
    ];
    leaf.prop_recursive(6, 128, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::hash_map(name.clone(), inner, 0..10)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_brings_the_reader_down(text in "\\PC{0,200}") {
        Manifest::parse(&text).ok();
    }

    #[test]
    fn no_json_brings_the_reader_down(value in hostile()) {
        let parsed = Manifest::parse(&value.to_string());
        if let Err(faults) = &parsed {
            prop_assert!(faults.iter().count() > 0);
        }
    }

    #[test]
    fn no_json_brings_the_comparison_down(ours in hostile(), seen in hostile()) {
        let definition = |value: Value| {
            let mut body = Map::new();
            body.insert("container".to_owned(), value.clone());
            body.extend(value.as_object().cloned().unwrap_or_default());
            Definition::new(AppId::parse("/a").unwrap(), body)
        };
        let (ours, seen) = (definition(ours), definition(seen));
        prop_assert!(crate::app::same_definition(&ours, &ours));
        crate::app::change(&seen, &ours);
    }

    #[test]
    fn what_was_read_reads_the_same_again(
        apps in prop::collection::btree_map("[a-z0-9]{1,6}", (1_u32..99, "[ -~]{2,20}"), 1..8)
    ) {
        let apps: Vec<_> = apps
            .into_iter()
            .map(|(id, (instances, cmd))| json!({"id": id, "instances": instances, "cmd": cmd, "x": [null]}))
            .collect();
        let first = Manifest::from_value(json!({"id": "g", "apps": apps})).unwrap();
        let again = Manifest::from_value(Value::Object(first.group().unwrap().clone())).unwrap();
        prop_assert_eq!(first, again);
    }
}
