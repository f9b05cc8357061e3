//! Key pairs: a row of Magnum's table and one of ours.

use std::collections::BTreeSet;

use mesos_conductor::store::{Error, Key, KeyPair, KeyPairFilter, Page, Scope, Store};
use secrecy::ExposeSecret;
use uuid::Uuid;

use super::database::Database;

fn pair(project: &str, name: &str) -> KeyPair {
    let text = |text: &str| Some(text.to_owned());
    KeyPair {
        uuid: Uuid::new_v4(),
        name: text(name),
        bay_uuid: text("a-bay"),
        ca_cert: text("the authority"),
        certificate: text("the certificate"),
        private_key: Some("the key".into()),
        project_id: text(project),
        user_id: text("user"),
        ..KeyPair::default()
    }
}

async fn insert(store: &Store, pair: &KeyPair) -> i64 {
    let mut tx = store.begin().await.unwrap();
    let id = tx.insert_key_pair(pair).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn read(store: &Store, pair: &KeyPair) -> KeyPair {
    store.key_pair(&Scope::All, Key::Uuid(pair.uuid)).await.unwrap().unwrap()
}

fn secret(pair: &KeyPair) -> Option<&str> {
    pair.private_key.as_ref().map(ExposeSecret::expose_secret)
}

pub(super) async fn a_key_pair_reads_back_as_written(db: Database) {
    let written = pair("p", "pair");
    let id = insert(&db.store, &written).await;
    let stored = read(&db.store, &written).await;
    assert!(stored.created_at.is_some());
    assert_eq!(secret(&stored), Some("the key"));
    let expected = KeyPair { id, created_at: stored.created_at, ..written.clone() };
    assert_eq!(format!("{stored:?}"), format!("{expected:?}"));
    let mut tx = db.store.begin().await.unwrap();
    assert!(matches!(tx.insert_key_pair(&written).await, Err(Error::Duplicate)));
    tx.insert_key_pair(&pair("p", "another")).await.unwrap();
    tx.commit().await.unwrap();
}

pub(super) async fn an_update_of_a_key_pair_writes_the_named_fields_only(db: Database) {
    let first = pair("p", "first");
    let id = insert(&db.store, &first).await;
    let wanted = KeyPair { id, uuid: first.uuid, bay_uuid: first.bay_uuid.clone(), ..pair("q", "second") };
    let wanted = KeyPair { certificate: Some("unnamed".into()), private_key: Some("new".into()), ..wanted };
    let mut tx = db.store.begin().await.unwrap();
    let fields = BTreeSet::from(["name".to_owned(), "private_key".to_owned()]);
    assert!(tx.update_key_pair(&wanted, &fields).await.unwrap());
    tx.commit().await.unwrap();
    let stored = read(&db.store, &first).await;
    assert_eq!((stored.name.as_deref(), secret(&stored)), (Some("second"), Some("new")));
    assert_eq!((&stored.certificate, &stored.project_id), (&first.certificate, &first.project_id));
    assert_eq!((&stored.bay_uuid, &stored.ca_cert), (&first.bay_uuid, &first.ca_cert));
}

pub(super) async fn a_private_key_is_sealed_and_a_clear_one_is_read(db: Database) {
    let sealed = pair("p", "sealed");
    insert(&db.store, &sealed).await;
    let stored = db.texts("SELECT private_key FROM x509keypair").await;
    assert!(stored[0].starts_with("enc:v1:"), "it is not in clear");
    // As Magnum itself wrote it, without a row of ours.
    db.raw(
        "INSERT INTO x509keypair (uuid, private_key, project_id) \
         VALUES ('11111111-1111-1111-1111-111111111111', 'clear', 'p')",
    )
    .await;
    let key = Key::Uuid(Uuid::from_u128(0x1111_1111_1111_1111_1111_1111_1111_1111));
    let magnums = db.store.key_pair(&Scope::All, key).await.unwrap().unwrap();
    assert_eq!((secret(&magnums), &magnums.name), (Some("clear"), &None));
}

pub(super) async fn tenants_see_their_own_key_pairs(db: Database) {
    db.collate_like_magnum().await;
    for (project, name) in [("me", "a"), ("me", "b"), ("them", "c")] {
        insert(&db.store, &pair(project, name)).await;
    }
    let names = async |scope: Scope, filter: KeyPairFilter, page: Page| {
        let found = db.store.key_pairs(&scope, &filter, &page).await.unwrap();
        found.into_iter().filter_map(|pair| pair.name).collect::<String>()
    };
    let any = KeyPairFilter::default;
    let me = || Scope::Project("me".into());
    assert_eq!(names(me(), any(), Page::default()).await, "ab");
    assert_eq!(names(Scope::Project("ME".into()), any(), Page::default()).await, "");
    assert_eq!(names(Scope::User("user".into()), any(), Page::default()).await, "abc");
    let theirs = KeyPairFilter { project_id: Some("them".into()), ..any() };
    assert_eq!(names(me(), theirs.clone(), Page::default()).await, "");
    assert_eq!(names(Scope::All, theirs, Page::default()).await, "c");
    assert_eq!(names(me(), KeyPairFilter { name: Some("b".into()), ..any() }, Page::default()).await, "b");
    assert_eq!(names(me(), KeyPairFilter { name: Some("B".into()), ..any() }, Page::default()).await, "");
    let of_bay = KeyPairFilter { bay_uuid: Some("a-bay".into()), ..any() };
    let by_name = Page { sort_key: Some("name".into()), descending: true, ..Page::default() };
    assert_eq!(names(me(), of_bay, by_name).await, "ba");
}

pub(super) async fn a_deleted_key_pair_leaves_nothing(db: Database) {
    let gone = pair("p", "gone");
    insert(&db.store, &gone).await;
    let mut tx = db.store.begin().await.unwrap();
    assert!(tx.key_pair(&Scope::Project("q".into()), Key::Uuid(gone.uuid)).await.unwrap().is_none());
    assert!(tx.delete_key_pair(gone.uuid).await.unwrap());
    assert!(!tx.delete_key_pair(gone.uuid).await.unwrap());
    tx.commit().await.unwrap();
    assert!(db.texts("SELECT uuid FROM x509keypair").await.is_empty());
    assert!(db.texts("SELECT uuid FROM bay_key_pair").await.is_empty());
}
