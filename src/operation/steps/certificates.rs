//! A bay's certificates, as steps of what makes, changes and deletes a bay.
//!
//! Under which names they are kept is committed before any is made ([`Generation::named`]), so that a step that runs
//! again takes up what is there, and whoever undoes or deletes knows all of it.

mod rollover;

use std::collections::BTreeSet;

use async_trait::async_trait;
use uuid::Uuid;

use crate::bay::secrets::{Access, Generation, Kept, NodeTexts, node_name};
use crate::bay::{Bay, BayModel};
use crate::certificate::{self, Authority, Label, NewPair, Role, keep, random_text};
use crate::error::Fault;
use crate::operation::step::{Change, Scene, Step, StepError};
use crate::store::{Key, Scope, Visibility};
use rollover::Past;

/// Characters of a password within a bay: 120 bits.
const PASSWORD: usize = 24;

/// Makes the certificates of a new bay, and what its nodes are given.
pub(super) struct Make;

pub(super) const MAKE: &str = "certificates";

#[async_trait]
impl Step for Make {
    fn name(&self) -> &'static str {
        MAKE
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        let mut kept = match kept(scene).await? {
            Some(kept) => kept,
            None => {
                let tls = !model(scene).await?.tls_disabled;
                let access = tls.then(|| access(scene.subject));
                let named = Kept { current: Generation::named(), access, ..Kept::default() };
                write(scene, &named).await?;
                named
            }
        };
        kept.current = complete(scene, &kept.current, kept.access.is_some(), None).await?;
        write(scene, &kept).await?;
        Ok(Change::proceed().save(with_references(scene.subject, &kept.current)))
    }
}

/// Removes what was made for a bay that is not to be.
pub(super) struct Undo;

pub(super) const UNDO: &str = "undo_certificates";

#[async_trait]
impl Step for Undo {
    fn name(&self) -> &'static str {
        UNDO
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        remove_all(scene).await
    }
}

/// Removes the certificates of a bay whose nodes are gone.
pub(super) struct Delete;

#[async_trait]
impl Step for Delete {
    fn name(&self) -> &'static str {
        "certificates"
    }

    async fn run(&self, scene: &Scene<'_>) -> Result<Change, StepError> {
        remove_all(scene).await
    }
}

/// What is kept goes with the bay's row: until then it names what is to be removed.
async fn remove_all(scene: &Scene<'_>) -> Result<Change, StepError> {
    let kept = kept(scene).await?.unwrap_or_default();
    let bay = scene.subject;
    let recorded = Generation {
        ca_ref: bay.ca_cert_ref.clone(),
        client_ref: bay.magnum_cert_ref.clone(),
        ..Generation::default()
    };
    let mut removed = BTreeSet::new();
    for generation in [Some(kept.current), kept.next, kept.retired, Some(recorded)].into_iter().flatten() {
        remove(scene, &generation, &mut removed).await?;
    }
    Ok(Change::proceed().save(with_references(bay, &Generation::default())))
}

/// Removes what a generation names, but for references in `removed`, to which it adds its own.
pub(super) async fn remove(
    scene: &Scene<'_>,
    generation: &Generation,
    removed: &mut BTreeSet<String>,
) -> Result<(), StepError> {
    for label in labels(scene.subject.uuid, generation).into_iter().flatten() {
        let forgotten = scene.certificates.forget(&label, scene.budget()).await;
        forgotten.map_err(|error| refused(&error))?;
    }
    // A bay that was taken over has no names, and one from before another store was chosen is not where new ones are.
    for reference in [&generation.ca_ref, &generation.client_ref].into_iter().flatten() {
        if removed.insert(reference.clone()) {
            let deleted = scene.certificates.delete(reference, scene.budget()).await;
            deleted.map_err(|error| refused(&error))?;
        }
    }
    Ok(())
}

/// Makes what a generation still lacks, which is to replace another if there is one.
pub(super) async fn complete(
    scene: &Scene<'_>,
    generation: &Generation,
    tls: bool,
    before: Option<&Generation>,
) -> Result<Generation, StepError> {
    let Some([ca, client]) = labels(scene.subject.uuid, generation) else {
        return Err(StepError::Fatal(Fault::Internal("the bay's certificates have no names".to_owned())));
    };
    let find = async |label: &Label| {
        let found = scene.certificates.find(label, scene.budget()).await;
        found.map_err(|error| refused(&error))
    };
    let (ca_ref, client_ref) = (find(&ca).await?, find(&client).await?);
    let node_wanted = tls && generation.node.is_none();
    let missing = [ca_ref.is_none(), client_ref.is_none(), node_wanted].iter().filter(|is| **is).count();
    let bay = scene.subject.uuid;
    let mut keys = scene.forge.keys(missing).await.map_err(|error| failed(bay, &error))?;
    let mut key = || keys.pop().expect("one was made for each that is missing");
    let (authority, ca_ref) = match ca_ref {
        Some(reference) => (open(scene, &reference).await?, reference),
        None => establish(scene, &ca, before.map(|_| ca.pair), key()).await?,
    };
    let (authority, client_ref) = match client_ref {
        Some(reference) => (authority, reference),
        None => {
            let made = scene.forge.client(authority, key()).await;
            let (authority, pair) = made.map_err(|error| failed(bay, &error))?;
            (authority, put(scene, &client, &pair).await?)
        }
    };
    let node = match &generation.node {
        Some(node) => Some(node.clone()),
        None if node_wanted => Some(for_nodes(scene, authority, key(), before).await?),
        None => None,
    };
    Ok(Generation { names: generation.names, ca_ref: Some(ca_ref), client_ref: Some(client_ref), node })
}

