//! `app create|list|show|update|scale|restart|rollback|versions|tasks|kill|diagnose|delete`.

use std::{io, path::Path};

use clap::{Args, Subcommand};
use mesos_conductor_proto::{codec::Map, context::RequestContext};
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

const COLUMNS: &[&str] =
    &["uuid", "name", "status", "instances", "tasks_running", "tasks_healthy", "framework_id"];
/// The bay tells them apart where the apps of every bay are listed.
const COLUMNS_OF_ALL: &[&str] =
    &["uuid", "name", "bay_uuid", "status", "instances", "tasks_running", "tasks_healthy", "framework_id"];
const TASK_COLUMNS: &[&str] = &["id", "state", "healthy", "host", "ports", "version", "started_at"];
const FIELDS: &[&str] = &[
    "uuid",
    "name",
    "bay_uuid",
    "status",
    "status_reason",
    "framework_id",
    "instances",
    "tasks_staged",
    "tasks_running",
    "tasks_healthy",
    "tasks_unhealthy",
    "endpoints",
    "version",
    "deployment_id",
    "manifest_url",
    "project_id",
    "user_id",
    "created_at",
    "updated_at",
];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Creates an app from a manifest
    Create(Create),
    /// Lists your apps
    List {
        /// Only those of this bay, by uuid or name
        #[arg(long)]
        bay: Option<String>,
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        identity: Identity,
    },
    /// Shows an app
    Show(Target),
    /// Puts another manifest in the place of the app's
    Update {
        #[command(flatten)]
        target: Target,
        /// The new manifest; - is standard input
        #[arg(long, value_name = "FILE")]
        manifest: String,
        #[command(flatten)]
        deploy: Deploy,
    },
    /// Changes the number of instances
    Scale {
        #[command(flatten)]
        target: Target,
        /// How many it shall have
        #[arg(long, value_name = "N")]
        instances: i64,
        #[command(flatten)]
        deploy: Deploy,
    },
    /// Puts new tasks in the place of all that run
    Restart {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        deploy: Deploy,
    },
    /// Goes back to an earlier version
    Rollback {
        #[command(flatten)]
        target: Target,
        /// One of `app versions` [default: the one before the newest]
        #[arg(long, value_name = "VERSION")]
        to: Option<String>,
        #[command(flatten)]
        deploy: Deploy,
    },
    /// Lists the versions, the newest first
    Versions(Target),
    /// Lists the tasks
    Tasks(Target),
    /// Kills a task; another takes its place unless told otherwise
    Kill {
        #[command(flatten)]
        target: Target,
        /// One of `app tasks`
        task: String,
        /// One instance less from now on
        #[arg(long, conflicts_with = "wipe")]
        scale: bool,
        /// Gives up what the task has reserved as well
        #[arg(long)]
        wipe: bool,
        #[command(flatten)]
        change: Change,
    },
    /// Says why an app is not running
    Diagnose(Target),
    /// Deletes an app
    Delete {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        change: Change,
    },
}

/// Which app.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// Its uuid or name
    app: String,
    /// The bay it runs on, by uuid or name
    #[arg(long)]
    bay: String,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Its name
    #[arg(long)]
    name: Option<String>,
    /// The bay to run on, by uuid or name
    #[arg(long)]
    bay: String,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    deploy: Deploy,
    #[command(flatten)]
    identity: Identity,
}

/// Where the manifest of a new app is.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The manifest: an app, an array of apps or a group, as JSON; - is standard input
    #[arg(long, value_name = "FILE")]
    manifest: Option<String>,
    /// Where the conductor fetches the manifest
    #[arg(long, value_name = "URL")]
    manifest_url: Option<String>,
}

/// How an app is changed.
#[derive(Debug, Args)]
pub(super) struct Change {
    /// Puts aside what else is being done to the app
    #[arg(long)]
    force: bool,
    /// Seconds that it may take [default: as the conductor is configured]
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<i64>,
    #[command(flatten)]
    wait: Wait,
}

/// How an app is deployed.
#[derive(Debug, Args)]
pub(super) struct Deploy {
    #[command(flatten)]
    change: Change,
    /// What becomes of a deployment that takes longer [default: as the conductor is configured]
    #[arg(long, value_name = "WHAT", value_parser = ["leave", "rollback", "cancel"])]
    on_deadline: Option<String>,
}

