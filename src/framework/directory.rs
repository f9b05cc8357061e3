//! The framework of each bay, opened once and kept, with what it has learnt of its masters.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::credentials::{Credentials, Keyring, Login};
use super::endpoint::{Access, Endpoint};
use super::entrance::{Entrance, Entrances};
use super::error::{Error, Result};
use super::kind::Kind;
use super::marathon::{Limits, Marathon};
use super::mesos::Mesos;
use super::trust::Trust;
use super::{Agents, Framework, Observer};
use crate::bay::Bay;

/// As many bays as are kept in mind; beyond it all are opened anew.
const KEPT: usize = 10_000;

/// Finds the framework of a bay.
#[async_trait]
pub trait Frameworks: Send + Sync {
    /// The same one for every call, until the bay's addresses or certificates change.
    async fn of(&self, bay: &Bay) -> Result<Arc<dyn Framework>>;

    /// The machines that the bay's framework runs on.
    async fn agents_of(&self, bay: &Bay) -> Result<Arc<dyn Agents>>;
}

/// Everything that frameworks are opened with.
#[derive(Debug, Clone)]
pub struct Settings {
    pub port: u16,
    /// Of bays that were built with TLS.
    pub tls_port: u16,
    /// Of the Mesos masters.
    pub mesos_port: u16,
    /// Who the worker is to the masters.
    pub mesos_login: Login,
    pub credentials: Keyring,
    pub connect_timeout: Duration,
    pub limits: Limits,
}

/// The frameworks of all bays over few connection pools: one for each set of authorities that sign masters'
/// certificates.
pub struct Directory {
    settings: Settings,
    entrances: Arc<dyn Entrances>,
    observer: Arc<dyn Observer>,
    pools: Mutex<HashMap<Trust, reqwest::Client>>,
    open: Mutex<HashMap<Uuid, Open>>,
}

/// A framework that was opened, where, and whom it believed.
struct Open {
    endpoint: Endpoint,
    trust: Trust,
    framework: Arc<dyn Framework>,
}

/// How the masters of one bay are spoken to.
struct Manner {
    tls: bool,
    port: u16,
    trust: Trust,
    framework: Login,
    mesos: Login,
}

impl Directory {
    pub fn new(settings: Settings, entrances: Arc<dyn Entrances>, observer: Arc<dyn Observer>) -> Self {
        Self { settings, entrances, observer, pools: Mutex::default(), open: Mutex::default() }
    }

    /// What the operator says of this bay, else what it was built with, else what the operator says of all.
    async fn manner(&self, bay: Uuid) -> Result<Manner> {
        let Settings { port, tls_port, credentials, mesos_login, .. } = &self.settings;
        let configured = |credentials: &Credentials| Manner {
            tls: credentials.tls,
            port: *port,
            trust: Trust::file(credentials.ca_file.as_ref()),
            framework: credentials.login.clone(),
            mesos: mesos_login.clone(),
        };
        if let Some(own) = credentials.named(bay) {
            return Ok(configured(own));
        }
        Ok(match self.entrances.of(bay).await? {
            None => configured(credentials.any()),
            Some(Entrance { node_name, authorities, framework, mesos }) => {
                let trust = Trust::Bay { node_name, authorities };
                Manner { tls: true, port: *tls_port, trust, framework, mesos }
            }
        })
    }

    fn open(&self, kind: Kind, endpoint: Endpoint, manner: &Manner) -> Result<Arc<dyn Framework>> {
        let http = self.pool(&manner.trust)?;
        let (limits, observer) = (self.settings.limits, Arc::clone(&self.observer));
        match kind {
            Kind::Marathon => {
                Ok(Arc::new(Marathon::new(http, endpoint, &manner.framework, limits, observer)?))
            }
        }
    }

    fn pool(&self, trust: &Trust) -> Result<reqwest::Client> {
        let mut pools = locked(&self.pools);
        if let Some(pool) = pools.get(trust) {
            return Ok(pool.clone());
        }
        if pools.len() >= KEPT {
            pools.clear();
        }
        let pool = trust.client(self.settings.connect_timeout)?;
        pools.insert(trust.clone(), pool.clone());
        Ok(pool)
    }
}

fn endpoint(bay: &Bay, tls: bool, port: u16) -> Result<Endpoint> {
    Endpoint::of(bay, Access { tls, port }).map_err(|fault| Error::Config { message: fault.to_string() })
}

#[async_trait]
impl Frameworks for Directory {
    async fn of(&self, bay: &Bay) -> Result<Arc<dyn Framework>> {
        let kind =
            Kind::of(&bay.labels).map_err(|fault| Error::NotSupported { message: fault.to_string() })?;
        let manner = self.manner(bay.uuid).await?;
        let endpoint = endpoint(bay, manner.tls, manner.port)?;
        if let Some(known) = locked(&self.open).get(&bay.uuid)
            && known.endpoint == endpoint
            && known.trust == manner.trust
        {
            return Ok(Arc::clone(&known.framework));
        }
        let framework = self.open(kind, endpoint.clone(), &manner)?;
        let mut open = locked(&self.open);
        if open.len() >= KEPT {
            open.clear();
        }
        let trust = manner.trust;
        open.insert(bay.uuid, Open { endpoint, trust, framework: Arc::clone(&framework) });
        Ok(framework)
    }

