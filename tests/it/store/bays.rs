//! Bays and their node groups.

use mesos_conductor::bay::{Bay, Labels, Status};
use mesos_conductor::store::{Error, Key, Scope, Store};
use secrecy::ExposeSecret;
use uuid::Uuid;

use super::database::Database;
use super::models;

pub(super) fn bay(project: &str, name: &str) -> Bay {
    Bay {
        uuid: Uuid::new_v4(),
        name: Some(name.to_owned()),
        project_id: Some(project.to_owned()),
        user_id: Some("user".into()),
        status: Some(Status::CreateInProgress),
        create_timeout: Some(60),
        node_count: Some(2),
        master_count: Some(1),
        trustee_password: Some("trustee secret".into()),
        keypair: Some("key".into()),
        labels: Labels::from([("min_node_count".to_owned(), "1".to_owned())]),
        ..Bay::default()
    }
}

pub(super) async fn insert(store: &Store, bay: &Bay) -> i64 {
    let mut tx = store.begin().await.unwrap();
    let id = tx.insert_bay(bay).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn update(store: &Store, bay: &Bay) -> bool {
    let mut tx = store.begin().await.unwrap();
    let found = tx.update_bay(bay).await.unwrap();
    tx.commit().await.unwrap();
    found
}

async fn read(store: &Store, uuid: Uuid) -> Option<Bay> {
    store.bay(&Scope::All, Key::Uuid(uuid)).await.unwrap()
}

pub(super) async fn a_bay_reads_back_as_written(db: Database) {
    let mut written = bay("p", "bay");
    written.id = insert(&db.store, &written).await;
    let mut tx = db.store.begin().await.unwrap();
    assert!(matches!(tx.insert_bay(&written).await, Err(Error::Duplicate)));
    let first = tx.bay(&Scope::All, Key::Id(written.id)).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    assert_eq!(first.trustee_password.as_ref().unwrap().expose_secret(), "trustee secret");
    written.created_at = first.created_at;
    assert!(written.created_at.is_some());
    assert_eq!(format!("{first:?}"), format!("{written:?}"));

    written.status = Some(Status::UpdateComplete);
    written.status_reason = Some("because".into());
    written.stack_id = Some("stack".into());
    written.api_address = Some("http://10.0.0.1".into());
    written.node_count = Some(3);
    written.node_addresses = vec!["10.0.0.2".into(), "10.0.0.3".into()];
    written.master_addresses = vec!["10.0.0.1".into()];
    written.trust_id = Some("trust".into());
    written.trustee_password = Some("another".into());
    assert!(update(&db.store, &written).await);
    let second = read(&db.store, written.uuid).await.unwrap();
    assert_eq!(second.trustee_password.as_ref().unwrap().expose_secret(), "another");
    written.updated_at = second.updated_at;
    assert!(written.updated_at.is_some());
    assert_eq!(format!("{second:?}"), format!("{written:?}"));
    assert!(!update(&db.store, &bay("p", "unknown")).await);
}

pub(super) async fn an_update_keeps_other_node_groups_and_labels(db: Database) {
    let mut written = bay("p", "bay");
    insert(&db.store, &written).await;
    db.raw(
        "INSERT INTO nodegroup (uuid, name, cluster_id, project_id, node_count, role, is_default) \
         SELECT '22222222-2222-2222-2222-222222222222', 'extra', uuid, 'p', 7, 'worker', FALSE FROM cluster",
    )
    .await;
    written.node_count = Some(5);
    written.labels.clear();
    assert!(update(&db.store, &written).await);
    let read = read(&db.store, written.uuid).await.unwrap();
    assert_eq!((read.node_count, read.master_count), (Some(5), Some(1)));
    assert_eq!(read.labels.len(), 1, "labels do not change");
    let groups = db.texts("SELECT name FROM nodegroup ORDER BY name").await;
    assert_eq!(groups, ["default-master", "default-worker", "extra"]);
}

pub(super) async fn an_update_makes_missing_node_groups(db: Database) {
    let written = bay("p", "bay");
    insert(&db.store, &written).await;
    db.raw("DELETE FROM nodegroup").await;
    assert_eq!(read(&db.store, written.uuid).await.unwrap().node_count, None);
    assert!(update(&db.store, &written).await);
    assert_eq!(read(&db.store, written.uuid).await.unwrap().node_count, Some(2));
}

pub(super) async fn node_groups_take_from_the_model_what_the_bay_does_not_say(db: Database) {
    let model = models::model("p", "model");
    models::insert(&db.store, &model).await;
    insert(&db.store, &Bay { model_id: Some(model.uuid.to_string()), ..bay("p", "bay") }).await;
    assert_eq!(db.texts("SELECT flavor_id FROM nodegroup ORDER BY name").await, ["m1.large", "m1.small"]);
    assert_eq!(db.texts("SELECT image_id FROM nodegroup").await, ["image", "image"]);
    assert_eq!(db.texts("SELECT role FROM nodegroup ORDER BY name").await, ["master", "worker"]);
    let least = db.texts("SELECT CAST(min_node_count AS CHAR(1)) FROM nodegroup").await;
    assert_eq!(least, ["1", "1"]);
    assert_eq!(db.texts("SELECT name FROM nodegroup WHERE is_default = TRUE").await.len(), 2);
}

pub(super) async fn a_deleted_bay_leaves_no_node_group(db: Database) {
    let (gone, stays) = (bay("p", "gone"), bay("p", "stays"));
    insert(&db.store, &gone).await;
    insert(&db.store, &stays).await;
    let mut tx = db.store.begin().await.unwrap();
    assert!(tx.delete_bay(gone.uuid).await.unwrap());
    assert!(!tx.delete_bay(gone.uuid).await.unwrap());
    tx.commit().await.unwrap();
    assert!(read(&db.store, gone.uuid).await.is_none());
    assert_eq!(db.texts("SELECT uuid FROM nodegroup").await.len(), 2);
    assert_eq!(read(&db.store, stays.uuid).await.unwrap().node_count, Some(2));
}

pub(super) async fn a_clear_password_is_read_and_sealed_at_the_next_write(db: Database) {
    let written = bay("p", "bay");
    insert(&db.store, &written).await;
    db.raw("UPDATE cluster SET trustee_password = 'in clear'").await;
    let found = read(&db.store, written.uuid).await.unwrap();
    assert_eq!(found.trustee_password.as_ref().unwrap().expose_secret(), "in clear");
    assert!(update(&db.store, &found).await);
    let stored = db.texts("SELECT trustee_password FROM cluster").await;
    assert!(stored[0].starts_with("enc:v1:"), "{}", stored[0]);
    let again = read(&db.store, written.uuid).await.unwrap();
    assert_eq!(again.trustee_password.unwrap().expose_secret(), "in clear");
}
