//! `schema`: the wire contract, printed or written. It works without a broker, a database or a configuration.

use std::{fs, path::PathBuf};

use clap::Args;

use super::{error::Error, output::Output};
use crate::schema::{ASYNCAPI, Catalogue};

#[derive(Debug, Args)]
pub(super) struct Schema {
    /// The schema to print, such as `bay_create.request`, or `asyncapi` [default: list their names]
    name: Option<String>,
    /// Writes all of them to files below this directory
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    out: Option<PathBuf>,
}

impl Schema {
    pub(super) fn run(self, output: &mut Output) -> Result<(), Error> {
        let catalogue = Catalogue::default();
        if let Some(directory) = self.out {
            let files = catalogue.files();
            for (path, text) in &files {
                let path = directory.join(path);
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)?;
                }
                fs::write(path, text)?;
            }
            output.note(&format!("{} files written to {}", files.len(), directory.display()));
            return Ok(());
        }
        match self.name.as_deref() {
            None => {
                output.line(ASYNCAPI)?;
                Ok(catalogue.names().try_for_each(|name| output.line(name))?)
            }
            Some(ASYNCAPI) => Ok(output.json(&catalogue.asyncapi())?),
            Some(name) => {
                let unknown =
                    || Error::Usage(format!("there is no schema {name}; `schema` alone lists them"));
                Ok(output.json(&catalogue.schema(name).ok_or_else(unknown)?)?)
            }
        }
    }
}
