//! The framework port against the sandbox's Marathon, in each of its releases: what operations will rely on.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use mesos_conductor::app::{AppId, Change, Manifest, Subject, change};
use mesos_conductor::bay::Bay;
use mesos_conductor::framework::credentials::{Keyring, Login};
use mesos_conductor::framework::marathon::Limits;
use mesos_conductor::framework::{
    Credentials, Delay, Depth, Directory, Ended, Error, Force, Framework, Frameworks, Hint, Kill, Seen,
    Selection, Settings, Task, Version, achieved, explain,
};
use mesos_conductor_sandbox::{Access, Behaviour, Marathon, MarathonConfig, Profile, Sandbox, Script};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::eventually;

const ENOUGH: Duration = Duration::from_secs(10);

/// One bay's Marathon, and the port to it.
struct Town {
    _sandbox: Sandbox,
    marathon: Marathon,
    bay: Bay,
}

impl Town {
    async fn start(config: MarathonConfig) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let sandbox = Sandbox::start(mesos_conductor_sandbox::Config::default()).await.unwrap();
        let marathon = sandbox.start_marathon("town", config).unwrap();
        let bay = Bay { uuid: Uuid::new_v4(), master_addresses: marathon.urls(), ..Bay::default() };
        Self { _sandbox: sandbox, marathon, bay }
    }

    async fn port_as(&self, login: Login) -> Arc<dyn Framework> {
        let limits =
            Limits { request_timeout: ENOUGH, events_silence: Duration::from_secs(5), event_size: 1 << 20 };
        let credentials = Keyring::of(Credentials { login, ..Credentials::default() });
        let settings = Settings {
            port: 8080,
            tls_port: 8443,
            mesos_port: 5050,
            mesos_login: Login::None,
            credentials,
            connect_timeout: Duration::from_secs(2),
            limits,
        };
        Directory::new(settings, Arc::new(()), Arc::new(())).of(&self.bay).await.unwrap()
    }

    async fn port(&self) -> Arc<dyn Framework> {
        self.port_as(Login::None).await
    }
}

fn id(text: &str) -> AppId {
    AppId::parse(text).unwrap()
}

fn manifest(value: Value) -> Manifest {
    Manifest::from_value(value).unwrap()
}

/// Waits until every task of an app is up and nothing is under way.
async fn settled(port: &dyn Framework, id: &AppId) -> Seen {
    let seen = eventually(|| async { port.show(id, ENOUGH).await.unwrap().filter(Seen::is_settled) }).await;
    seen.unwrap_or_else(|| panic!("{id} does not settle"))
}

