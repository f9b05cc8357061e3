//! Measures the worker beside three others, in one run and by turns: an oslo.messaging server in Python, the least
//! that a server over lapin can cost, and what the database driver takes for the same statements.
//!
//! The load comes from this process and the servers are processes of their own: their CPU time is read from
//! `/proc`. All of them share the machine with the broker and the database, so calls per second say little of a
//! server; CPU time per call and its ratio to another server's, taken seconds apart, are what to look at.
//!
//! And what watching the frameworks of many bays takes, by their streams of events and by polling.

mod apps;
mod database;
mod driver;
mod figure;
mod load;
mod machine;
mod plot;
mod process;
mod report;
mod run;
mod server;

use std::io::Write as _;

use clap::{Parser, Subcommand};

/// Measures the worker beside other servers of the same calls
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures everything and prints the tables
    Run(run::Options),
    /// Measures what bays with apps take, and prints the tables
    Apps(apps::Options),
    /// Runs the worker's statements by themselves, and prints what that took (started by `run`)
    Driver(driver::Options),
}

fn main() -> anyhow::Result<()> {
    // The client's connections ask for a provider, whether or not they speak TLS.
    rustls::crypto::ring::default_provider().install_default().ok();
    match Cli::parse().command {
        Command::Run(options) => run::run(options),
        Command::Apps(options) => apps::run(options),
        Command::Driver(options) => driver::run(&options),
    }
}

/// Tells the one who waits how far it is.
fn say(text: &str) {
    writeln!(std::io::stderr(), "{text}").ok();
}
