//! Barbican v1: secrets, and the containers that say which of them belong together.
//!
//! Everything is made and read as the service user, in its project. Barbican's references are addresses as it sees
//! itself; they are asked for where the catalog says that it is.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::credentials::{Credentials, Session};
use super::error::{Error, Result};
use super::http::{Client, Deadline, Observer, Request, Response};
use super::keystone::Keystone;
use super::settings::{EndpointSettings, Interface, Limits};

const SERVICE: &str = "barbican";
const SERVICE_TYPE: &str = "key-manager";
/// How many of a listing come in one answer.
const PAGE: usize = 100;

/// The client. Clones share everything.
#[derive(Clone)]
pub struct Barbican {
    keystone: Keystone,
    http: Client,
    interface: Interface,
    region: Option<String>,
}

/// Secrets that belong together.
#[derive(Debug, Clone, Deserialize)]
pub struct Container {
    pub container_ref: String,
    #[serde(default, deserialize_with = "text_or_null")]
    pub name: String,
    #[serde(default)]
    pub secret_refs: Vec<SecretRef>,
}

/// What a secret is in its container, and where it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecretRef {
    pub name: String,
    pub secret_ref: String,
}

impl Barbican {
    pub fn new(
        keystone: Keystone,
        settings: &EndpointSettings,
        limits: Limits,
        observer: Arc<dyn Observer>,
    ) -> Result<Self> {
        let http = Client::new(SERVICE, &settings.tls, limits, observer)?;
        Ok(Self { keystone, http, interface: settings.interface, region: settings.region_name.clone() })
    }

    /// Makes a secret and returns its reference. Never sent twice by itself: names need not be unique here.
    pub async fn create_secret(
        &self,
        name: &str,
        payload: &SecretString,
        within: Duration,
    ) -> Result<String> {
        #[derive(Deserialize)]
        struct Created {
            secret_ref: String,
        }
        use secrecy::ExposeSecret as _;
        let body = json!({
            "name": name, "payload": payload.expose_secret(), "payload_content_type": "text/plain",
        });
        let request = |session: &Session| {
            Ok(Request::post(self.at(session, &["secrets"])?).json(&body).holding(payload.clone()))
        };
        Ok(self.send(request, within).await?.json::<Created>()?.secret_ref)
    }

    /// The references of all secrets of a name.
    pub async fn secrets_named(&self, name: &str, within: Duration) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Secret {
            secret_ref: String,
            #[serde(default, deserialize_with = "text_or_null")]
            name: String,
        }
        #[derive(Deserialize)]
        struct Listed {
            secrets: Vec<Secret>,
            total: usize,
        }
        let mut found = Vec::new();
        let mut seen = 0;
        loop {
            let page: Listed = self.page("secrets", name, seen, within).await?;
            seen += page.secrets.len();
            let more = !page.secrets.is_empty() && seen < page.total;
            found.extend(page.secrets.into_iter().filter(|secret| secret.name == name));
            if !more {
                return Ok(found.into_iter().map(|secret| secret.secret_ref).collect());
            }
        }
    }

    /// What a secret holds.
    pub async fn payload(&self, reference: &str, within: Duration) -> Result<Option<SecretString>> {
        let request = |session: &Session| {
            let url = self.at(session, &["secrets", id(reference)?, "payload"])?;
            Ok(Request::get(url).accepting("text/plain"))
        };
        match self.send(request, within).await {
            Ok(answer) => answer.secret_text().map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One that is gone counts as deleted.
    pub async fn delete_secret(&self, reference: &str, within: Duration) -> Result<()> {
        self.delete("secrets", reference, within).await
    }

    /// Makes a container for a certificate and returns its reference.
    pub async fn create_container(
        &self,
        name: &str,
        secrets: &[SecretRef],
        within: Duration,
    ) -> Result<String> {
        #[derive(Deserialize)]
        struct Created {
            container_ref: String,
        }
        let body = json!({ "type": "certificate", "name": name, "secret_refs": secrets });
        let request = |session: &Session| Ok(Request::post(self.at(session, &["containers"])?).json(&body));
        Ok(self.send(request, within).await?.json::<Created>()?.container_ref)
    }

    /// All containers of a name. Older releases list all there are, whatever name is asked for.
    pub async fn containers_named(&self, name: &str, within: Duration) -> Result<Vec<Container>> {
        #[derive(Deserialize)]
        struct Listed {
            containers: Vec<Container>,
            total: usize,
        }
        let mut found = Vec::new();
        let mut seen = 0;
        loop {
            let page: Listed = self.page("containers", name, seen, within).await?;
            seen += page.containers.len();
            let more = !page.containers.is_empty() && seen < page.total;
            found.extend(page.containers.into_iter().filter(|container| container.name == name));
            if !more {
                return Ok(found);
            }
        }
    }

    pub async fn container(&self, reference: &str, within: Duration) -> Result<Option<Container>> {
        let request =
            |session: &Session| Ok(Request::get(self.at(session, &["containers", id(reference)?])?));
        match self.send(request, within).await {
            Ok(answer) => answer.json().map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One that is gone counts as deleted. Its secrets stay.
    pub async fn delete_container(&self, reference: &str, within: Duration) -> Result<()> {
        self.delete("containers", reference, within).await
    }

    /// Notes who uses a container; the same again changes nothing.
    pub async fn add_consumer(&self, reference: &str, name: &str, url: &str, within: Duration) -> Result<()> {
        let body = json!({ "name": name, "URL": url });
        let request = |session: &Session| {
            let url = self.at(session, &["containers", id(reference)?, "consumers"])?;
            Ok(Request::post(url).json(&body).repeatable())
        };
        self.send(request, within).await.map(drop)
    }

    async fn delete(&self, kind: &str, reference: &str, within: Duration) -> Result<()> {
        let request = |session: &Session| Ok(Request::delete(self.at(session, &[kind, id(reference)?])?));
        match self.send(request, within).await {
            Err(error) if !error.is_not_found() => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn page<T: serde::de::DeserializeOwned>(
        &self,
        kind: &str,
        name: &str,
        offset: usize,
        within: Duration,
    ) -> Result<T> {
        let request = |session: &Session| {
            let mut url = self.at(session, &[kind])?;
            url.query_pairs_mut()
                .append_pair("name", name)
                .append_pair("limit", &PAGE.to_string())
                .append_pair("offset", &offset.to_string());
            Ok(Request::get(url))
        };
        self.send(request, within).await?.json()
    }

    async fn send(
        &self,
        request: impl Fn(&Session) -> Result<Request>,
        within: Duration,
    ) -> Result<Response> {
        let service = Credentials::Service { project_id: None };
        self.keystone.send(&self.http, &service, request, Deadline::within(within)).await
    }

    /// The catalog tells the place with or without the version.
    fn at(&self, session: &Session, below: &[&str]) -> Result<Url> {
        let mut url = session.catalog.endpoint(SERVICE_TYPE, self.interface, self.region.as_deref())?;
        if !url.path().trim_end_matches('/').ends_with("/v1") {
            super::http::push(&mut url, &["v1"])?;
        }
        super::http::push(&mut url, below)?;
        Ok(url)
    }
}

/// The last part of a reference.
fn id(reference: &str) -> Result<&str> {
    let id = reference.trim_end_matches('/').rsplit('/').next().filter(|id| !id.is_empty());
    id.ok_or_else(|| Error::config(format!("{reference:?} is no reference of Barbican's")))
}

fn text_or_null<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<String, D::Error> {
    Ok(Option::<String>::deserialize(from)?.unwrap_or_default())
}
