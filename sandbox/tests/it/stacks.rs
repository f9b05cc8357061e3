//! Heat: what it validates, how stacks move, and who sees which.

use std::time::Duration;

use mesos_conductor_sandbox::{Config, Doom, StackAction, known};
use serde_json::{Value, json};

use crate::support::{Answer, Cloud, DEADLINE, frozen, nowhere};

const TEMPLATE: &str = "
heat_template_version: 2013-05-23
description: a test
parameters:
  key: {type: string}
  secret: {type: string, hidden: true, default: none}
  number_of_masters: {type: number, default: 1}
  number_of_slaves: {type: number, default: 1}
  slaves_to_remove: {type: comma_delimited_list, default: []}
  verify: {type: boolean, default: true}
  affinity: {type: string, default: soft, constraints: [{allowed_values: [soft, hard]}]}
outputs:
  api_address: {value: x}
  mesos_slaves_private: {value: x, description: the nodes}
";

fn body(name: &str, parameters: Value) -> Value {
    json!({"stack_name": name, "template": TEMPLATE, "parameters": parameters, "timeout_mins": 60})
}

impl Cloud {
    async fn create_stack(&self, token: &str, name: &str, parameters: Value) -> String {
        let answer = self.heat("POST", "/stacks", token, Some(body(name, parameters))).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body["stack"]["id"].as_str().unwrap().to_owned()
    }

    async fn show(&self, token: &str, name: &str, id: &str) -> Answer {
        self.heat("GET", &format!("/stacks/{name}/{id}"), token, None).await
    }

    async fn status(&self, token: &str, name: &str, id: &str) -> String {
        let answer = self.show(token, name, id).await;
        answer.body["stack"]["stack_status"].as_str().unwrap_or("none").to_owned()
    }
}

fn output(shown: &Answer, key: &str) -> Value {
    let outputs = shown.body["stack"]["outputs"].as_array().unwrap();
    outputs.iter().find(|output| output["output_key"] == key).unwrap()["output_value"].clone()
}

#[tokio::test]
async fn a_stack_is_built_in_time_and_then_has_outputs() {
    let cloud = Cloud::start(nowhere()).await;
    let token = cloud.demo_token().await;
    let id = cloud.create_stack(&token, "bay-1", json!({"key": "k", "number_of_slaves": 2})).await;
    let built =
        |sandbox: &mesos_conductor_sandbox::Sandbox| sandbox.stacks()[0].status() == "CREATE_COMPLETE";
    assert!(cloud.sandbox.wait_until(DEADLINE, built).await);
    let shown = cloud.show(&token, "bay-1", &id).await;
    assert_eq!(output(&shown, "mesos_slaves_private"), json!(["10.0.0.101", "10.0.0.102"]));
    assert_eq!(output(&shown, "api_address"), json!("172.24.4.2"));
    assert_eq!(shown.body["stack"]["outputs"].as_array().unwrap().len(), 2, "only declared outputs");
    assert_eq!(shown.body["stack"]["stack_status_reason"], "Stack CREATE completed successfully");
    assert_eq!(shown.body["stack"]["timeout_mins"], 60);
    let path = format!("/stacks/bay-1/{id}?resolve_outputs=false");
    assert_eq!(cloud.heat("GET", &path, &token, None).await.body["stack"]["outputs"], Value::Null);
}

#[tokio::test]
async fn a_stack_in_progress_has_no_output_values_yet() {
    let cloud = Cloud::start(frozen()).await;
    let token = cloud.demo_token().await;
    let id = cloud.create_stack(&token, "bay-1", json!({"key": "k"})).await;
    let shown = cloud.show(&token, "bay-1", &id).await;
    assert_eq!(shown.body["stack"]["stack_status"], "CREATE_IN_PROGRESS");
    assert_eq!(output(&shown, "api_address"), Value::Null);
}

#[tokio::test]
async fn parameters_are_shown_as_text_and_hidden_ones_not_at_all() {
    let cloud = Cloud::start(frozen()).await;
    let token = cloud.demo_token().await;
    let given =
        json!({"key": "k", "secret": "hush", "number_of_slaves": 3, "verify": false, "affinity": null});
    let id = cloud.create_stack(&token, "bay-1", given).await;
    let shown = cloud.show(&token, "bay-1", &id).await.body["stack"]["parameters"].clone();
    assert_eq!(shown["number_of_slaves"], "3");
    assert_eq!(shown["verify"], "False");
    assert_eq!(shown["affinity"], "soft", "null stands for the default");
    assert_eq!(shown["secret"], "******");
    assert_eq!(shown["OS::stack_id"], json!(id));
    assert_eq!(shown["OS::project_id"], known::DEMO_PROJECT.id);
    assert_eq!(cloud.sandbox.stacks()[0].parameters["secret"], "hush", "tests see what was sent");
    assert!(!format!("{:?}", cloud.sandbox.stacks()).contains("hush"));
}

