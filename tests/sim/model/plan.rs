//! What an operation's steps are, what each asks of the cloud, and what follows from the answer.
//!
//! The rules of `src/operation/steps/bay_create.rs` and `bay_delete.rs`, on states of a few bytes.

use super::cloud::{Cloud, Stack};
use super::database::{Bay, Cause, Kind, Place, ReplyKind, Status};
use super::{Guard, Model};

/// How often a stack is looked for that may still appear. The worker looks more often; what counts is that a request
/// on its way has arrived by the last look.
const LOOKS: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    Trustee,
    Trust,
    /// Where certificates are kept is not part of this model: names are committed first, as with the stack's.
    Certificates,
    Stack,
    AwaitStack,
    UndoStack,
    UndoCertificates,
    UndoTrust,
    UndoTrustee,
    UndoBay,
    DeleteStack,
    AwaitGone,
    DeleteCertificates,
    DeleteTrust,
    DeleteTrustee,
    RemoveBay,
}

use Step::{
    AwaitGone, AwaitStack, Certificates, DeleteCertificates, DeleteStack, DeleteTrust, DeleteTrustee,
    RemoveBay, Trust, Trustee, UndoBay, UndoCertificates, UndoStack, UndoTrust, UndoTrustee,
};

impl Step {
    /// The steps of a kind of operation, in their order.
    pub(crate) fn of(kind: Kind) -> &'static [Self] {
        match kind {
            Kind::Create => &[
                Trustee,
                Trust,
                Certificates,
                Step::Stack,
                AwaitStack,
                UndoStack,
                UndoCertificates,
                UndoTrust,
                UndoTrustee,
                UndoBay,
            ],
            Kind::Delete => {
                &[DeleteStack, AwaitGone, DeleteCertificates, DeleteTrust, DeleteTrustee, RemoveBay]
            }
        }
    }

    pub(crate) fn first(kind: Kind) -> Self {
        Self::of(kind)[0]
    }

    /// As the row has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Trustee | DeleteTrustee => "trustee",
            Trust | DeleteTrust => "trust",
            Self::Stack | DeleteStack => "stack",
            AwaitStack => "await_stack",
            Certificates | DeleteCertificates => "certificates",
            UndoStack => "undo_stack",
            UndoCertificates => "undo_certificates",
            UndoTrust => "undo_trust",
            UndoTrustee => "undo_trustee",
            UndoBay => "undo_bay",
            AwaitGone => "await_gone",
            RemoveBay => "bay",
        }
    }

    /// Whether beginning it is counted, and a deadline ends it.
    pub(crate) fn bounded(self) -> bool {
        !matches!(self, AwaitStack | AwaitGone)
    }

    fn after(self, kind: Kind) -> Option<Self> {
        let steps = Self::of(kind);
        let at = steps.iter().position(|step| *step == self)?;
        steps.get(at + 1).copied()
    }
}

/// What a worker had read when it began a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Scene {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) superseded: bool,
    pub(crate) bay: Option<Bay>,
}

/// How the request to the cloud went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Outcome {
    /// It was done and the answer arrived.
    Heard,
    /// It was done and the answer was lost.
    Lost,
    /// Nothing was done, and nobody knows: the service did not answer or was overloaded.
    Unanswered,
    /// It is still on its way and will be done later; the answer is given up.
    Late,
    /// The service refuses it for good.
    Refused,
    /// As [`Self::Lost`], and the step's deadline has passed.
    LostAtDeadline,
    /// As [`Self::Unanswered`], and the step's deadline has passed.
    UnansweredAtDeadline,
    /// As [`Self::Late`], and the step's deadline has passed.
    LateAtDeadline,
}

impl Outcome {
    pub(crate) const ALL: [Self; 8] = [
        Self::Heard,
        Self::Lost,
        Self::Unanswered,
        Self::Late,
        Self::Refused,
        Self::LostAtDeadline,
        Self::UnansweredAtDeadline,
        Self::LateAtDeadline,
    ];

