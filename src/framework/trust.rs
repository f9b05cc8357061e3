//! Whom an HTTP client of the worker believes to be a bay's master.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, ClientBuilder};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Trust {
    /// The system's authorities, for the address that is connected to.
    System,
    /// Those in the file, for the address that is connected to.
    File(PathBuf),
    /// Those of one bay, for the name that all its nodes have.
    Bay { node_name: String, authorities: String },
}

impl Trust {
    pub(super) fn file(path: Option<&PathBuf>) -> Self {
        path.cloned().map_or(Self::System, Self::File)
    }

    /// Credentials go along with every request, so redirects are followed by hand or not at all.
    pub(super) fn client(&self, connect_timeout: Duration) -> Result<reqwest::Client> {
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(connect_timeout)
            // A master that is restarted closes idle connections; a POST sent into the closing would be lost.
            .pool_idle_timeout(Duration::from_secs(4))
            .user_agent(concat!("mesos-conductor/", env!("CARGO_PKG_VERSION")));
        let builder = match self {
            Self::System => builder,
            Self::File(path) => only(builder, path)?,
            Self::Bay { node_name, authorities } => {
                builder.tls_backend_preconfigured(config(node_name, authorities).map_err(|fault| {
                    Error::Config { message: format!("the bay's certificates cannot be used: {fault}") }
                })?)
            }
        };
        builder
            .build()
            .map_err(|fault| Error::Config { message: format!("the HTTP client cannot be set up: {fault}") })
    }
}

fn only(builder: ClientBuilder, path: &Path) -> Result<ClientBuilder> {
    let unusable = |fault: &dyn std::error::Error| Error::Config {
        message: format!("{} cannot be used for TLS: {fault}", path.display()),
    };
    let pem = std::fs::read(path).map_err(|fault| unusable(&fault))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|fault| unusable(&fault))?;
    Ok(builder.tls_certs_only(certificates))
}

fn config(node_name: &str, authorities: &str) -> Result<ClientConfig, Box<dyn std::error::Error>> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        roots.add(certificate?)?;
    }
    let chains =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
    let nodes = Nodes { name: ServerName::try_from(node_name.to_owned())?, chains };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(nodes))
        .with_no_client_auth())
}

/// Believes the nodes of one bay. Only the name that is looked for differs from the usual: nodes come and go with their
/// addresses, so their certificate has a name of the bay instead.
#[derive(Debug)]
struct Nodes {
    name: ServerName<'static>,
    chains: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Nodes {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _address: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.chains.verify_server_cert(certificate, intermediates, &self.name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}
