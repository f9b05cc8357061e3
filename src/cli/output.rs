//! Everything the program prints. Results go to standard output, progress and faults to standard error.

use std::{
    error::Error as StdError,
    io::{self, IsTerminal, Write},
};

use clap::ValueEnum;
use serde_json::{Map, Value};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
}

/// Where a command prints.
pub(super) struct Output {
    format: Format,
    results: Box<dyn Write + Send>,
    progress: Progress,
}

/// A terminal gets one line that changes, everything else one line per change.
struct Progress {
    to: Box<dyn Write + Send>,
    rewrites: bool,
    /// The width of the line that the next one must cover.
    width: usize,
}

impl Output {
    pub(super) fn of_process(format: Format) -> Self {
        let rewrites = io::stderr().is_terminal();
        Self::new(format, Box::new(io::stdout()), Box::new(io::stderr()), rewrites)
    }

    pub(super) fn new(
        format: Format,
        results: Box<dyn Write + Send>,
        progress: Box<dyn Write + Send>,
        rewrites: bool,
    ) -> Self {
        Self { format, results, progress: Progress { to: progress, rewrites, width: 0 } }
    }

    pub(super) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        self.results.write_all(text.as_bytes())?;
        self.results.flush()
    }

    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.results, "{text}")?;
        self.results.flush()
    }

    pub(super) fn json(&mut self, value: &Value) -> io::Result<()> {
        self.line(&format!("{value:#}"))
    }

    /// One thing: a line per field, or the JSON object.
    pub(super) fn record(&mut self, fields: &Map<String, Value>, shown: &[&str]) -> io::Result<()> {
        if self.is_json() {
            return self.json(&Value::Object(fields.clone()));
        }
        let present: Vec<_> = shown.iter().filter_map(|name| Some((name, fields.get(*name)?))).collect();
        let width = present.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in present {
            self.line(format!("{name:width$}  {}", plain(value)).trim_end())?;
        }
        Ok(())
    }

    /// Several things: a row each, or the JSON list.
    pub(super) fn rows(&mut self, rows: &[Map<String, Value>], columns: &[&str]) -> io::Result<()> {
        if self.is_json() {
            return self.json(&rows.iter().cloned().map(Value::Object).collect());
        }
        let cell = |row: &Map<String, Value>, column: &str| row.get(column).map_or_else(String::new, plain);
        let mut table = vec![columns.iter().map(|column| column.to_uppercase()).collect::<Vec<_>>()];
        table.extend(rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()));
        let widths: Vec<_> = (0..columns.len())
            .map(|index| table.iter().map(|row| row[index].chars().count()).max().unwrap_or(0))
            .collect();
        for row in table {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            self.line(cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }

    /// Says how far it is. A progress that cannot be printed must not stop what it tells about.
    pub(super) fn progress(&mut self, text: &str) {
        self.progress.say(text).ok();
    }

    /// Ends the line that progress has been rewriting.
    pub(super) fn progress_ends(&mut self) {
        self.progress.end().ok();
    }

    /// A line of standard error that is no progress.
    pub(super) fn note(&mut self, text: &str) {
        self.progress.end().ok();
        writeln!(self.progress.to, "{text}").ok();
    }

    /// The fault and its causes, on standard error.
    pub(super) fn fault(&mut self, error: &dyn StdError) {
        let mut text = format!("mesos-conductor: {error}");
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        self.note(&text);
    }
}

impl Progress {
    fn say(&mut self, text: &str) -> io::Result<()> {
        if self.rewrites {
            let width = self.width;
            write!(self.to, "\r{text:width$}")?;
            self.width = text.chars().count();
        } else {
            writeln!(self.to, "{text}")?;
        }
        self.to.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        if self.width > 0 {
            self.width = 0;
            writeln!(self.to)?;
        }
        Ok(())
    }
}

/// A value as people read it in a table.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{name}={}", plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
