//! With `[conductor] verify_tokens` a context is worth what Keystone says of its token, and nothing more.

use mesos_conductor_proto::context::RequestContext;
use mesos_conductor_sandbox::known::{
    ADMIN_PROJECT, ADMIN_USER, DEMO_PROJECT, DEMO_USER, OTHER_PROJECT, OTHER_USER,
};
use mesos_conductor_sandbox::{Action, Rule, Service};
use serde_json::{Value, json};

use crate::support::peer::{Peer, outcome};
use crate::support::worker::Worker;
use crate::support::{Caller, World, data, eventually, failure_class, object};

const OPTIONS: &str = "[conductor]\nverify_tokens = true\ntoken_cache_time = \"1s\"\n";

async fn verifying(world: &World) -> Worker {
    let configuration = world.configuration("").replace("[conductor]\n", OPTIONS);
    Worker::start_with(world, &configuration, None).await
}

fn list() -> Value {
    json!({
        "objname": "Bay", "objmethod": "list", "objver": "1.5", "args": [1000, null],
        "kwargs": { "sort_key": "id", "sort_dir": "asc" },
    })
}

fn model() -> Value {
    json!({
        "objinst": object("BayModel", "1.10", crate::support::model_fields()), "objmethod": "create",
        "args": [], "kwargs": {},
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_served_beyond_what_the_token_gives() {
    let world = World::new().await;
    let worker = verifying(&world).await;
    let caller = Caller::new(&world).await;
    let demo = world.demo();
    let other = world.context(OTHER_USER, OTHER_PROJECT);
    let everything = |context: RequestContext| context.with("is_admin", true).with("all_tenants", true);
    for (who, context) in [
        ("no token", demo.clone().with("auth_token", Value::Null)),
        ("a token of nobody", demo.clone().with("auth_token", "no-such-token")),
        ("another project", demo.clone().with("project_id", OTHER_PROJECT.id)),
        ("another user", demo.clone().with("user_id", OTHER_USER.id)),
        ("another's token", other.with("user_id", DEMO_USER.id).with("project_id", DEMO_PROJECT.id)),
        ("an administrator by word", everything(demo.clone())),
        ("an administrator without a token", everything(RequestContext::default())),
    ] {
        for (method, args) in [("object_class_action", list()), ("object_action", model())] {
            let answer = caller.call_as(context.clone(), method, args).await;
            let error = answer.err().unwrap_or_else(|| panic!("{who} may {method}"));
            assert_eq!(failure_class(&error), "NotAuthorized", "{who}: {error}");
        }
    }
    assert!(world.database.texts("SELECT uuid FROM cluster_template").await.is_empty());

    caller
        .call_as(RequestContext::default(), "ping_conductor", json!({}))
        .await
        .expect("a ping is anybody's");
    caller.create_model().await;
    let admin = everything(world.context(ADMIN_USER, ADMIN_PROJECT).with("roles", json!(["admin"])));
    let listed = caller.call_as(admin, "object_class_action", list()).await;
    assert_eq!(listed.expect("an administrator is one"), json!([]));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contexts_are_believed_unless_verification_is_asked_for() {
    let world = World::new().await;
    let worker = world.worker().await;
    let caller = Caller::new(&world).await;
    let claimed = RequestContext::default().with("project_id", OTHER_PROJECT.id);
    let made = caller.call_as(claimed, "object_action", model()).await.expect("it is believed");
    assert_eq!(made[0]["project_id"], OTHER_PROJECT.id);
    assert_eq!(world.sandbox.count(Service::Keystone, "GET", "/auth/tokens$"), 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_is_refused_after_a_while_and_a_repeat_is_still_answered_as_before() {
    let world = World::new().await;
    let worker = verifying(&world).await;
    let caller = Caller::new(&world).await;
    let peer = Peer::open(&world).await;
    let request = peer.request(&world, "object_action", model());
    peer.send(&request).await;
    outcome(&peer.replies(1).await[0]).expect("the model is made");
    let context = request.context.clone();
    for _ in 0..3 {
        caller.call_as(context.clone(), "object_class_action", list()).await.expect("the token is good");
    }
    let asked = world.sandbox.count(Service::Keystone, "GET", "/auth/tokens$");
    assert!(asked < 4, "Keystone was asked {asked} times about one token");

    world.sandbox.revoke_all_tokens();
    let refused = eventually(async || {
        let answer = caller.call_as(context.clone(), "object_class_action", list()).await;
        answer.err().map(|error| failure_class(&error).to_owned())
    });
    assert_eq!(refused.await.as_deref(), Some("NotAuthorized"));
    peer.send(&request).await;
    let replies = peer.replies(2).await;
    assert_eq!(replies[1], replies[0], "what was done is not refused afterwards");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_keystone_cannot_be_asked_callers_are_told_so() {
    let world = World::new().await;
    let worker = verifying(&world).await;
    let caller = Caller::new(&world).await;
    let faults = world.sandbox.faults();
    faults.add(Rule::new(Service::Keystone, "GET", "/auth/tokens$", Action::status(503)));
    for (method, args) in [("object_class_action", list()), ("object_action", model())] {
        let error = caller.call(method, args).await.expect_err("nobody can be verified");
        assert_eq!(failure_class(&error), "AuthorizationFailure", "{error}");
        assert!(error.to_string().contains("could not be verified"), "{error}");
    }
    assert!(world.database.texts("SELECT uuid FROM cluster_template").await.is_empty());
    faults.clear();
    let model = caller.create_model().await;
    let uuid = caller.create_bay(&model).await;
    assert_eq!(data(&caller.bay(&uuid).await.expect("it is there"))["status"], "CREATE_COMPLETE");
    worker.stop().await;
}
