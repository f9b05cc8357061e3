//! Certificates as bays need them: an authority of its own for each, and what it signs.
//!
//! The forms are Magnum's, so that what reads its certificates reads these.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use secrecy::SecretString;
use uuid::Uuid;
use x509_cert::Certificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::certificate::{TbsCertificate, Version};
use x509_cert::der::asn1::{Any, BitString, GeneralizedTime, Ia5String, OctetString, SetOfVec, UtcTime};
use x509_cert::der::oid::AssociatedOid;
use x509_cert::der::oid::db::rfc4519::COMMON_NAME;
use x509_cert::der::oid::db::rfc5280::{ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH};
use x509_cert::der::oid::db::rfc5912::SHA_256_WITH_RSA_ENCRYPTION;
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{DateTime, Decode, DecodePem as _, Encode, EncodePem as _, Tag};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

use super::{Error, Pair, PrivateKey};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest common name that X.509 knows.
const LONGEST_NAME: usize = 64;
/// Whose certificate the conductor's own is, as Magnum names it.
const CLIENT_NAME: &str = "Magnum-Conductor";

/// A key that is still without a certificate: its own half, and what is public of it.
pub type NewPair = (PrivateKey, SubjectPublicKeyInfoOwned);

/// What a node of a bay shows to others: one for all of its nodes.
#[derive(Debug, Clone)]
pub struct Node {
    /// PEM.
    pub certificate: String,
    /// PEM, in clear.
    pub key: SecretString,
}

/// What signs a bay's certificates.
#[derive(Debug)]
pub struct Authority {
    certificate: Certificate,
    key: PrivateKey,
    valid_for: Duration,
}

/// What is signed.
pub(super) struct Contents {
    pub(super) subject: Name,
    pub(super) public_key: SubjectPublicKeyInfoOwned,
    pub(super) extensions: Vec<Extension>,
}

impl Authority {
    /// A new authority that has signed itself, and how it is kept.
    pub fn create((key, public_key): NewPair, name: &str, days: u32) -> Result<(Self, Pair), Error> {
        let subject = common_name(name)?;
        let valid_for = DAY * days;
        let extensions = vec![
            // Where Magnum allows no authority below this one: its successor is to be there (see `cross`).
            extension(&BasicConstraints { ca: true, path_len_constraint: None }, true)?,
            extension(&KeyUsage(KeyUsages::KeyCertSign.into()), true)?,
        ];
        let contents = Contents { subject: subject.clone(), public_key, extensions };
        let certificate = signed(&key, subject, contents, validity(valid_for)?)?;
        let pair = pair(&certificate, &key)?;
        Ok((Self { certificate, key, valid_for }, pair))
    }

    /// An authority as a store keeps it.
    pub fn open(pair: &Pair, days: u32) -> Result<Self, Error> {
        let certificate = read(&pair.certificate)?;
        let key = PrivateKey::read(&pair.private_key, pair.passphrase.as_ref())?;
        Ok(Self { certificate, key, valid_for: DAY * days })
    }

    /// PEM.
    pub fn certificate(&self) -> Result<String, Error> {
        pem(&self.certificate)
    }

    /// The certificate with which the conductor itself goes to the bay.
    pub fn client(&self, (key, public_key): NewPair) -> Result<Pair, Error> {
        let extensions = vec![
            extension(&usage(), true)?,
            extension(&ExtendedKeyUsage(vec![ID_KP_CLIENT_AUTH]), false)?,
            extension(&BasicConstraints { ca: false, path_len_constraint: None }, true)?,
        ];
        let contents = Contents { subject: common_name(CLIENT_NAME)?, public_key, extensions };
        pair(&self.sign(contents)?, &key)
    }

    /// The certificate that every node of a bay serves with, and goes to the others with.
    pub fn node(&self, (key, public_key): NewPair, name: &str) -> Result<Node, Error> {
        let names =
            [name, "localhost"].into_iter().map(|name| Ia5String::new(name).map(GeneralName::DnsName));
        let names = names.collect::<Result<Vec<_>, _>>().map_err(encoding)?;
        let extensions = vec![
            extension(&usage(), true)?,
            extension(&ExtendedKeyUsage(vec![ID_KP_SERVER_AUTH, ID_KP_CLIENT_AUTH]), false)?,
            extension(&SubjectAltName(names), false)?,
            extension(&BasicConstraints { ca: false, path_len_constraint: None }, true)?,
        ];
        let contents = Contents { subject: common_name(name)?, public_key, extensions };
        Ok(Node { certificate: pem(&self.sign(contents)?)?, key: key.to_pem() })
    }

    /// The certificate of another authority as this one signs it: with it on the way, whoever trusts this one trusts
    /// what the other has signed (RFC 4210, section 4.4: new with old). No longer good than this one is.
    pub fn cross(&self, other: &str) -> Result<String, Error> {
        let own = &self.certificate.tbs_certificate;
        if !allows_authorities(own)? {
            return Err(Error::Unusable("an authority may not sign another".to_owned()));
        }
        let other = read(other)?.tbs_certificate;
        let mut validity = validity(self.valid_for)?;
        let ends = [own.validity.not_after, other.validity.not_after, validity.not_after];
        validity.not_after =
            ends.into_iter().min_by_key(|end| end.to_unix_duration()).expect("there are three");
        if validity.not_after.to_unix_duration() < now() {
            return Err(Error::Unusable("an authority is out of date".to_owned()));
        }
        let contents = Contents {
            subject: other.subject,
            public_key: other.subject_public_key_info,
            extensions: other.extensions.unwrap_or_default(),
        };
        pem(&signed(&self.key, own.subject.clone(), contents, validity)?)
    }