    fn at_deadline(self) -> bool {
        matches!(self, Self::LostAtDeadline | Self::UnansweredAtDeadline | Self::LateAtDeadline)
    }
}

/// What a step has decided, to be recorded in one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Change {
    pub(crate) next: Next,
    pub(crate) row: Row,
    pub(crate) reply: Option<ReplyKind>,
    /// Why the operation is undone from here on, and whether a stack may still appear.
    pub(crate) undo: Option<(Cause, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Next {
    Step(Step),
    Again,
    Done,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Row {
    Keep,
    Save(Bay),
    Remove,
}

impl Change {
    fn to(next: Next) -> Self {
        Self { next, row: Row::Keep, reply: None, undo: None }
    }

    fn save(self, bay: Bay) -> Self {
        Self { row: Row::Save(bay), ..self }
    }

    fn reply(self, kind: ReplyKind) -> Self {
        Self { reply: Some(kind), ..self }
    }
}

/// What a step asks of the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// Nothing, or to look only.
    Look,
    EnsureTrustee,
    EnsureTrust,
    EnsureStack,
    DeleteStack(u8),
    DeleteTrust,
    DeleteTrustee,
}

/// Runs one step against the cloud. `None`: it cannot go like that here.
pub(crate) fn run(model: &Model, scene: &Scene, cloud: &mut Cloud, outcome: Outcome) -> Option<Change> {
    let plan = Plan { model, scene };
    let Some(bay) = scene.bay else {
        // A delete that came after a create was undone has nothing left to do.
        return (outcome == Outcome::Heard).then(|| match scene.kind {
            Kind::Delete => Change::to(Next::Done).reply(ReplyKind::Nothing),
            Kind::Create => Change::to(Next::Failed).reply(ReplyKind::NotFound),
        });
    };
    if let Some(change) = plan.superseded(bay) {
        return (outcome == Outcome::Heard).then_some(change);
    }
    let call = plan.call(bay, cloud);
    if call == Call::Look && outcome != Outcome::Heard && !plan.may_be_refused(outcome) {
        return None;
    }
    // The first try is never the last.
    if outcome.at_deadline() && (!scene.place.step.bounded() || scene.place.attempts < 2) {
        return None;
    }
    let before = *cloud;
    match outcome {
        Outcome::Heard | Outcome::Lost | Outcome::LostAtDeadline => plan.perform(call, cloud),
        Outcome::Late | Outcome::LateAtDeadline if call == Call::EnsureStack && plan.is_missing(cloud) => {
            cloud.late += 1;
        }
        Outcome::Late | Outcome::LateAtDeadline => return None,
        Outcome::Unanswered | Outcome::UnansweredAtDeadline | Outcome::Refused => {}
    }
    match outcome {
        Outcome::Heard => plan.heard(bay, &before, cloud),
        // Nothing ends the looks for a stack that may still appear.
        Outcome::Refused if plan.looks_on(&before) => Some(Change::to(Next::Again)),
        Outcome::Refused => (!plan.waits_for_late(&before)).then(|| plan.failed(bay)),
        Outcome::LostAtDeadline | Outcome::UnansweredAtDeadline | Outcome::LateAtDeadline => {
            // Looking for a stack in doubt is over long before a deadline.
            (scene.place.step != UndoStack || before.late == 0).then(|| plan.failed(bay))
        }
        Outcome::Lost | Outcome::Unanswered | Outcome::Late => Some(Change::to(Next::Again)),
    }
}

/// Whether a look at a waiting operation would show anything new. Looks that show nothing change nothing that matters,
/// and would have no end.
pub(crate) fn is_worth_a_look(model: &Model, scene: &Scene, cloud: &Cloud) -> bool {
    let Some(bay) = scene.bay else { return true };
    let state = bay.stack.map_or(Stack::Gone, |id| cloud.stack(id));
    match scene.place.step {
        AwaitStack => scene.superseded || state != Stack::Creating,
        AwaitGone => state != Stack::Deleting,
        UndoStack => {
            let plan = Plan { model, scene };
            match plan.found(cloud) {
                Some(id) => cloud.stack(id) != Stack::Deleting,
                None => !plan.waits_for_late(cloud),
            }
        }
        Trustee
        | Trust
        | Certificates
        | UndoCertificates
        | DeleteCertificates
        | Step::Stack
        | UndoTrust
        | UndoTrustee
        | UndoBay
        | DeleteStack
        | DeleteTrust
        | DeleteTrustee
        | RemoveBay => true,
    }
}

struct Plan<'a> {
    model: &'a Model,
    scene: &'a Scene,
}

