//! Watching what the conductor makes or changes, until nothing changes it any more.

use std::time::Duration;

use clap::Args;
use mesos_conductor_proto::object::Object;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    conductor::Conductor,
    error::Error,
    object::{self, Class},
    output::Output,
};

/// How often to look.
const INTERVAL: Duration = Duration::from_secs(1);

/// A worker that restarts answers again soon; that many silences in a row are something else.
const SILENCES: u32 = 5;

/// Whether to stay until it is done.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Wait {
    /// Waits until it is done, showing progress (the default)
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Returns as soon as the conductor has taken the request
    #[arg(long, overrides_with = "wait")]
    no_wait: bool,
}

/// What is watched, and how it is asked for.
enum Target {
    Bay { uuid: String },
    App { uuid: String, bay: String },
}

impl Target {
    fn of(object: &Object) -> Result<Self, Error> {
        let text = |name: &str| {
            let sent = object.text(name).map(str::to_owned);
            sent.ok_or_else(|| {
                Error::Garbage(format!("the conductor sent {} without {name}", what(object.name())))
            })
        };
        let uuid = text("uuid")?;
        if Class::App.is_of(object) {
            Ok(Self::App { uuid, bay: text("bay_uuid")? })
        } else {
            Ok(Self::Bay { uuid })
        }
    }

    /// What it is called in a sentence.
    fn label(&self) -> String {
        match self {
            Self::Bay { uuid } => format!("bay {uuid}"),
            Self::App { uuid, .. } => format!("app {uuid}"),
        }
    }

    async fn look(&self, conductor: &dyn Conductor) -> Result<Object, Error> {
        match self {
            Self::Bay { uuid } => object::get(conductor, Class::Bay, uuid).await,
            Self::App { uuid, bay } => object::get_app(conductor, uuid, bay).await,
        }
    }

    /// Looks until it is in no `*_IN_PROGRESS` state. `None` when it is gone.
    async fn until_settled(
        &self,
        conductor: &dyn Conductor,
        output: &mut Output,
    ) -> Result<Option<Object>, Error> {
        let settled = self.watch(conductor, output).await;
        output.progress_ends();
        settled
    }

    async fn watch(&self, conductor: &dyn Conductor, output: &mut Output) -> Result<Option<Object>, Error> {
        let began = Instant::now();
        let mut seen = None;
        let mut silences = 0;
        loop {
            match self.look(conductor).await {
                Ok(object) => {
                    silences = 0;
                    let state = state(&object);
                    if seen.as_ref() != Some(&state) {
                        output.progress(&format!("{:>4} s  {state}", began.elapsed().as_secs()));
                        seen = Some(state);
                    }
                    if !is_in_progress(&object) {
                        return Ok(Some(object));
                    }
                }
                Err(error) if error.is_not_found() => return Ok(None),
                Err(error) if error.is_passing() && silences < SILENCES => silences += 1,
                Err(error) => return Err(error),
            }
            sleep(INTERVAL).await;
        }
    }
}

/// Waits if asked to, and prints how the object is then. A failed one is a failure of the command.
pub(super) async fn finish(
    conductor: &dyn Conductor,
    object: Object,
    wait: Wait,
    shown: &[&str],
    output: &mut Output,
) -> Result<(), Error> {
    let mut object = object;
    if wait.no_wait {
        return Ok(output.record(&object::fields(&object), shown)?);
    }
    if is_in_progress(&object) {
        let target = Target::of(&object)?;
        let Some(settled) = target.until_settled(conductor, output).await? else {
            return Err(Error::Ended(format!(
                "{} is gone: it could not be made, or somebody deleted it",
                target.label()
            )));
        };
        object = settled;
    }
    output.record(&object::fields(&object), shown)?;
    if is_failed(&object) { Err(Error::Ended(state(&object))) } else { Ok(()) }
}

/// Waits if asked to until an object that was asked to be deleted is gone.
pub(super) async fn until_gone(
    conductor: &dyn Conductor,
    object: &Object,
    wait: Wait,
    output: &mut Output,
) -> Result<(), Error> {
    let target = Target::of(object)?;
    let label = target.label();
    if wait.no_wait {
        output.note(&format!("{label} is being deleted"));
        return Ok(());
    }
    if let Some(left) = target.until_settled(conductor, output).await? {
        let what = what(left.name());
        return Err(Error::Ended(format!("{what} is still there: {}", state(&left))));
    }
    output.note(&format!("{label} is deleted"));
    Ok(())
}

fn is_in_progress(object: &Object) -> bool {
    object.text("status").is_some_and(|status| status.ends_with("_IN_PROGRESS"))
}

fn is_failed(object: &Object) -> bool {
    object.text("status").is_some_and(|status| status.ends_with("_FAILED"))
}

/// The state with how far its tasks are and its reason, if it has one worth a line.
fn state(object: &Object) -> String {
    let name = object.text("name").or_else(|| object.text("uuid")).unwrap_or("it");
    let status = object.text("status").unwrap_or("without a status");
    let reason = object.text("status_reason").filter(|reason| !reason.is_empty()).map(str::to_owned);
    let parts = [Some(name.to_owned()), Some(status.to_owned()), tasks(object), reason];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// How many of an app's tasks are up. Whether they are healthy is known only where that is checked.
fn tasks(object: &Object) -> Option<String> {
    if !Class::App.is_of(object) {
        return None;
    }
    let fields = object::fields(object);
    let count = |name: &str| fields.get(name).and_then(Value::as_u64);
    let mut text = format!("{} of {} running", count("tasks_running")?, count("instances")?);
    let [healthy, unhealthy] = ["tasks_healthy", "tasks_unhealthy"].map(|name| count(name).unwrap_or(0));
    if healthy + unhealthy > 0 {
        text += &format!(", {healthy} healthy");
    }
    Some(text)
}

fn what(class: &str) -> &'static str {
    if class == "App" { "the app" } else { "the bay" }
}
