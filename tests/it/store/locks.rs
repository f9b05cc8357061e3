//! Locks on bays.

use futures_util::future::join_all;
use mesos_conductor::store::{Steal, Store};

use super::database::Database;

async fn take(store: &Store, conductor: &str) -> Option<String> {
    let attempt = async || {
        let mut tx = store.begin().await?;
        let holder = tx.take_bay_lock("bay", conductor).await?;
        tx.commit().await?;
        Ok(holder)
    };
    store.retrying(attempt).await.unwrap()
}

pub(super) async fn a_lock_has_one_holder(db: Database) {
    assert_eq!(take(&db.store, "first").await, None);
    assert_eq!(take(&db.store, "second").await.as_deref(), Some("first"));
    let mut tx = db.store.begin().await.unwrap();
    assert!(!tx.release_bay_lock("bay", "second").await.unwrap());
    assert!(tx.release_bay_lock("bay", "first").await.unwrap());
    assert!(!tx.release_bay_lock("bay", "first").await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(take(&db.store, "second").await, None);
}

pub(super) async fn a_lock_is_stolen_from_its_holder_only(db: Database) {
    let steal = async |from: &str, to: &str| {
        let mut tx = db.store.begin().await.unwrap();
        let stolen = tx.steal_bay_lock("bay", from, to).await.unwrap();
        tx.commit().await.unwrap();
        stolen
    };
    assert_eq!(steal("first", "second").await, Steal::Free);
    assert_eq!(take(&db.store, "first").await, None);
    assert_eq!(steal("other", "second").await, Steal::Held("first".to_owned()));
    assert_eq!(steal("first", "second").await, Steal::Stolen);
    assert_eq!(take(&db.store, "third").await.as_deref(), Some("second"));
}

pub(super) async fn of_many_conductors_one_takes_the_lock(db: Database) {
    let names: Vec<String> = (0..8).map(|number| format!("conductor-{number}")).collect();
    let answers = join_all(names.iter().map(|name| take(&db.store, name))).await;
    let winners: Vec<_> = names.iter().zip(&answers).filter(|(_, answer)| answer.is_none()).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    let holder = winners[0].0;
    assert!(answers.iter().flatten().all(|named| named == holder), "{answers:?}");
}
