//! Apps, the row in which their operations stand, and who watches their bay.

use std::time::Duration;

use mesos_conductor::app::{App, Status};
use mesos_conductor::operation::record::Kind;
use mesos_conductor::store::{AppFilter, Error, Key, Page, Scope, Store};
use uuid::Uuid;

use super::bays::{bay, insert};
use super::database::Database;
use super::operations::{due, operation};

const LONG: Duration = Duration::from_secs(600);

fn app(bay: Uuid, name: &str) -> App {
    App {
        uuid: Uuid::new_v4(),
        name: Some(name.to_owned()),
        bay_uuid: bay,
        project_id: Some("p1".to_owned()),
        user_id: Some("u1".to_owned()),
        manifest: Some(r#"{"env": {"PASSWORD": "manifest secret"}}"#.to_owned()),
        framework_id: Some(format!("/{name}")),
        instances: Some(2),
        status: Some(Status::NEW),
        endpoints: vec!["10.0.0.1:31000".to_owned()],
        ..App::default()
    }
}

async fn put(store: &Store, app: &App) -> Result<i64, Error> {
    let mut tx = store.begin().await.unwrap();
    let id = tx.insert_app(app).await;
    tx.commit().await.unwrap();
    id
}

async fn read(store: &Store, scope: &Scope, app: &App) -> Option<App> {
    store.app(scope, Key::Uuid(app.uuid)).await.unwrap()
}

pub(super) async fn an_app_reads_back_as_written_and_its_manifest_is_sealed(db: Database) {
    let of = bay("p1", "b");
    insert(&db.store, &of).await;
    let mut web = app(of.uuid, "web");
    web.id = put(&db.store, &web).await.unwrap();
    let stored = read(&db.store, &Scope::All, &web).await.unwrap();
    assert_eq!(App { created_at: None, ..stored.clone() }, web);
    assert!(read(&db.store, &Scope::Project("p2".into()), &web).await.is_none());
    let kept = db.texts("SELECT manifest FROM app").await;
    assert!(!kept[0].contains("manifest secret"), "{kept:?}");

    let changed = App { tasks_running: Some(2), version: Some("v".into()), manifest: None, ..web.clone() };
    let mut tx = db.store.begin().await.unwrap();
    assert!(tx.update_app(&changed).await.unwrap());
    assert!(tx.rename_app(web.uuid, Some("shop")).await.unwrap());
    tx.commit().await.unwrap();
    let stored = read(&db.store, &Scope::All, &web).await.unwrap();
    assert_eq!(
        (stored.name.as_deref(), stored.tasks_running, stored.manifest),
        (Some("shop"), Some(2), None)
    );

    // What is shown of an app does not undo what an operation has begun meanwhile.
    let seen = App { instances: Some(5), ..changed };
    assert!(!db.store.show_app(&seen, "CREATE_COMPLETE".parse().ok()).await.unwrap());
    assert!(db.store.show_app(&seen, Some(Status::NEW)).await.unwrap());
    assert_eq!(read(&db.store, &Scope::All, &web).await.unwrap().instances, Some(5));
}

pub(super) async fn names_are_unique_within_a_bay_and_claims_are_noticed(db: Database) {
    let (one, other) = (bay("p1", "one"), bay("p1", "other"));
    insert(&db.store, &one).await;
    insert(&db.store, &other).await;
    put(&db.store, &app(one.uuid, "web")).await.unwrap();
    assert!(matches!(put(&db.store, &app(one.uuid, "web")).await, Err(Error::Duplicate)));
    put(&db.store, &app(other.uuid, "web")).await.unwrap();
    let rival = async |app: App| {
        let mut tx = db.store.begin().await.unwrap();
        let rival = tx.rival(&app).await.unwrap();
        tx.commit().await.unwrap();
        rival
    };
    assert!(rival(app(one.uuid, "web")).await.is_some_and(|rival| rival.contains("named web")));
    let below = App { framework_id: Some("/web/db".into()), ..app(one.uuid, "db") };
    assert!(rival(below).await.is_some_and(|rival| rival.contains("/web")));
    assert_eq!(rival(app(one.uuid, "db")).await, None);
    let filter = AppFilter { bay_uuid: Some(one.uuid), ..AppFilter::default() };
    let listed = db.store.apps(&Scope::All, &filter, &Page::default()).await.unwrap();
    assert_eq!(listed.len(), 1);
}

pub(super) async fn operations_on_an_app_stand_in_a_row(db: Database) {
    let of = bay("p1", "b");
    insert(&db.store, &of).await;
    let web = app(of.uuid, "web");
    put(&db.store, &web).await.unwrap();
    let mut all = Vec::new();
    for kind in [Kind::AppCreate, Kind::AppScale, Kind::AppUpdate] {
        let mut tx = db.store.begin().await.unwrap();
        tx.app(&Scope::All, Key::Uuid(web.uuid)).await.unwrap();
        let next = operation(kind, web.uuid);
        match tx.last_operation(web.uuid).await.unwrap() {
            None => tx.insert_operation(&next).await.unwrap(),
            Some(last) => tx.insert_successor(&next, last.uuid).await.unwrap(),
        }
        all.push(next.uuid);
        assert_eq!(tx.unfinished(web.uuid).await.unwrap(), all.len() as u64);
        assert_eq!(tx.last_operation(web.uuid).await.unwrap().unwrap().uuid, next.uuid);
        tx.commit().await.unwrap();
    }
    assert_eq!(due(&db.store).await, [all[0]], "the others wait their turn");
    let mut tx = db.store.begin().await.unwrap();
    assert_eq!(tx.supersede_all(web.uuid).await.unwrap(), 3);
    tx.commit().await.unwrap();
    for (at, uuid) in all.iter().enumerate() {
        let (held, lease) = db.store.claim(*uuid, "worker", LONG).await.unwrap().expect("its turn has come");
        assert!(held.superseded);
        let mut tx = db.store.begin_held(&lease, LONG).await.unwrap();
        let next = tx.finish(&lease, mesos_conductor::store::Ending::Done, None).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(next, all.get(at + 1).copied());
    }
}

pub(super) async fn who_waits_at_a_step_can_be_woken(db: Database) {
    let of = bay("p1", "b");
    insert(&db.store, &of).await;
    let web = app(of.uuid, "web");
    put(&db.store, &web).await.unwrap();
    let record = operation(Kind::AppScale, web.uuid);
    let mut tx = db.store.begin().await.unwrap();
    tx.insert_operation(&record).await.unwrap();
    tx.commit().await.unwrap();
    let (held, lease) = db.store.claim(record.uuid, "worker", LONG).await.unwrap().unwrap();
    assert_eq!(db.store.wake(web.uuid, &held.step).await.unwrap(), 0, "somebody is at it");
    let mut tx = db.store.begin_held(&lease, LONG).await.unwrap();
    tx.advance(&lease, &held, mesos_conductor::store::Wake::Release { after: LONG }).await.unwrap();
    tx.commit().await.unwrap();
    assert!(due(&db.store).await.is_empty());
    assert_eq!(db.store.wake(web.uuid, "another step").await.unwrap(), 0);
    assert_eq!(db.store.wake(web.uuid, &held.step).await.unwrap(), 1);
    assert_eq!(due(&db.store).await, [record.uuid]);
}

pub(super) async fn a_bay_with_apps_is_watched_by_one_worker(db: Database) {
    let (one, bare) = (bay("p1", "one"), bay("p1", "bare"));
    insert(&db.store, &one).await;
    insert(&db.store, &bare).await;
    put(&db.store, &app(one.uuid, "web")).await.unwrap();
    put(&db.store, &app(one.uuid, "db")).await.unwrap();
    let store = &db.store;
    assert_eq!(store.unwatched_bays(10).await.unwrap(), [one.uuid]);
    let claims = ["a", "b", "c"]
        .map(|owner| store.retrying(move || async move { store.claim_watch(one.uuid, owner, LONG).await }));
    let taken = futures_util::future::join_all(claims).await;
    assert_eq!(taken.iter().filter(|taken| *taken.as_ref().unwrap()).count(), 1);
    assert!(store.unwatched_bays(10).await.unwrap().is_empty());
    for name in ["a", "b", "c"] {
        store.keep_watches(name, Duration::ZERO).await.unwrap();
    }
    // Its time was over at once: a worker that wakes up late does not keep what others may have.
    assert!(store.keep_watches("a", LONG).await.unwrap().is_empty());
    assert_eq!(store.unwatched_bays(10).await.unwrap(), [one.uuid]);
    assert!(store.claim_watch(one.uuid, "d", LONG).await.unwrap());
    assert!(!store.claim_watch(one.uuid, "e", LONG).await.unwrap());
    assert_eq!(store.keep_watches("d", LONG).await.unwrap().len(), 1);
    store.leave_watch(one.uuid, "e").await.unwrap();
    assert!(store.unwatched_bays(10).await.unwrap().is_empty(), "it is not theirs to leave");
    store.leave_watches("d").await.unwrap();
    assert_eq!(store.unwatched_bays(10).await.unwrap(), [one.uuid]);
}

pub(super) async fn a_deleted_bay_leaves_no_app(db: Database) {
    let of = bay("p1", "b");
    insert(&db.store, &of).await;
    let web = app(of.uuid, "web");
    put(&db.store, &web).await.unwrap();
    assert!(db.store.claim_watch(of.uuid, "a", LONG).await.unwrap());
    let mut tx = db.store.begin().await.unwrap();
    assert!(tx.delete_bay(of.uuid).await.unwrap());
    tx.commit().await.unwrap();
    assert!(read(&db.store, &Scope::All, &web).await.is_none());
    assert!(db.texts("SELECT bay_uuid FROM bay_watch").await.is_empty());
}
