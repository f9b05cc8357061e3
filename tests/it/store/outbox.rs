//! The outbox: each message in one worker's hands at a time, in order per routing key, until it is deleted.

use std::time::Duration;

use mesos_conductor::operation::record::{Outgoing, Purpose};
use mesos_conductor::store::{OutboxRow, Store};
use tokio::task::JoinSet;

use super::database::{Database, eventually};

const HOLD: Duration = Duration::from_secs(60);

pub(super) fn notification(routing_key: &str, number: u8) -> Outgoing {
    Outgoing {
        purpose: Purpose::Notification,
        exchange: "magnum".into(),
        routing_key: routing_key.into(),
        content_type: "application/json".into(),
        bodies: vec![vec![number, 0, 255]],
        give_up_after: None,
    }
}

pub(super) fn reply(queue: &str, body: &[u8]) -> Outgoing {
    Outgoing {
        purpose: Purpose::Reply,
        exchange: String::new(),
        bodies: vec![body.to_vec(), b"ending".to_vec()],
        give_up_after: Some(Duration::from_millis(1500)),
        ..notification(queue, 0)
    }
}

async fn enqueue(store: &Store, outgoing: &Outgoing) -> i64 {
    let mut tx = store.begin().await.unwrap();
    let id = tx.enqueue(outgoing, None).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn claim(store: &Store, hold: Duration) -> Vec<OutboxRow> {
    store.claim_outbox("worker", 100, hold).await.unwrap()
}

fn numbers(rows: &[OutboxRow]) -> Vec<u8> {
    rows.iter().map(|row| row.outgoing.bodies[0][0]).collect()
}

pub(super) async fn a_claimed_message_is_nobody_elses(db: Database) {
    let sent = reply("reply_1", b"secret body");
    let id = enqueue(&db.store, &sent).await;
    assert!(db.texts("SELECT message FROM outbox").await[0].starts_with("enc:v1:"));
    let rows = claim(&db.store, HOLD).await;
    assert_eq!((rows[0].id, rows[0].attempts, &rows[0].outgoing), (id, 1, &sent));
    assert!(rows[0].age < Duration::from_secs(10));
    assert!(claim(&db.store, HOLD).await.is_empty());
    db.store.delete_outbox(id).await.unwrap();
    assert_eq!(db.store.gauges().await.unwrap().outbox_depth, 0);
}

pub(super) async fn a_message_is_offered_again_when_its_claim_ends(db: Database) {
    enqueue(&db.store, &notification("a", 1)).await;
    claim(&db.store, Duration::from_millis(20)).await;
    let again = async || claim(&db.store, HOLD).await.pop();
    let row = eventually("the end of the claim", again).await;
    assert_eq!(row.attempts, 2);
    db.store.postpone_outbox(row.id, Duration::from_millis(20)).await.unwrap();
    let row = eventually("the end of the delay", again).await;
    assert_eq!(row.attempts, 3);
    db.store.postpone_outbox(row.id, HOLD).await.unwrap();
    assert!(claim(&db.store, HOLD).await.is_empty());
}

pub(super) async fn its_writer_has_a_message_first(db: Database) {
    let mut tx = db.store.begin().await.unwrap();
    let id = tx.enqueue(&notification("a", 1), Some("writer")).await.unwrap();
    tx.commit().await.unwrap();
    assert!(claim(&db.store, HOLD).await.is_empty());
    db.store.postpone_outbox(id, Duration::ZERO).await.unwrap();
    assert_eq!(claim(&db.store, HOLD).await[0].id, id);
}

pub(super) async fn a_routing_key_keeps_its_order(db: Database) {
    for (key, number) in [("a", 1), ("b", 2), ("a", 3), ("b", 4)] {
        enqueue(&db.store, &notification(key, number)).await;
    }
    let rows = claim(&db.store, HOLD).await;
    assert_eq!(numbers(&rows), [1, 2, 3, 4]);
    // The first of `a` must wait: what is behind it waits too, `b` does not.
    db.store.postpone_outbox(rows[0].id, HOLD).await.unwrap();
    for row in &rows[1..] {
        db.store.postpone_outbox(row.id, Duration::ZERO).await.unwrap();
    }
    assert_eq!(numbers(&claim(&db.store, HOLD).await), [2, 4]);
    db.store.delete_outbox(rows[0].id).await.unwrap();
    assert_eq!(numbers(&claim(&db.store, HOLD).await), [3]);
}

pub(super) async fn two_workers_never_take_the_same_message(db: Database) {
    for number in 0..40 {
        enqueue(&db.store, &notification(if number % 2 == 0 { "even" } else { "odd" }, number)).await;
    }
    let other = db.another().await;
    let mut workers = JoinSet::new();
    for worker in 0..4 {
        let store = if worker % 2 == 0 { db.store.clone() } else { other.clone() };
        workers.spawn(async move {
            let mut taken = Vec::new();
            while store.gauges().await.unwrap().outbox_depth > 0 {
                let rows = store.retrying(|| store.claim_outbox("worker", 7, HOLD)).await.unwrap();
                taken.extend(numbers(&rows));
                for row in rows {
                    store.delete_outbox(row.id).await.unwrap();
                }
            }
            taken
        });
    }
    let taken = workers.join_all().await;
    let mut all: Vec<u8> = taken.iter().flatten().copied().collect();
    for worker in &taken {
        let of = |rest: u8| worker.iter().copied().filter(|number| number % 2 == rest).collect::<Vec<_>>();
        assert!(of(0).is_sorted() && of(1).is_sorted(), "{worker:?}");
    }
    all.sort_unstable();
    assert_eq!(all, (0..40).collect::<Vec<_>>());
    other.close().await;
}

pub(super) async fn a_message_that_cannot_be_read_holds_up_its_own_queue_only(db: Database) {
    enqueue(&db.store, &notification("a", 1)).await;
    db.raw("UPDATE outbox SET message = 'enc:v1:AAAA'").await;
    enqueue(&db.store, &notification("a", 2)).await;
    enqueue(&db.store, &notification("b", 3)).await;
    assert_eq!(numbers(&claim(&db.store, HOLD).await), [3]);
}
