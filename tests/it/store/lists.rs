//! Lists: whose, which, in which order, page by page.

use mesos_conductor::bay::{Bay, Status};
use mesos_conductor::store::{BayFilter, Error, Key, Page, Scope};
use uuid::Uuid;

use super::bays::{bay, insert};
use super::database::Database;

async fn names(db: &Database, scope: &Scope, filter: &BayFilter, page: &Page) -> String {
    let bays = db.store.bays(scope, filter, page).await.unwrap();
    bays.into_iter().filter_map(|bay| bay.name).collect()
}

pub(super) async fn filters_select_by_equality(db: Database) {
    let stack = Some("stack".to_owned());
    insert(&db.store, &Bay { node_count: Some(1), stack_id: stack.clone(), ..bay("p", "a") }).await;
    insert(&db.store, &Bay { node_count: Some(9), status: Some(Status::CreateComplete), ..bay("p", "b") })
        .await;
    let addresses = vec!["10.0.0.1".to_owned(), "10.0.0.2".to_owned()];
    let c = Bay { status: Some(Status::DeleteFailed), node_addresses: addresses.clone(), ..bay("q", "c") };
    insert(&db.store, &Bay { model_id: Some("m".into()), ..c }).await;
    let any = BayFilter::default;
    let check = async |filter: BayFilter, expected: &str| {
        assert_eq!(names(&db, &Scope::All, &filter, &Page::default()).await, expected, "{filter:?}");
    };
    check(any(), "abc").await;
    check(BayFilter { node_count: Some(9), ..any() }, "b").await;
    check(BayFilter { master_count: Some(1), ..any() }, "abc").await;
    check(BayFilter { stack_id: stack, ..any() }, "a").await;
    check(BayFilter { model_id: Some("m".into()), ..any() }, "c").await;
    check(BayFilter { project_id: Some("q".into()), ..any() }, "c").await;
    check(BayFilter { user_id: Some("nobody".into()), ..any() }, "").await;
    check(BayFilter { node_addresses: Some(addresses), ..any() }, "c").await;
    check(BayFilter { status: vec![Status::CreateInProgress, Status::DeleteFailed], ..any() }, "ac").await;
    check(BayFilter { node_count: Some(2), status: vec![Status::CreateInProgress], ..any() }, "").await;
}

pub(super) async fn names_are_told_apart_by_case(db: Database) {
    db.collate_like_magnum().await;
    for name in ["Same", "same", "same", "same"] {
        insert(&db.store, &bay("p", name)).await;
    }
    assert_eq!(db.store.bays_named(&Scope::All, "Same").await.unwrap().len(), 1);
    assert_eq!(db.store.bays_named(&Scope::All, "same").await.unwrap().len(), 2, "two are enough");
    assert_eq!(db.store.bays_named(&Scope::All, "other").await.unwrap().len(), 0);
}

pub(super) async fn tenants_see_their_own_bays(db: Database) {
    let foreign = Bay { user_id: Some("other".into()), ..bay("them", "f") };
    insert(&db.store, &bay("me", "m")).await;
    insert(&db.store, &foreign).await;
    let (any, all) = (BayFilter::default(), Page::default());
    let me = Scope::Project("me".into());
    assert_eq!(names(&db, &me, &any, &all).await, "m");
    assert_eq!(names(&db, &Scope::User("other".into()), &any, &all).await, "f");
    let theirs = BayFilter { project_id: Some("them".into()), ..any };
    assert_eq!(names(&db, &me, &theirs, &all).await, "", "a filter does not widen what is seen");
    let key = Key::Uuid(foreign.uuid);
    assert!(db.store.bay(&me, key).await.unwrap().is_none());
    let mut tx = db.store.begin().await.unwrap();
    assert!(tx.bay(&me, key).await.unwrap().is_none());
}

/// Five bays whose sort values hold equals and `NULL`.
async fn five(db: &Database) {
    for (name, stack, count) in [
        ("a", None, Some(3)),
        ("b", Some("x"), None),
        ("c", None, Some(3)),
        ("d", Some("w"), Some(1)),
        ("e", Some("x"), None),
    ] {
        let stack_id = stack.map(str::to_owned);
        insert(&db.store, &Bay { stack_id, node_count: count, ..bay("p", name) }).await;
    }
}

pub(super) async fn pages_neither_skip_nor_repeat(db: Database) {
    five(&db).await;
    for sort_key in
        [None, Some("stack_id"), Some("node_count"), Some("name"), Some("created_at"), Some("status")]
    {
        for descending in [false, true] {
            let page = Page { sort_key: sort_key.map(str::to_owned), descending, ..Page::default() };
            let whole = db.store.bays(&Scope::All, &BayFilter::default(), &page).await.unwrap();
            assert_eq!(whole.len(), 5);
            for limit in 1..=3 {
                let mut page = Page { limit: Some(limit), ..page.clone() };
                let mut walked = Vec::new();
                loop {
                    let part = db.store.bays(&Scope::All, &BayFilter::default(), &page).await.unwrap();
                    let Some(last) = part.last() else { break };
                    page.marker = Some(Key::Uuid(last.uuid));
                    walked.extend(part.iter().map(|bay| bay.uuid));
                    assert!(walked.len() <= 5, "{page:?} repeats");
                }
                assert_eq!(walked, whole.iter().map(|bay| bay.uuid).collect::<Vec<_>>(), "{page:?}");
            }
        }
    }
}

pub(super) async fn null_sorts_before_every_value(db: Database) {
    five(&db).await;
    let sorted = async |sort_key: &str, descending| {
        let page = Page { sort_key: Some(sort_key.into()), descending, ..Page::default() };
        names(&db, &Scope::All, &BayFilter::default(), &page).await
    };
    assert_eq!(sorted("stack_id", false).await, "acdbe");
    assert_eq!(sorted("stack_id", true).await, "ebdca");
    assert_eq!(sorted("node_count", false).await, "bedac");
    assert_eq!(sorted("node_count", true).await, "cadeb");
}

pub(super) async fn an_unknown_sort_key_is_refused(db: Database) {
    for sort_key in ["trustee_password", "id; DROP TABLE cluster", ""] {
        let page = Page { sort_key: Some(sort_key.into()), ..Page::default() };
        let refused = db.store.bays(&Scope::All, &BayFilter::default(), &page).await;
        assert!(matches!(refused, Err(Error::SortKey(key)) if key == sort_key));
    }
}

pub(super) async fn a_marker_must_be_visible(db: Database) {
    let foreign = bay("them", "f");
    insert(&db.store, &bay("me", "m")).await;
    insert(&db.store, &foreign).await;
    for marker in [foreign.uuid, Uuid::new_v4()] {
        let page = Page { marker: Some(Key::Uuid(marker)), ..Page::default() };
        let refused = db.store.bays(&Scope::Project("me".into()), &BayFilter::default(), &page).await;
        assert!(matches!(refused, Err(Error::Marker(unknown)) if unknown == Key::Uuid(marker)));
    }
    let page = Page { marker: Some(Key::Uuid(foreign.uuid)), ..Page::default() };
    let filter = BayFilter { name: Some("m".into()), ..BayFilter::default() };
    assert!(db.store.bays(&Scope::All, &filter, &page).await.unwrap().is_empty());
}
