//! Tasks of the whole pool: one worker per interval, whoever comes first.

use std::time::Duration;

use mesos_conductor::store::{Periodic, Store, Turn};
use tokio::task::JoinSet;

use super::database::Database;

const LONG: Duration = Duration::from_secs(60);

async fn turn(store: &Store, owner: &str, every: Duration) -> Turn {
    store.take_turn(Periodic::Purge, owner, every).await.unwrap()
}

/// How many of ten workers have the turn when all ask at once.
async fn ours(db: &Database, other: &Store, every: Duration) -> usize {
    let mut tasks = JoinSet::new();
    for worker in 0..10 {
        let store = if worker % 2 == 0 { db.store.clone() } else { other.clone() };
        tasks.spawn(async move { turn(&store, &format!("w{worker}"), every).await });
    }
    tasks.join_all().await.into_iter().filter(|turn| *turn == Turn::Ours).count()
}

pub(super) async fn a_task_is_one_workers_once_per_interval(db: Database) {
    let other = db.another().await;
    assert_eq!(ours(&db, &other, LONG).await, 1, "the first time");
    let Turn::Later(rest) = turn(&db.store, "late", LONG).await else { panic!("it was done just now") };
    assert!((LONG / 2..=LONG).contains(&rest), "{rest:?}");
    // A shorter interval does not wait for the end of a longer one, nor for a clock that was set back.
    assert_eq!(ours(&db, &other, LONG / 2).await, 1);
    db.raw("UPDATE periodic SET next_ms = next_ms - 30000").await;
    assert_eq!(turn(&db.store, "next", LONG / 2).await, Turn::Ours, "the next interval");
    assert_eq!(db.texts("SELECT owner FROM periodic").await, ["next"]);
    other.close().await;
}

pub(super) async fn a_task_that_nobody_did_in_time_is_done_once(db: Database) {
    assert_eq!(turn(&db.store, "first", LONG).await, Turn::Ours);
    db.raw("UPDATE periodic SET next_ms = next_ms - 600000").await;
    let other = db.another().await;
    assert_eq!(ours(&db, &other, LONG).await, 1, "what was missed is not made up for");
    other.close().await;
}
