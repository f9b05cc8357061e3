//! What the worker tells about itself: log lines, metrics, and whether it is well.

pub mod http;
pub mod metrics;

use std::fmt::{self as text, Write as _};
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

/// A text that may repeat what a stranger sent, as part of a line: cut off, and with control characters escaped, so that
/// it neither fills the log nor forges lines in it.
pub struct Brief<T>(pub T);

/// Characters of a [`Brief`] text.
const BRIEF: usize = 300;

impl<T: text::Display> text::Display for Brief<T> {
    fn fmt(&self, f: &mut text::Formatter<'_>) -> text::Result {
        let mut line = Line { left: BRIEF, cut: false, out: f };
        let written = write!(line, "{}", self.0);
        if line.cut { line.out.write_char('…') } else { written }
    }
}

/// Takes so many characters, then refuses more.
struct Line<'a, 'f> {
    left: usize,
    cut: bool,
    out: &'a mut text::Formatter<'f>,
}

impl text::Write for Line<'_, '_> {
    fn write_str(&mut self, part: &str) -> text::Result {
        for character in part.chars() {
            let Some(left) = self.left.checked_sub(1) else {
                self.cut = true;
                return Err(text::Error);
            };
            self.left = left;
            if character.is_control() {
                write!(self.out, "{}", character.escape_default())?;
            } else {
                self.out.write_char(character)?;
            }
        }
        Ok(())
    }
}

fn json_layer<S, W>(writer: W) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(true).with_writer(writer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brief_text_is_one_short_line() {
        assert_eq!(Brief("no such method é").to_string(), "no such method é");
        assert_eq!(Brief("a\nWARN b\u{1b}[31m").to_string(), "a\\nWARN b\\u{1b}[31m");
        let long = Brief("x".repeat(1_000_000)).to_string();
        assert_eq!((long.chars().count(), long.chars().last()), (BRIEF + 1, Some('…')));
        assert_eq!(Brief("x".repeat(BRIEF)).to_string().len(), BRIEF);
    }
}