#[tokio::test]
async fn a_bad_request_is_refused_with_heats_error_body() {
    let cloud = Cloud::start(nowhere()).await;
    let token = cloud.demo_token().await;
    let with_template = |template: Value| json!({"stack_name": "a", "template": template, "parameters": {}});
    let missing_file = "heat_template_version: 2013-05-23\nresources: {a: {type: node.yaml}}";
    for (request, kind) in [
        (body("1bad", json!({"key": "k"})), "StackValidationFailed"),
        (body("a", json!({"key": "k", "surplus": 1})), "UnknownUserParameter"),
        (body("a", json!({})), "UserParameterMissing"),
        (body("a", json!({"key": null})), "UserParameterMissing"),
        (body("a", json!({"key": "k", "number_of_slaves": "many"})), "StackValidationFailed"),
        (body("a", json!({"key": "k", "affinity": "none"})), "StackValidationFailed"),
        (body("a", json!({"key": "k", "verify": "perhaps"})), "StackValidationFailed"),
        (with_template(Value::Null), "HTTPBadRequest"),
        (with_template(json!("a: [")), "HTTPBadRequest"),
        (with_template(json!(missing_file)), "StackValidationFailed"),
    ] {
        let answer = cloud.heat("POST", "/stacks", &token, Some(request.clone())).await;
        assert_eq!(answer.status, 400, "{request}");
        assert_eq!(answer.body["error"]["type"], kind, "{}", answer.body);
        assert_eq!(answer.body["code"], 400);
        assert_eq!(answer.body["title"], "Bad Request");
        assert!(answer.body["explanation"].is_string() && answer.body["error"]["message"].is_string());
    }
    assert!(cloud.sandbox.stacks().is_empty());
}

#[tokio::test]
async fn environments_and_nested_files_are_taken_from_the_request() {
    let cloud = Cloud::start(frozen()).await;
    let token = cloud.demo_token().await;
    let template = json!({
        "heat_template_version": "2013-05-23",
        "parameters": {"a": {"type": "string"}, "b": {"type": "string"}},
        "resources": {"node": {"type": "node.yaml"}},
    });
    let request = json!({
        "stack_name": "s",
        "template": template,
        "parameters": {"b": "beside"},
        "environment_files": ["env.yaml"],
        "files": {
            "env.yaml": "parameters: {a: from-env, b: from-env}\nresource_registry: {'My::Lb': lb.yaml}",
            "lb.yaml": "heat_template_version: 2013-05-23",
            "node.yaml": "heat_template_version: 2013-05-23\nresources: {x: {get_file: run.sh}}",
            "run.sh": "true",
        },
    });
    let mut short = request.clone();
    short["files"].as_object_mut().unwrap().remove("run.sh");
    assert_eq!(cloud.heat("POST", "/stacks", &token, Some(short)).await.status, 400);
    assert_eq!(cloud.heat("POST", "/stacks", &token, Some(request)).await.status, 201);
    let stack = cloud.sandbox.stack("s").unwrap();
    assert_eq!((stack.parameters["a"].as_str(), stack.parameters["b"].as_str()), ("from-env", "beside"));
}

#[tokio::test]
async fn a_name_can_be_taken_once_at_a_time() {
    let cloud = Cloud::start(frozen()).await;
    let token = cloud.demo_token().await;
    let id = cloud.create_stack(&token, "bay-1", json!({"key": "k"})).await;
    let again = cloud.heat("POST", "/stacks", &token, Some(body("bay-1", json!({"key": "k"})))).await;
    assert_eq!(again.status, 409);
    assert_eq!(again.body["error"]["type"], "StackExists");
    assert_eq!(again.body["error"]["message"], "The Stack (bay-1) already exists.");
    cloud.heat("DELETE", &format!("/stacks/bay-1/{id}"), &token, None).await;
    cloud.sandbox.finish_stacks("bay-1");
    cloud.create_stack(&token, "bay-1", json!({"key": "k"})).await;
}

