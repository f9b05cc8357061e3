//! Stacks through faults, redirects and refusals.

use serde_json::{Value, json};

use crate::openstack::fake::{Fake, LONG, Reply, caller, heat_error, keystone_error, service, trust};
use crate::openstack::{Kind, NewStack, Outputs, StackPatch};

const STACKS: &str = "/heat/v1/p1/stacks";

fn stack_json(status: &str) -> Value {
    json!({"stack": {
        "id": "s1", "stack_name": "bay", "stack_status": status, "stack_status_reason": "because",
        "parameters": {"number_of_slaves": "2", "OS::stack_id": "s1", "flag": true},
        "outputs": [{"output_key": "mesos_slaves", "output_value": ["10.0.0.5"], "description": ""}],
        "creation_time": "2026-01-01T00:00:00Z", "updated_time": null, "timeout_mins": 60,
    }})
}

fn new_stack() -> NewStack {
    let parameters = json!({"ssh_key_name": "k", "trustee_password": "hunter2"});
    NewStack {
        name: "bay".to_owned(),
        template: "heat_template_version: 2015-04-30".to_owned(),
        parameters: parameters.as_object().unwrap().clone(),
        timeout_mins: Some(60),
        ..NewStack::default()
    }
}

#[tokio::test]
async fn a_stack_whose_creation_answer_was_lost_is_found_by_name_and_made_once() {
    let mut exists = false;
    let fake = Fake::start(move |seen| match seen.line().as_str() {
        "POST /heat/v1/p1/stacks" => {
            exists = true;
            Some(Reply::Lost)
        }
        "GET /heat/v1/p1/stacks/bay" if exists => Some(Reply::redirect(format!("{STACKS}/bay/s1"))),
        "GET /heat/v1/p1/stacks/bay" => {
            Some(heat_error(404, "EntityNotFound", "The Stack (bay) could not be found."))
        }
        "GET /heat/v1/p1/stacks/bay/s1" => Some(Reply::Json(200, stack_json("CREATE_IN_PROGRESS"))),
        _ => None,
    })
    .await;
    let heat = fake.cloud().heat;
    assert_eq!(heat.find(&service(), "bay", LONG).await.unwrap(), None);

    let error = heat.create(&caller(), &new_stack(), LONG).await.unwrap_err();
    assert!(error.effect_unknown() && matches!(error.kind, Kind::Lost(_)), "{error}");
    let found = heat.find(&service(), "bay", LONG).await.unwrap().unwrap();
    assert_eq!((found.id.as_str(), found.status.as_str()), ("s1", "CREATE_IN_PROGRESS"));
    assert_eq!(fake.count("POST /heat/v1/p1/stacks"), 1, "a lost creation is never sent again by itself");
}

#[tokio::test]
async fn a_new_stack_carries_all_that_was_asked_for_and_the_callers_own_token() {
    let fake = Fake::start(|seen| {
        seen.is("POST /heat/v1/p1/stacks")
            .then(|| Reply::Json(201, json!({"stack": {"id": "s1", "links": []}})))
    })
    .await;
    assert_eq!(fake.cloud().heat.create(&caller(), &new_stack(), LONG).await.unwrap(), "s1");
    let sent = fake.seen().pop().unwrap();
    assert_eq!(sent.token, "callers-token");
    let expected = json!({
        "stack_name": "bay", "template": "heat_template_version: 2015-04-30", "files": {}, "timeout_mins": 60,
        "parameters": {"ssh_key_name": "k", "trustee_password": "hunter2"},
    });
    assert_eq!(sent.body, expected);
}

#[tokio::test]
async fn redirects_are_followed_with_the_same_method_and_body() {
    let fake = Fake::start(|seen| match (seen.method.as_str(), seen.path.as_str()) {
        (_, "/heat/v1/p1/stacks/s1") => Some(Reply::redirect(format!("http://{}{STACKS}/bay/s1", seen.host))),
        ("PATCH", "/heat/v1/p1/stacks/bay/s1") => Some(Reply::Json(202, Value::Null)),
        ("DELETE", "/heat/v1/p1/stacks/bay/s1") => Some(Reply::Page(204, String::new())),
        _ => None,
    })
    .await;
    let heat = fake.cloud().heat;
    let parameters = json!({"number_of_slaves": 3}).as_object().unwrap().clone();
    let patch = StackPatch { parameters, disable_rollback: true };
    heat.update(&service(), "s1", &patch, LONG).await.unwrap();
    let sent = fake.seen().pop().unwrap();
    assert!(sent.is("PATCH /heat/v1/p1/stacks/bay/s1"), "{sent:?}");
    assert_eq!(sent.body, json!({"parameters": {"number_of_slaves": 3}, "disable_rollback": true}));

    assert!(heat.delete(&service(), "s1", LONG).await.unwrap());
    assert!(fake.seen().pop().unwrap().is("DELETE /heat/v1/p1/stacks/bay/s1"));
}

