//! Requests for certificates: read, held to the rules, and signed.
//!
//! What a certificate says of its subject is copied byte for byte: names with several parts of one kind, and keys and
//! extensions that nobody here knows, come out as they came in.

use x509_cert::der::asn1::OctetString;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::X509Extension;
use x509_parser::prelude::{FromDer as _, ParsedCriAttribute, parse_x509_pem};

use super::issue::{Contents, decoded, encoding, extension, pem};
use super::rules::ExtensionName;
use super::{Authority, Error, Rules};

/// The labels that requests are sent with.
const LABELS: [&str; 2] = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];

impl Authority {
    /// The certificate, as PEM, that a request is given.
    pub fn sign_request(&self, request: &str, rules: &Rules) -> Result<String, Error> {
        let none = |error: &dyn std::fmt::Display| Error::Request(format!("It is no request: {error}."));
        let (_, document) = parse_x509_pem(request.as_bytes()).map_err(|error| none(&error))?;
        if !LABELS.contains(&document.label.as_str()) {
            return Err(none(&format!("it is a {}", document.label)));
        }
        let (rest, request) =
            X509CertificationRequest::from_der(&document.contents).map_err(|error| none(&error))?;
        if !rest.is_empty() {
            return Err(none(&"there is something behind it"));
        }
        // Who asks must have the key.
        request.verify_signature().map_err(|error| {
            Error::Request(format!("That its sender has the key cannot be verified: {error}."))
        })?;
        pem(&self.sign(contents(&request, rules)?)?)
    }
}

fn contents(request: &X509CertificationRequest<'_>, rules: &Rules) -> Result<Contents, Error> {
    let info = &request.certification_request_info;
    let mut extensions: Vec<Extension> = Vec::new();
    for attribute in info.iter_attributes() {
        let ParsedCriAttribute::ExtensionRequest(wanted) = attribute.parsed_attribute() else { continue };
        for wanted in &wanted.extensions {
            let wanted = read(wanted)?;
            if extensions.iter().any(|other| other.extn_id == wanted.extn_id) {
                return Err(Error::Request(format!("It asks twice for the extension {}.", wanted.extn_id)));
            }
            extensions.extend(granted(wanted, rules)?);
        }
    }
    Ok(Contents {
        subject: decoded(info.subject.as_raw(), "subject")?,
        public_key: decoded(info.subject_pki.raw, "key")?,
        extensions,
    })
}

fn read(wanted: &X509Extension<'_>) -> Result<Extension, Error> {
    let oid = ObjectIdentifier::from_bytes(wanted.oid.as_bytes());
    Ok(Extension {
        extn_id: oid.map_err(|error| Error::Request(format!("An extension's name is none: {error}.")))?,
        critical: wanted.critical,
        extn_value: OctetString::new(wanted.value).map_err(encoding)?,
    })
}

/// The extension as the rules grant it: as it is, weaker, or not at all. What is critical is granted as it is, or the
/// whole request is refused: its sender means to be told.
fn granted(wanted: Extension, rules: &Rules) -> Result<Option<Extension>, Error> {
    let known = ExtensionName::of(wanted.extn_id);
    let refused = || {
        let name = known.map_or_else(|| wanted.extn_id.to_string(), |known| known.as_str().to_owned());
        Error::Extension(name)
    };
    let Some(name) = known.filter(|known| rules.allow(*known)) else {
        return if wanted.critical { Err(refused()) } else { Ok(None) };
    };
    let value = wanted.extn_value.as_bytes();
    match name {
        ExtensionName::KeyUsage => {
            let KeyUsage(asked) = decoded(value, "key usage")?;
            let left = asked & rules.usages();
            if left == asked {
                return Ok(Some(wanted));
            }
            if wanted.critical { Err(refused()) } else { extension(&KeyUsage(left), false).map(Some) }
        }
        ExtensionName::BasicConstraints => {
            let asked: BasicConstraints = decoded(value, "basic constraints")?;
            if !asked.ca || rules.allow_ca {
                return Ok(Some(wanted));
            }
            let lesser = BasicConstraints { ca: false, path_len_constraint: None };
            if wanted.critical { Err(refused()) } else { extension(&lesser, false).map(Some) }
        }
        ExtensionName::AuthorityKeyIdentifier
        | ExtensionName::SubjectKeyIdentifier
        | ExtensionName::AuthorityInfoAccess
        | ExtensionName::CrlDistributionPoints
        | ExtensionName::CertificatePolicies
        | ExtensionName::ExtendedKeyUsage
        | ExtensionName::OcspNoCheck
        | ExtensionName::InhibitAnyPolicy
        | ExtensionName::NameConstraints
        | ExtensionName::SubjectAltName
        | ExtensionName::IssuerAltName => Ok(Some(wanted)),
    }
}
