//! A lease is held by one worker, and only who holds it writes.

use std::time::Duration;

use mesos_conductor::bay::Status;
use mesos_conductor::operation::record::{Kind, Lease};
use mesos_conductor::store::{Due, Ending, Error, Store, Wake};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::bays;
use super::database::{Database, eventually, next_millisecond};
use super::operations::{accepted, claimed, due, operation};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

async fn until_due(store: &Store, operation: Uuid) {
    eventually("the end of the lease", async || due(store).await.contains(&operation).then_some(())).await;
}

fn is_lost<T>(result: Result<T, Error>, lease: &Lease) -> bool {
    matches!(result, Err(Error::LeaseLost { operation }) if operation == lease.operation)
}

pub(super) async fn only_one_worker_claims(db: Database) {
    let operation = accepted(&db.store, Kind::BayCreate).await;
    let other = db.another().await;
    let mut tasks = JoinSet::new();
    for worker in 0..10 {
        let store = if worker % 2 == 0 { db.store.clone() } else { other.clone() };
        tasks.spawn(async move { store.claim(operation.uuid, &format!("w{worker}"), LONG).await.unwrap() });
    }
    let won: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    assert_eq!((won[0].1.fence, won[0].0.attempts), (1, 0));
    assert!(due(&db.store).await.is_empty());
    other.close().await;
}

pub(super) async fn an_operation_is_due_again_when_its_lease_ends(db: Database) {
    let (_, first) = claimed(&db.store, Kind::BayCreate, SHORT).await;
    until_due(&db.store, first.operation).await;
    let (_, second) = db.store.claim(first.operation, "other", LONG).await.unwrap().unwrap();
    assert_eq!((second.owner.as_str(), second.fence), ("other", first.fence + 1));
}

pub(super) async fn a_stale_lease_writes_nothing(db: Database) {
    let (mut operation, stale) = claimed(&db.store, Kind::BayCreate, SHORT).await;
    let bay = bays::bay("p", "bay");
    bays::insert(&db.store, &bay).await;
    until_due(&db.store, stale.operation).await;
    let (_, held) = db.store.claim(stale.operation, "other", LONG).await.unwrap().unwrap();

    assert!(is_lost(db.store.begin_held(&stale, LONG).await, &stale));
    assert_eq!(db.store.renew(std::slice::from_ref(&stale), LONG).await.unwrap(), [stale.operation]);
    db.store.release(&stale).await.unwrap();
    assert!(due(&db.store).await.is_empty(), "a stale lease cannot be given back");
    // Same owner, same operation, older number: what a worker that was restarted under its name might try.
    let forged = Lease { owner: held.owner.clone(), ..stale.clone() };
    assert!(is_lost(db.store.begin_held(&forged, LONG).await, &forged));

    operation.step = "stale".into();
    let mut tx = db.store.begin().await.unwrap();
    tx.update_bay(&mesos_conductor::bay::Bay { status: Some(Status::CreateFailed), ..bay.clone() })
        .await
        .unwrap();
    assert!(is_lost(tx.advance(&stale, &operation, Wake::Now).await, &stale));
    assert!(matches!(tx.commit().await, Err(Error::Broken)), "what was written beside it is undone");
    let mut tx = db.store.begin().await.unwrap();
    assert!(is_lost(tx.finish(&stale, Ending::Done, None).await, &stale));
    drop(tx);
    assert_eq!(db.store.operation(stale.operation).await.unwrap().unwrap().step, "begin");
    assert!(db.store.renew(&[held], LONG).await.unwrap().is_empty());
}

pub(super) async fn an_expired_lease_writes_nothing_even_if_nobody_took_it(db: Database) {
    let (_, lease) = claimed(&db.store, Kind::BayCreate, SHORT).await;
    until_due(&db.store, lease.operation).await;
    assert!(is_lost(db.store.begin_held(&lease, LONG).await, &lease));
    assert_eq!(db.store.renew(std::slice::from_ref(&lease), LONG).await.unwrap(), [lease.operation]);
}

