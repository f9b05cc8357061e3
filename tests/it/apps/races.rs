//! Requests that come at the same moment, to two workers, on each kind of database.

use serde_json::{Value, json};

use crate::support::app::{Town, manifest};
use crate::support::database::Backend;
use crate::support::peer::{Peer, outcome};
use crate::support::{Caller, World, assert_remaining, data, eventually};

/// Apps of one name, of one id, and of an id below it: only one of them can be.
async fn of_rivals_one_is_made(backend: Backend) {
    let world = World::on(backend).await;
    let workers = [world.worker().await, world.worker().await];
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    let peer = Peer::open(&world).await;
    let rivals = [("a", "/web"), ("a", "/other"), ("b", "/web"), ("c", "/web/below"), ("a", "/web/below")];
    for (name, id) in rivals {
        let mut args = town.create_args(name, &manifest(id));
        args["wait"] = json!(true);
        peer.send(&peer.request(&world, "app_create", args)).await;
    }
    let outcomes: Vec<_> = peer
        .replies(rivals.len())
        .await
        .iter()
        .map(|reply| outcome(reply).map(|app| data(&app).clone()))
        .collect();
    let made: Vec<&Value> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
    // The name `a` and the place below /web exclude each other in more than one way, but not all of them.
    assert!((1..=2).contains(&made.len()), "{outcomes:?}");
    let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    assert!(refused.clone().all(|class| class == "AppAlreadyExists"), "{outcomes:?}");
    let names = world.database.texts("SELECT name FROM app ORDER BY name").await;
    assert_eq!(names.len(), made.len());
    let mut distinct = names.clone();
    distinct.dedup();
    assert_eq!(distinct, names, "a name is one app's");
    let mut there: Vec<_> = made.iter().map(|app| app["framework_id"].as_str().unwrap().to_owned()).collect();
    there.sort();
    assert_eq!(town.marathon().apps(), there);
    assert!(!(there.contains(&"/web".to_owned()) && there.contains(&"/web/below".to_owned())));
    for worker in workers {
        worker.stop().await;
    }
    world.database.drop_it().await;
}

/// Whatever the order, everybody hears one thing, and the app is gone.
async fn a_delete_among_changes_has_the_last_word(backend: Backend) {
    let world = World::on(backend).await;
    let workers = [world.worker().await, world.worker().await];
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    let peer = Peer::open(&world).await;
    let mut sent = Vec::new();
    for instances in 2..6 {
        sent.push((
            "app_scale",
            json!({ "instances": instances, "force": instances % 2 == 0, "wait": true }),
        ));
        sent.push(("app_restart", json!({})));
    }
    sent.insert(3, ("app_delete", json!({ "wait": true })));
    sent.push(("app_delete", json!({ "wait": true })));
    for (method, more) in &sent {
        peer.send(&peer.request(&world, method, town.args("web", more.clone()))).await;
    }
    let replies = peer.replies(sent.len()).await;
    town.until_gone("web").await;
    town.until_quiet().await;
    assert!(town.marathon().apps().is_empty());
    for reply in &replies {
        let told = outcome(reply);
        let expected = match &told {
            Ok(_) => true,
            Err(class) => ["Conflict", "AppOperationInProgress", "AppNotFound"].contains(&class.as_str()),
        };
        assert!(expected, "{told:?}");
    }
    let deleted = replies.iter().filter(|reply| outcome(reply) == Ok(Value::Null)).count();
    let too_late = replies.iter().filter(|reply| outcome(reply) == Err("AppNotFound".to_owned())).count();
    assert!(deleted == 2 || deleted == 1 && too_late >= 1, "{deleted} deletes were answered");
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(peer.seen().len(), sent.len(), "each call has one answer");
    let left = world.database.texts("SELECT uuid FROM operation WHERE state = 'running'").await;
    assert!(left.is_empty());
    world.database.drop_it().await;
}

/// An app that is asked for while its bay goes is made and goes with it, or is refused; nothing is left to be done.
async fn apps_do_not_outlive_their_bay(backend: Backend) {
    let world = World::on(backend).await;
    let workers = [world.worker().await, world.worker().await];
    let caller = Caller::new(&world).await;
    let town = Town::build(&caller).await;
    town.run("web", &manifest("/web")).await;
    let peer = Peer::open(&world).await;
    let create = |name: &str| {
        let mut args = town.create_args(name, &manifest(&format!("/{name}")));
        args["wait"] = json!(true);
        ("app_create", args)
    };
    let scale = town.args("web", json!({ "instances": 2, "wait": true }));
    let gone = json!({ "uuid": town.bay });
    let sent =
        [create("a"), create("b"), ("app_scale", scale), ("bay_delete", gone), create("c"), create("d")];
    let count = sent.len();
    for (method, args) in sent {
        peer.send(&peer.request(&world, method, args)).await;
    }
    let replies = peer.replies(count).await;
    for reply in &replies {
        if let Err(class) = outcome(reply) {
            let expected = ["Conflict", "BayNotFound", "AppNotFound", "NotSupported"];
            assert!(expected.contains(&class.as_str()), "{class}");
        }
    }
    let left = "SELECT uuid FROM operation WHERE state = 'running' UNION ALL SELECT uuid FROM app \
        UNION ALL SELECT uuid FROM cluster UNION ALL SELECT routing_key FROM outbox";
    let done = eventually(|| async { world.database.texts(left).await.is_empty().then_some(()) });
    assert!(done.await.is_some(), "left: {:?}", world.database.texts(left).await);
    for worker in workers {
        worker.stop().await;
    }
    assert_eq!(peer.seen().len(), count, "each call has one answer");
    assert_remaining(&world.sandbox, 0);
    world.database.drop_it().await;
}

macro_rules! on_each {
    ($($backend:ident = $kind:ident),+) => { $(
        mod $backend {
            use crate::support::database::Backend;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn of_rivals_one_is_made() {
                super::of_rivals_one_is_made(Backend::$kind).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_delete_among_changes_has_the_last_word() {
                super::a_delete_among_changes_has_the_last_word(Backend::$kind).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn apps_do_not_outlive_their_bay() {
                super::apps_do_not_outlive_their_bay(Backend::$kind).await;
            }
        }
    )+ };
}

on_each!(sqlite = Sqlite, postgres = Postgres, mysql = MySql);
