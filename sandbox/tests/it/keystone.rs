//! Keystone: tokens, users and trusts, and who is refused what.

use std::time::Duration;

use mesos_conductor_sandbox::{Config, TokenKind, known};
use serde_json::{Value, json};

use crate::support::{Cloud, password, trust_body};

#[tokio::test]
async fn a_project_token_carries_roles_and_a_catalog() {
    let cloud = Cloud::start(Config::default()).await;
    let user = json!({"name": "demo", "domain": {"name": "Default"}, "password": known::DEMO_USER.password});
    let identity = json!({"methods": ["password"], "password": {"user": user}});
    let scope = json!({"project": {"name": "demo", "domain": {"id": "default"}}});
    let answer = cloud.authenticate(identity, scope).await;
    let token = &answer.body["token"];
    assert_eq!(answer.status, 201);
    assert_eq!(token["project"]["id"], known::DEMO_PROJECT.id);
    let roles: Vec<_> = token["roles"].as_array().unwrap().iter().map(|role| &role["name"]).collect();
    assert_eq!(roles, ["member", "reader", "heat_stack_owner"]);
    let heat = &token["catalog"][1];
    assert_eq!(heat["type"], "orchestration");
    assert_eq!(heat["endpoints"][0]["url"], cloud.sandbox.heat_url(known::DEMO_PROJECT.id));
    assert_eq!(heat["endpoints"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_unscoped_token_has_neither_roles_nor_catalog() {
    let cloud = Cloud::start(Config::default()).await;
    let answer =
        cloud.authenticate(password(known::DEMO_USER.id, known::DEMO_USER.password), Value::Null).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.body["token"]["catalog"], Value::Null);
    assert_eq!(answer.body["token"]["roles"], Value::Null);
}

#[tokio::test]
async fn whoever_is_not_believed_is_not_told_why() {
    let cloud = Cloud::start(Config::default()).await;
    let (id, secret) = (known::DEMO_USER.id, known::DEMO_USER.password);
    let foreign = json!({"project": {"id": known::OTHER_PROJECT.id}});
    let missing = json!({"OS-TRUST:trust": {"id": "0123"}});
    for (identity, scope) in [
        (password(id, "wrong"), Value::Null),
        (password("nobody", secret), Value::Null),
        (password(id, secret), foreign),
        (password(id, secret), missing),
        (password(id, secret), json!({"domain": {"name": "magnum"}})),
    ] {
        let answer = cloud.authenticate(identity, scope).await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.body["error"]["code"], 401);
        assert_eq!(answer.body["error"]["title"], "Unauthorized");
        assert_eq!(answer.body["error"]["message"], "The request you have made requires authentication.");
    }
}

#[tokio::test]
async fn an_expired_token_opens_nothing_anywhere() {
    let config = Config { token_lifetime: Duration::from_secs(60), ..Config::default() };
    let cloud = Cloud::start(config).await;
    let token = cloud.demo_token().await;
    assert_eq!(cloud.keystone("GET", "/regions", &token, None).await.status, 200);
    assert_eq!(cloud.heat("GET", "/stacks", &token, None).await.status, 200);
    cloud.sandbox.advance(Duration::from_secs(61));
    assert_eq!(cloud.keystone("GET", "/regions", &token, None).await.status, 401);
    let answer = cloud.heat("GET", "/stacks", &token, None).await;
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").contains(&cloud.sandbox.auth_url()));
    assert_eq!(cloud.sandbox.requests().last().unwrap().token, TokenKind::Expired);
}

#[tokio::test]
async fn a_token_made_from_a_token_does_not_outlive_it() {
    let config = Config { token_lifetime: Duration::from_secs(60), ..Config::default() };
    let cloud = Cloud::start(config).await;
    let first = cloud.demo_token().await;
    cloud.sandbox.advance(Duration::from_secs(30));
    let identity = json!({"methods": ["token"], "token": {"id": first}});
    let scope = json!({"project": {"id": known::DEMO_PROJECT.id}});
    let second = cloud.authenticate(identity, scope).await.subject();
    cloud.sandbox.advance(Duration::from_secs(31));
    assert_eq!(cloud.keystone("GET", "/regions", &second, None).await.status, 401);
}

#[tokio::test]
async fn a_revoked_token_is_unknown() {
    let cloud = Cloud::start(Config::default()).await;
    let token = cloud.sandbox.issue_token(known::DEMO_USER, known::DEMO_PROJECT);
    let url = format!("{}/auth/tokens", cloud.sandbox.auth_url());
    let client = reqwest::Client::new();
    let call = |method: reqwest::Method| {
        client.request(method, &url).header("x-auth-token", &token).header("x-subject-token", &token).send()
    };
    assert_eq!(call(reqwest::Method::GET).await.unwrap().status(), 200);
    assert_eq!(call(reqwest::Method::HEAD).await.unwrap().status(), 200);
    assert_eq!(call(reqwest::Method::DELETE).await.unwrap().status(), 204);
    assert_eq!(call(reqwest::Method::GET).await.unwrap().status(), 401);
    assert_eq!(cloud.sandbox.requests().last().unwrap().token, TokenKind::Unknown);
}

#[tokio::test]
async fn a_user_name_is_unique_in_its_domain() {
    let cloud = Cloud::start(Config::default()).await;
    let id = cloud.make_trustee("bay-1").await;
    let token = cloud.domain_admin_token().await;
    let again = json!({"user": {"name": "bay-1", "password": "other"}});
    let answer = cloud.keystone("POST", "/users", &token, Some(again)).await;
    assert_eq!((answer.status, &answer.body["error"]["title"]), (409, &json!("Conflict")));
    let path = format!("/users?name=bay-1&domain_id={}", known::TRUSTEE_DOMAIN.id);
    let found = cloud.keystone("GET", &path, &token, None).await;
    assert_eq!(found.body["users"].as_array().unwrap().len(), 1);
    assert_eq!(found.body["users"][0]["id"], id);
    assert!(cloud.sandbox.password_is(&id, "pw"), "the refused password must not replace the first");
}

#[tokio::test]
async fn the_domain_admin_rules_over_its_own_domain_only() {
    let cloud = Cloud::start(Config::default()).await;
    let admin = cloud.domain_admin_token().await;
    let user = json!({"user": {"name": "x", "password": "pw", "domain_id": "default"}});
    assert_eq!(cloud.keystone("POST", "/users", &admin, Some(user)).await.status, 403);
    let path = format!("/users/{}", known::DEMO_USER.id);
    assert_eq!(cloud.keystone("DELETE", &path, &admin, None).await.status, 403);
    let demo = cloud.demo_token().await;
    let user = json!({"user": {"name": "x", "domain_id": known::TRUSTEE_DOMAIN.id}});
    assert_eq!(cloud.keystone("POST", "/users", &demo, Some(user)).await.status, 403);
    assert_eq!(cloud.keystone("DELETE", "/users/nobody", &admin, None).await.status, 404);
}

#[tokio::test]
async fn deleting_a_trustee_removes_its_trusts_and_its_tokens() {
    let cloud = Cloud::start(Config::default()).await;
    let trustee = cloud.make_trustee("bay-1").await;
    let trust = cloud.make_trust(&trustee).await;
    let token = cloud.trust_token(&trustee, &trust).await.subject();
    assert_eq!(cloud.heat("GET", "/stacks", &token, None).await.status, 200);
    let admin = cloud.domain_admin_token().await;
    assert_eq!(cloud.keystone("DELETE", &format!("/users/{trustee}"), &admin, None).await.status, 204);
    assert!(cloud.sandbox.trusts().is_empty());
    assert!(cloud.sandbox.trustees().is_empty());
    assert_eq!(cloud.heat("GET", "/stacks", &token, None).await.status, 401);
}

#[tokio::test]
async fn a_trust_token_speaks_for_the_trustor_with_the_delegated_roles() {
    let cloud = Cloud::start(Config::default()).await;
    let trustee = cloud.make_trustee("bay-1").await;
    let trust = cloud.make_trust(&trustee).await;
    let token = cloud.trust_token(&trustee, &trust).await.body["token"].clone();
    assert_eq!(token["user"]["id"], known::DEMO_USER.id);
    assert_eq!(token["project"]["id"], known::DEMO_PROJECT.id);
    assert_eq!(token["OS-TRUST:trust"]["id"], json!(trust));
    assert_eq!(token["OS-TRUST:trust"]["trustee_user"]["id"], json!(trustee));
    assert_eq!(token["roles"].as_array().unwrap().len(), 2);
    let stranger = cloud.make_trustee("bay-2").await;
    assert_eq!(cloud.trust_token(&stranger, &trust).await.status, 403);
}

#[tokio::test]
async fn a_trust_that_may_not_be_made_is_refused() {
    let cloud = Cloud::start(Config::default()).await;
    let trustee = cloud.make_trustee("bay-1").await;
    let trust = cloud.make_trust(&trustee).await;
    let own = cloud.demo_token().await;
    let delegated = cloud.trust_token(&trustee, &trust).await.subject();
    let foreign = cloud.project_token(known::OTHER_USER, known::OTHER_PROJECT).await;
    let changed = |key: &str, value: Value| {
        let mut body = trust_body(&trustee);
        body["trust"][key] = value;
        body
    };
    for (token, body, status) in [
        (&delegated, trust_body(&trustee), 403),
        (&foreign, trust_body(&trustee), 403),
        (&own, changed("roles", json!([{"name": "admin"}])), 404),
        (&own, changed("roles", json!([{"name": "no-such-role"}])), 404),
        (&own, changed("roles", json!([])), 403),
        (&own, changed("trustee_user_id", json!("nobody")), 404),
        (&own, changed("delegation_depth", json!(0)), 400),
        (&own, changed("impersonation", Value::Null), 400),
    ] {
        let answer = cloud.keystone("POST", "/OS-TRUST/trusts", token, Some(body)).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    assert_eq!(cloud.sandbox.trusts().len(), 1);
}

#[tokio::test]
async fn trusts_are_listed_by_whom_they_concern() {
    let cloud = Cloud::start(Config::default()).await;
    let trustee = cloud.make_trustee("bay-1").await;
    let trust = cloud.make_trust(&trustee).await;
    let trustor = cloud.demo_token().await;
    let unscoped = cloud.authenticate(password(&trustee, "pw"), json!("unscoped")).await.subject();
    let by_trustee = format!("/OS-TRUST/trusts?trustee_user_id={trustee}");
    let by_trustor = format!("/OS-TRUST/trusts?trustor_user_id={}", known::DEMO_USER.id);
    for (token, path, status) in [
        (&unscoped, &by_trustee, 200),
        (&trustor, &by_trustor, 200),
        (&trustor, &by_trustee, 403),
        (&unscoped, &by_trustor, 403),
        (&trustor, &"/OS-TRUST/trusts".to_owned(), 403),
    ] {
        let answer = cloud.keystone("GET", path, token, None).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        if status == 200 {
            assert_eq!(answer.body["trusts"][0]["id"], json!(trust));
            assert_eq!(answer.body["trusts"][0]["roles"], Value::Null, "a listing leaves the roles out");
        }
    }
}

#[tokio::test]
async fn a_trust_is_deleted_with_its_own_token_or_the_trustors() {
    let cloud = Cloud::start(Config::default()).await;
    let trustee = cloud.make_trustee("bay-1").await;
    for own in [true, false] {
        let trust = cloud.make_trust(&trustee).await;
        let path = format!("/OS-TRUST/trusts/{trust}");
        let unscoped = cloud.authenticate(password(&trustee, "pw"), Value::Null).await.subject();
        assert_eq!(cloud.keystone("DELETE", &path, &unscoped, None).await.status, 403);
        let delegated = cloud.trust_token(&trustee, &trust).await.subject();
        let token = if own { delegated.clone() } else { cloud.demo_token().await };
        assert_eq!(cloud.keystone("DELETE", &path, &token, None).await.status, 204);
        assert_eq!(cloud.heat("GET", "/stacks", &delegated, None).await.status, 401);
        let trustor = cloud.demo_token().await;
        assert_eq!(cloud.keystone("DELETE", &path, &trustor, None).await.status, 404);
    }
}

#[tokio::test]
async fn a_trust_runs_out_by_uses_and_by_time() {
    let cloud = Cloud::start(Config::default()).await;
    let trustee = cloud.make_trustee("bay-1").await;
    let token = cloud.demo_token().await;
    let mut body = trust_body(&trustee);
    body["trust"]["remaining_uses"] = json!(1);
    let used = cloud.keystone("POST", "/OS-TRUST/trusts", &token, Some(body.clone())).await;
    let id = used.body["trust"]["id"].as_str().unwrap().to_owned();
    assert_eq!(cloud.trust_token(&trustee, &id).await.status, 201);
    assert_eq!(cloud.trust_token(&trustee, &id).await.status, 401);
    body["trust"]["remaining_uses"] = Value::Null;
    body["trust"]["expires_at"] = json!("2001-01-01T00:00:00.000000Z");
    assert_eq!(cloud.keystone("POST", "/OS-TRUST/trusts", &token, Some(body)).await.status, 400);
}

#[tokio::test]
async fn the_service_user_reaches_any_project_and_the_region_is_listed() {
    let cloud = Cloud::start(Config::default()).await;
    let token = cloud.project_token(known::SERVICE_USER, known::DEMO_PROJECT).await;
    assert_eq!(cloud.heat("GET", "/stacks", &token, None).await.status, 200);
    let regions = cloud.keystone("GET", "/regions", &token, None).await;
    assert_eq!(regions.body["regions"][0]["id"], known::REGION);
    let home = cloud.project_token(known::SERVICE_USER, known::SERVICE_PROJECT).await;
    assert_eq!(cloud.heat("GET", "/stacks", &home, None).await.status, 403);
    let discovery = cloud.keystone("GET", "", "", None).await;
    assert_eq!((discovery.status, &discovery.body["version"]["status"]), (200, &json!("stable")));
}
