//! The real database beside the model: does there what the model did, and compares.

use std::collections::BTreeSet;

use mesos_conductor::amqp::Disposition;
use mesos_conductor::bay::{self, BayModel};
use mesos_conductor::error::Fault;
use mesos_conductor::operation::progress::Progress;
use mesos_conductor::operation::record::{Lease, Operation, Outgoing, Purpose};
use mesos_conductor::store::{Caller, Ending, Error, Key, Scope, Store, Transaction, Wake};
use mesos_conductor_proto::context::RequestContext;
use mesos_conductor_proto::message::Request;
use serde_json::{Value, json};
use uuid::Uuid;

use super::database::Database;
use super::office::{LONG, Office};
use crate::model::database::{Bay, Holder, Kind, Owner, ReplyKind, Status};
use crate::model::moves::MOST_ATTEMPTS;
use crate::model::plan::{Change, Next, Row, Scene};
use crate::model::{Action, Model, Phase, REQUESTS, State, Work};

const BAY: Uuid = Uuid::from_u128(0xba1);
const BAY_MODEL: Uuid = Uuid::from_u128(0x0de1);

/// Why the two do not agree.
pub(crate) type Disagreement = String;

pub(crate) struct World<'a> {
    database: &'a Database,
    offices: Vec<Office>,
    hired: u32,
    bodies: Vec<Vec<u8>>,
    /// The operation that each request began.
    operations: [Option<Uuid>; REQUESTS],
    /// The reply to each request, once it was seen: there is no other.
    replies: [Option<Vec<Vec<u8>>>; REQUESTS],
    /// The rows of the outbox by the model's numbers.
    letters: Vec<i64>,
    /// How many writes were refused because the lease was lost.
    pub(crate) refused: usize,
}

impl<'a> World<'a> {
    pub(crate) async fn new(database: &'a Database, model: &Model) -> Self {
        for table in [
            "DELETE FROM outbox",
            "DELETE FROM caller",
            "DELETE FROM message",
            "DELETE FROM active_operation",
            "DELETE FROM operation",
            "DELETE FROM delivery_attempt",
            "DELETE FROM nodegroup",
            "DELETE FROM cluster",
            "DELETE FROM cluster_template",
        ] {
            database.run(table).await;
        }
        let mut tx = database.store.begin().await.unwrap();
        tx.insert_model(&bay_model()).await.unwrap();
        tx.commit().await.unwrap();
        let bodies = (0..).zip(&model.requests).map(|(number, asked)| body(number, asked.kind, asked.wait));
        let mut world = Self {
            database,
            offices: Vec::new(),
            hired: 0,
            bodies: bodies.collect(),
            operations: [None; REQUESTS],
            replies: [const { None }; REQUESTS],
            letters: Vec::new(),
            refused: 0,
        };
        for _ in 0..model.workers {
            let office = world.hire();
            world.offices.push(office);
        }
        world
    }

    fn hire(&mut self) -> Office {
        self.hired += 1;
        Office::open(&self.database.store, format!("worker-{}.", self.hired))
    }

