//! The schema, the connection and the transactions themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesos_conductor::bay::BayModel;
use mesos_conductor::operation::record::{Kind, State};
use mesos_conductor::store::{Backend, Error, Key, Scope, Store, StoreSettings, Vault, Visibility};
use tokio::sync::Barrier;
use uuid::Uuid;

use super::database::Database;
use super::operations::{claimed, operation};
use super::outbox::notification;

pub(super) async fn migrating_twice_changes_nothing(db: Database) {
    let status = db.store.migration_status().await.unwrap();
    assert!(status.is_current());
    assert!(status.applied.iter().any(|migration| migration.description == "shares"), "{status:?}");
    assert!(db.store.migrate().await.unwrap().applied.is_empty());
    assert_eq!(db.store.migration_status().await.unwrap(), status);
}

pub(super) async fn two_migrations_at_once_do_no_harm(db: Database) {
    strip(&db).await;
    let other = db.another().await;
    let (first, second) = tokio::join!(db.store.migrate(), other.migrate());
    first.unwrap();
    second.unwrap();
    assert!(db.store.migration_status().await.unwrap().is_current());
    other.close().await;
}

/// Leaves what a database of Magnum's would have.
async fn strip(db: &Database) {
    db.raw("DROP TABLE conductor_migration").await;
    db.raw("DROP TABLE operation").await;
    db.raw("DROP TABLE active_operation").await;
    db.raw("DROP TABLE caller").await;
    db.raw("DROP TABLE message").await;
    db.raw("DROP TABLE outbox").await;
    db.raw("DROP TABLE delivery_attempt").await;
    db.raw("DROP TABLE bay_key_pair").await;
    db.raw("DROP TABLE bay_lock").await;
    db.raw("DROP TABLE app").await;
    db.raw("DROP TABLE bay_watch").await;
    db.raw("DROP TABLE set_aside").await;
    db.raw("DROP TABLE set_aside_part").await;
    db.raw("DROP TABLE periodic").await;
}

pub(super) async fn a_database_of_magnum_keeps_its_rows(db: Database) {
    let all = db.store.migration_status().await.unwrap().applied;
    strip(&db).await;
    db.raw(
        "INSERT INTO cluster_template (uuid, name) VALUES ('11111111-1111-1111-1111-111111111111', 'kept')",
    )
    .await;
    assert_eq!(db.store.migration_status().await.unwrap().pending, all);
    db.store.migrate().await.unwrap();
    let key = Key::Uuid(Uuid::from_u128(0x1111_1111_1111_1111_1111_1111_1111_1111));
    let kept = db.store.model(&Scope::All, Visibility::OwnOnly, key).await.unwrap().unwrap();
    assert_eq!(kept.name.as_deref(), Some("kept"));
    assert!(kept.floating_ip_enabled, "a missing flag means its default");
    assert!(db.store.migration_status().await.unwrap().is_current());
}

pub(super) async fn a_schema_of_a_newer_release_is_worked_on(db: Database) {
    db.raw(
        "INSERT INTO conductor_migration (version, description, success, checksum, execution_time) \
         SELECT 9999, 'of tomorrow', success, checksum, execution_time FROM conductor_migration WHERE version = 1",
    )
    .await;
    db.raw("ALTER TABLE operation ADD COLUMN of_tomorrow VARCHAR(64)").await;
    let status = db.store.migration_status().await.unwrap();
    assert!(status.is_current());
    assert_eq!(status.unknown.iter().map(|migration| migration.version).collect::<Vec<_>>(), [9999]);
    assert!(db.store.migrate().await.unwrap().applied.is_empty(), "there is nothing for this program to do");
    claimed(&db.store, Kind::BayCreate, Duration::from_secs(60)).await;
    // What this program lacks, it lacks all the same.
    db.raw("DELETE FROM conductor_migration WHERE description = 'shares'").await;
    assert!(!db.store.migration_status().await.unwrap().is_current());
}

pub(super) async fn a_migration_that_was_cut_off_is_run_again_on_mysql(db: Database) {
    if db.store.backend() != Backend::MySql {
        return; // The other databases undo a migration that does not end.
    }
    db.raw("UPDATE conductor_migration SET success = FALSE WHERE version = 2").await;
    db.raw("DROP TABLE outbox").await;
    db.store.migrate().await.unwrap();
    assert!(db.store.migration_status().await.unwrap().is_current());
    assert_eq!(db.store.gauges().await.unwrap().outbox_depth, 0);
    // One that changes a table meets its own change.
    db.raw("UPDATE conductor_migration SET success = FALSE WHERE description = 'shares'").await;
    db.store.migrate().await.unwrap();
    assert!(db.store.migration_status().await.unwrap().is_current());
}

pub(super) async fn the_clock_is_the_clock_of_the_world(db: Database) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let theirs = db.store.now_ms().await.unwrap();
    assert!((i128::from(theirs) - i128::try_from(now).unwrap()).abs() < 5000, "{theirs} is not near {now}");
}

