//! Operations that wait for stacks: who looks for them, who wakes them.

use std::time::Duration;

use mesos_conductor::bay::{Bay, Status};
use mesos_conductor::operation::record::{AWAIT_GONE, AWAIT_STACK, Kind};
use mesos_conductor::store::{StackNews, StackScope, Store, Wake};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::bays;
use super::database::{Database, next_millisecond};
use super::operations::{due, operation};

const LONG: Duration = Duration::from_secs(60);

/// An operation on a bay of its own, at a step, that looks by itself after this long.
async fn at_step(store: &Store, project: Option<&str>, step: &str, looks_in: Duration) -> (Uuid, Bay) {
    let status = if step == AWAIT_GONE { Status::DeleteInProgress } else { Status::CreateInProgress };
    let bay = Bay {
        project_id: project.map(str::to_owned),
        stack_id: Some(Uuid::new_v4().to_string()),
        status: Some(status),
        ..bays::bay("p", "bay")
    };
    bays::insert(store, &bay).await;
    // Who was accepted first is told by the clock.
    next_millisecond(store).await;
    let record = operation(Kind::BayCreate, bay.uuid);
    let mut tx = store.begin().await.unwrap();
    tx.insert_operation(&record).await.unwrap();
    tx.commit().await.unwrap();
    let (mut record, lease) = store.claim(record.uuid, "worker", LONG).await.unwrap().unwrap();
    step.clone_into(&mut record.step);
    let mut tx = store.begin_held(&lease, LONG).await.unwrap();
    tx.advance(&lease, &record, Wake::Release { after: looks_in }).await.unwrap();
    tx.commit().await.unwrap();
    (record.uuid, bay)
}

fn of(project: &str) -> StackScope {
    StackScope::Project(Some(project.to_owned()))
}

async fn take(store: &Store, scope: &StackScope, owner: &str) -> bool {
    store.take_stack_turn(scope, owner, LONG, LONG).await.unwrap()
}

pub(super) async fn who_waits_for_a_stack_is_found_by_project(db: Database) {
    let (create, bay) = at_step(&db.store, Some("one"), AWAIT_STACK, LONG).await;
    let (delete, gone) = at_step(&db.store, Some("one"), AWAIT_GONE, LONG).await;
    let (other, _) = at_step(&db.store, Some("two"), AWAIT_STACK, LONG).await;
    let (nobodys, _) = at_step(&db.store, None, AWAIT_STACK, LONG).await;
    // Neither waits: one does something else, one looks in any case.
    at_step(&db.store, Some("one"), "trust", LONG).await;
    at_step(&db.store, Some("three"), AWAIT_STACK, Duration::ZERO).await;
    let mut lots = db.store.stack_lots().await.unwrap();
    lots.sort_by_key(|lot| format!("{:?}", lot.scope));
    let seen: Vec<_> = lots.iter().map(|lot| (lot.scope.clone(), lot.waiting)).collect();
    assert_eq!(seen, [(StackScope::Project(None), 1), (of("one"), 2), (of("two"), 1)]);
    assert!(lots.iter().all(|lot| lot.due_in.is_zero() && lot.youngest < LONG), "{lots:?}");

    let waits = db.store.stack_waits(&of("one")).await.unwrap();
    assert_eq!(waits.iter().map(|wait| wait.operation).collect::<Vec<_>>(), [create, delete]);
    assert_eq!((waits[0].bay, Some(&waits[0].stack_id)), (bay.uuid, bay.stack_id.as_ref()));
    assert_eq!(waits[1].status.as_deref(), Some("DELETE_IN_PROGRESS"));
    assert_eq!(Some(&waits[1].stack_id), gone.stack_id.as_ref());
    assert!((LONG / 2..=LONG).contains(&waits[0].looks_in), "{:?}", waits[0]);
    let without = db.store.stack_waits(&StackScope::Project(None)).await.unwrap();
    assert_eq!(without.iter().map(|wait| wait.operation).collect::<Vec<_>>(), [nobodys]);
    let all = db.store.stack_waits(&StackScope::Everywhere).await.unwrap();
    assert_eq!(all.iter().map(|wait| wait.operation).collect::<Vec<_>>(), [create, delete, other, nobodys]);
}

