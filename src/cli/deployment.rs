//! `deployment list|cancel`.

use clap::Subcommand;
use serde_json::Value;

use super::{
    Global,
    conductor::{self, Conductor},
    error::Error,
    identity::Identity,
    object,
    output::Output,
};

const COLUMNS: &[&str] = &["id", "apps", "current_step", "total_steps", "actions"];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists what is under way on a bay
    List {
        /// The bay, by uuid or name
        #[arg(long)]
        bay: String,
        #[command(flatten)]
        identity: Identity,
    },
    /// Ends a deployment and takes back what it changed
    Cancel {
        /// One of `deployment list`
        deployment: String,
        /// The bay, by uuid or name
        #[arg(long)]
        bay: String,
        /// Ends it without taking anything back
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        identity: Identity,
    },
}

impl Command {
    pub(super) async fn run(self, global: &Global, output: &mut Output) -> Result<(), Error> {
        let (Self::List { identity, .. } | Self::Cancel { identity, .. }) = &self;
        let conductor = conductor::connect(global, identity.owner_context().await?).await?;
        let outcome = self.run_on(&conductor, output).await;
        conductor.close().await;
        outcome
    }

    pub(super) async fn run_on(self, conductor: &dyn Conductor, output: &mut Output) -> Result<(), Error> {
        match self {
            Self::List { bay, .. } => {
                let args = object::arguments([("bay_ident", bay.into())]);
                let answer = conductor.call("deployment_list", args).await?;
                Ok(output.rows(&object::rows(&answer)?, COLUMNS)?)
            }
            Self::Cancel { deployment, bay, force, .. } => {
                let args = object::arguments([
                    ("bay_ident", bay.into()),
                    ("deployment_id", deployment.as_str().into()),
                    ("force", force.into()),
                ]);
                let answer = conductor.call("deployment_cancel", args).await?;
                if output.is_json() {
                    return Ok(output.json(&answer)?);
                }
                let how = match answer.get("deployment_id").and_then(Value::as_str) {
                    Some(reverse) => format!("deployment {reverse} takes its changes back"),
                    None => "what it changed stays".to_owned(),
                };
                output.note(&format!("deployment {deployment} is ended; {how}"));
                Ok(())
            }
        }
    }
}