pub(super) async fn a_stranger_database_is_reported_by_its_true_cause(db: Database) {
    let url = match db.store.backend() {
        Backend::Sqlite => "sqlite:////nowhere/at/all.sqlite",
        Backend::Postgres => "postgresql://u:secret@127.0.0.1:1/db",
        Backend::MySql => "mysql+pymysql://u:secret@127.0.0.1:1/db",
    };
    let vault = Vault::new(&[Vault::generate_key()]).unwrap();
    let error = Store::connect(&StoreSettings::new(url), vault).await.unwrap_err();
    let Error::Unavailable(cause) = &error else { panic!("{error:?}") };
    assert!(!matches!(cause, sqlx::Error::PoolTimedOut), "the pool hides the cause");
    assert!(!format!("{error:?} {error} {cause}").contains("secret"));
}

pub(super) async fn a_deadlock_is_retryable(db: Database) {
    if db.store.backend() == Backend::Sqlite {
        return; // One writer at a time: there is nobody to wait for.
    }
    let models = [
        BayModel { uuid: Uuid::new_v4(), ..BayModel::default() },
        BayModel { uuid: Uuid::new_v4(), ..BayModel::default() },
    ];
    let mut tx = db.store.begin().await.unwrap();
    for model in &models {
        tx.insert_model(model).await.unwrap();
    }
    tx.commit().await.unwrap();
    let barrier = Barrier::new(2);
    let cross = async |first: &BayModel, second: &BayModel| {
        let mut tx = db.store.begin().await.unwrap();
        tx.model(&Scope::All, Visibility::OwnOnly, Key::Uuid(first.uuid)).await.unwrap();
        barrier.wait().await;
        tx.model(&Scope::All, Visibility::OwnOnly, Key::Uuid(second.uuid)).await.map(drop)
    };
    let (one, two) = tokio::join!(cross(&models[0], &models[1]), cross(&models[1], &models[0]));
    let ((Err(error), Ok(())) | (Ok(()), Err(error))) = (one, two) else { panic!("one must give way") };
    assert!(error.is_retryable(), "{error:?}");
}

pub(super) async fn waiting_for_a_stopped_worker_ends(db: Database) {
    if db.store.backend() == Backend::Sqlite {
        return; // One worker.
    }
    let (_, lease) = claimed(&db.store, Kind::BayCreate, Duration::from_secs(60)).await;
    let stopped = db.store.begin_held(&lease, Duration::from_secs(60)).await.unwrap();
    let waited = db.store.begin_held(&lease, Duration::from_secs(60)).await;
    assert!(waited.is_err_and(|error| error.is_retryable()));
    drop(stopped);
}

pub(super) async fn a_transaction_is_run_again_while_it_gives_way(db: Database) {
    let runs = Arc::new(AtomicU32::new(0));
    let outcome = db.store.retrying(|| async {
        match runs.fetch_add(1, Ordering::Relaxed) {
            0..2 => Err(Error::Retryable(sqlx::Error::RowNotFound)),
            run => Ok(run),
        }
    });
    assert_eq!(outcome.await.unwrap(), 2);
    let refused = db.store.retrying(|| async {
        runs.fetch_add(1, Ordering::Relaxed);
        Err::<(), _>(Error::Duplicate)
    });
    assert!(matches!(refused.await, Err(Error::Duplicate)));
    assert_eq!(runs.load(Ordering::Relaxed), 4, "only what gave way is run again");
}

pub(super) async fn nothing_of_a_dropped_transaction_stays(db: Database) {
    let model = BayModel { uuid: Uuid::new_v4(), ..BayModel::default() };
    let mut tx = db.store.begin().await.unwrap();
    tx.insert_model(&model).await.unwrap();
    drop(tx);
    let mut tx = db.store.begin().await.unwrap();
    assert!(tx.model(&Scope::All, Visibility::OwnOnly, Key::Uuid(model.uuid)).await.unwrap().is_none());
    tx.commit().await.unwrap();
}

pub(super) async fn gauges_count_what_waits(db: Database) {
    assert_eq!(db.store.gauges().await.unwrap(), Default::default());
    let (_, lease) = claimed(&db.store, Kind::BayCreate, Duration::from_secs(60)).await;
    let mut tx = db.store.begin_held(&lease, Duration::from_secs(60)).await.unwrap();
    tx.finish(&lease, mesos_conductor::store::Ending::Failed, Some("no")).await.unwrap();
    tx.insert_operation(&operation(Kind::BayDelete, Uuid::new_v4())).await.unwrap();
    tx.enqueue(&notification("a", 1), None).await.unwrap();
    tx.commit().await.unwrap();
    let gauges = db.store.gauges().await.unwrap();
    assert_eq!(
        gauges.operations,
        [(Kind::BayCreate, State::Failed, 1), (Kind::BayDelete, State::Running, 1)]
    );
    assert_eq!(gauges.outbox_depth, 1);
    assert!(gauges.oldest_running_ms.is_some_and(|age| (0..10_000).contains(&age)));
    assert!(gauges.oldest_outbox_ms.is_some_and(|age| (0..10_000).contains(&age)));
}
