//! Creating a bay: trustee, trust, certificates, stack, then waiting for the stack; and the way back while there is no stack yet.

use std::time::Duration;

use async_trait::async_trait;

use crate::bay::secrets::Kept;
use crate::bay::{Bay, Status, parameters};
use crate::error::Fault;
use crate::notify::Outcome;
use crate::openstack::{self, Credentials, Error, NewStack};
use crate::operation::guard::{self, Guard};
use crate::operation::progress::Progress;
use crate::operation::record::Operation;
use crate::operation::step::{Answer, Change, Plan, Scene, Step, StepError, with_status};
use crate::operation::steps::certificates;
use crate::operation::steps::stack::{self, Action, AwaitStack};

pub struct BayCreate;

static STEPS: &[&dyn Step] = &[
    &Trustee,
    &Trust,
    &certificates::Make,
    &Stack,
    &AwaitStack(Action::Create),
    &UndoStack,
    &certificates::Undo,
    &UndoTrust,
    &UndoTrustee,
    &UndoBay,
];

const TRUSTEE: &str = "trustee";
const TRUST: &str = "trust";
const STACK: &str = "stack";
const UNDO_STACK: &str = "undo_stack";
const UNDO_TRUST: &str = "undo_trust";
const UNDO_BAY: &str = "undo_bay";
/// How often, and how far apart, a stack is looked for that may still appear.
const LOOKS: u32 = 5;
const LOOK_AGAIN: Duration = Duration::from_secs(2);

impl Plan for BayCreate {
    fn steps(&self) -> &'static [&'static dyn Step] {
        STEPS
    }

    fn failed(&self, scene: &Scene<'_>, fault: Fault) -> Change {
        let reason = fault.to_string();
        if let Some(first) = &scene.progress.failure {
            // Undoing failed too: the row stays and says so, and a later delete cleans up what is left.
            let reason = format!("{first} What was made for the bay could not be removed: {reason}");
            let bay = with_status(scene.subject, Status::CreateFailed, Some(reason.clone()));
            let answer = Answer::Fault(first.clone());
            return Change::failed(reason).save(bay).reply(answer).event(Outcome::Failure);
        }
        if scene.subject.stack_id.is_some() {
            // The stack stays for whoever looks into it (I5).
            let bay = with_status(scene.subject, Status::CreateFailed, Some(reason.clone()));
            return Change::failed(reason).save(bay).reply(Answer::Fault(fault)).event(Outcome::Failure);
        }
        undo(scene, fault)
    }

    fn superseded(&self, scene: &Scene<'_>) -> Option<Change> {
        if scene.progress.failure.is_some() {
            return None;
        }
        let fault =
            Fault::Conflict(format!("Bay {} was deleted while it was being created.", scene.subject.uuid));
        if scene.subject.stack_id.is_none() {
            return Some(undo(scene, fault));
        }
        Some(Change::failed(fault.to_string()).reply(Answer::Fault(fault)).event(Outcome::Failure))
    }
}

fn undo(scene: &Scene<'_>, fault: Fault) -> Change {
    let Operation { step, attempts, .. } = scene.operation;
    // Only from the second attempt on is there an answer that nobody heard.
    let stack_may_appear = step == STACK && *attempts > 1;
    let progress = Progress { failure: Some(fault), stack_may_appear, ..scene.progress.clone() };
    let back = match step.as_str() {
        _ if guard::is_off(Guard::Undo) => UNDO_BAY,
        TRUSTEE | TRUST => UNDO_TRUST,
        certificates::MAKE => certificates::UNDO,
        _ => UNDO_STACK,
    };
    Change::step(back).progress(progress)
}

/// Makes the user that the bay's nodes and our later work are allowed to act as. Its password was committed with the
/// request, so a user whose creation answer was lost is still ours.
struct Trustee;

#[async_trait]
impl Step for Trustee {
    fn name(&self) -> &'static str {
        TRUSTEE
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        if !scene.cloud.trusts_configured() {
            return Ok(Change::step(certificates::MAKE));
        }
        let user = ensure_trustee(scene).await?;
        let mut bay = scene.subject.clone();
        bay.trustee_user_id = Some(user);
        Ok(Change::proceed().save(bay))
    }
}