impl Change {
    fn add_to(&self, args: &mut Map) {
        if self.force {
            args.insert("force".to_owned(), true.into());
        }
        if let Some(seconds) = self.deadline {
            args.insert("deadline".to_owned(), seconds.into());
        }
    }
}

impl Deploy {
    fn add_to(&self, args: &mut Map) {
        self.change.add_to(args);
        if let Some(what) = &self.on_deadline {
            args.insert("on_deadline".to_owned(), what.as_str().into());
        }
    }
}

impl Target {
    fn arguments(&self) -> Map {
        object::arguments([("app_ident", self.app.as_str().into()), ("bay_ident", self.bay.as_str().into())])
    }

    /// The answer to a question about the app.
    async fn ask(&self, conductor: &dyn Conductor, method: &str) -> Result<Value, Error> {
        conductor.call(method, self.arguments()).await
    }

    async fn deploy(
        &self,
        conductor: &dyn Conductor,
        method: &str,
        own: impl IntoIterator<Item = (&'static str, Value)>,
        deploy: &Deploy,
        output: &mut Output,
    ) -> Result<(), Error> {
        let mut args = self.arguments();
        args.extend(object::arguments(own));
        deploy.add_to(&mut args);
        settle(conductor, method, args, deploy.change.wait, output).await
    }
}

impl Command {
    pub(super) async fn run(self, global: &Global, output: &mut Output) -> Result<(), Error> {
        let context = self.identity().owner_context().await?;
        let conductor = conductor::connect(global, context.clone()).await?;
        let outcome = self.run_on(&conductor, &context, output).await;
        conductor.close().await;
        outcome
    }

    fn identity(&self) -> &Identity {
        match self {
            Self::Create(Create { identity, .. }) | Self::List { identity, .. } => identity,
            Self::Show(target)
            | Self::Update { target, .. }
            | Self::Scale { target, .. }
            | Self::Restart { target, .. }
            | Self::Rollback { target, .. }
            | Self::Versions(target)
            | Self::Tasks(target)
            | Self::Kill { target, .. }
            | Self::Diagnose(target)
            | Self::Delete { target, .. } => &target.identity,
        }
    }