    pub(super) fn sign(&self, contents: Contents) -> Result<Certificate, Error> {
        // Its own name as it stands there, which the bay's may not be any more.
        let issuer = self.certificate.tbs_certificate.subject.clone();
        signed(&self.key, issuer, contents, validity(self.valid_for)?)
    }
}

/// Whether a certificate that can be read is good no more.
pub fn is_expired(certificate: &str) -> bool {
    let ends = |read: Certificate| read.tbs_certificate.validity.not_after.to_unix_duration();
    read(certificate).is_ok_and(|certificate| ends(certificate) < now())
}

/// Any limit counts as none allowed: successors have successors.
fn allows_authorities(of: &TbsCertificate) -> Result<bool, Error> {
    let constraints = of.get::<BasicConstraints>();
    let found = constraints.map_err(|error| Error::unusable("an authority cannot be read", error))?;
    Ok(found.is_some_and(|(_, found)| found.ca && found.path_len_constraint.is_none()))
}

fn read(pem: &str) -> Result<Certificate, Error> {
    let read = Certificate::from_pem(pem);
    read.map_err(|error| Error::unusable("an authority's certificate cannot be read", error))
}

pub(super) fn pem(certificate: &Certificate) -> Result<String, Error> {
    certificate.to_pem(LineEnding::LF).map_err(encoding)
}

fn pair(certificate: &Certificate, key: &PrivateKey) -> Result<Pair, Error> {
    let (private_key, passphrase) = key.to_encrypted_pem()?;
    Ok(Pair {
        certificate: pem(certificate)?,
        private_key,
        passphrase: Some(passphrase),
        intermediates: None,
    })
}

fn usage() -> KeyUsage {
    KeyUsage(KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment)
}

pub(super) fn extension<T: AssociatedOid + Encode>(value: &T, critical: bool) -> Result<Extension, Error> {
    let value = value.to_der().and_then(OctetString::new).map_err(encoding)?;
    Ok(Extension { extn_id: T::OID, critical, extn_value: value })
}

fn signed(
    key: &PrivateKey,
    issuer: Name,
    contents: Contents,
    validity: Validity,
) -> Result<Certificate, Error> {
    let Contents { subject, public_key, extensions } = contents;
    let algorithm = AlgorithmIdentifierOwned {
        oid: SHA_256_WITH_RSA_ENCRYPTION,
        parameters: Some(Any::new(Tag::Null, Vec::new()).map_err(encoding)?),
    };
    let tbs_certificate = TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(Uuid::new_v4().as_bytes()).map_err(encoding)?,
        signature: algorithm.clone(),
        issuer,
        validity,
        subject,
        subject_public_key_info: public_key,
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: (!extensions.is_empty()).then_some(extensions),
    };
    let signature = key.sign(&tbs_certificate.to_der().map_err(encoding)?)?;
    let signature = BitString::from_bytes(&signature).map_err(encoding)?;
    Ok(Certificate { tbs_certificate, signature_algorithm: algorithm, signature })
}

/// From a day ago, for whose clock is late, until so long from now.
fn validity(valid_for: Duration) -> Result<Validity, Error> {
    let now = now();
    Ok(Validity { not_before: time(now.saturating_sub(DAY))?, not_after: time(now + valid_for)? })
}

/// In whole seconds, as X.509 has them.
fn now() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(now.as_secs())
}

/// X.509 writes years with two digits until 2049.
fn time(since_epoch: Duration) -> Result<Time, Error> {
    let date = DateTime::from_unix_duration(since_epoch).map_err(encoding)?;
    if date.year() < 2050 {
        return UtcTime::from_date_time(date).map(Time::UtcTime).map_err(encoding);
    }
    Ok(Time::GeneralTime(GeneralizedTime::from_date_time(date)))
}

fn common_name(name: &str) -> Result<Name, Error> {
    let value = Any::new(Tag::Utf8String, name.as_bytes()).map_err(encoding)?;
    let only =
        SetOfVec::try_from(vec![AttributeTypeAndValue { oid: COMMON_NAME, value }]).map_err(encoding)?;
    Ok(RdnSequence(vec![RelativeDistinguishedName(only)]))
}

/// What a bay's authority is called: as the bay, or, where X.509 cannot hold that, by its uuid. A successor has some of
/// its pair's uuid behind that: Java's key stores, and `ZooKeeper`'s, tell authorities apart by nothing but their names.
pub(crate) fn authority_name(bay: Uuid, name: Option<&str>, successor: Option<Uuid>) -> String {
    let tag = successor.map(|pair| format!(" {:08x}", pair.as_fields().0)).unwrap_or_default();
    let named = name.filter(|name| !name.is_empty()).map(|name| format!("{name}{tag}"));
    named.filter(|name| name.chars().count() <= LONGEST_NAME).unwrap_or_else(|| format!("{bay}{tag}"))
}

pub(super) fn encoding(error: impl fmt::Display) -> Error {
    Error::unusable("a certificate cannot be written", error)
}

/// Decodes what came from outside.
pub(super) fn decoded<'a, T: Decode<'a>>(bytes: &'a [u8], what: &str) -> Result<T, Error> {
    T::from_der(bytes).map_err(|error| Error::Request(format!("Its {what} cannot be read: {error}.")))
}
