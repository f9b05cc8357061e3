//! Private keys: RSA, and at rest as encrypted PKCS#8, which OpenSSL and Python read.

use std::fmt;

use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo, SecretDocument};
use rand::Rng as _;
use rsa::Pkcs1v15Sign;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use rsa::rand_core::{OsRng, RngCore as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use x509_cert::der::{Decode as _, pem::PemLabel as _};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::Error;

/// As many rounds as OpenSSL does: the passphrase is random, and need not be stretched.
const ROUNDS: u32 = 2048;
/// Characters of a passphrase: 125 bits.
const PASSPHRASE: usize = 25;
/// Without those that look like others.
const CHARACTERS: &[u8; 32] = b"23456789abcdefghijkmnpqrstuvwxyz";

/// What a signature holds before the digest (RFC 8017, section 9.2), and how long the digest is.
const SHA_256_PREFIX: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
const SHA_256_LENGTH: usize = 32;

/// An RSA key in clear. It is wiped when dropped.
pub struct PrivateKey(SecretDocument);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

impl PrivateKey {
    /// Makes a key with the exponent 65537, and tells the public half. Takes up to seconds.
    pub fn generate(bits: usize) -> Result<(Self, SubjectPublicKeyInfoOwned), Error> {
        let failed = |error: &dyn fmt::Display| Error::unusable("an RSA key cannot be made", error);
        let key = rsa::RsaPrivateKey::new(&mut OsRng, bits).map_err(|error| failed(&error))?;
        let public = key.to_public_key().to_public_key_der().map_err(|error| failed(&error))?;
        let public =
            SubjectPublicKeyInfoOwned::from_der(public.as_bytes()).map_err(|error| failed(&error))?;
        let document = key.to_pkcs8_der().map_err(|error| failed(&error))?;
        Ok((Self(document), public))
    }

    /// Reads a key as a store keeps it: ours, or one that Magnum made.
    pub fn read(pem: &SecretString, passphrase: Option<&SecretString>) -> Result<Self, Error> {
        let failed = |error: &dyn fmt::Display| Error::unusable("a private key cannot be read", error);
        let (label, document) =
            SecretDocument::from_pem(pem.expose_secret()).map_err(|error| failed(&error))?;
        if label == PrivateKeyInfo::PEM_LABEL {
            return Ok(Self(document));
        }
        if label != EncryptedPrivateKeyInfo::PEM_LABEL {
            return Err(failed(&format!("it is a {label}, not PKCS#8")));
        }
        let passphrase = passphrase.ok_or_else(|| failed(&"it is encrypted, and there is no passphrase"))?;
        let encrypted =
            EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(|error| failed(&error))?;
        let clear = encrypted.decrypt(passphrase.expose_secret()).map_err(|error| failed(&error))?;
        Ok(Self(clear))
    }

    /// In clear, for the nodes that use it.
    pub fn to_pem(&self) -> SecretString {
        let pem = self.0.to_pem(PrivateKeyInfo::PEM_LABEL, LineEnding::LF);
        pem.expect("the label is one").as_str().into()
    }

    /// Encrypted with AES-256 and a passphrase of its own.
    pub fn to_encrypted_pem(&self) -> Result<(SecretString, SecretString), Error> {
        let failed = |error: &dyn fmt::Display| Error::unusable("a private key cannot be encrypted", error);
        let passphrase = random_text(PASSPHRASE);
        let (mut salt, mut iv) = ([0; 16], [0; 16]);
        OsRng.fill_bytes(&mut salt);
        OsRng.fill_bytes(&mut iv);
        let scheme =
            pbes2::Parameters::pbkdf2_sha256_aes256cbc(ROUNDS, &salt, &iv).map_err(|error| failed(&error))?;
        let encrypted = PrivateKeyInfo::try_from(self.0.as_bytes())
            .and_then(|key| key.encrypt_with_params(scheme, passphrase.expose_secret()))
            .map_err(|error| failed(&error))?;
        let pem = encrypted.to_pem(EncryptedPrivateKeyInfo::PEM_LABEL, LineEnding::LF);
        Ok((pem.expect("the label is one").as_str().into(), passphrase))
    }

    /// The signature of a certificate. What is signed is blinded, so that the time it takes tells nothing of the key.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |error: &dyn fmt::Display| Error::unusable("a private key cannot sign", error);
        let key = rsa::RsaPrivateKey::from_pkcs8_der(self.0.as_bytes()).map_err(|error| failed(&error))?;
        let padding = Pkcs1v15Sign { hash_len: Some(SHA_256_LENGTH), prefix: SHA_256_PREFIX.into() };
        key.sign_with_rng(&mut OsRng, padding, &Sha256::digest(message)).map_err(|error| failed(&error))
    }
}

/// Random text of small letters and digits: five bits in each.
pub(crate) fn random_text(length: usize) -> SecretString {
    let mut random = rand::rng();
    let any = || char::from(CHARACTERS[random.random_range(0..CHARACTERS.len())]);
    std::iter::repeat_with(any).take(length).collect::<String>().into()
}