    /// Opened anew each time: nothing is learnt that would be worth keeping between two scalings.
    async fn agents_of(&self, bay: &Bay) -> Result<Arc<dyn Agents>> {
        let Settings { mesos_port, limits, .. } = &self.settings;
        let manner = self.manner(bay.uuid).await?;
        let endpoint = endpoint(bay, manner.tls, *mesos_port)?;
        let http = self.pool(&manner.trust)?;
        let observer = Arc::clone(&self.observer);
        Ok(Arc::new(Mesos::new(http, endpoint, &manner.mesos, limits.request_timeout, observer)?))
    }
}

/// What the locks guard is whole at any moment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;
    use crate::bay::secrets::node_name;
    use crate::framework::kind::LABEL;

    fn directory(port: u16, credentials: Keyring, entrances: Arc<dyn Entrances>) -> Directory {
        rustls::crypto::ring::default_provider().install_default().ok();
        let seconds = Duration::from_secs;
        let limits = Limits { request_timeout: seconds(5), events_silence: seconds(5), event_size: 1000 };
        let (mesos_port, mesos_login) = (port, Login::None);
        let settings = Settings {
            port,
            tls_port: port,
            mesos_port,
            mesos_login,
            credentials,
            connect_timeout: seconds(2),
            limits,
        };
        Directory::new(settings, entrances, Arc::new(()))
    }

    fn bay(address: &str) -> Bay {
        Bay { uuid: Uuid::new_v4(), master_addresses: vec![address.to_owned()], ..Bay::default() }
    }

    #[tokio::test]
    async fn a_bay_keeps_its_framework_until_its_addresses_change() {
        let directory = directory(8080, Keyring::default(), Arc::new(()));
        let mut bay = bay("10.0.0.1");
        let first = directory.of(&bay).await.unwrap();
        assert!(Arc::ptr_eq(&first, &directory.of(&bay).await.unwrap()));
        bay.master_addresses.push("10.0.0.2".to_owned());
        assert!(!Arc::ptr_eq(&first, &directory.of(&bay).await.unwrap()));
    }

    #[tokio::test]
    async fn a_bay_without_a_framework_of_ours_is_told_apart() {
        let directory = directory(8080, Keyring::default(), Arc::new(()));
        let mut aurora = bay("10.0.0.1");
        aurora.labels.insert(LABEL.to_owned(), "aurora".to_owned());
        assert!(matches!(directory.of(&aurora).await, Err(Error::NotSupported { .. })));
        assert!(matches!(directory.of(&Bay::default()).await, Err(Error::Config { .. })));
    }

    /// Answers about its release over TLS, and is itself its only authority.
    async fn server(name: &str, running: &mut JoinSet<()>) -> (u16, String) {
        rustls::crypto::ring::default_provider().install_default().ok();
        let own = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
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
        let (port, pem) = server("localhost", &mut running).await;
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, pem).unwrap();
        let (known, stranger) = (bay("localhost"), bay("localhost"));
        let file = folder.path().join("credentials.json");
        let entries = serde_json::json!({ known.uuid.to_string(): {"ca_file": ca_file} });
        std::fs::write(&file, entries.to_string()).unwrap();
        let any = Credentials { login: Login::None, ca_file: None, tls: true };
        let directory = directory(port, Keyring::read(&file, any).unwrap(), Arc::new(()));

        let within = Duration::from_secs(10);
        assert_eq!(directory.of(&known).await.unwrap().info(within).await.unwrap().version, "1.11.0");
        let error = directory.of(&stranger).await.unwrap().info(within).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    }

    /// All bays were built with the same authority, and only their names differ.
    struct OneAuthority(String);

    #[async_trait]
    impl Entrances for OneAuthority {
        async fn of(&self, bay: Uuid) -> Result<Option<Entrance>> {
            let login = Login::Basic { username: "u".to_owned(), password: "p".into() };
            Ok(Some(Entrance {
                node_name: node_name(bay),
                authorities: self.0.clone(),
                framework: login.clone(),
                mesos: login,
            }))
        }
    }

    /// Addresses are used again, so it is the name in the certificate that tells one bay from another.
    #[tokio::test]
    async fn the_nodes_of_a_bay_are_known_by_its_name_and_not_by_their_address() {
        let mut running = JoinSet::new();
        let (known, stranger) = (bay("127.0.0.1"), bay("127.0.0.1"));
        let (port, pem) = server(&node_name(known.uuid), &mut running).await;
        let directory = directory(port, Keyring::default(), Arc::new(OneAuthority(pem)));

        let within = Duration::from_secs(10);
        assert_eq!(directory.of(&known).await.unwrap().info(within).await.unwrap().version, "1.11.0");
        let error = directory.of(&stranger).await.unwrap().info(within).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}
