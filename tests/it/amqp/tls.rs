//! TLS, against a proxy that ends it before the plain broker.

use std::{path::PathBuf, sync::Arc};

use mesos_conductor::{
    amqp::{
        ConnectError,
        settings::{Broker, Tls},
    },
    client::Client,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use serde_json::json;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::broker::{Proxy, Running, address, args, broker, client, options};

/// A certificate authority with files for us, and a proxy that shows a certificate of it.
struct Stage {
    folder: TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
    proxy: Proxy,
}

impl Stage {
    /// The proxy's certificate is for `name`; it asks for one of ours when `mutual`.
    async fn new(broker: &Broker, name: &str, mutual: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if mutual {
            let mut roots = RootCertStore::empty();
            roots.add(ca.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = builder.with_single_cert(vec![certificate.der().clone()], private).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let proxy = Proxy::start(address(broker).await, Some(acceptor)).await;
        Self { folder, ca, proxy }
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn broker(&self, broker: &Broker) -> Broker {
        let tls = Tls { ca_file: Some(self.folder.path().join("ca.pem")), ..Tls::default() };
        Broker { tls: Some(tls), ..self.proxy.route(broker) }
    }

    /// A certificate of ours, of the same authority.
    fn identity(&self) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["conductor".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        (self.file("client.pem", &certificate.pem()), self.file("client.key", &key.serialize_pem()))
    }
}

async fn refused(broker: &Broker) -> String {
    let error = Client::connect(broker).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. } | ConnectError::Tls(_)), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn calls_work_over_tls() {
    let Some(plain) = broker() else { return };
    let stage = Stage::new(&plain, "localhost", false).await;
    let broker = stage.broker(&plain);
    let running = Running::start(&broker).await;
    let client = client(&broker).await;
    assert_eq!(client.call("echo", args(json!({"a": 1})), options()).await.unwrap(), json!({"a": 1}));
    client.close().await;
    running.stop().await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let Some(plain) = broker() else { return };
    let stage = Stage::new(&plain, "mq.example.com", false).await;
    let text = refused(&stage.broker(&plain)).await;
    assert!(text.contains("NotValidForName") || text.contains("not valid for name"), "{text}");
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let Some(plain) = broker() else { return };
    let stage = Stage::new(&plain, "localhost", false).await;
    let other = Stage::new(&plain, "localhost", false).await;
    let broker = Broker { tls: stage.broker(&plain).tls, ..other.broker(&plain) };
    let text = refused(&broker).await;
    assert!(text.contains("invalid peer certificate"), "{text}");
}

#[tokio::test]
async fn a_plain_broker_is_not_taken_for_a_tls_one() {
    let Some(plain) = broker() else { return };
    let stage = Stage::new(&plain, "localhost", false).await;
    let broker = Broker { tls: stage.broker(&plain).tls, ..plain };
    refused(&broker).await;
}

#[tokio::test]
async fn our_certificate_is_shown_where_the_broker_asks_for_one() {
    let Some(plain) = broker() else { return };
    let stage = Stage::new(&plain, "localhost", true).await;
    let mut broker = stage.broker(&plain);
    refused(&broker).await;
    let (cert, key) = stage.identity();
    broker.tls = broker.tls.map(|tls| Tls { cert_file: Some(cert), key_file: Some(key), ..tls });
    Client::connect(&broker).await.unwrap().close().await;
}

#[tokio::test]
async fn faults_of_files_name_the_option_and_the_file() {
    let Some(plain) = broker() else { return };
    let stage = Stage::new(&plain, "localhost", false).await;
    let (cert, key) = stage.identity();
    let (empty, absent) = (stage.file("empty.pem", ""), stage.folder.path().join("absent.pem"));
    let ca_file = stage.broker(&plain).tls.unwrap().ca_file;
    let cases = [
        (Tls { ca_file: Some(absent.clone()), ..Tls::default() }, "ssl_ca_file"),
        (Tls { ca_file: Some(empty.clone()), ..Tls::default() }, "empty.pem: no certificate"),
        (Tls { ca_file: ca_file.clone(), cert_file: Some(cert.clone()), key_file: None }, "ssl_key_file"),
        (Tls { ca_file: ca_file.clone(), cert_file: Some(cert), key_file: Some(empty) }, "ssl_key_file"),
        (Tls { ca_file, cert_file: Some(absent), key_file: Some(key) }, "ssl_cert_file"),
    ];
    for (tls, expected) in cases {
        let broker = Broker { tls: Some(tls), ..stage.proxy.route(&plain) };
        let text = refused(&broker).await;
        assert!(text.contains(expected), "{text}");
    }
}
