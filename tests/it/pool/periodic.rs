//! What is done now and then is done once per interval in the pool, not once per worker.

use crate::support::database::Backend;
use crate::support::worker::Worker;
use crate::support::{World, eventually};

const INTERVAL_MS: i64 = 1000;
/// As often as it must have been done; each of three workers by itself would have done it so often in a third of the time.
const RUNS: i64 = 6;

async fn next_ms(world: &World) -> i64 {
    let next = world.database.texts("SELECT CONCAT(next_ms, '') FROM periodic WHERE name = 'purge'").await;
    next.first().map_or(0, |text| text.parse().expect("milliseconds"))
}

async fn runs(pool: &[Worker]) -> f64 {
    let mut sum = 0.0;
    for worker in pool {
        sum += worker.metric("mesos_conductor_periodic_runs_total").await;
    }
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_workers_purge_as_often_as_one() {
    let world = World::on(Backend::Postgres).await;
    let configuration = world
        .configuration("")
        .replace("[conductor]", &format!("[conductor]\npurge_interval = \"{INTERVAL_MS}ms\""));
    let mut pool = Vec::new();
    for _ in 0..3 {
        pool.push(Worker::start_with(&world, &configuration, None).await);
    }
    // The time in the row moves on by an interval each time, or by more when everybody was late.
    let (began, before) = (next_ms(&world).await, runs(&pool).await);
    let moved = eventually(async || (next_ms(&world).await >= began + RUNS * INTERVAL_MS).then_some(()));
    assert!(moved.await.is_some(), "the purge stands still at {}", next_ms(&world).await);
    let done = runs(&pool).await - before;
    let intervals = (next_ms(&world).await - began) as f64 / INTERVAL_MS as f64;
    assert!(done >= RUNS as f64 / 2.0, "{done} runs in {intervals} intervals");
    // One more may have been counted between the two looks at either end.
    assert!(done <= intervals + 1.0, "{done} runs in {intervals} intervals");
    // Whoever is left goes on.
    for dead in pool.drain(1..) {
        dead.kill().await;
    }
    let before = runs(&pool).await;
    let alone = eventually(async || (runs(&pool).await >= before + 2.0).then_some(()));
    assert!(alone.await.is_some(), "nobody purges any more");
    for worker in pool {
        worker.stop().await;
    }
    world.database.drop_it().await;
}
