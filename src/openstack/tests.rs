//! The whole port against the sandbox: every call is made, its answer lost, and made again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mesos_conductor_sandbox::{Action, Config, Rule, Sandbox, Service, known};
use secrecy::SecretString;
use serde_json::json;

use super::settings::{DomainRef, Limits, PasswordAuth, ProjectRef, TrustSettings, UserRef};
use super::{Cloud, Credentials, Kind, NewStack, OpenStack, Outputs, Settings, StackPatch, Trustee};

const LONG: Duration = Duration::from_secs(20);

const TEMPLATE: &str = "heat_template_version: 2015-04-30
parameters:
  number_of_slaves: {type: number, default: 1}
  secret: {type: string, hidden: true, default: none}
";

fn settings(sandbox: &Sandbox) -> Settings {
    let default = || DomainRef::Id(known::DEFAULT_DOMAIN.id.to_owned());
    let project = ProjectRef::Name { name: known::SERVICE_PROJECT.name.to_owned(), domain: default() };
    Settings {
        auth_url: Some(sandbox.auth_url()),
        service: Some(PasswordAuth {
            user: UserRef::Name { name: known::SERVICE_USER.name.to_owned(), domain: default() },
            password: SecretString::from(known::SERVICE_USER.password),
            project: Some(project),
        }),
        trust: Some(TrustSettings {
            domain: DomainRef::Id(known::TRUSTEE_DOMAIN.id.to_owned()),
            admin: UserRef::Id(known::TRUSTEE_DOMAIN_ADMIN.id.to_owned()),
            admin_password: SecretString::from(known::TRUSTEE_DOMAIN_ADMIN.password),
            roles: vec![],
        }),
        limits: Limits { max_retries: 1, ..Limits::default() },
        ..Settings::default()
    }
}

/// A sandbox, a cloud that talks to it, and a caller of project demo.
async fn world() -> (Sandbox, Arc<dyn Cloud>, Credentials) {
    rustls::crypto::ring::default_provider().install_default().ok();
    let sandbox = Sandbox::start(Config::default()).await.unwrap();
    let cloud = OpenStack::new(settings(&sandbox), Arc::new(())).unwrap();
    let token = sandbox.issue_token(known::DEMO_USER, known::DEMO_PROJECT);
    (sandbox, Arc::new(cloud), Credentials::Token(SecretString::from(token)))
}

fn stack(name: &str) -> NewStack {
    let parameters = json!({"number_of_slaves": 2, "secret": "hunter2"}).as_object().unwrap().clone();
    NewStack { name: name.to_owned(), template: TEMPLATE.to_owned(), parameters, ..NewStack::default() }
}

fn password() -> SecretString {
    SecretString::from("trustee-secret")
}

async fn trusted(cloud: &dyn Cloud, caller: &Credentials) -> (Trustee, String) {
    let user_id = cloud.ensure_trustee("bay-1_demo", &password(), LONG).await.unwrap();
    let trustee = Trustee { user_id, password: password() };
    let trust_id = cloud.ensure_trust(caller, &trustee, LONG).await.unwrap();
    (trustee, trust_id)
}

#[tokio::test]
async fn every_creation_whose_answer_is_lost_is_made_once() {
    let (sandbox, cloud, caller) = world().await;
    for path in ["/users$", "/trusts$"] {
        sandbox.faults().add(Rule::new(Service::Keystone, "POST", path, Action::ResetAfter).once());
    }
    sandbox.faults().add(Rule::new(Service::Heat, "POST", "/stacks$", Action::ResetAfter).once());

    let lost = cloud.ensure_trustee("bay-1_demo", &password(), LONG).await.unwrap_err();
    assert!(lost.effect_unknown() && lost.is_retryable(), "{lost}");
    let user_id = cloud.ensure_trustee("bay-1_demo", &password(), LONG).await.unwrap();
    assert_eq!(cloud.find_trustee("bay-1_demo", LONG).await.unwrap().as_ref(), Some(&user_id));
    assert!(sandbox.password_is(&user_id, "trustee-secret"));

    let trustee = Trustee { user_id, password: password() };
    let lost = cloud.ensure_trust(&caller, &trustee, LONG).await.unwrap_err();
    assert!(lost.effect_unknown(), "{lost}");
    let trust_id = cloud.ensure_trust(&caller, &trustee, LONG).await.unwrap();
    assert_eq!(cloud.ensure_trust(&caller, &trustee, LONG).await.unwrap(), trust_id);

    let lost = cloud.stack_create(&caller, &stack("bay"), LONG).await.unwrap_err();
    assert!(lost.effect_unknown(), "{lost}");
    let conflict = cloud.stack_create(&caller, &stack("bay"), LONG).await.unwrap_err();
    assert!(conflict.is_conflict(), "{conflict}");
    let found = cloud.stack_find(&caller, "bay", LONG).await.unwrap().unwrap();

    let ids = |ids: Vec<String>| ids.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(ids(sandbox.trustees().into_iter().map(|user| user.id).collect()), ids(vec![trustee.user_id]));
    assert_eq!(ids(sandbox.trusts().into_iter().map(|trust| trust.id).collect()), ids(vec![trust_id]));
    assert_eq!(ids(sandbox.stacks().into_iter().map(|stack| stack.id).collect()), ids(vec![found.id]));
}

