//! Certificates of those of the sandbox's servers that speak HTTPS: of its own authority, or of a bay's.

use std::io::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    pub(crate) fn new() -> std::io::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().map_err(Error::other)?;
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, key).map_err(Error::other)? })
    }

    /// What a client has to trust.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The settings of a server at these addresses, which is `localhost` as well.
    pub(crate) fn server(&self, addresses: &[IpAddr]) -> std::io::Result<Arc<ServerConfig>> {
        let mut names = vec!["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string()];
        names.extend(addresses.iter().map(ToString::to_string));
        let key = KeyPair::generate().map_err(Error::other)?;
        let params = CertificateParams::new(names).map_err(Error::other)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(Error::other)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        config(vec![certificate.der().clone()], key)
    }
}

/// The settings of a server that was given its certificate, with what leads to its authority, and its key; both PEM.
pub(crate) fn given(certificates: &str, key: &str) -> std::io::Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_slice_iter(certificates.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(Error::other)?;
    config(chain.collect::<Result<_, _>>().map_err(Error::other)?, key)
}

fn config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> std::io::Result<Arc<ServerConfig>> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error: rustls::Error| Error::other(error))?;
    Ok(Arc::new(config))
}