async fn life_of_an_app(profile: Profile) {
    let town = Town::start(MarathonConfig::of(profile)).await;
    let port = town.port().await;
    let web = id("/shop/web");
    let subject = Subject::App(web.clone());
    let first = manifest(json!({
        "id": "shop/web", "cmd": "sleep 1000", "instances": 2, "cpus": 0.1, "mem": 32, "env": {"A": "b"},
        "constraints": [["hostname", "UNIQUE"]], "uris": ["http://example.org/a.tgz"],
    }));

    assert_eq!(port.show(&web, ENOUGH).await.unwrap(), None);
    let accepted = port.create(&first, ENOUGH).await.unwrap();
    assert_eq!(accepted.deployments.len(), 1);
    let created = settled(&*port, &web).await;
    assert!(achieved(&first.apps()[0], &created), "{created:?}");
    let duplicate = port.create(&first, ENOUGH).await.unwrap_err();
    assert!(matches!(duplicate, Error::AlreadyExists { .. }), "{duplicate}");
    assert_eq!((created.endpoints.is_empty(), created.tasks.len()), (false, 2));

    port.scale(&web, 3, Force::Respect, ENOUGH).await.unwrap();
    let scaled = settled(&*port, &web).await;
    assert_eq!((scaled.instances, scaled.tasks_running), (3, 3));
    assert_eq!(scaled.last_config_change_at, created.last_config_change_at);

    // Without its environment and constraints: that is told apart from a definition that has them.
    let second =
        manifest(json!({"id": "/shop/web", "cmd": "sleep 2000", "instances": 3, "cpus": 0.1, "mem": 32}));
    assert_eq!(change(&scaled.definition, &second.apps()[0]), Change::Restart);
    port.update(&second, Force::Respect, ENOUGH).await.unwrap();
    let updated = settled(&*port, &web).await;
    assert!(achieved(&second.apps()[0], &updated), "{updated:?}");
    assert!(
        updated.last_config_change_at.is_none()
            || updated.last_config_change_at > scaled.last_config_change_at
    );

    let versions = port.versions(&subject, ENOUGH).await.unwrap();
    assert_eq!((versions.len(), &versions[0]), (3, updated.version.as_ref().unwrap()));
    port.rollback(&subject, &versions[1], Force::Respect, ENOUGH).await.unwrap();
    let back = settled(&*port, &web).await;
    assert!(achieved(&scaled.definition, &back), "{back:?}");

    port.restart(&web, Force::Respect, ENOUGH).await.unwrap();
    let restarted = settled(&*port, &web).await;
    let ids = |seen: &Seen| seen.tasks.iter().map(|task| task.id.clone()).collect::<Vec<_>>();
    assert!(ids(&restarted).iter().all(|id| !ids(&back).contains(id)), "every task is another one");

    let tasks = port.tasks(&web, ENOUGH).await.unwrap();
    assert!(tasks.iter().all(Task::is_running), "{tasks:?}");
    let killed = port.kill_task(&web, &tasks[0].id, Kill::ScaleDown, Force::Respect, ENOUGH).await.unwrap();
    assert_eq!(killed.deployments.len(), 1);
    assert_eq!(settled(&*port, &web).await.instances, 2);
    let unknown = port.kill_task(&web, "shop_web.none", Kill::Replace, Force::Respect, ENOUGH).await;
    assert!(matches!(unknown, Err(Error::NotFound { .. })), "{unknown:?}");

    port.delete(&subject, Force::Respect, ENOUGH).await.unwrap();
    let gone = eventually(|| async { port.show(&web, ENOUGH).await.unwrap().is_none().then_some(()) }).await;
    assert!(gone.is_some());
    let again = eventually(|| async { port.delete(&subject, Force::Override, ENOUGH).await.err() }).await;
    assert!(matches!(again, Some(Error::NotFound { .. })), "{again:?}");
}

macro_rules! lives {
    ($($name:ident: $profile:ident;)*) => { $(
        #[tokio::test]
        async fn $name() {
            Box::pin(life_of_an_app(Profile::$profile)).await;
        }
    )* };
}

lives! {
    an_app_lives_its_life_on_0_8: V0_8;
    an_app_lives_its_life_on_0_15: V0_15;
    an_app_lives_its_life_on_1_1: V1_1;
    an_app_lives_its_life_on_1_3: V1_3;
    an_app_lives_its_life_on_1_4: V1_4;
    an_app_lives_its_life_on_1_6: V1_6;
    an_app_lives_its_life_on_1_8: V1_8;
    an_app_lives_its_life_on_1_11: V1_11;
}