#[tokio::test]
async fn a_trust_token_does_everything_but_create() {
    let cloud = Cloud::start(frozen()).await;
    let own = cloud.demo_token().await;
    let id = cloud.create_stack(&own, "bay-1", json!({"key": "k"})).await;
    cloud.sandbox.finish_stacks("");
    let trustee = cloud.make_trustee("bay-1").await;
    let trust = cloud.make_trust(&trustee).await;
    let token = cloud.trust_token(&trustee, &trust).await.subject();
    let refused = cloud.heat("POST", "/stacks", &token, Some(body("bay-2", json!({"key": "k"})))).await;
    assert_eq!((refused.status, &refused.body["error"]["message"]), (500, &json!("Internal Error")));
    assert_eq!(cloud.sandbox.stacks().len(), 1);
    assert_eq!(cloud.heat("GET", "/stacks", &token, None).await.body["stacks"][0]["id"], json!(id));
    assert_eq!(cloud.show(&token, "bay-1", &id).await.status, 200);
    let path = format!("/stacks/bay-1/{id}");
    let patch = json!({"parameters": {"number_of_slaves": 2}});
    assert_eq!(cloud.heat("PATCH", &path, &token, Some(patch)).await.status, 202);
    assert_eq!(cloud.heat("DELETE", &path, &token, None).await.status, 204);
}

#[tokio::test]
async fn another_project_is_closed() {
    let cloud = Cloud::start(frozen()).await;
    let own = cloud.demo_token().await;
    let id = cloud.create_stack(&own, "bay-1", json!({"key": "k"})).await;
    let admin_at_home = cloud.project_token(known::ADMIN_USER, known::ADMIN_PROJECT).await;
    let other = cloud.project_token(known::OTHER_USER, known::OTHER_PROJECT).await;
    for token in [&other, &admin_at_home, &cloud.domain_admin_token().await] {
        let shown = cloud.show(token, "bay-1", &id).await;
        assert_eq!((shown.status, &shown.body["error"]["type"]), (403, &json!("Forbidden")));
        assert_eq!(cloud.heat("GET", "/stacks/bay-1", token, None).await.status, 403);
    }
    let url = format!("{}/stacks/{id}", cloud.sandbox.heat_url(known::OTHER_PROJECT.id));
    let answer = cloud.try_send("GET", &url, Some(&other), None).await.unwrap();
    assert_eq!((answer.status, &answer.body["error"]["type"]), (404, &json!("EntityNotFound")));
}

#[tokio::test]
async fn a_name_or_an_id_alone_redirects_with_the_query_kept() {
    let cloud = Cloud::start(frozen()).await;
    let token = cloud.demo_token().await;
    let id = cloud.create_stack(&token, "bay-1", json!({"key": "k"})).await;
    let full = format!("{}/stacks/bay-1/{id}", cloud.sandbox.heat_url(known::DEMO_PROJECT.id));
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        for path in ["/stacks/bay-1".to_owned(), format!("/stacks/{id}")] {
            let answer = cloud.heat(method, &path, &token, None).await;
            assert_eq!((answer.status, answer.header("location")), (302, full.clone()));
        }
    }
    let answer = cloud.heat("GET", "/stacks/bay-1?resolve_outputs=false", &token, None).await;
    assert_eq!(answer.header("location"), format!("{full}?resolve_outputs=false"));
    assert_eq!(cloud.heat("GET", "/stacks/bay-9", &token, None).await.status, 404);
    assert_eq!(cloud.sandbox.stacks()[0].status(), "CREATE_IN_PROGRESS", "a redirect does nothing");
}

