//! Operations: accepted once per bay, moved under a lease, ended with everything that belongs to it.

use std::time::Duration;

use mesos_conductor::bay::Status;
use mesos_conductor::operation::record::{Kind, Lease, Operation, ReplyTo, State};
use mesos_conductor::store::{Ending, Error, Key, Outcome, Scope, Store, Wake};
use mesos_conductor_proto::codec::Encoding;
use mesos_conductor_proto::message::{ReplyAddress, ReplyForm};
use secrecy::ExposeSecret;
use tokio::sync::Barrier;
use uuid::Uuid;

use super::bays;
use super::database::Database;
use crate::support::eventually;

const LONG: Duration = Duration::from_secs(60);

pub(super) fn operation(kind: Kind, bay: Uuid) -> Operation {
    Operation {
        uuid: Uuid::new_v4(),
        kind,
        subject: bay,
        project_id: Some("p".into()),
        request_id: Some("req-1".into()),
        step: "begin".into(),
        attempts: 0,
        progress: b"progress secret \xff\x00".to_vec(),
        token: Some("token secret".into()),
        superseded: false,
        deadline_ms: Some(i64::MAX / 2),
        created_ms: 0,
    }
}

async fn accept(store: &Store, operation: &Operation) -> Result<(), Error> {
    let mut tx = store.begin().await.unwrap();
    let result = tx.insert_operation(operation).await;
    tx.commit().await.unwrap();
    result
}

/// An operation on a bay of its own.
pub(super) async fn accepted(store: &Store, kind: Kind) -> Operation {
    let operation = operation(kind, Uuid::new_v4());
    accept(store, &operation).await.unwrap();
    operation
}

pub(super) async fn claimed(store: &Store, kind: Kind, lease: Duration) -> (Operation, Lease) {
    let operation = accepted(store, kind).await;
    store.claim(operation.uuid, "worker", lease).await.unwrap().unwrap()
}

/// What is due, one operation of each project.
pub(super) async fn due(store: &Store) -> Vec<Uuid> {
    store.due_operations().await.unwrap().into_iter().map(|due| due.operation).collect()
}

async fn end(store: &Store, lease: &Lease) -> Option<Uuid> {
    let mut tx = store.begin_held(lease, LONG).await.unwrap();
    let next = tx.finish(lease, Ending::Done, Some("over")).await.unwrap();
    tx.commit().await.unwrap();
    next
}

fn reply_to(object_version: &str) -> ReplyTo {
    let address = ReplyAddress {
        queue: "reply_1".into(),
        msg_id: "id".into(),
        form: ReplyForm::Double,
        encoding: Encoding::Json,
        heartbeat: Some(Duration::from_secs(1)),
    };
    ReplyTo { address, object_version: Some(object_version.to_owned()), at_end: true }
}

pub(super) async fn an_operation_reads_back_as_written(db: Database) {
    let written = operation(Kind::BayUpdate, Uuid::new_v4());
    accept(&db.store, &written).await.unwrap();
    let read = db.store.operation(written.uuid).await.unwrap().unwrap();
    assert!((db.store.now_ms().await.unwrap() - read.created_ms).abs() < 10_000);
    assert_eq!(read.token.as_ref().unwrap().expose_secret(), "token secret");
    let expected = Operation { created_ms: read.created_ms, ..written.clone() };
    assert_eq!(format!("{read:?}"), format!("{expected:?}"));
    assert_eq!(db.store.active_operation(written.subject).await.unwrap().unwrap().uuid, written.uuid);
    assert!(db.store.active_operation(Uuid::new_v4()).await.unwrap().is_none());
}

pub(super) async fn progress_is_written_under_the_lease(db: Database) {
    let (mut operation, lease) = claimed(&db.store, Kind::BayCreate, LONG).await;
    operation.step = "stack".into();
    operation.attempts = 3;
    operation.progress = b"more".to_vec();
    operation.token = None;
    operation.deadline_ms = None;
    let mut tx = db.store.begin_held(&lease, LONG).await.unwrap();
    tx.advance(&lease, &operation, Wake::Now).await.unwrap();
    tx.commit().await.unwrap();
    let read = db.store.operation(operation.uuid).await.unwrap().unwrap();
    assert_eq!(format!("{read:?}"), format!("{operation:?}"));
    assert!(read.token.is_none());
    assert!(
        db.store.renew(std::slice::from_ref(&lease), LONG).await.unwrap().is_empty(),
        "the lease is kept"
    );
    let mut tx = db.store.begin_held(&lease, LONG).await.unwrap();
    tx.advance(&lease, &operation, Wake::Release { after: Duration::ZERO }).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due(&db.store).await, [operation.uuid]);
}

