//! The same runs against the real store: each action that touches the database is done there as well, and after each
//! action every table must say what the model says.
//!
//! A request is recorded by the real dispatcher and the real endpoints. What a worker does for an operation is done by
//! this test with the store's own functions in the order in which the runner and its recorder call them. The cloud is
//! the model's. Time stands still: what runs out is written into the past, so nothing here sleeps.

mod database;
mod office;
mod world;

use std::time::Instant;

use database::Database;
use mesos_conductor::operation::record;
use mesos_conductor::operation::steps;
use world::World;

use crate::model::database::Kind;
use crate::model::plan::Step;
use crate::trace;
use crate::walks::{Walk, number, replayed};

/// How many runs are made on SQLite, and on PostgreSQL where there is one.
const RUNS: u64 = 60;
const RUNS_ON_POSTGRES: u64 = 6;

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
    agree(&database, RUNS).await;
    database.close().await;
}

#[tokio::test]
async fn the_store_does_what_the_model_does_on_postgres() {
    let Some(database) = Database::postgres().await else { return };
    agree(&database, RUNS_ON_POSTGRES).await;
    database.drop().await;
}

async fn agree(database: &Database, runs: u64) {
    let begun = Instant::now();
    let (mut steps, mut writes) = (0, 0);
    let runs = number("CONDUCTOR_SIM_SEEDS").unwrap_or(runs);
    for seed in replayed().map_or(0..runs, |seed| seed..seed + 1) {
        let (taken, wrote) = follow(database, seed).await;
        (steps, writes) = (steps + taken, writes + wrote);
    }
    println!(
        "{:?}: {steps} steps agree, {writes} of them in the database, in {:.1?}",
        database.backend(),
        begun.elapsed()
    );
    assert!(writes > 0, "nothing was done in the database");
}

/// Walks one seed in both worlds; returns how many steps there were, and how many of them the database saw.
async fn follow(database: &Database, seed: u64) -> (usize, usize) {
    let mut walk = Walk::new(seed);
    let mut world = World::new(database, &walk.model).await;
    let (mut steps, mut writes) = (0, 0);
    while let Some((action, before)) = walk.step() {
        steps += 1;
        let line = trace::line(steps, action, &before, &walk.state);
        if replayed().is_some() {
            print!("{line}");
        }
        let outcome = match world.follow(action, &before, &walk.state).await {
            Ok(wrote) => world.compare(&walk.state).await.map(|()| wrote),
            Err(why) => Err(why),
        };
        match outcome {
            Ok(wrote) => writes += usize::from(wrote),
            Err(why) => panic!(
                "seed {seed}: the database does not do what the model does: {why}\n{line}Replay it:\n  \
                 CONDUCTOR_SIM_SEED={seed} cargo test --test sim conformance -- --nocapture"
            ),
        }
    }
    (steps, writes)
}
