//! The program: everything is in the library, so that tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    // reqwest and lapin take the process's provider; a second installation is no fault.
    rustls::crypto::ring::default_provider().install_default().ok();
    mesos_conductor::cli::main(std::env::args_os())
}