#[tokio::test]
async fn a_redirect_to_another_server_is_refused_and_gets_no_token() {
    let other = Fake::start(|_| Some(Reply::Json(200, stack_json("CREATE_COMPLETE")))).await;
    let elsewhere = other.address.clone();
    let fake = Fake::start(move |seen| {
        seen.is("GET /heat/v1/p1/stacks/s1").then(|| Reply::redirect(format!("{elsewhere}/stacks/bay/s1")))
    })
    .await;
    let error = fake.cloud().heat.show(&service(), "s1", Outputs::Skip, LONG).await.unwrap_err();
    assert!(error.to_string().contains(&other.address), "{error}");
    assert_eq!(other.seen().len(), 0);
}

#[tokio::test]
async fn outputs_and_parameters_are_read_when_they_are_asked_for() {
    let fake = Fake::start(|seen| {
        seen.is("GET /heat/v1/p1/stacks/s1").then(|| Reply::Json(200, stack_json("CREATE_COMPLETE")))
    })
    .await;
    let stack = fake.cloud().heat.show(&service(), "s1", Outputs::Resolve, LONG).await.unwrap().unwrap();
    assert_eq!(stack.outputs["mesos_slaves"], json!(["10.0.0.5"]));
    assert_eq!(stack.parameters["number_of_slaves"], "2");
    assert_eq!(stack.parameters["flag"], "true");
    assert_eq!(fake.seen().pop().unwrap().query, "resolve_outputs=true");
}

#[tokio::test]
async fn a_refusal_carries_heats_own_words() {
    let fake = Fake::start(|seen| {
        let refusal = || heat_error(400, "StackValidationFailed", "Property error: flavor m9 is unknown");
        seen.is("POST /heat/v1/p1/stacks").then(refusal)
    })
    .await;
    let error = fake.cloud().heat.create(&caller(), &new_stack(), LONG).await.unwrap_err();
    assert_eq!(error.service_message(), Some("Property error: flavor m9 is unknown"));
    assert!(!error.is_retryable() && !error.effect_unknown());
    assert_eq!(
        error.to_string(),
        "heat: POST /heat/v1/p1/stacks: 400, refused: Property error: flavor m9 is unknown"
    );
    let Kind::BadRequest { error_type, .. } = error.kind else { panic!("{error}") };
    assert_eq!(error_type.as_deref(), Some("StackValidationFailed"));
}

#[tokio::test]
async fn a_taken_name_is_a_conflict() {
    let fake = Fake::start(|seen| {
        let taken = || heat_error(409, "StackExists", "The Stack (bay) already exists.");
        seen.is("POST /heat/v1/p1/stacks").then(taken)
    })
    .await;
    let error = fake.cloud().heat.create(&caller(), &new_stack(), LONG).await.unwrap_err();
    assert!(error.is_conflict() && !error.effect_unknown(), "{error}");
}

#[tokio::test]
async fn only_heats_own_word_makes_a_stack_count_as_gone() {
    let replies = [
        (Reply::Page(404, "<html>no such site</html>".to_owned()), true),
        (heat_error(404, "HTTPNotFound", "The resource could not be found."), true),
        (heat_error(404, "EntityNotFound", "The Stack (s1) could not be found."), false),
        (heat_error(404, "StackNotFound", "The Stack (s1) could not be found."), false),
    ];
    for (number, (reply, is_error)) in replies.into_iter().enumerate() {
        let mut reply = Some(reply);
        let fake =
            Fake::start(move |seen| seen.path.starts_with(STACKS).then(|| reply.take().unwrap())).await;
        let gone = fake.cloud().heat.delete(&service(), "s1", LONG).await;
        assert_eq!(gone.is_err(), is_error, "reply {number}: {gone:?}");
        assert!(!gone.unwrap_or(false), "reply {number}");
    }
}

#[tokio::test]
async fn a_trust_that_is_gone_does_not_make_its_stack_count_as_gone() {
    let fake =
        Fake::start(|seen| seen.is_login().then(|| keystone_error(404, "Could not find trust: t1"))).await;
    let error = fake.cloud().heat.show(&trust("t1"), "s1", Outputs::Skip, LONG).await.unwrap_err();
    assert!(error.is_unauthorized(), "{error}");
    assert_eq!(error.service_message(), Some("Could not find trust: t1"));
}

