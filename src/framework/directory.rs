//! The framework of each bay, opened once and kept, with what it has learnt of its masters.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Certificate;
use uuid::Uuid;

use super::credentials::{Credentials, Vault};
use super::endpoint::{Access, Endpoint};
use super::error::{Error, Result};
use super::kind::Kind;
use super::marathon::{Limits, Marathon};
use super::{Framework, Observer};
use crate::bay::Bay;

/// As many bays as are kept in mind; beyond it all are opened anew.
const KEPT: usize = 10_000;

/// Finds the framework of a bay.
pub trait Frameworks: Send + Sync {
    /// The same one for every call, until the bay's addresses change.
    fn of(&self, bay: &Bay) -> Result<Arc<dyn Framework>>;
}

/// Everything that frameworks are opened with.
#[derive(Debug, Clone)]
pub struct Settings {
    pub port: u16,
    pub credentials: Vault,
    pub connect_timeout: Duration,
    pub limits: Limits,
}

/// The frameworks of all bays over few connection pools: one for each authority that signs masters' certificates.
pub struct Directory {
    settings: Settings,
    observer: Arc<dyn Observer>,
    pools: Mutex<HashMap<Option<PathBuf>, reqwest::Client>>,
    open: Mutex<HashMap<Uuid, (Endpoint, Arc<dyn Framework>)>>,
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
        if let Some((known, framework)) = locked(&self.open).get(&bay.uuid)
            && *known == endpoint
        {
            return Ok(Arc::clone(framework));
        }
        let framework = self.open(kind, endpoint.clone(), credentials)?;
        let mut open = locked(&self.open);
        if open.len() >= KEPT {
            open.clear();
        }
        open.insert(bay.uuid, (endpoint, Arc::clone(&framework)));
        Ok(framework)
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