#[tokio::test]
async fn groups_and_several_apps_are_one_deployment_each() {
    let town = Town::start(MarathonConfig::default()).await;
    let port = town.port().await;
    let app = |id: &str| json!({"id": id, "cmd": "sleep 1", "cpus": 0.1, "mem": 16});
    let group =
        manifest(json!({"id": "/g", "groups": [{"id": "sub", "apps": [app("a")]}], "apps": [app("b")]}));
    let several = manifest(json!([app("/x"), app("/y/z")]));
    for manifest in [&group, &several] {
        assert_eq!(port.create(manifest, ENOUGH).await.unwrap().deployments.len(), 1);
        for app in manifest.apps() {
            assert!(achieved(app, &settled(&*port, app.id()).await));
        }
        let again = port.create(manifest, ENOUGH).await;
        assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
        port.update(manifest, Force::Respect, ENOUGH).await.unwrap();
    }
    let below = port.list(Selection::At(&id("/g")), Depth::Tasks, ENOUGH).await.unwrap();
    assert_eq!(below.len(), 2);
    for manifest in [&group, &several] {
        port.delete(&manifest.subject(), Force::Override, ENOUGH).await.unwrap();
    }
    let none = eventually(|| async {
        port.list(Selection::All, Depth::Counts, ENOUGH).await.unwrap().is_empty().then_some(())
    });
    assert!(none.await.is_some());
}

#[tokio::test]
async fn what_is_locked_says_by_what_and_can_be_forced_or_cancelled() {
    let town = Town::start(MarathonConfig::default()).await;
    let port = town.port().await;
    town.marathon.behave(Script::new("/a", Behaviour::StuckStaging));
    let a = manifest(json!({"id": "/a", "cmd": "sleep 1", "cpus": 0.1, "mem": 16}));
    let stuck = port.create(&a, ENOUGH).await.unwrap();
    let Err(Error::Locked { deployments, .. }) = port.scale(&id("/a"), 2, Force::Respect, ENOUGH).await
    else {
        panic!("it is not locked")
    };
    assert_eq!(deployments, stuck.deployments);
    let listed = port.deployments(ENOUGH).await.unwrap();
    assert_eq!((&listed[0].id, &listed[0].apps[..]), (&deployments[0], &["/a".to_owned()][..]));

    let forced = port.scale(&id("/a"), 2, Force::Override, ENOUGH).await.unwrap();
    assert_ne!(forced.deployments, deployments);
    port.cancel(&forced.deployments[0], Force::Override, ENOUGH).await.unwrap();
    let ended = eventually(|| async { port.deployments(ENOUGH).await.unwrap().is_empty().then_some(()) });
    assert!(ended.await.is_some());
    let gone = port.cancel(&forced.deployments[0], Force::Override, ENOUGH).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
}

#[tokio::test]
async fn an_app_that_does_not_start_is_explained() {
    let town = Town::start(MarathonConfig::default()).await;
    let port = town.port().await;
    town.marathon.behave(Script::new("/a", Behaviour::unschedulable("InsufficientCpus")));
    town.marathon.behave(Script::new("/b", Behaviour::crash_loop("Command exited with status 7")));
    for name in ["/a", "/b"] {
        let app =
            manifest(json!({"id": name, "cmd": "sleep 1", "cpus": 0.1, "mem": 16, "backoffSeconds": 3000}));
        port.create(&app, ENOUGH).await.unwrap();
    }
    let explained = |name: &'static str| {
        let port = &port;
        move || async move {
            let (waiting, deployments) =
                (port.waiting(ENOUGH).await.unwrap(), port.deployments(ENOUGH).await.unwrap());
            let seen = port.show(&id(name), ENOUGH).await.unwrap().unwrap();
            Some((explain(&seen, &waiting, &deployments).join("\n"), waiting))
        }
    };
    let cpus = eventually(|| async {
        let (text, _) = explained("/a")().await?;
        text.contains("too little CPU").then_some(text)
    });
    let text = cpus.await.expect("the queue names the reason");
    assert!(text.contains("0 of 1 instances are running") && text.contains("deployment "), "{text}");
    let crash = eventually(|| async {
        let (text, waiting) = explained("/b")().await?;
        let delayed = waiting.iter().any(|one| one.app == "/b" && matches!(one.delay, Delay::Backoff(_)));
        (delayed && text.contains("status 7")).then_some(text)
    });
    let text = crash.await.expect("the last failure and its delay are told");
    assert!(text.contains("TASK_FAILED") && text.contains("at the soonest"), "{text}");
}

