//! Certificates of bays: an authority for each, what it signs, and where all of it is kept.
//!
//! Making and signing are pure (`key`, `issue`, `request`, `rules`) and take as long as RSA does, so that they are
//! called by way of [`Forge`], off the async threads. Keeping is behind the port [`Certificates`].

mod forge;
mod issue;
pub mod keep;
mod key;
mod request;
mod rules;

use std::fmt;

use secrecy::SecretString;

pub use forge::Forge;
pub use issue::{Authority, NewPair, Node, is_expired};
pub use keep::{Certificates, Label, Role};
pub use key::PrivateKey;
pub(crate) use key::random_text;
pub use rules::{ExtensionName, Rules, UnknownName, Usage};

/// A certificate with its key, as every store keeps it.
#[derive(Clone)]
pub struct Pair {
    /// PEM.
    pub certificate: String,
    /// PEM of PKCS#8, encrypted where there is a passphrase.
    pub private_key: SecretString,
    pub passphrase: Option<SecretString>,
    /// PEM of the certificates between this one and a root; bays have none.
    pub intermediates: Option<String>,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// What can go wrong with making certificates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request for a certificate is none, or not its sender's.
    #[error("{0}")]
    Request(String),
    /// An extension that a request insists on, and that the rules do not let it have.
    #[error("{0}")]
    Extension(String),
    /// A key or a certificate of ours that cannot be used. Holds nothing of either.
    #[error("{0}")]
    Unusable(String),
}

impl Error {
    fn unusable(what: &str, error: impl fmt::Display) -> Self {
        Self::Unusable(format!("{what}: {error}"))
    }
}

#[cfg(test)]
mod tests;
