//! Tokens, trustees and trusts, each asked for more than once.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::openstack::fake::{Fake, LONG, Reply, Seen, caller, keystone_error, service, trust, trustee};
use crate::openstack::settings::DomainRef;
use crate::openstack::{Credentials, Kind, OpenStack};

const USERS: &str = "POST /v3/users";
const TRUSTS: &str = "POST /v3/OS-TRUST/trusts";

fn trust_json(id: &str, trustor: &str) -> Value {
    json!({
        "id": id, "trustor_user_id": trustor, "trustee_user_id": "trustee-1", "project_id": "p1",
        "impersonation": true, "expires_at": null, "remaining_uses": null, "deleted_at": null,
    })
}

/// A Keystone that has these trusts and lets them be deleted.
fn keystone_with(trusts: Vec<Value>) -> impl FnMut(&Seen) -> Option<Reply> + Send + 'static {
    move |seen| match (seen.method.as_str(), seen.path.as_str()) {
        ("GET", "/v3/OS-TRUST/trusts") => Some(Reply::Json(200, json!({"trusts": trusts}))),
        ("POST", "/v3/OS-TRUST/trusts") => {
            Some(Reply::Json(201, json!({"trust": trust_json("new", "caller")})))
        }
        ("DELETE", path) if path.starts_with("/v3/OS-TRUST/trusts/") => Some(Reply::Page(204, String::new())),
        _ => None,
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_the_call_repeated() {
    let fake = Fake::start(|seen| match seen.path.as_str() {
        "/heat/v1/p1/stacks" if seen.token == "token-1" => Some(keystone_error(401, "Unauthorized")),
        "/heat/v1/p1/stacks" => Some(Reply::Json(200, json!({"stacks": []}))),
        _ => None,
    })
    .await;
    let heat = fake.cloud().heat;
    heat.list(&service(), &["s1".to_owned()], LONG).await.unwrap();
    heat.list(&service(), &["s1".to_owned()], LONG).await.unwrap();
    assert_eq!(fake.logins(), 2);
    let tokens: Vec<_> =
        fake.seen().into_iter().map(|seen| seen.token).filter(|token| !token.is_empty()).collect();
    assert_eq!(tokens, ["token-1", "token-2", "token-2"]);
}

#[tokio::test]
async fn credentials_that_are_refused_again_are_not_tried_for_ever() {
    let fake = Fake::start(|seen| (!seen.is_login()).then(|| keystone_error(401, "Unauthorized"))).await;
    let error = fake.cloud().heat.list(&service(), &["s1".to_owned()], LONG).await.unwrap_err();
    assert!(error.is_unauthorized(), "{error}");
    assert_eq!((fake.logins(), fake.count("GET /heat/v1/p1/stacks")), (2, 2));
}

#[tokio::test]
async fn a_refused_token_of_a_caller_is_reported_and_forgotten() {
    let fake =
        Fake::start(|seen| (seen.path == "/heat/v1/p1/stacks").then(|| keystone_error(401, "Unauthorized")))
            .await;
    let heat = fake.cloud().heat;
    for _ in 0..2 {
        let error = heat.list(&caller(), &["s1".to_owned()], LONG).await.unwrap_err();
        assert!(error.is_unauthorized(), "{error}");
    }
    assert_eq!(fake.logins(), 0, "nobody can log in for a caller");
    assert_eq!(fake.count("GET /v3/auth/tokens"), 2, "what was known of the token is not trusted again");
}

#[tokio::test]
async fn many_who_need_the_same_token_at_once_log_in_once() {
    let fake = Fake::start(|_| None).await;
    let keystone = fake.cloud().keystone;
    let mut asking = JoinSet::new();
    for _ in 0..20 {
        let keystone = keystone.clone();
        asking.spawn(async move { keystone.session(&Credentials::DomainAdmin, LONG).await.unwrap() });
    }
    let sessions = asking.join_all().await;
    assert!(sessions.iter().all(|session| session.token.expose_secret() == "token-1"));
    assert_eq!(fake.logins(), 1);
}

#[tokio::test]
async fn a_token_is_held_while_it_lasts_and_replaced_before_it_ends() {
    let fake = Fake::start(|_| None).await;
    let keystone = fake.cloud().keystone;
    for _ in 0..3 {
        keystone.session(&service(), LONG).await.unwrap();
    }
    assert_eq!(fake.logins(), 1);

    fake.set_lifetime(time::Duration::seconds(2));
    let other = Credentials::Service { project_id: None };
    let begun = std::time::Instant::now();
    let first = keystone.session(&other, LONG).await.unwrap();
    let second = loop {
        let session = keystone.session(&other, LONG).await.unwrap();
        if session.token.expose_secret() != first.token.expose_secret() {
            break session;
        }
        assert!(begun.elapsed() < Duration::from_secs(2), "the token was given out after its end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(second.token.expose_secret(), "token-3");
}

#[tokio::test]
async fn a_caller_who_may_not_ask_about_the_token_is_asked_for_by_the_service_user() {
    let fake = Fake::start(|seen| {
        let own = seen.is("GET /v3/auth/tokens") && seen.token == "callers-token";
        own.then(|| keystone_error(403, "You are not authorized"))
    })
    .await;
    let session = fake.cloud().keystone.session(&caller(), LONG).await.unwrap();
    assert_eq!((session.user_id.as_str(), session.project_id.as_deref()), ("caller", Some("p1")));
    assert_eq!(session.token.expose_secret(), "callers-token");
}

#[tokio::test]
async fn a_fitting_trust_is_adopted_and_the_surplus_deleted() {
    let mut limited = trust_json("a", "caller");
    limited["expires_at"] = json!("2030-01-01T00:00:00.000000Z");
    let trusts =
        vec![trust_json("c", "caller"), trust_json("b", "caller"), trust_json("d", "stranger"), limited];
    let fake = Fake::start(keystone_with(trusts)).await;
    let keystone = fake.cloud().keystone;
    assert_eq!(keystone.ensure_trust(&caller(), &trustee(), LONG).await.unwrap(), "b");
    assert_eq!(fake.count(TRUSTS), 0, "a trust that exists is not made again");
    let deleted: Vec<_> = fake.seen().into_iter().filter(|seen| seen.method == "DELETE").collect();
    let paths: Vec<_> = deleted.iter().map(|seen| seen.path.rsplit('/').next().unwrap()).collect();
    assert_eq!(paths, ["a", "c", "d"]);
    assert_eq!(deleted[0].token, "callers-token");
    assert_ne!(deleted[2].token, "callers-token", "another trustor's trust is deleted by way of itself");
}

#[tokio::test]
async fn a_trust_whose_creation_answer_was_lost_is_adopted_by_the_next_run() {
    let mut made = 0;
    let fake = Fake::start(move |seen| match seen.line().as_str() {
        "GET /v3/OS-TRUST/trusts" => {
            let trusts: Vec<_> =
                (0..made).map(|number| trust_json(&format!("t{number}"), "caller")).collect();
            Some(Reply::Json(200, json!({"trusts": trusts})))
        }
        TRUSTS => {
            made += 1;
            Some(Reply::Lost)
        }
        _ => None,
    })
    .await;
    let keystone = fake.cloud().keystone;
    let error = keystone.ensure_trust(&caller(), &trustee(), LONG).await.unwrap_err();
    assert!(error.effect_unknown() && error.is_retryable(), "{error}");
    assert_eq!(keystone.ensure_trust(&caller(), &trustee(), LONG).await.unwrap(), "t0");
    assert_eq!(fake.count(TRUSTS), 1);
}

#[tokio::test]
async fn a_trust_passes_on_the_configured_roles_or_all_of_the_callers() {
    for (configured, expected) in [
        (vec![], json!([{"name": "member"}, {"name": "heat_stack_owner"}])),
        (vec!["reader".to_owned()], json!([{"name": "reader"}])),
    ] {
        let fake = Fake::start(keystone_with(vec![])).await;
        let mut settings = fake.settings();
        settings.trust.as_mut().unwrap().roles = configured;
        let keystone = OpenStack::new(settings, std::sync::Arc::new(())).unwrap().keystone;
        assert_eq!(keystone.ensure_trust(&caller(), &trustee(), LONG).await.unwrap(), "new");
        let sent = fake.seen().pop().unwrap();
        assert_eq!(sent.token, "callers-token");
        let expected = json!({"trust": {
            "expires_at": null, "impersonation": true, "project_id": "p1", "remaining_uses": null,
            "roles": expected, "trustee_user_id": "trustee-1", "trustor_user_id": "caller",
        }});
        assert_eq!(sent.body, expected);
    }
}

#[tokio::test]
async fn a_trust_that_is_gone_counts_as_deleted() {
    for reply in [
        |seen: &Seen| (seen.method == "DELETE").then(|| keystone_error(404, "Could not find trust: t1")),
        |seen: &Seen| seen.is_login().then(|| keystone_error(404, "Could not find trust: t1")),
        |seen: &Seen| seen.is_login().then(|| keystone_error(401, "The trustee is gone")),
    ] {
        let fake = Fake::start(reply).await;
        fake.cloud().keystone.delete_trust(&trust("t1"), "t1", LONG).await.unwrap();
    }
}

#[tokio::test]
async fn a_trust_that_a_caller_may_not_delete_is_an_error() {
    let fake = Fake::start(|seen| (seen.method == "DELETE").then(|| keystone_error(403, "Not yours"))).await;
    let error = fake.cloud().keystone.delete_trust(&caller(), "t1", LONG).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Forbidden { .. }), "{error}");
}

/// A Keystone where the user exists, with this password.
fn user_exists_with(password: &'static str) -> impl FnMut(&Seen) -> Option<Reply> + Send + 'static {
    move |seen| match seen.line().as_str() {
        USERS => Some(keystone_error(409, "Duplicate entry found with name bay-1")),
        "GET /v3/users" => {
            let user = |id, name| json!({"id": id, "name": name, "domain_id": "domain-1"});
            Some(Reply::Json(200, json!({"users": [user("other", "bay-10"), user("trustee-1", "bay-1")]})))
        }
        "PATCH /v3/users/trustee-1" => Some(Reply::Json(200, json!({"user": {"id": "trustee-1"}}))),
        _ => {
            let given = &seen.body["auth"]["identity"]["password"]["user"];
            (given["id"] == "trustee-1" && given["password"] != password)
                .then(|| keystone_error(401, "The request you have made requires authentication."))
        }
    }
}

#[tokio::test]
async fn a_trustee_that_exists_is_adopted_and_left_alone_when_its_password_fits() {
    let fake = Fake::start(user_exists_with("ours")).await;
    let id = fake.cloud().keystone.ensure_trustee("bay-1", &SecretString::from("ours"), LONG).await.unwrap();
    assert_eq!(id, "trustee-1");
    assert_eq!(fake.count("PATCH /v3/users/trustee-1"), 0);
}

#[tokio::test]
async fn a_trustee_that_exists_with_another_password_gets_ours() {
    let fake = Fake::start(user_exists_with("old")).await;
    let id = fake.cloud().keystone.ensure_trustee("bay-1", &SecretString::from("ours"), LONG).await.unwrap();
    assert_eq!(id, "trustee-1");
    let sent = fake.seen().pop().unwrap();
    assert!(sent.is("PATCH /v3/users/trustee-1"), "{sent:?}");
    assert_eq!(sent.body, json!({"user": {"password": "ours", "enabled": true}}));
}

#[tokio::test]
async fn a_new_trustee_is_made_in_the_domain_of_the_administrators_token() {
    let fake = Fake::start(|seen| {
        let user = json!({"user": {"id": "u1", "name": "bay-1", "domain_id": "domain-1"}});
        seen.is(USERS).then_some(Reply::Json(201, user))
    })
    .await;
    let keystone = fake.cloud().keystone;
    assert_eq!(keystone.ensure_trustee("bay-1", &SecretString::from("ours"), LONG).await.unwrap(), "u1");
    let user = json!({"name": "bay-1", "password": "ours", "domain_id": "domain-1", "enabled": true});
    assert_eq!(fake.seen().pop().unwrap().body, json!({"user": user}));
    assert_eq!(keystone.trustee_domain_id(LONG).await.unwrap(), "domain-1");
    assert_eq!(fake.logins(), 1);

    let mut settings = fake.settings();
    settings.trust.as_mut().unwrap().domain = DomainRef::Id("configured".to_owned());
    let keystone = OpenStack::new(settings, std::sync::Arc::new(())).unwrap().keystone;
    assert_eq!(keystone.trustee_domain_id(LONG).await.unwrap(), "configured");
}

#[tokio::test]
async fn a_trustee_that_is_gone_counts_as_deleted() {
    let fake = Fake::start(|seen| match seen.line().as_str() {
        "DELETE /v3/users/u1" => Some(keystone_error(404, "Could not find user: u1")),
        "DELETE /v3/users/u2" => Some(Reply::Page(404, "no such site".to_owned())),
        _ => None,
    })
    .await;
    let keystone = fake.cloud().keystone;
    keystone.delete_trustee("u1", LONG).await.unwrap();
    assert!(keystone.delete_trustee("u2", LONG).await.is_err(), "a proxy's page is not Keystone's word");
}

#[tokio::test]
async fn what_is_not_configured_says_which_option_to_set() {
    let fake = Fake::start(|_| None).await;
    let mut settings = fake.settings();
    (settings.service, settings.trust) = (None, None);
    let keystone = OpenStack::new(settings.clone(), std::sync::Arc::new(())).unwrap().keystone;
    assert!(!keystone.trusts_configured());
    let message = keystone.session(&service(), LONG).await.unwrap_err().to_string();
    assert!(message.contains("[keystone_auth]"), "{message}");
    let message = keystone.session(&Credentials::DomainAdmin, LONG).await.unwrap_err().to_string();
    assert!(message.contains("[trust]"), "{message}");

    settings.auth_url = None;
    let keystone = OpenStack::new(settings, std::sync::Arc::new(())).unwrap().keystone;
    let message = keystone.session(&caller(), LONG).await.unwrap_err().to_string();
    assert!(message.contains("www_authenticate_uri"), "{message}");
}

#[tokio::test]
async fn secrets_are_absent_from_debug_output_and_errors() {
    // This one repeats what it refuses, as schema validation does.
    let fake = Fake::start(|seen| {
        let text = format!("refused: {} {}", seen.token, seen.body);
        (!seen.is_login()).then(|| keystone_error(400, &text))
    })
    .await;
    let keystone = fake.cloud().keystone;
    let session = keystone.session(&Credentials::DomainAdmin, LONG).await.unwrap();
    let password = SecretString::from("trustee-secret");
    let error = keystone.ensure_trustee("bay-1", &password, LONG).await.unwrap_err();
    let looked_up = keystone.session(&caller(), LONG).await.unwrap_err();
    assert!(error.to_string().contains("***"), "{error}");
    let shown = format!(
        "{session:?} {:?} {:?} {error} {error:?} {looked_up} {looked_up:?} {:?}",
        caller(),
        trust("t1"),
        fake.settings(),
    );
    for secret in ["token-1", "callers-token", "trustee-secret", "service-secret", "admin-secret"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