pub(super) async fn a_project_is_looked_at_by_one_worker_at_a_time(db: Database) {
    let other = db.another().await;
    let mut tasks = JoinSet::new();
    for worker in 0..10 {
        let store = if worker % 2 == 0 { db.store.clone() } else { other.clone() };
        tasks.spawn(async move { (worker, take(&store, &of("one"), &format!("w{worker}")).await) });
    }
    let won: Vec<_> = tasks.join_all().await.into_iter().filter(|(_, ours)| *ours).collect();
    assert_eq!(won.len(), 1);
    let winner = format!("w{}", won[0].0);
    assert!(take(&other, &of("two"), "another").await, "another project is another turn");
    assert!(take(&other, &StackScope::Everywhere, "another").await);
    // The turn is ended by whose it is.
    db.store.set_stack_turn(&of("one"), "stranger", Duration::ZERO).await.unwrap();
    assert!(!take(&db.store, &of("one"), "next").await);
    at_step(&db.store, Some("one"), AWAIT_STACK, LONG).await;
    let lots = db.store.stack_lots().await.unwrap();
    assert!((LONG / 2..=LONG).contains(&lots[0].due_in), "{lots:?}");
    db.store.set_stack_turn(&of("one"), &winner, Duration::ZERO).await.unwrap();
    assert!(take(&db.store, &of("one"), "next").await);
    other.close().await;
}

pub(super) async fn a_turn_that_was_not_ended_passes_on(db: Database) {
    assert!(take(&db.store, &of("one"), "dead").await);
    db.raw("UPDATE periodic SET next_ms = next_ms - 60001").await;
    assert!(take(&db.store, &of("one"), "alive").await);
    db.store.set_stack_turn(&of("one"), "dead", Duration::ZERO).await.unwrap();
    assert!(!take(&db.store, &of("one"), "third").await, "who comes back too late ends nobody's turn");
    // A clock that was put back leaves a time that nobody set.
    db.raw("UPDATE periodic SET next_ms = next_ms + 86400000").await;
    assert!(take(&db.store, &of("one"), "third").await);
    assert_eq!(db.store.forget_stack_turns().await.unwrap(), 0);
    db.raw("UPDATE periodic SET next_ms = next_ms - 86400000").await;
    assert_eq!(db.store.forget_stack_turns().await.unwrap(), 1);
}

pub(super) async fn operations_are_woken_and_put_off_together(db: Database) {
    let mut operations = Vec::new();
    for _ in 0..3 {
        operations.push(at_step(&db.store, Some("one"), AWAIT_STACK, LONG).await.0);
    }
    let (elsewhere, _) = at_step(&db.store, Some("one"), "trust", LONG).await;
    operations.push(elsewhere);
    assert_eq!(db.store.put_off_stack_waits(&operations, LONG * 10).await.unwrap(), 3);
    let waits = db.store.stack_waits(&of("one")).await.unwrap();
    assert!(waits.iter().all(|wait| wait.looks_in > LONG * 9), "{waits:?}");
    assert_eq!(db.store.wake_stack_waits(&operations[..2]).await.unwrap(), 2);
    assert!(operations[..2].contains(&due(&db.store).await[0]));
    // Who was woken is not put off by one who looked before.
    assert_eq!(db.store.put_off_stack_waits(&operations, LONG).await.unwrap(), 1);
    assert_eq!(db.store.stack_waits(&of("one")).await.unwrap().len(), 1);
    assert_eq!(db.store.wake_stack_waits(&[]).await.unwrap(), 0);
}

pub(super) async fn news_of_a_stack_reach_who_waits_for_it(db: Database) {
    let (waiting, bay) = at_step(&db.store, Some("one"), AWAIT_STACK, LONG).await;
    at_step(&db.store, Some("one"), AWAIT_STACK, LONG).await;
    let stack = bay.stack_id.unwrap();
    assert_eq!(db.store.stack_moved("unknown").await.unwrap(), StackNews::Nobody);
    assert_eq!(db.store.stack_moved(&stack).await.unwrap(), StackNews::Woken);
    assert_eq!(due(&db.store).await, [waiting]);
    assert_eq!(db.store.stack_moved(&stack).await.unwrap(), StackNews::Nobody, "it looks in any case");
    let (record, lease) = db.store.claim(waiting, "worker", LONG).await.unwrap().unwrap();
    assert_eq!(db.store.stack_moved(&stack).await.unwrap(), StackNews::InHand);
    let mut tx = db.store.begin_held(&lease, LONG).await.unwrap();
    tx.advance(&lease, &record, Wake::Release { after: LONG }).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(db.store.stack_moved(&stack).await.unwrap(), StackNews::Woken);
}