async fn establish(
    scene: &Scene<'_>,
    label: &Label,
    successor: Option<Uuid>,
    key: NewPair,
) -> Result<(Authority, String), StepError> {
    let made = scene.forge.authority(scene.subject, successor, key).await;
    let (authority, pair) = made.map_err(|error| failed(scene.subject.uuid, &error))?;
    Ok((authority, put(scene, label, &pair).await?))
}

async fn for_nodes(
    scene: &Scene<'_>,
    authority: Authority,
    key: NewPair,
    before: Option<&Generation>,
) -> Result<NodeTexts, StepError> {
    let bay = scene.subject.uuid;
    let ca_certificate = authority.certificate().map_err(|error| failed(bay, &error))?;
    let past = match before {
        Some(before) => rollover::past(scene, before, &ca_certificate).await?,
        None => Past::default(),
    };
    let made = scene.forge.node(authority, key, node_name(bay)).await;
    let node = made.map_err(|error| failed(bay, &error))?;
    let Past { older, crosses } = past;
    Ok(NodeTexts { ca_certificate, certificate: node.certificate, key: node.key, older, crosses })
}

async fn put(scene: &Scene<'_>, label: &Label, pair: &certificate::Pair) -> Result<String, StepError> {
    scene.certificates.put(label, pair, scene.budget()).await.map_err(|error| refused(&error))
}

async fn open(scene: &Scene<'_>, reference: &str) -> Result<Authority, StepError> {
    let found = scene.certificates.get(reference, scene.budget()).await;
    let Some(pair) = found.map_err(|error| refused(&error))? else {
        return Err(StepError::retry("an authority that was found a moment ago is gone", None));
    };
    scene.forge.open(pair).await.map_err(|error| failed(scene.subject.uuid, &error))
}

fn labels(bay: Uuid, generation: &Generation) -> Option<[Label; 2]> {
    let names = generation.names?;
    let label = |pair, role| Label { bay, pair, role };
    Some([label(names.ca, Role::Authority), label(names.client, Role::Client)])
}

pub(super) async fn kept(scene: &Scene<'_>) -> Result<Option<Kept>, StepError> {
    Ok(scene.store.bay_secrets(scene.subject.uuid).await?)
}

/// Keeps this before the step's own record, as the holder of the lease.
pub(super) async fn write(scene: &Scene<'_>, kept: &Kept) -> Result<(), StepError> {
    let mut tx = scene.begin().await?;
    tx.write_bay_secrets(scene.subject.uuid, kept).await?;
    Ok(tx.commit().await?)
}

/// The bay with the references to what is in force.
pub(super) fn with_references(bay: &Bay, generation: &Generation) -> Bay {
    Bay {
        ca_cert_ref: generation.ca_ref.clone(),
        magnum_cert_ref: generation.client_ref.clone(),
        ..bay.clone()
    }
}

fn access(bay: &Bay) -> Access {
    Access {
        mesos_principal: format!("bay-{}", bay.uuid.simple()),
        mesos_secret: random_text(PASSWORD),
        marathon_username: "marathon".to_owned(),
        marathon_password: random_text(PASSWORD),
        zookeeper_password: random_text(PASSWORD),
    }
}

/// The bay's model, whoever owns it.
pub(super) async fn model(scene: &Scene<'_>) -> Result<BayModel, StepError> {
    let ident = scene.subject.model_id.clone().unwrap_or_default();
    let uuid = ident.parse().map_err(|_| StepError::Fatal(Fault::BayModelNotFound(ident.clone())))?;
    let found = scene.store.model(&Scope::All, Visibility::OwnOnly, Key::Uuid(uuid)).await?;
    found.ok_or_else(|| StepError::Fatal(Fault::BayModelNotFound(ident)))
}

fn failed(bay: Uuid, error: &certificate::Error) -> StepError {
    StepError::Fatal(Fault::CertificatesToClusterFailed {
        cluster_uuid: bay.to_string(),
        reason: error.to_string(),
    })
}

fn refused(error: &keep::Error) -> StepError {
    let fault = Fault::CertificateStorageException(error.to_string());
    if error.is_retryable() {
        return StepError::Retry { fault, after: error.retry_after() };
    }
    StepError::Fatal(fault)
}
