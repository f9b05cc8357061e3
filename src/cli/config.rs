//! `config check`, `config show` and `config keygen`: they work without a broker, a database or a key.

use clap::Subcommand;
use secrecy::ExposeSecret;
use serde_json::json;

use super::{Global, error::Error, output::Output};
use crate::config::{self, Warning};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists every fault and everything that is not used
    Check,
    /// Prints every option as it is in effect, without secrets
    Show {
        /// Prints the commented default file instead
        #[arg(long)]
        defaults: bool,
    },
    /// Prints a new key for secrets in the database
    Keygen,
}

impl Command {
    pub(super) fn run(&self, global: &Global, output: &mut Output) -> Result<(), Error> {
        match self {
            Self::Check => check(global, output),
            Self::Show { defaults: true } => Ok(output.text(&config::default_file())?),
            Self::Show { defaults: false } => show(global, output),
            Self::Keygen => Ok(output.line(config::key::generate()?.expose_secret())?),
        }
    }
}

fn check(global: &Global, output: &mut Output) -> Result<(), Error> {
    let warnings = config::load(&global.sources())?.warnings;
    if output.is_json() {
        let kind = |warning: &Warning| if warning.is_urgent() { "warning" } else { "note" };
        let list: Vec<_> =
            warnings.iter().map(|w| json!({ "kind": kind(w), "text": w.to_string() })).collect();
        return Ok(output.json(&json!(list))?);
    }
    let (urgent, notes): (Vec<_>, Vec<_>) = warnings.iter().partition(|warning| warning.is_urgent());
    for warning in &urgent {
        output.line(&format!("warning: {warning}"))?;
    }
    for note in &notes {
        output.line(&format!("note: {note}"))?;
    }
    let summary = match urgent.len() {
        0 => "the configuration has no faults".to_owned(),
        1 => "the configuration has no faults and 1 warning".to_owned(),
        count => format!("the configuration has no faults and {count} warnings"),
    };
    Ok(output.line(&summary)?)
}

/// Shows what is there even when options do not fit together: that is when people look.
fn show(global: &Global, output: &mut Output) -> Result<(), Error> {
    let effective = config::read(&global.sources())?.effective;
    if output.is_json() {
        output.json(&config::show_json(&effective))?;
    } else {
        output.text(&config::show(&effective))?;
    }
    Ok(())
}