    fn store(&self) -> &'a Store {
        &self.database.store
    }

    fn office(&mut self, worker: u8) -> &mut Office {
        &mut self.offices[usize::from(worker)]
    }

    fn uuid(&self, operation: u8) -> Uuid {
        self.operations[usize::from(operation)].expect("it was recorded")
    }

    /// Does what the model did; says whether the database was in it.
    pub(crate) async fn follow(
        &mut self,
        action: Action,
        before: &State,
        after: &State,
    ) -> Result<bool, Disagreement> {
        match action {
            Action::Commit { by, request } => self.commit(by, request, before).await?,
            Action::Claim { by, operation } => self.claim(by, operation).await?,
            Action::Begin { by } => self.begin(by, before, after).await?,
            Action::Record { by } => self.record(by, before, after).await?,
            Action::Notice { by } => self.notice(by).await?,
            Action::Take { by } => self.take(by, after).await?,
            Action::Settle { by } => {
                for row in std::mem::take(&mut self.office(by).letters) {
                    self.store().delete_outbox(row.id).await.unwrap();
                }
            }
            Action::PublishUnheard { by } => {
                for row in std::mem::take(&mut self.office(by).letters) {
                    self.store().postpone_outbox(row.id, LONG).await.unwrap();
                }
            }
            Action::LeaseEnds { operation } | Action::PausePastLease { operation } => {
                let uuid = self.uuid(operation).to_string();
                self.database.run_for("UPDATE operation SET lease_until = 1 WHERE uuid = $1", uuid).await;
            }
            Action::ClaimEnds { letter } | Action::PausePastClaim { letter } => {
                let id = self.letters[usize::from(letter)].to_string();
                let sql = "UPDATE outbox SET claimed_until = 1 WHERE id = CAST($1 AS BIGINT)";
                self.database.run_for(sql, id).await;
            }
            Action::Stop { worker } => {
                let (_, lease) = self.office(worker).held.take().expect("it holds one");
                self.store().release(&lease).await.unwrap();
                self.offices[usize::from(worker)] = self.hire();
            }
            Action::Crash { worker } => {
                self.offices[usize::from(worker)] = self.hire();
                return Ok(false);
            }
            Action::Acknowledge { .. }
            | Action::Act { .. }
            | Action::ActBadly { .. }
            | Action::Publish { .. }
            | Action::PublishUnsent { .. }
            | Action::StackSettles { .. }
            | Action::StackFails { .. }
            | Action::LateArrives
            | Action::ChannelLost { .. }
            | Action::Repeat { .. } => return Ok(false),
        }
        // A claim of seconds must not end by itself on a slow machine.
        self.database.run("UPDATE outbox SET claimed_until = 4102444800000 WHERE claimed_until > 1000").await;
        Ok(true)
    }

    async fn commit(&mut self, by: u8, request: u8, before: &State) -> Result<(), Disagreement> {
        let at = usize::from(request);
        let redelivered = before.database.messages[at].is_some();
        let body = self.bodies[at].clone();
        let disposition = self.office(by).deliver(body, redelivered).await;
        agree("the dispatcher", &disposition, &Disposition::Ack)?;
        let begun = self
            .database
            .texts(
                "SELECT message_key || ' ' || operation_uuid FROM message WHERE operation_uuid IS NOT NULL",
            )
            .await;
        for pair in begun {
            let (key, uuid) = pair.split_once(' ').expect("two words");
            let uuid: Uuid = uuid.parse().expect("a uuid");
            if key == key_of(request) && !self.operations.contains(&Some(uuid)) {
                self.operations[at] = Some(uuid);
            }
        }
        Ok(())
    }

    async fn claim(&mut self, by: u8, operation: u8) -> Result<(), Disagreement> {
        let (uuid, name) = (self.uuid(operation), self.office(by).name.clone());
        let claimed = self.store().claim(uuid, &name, LONG).await.unwrap();
        let Some(held) = claimed else { return Err("a due operation cannot be claimed".to_owned()) };
        self.office(by).held = Some(held);
        Ok(())
    }

    /// As the runner does: the attempt is counted under the lease, then operation and bay are read.
    async fn begin(&mut self, by: u8, before: &State, after: &State) -> Result<(), Disagreement> {
        let Some(Work { phase: Phase::At(_, place), .. }) = before.worker(by).work else {
            unreachable!("it is about to begin")
        };
        let (mut operation, lease) = self.office(by).held.take().expect("it holds one");
        if place.step.bounded() {
            operation.attempts += 1;
            let Some(mut tx) = self.begin_held(&lease).await? else {
                self.refused += 1;
                return agree("work after a lost lease", &after.worker(by).work, &None);
            };
            tx.advance(&lease, &operation, Wake::Now).await.unwrap();
            tx.commit().await.unwrap();
        }
        let Some(Work { phase: Phase::Begun(scene), .. }) = after.worker(by).work else {
            return Err("the lease holds, and the model says that it does not".to_owned());
        };
        let fresh = self.store().operation(operation.uuid).await.unwrap().expect("it is never removed");
        operation.superseded = fresh.superseded;
        agree("superseded", &operation.superseded, &scene.superseded)?;
        let bay = self.bay().await;
        agree("the bay that is read", &bay.as_ref().map(state_of), &scene.bay)?;
        self.office(by).bay = bay;
        self.office(by).held = Some((operation, lease));
        Ok(())
    }

    /// As the recorder does: bay, replies, then the operation's place.
    async fn record(&mut self, by: u8, before: &State, after: &State) -> Result<(), Disagreement> {
        let Some(Work { phase: Phase::Acted(scene, change), .. }) = before.worker(by).work else {
            unreachable!("it has acted")
        };
        let (mut operation, lease) = self.office(by).held.take().expect("it holds one");
        let Some(mut tx) = self.begin_held(&lease).await? else {
            self.refused += 1;
            return agree("work after a lost lease", &after.worker(by).work, &None);
        };
        match change.row {
            Row::Keep => {}
            Row::Save(changed) => {
                let read = self.office(by).bay.clone().expect("a bay to save was read");
                tx.update_bay(&with_state(read, changed)).await.unwrap();
            }
            Row::Remove => assert!(tx.delete_bay(BAY).await.unwrap()),
        }
        let name = self.office(by).name.clone();
        if let Some(kind) = change.reply {
            let ending = matches!(change.next, Next::Done | Next::Failed);
            for caller in tx.callers(operation.uuid).await.unwrap() {
                if ending || !caller.reply_to.at_end {
                    answer(&mut tx, &caller, kind, &name).await;
                }
            }
        }
        note_undoing(&mut operation, change);
        place(&mut tx, &lease, &mut operation, change).await;
        tx.commit().await.unwrap();
        match change.next {
            Next::Step(_) => self.office(by).held = Some((operation, lease)),
            Next::Again => self.wait_for_it(&scene, operation.uuid, after).await?,
            Next::Done | Next::Failed => {}
        }
        Ok(())
    }

    /// What is to be looked at later cannot be claimed until then. Then the time comes.
    async fn wait_for_it(&self, scene: &Scene, uuid: Uuid, after: &State) -> Result<(), Disagreement> {
        let row = after.database.all_operations().find(|(id, _)| self.uuid(*id) == uuid);
        // A delete that came meanwhile wants it looked at at once.
        let at_once = row.is_some_and(|(_, row)| row.superseded) && !scene.superseded;
        if !at_once {
            let due = self.store().due_operations().await.unwrap();
            agree("due right after it was put off", &due.iter().any(|due| due.operation == uuid), &false)?;
            let early = self.store().claim(uuid, "stranger", LONG).await.unwrap();
            agree("claimed before its time", &early.is_some(), &false)?;
        }
        self.database.run_for("UPDATE operation SET run_at = 1 WHERE uuid = $1", uuid.to_string()).await;
        Ok(())
    }

    async fn notice(&mut self, by: u8) -> Result<(), Disagreement> {
        let (_, lease) = self.office(by).held.take().expect("it holds one");
        let lost = self.store().renew(std::slice::from_ref(&lease), LONG).await.unwrap();
        agree("lost at its renewal", &lost, &vec![lease.operation])
    }

    async fn take(&mut self, by: u8, after: &State) -> Result<(), Disagreement> {
        let name = self.office(by).name.clone();
        let rows = self.store().claim_outbox(&name, 64, LONG).await.unwrap();
        let taken = &after.worker(by).mail.as_ref().expect("mail").letters;
        let wanted: Vec<i64> = taken.iter().map(|letter| self.letters[usize::from(*letter)]).collect();
        agree("taken from the outbox", &rows.iter().map(|row| row.id).collect(), &wanted)?;
        for (row, letter) in rows.iter().zip(taken) {
            let model = after.database.outbox.iter().find(|row| row.id == *letter).expect("it was taken");
            self.same_reply(model.reply.request, model.reply.kind, &row.outgoing)?;
        }
        self.office(by).letters = rows;
        Ok(())
    }

    /// A request has one reply: the same bytes, wherever they are found.
    fn same_reply(&mut self, request: u8, kind: ReplyKind, found: &Outgoing) -> Result<(), Disagreement> {
        let known = self.replies[usize::from(request)].get_or_insert_with(|| found.bodies.clone());
        let text = String::from_utf8_lossy(&found.bodies[0]).into_owned();
        if found.bodies != *known {
            return Err(format!("a second reply to request {request}: {text}"));
        }
        let class = match kind {
            ReplyKind::NotFound => "NotFound",
            ReplyKind::Exists => "BayAlreadyExists",
            ReplyKind::Busy => "OperationInProgress",
            ReplyKind::Conflict => "Conflict",
            ReplyKind::Fault => "broken",
            ReplyKind::Nothing => "null",
            ReplyKind::Bay => "made",
        };
        if text.contains(class) { Ok(()) } else { Err(format!("a reply is not a {class}: {text}")) }
    }

    async fn begin_held(&self, lease: &Lease) -> Result<Option<Transaction>, Disagreement> {
        match self.store().begin_held(lease, LONG).await {
            Ok(tx) => Ok(Some(tx)),
            Err(Error::LeaseLost { .. }) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn bay(&self) -> Option<bay::Bay> {
        self.store().bay(&Scope::All, Key::Uuid(BAY)).await.unwrap()
    }

    /// Compares every table with the model, and what each worker may do now.
    pub(crate) async fn compare(&mut self, state: &State) -> Result<(), Disagreement> {
        agree("the bay", &self.bay().await.as_ref().map(state_of), &state.database.bay)?;
        self.compare_operations(state).await?;
        self.compare_rights(state).await?;
        self.compare_messages(state).await?;
        self.compare_outbox(state).await
    }

    async fn compare_operations(&self, state: &State) -> Result<(), Disagreement> {
        let sql = "SELECT uuid || ' ' || state || ' ' || step || ' ' || CAST(attempts AS TEXT) || ' ' || \
             CASE WHEN superseded = TRUE THEN 'superseded' ELSE 'wanted' END || ' ' || \
             COALESCE(lease_owner, '-') || ' ' || CASE WHEN lease_until > 1000 THEN 'held' ELSE 'free' END || \
             ' ' || CAST(fence AS TEXT) || ' ' || COALESCE(after_operation, '-') FROM operation";
        let found: BTreeSet<String> =
            self.database.texts(sql).await.iter().map(|row| self.capped(row)).collect();
        let rows = state.database.all_operations().map(|(id, row)| {
            let superseded = if row.superseded { "superseded" } else { "wanted" };
            let held = if row.live { "held" } else { "free" };
            let after = row.after.map_or_else(|| "-".to_owned(), |after| self.uuid(after).to_string());
            let (uuid, step, owner) = (self.uuid(id), row.place.step.name(), self.owner(row.owner));
            let (state, attempts) = (format!("{:?}", row.state).to_lowercase(), row.place.attempts);
            format!("{uuid} {state} {step} {attempts} {superseded} {owner} {held} {} {after}", row.fence)
        });
        agree("operations", &found, &rows.collect())?;
        for (id, row) in state.database.all_operations().filter(|(_, row)| row.is_running()) {
            let stored = self.store().operation(self.uuid(id)).await.unwrap().expect("it is there");
            let progress = Progress::decode(&stored.progress).map_err(|error| error.to_string())?;
            let undoing = (progress.failure.is_some(), progress.stack_may_appear);
            agree("undoing", &undoing, &(row.place.failure.is_some(), row.place.may_appear))?;
        }
        let active = self.database.texts("SELECT operation_uuid FROM active_operation").await;
        let wanted = state.database.active.map(|active| self.uuid(active).to_string());
        agree("the active operation", &active, &wanted.into_iter().collect())?;
        let sql = "SELECT operation_uuid || ' ' || message_key FROM caller";
        let found: BTreeSet<String> = self.database.texts(sql).await.into_iter().collect();
        let callers = state.database.all_operations().flat_map(|(id, row)| {
            let waiting = row.callers.into_iter().flatten();
            waiting.map(move |request| format!("{} {}", self.uuid(id), key_of(request)))
        });
        agree("callers", &found, &callers.collect())
    }

    /// The model counts attempts up to a number, and knows a dead worker's name as that only.
    fn capped(&self, row: &str) -> String {
        let mut words: Vec<String> = row.split(' ').map(str::to_owned).collect();
        let attempts: u32 = words[3].parse().expect("a number");
        words[3] = attempts.min(MOST_ATTEMPTS.into()).to_string();
        let living = self.offices.iter().any(|office| office.name == words[5]);
        if words[5] != "-" && !living {
            "dead".clone_into(&mut words[5]);
        }
        words.join(" ")
    }

    fn owner(&self, owner: Owner) -> &str {
        match owner {
            Owner::Nobody => "-",
            Owner::Dead => "dead",
            Owner::Worker(worker) => &self.offices[usize::from(worker)].name,
        }
    }

    /// Who may claim, and who may write.
    async fn compare_rights(&self, state: &State) -> Result<(), Disagreement> {
        let due = self.store().due_operations().await.unwrap();
        let claimable = state.database.all_operations().filter(|(_, row)| row.is_claimable());
        let claimable: BTreeSet<Uuid> = claimable.map(|(id, _)| self.uuid(id)).collect();
        // All are of one project, which shows one of them at a time.
        agree("one is due", &due.len(), &claimable.len().min(1))?;
        agree("it can be claimed", &due.iter().all(|due| claimable.contains(&due.operation)), &true)?;
        for (id, _) in state.database.all_operations().filter(|(_, row)| !row.is_claimable()) {
            let claimed = self.store().claim(self.uuid(id), "stranger", LONG).await.unwrap();
            agree("claimed by a stranger", &claimed.is_some(), &false)?;
        }
        for (worker, office) in (0u8..).zip(&self.offices) {
            let work = state.worker(worker).work.as_ref();
            agree("at work", &office.held.is_some(), &work.is_some())?;
            if let (Some((_, lease)), Some(work)) = (&office.held, work) {
                agree("fence", &lease.fence, &work.lease.fence.into())?;
                let holds = self.begin_held(lease).await?.is_some();
                agree("may write", &holds, &state.database.is_held(work.lease))?;
            }
        }
        Ok(())
    }

    async fn compare_messages(&mut self, state: &State) -> Result<(), Disagreement> {
        let count = self.database.texts("SELECT message_key FROM message").await.len();
        agree("messages", &count, &state.database.messages.iter().flatten().count())?;
        for (request, message) in (0u8..).zip(state.database.messages) {
            let Some(message) = message else { continue };
            let mut tx = self.store().begin().await.unwrap();
            let seen = tx.record_message(&key_of(request)).await.unwrap();
            tx.rollback().await.unwrap();
            let Some(seen) = seen else { return Err("a recorded message counts as new".to_owned()) };
            agree("a message's operation", &seen.operation, &message.operation.map(|id| self.uuid(id)))?;
            agree("whether there is a reply", &seen.reply.is_some(), &message.reply.is_some())?;
            if let (Some(stored), Some(reply)) = (seen.reply, message.reply) {
                self.same_reply(request, reply.kind, &stored)?;
            }
        }
        Ok(())
    }

    async fn compare_outbox(&mut self, state: &State) -> Result<(), Disagreement> {
        let sql = "SELECT CAST(id AS TEXT) || ' ' || CASE WHEN claimed_until > 1000 THEN COALESCE(claimed_by, '-') \
             ELSE 'nobody' END FROM outbox ORDER BY id";
        let rows = self.database.texts(sql).await;
        agree("rows of the outbox", &rows.len(), &state.database.outbox.len())?;
        for (row, letter) in rows.iter().zip(&state.database.outbox) {
            let (id, holder) = row.split_once(' ').expect("two words");
            let id: i64 = id.parse().expect("a number");
            if self.letters.len() == usize::from(letter.id) {
                self.letters.push(id);
            }
            agree("a row of the outbox", &id, &self.letters[usize::from(letter.id)])?;
            agree("who has a message", &self.holder(holder), &letter.holder)?;
        }
        Ok(())
    }

    /// Whoever enqueues a message puts its name there; whoever claims it, its name and a word of that claim alone.
    fn holder(&self, text: &str) -> Holder {
        let named = |office: &Office| text.starts_with(&office.name);
        match (0u8..).zip(&self.offices).find(|(_, office)| named(office)) {
            Some((worker, office)) if office.name == text => Holder::Writer(worker),
            Some((worker, _)) => Holder::Taker(worker),
            None if text == "nobody" => Holder::Nobody,
            None => Holder::Waiting,
        }
    }
}

async fn answer(tx: &mut Transaction, caller: &Caller, kind: ReplyKind, name: &str) {
    let outcome = match kind {
        ReplyKind::Nothing => Ok(Value::Null),
        ReplyKind::Bay => Ok(json!("made")),
        ReplyKind::NotFound => Err(Fault::BayNotFound(BAY.to_string())),
        ReplyKind::Conflict => Err(Fault::Conflict("deleted".to_owned())),
        ReplyKind::Fault => Err(Fault::Internal("broken".to_owned())),
        ReplyKind::Exists | ReplyKind::Busy => unreachable!("an operation does not answer so"),
    };
    let unique_id = || Uuid::new_v4().simple().to_string();
    let address = &caller.reply_to.address;
    let reply = Outgoing {
        purpose: Purpose::Reply,
        exchange: String::new(),
        routing_key: address.queue.clone(),
        content_type: address.encoding.content_type().to_owned(),
        bodies: address.bodies(&outcome.map_err(|fault| fault.to_failure()), [unique_id(), unique_id()]),
        give_up_after: Some(LONG),
    };
    tx.store_reply(caller.message_key.as_deref().expect("every request has one"), &reply).await.unwrap();
    tx.enqueue(&reply, Some(name)).await.unwrap();
    tx.remove_caller(caller.id).await.unwrap();
}

fn note_undoing(operation: &mut Operation, change: Change) {
    if let Some((_, may_appear)) = change.undo {
        let mut progress = Progress::decode(&operation.progress).expect("the dispatcher wrote it");
        progress.failure = Some(Fault::Internal("broken".to_owned()));
        progress.stack_may_appear = may_appear;
        operation.progress = progress.encode();
    }
}

async fn place(tx: &mut Transaction, lease: &Lease, operation: &mut Operation, change: Change) {
    match change.next {
        Next::Done => drop(tx.finish(lease, Ending::Done, None).await.unwrap()),
        Next::Failed => drop(tx.finish(lease, Ending::Failed, Some("because")).await.unwrap()),
        Next::Again => tx.advance(lease, operation, Wake::Release { after: LONG }).await.unwrap(),
        Next::Step(step) => {
            step.name().clone_into(&mut operation.step);
            operation.attempts = 0;
            tx.advance(lease, operation, Wake::Now).await.unwrap();
        }
    }
}

fn agree<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, model: &T) -> Result<(), Disagreement> {
    if found == model { Ok(()) } else { Err(format!("{what}: {found:?}, in the model {model:?}")) }
}

