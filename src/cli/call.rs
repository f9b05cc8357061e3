//! `call`: any method, for people who know its arguments.

use std::time::Duration;

use clap::Args;
use mesos_conductor_proto::codec::Map;
use serde_json::Value;

use super::{Global, conductor, error::Error, identity::Identity, output::Output};

#[derive(Debug, Args)]
pub(super) struct Call {
    /// The method, such as `ping_conductor`
    method: String,
    /// Its arguments, as a JSON object
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = parse_object)]
    args: Map,
    /// Seconds to wait for the answer [default: as configured]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    timeout: Option<Duration>,
    /// Sends it without waiting for an answer
    #[arg(long, conflicts_with = "timeout")]
    cast: bool,
    /// Asks one worker by its server name, instead of any
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    #[command(flatten)]
    identity: Identity,
}

/// The message names only the place: a context, which is read here as well, holds a token.
pub(super) fn parse_object(text: &str) -> Result<Map, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err("a JSON object is expected, such as {\"uuid\": \"...\"}".to_owned()),
        Err(error) => Err(format!("not JSON: line {}, column {}", error.line(), error.column())),
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|timeout| !timeout.is_zero()).ok_or_else(|| "a number of seconds is expected".to_owned())
}

impl Call {
    pub(super) async fn run(self, global: &Global, output: &mut Output) -> Result<(), Error> {
        let context = self.identity.context().await?;
        let options = conductor::Options { timeout: self.timeout, server: self.server.clone() };
        let conductor = conductor::connect_with(global, context, options).await?;
        let outcome = self.run_on(&conductor, output).await;
        conductor.close().await;
        outcome
    }

    pub(super) async fn run_on(
        self,
        conductor: &dyn conductor::Conductor,
        output: &mut Output,
    ) -> Result<(), Error> {
        if self.cast {
            conductor.cast(&self.method, self.args).await?;
            output.note("sent");
            return Ok(());
        }
        let answer = conductor.call(&self.method, self.args).await?;
        Ok(output.json(&answer)?)
    }
}
