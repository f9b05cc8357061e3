//! The same runs against the real store: each action that touches the database is done there as well, and after each
//! action every table must say what the model says.
//!
//! A request is recorded by the real dispatcher and the real endpoints. What a worker does for an operation is done by
//! this test with the store's own functions in the order in which the runner and its recorder call them. The cloud is
//! the model's. Time stands still: what runs out is written into the past, so nothing here sleeps.

mod database;
mod office;
mod world;

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use database::Database;
use futures_util::FutureExt;
use mesos_conductor::operation::record;
use mesos_conductor::operation::steps;
use world::World;

use crate::model::database::Kind;
use crate::model::plan::Step;
use crate::trace;
use crate::walks::{Walk, number, replayed};

/// How many runs are made on SQLite, and on PostgreSQL where there is one.
const RUNS: u64 = 30;
const RUNS_ON_POSTGRES: u64 = 4;

#[test]
fn the_models_steps_are_the_plans_steps() {
    for (kind, plan) in [(Kind::Create, record::Kind::BayCreate), (Kind::Delete, record::Kind::BayDelete)] {
        let names: Vec<&str> = Step::of(kind).iter().map(|step| step.name()).collect();
        assert_eq!(names, steps::names(plan));
    }
}

#[tokio::test]
async fn the_store_does_what_the_model_does_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sim.sqlite");
    let database = Database::sqlite(&path).await;
    let sum = agree(&database, RUNS).await;
    database.close().await;
    assert!(sum.writes > 0);
    assert!(sum.refused > 0 || replayed().is_some(), "no worker met that its lease was lost");
}

#[tokio::test]
async fn the_store_does_what_the_model_does_on_postgres() {
    let Some(database) = Database::postgres().await else { return };
    let outcome = AssertUnwindSafe(agree(&database, RUNS_ON_POSTGRES)).catch_unwind().await;
    database.drop().await;
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure);
    }
}

async fn agree(database: &Database, runs: u64) -> Sum {
    let begun = Instant::now();
    let mut sum = Sum::default();
    let runs = number("CONDUCTOR_SIM_RUNS").unwrap_or(runs);
    for seed in replayed().map_or(0..runs, |seed| seed..seed + 1) {
        follow(database, seed, &mut sum).await;
    }
    let Sum { steps, writes, refused } = &sum;
    println!(
        "{:?}: {runs} runs, {steps} steps agree, {writes} of them in the database, {refused} writes under a lost lease, \
         in {:.1?}",
        database.backend(),
        begun.elapsed()
    );
    sum
}

/// What was done.
#[derive(Default)]
struct Sum {
    steps: usize,
    /// Steps that the database was in.
    writes: usize,
    /// Writes that it refused.
    refused: usize,
}

/// Walks one seed in both worlds.
async fn follow(database: &Database, seed: u64, sum: &mut Sum) {
    let mut walk = Walk::new(seed);
    let mut world = World::new(database, &walk.model).await;
    let mut number = 0;
    while let Some((action, before)) = walk.step() {
        number += 1;
        let line = trace::line(number, action, &before, &walk.state);
        if replayed().is_some() {
            print!("{line}");
        }
        let outcome = match world.follow(action, &before, &walk.state).await {
            Ok(wrote) => world.compare(&walk.state).await.map(|()| wrote),
            Err(why) => Err(why),
        };
        match outcome {
            Ok(wrote) => sum.writes += usize::from(wrote),
            Err(why) => panic!(
                "seed {seed}: the database does not do what the model does: {why}\n{line}Replay it:\n  \
                 CONDUCTOR_SIM_SEED={seed} cargo test --test sim conformance -- --nocapture"
            ),
        }
    }
    sum.steps += number;
    sum.refused += world.refused;
}
