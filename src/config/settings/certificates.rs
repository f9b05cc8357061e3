//! The sections about the certificates of bays.

use std::path::PathBuf;

use crate::config::option::{boolean, choice, integer, list, path, section, text};

section! {
    /// Where the certificates of bays are kept.
    "certificates" => CertificatesSettings {
        /// Who takes the certificates of new bays: barbican, x509keypair (the database) or local (files).
        cert_manager_type: String = choice("barbican", &["barbican", "x509keypair", "local"]);
        /// The directory of local certificates. All workers must share it.
        storage_path: PathBuf = path("/var/lib/magnum/certificates/");
    }
}

section! {
    /// What the certificates of bays are, and what may be asked for in requests for them.
    "x509" => X509Settings {
        /// Whether a request may be for a certificate that signs others.
        allow_ca: bool = boolean("false");
        /// The extensions that a request may have. Others are left out, or, if they are critical, refused.
        allowed_extensions: Vec<String> =
            list("keyUsage, extendedKeyUsage, subjectAltName, basicConstraints, subjectKeyIdentifier");
        /// What the key of a request may be used for.
        allowed_key_usage: Vec<String> = list("Digital Signature, Key Encipherment, Non Repudiation");
        /// Days for which a certificate is good.
        term_of_validity: u32 = integer("1825", 1, 36_500);
        /// The bits of the keys that are made. Most clients refuse less than 2048.
        rsa_key_size: u32 = integer("2048", 1024, 8192);
    }
}

section! {
    /// The key manager.
    "barbican_client" => BarbicanClientSettings {
        /// The region of the endpoint.
        region_name: Option<String> = text("");
        /// The interface of the endpoint: publicURL, internalURL, adminURL.
        endpoint_type: String = text("publicURL");
    }
}
