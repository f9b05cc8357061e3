//! Pairs in files of one directory, by the names that Magnum gives them. For one worker, or for several that share the
//! directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::{Certificates, Error, Label, Result};
use crate::certificate::Pair;

/// The certificate comes last when a pair is written: with it the pair is complete.
const PARTS: [&str; 4] = ["pass", "int", "key", "crt"];

pub struct Local {
    directory: PathBuf,
}

impl Local {
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Files are read and written off the async threads.
    async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Path) -> Result<T> + Send + 'static,
    {
        let directory = self.directory.clone();
        let done = tokio::task::spawn_blocking(move || work(&directory)).await;
        done.unwrap_or_else(|error| Err(Error::Unusable(format!("Certificates could not be used: {error}"))))
    }
}

#[async_trait]
impl Certificates for Local {
    async fn put(&self, label: &Label, pair: &Pair, _: Duration) -> Result<String> {
        let (uuid, pair) = (label.pair, pair.clone());
        self.run(move |directory| {
            if !file(directory, uuid, "crt").exists() {
                let failed =
                    |error| Error::File { what: "Certificate could not be written".to_owned(), error };
                write(directory, uuid, &pair).map_err(failed)?;
            }
            Ok(uuid.to_string())
        })
        .await
    }

    async fn find(&self, label: &Label, _: Duration) -> Result<Option<String>> {
        let uuid = label.pair;
        self.run(move |directory| Ok(file(directory, uuid, "crt").exists().then(|| uuid.to_string()))).await
    }

    async fn get(&self, reference: &str, _: Duration) -> Result<Option<Pair>> {
        let Ok(uuid) = Uuid::parse_str(reference) else { return Ok(None) };
        self.run(move |directory| read(directory, uuid)).await
    }

    async fn delete(&self, reference: &str, _: Duration) -> Result<()> {
        let Ok(uuid) = Uuid::parse_str(reference) else { return Ok(()) };
        self.run(move |directory| {
            for part in PARTS.iter().rev() {
                match fs::remove_file(file(directory, uuid, part)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(Error::File {
                            what: "Certificate could not be deleted".to_owned(),
                            error,
                        });
                    }
                    Ok(()) | Err(_) => {}
                }
            }
            Ok(())
        })
        .await
    }

    async fn forget(&self, label: &Label, within: Duration) -> Result<()> {
        self.delete(&label.pair.to_string(), within).await
    }
}

fn file(directory: &Path, uuid: Uuid, part: &str) -> PathBuf {
    directory.join(format!("{uuid}.{part}"))
}

fn write(directory: &Path, uuid: Uuid, pair: &Pair) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let exposed = |secret: &SecretString| secret.expose_secret().to_owned();
    for part in PARTS {
        let text = match part {
            "pass" => pair.passphrase.as_ref().map(exposed),
            "int" => pair.intermediates.clone(),
            "key" => Some(exposed(&pair.private_key)),
            _ => Some(pair.certificate.clone()),
        };
        let Some(text) = text else { continue };
        let unfinished = file(directory, uuid, &format!("{part}.new"));
        let mut options = OpenOptions::new();
        let mut written = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        written.write_all(text.as_bytes())?;
        written.sync_all()?;
        fs::rename(unfinished, file(directory, uuid, part))?;
    }
    File::open(directory)?.sync_all()
}

fn read(directory: &Path, uuid: Uuid) -> Result<Option<Pair>> {
    let read = |part: &str, what: &str| match fs::read_to_string(file(directory, uuid, part)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::File { what: format!("{what} could not be read"), error }),
    };
    let Some(certificate) = read("crt", "Certificate")? else { return Ok(None) };
    let Some(private_key) = read("key", "Private Key")? else {
        return Err(Error::Unusable("Private Key could not be read.".to_owned()));
    };
    Ok(Some(Pair {
        certificate,
        private_key: private_key.into(),
        passphrase: read("pass", "Private Key Passphrase")?.map(Into::into),
        intermediates: read("int", "Intermediates")?,
    }))
}
