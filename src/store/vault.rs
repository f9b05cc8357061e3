//! Secrets at rest: every secret column holds what this seals, bound to its place by associated data.
//!
//! A sealed value is `enc:v1:` and the base64 of nonce and ciphertext. Magnum wrote its secrets in clear into
//! columns of 255 characters: those are read as they are and sealed at the next write.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use chacha20poly1305::aead::{Aead, AeadCore, KeyInit, OsRng, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretString};

const PREFIX: &str = "enc:v1:";
const NONCE: usize = 24;

/// A failure of the vault. No text of it holds key or secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no encryption key is configured")]
    NoKey,
    #[error("encryption key {number} is not the base64 of 32 bytes")]
    Key { number: usize },
    #[error("a value of {context} was sealed with a key that is not configured, or was tampered with")]
    Unopenable { context: String },
}

/// The keys: the first seals, all of them open, so that a new key can be put in front of the old one.
pub struct Vault {
    keys: Vec<XChaCha20Poly1305>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl Vault {
    /// Takes keys as [`Vault::generate_key`] makes them.
    pub fn new(keys: &[SecretString]) -> Result<Self, Error> {
        if keys.is_empty() {
            return Err(Error::NoKey);
        }
        let keys = keys.iter().enumerate().map(|(at, key)| cipher(key).ok_or(Error::Key { number: at + 1 }));
        Ok(Self { keys: keys.collect::<Result<_, _>>()? })
    }

    /// A new key: base64 of 32 random bytes.
    pub fn generate_key() -> SecretString {
        STANDARD.encode(XChaCha20Poly1305::generate_key(&mut OsRng)).into()
    }

    /// Seals bytes for the place that `context` names; opened under another context they are refused.
    pub(crate) fn seal(&self, context: &str, clear: &[u8]) -> String {
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let payload = Payload { msg: clear, aad: context.as_bytes() };
        let sealed = self.keys[0].encrypt(&nonce, payload).expect("a buffer in memory takes any length");
        format!("{PREFIX}{}", STANDARD_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// Opens what [`Vault::seal`] made. A clear value is refused: our own tables never held one.
    pub(crate) fn open(&self, context: &str, stored: &str) -> Result<Vec<u8>, Error> {
        self.try_open(context, stored).ok_or_else(|| Error::Unopenable { context: context.to_owned() })
    }

    /// Opens a secret of one of Magnum's columns, which may be in clear.
    pub(crate) fn reveal(&self, context: &str, stored: String) -> Result<SecretString, Error> {
        if !stored.starts_with(PREFIX) {
            return Ok(stored.into());
        }
        let clear = String::from_utf8(self.open(context, &stored)?);
        clear.map(Into::into).map_err(|_| Error::Unopenable { context: context.to_owned() })
    }

    fn try_open(&self, context: &str, stored: &str) -> Option<Vec<u8>> {
        let sealed = STANDARD_NO_PAD.decode(stored.strip_prefix(PREFIX)?).ok()?;
        let (nonce, msg) = sealed.split_at_checked(NONCE)?;
        let payload = |_| Payload { msg, aad: context.as_bytes() };
        self.keys.iter().find_map(|key| key.decrypt(XNonce::from_slice(nonce), payload(())).ok())
    }
}

fn cipher(key: &SecretString) -> Option<XChaCha20Poly1305> {
    let bytes = STANDARD.decode(key.expose_secret().trim()).ok()?;
    XChaCha20Poly1305::new_from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(keys: &[&SecretString]) -> Vault {
        Vault::new(&keys.iter().map(|key| (*key).clone()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_only_in_its_place_and_untouched() {
        let vault = vault(&[&Vault::generate_key()]);
        let sealed = vault.seal("operation.token:1", b"secret");
        assert_eq!(vault.open("operation.token:1", &sealed).unwrap(), b"secret");
        assert!(vault.open("operation.token:2", &sealed).is_err());
        let last = sealed.chars().last().unwrap();
        let tampered =
            format!("{}{}", sealed.strip_suffix(last).unwrap(), if last == 'A' { 'Q' } else { 'A' });
        assert!(vault.open("operation.token:1", &tampered).is_err());
        assert!(vault.open("operation.token:1", "enc:v1:AAAA").is_err());
    }

    #[test]
    fn an_old_key_still_opens_and_the_new_one_seals() {
        let (old, new) = (Vault::generate_key(), Vault::generate_key());
        let before = vault(&[&old]).seal("c", b"x");
        let rotated = vault(&[&new, &old]);
        assert_eq!(rotated.open("c", &before).unwrap(), b"x");
        let after = rotated.seal("c", b"x");
        assert!(vault(&[&old]).open("c", &after).is_err());
        assert_eq!(vault(&[&new]).open("c", &after).unwrap(), b"x");
    }

    #[test]
    fn clear_text_is_read_in_magnum_columns_and_refused_in_ours() {
        let vault = vault(&[&Vault::generate_key()]);
        assert_eq!(vault.reveal("c", "clear".into()).unwrap().expose_secret(), "clear");
        assert!(vault.open("c", "clear").is_err());
    }

    #[test]
    fn a_long_password_fits_magnum_column() {
        let sealed = vault(&[&Vault::generate_key()]).seal("cluster.trustee_password", &[b'x'; 128]);
        assert!(sealed.len() <= 255, "{} characters", sealed.len());
    }

    #[test]
    fn a_bad_key_is_named_by_its_number_and_not_shown() {
        let error = Vault::new(&[Vault::generate_key(), SecretString::from("c2hvcnQ=")]).unwrap_err();
        assert_eq!(error.to_string(), "encryption key 2 is not the base64 of 32 bytes");
        assert!(matches!(Vault::new(&[]), Err(Error::NoKey)));
    }
}
