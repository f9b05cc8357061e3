//! Watching a bay until nothing changes it any more.

use std::time::Duration;

use mesos_conductor_proto::object::Object;
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

/// Looks until the bay is in no `*_IN_PROGRESS` state. `None` when it is gone.
pub(super) async fn until_settled(
    conductor: &dyn Conductor,
    uuid: &str,
    output: &mut Output,
) -> Result<Option<Object>, Error> {
    let settled = watch(conductor, uuid, output).await;
    output.progress_ends();
    settled
}

async fn watch(conductor: &dyn Conductor, uuid: &str, output: &mut Output) -> Result<Option<Object>, Error> {
    let began = Instant::now();
    let mut seen = None;
    let mut silences = 0;
    loop {
        match object::get(conductor, Class::Bay, uuid).await {
            Ok(bay) => {
                silences = 0;
                let state = state(&bay);
                if seen.as_ref() != Some(&state) {
                    output.progress(&format!("{:>4} s  {state}", began.elapsed().as_secs()));
                    seen = Some(state);
                }
                if !is_in_progress(&bay) {
                    return Ok(Some(bay));
                }
            }
            Err(error) if error.is_bay_not_found() => return Ok(None),
            Err(error) if error.is_passing() && silences < SILENCES => silences += 1,
            Err(error) => return Err(error),
        }
        sleep(INTERVAL).await;
    }
}

pub(super) fn is_in_progress(bay: &Object) -> bool {
    bay.text("status").is_some_and(|status| status.ends_with("_IN_PROGRESS"))
}

pub(super) fn is_failed(bay: &Object) -> bool {
    bay.text("status").is_some_and(|status| status.ends_with("_FAILED"))
}

/// The state with its reason, if it has one worth a line.
pub(super) fn state(bay: &Object) -> String {
    let name = bay.text("name").or_else(|| bay.text("uuid")).unwrap_or("the bay");
    let status = bay.text("status").unwrap_or("without a status");
    match bay.text("status_reason").filter(|reason| !reason.is_empty()) {
        Some(reason) => format!("{name}  {status}  {reason}"),
        None => format!("{name}  {status}"),
    }
}
