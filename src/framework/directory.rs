//! The framework of each bay, opened once and kept, with what it has learnt of its masters.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Certificate;
use uuid::Uuid;

use super::credentials::{Credentials, Keyring, Login};
use super::endpoint::{Access, Endpoint};
use super::error::{Error, Result};
use super::kind::Kind;
use super::marathon::{Limits, Marathon};
use super::mesos::Mesos;
use super::{Agents, Framework, Observer};
use crate::bay::Bay;

/// As many bays as are kept in mind; beyond it all are opened anew.
const KEPT: usize = 10_000;

/// Finds the framework of a bay.
pub trait Frameworks: Send + Sync {
    /// The same one for every call, until the bay's addresses change.
    fn of(&self, bay: &Bay) -> Result<Arc<dyn Framework>>;

    /// The machines that the bay's framework runs on.
    fn agents_of(&self, bay: &Bay) -> Result<Arc<dyn Agents>>;
}

/// Everything that frameworks are opened with.
#[derive(Debug, Clone)]
pub struct Settings {
    pub port: u16,
    /// Of the Mesos masters.
    pub mesos_port: u16,
    /// Who the worker is to the masters.
    pub mesos_login: Login,
    pub credentials: Keyring,
    pub connect_timeout: Duration,
    pub limits: Limits,
}

/// The frameworks of all bays over few connection pools: one for each authority that signs masters' certificates.
pub struct Directory {
    settings: Settings,
    observer: Arc<dyn Observer>,
    pools: Mutex<HashMap<Option<PathBuf>, reqwest::Client>>,
    open: Mutex<HashMap<Uuid, Open>>,
}

/// A framework that was opened, and where.
struct Open {
    endpoint: Endpoint,
    framework: Arc<dyn Framework>,
}

impl Directory {
    pub fn new(settings: Settings, observer: Arc<dyn Observer>) -> Self {
        Self { settings, observer, pools: Mutex::default(), open: Mutex::default() }
    }

    fn open(&self, kind: Kind, endpoint: Endpoint, credentials: &Credentials) -> Result<Arc<dyn Framework>> {
        let http = self.pool(credentials.ca_file.as_ref())?;
        let (limits, observer) = (self.settings.limits, Arc::clone(&self.observer));
        match kind {
            Kind::Marathon => {
                Ok(Arc::new(Marathon::new(http, endpoint, &credentials.login, limits, observer)?))
            }
        }
    }

    fn pool(&self, ca_file: Option<&PathBuf>) -> Result<reqwest::Client> {
        let mut pools = locked(&self.pools);
        if let Some(pool) = pools.get(&ca_file.cloned()) {
            return Ok(pool.clone());
        }
        let pool = pool(ca_file, self.settings.connect_timeout)?;
        pools.insert(ca_file.cloned(), pool.clone());
        Ok(pool)
    }
}

impl Frameworks for Directory {
    fn of(&self, bay: &Bay) -> Result<Arc<dyn Framework>> {
        let kind =
            Kind::of(&bay.labels).map_err(|fault| Error::NotSupported { message: fault.to_string() })?;
        let credentials = self.settings.credentials.of_bay(bay.uuid);
        let access = Access { tls: credentials.tls, port: self.settings.port };
        let endpoint =
            Endpoint::of(bay, access).map_err(|fault| Error::Config { message: fault.to_string() })?;
        if let Some(known) = locked(&self.open).get(&bay.uuid)
            && known.endpoint == endpoint
        {
            return Ok(Arc::clone(&known.framework));
        }
        let framework = self.open(kind, endpoint.clone(), credentials)?;
        let mut open = locked(&self.open);
        if open.len() >= KEPT {
            open.clear();
        }
        open.insert(bay.uuid, Open { endpoint, framework: Arc::clone(&framework) });
        Ok(framework)
    }

    /// Opened anew each time: nothing is learnt that would be worth keeping between two scalings.
    fn agents_of(&self, bay: &Bay) -> Result<Arc<dyn Agents>> {
        let Settings { mesos_port, mesos_login, credentials, limits, .. } = &self.settings;
        let credentials = credentials.of_bay(bay.uuid);
        let access = Access { tls: credentials.tls, port: *mesos_port };
        let endpoint =
            Endpoint::of(bay, access).map_err(|fault| Error::Config { message: fault.to_string() })?;
        let http = self.pool(credentials.ca_file.as_ref())?;
        let observer = Arc::clone(&self.observer);
        Ok(Arc::new(Mesos::new(http, endpoint, mesos_login, limits.request_timeout, observer)?))
    }
}