pub(super) async fn secrets_are_sealed_and_erased_at_the_end(db: Database) {
    let (operation, lease) = claimed(&db.store, Kind::BayCreate, LONG).await;
    let columns = "SELECT token FROM operation UNION ALL SELECT progress FROM operation";
    let stored = db.texts(columns).await;
    assert!(stored.iter().all(|value| value.starts_with("enc:v1:")), "{stored:?}");
    assert!(!format!("{operation:?}").contains("token secret"));
    end(&db.store, &lease).await;
    assert_eq!(db.texts(columns).await, ["", ""]);
    let outcome = db.store.outcome(operation.uuid).await.unwrap().unwrap();
    let finished_ms = outcome.finished_ms;
    assert!(finished_ms.is_some());
    assert_eq!(outcome, Outcome { state: State::Done, reason: Some("over".into()), finished_ms });
    assert!(due(&db.store).await.is_empty());
}

pub(super) async fn a_busy_bay_names_its_operation(db: Database) {
    let (first, lease) = claimed(&db.store, Kind::BayCreate, LONG).await;
    let second = operation(Kind::BayUpdate, first.subject);
    let mut tx = db.store.begin().await.unwrap();
    let refused = tx.insert_operation(&second).await;
    let Err(Error::Busy { kind, operation: active }) = refused else { panic!("{refused:?}") };
    assert_eq!((kind, active), (Kind::BayCreate, first.uuid));
    tx.record_message("the refusal is recorded").await.unwrap();
    tx.commit().await.unwrap();
    assert!(db.store.operation(second.uuid).await.unwrap().is_none());
    assert_eq!(end(&db.store, &lease).await, None);
    accept(&db.store, &second).await.unwrap();
}

pub(super) async fn a_successor_begins_when_its_predecessor_ends(db: Database) {
    let (create, lease) = claimed(&db.store, Kind::BayCreate, LONG).await;
    let delete = operation(Kind::BayDelete, create.subject);
    let mut tx = db.store.begin().await.unwrap();
    assert!(tx.supersede(create.uuid).await.unwrap());
    tx.insert_successor(&delete, create.uuid).await.unwrap();
    assert_eq!(tx.successor(create.uuid).await.unwrap().unwrap().uuid, delete.uuid);
    tx.commit().await.unwrap();
    assert!(db.store.operation(create.uuid).await.unwrap().unwrap().superseded);
    assert_eq!(db.store.active_operation(create.subject).await.unwrap().unwrap().uuid, create.uuid);
    assert!(due(&db.store).await.is_empty());
    assert!(db.store.claim(delete.uuid, "eager", LONG).await.unwrap().is_none());

    assert_eq!(end(&db.store, &lease).await, Some(delete.uuid));
    assert_eq!(db.store.active_operation(create.subject).await.unwrap().unwrap().uuid, delete.uuid);
    assert_eq!(due(&db.store).await, [delete.uuid]);
    let (_, lease) = db.store.claim(delete.uuid, "worker", LONG).await.unwrap().unwrap();
    assert_eq!(end(&db.store, &lease).await, None);
    assert!(db.store.active_operation(create.subject).await.unwrap().is_none());
}

pub(super) async fn only_one_successor_is_accepted(db: Database) {
    let create = accepted(&db.store, Kind::BayCreate).await;
    let (first, second) =
        (operation(Kind::BayDelete, create.subject), operation(Kind::BayDelete, create.subject));
    let mut tx = db.store.begin().await.unwrap();
    tx.insert_successor(&first, create.uuid).await.unwrap();
    let refused = tx.insert_successor(&second, create.uuid).await;
    assert!(matches!(refused, Err(Error::Busy { operation, .. }) if operation == first.uuid));
    tx.commit().await.unwrap();
    assert!(db.store.operation(second.uuid).await.unwrap().is_none());
}

pub(super) async fn a_successor_of_an_ended_operation_begins_at_once(db: Database) {
    let (create, lease) = claimed(&db.store, Kind::BayCreate, LONG).await;
    end(&db.store, &lease).await;
    let delete = operation(Kind::BayDelete, create.subject);
    let mut tx = db.store.begin().await.unwrap();
    assert!(!tx.supersede(create.uuid).await.unwrap());
    tx.insert_successor(&delete, create.uuid).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due(&db.store).await, [delete.uuid]);
}

pub(super) async fn no_successor_is_forgotten_in_a_race_with_the_end(db: Database) {
    for _ in 0..10 {
        let (create, lease) = claimed(&db.store, Kind::BayCreate, LONG).await;
        let delete = operation(Kind::BayDelete, create.subject);
        let barrier = Barrier::new(2);
        let accept = async {
            barrier.wait().await;
            let mut tx = db.store.begin().await?;
            tx.insert_successor(&delete, create.uuid).await?;
            tx.commit().await
        };
        let finish = async {
            barrier.wait().await;
            end(&db.store, &lease).await
        };
        let (accepted, _) = tokio::join!(accept, finish);
        accepted.unwrap();
        let (_, lease) =
            db.store.claim(delete.uuid, "worker", LONG).await.unwrap().expect("the delete is due");
        end(&db.store, &lease).await;
    }
}

