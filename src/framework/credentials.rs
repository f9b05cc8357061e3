//! Who the worker is to a framework, for each bay: one answer for all, or a file that tells them apart.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;
use uuid::Uuid;

/// The entry of the file for bays that have none of their own.
const ANY: &str = "*";

/// How the worker proves who it is, and whom it believes.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    pub login: Login,
    /// The authorities that may sign the masters' certificates, instead of the system's.
    pub ca_file: Option<PathBuf>,
    pub tls: bool,
}

#[derive(Debug, Clone, Default)]
pub enum Login {
    #[default]
    None,
    Basic {
        username: String,
        password: SecretString,
    },
    /// Sent as `Authorization: token=...`.
    Token(SecretString),
}

/// The credentials of every bay.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    bays: BTreeMap<Uuid, Credentials>,
    any: Credentials,
}

/// Why the file cannot be used. Says nothing of what is in it.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsFault {
    #[error("{}: cannot be read", .0.display())]
    File(PathBuf, #[source] io::Error),
    #[error("{}: is no JSON object of bays' uuids or \"*\" (line {line}, column {column})", file.display())]
    Form { file: PathBuf, line: usize, column: usize },
    #[error("{}: {bay:?} is neither a bay's uuid nor \"*\"", file.display())]
    Key { file: PathBuf, bay: String },
    #[error("{}: {bay}: {problem}", file.display())]
    Entry { file: PathBuf, bay: String, problem: &'static str },
}

/// One entry of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    username: Option<String>,
    password: Option<SecretString>,
    token: Option<SecretString>,
    ca_file: Option<PathBuf>,
    tls: Option<bool>,
}

impl Keyring {
    /// The same for every bay.
    pub fn of(any: Credentials) -> Self {
        Self { bays: BTreeMap::new(), any }
    }

    /// What the file says, and `otherwise` for bays that it does not cover.
    pub fn read(file: &Path, otherwise: Credentials) -> Result<Self, CredentialsFault> {
        let text = std::fs::read(file).map_err(|fault| CredentialsFault::File(file.to_owned(), fault))?;
        // serde's words could repeat a password that stands in the wrong place.
        let entries: BTreeMap<String, Entry> = serde_json::from_slice(&text).map_err(|fault| {
            CredentialsFault::Form { file: file.to_owned(), line: fault.line(), column: fault.column() }
        })?;
        let mut keyring = Self::of(otherwise);
        for (bay, entry) in entries {
            let credentials = entry.credentials().map_err(|problem| CredentialsFault::Entry {
                file: file.to_owned(),
                bay: bay.clone(),
                problem,
            })?;
            if bay == ANY {
                keyring.any = credentials;
                continue;
            }
            let uuid = bay.parse().map_err(|_| CredentialsFault::Key { file: file.to_owned(), bay })?;
            keyring.bays.insert(uuid, credentials);
        }
        Ok(keyring)
    }

    /// What is said of this bay by its uuid.
    pub fn named(&self, bay: Uuid) -> Option<&Credentials> {
        self.bays.get(&bay)
    }

    /// What is said of bays that are not named.
    pub fn any(&self) -> &Credentials {
        &self.any
    }
}

impl Entry {
    fn credentials(self) -> Result<Credentials, &'static str> {
        let tls = self.tls.unwrap_or_else(|| self.ca_file.is_some());
        if self.ca_file.is_some() && !tls {
            return Err("ca_file without tls does nothing");
        }
        let login = Login::new(self.username, self.password, self.token)?;
        Ok(Credentials { login, ca_file: self.ca_file, tls })
    }
}

impl Login {
    /// From what may be configured; the fault says what does not fit together.
    pub fn new(
        username: Option<String>,
        password: Option<SecretString>,
        token: Option<SecretString>,
    ) -> Result<Self, &'static str> {
        match (username, password, token) {
            (None, None, None) => Ok(Self::None),
            (Some(username), Some(password), None) => Ok(Self::Basic { username, password }),
            (None, None, Some(token)) => Ok(Self::Token(token)),
            (None, Some(_), None) | (Some(_), None, None) => Err("needs both a username and a password"),
            (_, _, Some(_)) => Err("has a token besides a username or password: keep one of them"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Keyring, CredentialsFault> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Keyring::read(file.path(), Credentials::default())
    }

    #[test]
    fn a_bay_has_its_own_credentials_or_those_of_all() {
        let bay = Uuid::new_v4();
        let text = format!(
            r#"{{"{bay}": {{"username": "u", "password": "p"}}, "*": {{"token": "t", "ca_file": "/ca.pem"}}}}"#
        );
        let keyring = read(&text).unwrap();
        assert!(
            matches!(&keyring.named(bay).unwrap().login, Login::Basic { username, .. } if username == "u")
        );
        assert!(!keyring.named(bay).unwrap().tls);
        assert!(keyring.named(Uuid::new_v4()).is_none());
        let other = keyring.any();
        assert!(matches!(other.login, Login::Token(_)));
        assert!(other.tls, "an authority is for TLS");
    }

    #[test]
    fn faults_name_the_bay_and_no_secret() {
        for (text, expected) in [
            ("[]", "is no JSON object"),
            (r#"{"*": "hunter2"}"#, "is no JSON object"),
            (r#"{"x": {"token": "hunter2"}}"#, "\"x\" is neither"),
            (r#"{"*": {"password": "hunter2"}}"#, "*: needs both"),
            (r#"{"*": {"token": "hunter2", "username": "u"}}"#, "*: has a token besides"),
            (r#"{"*": {"passwort": "hunter2"}}"#, "is no JSON object"),
            (r#"{"*": {"ca_file": "/a", "tls": false}}"#, "*: ca_file without tls"),
        ] {
            let fault = read(text).unwrap_err().to_string();
            assert!(fault.contains(expected), "{text}: {fault}");
            assert!(!fault.contains("hunter2"), "{fault}");
        }
        assert!(!format!("{:?}", read(r#"{"*": {"token": "hunter2"}}"#).unwrap()).contains("hunter2"));
    }
}