/// What the locks guard is whole at any moment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Credentials go along with every request, so redirects are followed by hand or not at all.
pub(super) fn pool(ca_file: Option<&PathBuf>, connect_timeout: Duration) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(connect_timeout)
        // A master that is restarted closes idle connections; a POST sent into the closing would be lost.
        .pool_idle_timeout(Duration::from_secs(4))
        .user_agent(concat!("mesos-conductor/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = ca_file {
        let unusable = |fault: &dyn std::error::Error| Error::Config {
            message: format!("{} cannot be used for TLS: {fault}", path.display()),
        };
        let pem = std::fs::read(path).map_err(|fault| unusable(&fault))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|fault| unusable(&fault))?;
        builder = builder.tls_certs_only(certificates);
    }
    builder
        .build()
        .map_err(|fault| Error::Config { message: format!("the HTTP client cannot be set up: {fault}") })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;
    use crate::framework::kind::LABEL;

    fn directory(port: u16, credentials: Keyring) -> Directory {
        rustls::crypto::ring::default_provider().install_default().ok();
        let seconds = Duration::from_secs;
        let limits = Limits { request_timeout: seconds(5), events_silence: seconds(5), event_size: 1000 };
        let (mesos_port, mesos_login) = (port, Login::None);
        let settings =
            Settings { port, mesos_port, mesos_login, credentials, connect_timeout: seconds(2), limits };
        Directory::new(settings, Arc::new(()))
    }

    fn bay(address: &str) -> Bay {
        Bay { uuid: Uuid::new_v4(), master_addresses: vec![address.to_owned()], ..Bay::default() }
    }

    #[test]
    fn a_bay_keeps_its_framework_until_its_addresses_change() {
        let directory = directory(8080, Keyring::default());
        let mut bay = bay("10.0.0.1");
        let first = directory.of(&bay).unwrap();
        assert!(Arc::ptr_eq(&first, &directory.of(&bay).unwrap()));
        bay.master_addresses.push("10.0.0.2".to_owned());
        assert!(!Arc::ptr_eq(&first, &directory.of(&bay).unwrap()));
    }

    #[test]
    fn a_bay_without_a_framework_of_ours_is_told_apart() {
        let directory = directory(8080, Keyring::default());
        let mut aurora = bay("10.0.0.1");
        aurora.labels.insert(LABEL.to_owned(), "aurora".to_owned());
        assert!(matches!(directory.of(&aurora), Err(Error::NotSupported { .. })));
        assert!(matches!(directory.of(&Bay::default()), Err(Error::Config { .. })));
    }

    /// Answers about its release over TLS, and is itself its only authority.
    async fn server(running: &mut JoinSet<()>) -> (u16, String) {
        rustls::crypto::ring::default_provider().install_default().ok();
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        running.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 1024];
                if stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                    let body = r#"{"version": "1.11.0"}"#;
                    let head = format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len());
                    stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}{body}").as_bytes()).await.unwrap();
                    stream.shutdown().await.ok();
                }
            }
        });
        (port, own.cert.pem())
    }

    #[tokio::test]
    async fn each_bay_trusts_the_authority_that_is_configured_for_it() {
        let mut running = JoinSet::new();
        let (port, pem) = server(&mut running).await;
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, pem).unwrap();
        let (known, stranger) = (bay("localhost"), bay("localhost"));
        let file = folder.path().join("credentials.json");
        let entries = serde_json::json!({ known.uuid.to_string(): {"ca_file": ca_file} });
        std::fs::write(&file, entries.to_string()).unwrap();
        let any = Credentials { login: Login::None, ca_file: None, tls: true };
        let directory = directory(port, Keyring::read(&file, any).unwrap());

        let within = Duration::from_secs(10);
        assert_eq!(directory.of(&known).unwrap().info(within).await.unwrap().version, "1.11.0");
        let error = directory.of(&stranger).unwrap().info(within).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}
