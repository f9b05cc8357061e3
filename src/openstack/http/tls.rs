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
