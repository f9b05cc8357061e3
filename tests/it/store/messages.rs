//! A message is new once, however often and at whatever moment it comes again.

use std::time::Duration;

use mesos_conductor::operation::record::Kind;
use mesos_conductor::store::{Purged, Store};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::database::{Database, next_millisecond};
use super::operations::{accepted, claimed};
use super::outbox::{notification, reply};

pub(super) async fn is_new(store: &Store, key: &str) -> bool {
    let mut tx = store.begin().await.unwrap();
    let seen = tx.record_message(key).await.unwrap();
    tx.commit().await.unwrap();
    seen.is_none()
}

pub(super) async fn a_repeat_is_seen_with_its_operation_and_reply(db: Database) {
    let (key, operation) = ("0f9c", Uuid::new_v4());
    let mut tx = db.store.begin().await.unwrap();
    assert_eq!(tx.record_message(key).await.unwrap(), None);
    tx.commit().await.unwrap();
    let mut tx = db.store.begin().await.unwrap();
    let seen = tx.record_message(key).await.unwrap().unwrap();
    assert_eq!((seen.operation, seen.reply), (None, None));
    tx.attach_operation(key, operation).await.unwrap();
    tx.store_reply(key, &reply("reply_1", b"a secret")).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = db.store.begin().await.unwrap();
    let seen = tx.record_message(key).await.unwrap().unwrap();
    assert_eq!((seen.operation, seen.reply), (Some(operation), Some(reply("reply_1", b"a secret"))));
    assert!(tx.record_message("0F9C").await.unwrap().is_none(), "keys are told apart by case");
    assert!(tx.record_message(&"long ".repeat(100)).await.unwrap().is_none());
    tx.commit().await.unwrap();
    assert!(db.texts("SELECT reply FROM message WHERE reply IS NOT NULL").await[0].starts_with("enc:v1:"));
}

pub(super) async fn of_many_at_once_one_is_new(db: Database) {
    let mut tasks = JoinSet::new();
    for _ in 0..12 {
        let store = db.store.clone();
        tasks.spawn(async move { is_new(&store, "same").await });
    }
    let new = tasks.join_all().await.into_iter().filter(|new| *new).count();
    assert_eq!(new, 1);
}

pub(super) async fn the_second_is_new_when_the_first_is_undone(db: Database) {
    let mut first = db.store.begin().await.unwrap();
    assert!(first.record_message("same").await.unwrap().is_none());
    let mut tasks = JoinSet::new();
    let store = db.store.clone();
    tasks.spawn(async move { is_new(&store, "same").await });
    first.rollback().await.unwrap();
    assert!(tasks.join_next().await.unwrap().unwrap());
}

pub(super) async fn deliveries_of_a_body_are_counted(db: Database) {
    for expected in 1..=3 {
        assert_eq!(db.store.count_attempt("hash").await.unwrap(), expected);
    }
    assert_eq!(db.store.count_attempt("other").await.unwrap(), 1);
    db.store.forget_attempt("hash").await.unwrap();
    assert_eq!(db.store.count_attempt("hash").await.unwrap(), 1);
}

pub(super) async fn only_what_is_old_and_done_is_purged(db: Database) {
    let running = accepted(&db.store, Kind::BayCreate).await;
    let mut tx = db.store.begin().await.unwrap();
    tx.record_message("busy").await.unwrap();
    tx.attach_operation("busy", running.uuid).await.unwrap();
    tx.record_message("done").await.unwrap();
    tx.commit().await.unwrap();
    db.store.count_attempt("hash").await.unwrap();
    let (_, lease) = claimed(&db.store, Kind::BayDelete, Duration::from_secs(60)).await;
    let mut tx = db.store.begin_held(&lease, Duration::from_secs(60)).await.unwrap();
    tx.finish(&lease, mesos_conductor::store::Ending::Done, None).await.unwrap();
    tx.enqueue(&notification("kept", 1), None).await.unwrap();
    tx.enqueue(&reply("untaken", b"{}"), None).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.store.purge(Duration::from_secs(3600)).await.unwrap(), Purged::default());
    next_millisecond(&db.store).await;
    assert_eq!(db.store.purge(Duration::ZERO).await.unwrap(), Purged { records: 3, replies: 1 });
    assert_eq!(db.texts("SELECT routing_key FROM outbox").await, ["kept"]);
    assert!(!is_new(&db.store, "busy").await);
    assert!(is_new(&db.store, "done").await);
    assert!(db.store.outcome(lease.operation).await.unwrap().is_none());
    assert!(db.store.operation(running.uuid).await.unwrap().is_some());
}