async fn ensure_trustee(scene: &Scene<'_>) -> Result<String, StepError> {
    let bay = scene.subject;
    let (Some(username), Some(password)) = (&bay.trustee_username, &bay.trustee_password) else {
        return Err(StepError::Fatal(Fault::Internal(
            "the bay has no trustee's name and password".to_owned(),
        )));
    };
    scene.cloud.ensure_trustee(username, password, scene.budget()).await.map_err(|error| {
        StepError::from_cloud(&error, |reason| Fault::TrusteeCreateFailed {
            username: username.clone(),
            reason,
        })
    })
}

/// Lets the caller trust the trustee.
struct Trust;

#[async_trait]
impl Step for Trust {
    fn name(&self) -> &'static str {
        TRUST
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let bay = scene.subject;
        let caller = caller(scene)?;
        let Some(trustee) = scene.trustee() else {
            return Err(StepError::Fatal(Fault::Internal("the bay has no trustee".to_owned())));
        };
        let trust = scene.cloud.ensure_trust(&caller, &trustee, scene.budget()).await.map_err(|error| {
            let trustee_user_id = trustee.user_id.clone();
            StepError::from_cloud(&error, |reason| match error.is_unauthorized() {
                // The caller's token opens nothing: that is no fault of the trust's.
                true => Fault::AuthorizationFailure { client: "keystone".to_owned(), message: reason },
                false => Fault::TrustCreateFailed { trustee_user_id, reason },
            })
        })?;
        let mut bay = bay.clone();
        bay.trust_id = Some(trust);
        Ok(Change::proceed().save(bay))
    }
}

fn caller(scene: &Scene<'_>) -> Result<Credentials, StepError> {
    scene.caller().ok_or_else(|| {
        StepError::Fatal(Fault::AuthorizationFailure {
            client: "keystone".to_owned(),
            message: "The request carried no token.".to_owned(),
        })
    })
}

/// Makes the stack with the caller's own token: Heat makes a trust of its own when it stores a stack, and Keystone
/// refuses that from a trust-scoped token.
struct Stack;

#[async_trait]
impl Step for Stack {
    fn name(&self) -> &'static str {
        STACK
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let caller = caller(scene)?;
        let found = if scene.operation.attempts > 1 { find(scene, &caller).await? } else { None };
        let id = match found {
            Some(stack) => stack.id,
            None => create(scene, &caller).await?,
        };
        let mut bay = with_status(scene.subject, Status::CreateInProgress, None);
        bay.stack_id = Some(id);
        Ok(Change::proceed().save(bay).reply(Answer::Object).erase_token())
    }
}

async fn find(scene: &Scene<'_>, credentials: &Credentials) -> Result<Option<openstack::Stack>, StepError> {
    let name = parameters::stack_name(scene.subject);
    scene.cloud.stack_find(credentials, &name, scene.budget()).await.map_err(|error| refused(&error))
}

async fn create(scene: &Scene<'_>, caller: &Credentials) -> Result<String, StepError> {
    let stack = new_stack(scene).await?;
    match scene.cloud.stack_create(caller, &stack, scene.budget()).await {
        Ok(id) => Ok(id),
        // The name holds the bay's uuid: a stack of that name is the one whose creation answer was lost.
        Err(error) if error.is_conflict() => match find(scene, caller).await? {
            Some(stack) => Ok(stack.id),
            None => Err(StepError::retry("the stack exists and is not found".to_owned(), None)),
        },
        Err(error) => Err(refused(&error)),
    }
}

