//! TLS towards the broker: which authorities we trust and which certificate we show.

use std::{io, path::Path, path::PathBuf};

use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::settings::Tls;

/// Why TLS cannot be set up. Nothing of a key's file is repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A certificate file cannot be read or holds something else.
    #[error("{option} {path}: {reason}", path = path.display())]
    Certificates {
        /// The option that names the file.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key file cannot be read or holds no key.
    #[error("ssl_key_file {path} holds no readable private key in PEM", path = .0.display())]
    Key(PathBuf),
    /// One of the pair is missing.
    #[error("ssl_cert_file and ssl_key_file are needed together")]
    HalfIdentity,
    /// The authorities of the system cannot be read, or certificate and key do not fit.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[source] io::Error),
}

/// Reads the files anew for each connection, so that a renewed certificate is taken without a restart.
pub(super) fn connector(tls: &Tls) -> Result<RustlsConnector, TlsError> {
    let config = match &tls.ca_file {
        None => RustlsConnectorConfig::new_with_native_certs().map_err(TlsError::Setup)?,
        Some(path) => {
            RustlsConnectorConfig::default().with_parsable_certificates(certificates("ssl_ca_file", path)?)
        }
    };
    match (&tls.cert_file, &tls.key_file) {
        (None, None) => config.connector_with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let chain = certificates("ssl_cert_file", cert)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|_| TlsError::Key(key.clone()))?;
            config.connector_with_single_cert(chain, key)
        }
        (Some(_), None) | (None, Some(_)) => return Err(TlsError::HalfIdentity),
    }
    .map_err(TlsError::Setup)
}

fn certificates(option: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fault = |reason: String| TlsError::Certificates { option, path: path.to_owned(), reason };
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(error.to_string()))?;
    if found.is_empty() { Err(fault("no certificate in PEM".to_owned())) } else { Ok(found) }
}
