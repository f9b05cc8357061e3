//! Two releases on one database: the older one goes on working after the newer one has migrated it.

use crate::support::database::Backend;
use crate::support::{Caller, World, assert_remaining};

/// What a migration of a later release may do: add a table, a column that may be absent, a row that it was applied.
const LATER: [&str; 3] = [
    "ALTER TABLE operation ADD COLUMN of_tomorrow VARCHAR(64)",
    "CREATE TABLE of_tomorrow (name VARCHAR(64) PRIMARY KEY)",
    "INSERT INTO conductor_migration (version, description, success, checksum, execution_time) \
     SELECT 9999, 'of tomorrow', success, checksum, execution_time FROM conductor_migration WHERE version = 1",
];

async fn a_worker_goes_on_when_a_later_release_has_migrated(backend: Backend) {
    let world = World::on(backend).await;
    let running = world.worker().await;
    let caller = Caller::new(&world).await;
    let model = caller.create_model().await;
    for statement in LATER {
        world.database.texts(statement).await;
    }
    caller.create_bay(&model).await;
    assert_eq!(running.probe("/readyz").await.0, 200);
    // It may also be started anew, as long as the pool is not all of the later release.
    running.stop().await;
    let started = world.worker().await;
    assert!(started.logged("another release of this program has migrated the database").await);
    assert_eq!(started.probe("/readyz").await.0, 200);
    caller.create_bay(&model).await;
    assert_remaining(&world.sandbox, 2);
    started.stop().await;
    world.database.drop_it().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_release_on_postgresql_leaves_the_earlier_one_working() {
    a_worker_goes_on_when_a_later_release_has_migrated(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_release_on_mysql_leaves_the_earlier_one_working() {
    a_worker_goes_on_when_a_later_release_has_migrated(Backend::MySql).await;
}