const STATES: [(bay::Status, Status); 5] = [
    (bay::Status::CreateInProgress, Status::CreateInProgress),
    (bay::Status::CreateComplete, Status::CreateComplete),
    (bay::Status::CreateFailed, Status::CreateFailed),
    (bay::Status::DeleteInProgress, Status::DeleteInProgress),
    (bay::Status::DeleteFailed, Status::DeleteFailed),
];

/// What the model knows of a bay.
fn state_of(bay: &bay::Bay) -> Bay {
    let status = STATES.iter().find(|(real, _)| Some(*real) == bay.status).expect("no other is written");
    let stack = bay.stack_id.as_deref().and_then(|id| id.strip_prefix("stack-"));
    Bay {
        status: status.1,
        trustee: bay.trustee_user_id.is_some(),
        trust: bay.trust_id.is_some(),
        stack: stack.map(|number| number.parse().expect("a number")),
    }
}

fn with_state(bay: bay::Bay, state: Bay) -> bay::Bay {
    let status = STATES.iter().find(|(_, model)| *model == state.status).map(|(real, _)| *real);
    bay::Bay {
        status,
        trustee_user_id: state.trustee.then(|| "user".to_owned()),
        trust_id: state.trust.then(|| "trust".to_owned()),
        stack_id: state.stack.map(|number| format!("stack-{number}")),
        ..bay
    }
}