    pub(super) async fn run_on(
        self,
        conductor: &dyn Conductor,
        context: &RequestContext,
        output: &mut Output,
    ) -> Result<(), Error> {
        match self {
            Self::Create(create) => create.run_on(conductor, context, output).await,
            Self::List { bay, page, .. } => list(conductor, bay.as_deref(), &page, output).await,
            Self::Show(target) => {
                let app = object::get_app(conductor, &target.app, &target.bay).await?;
                Ok(output.record(&object::fields(&app), FIELDS)?)
            }
            Self::Update { target, manifest, deploy } => {
                let own = [("manifest", read(&manifest)?.into())];
                target.deploy(conductor, "app_update", own, &deploy, output).await
            }
            Self::Scale { target, instances, deploy } => {
                let own = [("instances", instances.into())];
                target.deploy(conductor, "app_scale", own, &deploy, output).await
            }
            Self::Restart { target, deploy } => {
                target.deploy(conductor, "app_restart", [], &deploy, output).await
            }
            Self::Rollback { target, to, deploy } => {
                let version = match to {
                    Some(version) => version,
                    None => before_the_newest(conductor, &target).await?,
                };
                let own = [("version", version.into())];
                target.deploy(conductor, "app_rollback", own, &deploy, output).await
            }
            Self::Versions(target) => versions(&target.ask(conductor, "app_versions").await?, output),
            Self::Tasks(target) => tasks(&target.ask(conductor, "app_tasks").await?, output),
            Self::Kill { target, task, scale, wipe, change } => {
                let mut args = target.arguments();
                args.extend(object::arguments([
                    ("task_id", task.into()),
                    ("scale", scale.into()),
                    ("wipe", wipe.into()),
                ]));
                change.add_to(&mut args);
                settle(conductor, "app_task_kill", args, change.wait, output).await
            }
            Self::Diagnose(target) => diagnosis(&target.ask(conductor, "app_diagnose").await?, output),
            Self::Delete { target, change } => delete(conductor, &target, &change, output).await,
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
        let manifest = self.source.manifest.as_deref().map(read).transpose()?;
        let app = object::new(
            Class::App,
            [
                ("name", json!(self.name)),
                ("bay_uuid", json!(self.bay)),
                ("manifest", json!(manifest)),
                ("manifest_url", json!(self.source.manifest_url)),
                ("project_id", json!(context.project_id())),
                ("user_id", json!(context.user_id())),
            ],
        )?;
        let mut args = object::arguments([("app", app.to_primitive())]);
        self.deploy.add_to(&mut args);
        settle(conductor, "app_create", args, self.deploy.change.wait, output).await
    }
}

/// A manifest's text. The conductor checks it, and names the path of each fault in it.
fn read(file: &str) -> Result<String, Error> {
    let text = match file {
        "-" => io::read_to_string(io::stdin()),
        path => std::fs::read_to_string(Path::new(path)),
    };
    text.map_err(|error| Error::Usage(format!("the manifest {file} cannot be read: {error}")))
}

/// Asks for a change, and stays until the app is settled.
async fn settle(
    conductor: &dyn Conductor,
    method: &str,
    args: Map,
    wait: Wait,
    output: &mut Output,
) -> Result<(), Error> {
    let app = object::decode(&conductor.call(method, args).await?)?;
    wait::finish(conductor, app, wait, FIELDS, output).await
}

async fn list(
    conductor: &dyn Conductor,
    bay: Option<&str>,
    page: &Page,
    output: &mut Output,
) -> Result<(), Error> {
    let args = object::arguments([
        ("bay_ident", json!(bay)),
        ("limit", json!(page.limit)),
        ("marker", json!(page.marker)),
        ("sort_key", json!(page.sort_key)),
        ("sort_dir", json!(page.sort_dir)),
    ]);
    let apps = object::decode_list(&conductor.call("app_list", args).await?)?;
    let rows: Vec<_> = apps.iter().map(object::fields).collect();
    Ok(output.rows(&rows, if bay.is_some() { COLUMNS } else { COLUMNS_OF_ALL })?)
}

async fn before_the_newest(conductor: &dyn Conductor, target: &Target) -> Result<String, Error> {
    let versions = target.ask(conductor, "app_versions").await?;
    let version = object::items(&versions)?.get(1).and_then(Value::as_str);
    let none = || Error::Usage(format!("app {} has no version before the newest", target.app));
    version.map(str::to_owned).ok_or_else(none)
}

fn versions(answer: &Value, output: &mut Output) -> Result<(), Error> {
    let row = |version: &Value| object::arguments([("version", version.clone())]);
    let rows: Vec<_> = object::items(answer)?.iter().map(row).collect();
    Ok(output.rows(&rows, &["version"])?)
}

fn tasks(answer: &Value, output: &mut Output) -> Result<(), Error> {
    Ok(output.rows(&object::rows(answer)?, TASK_COLUMNS)?)
}

/// The reasons as a list, the nearest cause first.
fn diagnosis(answer: &Value, output: &mut Output) -> Result<(), Error> {
    if output.is_json() {
        return Ok(output.json(answer)?);
    }
    let text = |name: &str| answer[name].as_str();
    let name = text("name").or_else(|| text("uuid")).unwrap_or("the app");
    let status = text("status").unwrap_or("without a status");
    let running = if answer["running"] == true { "it is running" } else { "it is not running" };
    output.line(&format!("{name}  {status}  {running}"))?;
    for reason in object::items(&answer["reasons"])? {
        output.line(&format!("- {}", reason.as_str().unwrap_or_default()))?;
    }
    Ok(())
}

async fn delete(
    conductor: &dyn Conductor,
    target: &Target,
    change: &Change,
    output: &mut Output,
) -> Result<(), Error> {
    // Another app may have taken the name before this one is seen to be gone.
    let app = object::get_app(conductor, &target.app, &target.bay).await?;
    let mut args = target.arguments();
    if let Some(uuid) = app.text("uuid") {
        args.insert("app_ident".to_owned(), uuid.into());
    }
    change.add_to(&mut args);
    conductor.call("app_delete", args).await?;
    wait::until_gone(conductor, &app, change.wait, output).await
}

#[cfg(test)]
mod tests;
