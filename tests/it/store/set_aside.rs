//! What came back too often is kept as it came, once, until somebody deals with it.

use std::time::Duration;

use mesos_conductor::store::{Described, Original, SetAside, Store};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::database::{Database, next_millisecond};
use super::messages::is_new;
use super::outbox::reply;

const REASON: &str = "it came back";

fn original(body: &[u8]) -> Original {
    Original {
        content_type: Some("application/json\0".to_owned()),
        compression: Some("zlib".to_owned()),
        body: body.to_vec(),
    }
}

async fn kept(store: &Store, hash: &str) -> SetAside {
    let id = store.set_aside(hash, 6, REASON, &original(b"a secret")).await.unwrap().expect("it is new");
    store.one_set_aside(id).await.unwrap().expect("it is there")
}

/// As the dispatcher does: what is known of it, its key, and the reply.
async fn refuse(store: &Store, id: Uuid, key: &str) {
    let mut tx = store.begin().await.unwrap();
    let described = Described {
        method: "bay_create",
        project_id: Some("p\0\n1"),
        request_id: Some("req-1"),
        key: Some(key),
        reason: REASON,
    };
    tx.describe_set_aside(id, &described).await.unwrap();
    assert!(tx.record_message(key).await.unwrap().is_none());
    tx.store_reply(key, &reply("reply_1", b"refused")).await.unwrap();
    tx.commit().await.unwrap();
}

pub(super) async fn a_message_is_kept_as_it_came_and_sealed(db: Database) {
    let id = db.store.set_aside("h", 6, REASON, &original(b"a secret")).await.unwrap().unwrap();
    assert_eq!(db.store.original(id).await.unwrap(), Some(original(b"a secret")));
    refuse(&db.store, id, "key").await;
    let all = db.store.all_set_aside().await.unwrap();
    let [message] = &all[..] else { panic!("{all:?}") };
    assert_eq!((message.id, message.times, message.attempts, message.bytes), (id, 1, 6, 8));
    assert_eq!(message.method.as_deref(), Some("bay_create"));
    assert_eq!(message.project_id.as_deref(), Some("p1"), "what no column takes is left out");
    assert_eq!(message.request_id.as_deref(), Some("req-1"));
    assert_eq!(db.store.gauges().await.unwrap().set_aside, 1);
    assert!(db.texts("SELECT sealed FROM set_aside_part").await[0].starts_with("enc:v1:"));
    assert!(db.store.forget_set_aside(message).await.unwrap());
    assert_eq!(db.store.original(id).await.unwrap(), None);
    assert!(db.texts("SELECT set_aside_id FROM set_aside_part").await.is_empty());
    assert_eq!(db.store.one_set_aside(id).await.unwrap(), None);
}

pub(super) async fn a_message_kept_twice_is_one_row_and_counted(db: Database) {
    let first = kept(&db.store, "h").await;
    assert_eq!(db.store.set_aside("h", 7, REASON, &original(b"a secret")).await.unwrap(), None);
    let again = db.store.one_set_aside(first.id).await.unwrap().unwrap();
    assert_eq!((again.times, again.attempts), (2, 7));
    assert_ne!(kept(&db.store, "other").await.id, first.id);
}

pub(super) async fn of_many_at_once_one_keeps_it(db: Database) {
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let store = db.store.clone();
        tasks.spawn(async move { store.set_aside("h", 6, REASON, &original(b"x")).await.unwrap() });
    }
    let new: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    let [id] = new[..] else { panic!("{new:?}") };
    assert_eq!(db.store.one_set_aside(id).await.unwrap().unwrap().times, 8);
}

/// Larger than a statement of MySQL's may be by default.
pub(super) async fn a_large_body_is_kept_whole(db: Database) {
    let body: Vec<u8> = (0..20_u32 << 20).map(|number| (number % 251) as u8).collect();
    let id = db.store.set_aside("h", 6, REASON, &original(&body)).await.unwrap().unwrap();
    assert!(db.store.original(id).await.unwrap().unwrap().body == body, "the body is another one");
}

pub(super) async fn what_is_released_may_be_done_once_more_and_only_once(db: Database) {
    let message = kept(&db.store, "h").await;
    refuse(&db.store, message.id, "key").await;
    db.store.count_attempt("h").await.unwrap();
    assert!(!is_new(&db.store, "key").await, "its refusal is recorded");
    db.store.release_set_aside(message.id).await.unwrap();
    assert_eq!(db.store.attempts("h").await.unwrap(), 0);
    assert!(is_new(&db.store, "key").await, "it may be done now");
    db.store.release_set_aside(message.id).await.unwrap();
    assert!(!is_new(&db.store, "key").await, "and not once more");
}

pub(super) async fn one_that_came_back_is_not_forgotten_by_who_read_it_before(db: Database) {
    let before = kept(&db.store, "h").await;
    db.store.set_aside("h", 6, REASON, &original(b"a secret")).await.unwrap();
    assert!(!db.store.forget_set_aside(&before).await.unwrap());
    assert!(db.store.original(before.id).await.unwrap().is_some());
}

pub(super) async fn a_purge_leaves_it(db: Database) {
    let message = kept(&db.store, "h").await;
    next_millisecond(&db.store).await;
    db.store.purge(Duration::ZERO).await.unwrap();
    assert_eq!(db.store.all_set_aside().await.unwrap(), [message]);
}