pub(super) async fn a_renewed_lease_lives_on(db: Database) {
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(claimed(&db.store, Kind::BayCreate, Duration::from_secs(5)).await.1);
    }
    let before = db.store.next_due_ms().await.unwrap().unwrap();
    assert!(db.store.renew(&leases, LONG).await.unwrap().is_empty());
    assert!(db.store.next_due_ms().await.unwrap().unwrap() > before + 30_000);
    let mut tx = db.store.begin_held(&leases[1], LONG).await.unwrap();
    tx.finish(&leases[1], Ending::Done, None).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.store.renew(&leases, LONG).await.unwrap(), [leases[1].operation]);
    assert!(db.store.renew(&[], LONG).await.unwrap().is_empty());
}

pub(super) async fn a_released_operation_is_due_at_once(db: Database) {
    let (_, lease) = claimed(&db.store, Kind::BayCreate, LONG).await;
    assert!(due(&db.store).await.is_empty());
    db.store.release(&lease).await.unwrap();
    assert_eq!(due(&db.store).await, [lease.operation]);
    assert!(is_lost(db.store.begin_held(&lease, LONG).await, &lease));
}

pub(super) async fn the_next_due_moment_covers_held_leases(db: Database) {
    assert_eq!(db.store.next_due_ms().await.unwrap(), None);
    let (operation, lease) = claimed(&db.store, Kind::BayCreate, LONG).await;
    let now = db.store.now_ms().await.unwrap();
    let next = db.store.next_due_ms().await.unwrap().unwrap();
    assert!((now + 50_000..=now + 60_000).contains(&next));
    let mut tx = db.store.begin_held(&lease, LONG).await.unwrap();
    tx.advance(&lease, &operation, Wake::Release { after: Duration::from_secs(20) }).await.unwrap();
    tx.commit().await.unwrap();
    let next = db.store.next_due_ms().await.unwrap().unwrap();
    assert!((now + 15_000..=now + 30_000).contains(&next));
}

pub(super) async fn a_postponed_operation_is_nobodys_until_then(db: Database) {
    let waiting = accepted(&db.store, Kind::BayCreate).await;
    db.store.postpone(waiting.uuid, LONG).await.unwrap();
    assert!(due(&db.store).await.is_empty());
    assert!(db.store.claim(waiting.uuid, "other", LONG).await.unwrap().is_none());
    // What somebody holds is not touched.
    let (held, lease) = claimed(&db.store, Kind::BayCreate, LONG).await;
    db.store.postpone(held.uuid, LONG).await.unwrap();
    db.store.release(&lease).await.unwrap();
    assert_eq!(due(&db.store).await, [held.uuid]);
}

/// Asked for by a project, or by nobody knows whom, as an older worker records it.
async fn asked_by(store: &Store, project: Option<&str>) -> Uuid {
    let mut asked = operation(Kind::BayCreate, Uuid::new_v4());
    asked.project_id = project.map(str::to_owned);
    let mut tx = store.begin().await.unwrap();
    tx.insert_operation(&asked).await.unwrap();
    tx.commit().await.unwrap();
    next_millisecond(store).await;
    asked.uuid
}

pub(super) async fn of_each_project_what_was_due_first_is_due(db: Database) {
    let mut flood = Vec::new();
    for _ in 0..5 {
        flood.push(asked_by(&db.store, Some("flood")).await);
    }
    let nobody = [asked_by(&db.store, None).await, asked_by(&db.store, None).await];
    let other = asked_by(&db.store, Some(&"o".repeat(300))).await;
    assert_eq!(due(&db.store).await, [flood[0], nobody[0], other]);
    // What is held is nobody's, and a project that waits has nothing due.
    db.store.claim(flood[0], "worker", LONG).await.unwrap().expect("it is due");
    db.store.postpone(other, LONG).await.unwrap();
    assert_eq!(due(&db.store).await, [flood[1], nobody[0]]);
    for held in nobody {
        db.store.claim(held, "worker", LONG).await.unwrap().expect("it is due");
    }
    let named = db.store.due_operations().await.unwrap();
    assert_eq!(named, [Due { operation: flood[1], project: Some("flood".to_owned()) }]);
}