async fn new_stack(scene: &Scene<'_>) -> Result<NewStack, StepError> {
    let bay = scene.subject;
    let model = certificates::model(scene).await?;
    let distribution = model.cluster_distro.as_deref().unwrap_or_default();
    let template = scene.templates.for_distro(distribution).ok_or_else(|| {
        let reason = format!("[conductor] heat_template_dir has no templates for `{distribution}`");
        StepError::Fatal(Fault::InvalidParameterValue(reason))
    })?;
    let secrets = scene.store.bay_secrets(bay.uuid).await?.as_ref().and_then(Kept::secrets);
    let parameters = parameters::stack_parameters(bay, &model, &scene.settings.placement, secrets.as_ref())
        .map_err(|error| StepError::Fatal(Fault::from(error)))?;
    Ok(NewStack {
        name: match guard::is_off(Guard::Names) {
            false => parameters::stack_name(bay),
            true => format!("bay-{}", uuid::Uuid::new_v4().simple()),
        },
        template: template.root.clone(),
        files: template.files.clone(),
        environment: None,
        parameters,
        // In the era of bays 0 says that there is no limit, and nothing asks for the configured one.
        timeout_mins: match bay.create_timeout {
            Some(0) => None,
            Some(minutes) => Some(minutes),
            None => scene.settings.default_create_timeout,
        },
        tags: None,
    })
}

fn refused(error: &Error) -> StepError {
    StepError::from_cloud(error, |message| {
        if error.is_unauthorized() || error.is_forbidden() {
            return Fault::AuthorizationFailure { client: "heat".to_owned(), message };
        }
        match stack::refusal(error) {
            Some(text) => Fault::InvalidParameterValue(text.to_owned()),
            None => Fault::Internal(message),
        }
    })
}

/// A stack may have been made although nobody heard of it: it is looked for by name, and goes.
struct UndoStack;

#[async_trait]
impl Step for UndoStack {
    fn name(&self) -> &'static str {
        UNDO_STACK
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let doubt = scene.progress.stack_may_appear;
        let looks_on = doubt && scene.operation.attempts < LOOKS;
        let found = match stack::find(scene).await {
            // Whom nobody lets in made no stack either.
            Err(error) if stack::is_shut_out(&error) && !doubt => None,
            // A delete that came next would not know that a stack may still appear.
            Err(error) if looks_on => {
                tracing::warn!(%error, "whether there is a stack cannot be seen; it is looked for again");
                return Ok(Change::again(LOOK_AGAIN));
            }
            other => other.map_err(|error| refused(&error))?,
        };
        let living = found.filter(|(_, stack)| stack.status != Status::DeleteComplete.as_str());
        let Some((credentials, stack)) = living else {
            if looks_on {
                return Ok(Change::again(LOOK_AGAIN));
            }
            return Ok(Change::proceed());
        };
        scene
            .cloud
            .stack_delete(&credentials, &stack.id, scene.budget())
            .await
            .map_err(|error| refused(&error))?;
        if scene.subject.stack_id.is_some() && stack.status == Status::DeleteFailed.as_str() {
            let reason = stack.status_reason.unwrap_or_else(|| "The stack could not be deleted.".to_owned());
            return Err(StepError::retry(reason, None));
        }
        // If the way back ends here, a later delete knows the stack.
        let bay = Bay { stack_id: Some(stack.id), ..scene.subject.clone() };
        Ok(Change::again(scene.settings.poll_interval).save(bay))
    }
}

struct UndoTrust;

#[async_trait]
impl Step for UndoTrust {
    fn name(&self) -> &'static str {
        UNDO_TRUST
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        if scene.subject.trust_id.is_none() {
            // A trust whose answer was lost goes with its trustee.
            return Ok(Change::proceed());
        }
        let credentials = stack::standing(scene)?;
        let bay = super::bay_delete::without_trust(scene, &credentials).await?;
        Ok(Change::proceed().save(bay))
    }
}

struct UndoTrustee;

#[async_trait]
impl Step for UndoTrustee {
    fn name(&self) -> &'static str {
        "undo_trustee"
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let Some(user) = super::bay_delete::known_trustee(scene).await? else { return Ok(Change::proceed()) };
        let bay = super::bay_delete::without_trustee(scene, &user).await?;
        Ok(Change::proceed().save(bay))
    }
}

/// The end of the way back: no row, the caller is told why.
struct UndoBay;

#[async_trait]
impl Step for UndoBay {
    fn name(&self) -> &'static str {
        UNDO_BAY
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let fault = scene.progress.failure.clone().unwrap_or_else(|| Fault::Internal("undone".to_owned()));
        let reason = fault.to_string();
        let last = with_status(scene.subject, Status::CreateFailed, Some(reason.clone()));
        Ok(Change::failed(reason).remove(last).reply(Answer::Fault(fault)).event(Outcome::Failure))
    }
}
