//! What the worker tells about itself: log lines, metrics, and whether it is well.

pub mod http;
pub mod metrics;

use std::io;

use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{LogFormat, Settings};

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("[telemetry] log_filter {filter:?} is not a filter such as info,mesos_conductor=debug: {reason}")]
    Filter { filter: String, reason: String },
    #[error("a logger is already installed in this process")]
    AlreadyInstalled,
}

/// Sends log lines to standard error; standard output belongs to the results of commands.
///
/// Spans carry `request_id`, `bay` and `operation`, and every line within them shows these fields.
pub fn init(format: LogFormat, filter: &str) -> Result<(), Error> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Error::Filter { filter: filter.to_owned(), reason: error.to_string() })?;
    let layer = match format {
        LogFormat::Text => fmt::layer().with_writer(io::stderr).with_ansi(false).boxed(),
        LogFormat::Json => json_layer(io::stderr).boxed(),
    };
    // A filter of the whole subscriber, not of the layer: a layer's own filter remembers its last answer per thread,
    // and libraries that ask whether they would be heard, and then say nothing, make it swallow the next line.
    tracing_subscriber::registry().with(filter).with(layer).try_init().map_err(|_| Error::AlreadyInstalled)
}

/// lapin logs the bodies of returned messages, which are other people's (I7).
const QUIET: &str = "lapin::returned_messages=off";

/// The filter that the settings ask for. Libraries that log every frame or statement stay at `warn`.
pub fn filter(settings: &Settings) -> String {
    match (&settings.telemetry.log_filter, settings.default.debug) {
        (Some(filter), _) => format!("{filter},{QUIET}"),
        (None, true) => format!("info,mesos_conductor=debug,mesos_conductor_proto=debug,{QUIET}"),
        (None, false) => format!("info,lapin=warn,sqlx=warn,hyper=warn,{QUIET}"),
    }
}

fn json_layer<S, W>(writer: W) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(true).with_writer(writer)
}
