//! The objects of the bay era over RPC: every remotable method, whose rows it sees, and what it refuses.

mod bays;
mod key_pairs;
mod models;
mod other_methods;
mod services;
mod tenancy;

use mesos_conductor::client::CallError;
use mesos_conductor_proto::context::RequestContext;
use mesos_conductor_sandbox::known::{OTHER_PROJECT, OTHER_USER};
use serde_json::{Value, json};

use crate::support::{Caller, World, failure_class, object};

/// The newest version of each object.
fn version(name: &str) -> &'static str {
    match name {
        "Bay" => "1.5",
        "BayModel" => "1.10",
        "X509KeyPair" => "1.1",
        _ => "1.0",
    }
}

/// An object as a client has it that read it: nothing changed.
fn unchanged(name: &str, data: Value) -> Value {
    let mut object = object(name, version(name), data);
    object.as_object_mut().expect("a map").remove("magnum_object.changes");
    object
}

/// That object, with some fields changed.
fn changed(name: &str, uuid: &str, fields: Value) -> Value {
    let mut object = object(name, version(name), fields);
    object["magnum_object.data"]["uuid"] = json!(uuid);
    object
}

fn ask(name: &str, method: &str, args: Value) -> Value {
    json!({ "objname": name, "objmethod": method, "objver": version(name), "args": args, "kwargs": {} })
}

fn list(name: &str, kwargs: Value) -> Value {
    json!({ "objname": name, "objmethod": "list", "objver": version(name), "args": [], "kwargs": kwargs })
}

fn deed(object: Value, method: &str) -> Value {
    json!({ "objinst": object, "objmethod": method, "args": [], "kwargs": {} })
}

fn stranger(world: &World) -> RequestContext {
    world.context(OTHER_USER, OTHER_PROJECT)
}

/// What an instance's method answers when it changed nothing in its object.
fn no_updates() -> Value {
    json!([{ "obj_what_changed": [] }, null])
}

impl Caller<'_> {
    async fn read(&self, name: &str, method: &str, args: Value) -> Result<Value, CallError> {
        self.call("object_class_action", ask(name, method, args)).await
    }

    async fn act(&self, object: Value, method: &str) -> Result<Value, CallError> {
        self.call("object_action", deed(object, method)).await
    }

    /// Creates an object and returns what its sender did not know.
    async fn make(&self, name: &str, fields: Value) -> Value {
        let made = self.act(object(name, version(name), fields), "create").await;
        made.unwrap_or_else(|error| panic!("{name} is not made: {error}"))[0].clone()
    }

    /// One field of every object in a list.
    async fn listed(&self, name: &str, kwargs: Value, field: &str) -> Vec<Value> {
        let found = self.call("object_class_action", list(name, kwargs)).await.expect("it is listed");
        found.as_array().expect("a list").iter().map(|one| one["magnum_object.data"][field].clone()).collect()
    }
}

/// The class and the text of a refusal.
fn refusal(answer: Result<Value, CallError>) -> (String, String) {
    let error = answer.expect_err("it is refused");
    let class = failure_class(&error).to_owned();
    let CallError::Remote(failure) = error else { unreachable!("its class was just read") };
    (class, failure.message)
}

fn refused_with(answer: Result<Value, CallError>, class: &str, text: &str) {
    assert_eq!(refusal(answer), (class.to_owned(), text.to_owned()));
}
