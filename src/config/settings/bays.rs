//! The sections about what a bay is made of.

use std::path::PathBuf;

use crate::config::{
    kind::CertManager,
    option::{boolean, choice, integer, list, path, section},
};

section! {
    /// How a bay's stack is built.
    "cluster_heat" => ClusterHeatSettings {
        /// Minutes that Heat may take for a stack when the caller names no limit; 0 is no limit.
        create_timeout: u32 = integer("60", 0, 1_000_000).also(&[
            ("cluster_heat", "bay_create_timeout"),
            ("bay_heat", "bay_create_timeout"),
            ("bay_heat", "create_timeout"),
            ("bay_heat", "cluster_create_timeout"),
        ]);
    }
}

section! {
    /// What the nodes of every bay are told.
    "drivers" => DriverSettings {
        /// Whether nodes check the certificates of OpenStack services.
        verify_ca: bool = boolean("true");
        /// The authorities that nodes trust for OpenStack services.
        openstack_ca_file: Option<PathBuf> = path("");
        /// Whether metrics of the bays are published as notifications.
        send_cluster_metrics: bool = boolean("false");
    }
}

section! {
    /// Where the certificates of bays are kept.
    "certificates" => CertificateSettings {
        /// The store.
        cert_manager_type: CertManager = choice("barbican", CertManager::CHOICES);
        /// The directory of the `local` store.
        storage_path: PathBuf = path("/var/lib/magnum/certificates/");
    }
}

section! {
    /// What a signed certificate may say.
    "x509" => X509Settings {
        /// Whether a client may have a certificate that signs others.
        allow_ca: bool = boolean("false");
        /// The extensions that are taken over from a request.
        allowed_extensions: Vec<String> =
            list("keyUsage,extendedKeyUsage,subjectAltName,basicConstraints,subjectKeyIdentifier");
        /// The key usages that are taken over from a request.
        allowed_key_usage: Vec<String> = list("Digital Signature,Key Encipherment,Non Repudiation");
        /// Days for which a certificate holds.
        term_of_validity: u32 = integer("1825", 1, 100_000);
        /// Bits of a new RSA key.
        rsa_key_size: u32 = integer("2048", 1024, 16_384);
    }
}