impl Plan<'_> {
    fn named(&self) -> bool {
        self.model.off != Some(Guard::Names)
    }

    /// The stack that has the bay's name.
    fn found(&self, cloud: &Cloud) -> Option<u8> {
        if self.named() { cloud.living() } else { None }
    }

    fn is_missing(&self, cloud: &Cloud) -> bool {
        self.found(cloud).is_none()
    }

    fn undoes_in_doubt(&self) -> bool {
        self.scene.place.step == UndoStack && self.scene.place.may_appear
    }

    /// The last look comes after the last request on its way: that is what the looks are spaced for.
    fn waits_for_late(&self, cloud: &Cloud) -> bool {
        self.undoes_in_doubt() && self.scene.place.attempts >= LOOKS && cloud.late > 0
    }

    fn looks_on(&self, cloud: &Cloud) -> bool {
        self.undoes_in_doubt() && self.scene.place.attempts < LOOKS && self.is_missing(cloud)
    }

    fn call(&self, bay: Bay, cloud: &Cloud) -> Call {
        match self.scene.place.step {
            Trustee => Call::EnsureTrustee,
            Trust => Call::EnsureTrust,
            Step::Stack => Call::EnsureStack,
            UndoStack => self.found(cloud).map_or(Call::Look, Call::DeleteStack),
            DeleteStack => bay.stack.or_else(|| self.found(cloud)).map_or(Call::Look, Call::DeleteStack),
            AwaitGone => match bay.stack.map(|id| (id, cloud.stack(id))) {
                None | Some((_, Stack::Gone | Stack::Deleting | Stack::DeleteFailed)) => Call::Look,
                Some((id, _)) => Call::DeleteStack(id),
            },
            UndoTrust | DeleteTrust if bay.trust => Call::DeleteTrust,
            UndoTrustee | DeleteTrustee if bay.trustee || (self.named() && cloud.users > 0) => {
                Call::DeleteTrustee
            }
            AwaitStack | UndoTrust | DeleteTrust | UndoTrustee | DeleteTrustee | UndoBay | RemoveBay
            | Certificates | UndoCertificates | DeleteCertificates => Call::Look,
        }
    }

    /// Looks for a stack by its name can be refused as well.
    fn may_be_refused(&self, outcome: Outcome) -> bool {
        outcome == Outcome::Refused && matches!(self.scene.place.step, UndoStack | DeleteStack)
    }

    fn perform(&self, call: Call, cloud: &mut Cloud) {
        match call {
            Call::Look => {}
            Call::EnsureTrustee if self.named() => cloud.users = 1,
            Call::EnsureTrustee => cloud.users += 1,
            Call::EnsureTrust if self.named() => cloud.trusts = 1,
            Call::EnsureTrust => cloud.trusts += 1,
            Call::EnsureStack if self.is_missing(cloud) => cloud.make_stack(),
            Call::EnsureStack => {}
            Call::DeleteStack(id) => cloud.delete_stack(id),
            Call::DeleteTrust => cloud.trusts = cloud.trusts.saturating_sub(1),
            Call::DeleteTrustee => cloud.delete_user(),
        }
    }

    /// `before` is the cloud as the step found it, `cloud` as the step leaves it.
    fn heard(&self, bay: Bay, before: &Cloud, cloud: &Cloud) -> Option<Change> {
        let proceed = || {
            let following = self.scene.place.step.after(self.scene.kind);
            Change::to(Next::Step(following.expect("the last step of a plan ends its operation")))
        };
        let again = Change::to(Next::Again);
        Some(match self.scene.place.step {
            Trustee => proceed().save(Bay { trustee: true, ..bay }),
            Trust => proceed().save(Bay { trust: true, ..bay }),
            Certificates | UndoCertificates | DeleteCertificates => proceed(),
            Step::Stack => proceed().save(Bay { stack: cloud.newest(), ..bay }).reply(ReplyKind::Bay),
            AwaitStack => match bay.stack.map(|id| cloud.stack(id)) {
                Some(Stack::Creating | Stack::Deleting) => again,
                Some(Stack::Complete) => {
                    Change::to(Next::Done).save(bay.with(Status::CreateComplete)).reply(ReplyKind::Bay)
                }
                None | Some(Stack::Failed | Stack::DeleteFailed | Stack::Gone) => {
                    Change::to(Next::Failed).save(bay.with(Status::CreateFailed)).reply(ReplyKind::Fault)
                }
            },
            UndoStack => match self.found(before) {
                None if self.waits_for_late(before) => return None,
                None if self.looks_on(before) => again,
                None => proceed(),
                Some(id) if bay.stack.is_some() && before.stack(id) == Stack::DeleteFailed => again,
                Some(id) => again.save(Bay { stack: Some(id), ..bay }),
            },
            UndoTrust | DeleteTrust if bay.trust => proceed().save(Bay { trust: false, ..bay }),
            UndoTrustee | DeleteTrustee => proceed().save(Bay { trustee: false, ..bay }),
            UndoTrust | DeleteTrust => proceed(),
            UndoBay => {
                let cause = self.scene.place.failure.unwrap_or(Cause::Cloud);
                Change { row: Row::Remove, ..Change::to(Next::Failed).reply(cause.reply()) }
            }
            DeleteStack => {
                let stack = bay.stack.or_else(|| self.found(before));
                let leaving = Bay { stack, ..bay.with(Status::DeleteInProgress) };
                proceed().save(leaving).reply(ReplyKind::Nothing)
            }
            AwaitGone => match bay.stack.map_or(Stack::Gone, |id| before.stack(id)) {
                Stack::Gone => proceed(),
                Stack::DeleteFailed => {
                    Change::to(Next::Failed).save(bay.with(Status::DeleteFailed)).reply(ReplyKind::Fault)
                }
                Stack::Creating | Stack::Complete | Stack::Failed | Stack::Deleting => again,
            },
            RemoveBay => Change { row: Row::Remove, ..Change::to(Next::Done).reply(ReplyKind::Nothing) },
        })
    }

    fn superseded(&self, bay: Bay) -> Option<Change> {
        if !self.scene.superseded || self.scene.kind == Kind::Delete || self.scene.place.failure.is_some() {
            return None;
        }
        if bay.stack.is_none() {
            return Some(self.undo(Cause::Deleted));
        }
        Some(Change::to(Next::Failed).reply(ReplyKind::Conflict))
    }

    fn failed(&self, bay: Bay) -> Change {
        let end = Change::to(Next::Failed);
        match (self.scene.kind, self.scene.place.failure) {
            (Kind::Delete, _) => end.save(bay.with(Status::DeleteFailed)).reply(ReplyKind::Fault),
            (Kind::Create, Some(first)) => end.save(bay.with(Status::CreateFailed)).reply(first.reply()),
            (Kind::Create, None) if bay.stack.is_some() => {
                end.save(bay.with(Status::CreateFailed)).reply(ReplyKind::Fault)
            }
            (Kind::Create, None) => self.undo(Cause::Cloud),
        }
    }

    fn undo(&self, cause: Cause) -> Change {
        let Place { step, attempts, .. } = self.scene.place;
        let may_appear = step == Step::Stack && attempts > 1;
        let back = if self.model.off == Some(Guard::Undo) {
            UndoBay
        } else if matches!(step, Trustee | Trust) {
            UndoTrust
        } else if step == Certificates {
            UndoCertificates
        } else {
            UndoStack
        };
        Change { undo: Some((cause, may_appear)), ..Change::to(Next::Step(back)) }
    }
}
