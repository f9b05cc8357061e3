//! What the releases differ in, as a client of each sees it.

use mesos_conductor_sandbox::Profile;
use serde_json::{Value, json};

use super::{Town, still};

#[tokio::test]
async fn steps_are_listed_in_the_shape_of_the_release() {
    let check = async |profile: Profile, expected: Value| {
        let town = Town::start(still(profile)).await;
        assert_eq!(town.get("/v2/info").await["version"], profile.version);
        town.create(json!({"id": "/a", "cmd": "sleep 1"})).await;
        let listed = town.get("/v2/deployments").await.as_array().unwrap().len();
        assert_eq!(
            listed,
            usize::from(profile == Profile::V1_8 || profile == Profile::V1_11),
            "at once or later"
        );
        town.pass(2.0);
        let shown = town.get("/v2/deployments").await[0].clone();
        assert_eq!(
            (&shown["steps"][1], &shown["currentStep"]),
            (&expected, &json!(2)),
            "{}",
            profile.version
        );
        assert_eq!(shown["currentActions"][0]["action"], "ScaleApplication");
    };
    let plain = json!({"action": "ScaleApplication", "app": "/a"});
    let typed = json!({"type": "ScaleApplication", "app": "/a"});
    for profile in [Profile::V0_8, Profile::V0_15] {
        check(profile, json!([plain])).await;
    }
    check(Profile::V1_1, json!({"actions": [typed]})).await;
    for profile in [Profile::V1_3, Profile::V1_4, Profile::V1_6, Profile::V1_8, Profile::V1_11] {
        check(profile, json!({"actions": [plain]})).await;
    }
}

#[tokio::test]
async fn each_release_shows_what_it_knows() {
    for profile in Profile::ALL {
        let name = profile.name();
        let town = Town::start(still(profile)).await;
        let created = town.call("POST", "/v2/apps", json!({"id": "/a", "cmd": "sleep 1"})).await;
        let since = |release: &str| {
            let place = |release: &str| Profile::ALL.iter().position(|p| p.name() == release).unwrap();
            place(&name) >= place(release)
        };
        assert_eq!(created.headers.contains_key("marathon-deployment-id"), since("1.4"), "{name}");
        assert!(created.body["deployments"][0]["id"].is_string());
        town.finish();
        let app = town.app("/a").await;
        assert_eq!(app.get("versionInfo").is_some(), since("0.15"), "{name}");
        assert_eq!(app["tasks"][0].get("state").is_some(), since("1.3"), "{name}");
        assert_eq!(id_has_instance(&app), since("1.8"), "{name}");
        assert_eq!(app.get("ports").is_some(), !since("1.6"), "{name}");
        assert_eq!(app.get("args").is_some(), !since("1.6"), "{name}: nothing is left out");
        assert_eq!(app.get("networks").is_some(), since("1.6"), "{name}");
        assert_eq!(app.get("unreachableStrategy").is_some(), since("1.4"), "{name}");
        assert_eq!(app.get("role").is_some(), since("1.11"), "{name}");
        assert_eq!(app["maxLaunchDelaySeconds"], if since("1.8") { 300 } else { 3600 }, "{name}");
        let patched = town.call("PATCH", "/v2/apps/a", json!({"instances": 2})).await;
        assert_eq!(patched.status, if since("1.4") { 200 } else { 405 }, "{name}");
        let new = town.call("PUT", "/v2/apps/b", json!({"cmd": "sleep 1"})).await;
        assert_eq!((new.status, new.body.get("id").is_some()), (201, name == "0.8"), "{name}");
    }
}

fn id_has_instance(app: &Value) -> bool {
    let id = app["tasks"][0]["id"].as_str().unwrap();
    id.starts_with("a.instance-") && id.ends_with("._app.1")
}

#[tokio::test]
async fn there_is_no_stream_before_0_9() {
    let town = Town::start(still(Profile::V0_8)).await;
    let answer = town.call("GET", "/v2/events", Value::Null).await;
    assert_eq!((answer.status, &answer.body["message"]), (404, &json!("URI not found: /v2/events")));
}

#[tokio::test]
async fn what_an_older_release_shows_cannot_be_sent_back() {
    let town = Town::start(still(Profile::V1_3)).await;
    town.create(json!({"id": "/a", "cmd": "sleep 1"})).await;
    town.finish();
    let mut shown = town.app("/a").await;
    assert_eq!(town.call("PUT", "/v2/apps/a", shown.clone()).await.status, 422, "for its version");
    shown.as_object_mut().unwrap().remove("version");
    let refused = town.call("PUT", "/v2/apps/a", shown.clone()).await;
    assert!(refused.body.to_string().contains("cannot specify both ports and port definitions"));
    shown.as_object_mut().unwrap().remove("ports");
    let version = town.app("/a").await["version"].clone();
    town.change("PUT", "/v2/apps/a", shown).await;
    assert_eq!(town.app("/a").await["version"], version, "now it is the same");
}
