//! Stacks as Heat's answers tell them.

use serde_json::{Map, Value, json};

use super::Stack;
use super::stack::{Node, Progress, StackAction};
use crate::clock::heat_time;

/// The outputs of a Mesos cluster's template; they are shown also for a template that declares none.
const KNOWN_OUTPUTS: [&str; 5] =
    ["api_address", "mesos_master", "mesos_master_private", "mesos_slaves", "mesos_slaves_private"];

pub(super) fn link(stack: &Stack, heat_url: &str) -> String {
    format!("{heat_url}/stacks/{}/{}", stack.name, stack.id)
}

pub(super) fn identity(stack: &Stack, heat_url: &str) -> Value {
    json!({"id": stack.id, "links": [{"href": link(stack, heat_url), "rel": "self"}]})
}

/// A stack as it stands in a listing.
pub(super) fn summary(stack: &Stack, heat_url: &str) -> Value {
    json!({
        "id": stack.id,
        "stack_name": stack.name,
        "stack_status": stack.status(),
        "stack_status_reason": stack.reason,
        "creation_time": heat_time(stack.created),
        "updated_time": stack.updated.map(heat_time),
        "deletion_time": stack.deleted.map(heat_time),
        "description": stack.template.description,
        "project": stack.project_id,
        "stack_owner": null,
        "stack_user_project_id": stack.project_id,
        "parent": null,
        "tags": null,
        "links": [{"href": link(stack, heat_url), "rel": "self"}],
    })
}

/// A stack shown alone.
pub(super) fn details(stack: &Stack, heat_url: &str, resolve_outputs: bool) -> Value {
    let mut body = summary(stack, heat_url);
    body["template_description"] = json!(stack.template.description);
    body["capabilities"] = json!([]);
    body["notification_topics"] = json!([]);
    body["timeout_mins"] = json!(stack.timeout_mins);
    body["disable_rollback"] = json!(stack.disable_rollback);
    body["parameters"] = parameters(stack);
    if resolve_outputs && stack.action != StackAction::Delete {
        body["outputs"] = outputs(stack);
    }
    body
}

fn parameters(stack: &Stack) -> Value {
    let given = stack.redacted().parameters.into_iter();
    let mut shown: Map<String, Value> = given.map(|(name, value)| (name, Value::from(value))).collect();
    shown.insert("OS::stack_id".to_owned(), json!(stack.id));
    shown.insert("OS::stack_name".to_owned(), json!(stack.name));
    shown.insert("OS::project_id".to_owned(), json!(stack.project_id));
    Value::Object(shown)
}

fn outputs(stack: &Stack) -> Value {
    let show = |name: &str, description: &str| json!({"output_key": name, "output_value": output(stack, name), "description": description});
    if stack.template.outputs.is_empty() {
        return KNOWN_OUTPUTS.iter().map(|name| show(name, "No description given")).collect();
    }
    stack.template.outputs.iter().map(|(name, description)| show(name, description)).collect()
}

/// The servers of a stack's nodes, as a listing of resources shows them.
pub(super) fn servers(stack: &Stack) -> Vec<Value> {
    let status = |node: &Node| {
        let whole = format!("{}_COMPLETE", stack.action.name());
        if node.broken { "CHECK_FAILED".to_owned() } else { whole }
    };
    let group = |name: &str, nodes: &[Node]| -> Vec<Value> {
        let tell = |node: &Node| {
            json!({
                "resource_name": "server",
                "resource_type": "OS::Nova::Server",
                "resource_status": status(node),
                "resource_status_reason": "",
                "physical_resource_id": node.server,
                "logical_resource_id": "server",
                "parent_resource": node.index.to_string(),
                "stack_name": format!("{}-{name}-x-{}-x", stack.name, node.index),
            })
        };
        nodes.iter().map(tell).collect()
    };
    [group("masters", &stack.masters), group("agents", &stack.slaves)].concat()
}

/// An output is null until there is something behind it, and one that is no Mesos cluster's stays so.
fn output(stack: &Stack, name: &str) -> Value {
    let never_built = stack.action == StackAction::Create && stack.progress != Progress::Complete;
    if never_built {
        return Value::Null;
    }
    let list =
        |nodes: &[Node], address: fn(&Node) -> &String| nodes.iter().map(|n| json!(address(n))).collect();
    match name {
        "api_address" => json!(stack.masters.first().map(|node| &node.public_ip)),
        "mesos_master" => list(&stack.masters, |node| &node.public_ip),
        "mesos_master_private" => list(&stack.masters, |node| &node.private_ip),
        "mesos_slaves" => list(&stack.slaves, |node| &node.public_ip),
        "mesos_slaves_private" => list(&stack.slaves, |node| &node.private_ip),
        _ => Value::Null,
    }
}
