//! The command line: the worker itself, and a client of it for people.

mod app;
mod bay;
mod baymodel;
mod call;
mod conductor;
mod config;
mod db;
mod deployment;
mod doctor;
mod error;
mod identity;
mod object;
mod output;
mod schema;
mod serve;
mod set_aside;
mod wait;
mod watch;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use self::{
    error::{Error, USAGE},
    output::{Format, Output},
};
use crate::config::{Loaded, Sources};

/// The arguments of the program.
#[derive(Debug, Parser)]
#[command(
    name = "mesos-conductor",
    version,
    max_term_width = 100,
    about = "A conductor for Mesos bays: serves Magnum's RPC over RabbitMQ and builds the bays with Heat",
    long_about = None
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
struct Global {
    /// A configuration file: magnum.conf or TOML; may be given several times, later ones win
    #[arg(long, global = true, value_name = "FILE", help_heading = "Configuration")]
    config_file: Vec<PathBuf>,
    /// A directory of configuration files, read after the files
    #[arg(long, global = true, value_name = "DIR", help_heading = "Configuration")]
    config_dir: Vec<PathBuf>,
    /// Sets one option, over files and environment
    #[arg(long = "set", global = true, value_name = "SECTION.OPTION=VALUE", help_heading = "Configuration")]
    overrides: Vec<String>,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Global {
    fn sources(&self) -> Sources {
        Sources::of_process(self.config_file.clone(), self.config_dir.clone(), self.overrides.clone())
    }

    /// The configuration of a client of the conductor.
    fn client_configuration(&self) -> Result<Loaded, Error> {
        Ok(crate::config::read(&self.sources())?)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a worker
    Serve,
    /// Calls any method of the conductor
    Call(call::Call),
    /// Creates, shows, scales and deletes bays
    #[command(subcommand)]
    Bay(bay::Command),
    /// Creates, shows and deletes bay models
    #[command(subcommand, name = "baymodel", visible_alias = "bay-model")]
    BayModel(baymodel::Command),
    /// Creates, shows, changes and deletes apps on a bay
    #[command(subcommand)]
    App(Box<app::Command>),
    /// Lists and ends the deployments of a bay
    #[command(subcommand)]
    Deployment(deployment::Command),
    /// Prints notifications as they come
    Watch(watch::Watch),
    /// Prepares the database
    #[command(subcommand)]
    Db(db::Command),
    /// Lists, retries and drops messages that came back too often
    #[command(subcommand)]
    SetAside(set_aside::Command),
    /// Checks whether a worker could work: configuration, broker, database, Keystone
    Doctor(doctor::Doctor),
    /// Checks and shows the configuration
    #[command(subcommand)]
    Config(config::Command),
    /// Prints or writes the wire contract: JSON Schemas and an AsyncAPI document
    Schema(schema::Schema),
}

/// Runs the program. Exit codes are those of sysexits.h, so that a service manager can tell them apart.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for; everything else is a fault of usage.
            let code = if error.use_stderr() { USAGE } else { 0 };
            return if error.print().is_ok() { ExitCode::from(code) } else { ExitCode::FAILURE };
        }
    };
    let mut output = Output::of_process(cli.global.format);
    match run(cli, &mut output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.fault(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(cli: Cli, output: &mut Output) -> Result<(), Error> {
    let Cli { global, command } = cli;
    // These need neither a runtime nor a valid configuration.
    if let Command::Config(command) = command {
        return command.run(&global, output);
    }
    if let Command::Schema(command) = command {
        return command.run(output);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::Runtime)?;
    runtime.block_on(async {
        match command {
            Command::Serve => serve::run(&global).await,
            Command::Call(command) => command.run(&global, output).await,
            Command::Bay(command) => command.run(&global, output).await,
            Command::BayModel(command) => command.run(&global, output).await,
            Command::App(command) => command.run(&global, output).await,
            Command::Deployment(command) => command.run(&global, output).await,
            Command::Watch(command) => command.run(&global, output).await,
            Command::Db(command) => command.run(&global, output).await,
            Command::Doctor(command) => command.run(&global, output).await,
            Command::SetAside(command) => command.run(&global, output).await,
            Command::Config(command) => command.run(&global, output),
            Command::Schema(command) => command.run(output),
        }
    })
}

#[cfg(test)]
mod tests;
