//! The processes of Magnum.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use mesos_conductor::store::{Error, Key, Page, Service};

use super::database::Database;

const BINARY: &str = "magnum-conductor";

fn service(host: &str) -> Service {
    Service { host: Some(host.to_owned()), binary: Some(BINARY.to_owned()), ..Service::default() }
}

pub(super) async fn a_host_has_one_row_however_often_it_starts(db: Database) {
    for _ in 0..3 {
        db.store.report_up("host", BINARY).await.unwrap();
    }
    db.store.report_up("other", BINARY).await.unwrap();
    let all = db.store.services(&Page::default()).await.unwrap();
    let counts: Vec<_> = all.iter().map(|one| (one.host.as_deref().unwrap(), one.report_count)).collect();
    assert_eq!(counts, [("host", 3), ("other", 1)]);
    assert!(all.iter().all(|one| one.last_seen_up.is_some() && !one.disabled && !one.forced_down));
    assert_eq!(db.store.service_on("host", BINARY).await.unwrap().unwrap().id, all[0].id);
    assert!(db.store.service_on("host", "magnum-api").await.unwrap().is_none());
}

pub(super) async fn reports_of_many_processes_are_all_counted(db: Database) {
    let reports = join_all((0..10).map(|_| db.store.report_up("host", BINARY))).await;
    assert!(reports.iter().all(Result::is_ok), "{reports:?}");
    assert_eq!(db.store.service_on("host", BINARY).await.unwrap().unwrap().report_count, 10);
}

pub(super) async fn a_service_reads_back_as_written(db: Database) {
    let mut tx = db.store.begin().await.unwrap();
    let now = time::macros::datetime!(2026-11-22 17:21:38);
    let written = Service {
        disabled: true,
        disabled_reason: Some("upgrade".into()),
        last_seen_up: Some(now),
        report_count: 7,
        ..service("host")
    };
    let id = tx.insert_service(&written).await.unwrap();
    assert!(matches!(tx.insert_service(&written).await, Err(Error::Duplicate)));
    let read = tx.service(id).await.unwrap().unwrap();
    let expected = Service { id, created_at: read.created_at, ..written };
    assert_eq!(format!("{read:?}"), format!("{expected:?}"));
    let wanted = Service { id, report_count: 99, forced_down: true, ..service("ignored") };
    let fields =
        BTreeSet::from(["disabled".to_owned(), "disabled_reason".to_owned(), "forced_down".to_owned()]);
    assert!(tx.update_service(&wanted, &fields).await.unwrap());
    let read = tx.service(id).await.unwrap().unwrap();
    assert_eq!((read.disabled, read.disabled_reason, read.forced_down), (false, None, true));
    assert_eq!((read.host.as_deref(), read.report_count, read.last_seen_up), (Some("host"), 7, Some(now)));
    assert!(tx.delete_service(id).await.unwrap());
    assert!(!tx.delete_service(id).await.unwrap());
    tx.commit().await.unwrap();
}

pub(super) async fn services_are_listed_page_by_page(db: Database) {
    for host in ["b", "a", "c"] {
        db.store.report_up(host, BINARY).await.unwrap();
    }
    for sort_key in ["host", "binary", "report_count", "last_seen_up"] {
        let mut page = Page { limit: Some(1), sort_key: Some(sort_key.into()), ..Page::default() };
        let mut hosts = BTreeSet::new();
        while let Some(one) = db.store.services(&page).await.unwrap().pop() {
            page.marker = Some(Key::Id(one.id));
            assert!(hosts.insert(one.host), "{sort_key} repeats");
        }
        assert_eq!(hosts.len(), 3, "{sort_key}");
    }
    let unknown = Page { marker: Some(Key::Id(999)), ..Page::default() };
    assert!(matches!(db.store.services(&unknown).await, Err(Error::Marker(Key::Id(999)))));
}

pub(super) async fn one_more_report_is_a_sign_of_life(db: Database) {
    let mut tx = db.store.begin().await.unwrap();
    let id = tx.insert_service(&service("host")).await.unwrap();
    assert!(tx.service(id).await.unwrap().unwrap().last_seen_up.is_none());
    assert!(tx.report_service(id, 5).await.unwrap());
    let read = tx.service(id).await.unwrap().unwrap();
    assert!(read.last_seen_up.is_some() && read.report_count == 5);
    tx.commit().await.unwrap();
}
