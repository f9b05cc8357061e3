//! Examples of messages, for the AsyncAPI document. Whether they fit their schemas is tested.

use mesos_conductor_proto::codec::{self, Encoding, Map};
use mesos_conductor_proto::message::{ReplyAddress, ReplyForm};
use mesos_conductor_proto::object::definition;
use serde_json::{Value, json};

use crate::bay::{Bay, Status};
use crate::error::Fault;
use crate::objects;

const BAY: &str = "39616dc6-2bc0-4c05-bb23-e3785915dfb8";
const MODEL: &str = "fd5d613e-3f3d-4c2f-9a3c-0d3a6a5d1d1e";

/// The examples of a message, if there are any.
pub(super) fn of(message: &str) -> Vec<Value> {
    let Some((method, kind)) = message.rsplit_once('.') else { return signs(message) };
    match kind {
        "request" => requests(method),
        "reply" => replies(method),
        _ => Vec::new(),
    }
}

fn example(name: &str, summary: &str, payload: Value) -> Value {
    json!({ "name": name, "summary": summary, "payload": payload })
}

fn requests(method: &str) -> Vec<Value> {
    let call = |args: Value| {
        json!({
            "method": method, "args": args, "_msg_id": "e0d1", "_reply_q": "reply_e0", "_unique_id": "69c8",
            "_timeout": null, "_context_project_id": "9a0e0000000000000000000000000003",
            "_context_auth_token": "the caller's",
        })
    };
    match method {
        "bay_create" => {
            let bay = json!({ "name": "b1", "baymodel_id": MODEL, "node_count": 2 });
            let call = call(json!({ "bay": bay, "bay_create_timeout": 60 }));
            let sealed = json!({ "oslo.version": "2.0", "oslo.message": call.to_string() });
            let cast = json!({ "method": method, "args": { "bay": bay, "notify_queue": "reply_of_mine" } });
            vec![
                example("plain", "With a plain dict, bare", call),
                example("sealed", "The same in the envelope", sealed),
                example("cast", "A cast that names a queue for its result", cast),
            ]
        }
        "bay_update" => {
            let args = json!({ "bay": { "uuid": BAY, "node_count": 3 }, "wait": true });
            vec![example("wait", "Answered when the bay has been scaled", call(args))]
        }
        "bay_delete" => vec![example("plain", "By uuid", call(json!({ "uuid": BAY })))],
        "app_create" => {
            let manifest =
                json!({ "id": "/web", "cmd": "sleep 1000", "instances": 2, "cpus": 0.1, "mem": 32 });
            let app = json!({ "name": "web", "bay_uuid": BAY, "manifest": manifest.to_string() });
            let args = json!({ "app": app, "wait": true, "deadline": 120, "on_deadline": "rollback" });
            vec![example("wait", "Answered when both instances run, or are taken back", call(args))]
        }
        "app_scale" => {
            let args = json!({ "app_ident": "web", "bay_ident": "b1", "instances": 3 });
            vec![example("plain", "By names", call(args))]
        }
        "ping_conductor" => vec![example("plain", "Is anybody there?", call(json!({})))],
        "object_class_action" => {
            let args = json!({
                "objname": objects::BAY, "objmethod": "get_by_uuid", "objver": null, "args": [BAY], "kwargs": {},
            });
            vec![example("show", "Shows a bay", call(args))]
        }
        "object_action" => {
            let model = json!({ "name": "mesos", "coe": "mesos", "image_id": "ubuntu-mesos" });
            let args = json!({
                "objname": objects::BAY_MODEL, "objinst": model, "objmethod": "create", "args": [], "kwargs": {},
            });
            vec![example("plain", "Creates a bay model from a plain dict", call(args))]
        }
        _ => Vec::new(),
    }
}

fn replies(method: &str) -> Vec<Value> {
    let refused = Fault::BayNotFound(BAY.to_owned()).to_failure();
    match method {
        "bay_create" => vec![example("accepted", "Heat has taken the stack", answer(&Ok(bay())))],
        "bay_delete" => vec![
            example("accepted", "Heat has taken the deletion", answer(&Ok(Value::Null))),
            example("refused", "No such bay of the caller's", answer(&Err(refused))),
        ],
        "ping_conductor" => vec![example("there", "Somebody is there", answer(&Ok(json!(true))))],
        _ => Vec::new(),
    }
}

fn signs(message: &str) -> Vec<Value> {
    match message {
        "heartbeat" => {
            vec![example("heartbeat", "Still running", sealed(&address().heartbeat_body("2fb3".into())))]
        }
        "ending" => vec![example("ending", "A result that is null", answer(&Ok(Value::Null)))],
        _ => Vec::new(),
    }
}

fn bay() -> Value {
    let bay = Bay {
        id: 1,
        uuid: uuid::Uuid::parse_str(BAY).unwrap_or_default(),
        name: Some("b1".to_owned()),
        model_id: Some(MODEL.to_owned()),
        status: Some(Status::CreateInProgress),
        node_count: Some(2),
        master_count: Some(1),
        ..Bay::default()
    };
    let newest = definition(objects::BAY).expect("it is defined").latest;
    objects::bay_primitive(&bay, None, newest).expect("every bay can be told at every version")
}

fn address() -> ReplyAddress {
    ReplyAddress {
        queue: "reply_e0".to_owned(),
        msg_id: "e0d1".to_owned(),
        form: ReplyForm::Single,
        encoding: Encoding::Json,
        heartbeat: None,
    }
}

/// As the worker would write it.
fn answer(outcome: &Result<Value, mesos_conductor_proto::failure::Failure>) -> Value {
    let bodies = address().bodies(outcome, ["69c8".to_owned(), String::new()]);
    bodies.first().map(|body| sealed(body)).unwrap_or_default()
}

/// A body as a document.
fn sealed(body: &[u8]) -> Value {
    let message: Map = codec::open(Encoding::Json, body).unwrap_or_default();
    json!({ "oslo.version": "2.0", "oslo.message": Value::Object(message).to_string() })
}
