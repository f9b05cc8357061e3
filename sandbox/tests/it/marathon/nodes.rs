//! Several nodes: who answers, and what happens when the leader goes.

use mesos_conductor_sandbox::{Behaviour, MarathonConfig, Profile, Script, Service};
use serde_json::{Value, json};

use super::events::Stream;
use super::{Town, still, web};

async fn three(profile: Profile) -> Town {
    Town::start(MarathonConfig { nodes: 3, ..still(profile) }).await
}

async fn ask(town: &Town, node: usize, path: &str) -> crate::support::Answer {
    town.cloud.try_send("GET", &format!("{}{path}", town.marathon.urls()[node]), None, None).await.unwrap()
}

#[tokio::test]
async fn a_follower_passes_on_what_it_is_asked() {
    let town = three(Profile::V1_11).await;
    let leader = town.marathon.url();
    let direct = ask(&town, 0, "/v2/info").await;
    assert_eq!(direct.header("x-marathon-leader"), leader);
    assert!(direct.headers.get("x-marathon-via").is_none());
    let proxied = ask(&town, 2, "/v2/info").await;
    let name = town.marathon.urls()[2].replace("http://", "");
    assert_eq!(proxied.header("x-marathon-via"), format!("1.1 {name}"));
    assert_eq!((proxied.header("x-marathon-leader"), &proxied.body), (leader.clone(), &direct.body));
    assert_eq!(proxied.header("cache-control"), "no-cache, no-store, must-revalidate");
    assert_eq!(proxied.body["leader"], leader.replace("http://", ""));
    assert_eq!(ask(&town, 1, "/ping").await.body, "pong\n");
    let hosts: Vec<String> = town.cloud.sandbox.requests().into_iter().map(|request| request.host).collect();
    assert_eq!(hosts[1], name, "the log tells who was asked");
}

#[tokio::test]
async fn events_are_redirected_to_the_leader_or_proxied() {
    let town = three(Profile::V1_11).await;
    let answer = ask(&town, 1, "/v2/events?event_type=deployment_success").await;
    let expected = format!("{}/v2/events?event_type=deployment_success", town.marathon.url());
    assert_eq!((answer.status, answer.header("location")), (302, expected));
    let old = three(Profile::V1_3).await;
    let mut stream = Stream::open(&old, 1, "").await;
    assert_eq!(stream.event().await.unwrap().0, "event_stream_attached");
}

#[tokio::test]
async fn a_deployment_survives_its_leader_under_the_same_id() {
    for profile in [Profile::V1_3, Profile::V1_11] {
        let town = three(profile).await;
        let mut stream = Stream::open(&town, 0, "").await;
        town.marathon.behave(Script::new("/web", Behaviour::Healthy { after_seconds: 3 }));
        let mut app = web(2);
        app["healthChecks"] = json!([{"intervalSeconds": 1}]);
        let deployment = town.create(app).await;
        town.pass(4.0);
        town.marathon.fail_over();
        while stream.frame().await.is_some() {}
        town.pass(9.0);
        assert_eq!(town.marathon.leader(), None);
        assert_eq!(town.marathon.deployments()[0]["id"], deployment, "nobody is there to carry on");
        town.pass(1.0);
        assert_eq!(town.marathon.leader(), Some(1));
        town.finish();
        assert_eq!(town.told_of(&deployment).last(), Some(&"deployment_success"), "{}", profile.version);
        assert_eq!(town.app("/web").await["tasksHealthy"], 2);
    }
}

#[tokio::test]
async fn without_a_leader_there_is_only_an_error_page() {
    for (profile, status) in [(Profile::V1_11, 502), (Profile::V1_6, 503)] {
        let town = Town::start(MarathonConfig { nodes: 2, ..MarathonConfig::of(profile) }).await;
        town.marathon.depose();
        let answer = ask(&town, 1, "/v2/apps").await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, "text/html;charset=utf-8".to_owned())
        );
        assert!(answer.body.to_string().contains("Could not determine the current leader"));
        town.marathon.elect(1);
        assert_eq!(ask(&town, 0, "/v2/apps").await.status, 200);
    }
}

#[tokio::test]
async fn a_request_waits_a_little_for_an_election() {
    let town = Town::start(MarathonConfig { nodes: 2, speed: 1, ..MarathonConfig::default() }).await;
    town.marathon.depose();
    let (answer, ()) = tokio::join!(ask(&town, 0, "/v2/apps"), async {
        let arrived = |marathon: &mesos_conductor_sandbox::Marathon| marathon.leader().is_none();
        town.wait(arrived).await;
        town.marathon.elect(1);
    });
    assert_eq!((answer.status, answer.header("x-marathon-leader")), (200, town.marathon.urls()[1].clone()));
}

#[tokio::test]
async fn a_node_that_is_cut_off_answers_nobody_and_does_not_lead() {
    let town = three(Profile::V1_11).await;
    town.marathon.set_up(0, false);
    let url = format!("{}/ping", town.marathon.urls()[0]);
    assert!(town.cloud.try_send("GET", &url, None, None).await.is_err());
    town.pass(10.0);
    assert_eq!(town.marathon.leader(), Some(1));
    assert_eq!(ask(&town, 2, "/ping").await.status, 200);
    town.marathon.set_up(0, true);
    assert_eq!(ask(&town, 0, "/ping").await.header("x-marathon-leader"), town.marathon.urls()[1]);
}

#[tokio::test]
async fn a_leader_abdicates_when_asked_to() {
    let town = three(Profile::V1_11).await;
    let answer = town.call("DELETE", "/v2/leader", Value::Null).await;
    assert_eq!((answer.status, &answer.body["message"]), (200, &json!("Leadership abdicated")));
    town.pass(10.0);
    assert_eq!(town.marathon.leader(), Some(1));
}

#[tokio::test]
async fn faults_strike_the_node_they_name() {
    let town = three(Profile::V1_11).await;
    let second = town.marathon.urls()[1].replace("http://", "");
    let rule = mesos_conductor_sandbox::Rule::new(
        Service::Marathon,
        "GET",
        "/v2/apps",
        mesos_conductor_sandbox::Action::html(504),
    );
    town.cloud.sandbox.faults().add(rule.at(&second));
    assert_eq!(ask(&town, 0, "/v2/apps").await.status, 200);
    let answer = ask(&town, 1, "/v2/apps").await;
    assert_eq!((answer.status, answer.header("content-type")), (504, "text/html;charset=utf-8".to_owned()));
}
