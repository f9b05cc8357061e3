//! `serve`: the worker.

use super::{Global, error::Error};
use crate::{config, telemetry, worker};

pub(super) async fn run(global: &Global) -> Result<(), Error> {
    // Faults are told on standard error by the caller: there is no logging before there are settings.
    let loaded = config::load(&global.sources())?;
    let settings = loaded.settings;
    telemetry::init(settings.telemetry.log_format, &telemetry::filter(&settings))?;
    for warning in loaded.warnings {
        if warning.is_urgent() {
            tracing::warn!("{warning}");
        } else {
            tracing::debug!("{warning}");
        }
    }
    // Everything that a worker is: much for whoever else is run by the command line.
    Ok(Box::pin(worker::serve(settings)).await?)
}
