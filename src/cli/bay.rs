//! `bay create|list|show|update|delete`.

use clap::{Args, Subcommand};
use mesos_conductor_proto::{context::RequestContext, object::Object};
use serde_json::{Value, json};

use super::{
    Global,
    conductor::{self, Conductor},
    error::Error,
    identity::Identity,
    object::{self, Class, Page},
    output::Output,
    wait::{self, Wait},
};

const COLUMNS: &[&str] = &["uuid", "name", "status", "master_count", "node_count", "api_address"];
const FIELDS: &[&str] = &[
    "uuid",
    "name",
    "status",
    "status_reason",
    "baymodel_id",
    "stack_id",
    "api_address",
    "master_count",
    "master_addresses",
    "node_count",
    "node_addresses",
    "bay_create_timeout",
    "project_id",
    "user_id",
    "created_at",
    "updated_at",
];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Creates a bay
    Create(Create),
    /// Lists your bays
    List {
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        identity: Identity,
    },
    /// Shows a bay
    Show {
        /// Its uuid or name
        bay: String,
        #[command(flatten)]
        identity: Identity,
    },
    /// Changes the number of nodes
    Update {
        /// Its uuid or name
        bay: String,
        /// How many nodes it shall have
        #[arg(long, value_name = "N")]
        node_count: i64,
        #[command(flatten)]
        wait: Wait,
        #[command(flatten)]
        identity: Identity,
    },
    /// Deletes a bay
    Delete {
        /// Its uuid or name
        bay: String,
        #[command(flatten)]
        wait: Wait,
        #[command(flatten)]
        identity: Identity,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Its name
    #[arg(long)]
    name: Option<String>,
    /// The bay model, by uuid or name
    #[arg(long, value_name = "MODEL")]
    baymodel: String,
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 1)]
    node_count: i64,
    /// How many masters: an odd number survives the loss of the smaller half
    #[arg(long, value_name = "N", default_value_t = 1)]
    master_count: i64,
    /// Minutes that Heat may take [default: as the conductor is configured]
    #[arg(long, value_name = "MINUTES")]
    timeout: Option<i64>,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    identity: Identity,
}

impl Command {
    pub(super) async fn run(self, global: &Global, output: &mut Output) -> Result<(), Error> {
        let identity = match &self {
            Self::Create(create) => &create.identity,
            Self::List { identity, .. }
            | Self::Show { identity, .. }
            | Self::Update { identity, .. }
            | Self::Delete { identity, .. } => identity,
        };
        let context = identity.owner_context().await?;
        let conductor = conductor::connect(global, context.clone()).await?;
        let outcome = self.run_on(&conductor, &context, output).await;
        conductor.close().await;
        outcome
    }

    pub(super) async fn run_on(
        self,
        conductor: &dyn Conductor,
        context: &RequestContext,
        output: &mut Output,
    ) -> Result<(), Error> {
        match self {
            Self::Create(create) => create.run_on(conductor, context, output).await,
            Self::List { page, .. } => {
                let bays = object::list(conductor, Class::Bay, &page).await?;
                let rows: Vec<_> = bays.iter().map(object::fields).collect();
                Ok(output.rows(&rows, COLUMNS)?)
            }
            Self::Show { bay, .. } => print(&object::get(conductor, Class::Bay, &bay).await?, output),
            Self::Update { bay, node_count, wait, .. } => {
                update(conductor, &bay, node_count, wait, output).await
            }
            Self::Delete { bay, wait, .. } => delete(conductor, &bay, wait, output).await,
        }
    }
}

impl Create {
    async fn run_on(
        &self,
        conductor: &dyn Conductor,
        context: &RequestContext,
        output: &mut Output,
    ) -> Result<(), Error> {
        let model = object::get(conductor, Class::BayModel, &self.baymodel).await?;
        let bay = object::new(
            Class::Bay,
            [
                ("name", json!(self.name)),
                ("baymodel_id", json!(model.text("uuid"))),
                ("node_count", json!(self.node_count)),
                ("master_count", json!(self.master_count)),
                ("bay_create_timeout", json!(self.timeout)),
                ("project_id", json!(context.project_id())),
                ("user_id", json!(context.user_id())),
            ],
        )?;
        let args =
            object::arguments([("bay", bay.to_primitive()), ("bay_create_timeout", json!(self.timeout))]);
        let bay = object::decode(&conductor.call("bay_create", args).await?)?;
        wait::finish(conductor, bay, self.wait, FIELDS, output).await
    }
}

async fn update(
    conductor: &dyn Conductor,
    ident: &str,
    node_count: i64,
    wait: Wait,
    output: &mut Output,
) -> Result<(), Error> {
    let mut bay = object::get(conductor, Class::Bay, ident).await?;
    bay.reset_changes();
    bay.change("node_count", node_count)?;
    let args = object::arguments([("bay", bay.to_primitive())]);
    let bay = object::decode(&conductor.call("bay_update", args).await?)?;
    wait::finish(conductor, bay, wait, FIELDS, output).await
}

async fn delete(
    conductor: &dyn Conductor,
    ident: &str,
    wait: Wait,
    output: &mut Output,
) -> Result<(), Error> {
    let bay = object::get(conductor, Class::Bay, ident).await?;
    let uuid = bay.text("uuid");
    let uuid = uuid.ok_or_else(|| Error::Garbage("the conductor sent a bay without a uuid".to_owned()))?;
    conductor.call("bay_delete", object::arguments([("uuid", Value::from(uuid))])).await?;
    wait::until_gone(conductor, &bay, wait, output).await
}

fn print(bay: &Object, output: &mut Output) -> Result<(), Error> {
    Ok(output.record(&object::fields(bay), FIELDS)?)
}

#[cfg(test)]
mod tests;
