//! The contract for programs: that what is checked in is what the code makes, that it is valid by its standards, and
//! that real messages fit it while broken ones do not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use mesos_conductor::rpc;
use mesos_conductor::schema::Catalogue;
use mesos_conductor_proto::codec::{self, Encoding, Map};
use serde_json::{Value, json};

use crate::node;
use crate::support::{World, data, model_fields, object};

mod session;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every schema, ready to judge.
struct Contract {
    validators: BTreeMap<String, Validator>,
}

impl Contract {
    fn new() -> Self {
        let catalogue = Catalogue::default();
        let validator = |name: &str| {
            let schema = catalogue.schema(name).expect("it is listed");
            let options = jsonschema::draft202012::options().should_validate_formats(true);
            options.build(&schema).unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        Self { validators: catalogue.names().map(|name| (name.to_owned(), validator(name))).collect() }
    }

    /// What does not fit, if anything.
    fn faults(&self, name: &str, message: &Value) -> Vec<String> {
        let validator = self.validators.get(name).unwrap_or_else(|| panic!("there is no schema {name}"));
        validator.iter_errors(message).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    fn assert_fits(&self, name: &str, message: &Value) {
        let faults = self.faults(name, message);
        assert!(faults.is_empty(), "{message:#} is no {name}: {faults:#?}");
    }

    fn assert_does_not_fit(&self, name: &str, message: &Value, why: &str) {
        assert!(!self.faults(name, message).is_empty(), "{why} passes for {name}: {message:#}");
    }

    /// A message and the failure in it.
    fn assert_message_fits(&self, name: &str, message: &Value) {
        self.assert_fits(name, message);
        if let Some(failure) = message["failure"].as_str() {
            self.assert_fits("failure", &serde_json::from_str(failure).expect("it is JSON"));
        }
    }

    /// A body as it travels: its envelope and its message, which is returned.
    fn assert_body_fits(&self, name: &str, content_type: &str, body: &[u8]) -> Value {
        let (envelope, message) = opened(content_type, body);
        if let Some(envelope) = envelope {
            self.assert_fits("envelope", &envelope);
        }
        self.assert_message_fits(name, &message);
        message
    }
}

/// The envelope, where it can be seen apart, and the message.
fn opened(content_type: &str, body: &[u8]) -> (Option<Value>, Value) {
    let encoding = Encoding::from_content_type(Some(content_type)).expect("an encoding of ours");
    let outer = (encoding == Encoding::Json).then(|| serde_json::from_slice(body).expect("it is JSON"));
    let envelope = outer.filter(|outer: &Value| outer.get("oslo.version").is_some());
    (envelope, Value::Object(codec::open(encoding, body).expect("it opens")))
}

#[test]
fn what_is_checked_in_is_what_the_code_makes() {
    let made = Catalogue::default().files();
    let folder = root().join("proto");
    let there: BTreeSet<PathBuf> = std::fs::read_dir(folder.join("schema"))
        .expect("proto/schema is there")
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    let expected: BTreeSet<PathBuf> =
        made.keys().filter(|path| path.starts_with("schema/")).map(|path| folder.join(path)).collect();
    let stale: Vec<_> = there.difference(&expected).collect();
    assert!(stale.is_empty(), "the code makes no such schemas, remove them: {stale:?}");
    for (path, text) in made {
        let seen = std::fs::read_to_string(folder.join(&path)).unwrap_or_default();
        assert!(
            seen == text,
            "proto/{path} is not what the code makes; write it anew: cargo run -- schema --out proto"
        );
    }
}

#[test]
fn every_schema_is_a_valid_one_of_2020_12() {
    let catalogue = Catalogue::default();
    for name in catalogue.names() {
        let schema = catalogue.schema(name).expect("it is listed");
        if let Err(error) = jsonschema::draft202012::meta::validate(&schema) {
            panic!("{name}: {error}");
        }
    }
    let broken = json!({ "type": "text" });
    assert!(jsonschema::draft202012::meta::validate(&broken).is_err(), "the check can fail");
}

/// The bodies recorded of other services, by name and kind.
fn recorded() -> Vec<(String, String, Vec<u8>)> {
    let folder = root().join("proto/tests/recorded");
    let entries = std::fs::read_dir(folder).expect("the recordings are there");
    let read = |path: PathBuf| {
        let file = path.file_name()?.to_str()?.strip_suffix(".json")?;
        let (name, kind) = file.rsplit_once('.')?;
        Some((name.to_owned(), kind.to_owned(), std::fs::read(&path).ok()?))
    };
    entries.filter_map(|entry| read(entry.expect("it can be listed").path())).collect()
}

/// The method of the request that was recorded under the same name.
fn method_of(name: &str, recorded: &[(String, String, Vec<u8>)]) -> Option<String> {
    let (_, _, body) = recorded.iter().find(|(of, kind, _)| of == name && kind == "request")?;
    let message = codec::open(Encoding::Json, body).expect("it opens");
    let method = message["method"].as_str().expect("it has a method").to_owned();
    rpc::method_names().any(|served| served == method).then_some(method)
}

#[test]
fn messages_recorded_of_magnum_and_oslo_fit() {
    let contract = Contract::new();
    let recorded = recorded();
    let mut checked = BTreeMap::<String, usize>::new();
    for (name, kind, body) in &recorded {
        let schema = match (kind.as_str(), method_of(name, &recorded)) {
            ("request" | "reply", Some(method)) => format!("{method}.{kind}"),
            ("heartbeat", _) => "heartbeat".to_owned(),
            // Recordings with methods of no conductor: their failures are everybody's.
            ("reply", None) if name.contains("_no_") || name.contains("_un") || name.contains("_wrong") => {
                "reply.failure".to_owned()
            }
            _ => continue,
        };
        let mut message = opened("application/json", body).1;
        if kind == "reply" {
            // Magnum's own conductor leaves a change marked that it has saved.
            message["result"].as_object_mut().map(|object| object.remove("magnum_object.changes"));
        }
        contract.assert_message_fits(&schema, &message);
        *checked.entry(kind.clone()).or_default() += 1;
    }
    assert!(checked["request"] >= 5 && checked["reply"] >= 5 && checked["heartbeat"] >= 1, "{checked:?}");
}

#[test]
fn every_example_fits_its_message() {
    let (contract, document) = (Contract::new(), Catalogue::default().asyncapi());
    let mut checked = 0;
    for message in document["components"]["messages"].as_object().expect("there are messages").values() {
        let name = message["name"].as_str().expect("a message has a name");
        for example in message["examples"].as_array().into_iter().flatten() {
            contract.assert_body_fits(name, "application/json", example["payload"].to_string().as_bytes());
            checked += 1;
        }
    }
    assert!(checked >= 12, "only {checked} examples");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_asyncapi_projects_parser_finds_no_fault() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (good, bad) = (root().join("proto/asyncapi.json"), directory.path().join("bad.json"));
    let broken = json!({
        "asyncapi": "3.0.0", "info": { "title": "broken", "version": "1" }, "channels": {},
        "operations": { "o": { "action": "receive", "channel": { "$ref": "#/channels/nowhere" } } },
    });
    std::fs::write(&bad, broken.to_string()).expect("it is written");
    let script = root().join("tests/node/asyncapi.js");
    let output = node::run(&script, |node| node.arg(good).arg(bad)).await;
    let found: Value = serde_json::from_str(&output).expect("it prints JSON");
    let codes = |index: usize, severity: &str| -> BTreeSet<String> {
        let all = found[index][severity].as_array().expect("a list").iter();
        all.map(|fault| fault["code"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(codes(0, "errors"), BTreeSet::new(), "{found:#}");
    // 3.1.0 is out; 3.0.0 is what tools read.
    assert_eq!(codes(0, "others"), BTreeSet::from(["asyncapi-latest-version".to_owned()]), "{found:#}");
    assert_eq!(codes(1, "errors"), BTreeSet::from(["invalid-ref".to_owned()]), "the check can fail");
}