#[tokio::test]
async fn many_stacks_are_listed_in_few_requests_and_none_in_no_request() {
    let fake = Fake::start(|seen| {
        let listed = url::form_urlencoded::parse(seen.query.as_bytes())
            .map(|(name, id)| {
                assert_eq!(name, "id");
                json!({"id": id, "stack_name": "bay", "stack_status": "CREATE_COMPLETE", "stack_owner": null})
            })
            .collect::<Vec<_>>();
        seen.is("GET /heat/v1/p1/stacks").then(|| Reply::Json(200, json!({"stacks": listed})))
    })
    .await;
    let heat = fake.cloud().heat;
    assert_eq!(heat.list(&service(), &[], LONG).await.unwrap(), []);
    assert_eq!(fake.seen().len(), 0, "an empty listing would list everything");

    let ids: Vec<_> = (0..120).map(|number| format!("stack-{number}")).collect();
    let listed = heat.list(&service(), &ids, LONG).await.unwrap();
    assert_eq!(listed.into_iter().map(|stack| stack.id).collect::<Vec<_>>(), ids);
    assert_eq!(fake.count("GET /heat/v1/p1/stacks"), 3);
}

#[tokio::test]
async fn a_projects_stacks_are_listed_by_page() {
    let fake = Fake::start(|seen| {
        let stack = json!({"id": "s2", "stack_name": "bay", "stack_status": "CREATE_COMPLETE"});
        seen.is("GET /heat/v1/p1/stacks").then(|| Reply::Json(200, json!({"stacks": [stack]})))
    })
    .await;
    let heat = fake.cloud().heat;
    for (after, query) in [(None, "limit=500"), (Some("s1"), "limit=500&marker=s1")] {
        let page = heat.page(&service(), 500, after, LONG).await.unwrap();
        assert_eq!(page[0].id, "s2");
        assert_eq!(fake.seen().last().unwrap().query, query);
    }
}

#[tokio::test]
async fn the_stacks_of_all_projects_are_listed_by_id_where_that_is_granted() {
    let fake = Fake::start(|seen| match seen.query.as_str() {
        "global_tenant=true&id=s1" => Some(Reply::Json(200, json!({"stacks": []}))),
        "global_tenant=true&id=s2" => Some(heat_error(403, "Forbidden", "You may not.")),
        _ => None,
    })
    .await;
    let heat = fake.cloud().heat;
    let list = async |id: &str| heat.list_everywhere(&service(), &[id.to_owned()], LONG).await;
    assert_eq!(list("s1").await.unwrap(), []);
    assert!(list("s2").await.unwrap_err().is_forbidden());
}

#[test]
fn parameters_are_absent_from_debug_output() {
    let stack = new_stack();
    let patch = StackPatch { parameters: stack.parameters.clone(), disable_rollback: false };
    let shown = format!("{stack:?} {patch:?}");
    assert!(shown.contains("trustee_password") && !shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn broken_servers_are_found_whatever_filters_a_release_knows() {
    let resource = |name: &str, kind: &str, status: &str| {
        json!({"resource_name": name, "resource_type": kind, "resource_status": status,
            "physical_resource_id": "", "stack_name": "bay-masters-1"})
    };
    let all = [
        resource("server", "OS::Nova::Server", "CHECK_FAILED"),
        resource("server", "OS::Nova::Server", "CREATE_COMPLETE"),
        resource("port", "OS::Neutron::Port", "CHECK_FAILED"),
    ];
    let fake = Fake::start(move |seen| match seen.line().as_str() {
        "GET /heat/v1/p1/stacks/s1/resources" => {
            Some(Reply::redirect(format!("{STACKS}/bay/s1/resources?{}", seen.query)))
        }
        "GET /heat/v1/p1/stacks/bay/s1/resources" => Some(Reply::Json(200, json!({"resources": all}))),
        _ => None,
    })
    .await;
    let found = fake.cloud().heat.broken_servers(&trust("t1"), "s1", LONG).await.unwrap();
    let asked = fake.seen().pop().unwrap().query;
    assert_eq!(asked, "nested_depth=3&type=OS%3A%3ANova%3A%3AServer&status=FAILED");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].name.as_str(), found[0].status.as_str()), ("server", "CHECK_FAILED"));
}
