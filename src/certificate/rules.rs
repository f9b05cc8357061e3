//! What a request for a certificate may ask for: `[x509]`, in the names that OpenSSL has for extensions and usages.

use std::str::FromStr;

use x509_cert::der::flagset::FlagSet;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::ext::pkix::KeyUsages;

/// What is let through of what a request asks for, and how long its certificate is good.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Whether a certificate may sign others.
    pub allow_ca: bool,
    pub extensions: Vec<ExtensionName>,
    pub usages: Vec<Usage>,
    /// Days.
    pub valid_for: u32,
}

impl Rules {
    pub(super) fn allow(&self, extension: ExtensionName) -> bool {
        self.extensions.contains(&extension)
    }

    pub(super) fn usages(&self) -> FlagSet<KeyUsages> {
        let mut allowed = FlagSet::default();
        for usage in &self.usages {
            allowed |= usage.bit();
        }
        if !self.allow_ca {
            allowed &= !(KeyUsages::KeyCertSign | KeyUsages::CRLSign);
        }
        allowed
    }
}

/// A name that means nothing here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is none of: {known}")]
pub struct UnknownName {
    pub name: String,
    pub known: String,
}

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|known| known.as_str() == text).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|known| known.as_str()).collect();
                    UnknownName { name: text.to_owned(), known: known.join(", ") }
                })
            }
        }
    };
}

names! {
    /// An extension that a deployment may let requests have.
    ExtensionName {
        AuthorityKeyIdentifier = "authorityKeyIdentifier",
        SubjectKeyIdentifier = "subjectKeyIdentifier",
        AuthorityInfoAccess = "authorityInfoAccess",
        BasicConstraints = "basicConstraints",
        CrlDistributionPoints = "cRLDistributionPoints",
        CertificatePolicies = "certificatePolicies",
        ExtendedKeyUsage = "extendedKeyUsage",
        OcspNoCheck = "OCSPNoCheck",
        InhibitAnyPolicy = "inhibitAnyPolicy",
        KeyUsage = "keyUsage",
        NameConstraints = "nameConstraints",
        SubjectAltName = "subjectAltName",
        IssuerAltName = "issuerAltName",
    }
}

names! {
    /// What a key may be used for.
    Usage {
        DigitalSignature = "Digital Signature",
        NonRepudiation = "Non Repudiation",
        KeyEncipherment = "Key Encipherment",
        DataEncipherment = "Data Encipherment",
        KeyAgreement = "Key Agreement",
        CertificateSign = "Certificate Sign",
        CrlSign = "CRL Sign",
        EncipherOnly = "Encipher Only",
        DecipherOnly = "Decipher Only",
    }
}

impl ExtensionName {
    fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::AuthorityKeyIdentifier => "2.5.29.35",
            Self::SubjectKeyIdentifier => "2.5.29.14",
            Self::AuthorityInfoAccess => "1.3.6.1.5.5.7.1.1",
            Self::BasicConstraints => "2.5.29.19",
            Self::CrlDistributionPoints => "2.5.29.31",
            Self::CertificatePolicies => "2.5.29.32",
            Self::ExtendedKeyUsage => "2.5.29.37",
            Self::OcspNoCheck => "1.3.6.1.5.5.7.48.1.5",
            Self::InhibitAnyPolicy => "2.5.29.54",
            Self::KeyUsage => "2.5.29.15",
            Self::NameConstraints => "2.5.29.30",
            Self::SubjectAltName => "2.5.29.17",
            Self::IssuerAltName => "2.5.29.18",
        })
    }

    pub(super) fn of(oid: ObjectIdentifier) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.oid() == oid)
    }
}

impl Usage {
    fn bit(self) -> KeyUsages {
        match self {
            Self::DigitalSignature => KeyUsages::DigitalSignature,
            Self::NonRepudiation => KeyUsages::NonRepudiation,
            Self::KeyEncipherment => KeyUsages::KeyEncipherment,
            Self::DataEncipherment => KeyUsages::DataEncipherment,
            Self::KeyAgreement => KeyUsages::KeyAgreement,
            Self::CertificateSign => KeyUsages::KeyCertSign,
            Self::CrlSign => KeyUsages::CRLSign,
            Self::EncipherOnly => KeyUsages::EncipherOnly,
            Self::DecipherOnly => KeyUsages::DecipherOnly,
        }
    }
}