#[tokio::test]
async fn a_trustee_with_another_password_ends_with_ours() {
    let (sandbox, cloud, _) = world().await;
    let first = cloud.ensure_trustee("bay-1_demo", &SecretString::from("another"), LONG).await.unwrap();
    let second = cloud.ensure_trustee("bay-1_demo", &password(), LONG).await.unwrap();
    assert_eq!(first, second);
    assert!(sandbox.password_is(&first, "trustee-secret"));
}

#[tokio::test]
async fn a_trust_carries_a_stack_through_its_life_but_cannot_make_one() {
    let (sandbox, cloud, caller) = world().await;
    let (trustee, trust_id) = trusted(&*cloud, &caller).await;
    let trust = Credentials::Trust { trustee: trustee.clone(), trust_id: trust_id.clone() };
    let refused = cloud.stack_create(&trust, &stack("other"), LONG).await.unwrap_err();
    assert!(matches!(refused.kind, Kind::Status { code: 500, .. }), "{refused}");

    let id = cloud.stack_create(&caller, &stack("bay"), LONG).await.unwrap();
    sandbox.finish_stacks("bay");
    let shown = cloud.stack_show(&trust, &id, Outputs::Resolve, LONG).await.unwrap().unwrap();
    assert_eq!(shown.status, "CREATE_COMPLETE");
    assert_eq!(shown.parameters["number_of_slaves"], "2");
    assert!(!shown.outputs.is_empty());

    let parameters = json!({"number_of_slaves": 3}).as_object().unwrap().clone();
    cloud.stack_update(&trust, &id, &StackPatch { parameters, disable_rollback: true }, LONG).await.unwrap();
    sandbox.finish_stacks("bay");
    let listed = cloud.stack_list(&trust, std::slice::from_ref(&id), LONG).await.unwrap();
    assert_eq!(listed[0].status, "UPDATE_COMPLETE");
    let shown = cloud.stack_show(&trust, &id, Outputs::Skip, LONG).await.unwrap().unwrap();
    assert_eq!(shown.parameters["number_of_slaves"], "3");

    assert!(cloud.stack_delete(&trust, &id, LONG).await.unwrap());
    sandbox.finish_stacks("bay");
    assert_eq!(cloud.stack_find(&trust, "bay", LONG).await.unwrap(), None);
    assert_eq!(cloud.stack_list(&trust, &[id], LONG).await.unwrap(), []);

    // Each ending runs twice, as after a crash between the call and its record.
    for _ in 0..2 {
        cloud.delete_trust(&trust, &trust_id, LONG).await.unwrap();
    }
    for _ in 0..2 {
        cloud.delete_trustee(&trustee.user_id, LONG).await.unwrap();
    }
    assert!(sandbox.trusts().is_empty() && sandbox.trustees().is_empty() && sandbox.stacks().is_empty());
}

#[tokio::test]
async fn the_service_user_looks_after_a_stack_of_another_project() {
    let (_sandbox, cloud, caller) = world().await;
    let id = cloud.stack_create(&caller, &stack("bay"), LONG).await.unwrap();
    let service = Credentials::Service { project_id: Some(known::DEMO_PROJECT.id.to_owned()) };
    assert!(cloud.stack_show(&service, &id, Outputs::Skip, LONG).await.unwrap().is_some());
}

#[tokio::test]
async fn tokens_that_all_end_at_once_are_replaced_unnoticed() {
    let (sandbox, cloud, caller) = world().await;
    let (trustee, trust_id) = trusted(&*cloud, &caller).await;
    let id = cloud.stack_create(&caller, &stack("bay"), LONG).await.unwrap();
    let trust = Credentials::Trust { trustee, trust_id };
    cloud.stack_show(&trust, &id, Outputs::Skip, LONG).await.unwrap().unwrap();

    sandbox.revoke_all_tokens();
    cloud.stack_show(&trust, &id, Outputs::Skip, LONG).await.unwrap().unwrap();
    let refused = cloud.stack_show(&caller, &id, Outputs::Skip, LONG).await.unwrap_err();
    assert!(refused.is_unauthorized(), "{refused}");
}

#[tokio::test]
async fn a_trust_deleted_behind_our_back_is_no_reason_to_forget_the_stack() {
    let (sandbox, cloud, caller) = world().await;
    let (trustee, trust_id) = trusted(&*cloud, &caller).await;
    let id = cloud.stack_create(&caller, &stack("bay"), LONG).await.unwrap();
    assert!(sandbox.remove_user(&trustee.user_id));
    let trust = Credentials::Trust { trustee, trust_id: trust_id.clone() };
    let refused = cloud.stack_show(&trust, &id, Outputs::Skip, LONG).await.unwrap_err();
    assert!(refused.is_unauthorized(), "{refused}");
    cloud.delete_trust(&trust, &trust_id, LONG).await.unwrap();
    assert!(sandbox.stack(&id).is_some());
}

#[tokio::test]
async fn a_bad_template_is_refused_with_heats_words() {
    let (sandbox, cloud, caller) = world().await;
    let mut bad = stack("bay");
    bad.parameters.insert("colour".to_owned(), json!("red"));
    let refused = cloud.stack_create(&caller, &bad, LONG).await.unwrap_err();
    assert!(matches!(refused.kind, Kind::BadRequest { code: 400, .. }), "{refused}");
    assert!(refused.service_message().unwrap().contains("colour"), "{refused}");
    assert!(sandbox.stacks().is_empty());
}