pub(super) async fn a_superseded_operation_is_looked_at_soon(db: Database) {
    let (operation, lease) = claimed(&db.store, Kind::BayCreate, LONG).await;
    let mut tx = db.store.begin().await.unwrap();
    tx.supersede(operation.uuid).await.unwrap();
    tx.commit().await.unwrap();
    // The worker has not read that yet and goes to sleep for long.
    let mut tx = db.store.begin_held(&lease, LONG).await.unwrap();
    tx.advance(&lease, &operation, Wake::Release { after: LONG }).await.unwrap();
    tx.commit().await.unwrap();
    let (seen, lease) = db.store.claim(operation.uuid, "worker", LONG).await.unwrap().expect("due at once");
    assert!(seen.superseded, "progress does not undo it");
    let mut tx = db.store.begin_held(&lease, LONG).await.unwrap();
    tx.advance(&lease, &seen, Wake::Release { after: LONG }).await.unwrap();
    tx.commit().await.unwrap();
    assert!(due(&db.store).await.is_empty(), "who knows may sleep");
}

pub(super) async fn a_delete_and_a_running_operation_do_not_deadlock(db: Database) {
    for _ in 0..10 {
        let mut bay = bays::bay("p", "bay");
        bays::insert(&db.store, &bay).await;
        let create = operation(Kind::BayCreate, bay.uuid);
        accept(&db.store, &create).await.unwrap();
        let (_, lease) = db.store.claim(create.uuid, "worker", LONG).await.unwrap().unwrap();
        let key = Key::Uuid(bay.uuid);
        let accept = async {
            let mut tx = db.store.begin().await?;
            let mut bay = tx.bay(&Scope::All, key).await?.unwrap();
            let active = tx.active_operation(bay.uuid).await?.unwrap();
            tx.supersede(active.uuid).await?;
            tx.insert_successor(&operation(Kind::BayDelete, bay.uuid), active.uuid).await?;
            bay.status = Some(Status::DeleteInProgress);
            tx.update_bay(&bay).await?;
            tx.commit().await
        };
        let run = async {
            let mut tx = db.store.begin_held(&lease, LONG).await?;
            bay = tx.bay(&Scope::All, key).await?.unwrap();
            tx.update_bay(&bay).await?;
            tx.commit().await
        };
        let (accepted, ran) = tokio::join!(accept, run);
        accepted.unwrap();
        ran.unwrap();
        let bay = db.store.bay(&Scope::All, key).await.unwrap().unwrap();
        assert_eq!(bay.status, Some(Status::DeleteInProgress), "no write is lost");
    }
}

pub(super) async fn callers_are_answered_in_the_order_they_came(db: Database) {
    let (operation, lease) = claimed(&db.store, Kind::BayDelete, LONG).await;
    let mut tx = db.store.begin().await.unwrap();
    tx.add_caller(operation.uuid, &reply_to("1.0"), Some("one")).await.unwrap();
    tx.add_caller(operation.uuid, &reply_to("1.5"), None).await.unwrap();
    tx.add_caller(Uuid::new_v4(), &reply_to("1.5"), None).await.unwrap();
    let callers = tx.callers(operation.uuid).await.unwrap();
    let read: Vec<_> =
        callers.iter().map(|caller| (caller.reply_to.clone(), caller.message_key.as_deref())).collect();
    assert_eq!(read, [(reply_to("1.0"), Some("one")), (reply_to("1.5"), None)]);
    tx.remove_caller(callers[0].id).await.unwrap();
    assert_eq!(tx.callers(operation.uuid).await.unwrap(), callers[1..]);
    tx.commit().await.unwrap();
    end(&db.store, &lease).await;
    let mut tx = db.store.begin().await.unwrap();
    assert!(tx.callers(operation.uuid).await.unwrap().is_empty(), "nobody waits for what is over");
}

pub(super) async fn a_heartbeat_is_one_workers(db: Database) {
    let interval = Duration::from_millis(1);
    let address = ReplyAddress { heartbeat: Some(interval), ..reply_to("1.0").address };
    let asks = ReplyTo { address: address.clone(), ..reply_to("1.0") };
    let silent = ReplyTo { address: ReplyAddress { heartbeat: None, ..address.clone() }, ..reply_to("1.0") };
    let mut tx = db.store.begin().await.unwrap();
    for reply_to in [&silent, &reply_to("later"), &asks] {
        tx.add_caller(Uuid::new_v4(), reply_to, None).await.unwrap();
    }
    tx.commit().await.unwrap();
    let claim = || async {
        let claimed = db.store.claim_heartbeats().await.unwrap();
        claimed.first().map(|(id, address)| (*id, address.clone(), claimed.len()))
    };
    let (id, claimed, many) = eventually(claim).await.expect("one is due at once");
    assert_eq!((claimed, many), (address, 1));
    let (_, _, many) = eventually(claim).await.expect("it is due again");
    assert_eq!(many, 1);
    db.store.stop_heartbeats(id).await.unwrap();
    let due = eventually(|| async {
        let due = db.store.claim_heartbeats().await.unwrap();
        (!due.is_empty()).then_some(due)
    });
    // The next one is the one that asked for a second between two.
    assert_ne!(due.await.expect("the other is due in time")[0].0, id);
}
