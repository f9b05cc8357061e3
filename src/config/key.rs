//! The keys with which secrets in the database are encrypted.
//!
//! They are given by the operator. Only for the embedded database a key is made on the first run, so that a
//! newcomer's worker starts; it is never made when a database is already there, because what that database
//! holds was encrypted with another key.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rand::TryRngCore;
use secrecy::{ExposeSecret, SecretString};

use super::{Settings, validate::is_key};

/// The keys in use: the first one encrypts, all of them decrypt.
#[derive(Debug, Clone)]
pub struct Keys {
    pub keys: Vec<SecretString>,
    /// What the operator should know, such as that a key was made.
    pub warnings: Vec<String>,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("[conductor] encryption_key is not set; make a key with: mesos-conductor config keygen")]
    Missing,
    #[error(
        "{} exists, but its key file {} does not; restore the key file, or set [conductor] encryption_key",
        database.display(), key_file.display()
    )]
    Lost { database: PathBuf, key_file: PathBuf },
    #[error(
        "{}:{line}: not a key; a key is base64 of 32 bytes, as `mesos-conductor config keygen` prints it",
        file.display()
    )]
    Malformed { file: PathBuf, line: usize },
    #[error("{}: the key file holds no key; make one with: mesos-conductor config keygen", file.display())]
    Empty { file: PathBuf },
    #[error("{}: the key file cannot be read or made", file.display())]
    File { file: PathBuf, source: io::Error },
    #[error("the operating system gives no random bytes")]
    Random(#[source] rand::rand_core::OsError),
}

/// A new key, as it is written in a configuration.
pub fn generate() -> Result<SecretString, KeyError> {
    let mut bytes = [0_u8; 32];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).map_err(KeyError::Random)?;
    Ok(STANDARD.encode(bytes).into())
}

/// The keys that the settings name; for the embedded database made on the first run.
pub fn load_or_create(settings: &Settings) -> Result<Keys, KeyError> {
    if !settings.conductor.encryption_key.is_empty() {
        return Ok(Keys { keys: settings.conductor.encryption_key.clone(), warnings: Vec::new() });
    }
    if let Some(file) = &settings.conductor.encryption_key_file {
        return load(file);
    }
    if !settings.database.is_embedded() {
        return Err(KeyError::Missing);
    }
    let Some(database) = settings.database.embedded_file() else {
        let warning = "the database is in memory: its key and all it holds end with this process";
        return Ok(Keys { keys: vec![generate()?], warnings: vec![warning.to_owned()] });
    };
    beside(&database)
}

fn beside(database: &Path) -> Result<Keys, KeyError> {
    let mut name = database.as_os_str().to_owned();
    name.push(".key");
    let file = PathBuf::from(name);
    let at_file = |source| KeyError::File { file: file.clone(), source };
    if file.try_exists().map_err(at_file)? {
        return load(&file);
    }
    // A process that died between making the database's file and writing to it has left it empty.
    if fs::metadata(database).is_ok_and(|found| found.len() > 0) {
        return Err(KeyError::Lost { database: database.to_owned(), key_file: file });
    }
    create(&file, &generate()?).map_err(at_file)?;
    let mut loaded = load(&file)?;
    loaded.warnings.push(format!(
        "made a key for secrets in the database: {}; keep a copy, without it the database cannot be read",
        file.display()
    ));
    Ok(loaded)
}

/// Writes the file whole or not at all, and never over another: of two first runs, both use one key.
fn create(file: &Path, key: &SecretString) -> io::Result<()> {
    let directory =
        file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(directory)?;
    let draft = directory.join(format!(".mesos-conductor-key.{}", uuid::Uuid::new_v4()));
    let written = write_draft(&draft, key).and_then(|()| match fs::hard_link(&draft, file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    // A draft that could not be written need not be there.
    let removed = fs::remove_file(&draft);
    written?;
    removed?;
    fs::File::open(directory)?.sync_all()
}

fn write_draft(draft: &Path, key: &SecretString) -> io::Result<()> {
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    writeln!(out, "# Encrypts the secrets in the database. The first key encrypts, all keys decrypt.")?;
    writeln!(out, "{}", key.expose_secret())?;
    out.sync_all()
}

fn load(file: &Path) -> Result<Keys, KeyError> {
    let at_file = |source| KeyError::File { file: file.to_owned(), source };
    let text = SecretString::from(fs::read_to_string(file).map_err(at_file)?);
    let mut keys = Vec::new();
    for (index, line) in text.expose_secret().lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = SecretString::from(line);
        if !is_key(&key) {
            return Err(KeyError::Malformed { file: file.to_owned(), line: index + 1 });
        }
        keys.push(key);
    }
    if keys.is_empty() {
        return Err(KeyError::Empty { file: file.to_owned() });
    }
    let mode = fs::metadata(file).map_err(at_file)?.permissions().mode();
    let mut warnings = Vec::new();
    if mode & 0o077 != 0 {
        warnings.push(format!("{}: others may read the key file; chmod 600 it", file.display()));
    }
    Ok(Keys { keys, warnings })
}

#[cfg(test)]
mod tests;