#[tokio::test]
async fn a_patch_keeps_what_it_does_not_mention_and_a_put_does_not() {
    let cloud = Cloud::start(frozen()).await;
    let token = cloud.demo_token().await;
    let id = cloud.create_stack(&token, "bay-1", json!({"key": "k", "number_of_masters": 3})).await;
    let path = format!("/stacks/bay-1/{id}");
    let patch = json!({"parameters": {"number_of_slaves": 4}});
    let busy = cloud.heat("PATCH", &path, &token, Some(patch.clone())).await;
    assert_eq!((busy.status, &busy.body["error"]["type"]), (409, &json!("ActionInProgress")));
    cloud.sandbox.finish_stacks("");
    assert_eq!(cloud.heat("PATCH", &path, &token, Some(patch)).await.status, 202);
    assert_eq!(cloud.status(&token, "bay-1", &id).await, "UPDATE_IN_PROGRESS");
    assert_eq!(cloud.sandbox.stacks()[0].slaves.len(), 1, "nothing is built yet");
    cloud.sandbox.finish_stacks("");
    let stack = cloud.sandbox.stack("bay-1").unwrap();
    assert_eq!((stack.masters.len(), stack.slaves.len(), stack.status().as_str()), (3, 4, "UPDATE_COMPLETE"));
    let unknown = json!({"parameters": {"surplus": 1}});
    assert_eq!(cloud.heat("PATCH", &path, &token, Some(unknown)).await.status, 400);
    assert_eq!(cloud.heat("PUT", &path, &token, Some(body("bay-1", json!({})))).await.status, 400);
    assert_eq!(cloud.heat("PUT", &path, &token, Some(body("bay-1", json!({"key": "k"})))).await.status, 202);
    cloud.sandbox.finish_stacks("");
    let stack = cloud.sandbox.stack("bay-1").unwrap();
    assert_eq!((stack.masters.len(), stack.slaves.len()), (1, 1));
}

#[tokio::test]
async fn named_slaves_go_first_and_their_place_stays_empty() {
    let cloud = Cloud::start(frozen()).await;
    let token = cloud.demo_token().await;
    let id = cloud.create_stack(&token, "bay-1", json!({"key": "k", "number_of_slaves": 3})).await;
    cloud.sandbox.finish_stacks("");
    let resize = async |count: u32, leaving: Value| {
        let patch = json!({"parameters": {"number_of_slaves": count, "slaves_to_remove": leaving}});
        let answer = cloud.heat("PATCH", &format!("/stacks/bay-1/{id}"), &token, Some(patch)).await;
        assert_eq!(answer.status, 202);
        cloud.sandbox.finish_stacks("");
        let stack = cloud.sandbox.stack("bay-1").unwrap();
        stack.slaves.into_iter().map(|node| node.index).collect::<Vec<_>>()
    };
    assert_eq!(resize(2, json!(["0"])).await, [1, 2]);
    assert_eq!(resize(3, json!([])).await, [1, 2, 3]);
    assert_eq!(resize(2, json!(["10.0.0.102"])).await, [1, 2], "an address names no member of this template");
    assert_eq!(resize(3, json!([])).await, [1, 2, 3], "a place emptied from the top is used again");
}

#[tokio::test]
async fn a_slave_can_be_named_by_address_if_its_template_says_so() {
    let cloud = Cloud::start(frozen()).await;
    let token = cloud.demo_token().await;
    let mut request = body("bay-1", json!({"key": "k", "number_of_slaves": 3}));
    request["files"] =
        json!({"slave.yaml": "heat_template_version: 2013-05-23\noutputs: {'OS::stack_id': {value: x}}"});
    cloud.heat("POST", "/stacks", &token, Some(request)).await;
    cloud.sandbox.finish_stacks("");
    let id = cloud.sandbox.stacks()[0].id.clone();
    let patch = json!({"parameters": {"number_of_slaves": 2, "slaves_to_remove": ["10.0.0.101"]}});
    cloud.heat("PATCH", &format!("/stacks/bay-1/{id}"), &token, Some(patch)).await;
    cloud.sandbox.finish_stacks("");
    let shown = cloud.show(&token, "bay-1", &id).await;
    assert_eq!(output(&shown, "mesos_slaves_private"), json!(["10.0.0.102", "10.0.0.103"]));
}

#[tokio::test]
async fn a_deleted_stack_is_gone_by_name_and_shown_by_id_for_a_while() {
    let cloud = Cloud::start(frozen()).await;
    let token = cloud.demo_token().await;
    let id = cloud.create_stack(&token, "bay-1", json!({"key": "k"})).await;
    let path = format!("/stacks/bay-1/{id}");
    for _ in 0..2 {
        assert_eq!(cloud.heat("DELETE", &path, &token, None).await.status, 204, "a second delete joins in");
        assert_eq!(cloud.status(&token, "bay-1", &id).await, "DELETE_IN_PROGRESS");
    }
    cloud.sandbox.finish_stacks("");
    assert!(cloud.sandbox.stacks().is_empty());
    assert_eq!(cloud.sandbox.deleted_stacks().len(), 1);
    assert_eq!(cloud.heat("GET", "/stacks/bay-1", &token, None).await.status, 404);
    assert_eq!(cloud.heat("GET", &format!("/stacks/{id}"), &token, None).await.status, 302);
    assert_eq!(cloud.status(&token, "bay-1", &id).await, "DELETE_COMPLETE");
    assert_eq!(cloud.heat("DELETE", &path, &token, None).await.status, 404);
    assert_eq!(cloud.heat("GET", "/stacks", &token, None).await.body["stacks"], json!([]));
    cloud.sandbox.advance(Duration::from_secs(3601));
    let late = cloud.demo_token().await;
    assert_eq!(cloud.show(&late, "bay-1", &id).await.status, 404);
}