fn key_of(request: u8) -> String {
    format!("request-{request}")
}

fn bay_model() -> BayModel {
    let text = |text: &str| Some(text.to_owned());
    BayModel {
        uuid: BAY_MODEL,
        name: text("model"),
        project_id: text("project"),
        user_id: text("user"),
        image_id: text("image"),
        flavor_id: text("m1.small"),
        master_flavor_id: text("m1.small"),
        keypair_id: text("key"),
        external_network_id: text("public"),
        cluster_distro: text("ubuntu"),
        coe: text("mesos"),
        server_type: text("vm"),
        tls_disabled: true,
        ..BayModel::default()
    }
}

/// A request as a client sends it.
fn body(number: u8, kind: Kind, wait: bool) -> Vec<u8> {
    let (method, mut args) = match kind {
        Kind::Create => {
            let fields = json!({
                "uuid": BAY.to_string(), "name": "bay", "baymodel_id": BAY_MODEL.to_string(), "node_count": 1,
                "master_count": 1,
            });
            let bay = json!({
                "magnum_object.name": "Bay", "magnum_object.namespace": "magnum", "magnum_object.version": "1.5",
                "magnum_object.data": fields,
                "magnum_object.changes": ["uuid", "name", "baymodel_id", "node_count", "master_count"],
            });
            ("bay_create", json!({ "bay": bay, "bay_create_timeout": 10 }))
        }
        Kind::Delete => ("bay_delete", json!({ "uuid": BAY.to_string() })),
    };
    args["wait"] = json!(wait);
    let Value::Object(args) = args else { unreachable!("it is an object") };
    let context = [("auth_token", "token"), ("project_id", "project"), ("user_id", "user")];
    let context =
        context.into_iter().fold(RequestContext::default(), |context, (key, value)| context.with(key, value));
    Request {
        msg_id: Some(format!("message-{number}")),
        reply_q: Some("reply_sim".to_owned()),
        unique_id: Some(key_of(number)),
        context,
        ..Request::new(method, args)
    }
    .encode()
}