#[tokio::test]
async fn a_version_that_never_was_is_refused() {
    for profile in [Profile::V0_8, Profile::V1_11] {
        let town = Town::start(MarathonConfig::of(profile)).await;
        let port = town.port().await;
        let web = manifest(json!({"id": "/web", "cmd": "sleep 1", "cpus": 0.1, "mem": 16}));
        port.create(&web, ENOUGH).await.unwrap();
        settled(&*port, &id("/web")).await;
        let unknown = Version::new("2001-01-01T00:00:00.000Z");
        let refused = port.rollback(&web.subject(), &unknown, Force::Respect, ENOUGH).await.unwrap_err();
        assert!(matches!(refused, Error::NotFound { .. } | Error::Invalid { .. }), "{refused}");
    }
}

#[tokio::test]
async fn credentials_are_asked_for_and_accepted() {
    let basic = MarathonConfig { access: Access::basic("u", "p"), ..MarathonConfig::default() };
    let town = Town::start(basic).await;
    let login = |password: &str| Login::Basic { username: "u".to_owned(), password: password.into() };
    town.port_as(login("p")).await.info(ENOUGH).await.unwrap();
    for refused in [town.port().await, town.port_as(login("wrong")).await] {
        let error = refused.info(ENOUGH).await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    }
    let token = MarathonConfig { access: Access::token("jwt"), ..MarathonConfig::default() };
    let town = Town::start(token).await;
    town.port_as(Login::Token("jwt".into())).await.info(ENOUGH).await.unwrap();
    assert!(town.port().await.info(ENOUGH).await.is_err());
}

#[tokio::test]
async fn events_tell_that_a_deployment_ended_whichever_master_is_asked() {
    let config = MarathonConfig { nodes: 3, access: Access::basic("u", "p"), ..MarathonConfig::default() };
    let town = Town::start(config).await;
    town.marathon.elect(2);
    let port = town.port_as(Login::Basic { username: "u".to_owned(), password: "p".into() }).await;
    let mut hints = port.events(ENOUGH).await.unwrap();
    assert_eq!(hints.next().await, Some(Hint::Attached));
    let app = manifest(json!({"id": "/a", "cmd": "sleep 1", "cpus": 0.1, "mem": 16}));
    let deployment = port.create(&app, ENOUGH).await.unwrap().deployments.remove(0);
    let mut changed = false;
    let ended = loop {
        match hints.next().await.expect("the stream goes on") {
            Hint::Deployment { id, ended: Some(ended) } if id == deployment => break ended,
            Hint::AppChanged(app) => changed |= app == id("/a"),
            Hint::Attached | Hint::Deployment { .. } | Hint::Unclear => {}
            Hint::Silent | Hint::Closed => panic!("the stream ended"),
        }
    };
    assert_eq!((ended, changed), (Ended::Success, true));

    // The leader goes; the next one is found, and has the same app.
    town.marathon.fail_over();
    while let Some(hint) = hints.next().await {
        assert!(!matches!(hint, Hint::Silent), "the end of the stream is noticed");
    }
    let attached = eventually(|| async { port.events(ENOUGH).await.ok()?.next().await }).await;
    assert_eq!(attached, Some(Hint::Attached));
    assert_eq!(settled(&*port, &id("/a")).await.tasks_running, 1);
}

#[tokio::test]
async fn without_a_leader_nothing_is_done_and_that_is_known() {
    for profile in [Profile::V1_3, Profile::V1_11] {
        let town = Town::start(MarathonConfig { nodes: 2, ..MarathonConfig::of(profile) }).await;
        let port = town.port().await;
        port.info(ENOUGH).await.unwrap();
        town.marathon.depose();
        let app = manifest(json!({"id": "/a", "cmd": "sleep 1", "cpus": 0.1, "mem": 16}));
        let error = port.create(&app, ENOUGH).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        town.marathon.elect(1);
        assert!(eventually(|| async { port.create(&app, ENOUGH).await.ok() }).await.is_some());
    }
}
