//! What an operation is about: the row that its steps change, answer with, and tell of.

use async_trait::async_trait;
use mesos_conductor_proto::failure::Failure;
use serde_json::Value;
use uuid::Uuid;

use crate::app::App;
use crate::bay::Bay;
use crate::error::Fault;
use crate::notify::Told;
use crate::objects;
use crate::operation::progress::Progress;
use crate::store::{self, Key, Scope, Store, Transaction, Visibility};

/// A row that operations are about.
#[async_trait]
pub trait Subject: Told + Clone + Default + Send + Sync + 'static {
    /// The row, whoever owns it.
    async fn read(store: &Store, uuid: Uuid, progress: &Progress) -> Result<Option<Self>, store::Error>;

    /// What is known of a row that has gone.
    fn gone(uuid: Uuid) -> Self;

    fn not_found(uuid: Uuid) -> Fault;

    async fn save(&self, tx: &mut Transaction) -> Result<(), store::Error>;

    async fn remove(tx: &mut Transaction, uuid: Uuid) -> Result<(), store::Error>;

    /// The object as callers know it, at the version they asked with, from the row as the transaction has it.
    async fn primitive(
        &self,
        tx: &mut Transaction,
        version: Option<&str>,
    ) -> Result<Result<Value, Failure>, store::Error>;
}

#[async_trait]
impl Subject for Bay {
    async fn read(store: &Store, uuid: Uuid, _: &Progress) -> Result<Option<Self>, store::Error> {
        store.bay(&Scope::All, Key::Uuid(uuid)).await
    }

    fn gone(uuid: Uuid) -> Self {
        Self { uuid, ..Self::default() }
    }

    fn not_found(uuid: Uuid) -> Fault {
        Fault::BayNotFound(uuid.to_string())
    }

    async fn save(&self, tx: &mut Transaction) -> Result<(), store::Error> {
        tx.update_bay(self).await.map(drop)
    }

    async fn remove(tx: &mut Transaction, uuid: Uuid) -> Result<(), store::Error> {
        tx.delete_bay(uuid).await.map(drop)
    }

    async fn primitive(
        &self,
        tx: &mut Transaction,
        version: Option<&str>,
    ) -> Result<Result<Value, Failure>, store::Error> {
        let model = match self.model_id.as_deref().and_then(|id| Uuid::parse_str(id).ok()) {
            Some(uuid) => tx.model(&Scope::All, Visibility::OwnOnly, Key::Uuid(uuid)).await?,
            None => None,
        };
        // With its new `updated_at`.
        let bay = tx.bay(&Scope::All, Key::Uuid(self.uuid)).await?.unwrap_or_else(|| self.clone());
        let primitive = objects::version_or_latest(objects::BAY, version)
            .and_then(|version| objects::bay_primitive(&bay, model.as_ref(), version));
        Ok(primitive.map_err(|fault| fault.to_failure()))
    }
}

#[async_trait]
impl Subject for App {
    async fn read(store: &Store, uuid: Uuid, _: &Progress) -> Result<Option<Self>, store::Error> {
        store.app(&Scope::All, Key::Uuid(uuid)).await
    }

    fn gone(uuid: Uuid) -> Self {
        Self { uuid, ..Self::default() }
    }

    fn not_found(uuid: Uuid) -> Fault {
        Fault::AppNotFound(uuid.to_string())
    }

    async fn save(&self, tx: &mut Transaction) -> Result<(), store::Error> {
        tx.update_app(self).await.map(drop)
    }

    async fn remove(tx: &mut Transaction, uuid: Uuid) -> Result<(), store::Error> {
        tx.delete_app(uuid).await.map(drop)
    }

    async fn primitive(
        &self,
        tx: &mut Transaction,
        version: Option<&str>,
    ) -> Result<Result<Value, Failure>, store::Error> {
        let app = tx.app(&Scope::All, Key::Uuid(self.uuid)).await?.unwrap_or_else(|| self.clone());
        let primitive = objects::version_or_latest(objects::APP, version)
            .and_then(|version| objects::app_primitive(&app, version));
        Ok(primitive.map_err(|fault| fault.to_failure()))
    }
}

/// A deployment of a bay's framework. It has no row: all there is of it is the operation that ends it.
#[derive(Debug, Clone, Default)]
pub struct BayDeployment {
    /// The operation's own subject: two that end the same deployment do no harm to each other.
    pub uuid: Uuid,
    pub bay: Bay,
    pub id: String,
}

#[async_trait]
impl Subject for BayDeployment {
    async fn read(store: &Store, uuid: Uuid, progress: &Progress) -> Result<Option<Self>, store::Error> {
        let Some(cancelled) = &progress.cancelled else {
            return Err(store::Error::corrupt("a deployment that has no id"));
        };
        let bay = store.bay(&Scope::All, Key::Uuid(cancelled.bay)).await?;
        Ok(bay.map(|bay| Self { uuid, bay, id: cancelled.deployment.clone() }))
    }

    fn gone(uuid: Uuid) -> Self {
        Self { uuid, ..Self::default() }
    }

    fn not_found(uuid: Uuid) -> Fault {
        Fault::DeploymentNotFound(uuid.to_string())
    }

    async fn save(&self, _: &mut Transaction) -> Result<(), store::Error> {
        Ok(())
    }

    async fn remove(_: &mut Transaction, _: Uuid) -> Result<(), store::Error> {
        Ok(())
    }

    async fn primitive(
        &self,
        _: &mut Transaction,
        _: Option<&str>,
    ) -> Result<Result<Value, Failure>, store::Error> {
        Ok(Ok(Value::Null))
    }
}
