//! Bay models.

use std::collections::BTreeSet;

use mesos_conductor::bay::{BayModel, Labels};
use mesos_conductor::store::{Backend, Error, Key, Page, Scope, Store, Visibility};
use uuid::Uuid;

use super::bays::bay;
use super::database::Database;

pub(super) fn model(project: &str, name: &str) -> BayModel {
    let text = |text: &str| Some(text.to_owned());
    BayModel {
        uuid: Uuid::new_v4(),
        name: text(name),
        project_id: text(project),
        user_id: text("user"),
        image_id: text("image"),
        flavor_id: text("m1.small"),
        master_flavor_id: text("m1.large"),
        coe: text("mesos"),
        server_type: text("vm"),
        apiserver_port: Some(8080),
        docker_volume_size: Some(25),
        registry_enabled: true,
        floating_ip_enabled: true,
        tags: text("ünïcode 🚀"),
        labels: Labels::from([("key".to_owned(), "välue \"quoted\"".to_owned())]),
        ..BayModel::default()
    }
}

pub(super) async fn insert(store: &Store, model: &BayModel) -> i64 {
    let mut tx = store.begin().await.unwrap();
    let id = tx.insert_model(model).await.unwrap();
    tx.commit().await.unwrap();
    id
}

pub(super) async fn a_model_reads_back_as_written(db: Database) {
    let written = model("p", "model");
    let id = insert(&db.store, &written).await;
    let read = db.store.model(&Scope::All, Visibility::OwnOnly, Key::Id(id)).await.unwrap().unwrap();
    assert!(read.created_at.is_some() && read.updated_at.is_none());
    let expected = BayModel { id, created_at: read.created_at, ..written.clone() };
    assert_eq!(format!("{read:?}"), format!("{expected:?}"));
    let by_uuid = db.store.model(&Scope::All, Visibility::OwnOnly, Key::Uuid(written.uuid)).await.unwrap();
    assert_eq!(by_uuid.unwrap().id, id);
}

pub(super) async fn a_duplicate_leaves_the_transaction_usable(db: Database) {
    let first = model("p", "first");
    insert(&db.store, &first).await;
    let mut tx = db.store.begin().await.unwrap();
    assert!(matches!(tx.insert_model(&first).await, Err(Error::Duplicate)));
    let second = model("p", "second");
    tx.insert_model(&second).await.unwrap();
    tx.commit().await.unwrap();
    let all = db.store.models(&Scope::All, Visibility::OwnOnly, &Page::default()).await.unwrap();
    assert_eq!(all.len(), 2);
}

pub(super) async fn tenants_see_their_own_models_and_public_ones(db: Database) {
    db.collate_like_magnum().await;
    let (mine, foreign) = (model("me", "a"), model("them", "b"));
    let public = BayModel { public: true, user_id: Some("other".into()), ..model("them", "c") };
    for model in [&mine, &foreign, &public] {
        insert(&db.store, &BayModel { tags: None, ..model.clone() }).await;
    }
    let names = async |scope: Scope, seen| {
        let models = db.store.models(&scope, seen, &Page::default()).await.unwrap();
        models.into_iter().filter_map(|model| model.name).collect::<String>()
    };
    assert_eq!(names(Scope::Project("me".into()), Visibility::OwnOnly).await, "a");
    assert_eq!(names(Scope::Project("me".into()), Visibility::OrPublic).await, "ac");
    assert_eq!(names(Scope::Project("ME".into()), Visibility::OwnOnly).await, "");
    assert_eq!(names(Scope::User("user".into()), Visibility::OwnOnly).await, "ab");
    assert_eq!(names(Scope::User("nobody".into()), Visibility::OrPublic).await, "c");
    assert_eq!(names(Scope::All, Visibility::OwnOnly).await, "abc");
    let me = Scope::Project("me".into());
    let found = db.store.model(&me, Visibility::OrPublic, Key::Uuid(foreign.uuid)).await.unwrap();
    assert!(found.is_none(), "a foreign model is not found");
    assert_eq!(db.store.models_named(&me, Visibility::OrPublic, "c").await.unwrap().len(), 1);
    assert_eq!(db.store.models_named(&me, Visibility::OwnOnly, "c").await.unwrap().len(), 0);
}

pub(super) async fn a_model_is_in_use_while_a_bay_names_it(db: Database) {
    let used = model("p", "used");
    let id = insert(&db.store, &used).await;
    let mut tx = db.store.begin().await.unwrap();
    assert!(!tx.model_in_use(used.uuid).await.unwrap());
    let bay = mesos_conductor::bay::Bay { model_id: Some(used.uuid.to_string()), ..bay("p", "bay") };
    tx.insert_bay(&bay).await.unwrap();
    assert!(tx.model_in_use(used.uuid).await.unwrap());
    tx.delete_bay(bay.uuid).await.unwrap();
    assert!(!tx.model_in_use(used.uuid).await.unwrap());
    assert!(tx.delete_model(id).await.unwrap());
    assert!(!tx.delete_model(id).await.unwrap());
    tx.commit().await.unwrap();
}

pub(super) async fn an_update_writes_the_named_fields_only(db: Database) {
    let first = model("p", "first");
    let id = insert(&db.store, &first).await;
    let all = |name: &str| BayModel { id, public: true, ..model("q", name) };
    let mut tx = db.store.begin().await.unwrap();
    let fields = BTreeSet::from(["name".to_owned(), "public".to_owned()]);
    assert!(tx.update_model(&all("second"), &fields).await.unwrap());
    assert!(!tx.update_model(&BayModel { id: id + 1, ..all("none") }, &fields).await.unwrap());
    tx.commit().await.unwrap();
    let read = db.store.model(&Scope::All, Visibility::OwnOnly, Key::Id(id)).await.unwrap().unwrap();
    assert!(read.updated_at.is_some());
    let (created_at, updated_at) = (read.created_at, read.updated_at);
    let expected =
        BayModel { id, name: Some("second".into()), public: true, created_at, updated_at, ..first.clone() };
    assert_eq!(format!("{read:?}"), format!("{expected:?}"));
}

pub(super) async fn a_value_that_does_not_fit_is_the_requests_fault(db: Database) {
    if db.store.backend() == Backend::Sqlite {
        return; // It takes any length.
    }
    let mut tx = db.store.begin().await.unwrap();
    let long = model("p", &"x".repeat(300));
    assert!(matches!(tx.insert_model(&long).await, Err(Error::Unstorable(_))));
    assert!(matches!(tx.commit().await, Err(Error::Broken)), "nothing is committed after a failed statement");
}