#[tokio::test]
async fn a_deleted_stack_can_be_hidden_at_once() {
    let cloud = Cloud::start(Config { deleted_visible: Duration::ZERO, ..frozen() }).await;
    let token = cloud.demo_token().await;
    let id = cloud.create_stack(&token, "bay-1", json!({"key": "k"})).await;
    cloud.heat("DELETE", &format!("/stacks/bay-1/{id}"), &token, None).await;
    cloud.sandbox.finish_stacks("");
    assert_eq!(cloud.show(&token, "bay-1", &id).await.status, 404);
}

#[tokio::test]
async fn a_doomed_stack_fails_with_the_reason_and_can_be_deleted() {
    let cloud = Cloud::start(frozen()).await;
    let token = cloud.demo_token().await;
    cloud.sandbox.fail_stack(Doom::new("bay-1", "no valid host").of(StackAction::Create));
    let id = cloud.create_stack(&token, "bay-1-abc", json!({"key": "k"})).await;
    let spared = cloud.create_stack(&token, "bay-2", json!({"key": "k"})).await;
    cloud.sandbox.finish_stacks("");
    let shown = cloud.show(&token, "bay-1-abc", &id).await.body["stack"].clone();
    assert_eq!(shown["stack_status"], "CREATE_FAILED");
    assert_eq!(shown["stack_status_reason"], "Resource CREATE failed: no valid host");
    assert_eq!(cloud.status(&token, "bay-2", &spared).await, "CREATE_COMPLETE");
    cloud.heat("DELETE", &format!("/stacks/bay-1-abc/{id}"), &token, None).await;
    cloud.sandbox.fail_stack(Doom::new("bay-1", "a port is in use"));
    assert_eq!(cloud.status(&token, "bay-1-abc", &id).await, "DELETE_FAILED", "what runs fails at once");
    cloud.heat("DELETE", &format!("/stacks/bay-1-abc/{id}"), &token, None).await;
    cloud.sandbox.finish_stacks("");
    assert_eq!(cloud.status(&token, "bay-1-abc", &id).await, "DELETE_COMPLETE");
}

#[tokio::test]
async fn a_listing_filters_and_pages_and_is_never_global() {
    let cloud = Cloud::start(frozen()).await;
    let token = cloud.demo_token().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(cloud.create_stack(&token, name, json!({"key": "k"})).await);
    }
    cloud.sandbox.finish_stacks("b");
    let list = async |query: &str| {
        let answer = cloud.heat("GET", &format!("/stacks{query}"), &token, None).await;
        let stacks = answer.body["stacks"].as_array().cloned().unwrap_or_default();
        let names = stacks.iter().map(|stack| stack["stack_name"].as_str().unwrap().to_owned());
        (answer.status, names.collect::<Vec<_>>().join(""))
    };
    let ok = |names: &str| (200, names.to_owned());
    assert_eq!(list("").await, ok("cba"), "the newest first");
    assert_eq!(list(&format!("?id={}&id={}", ids[0], ids[2])).await, ok("ca"));
    assert_eq!(list("?name=b").await, ok("b"));
    assert_eq!(list("?status=CREATE_COMPLETE").await, ok("b"));
    assert_eq!(list("?limit=2").await, ok("cb"));
    assert_eq!(list(&format!("?limit=2&marker={}", ids[1])).await, ok("a"));
    assert_eq!(list("?limit=some").await.0, 400);
    assert_eq!(list("?global_tenant=true").await.0, 403);
    let admin = cloud.project_token(known::ADMIN_USER, known::DEMO_PROJECT).await;
    assert_eq!(cloud.heat("GET", "/stacks?global_tenant=1", &admin, None).await.status, 403);
}
