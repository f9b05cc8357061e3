//! The connection pool of one TLS configuration.

use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Identity};

use crate::openstack::error::{Error, Result};
use crate::openstack::settings::{Limits, Tls};

pub(super) fn client(tls: &Tls, limits: Limits) -> Result<reqwest::Client> {
    // Redirects are followed by hand: reqwest would turn a PATCH into a GET, and carry the token elsewhere.
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(limits.connect_timeout)
        // Web servers close idle connections after five seconds; a POST sent into the closing would be lost.
        .pool_idle_timeout(Duration::from_secs(4))
        .user_agent(concat!("mesos-conductor/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = &tls.ca_file {
        let certificates =
            Certificate::from_pem_bundle(&read(path)?).map_err(|fault| unreadable(path, &fault))?;
        builder = builder.tls_certs_only(certificates);
    }
    if let Some(path) = &tls.cert_file {
        let mut pem = read(path)?;
        if let Some(key) = &tls.key_file {
            pem.push(b'\n');
            pem.extend(read(key)?);
        }
        builder = builder.identity(Identity::from_pem(&pem).map_err(|fault| unreadable(path, &fault))?);
    }
    if tls.insecure {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    builder.build().map_err(|fault| Error::config(format!("the HTTP client cannot be set up: {fault}")))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|fault| unreadable(path, &fault))
}

fn unreadable(path: &Path, fault: &dyn std::error::Error) -> Error {
    Error::config(format!("{} cannot be used for TLS: {fault}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;
    use url::Url;

    use super::super::{Client, Deadline, Request};
    use super::*;
    use crate::openstack::Kind;

    /// An HTTPS server that is itself its only authority.
    async fn server(running: &mut JoinSet<()>) -> (Url, String) {
        rustls::crypto::ring::default_provider().install_default().ok();
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        running.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 1024];
                if stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                    stream.write_all(answer).await.unwrap();
                    stream.shutdown().await.ok();
                }
            }
        });
        (Url::parse(&url).unwrap(), own.cert.pem())
    }

    async fn answers(url: &Url, tls: &Tls) -> Result<()> {
        let client = Client::new("heat", tls, Limits::default(), Arc::new(())).unwrap();
        let deadline = Deadline::within(Duration::from_secs(10));
        client.send(Request::get(url.clone()), deadline).await.map(drop)
    }

    #[tokio::test]
    async fn a_private_authority_is_trusted_only_when_it_is_configured() {
        let mut running = JoinSet::new();
        let (url, pem) = server(&mut running).await;
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, pem).unwrap();

        let stranger = answers(&url, &Tls::default()).await.unwrap_err();
        assert!(matches!(stranger.kind, Kind::Connect(_)), "{stranger}");
        assert!(stranger.to_string().contains("certificate"), "{stranger}");
        answers(&url, &Tls { ca_file: Some(ca_file), ..Tls::default() }).await.unwrap();
        answers(&url, &Tls { insecure: true, ..Tls::default() }).await.unwrap();
    }
}
