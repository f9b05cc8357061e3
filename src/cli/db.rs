//! `db migrate|status`.

use clap::Subcommand;

use super::{Global, error::Error, output::Output};

#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum Command {
    /// Brings the database to this program's schema
    Migrate,
    /// Lists what has been applied and what has not
    Status,
}

impl Command {
    pub(super) async fn run(self, global: &Global, _output: &mut Output) -> Result<(), Error> {
        let _settings = crate::config::load(&global.sources())?.settings;
        Err(Error::Unreachable("not connected".to_owned()))
    }
}
