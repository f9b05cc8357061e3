//! The frameworks' settings, from `[marathon]`.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use uuid::Uuid;

use crate::bay::secrets::{self, Kept};
use crate::config::{self, Settings};
use crate::framework::credentials::{Credentials, Keyring, Login};
use crate::framework::manifest_url::{self, Fetcher, Networks};
use crate::framework::marathon::Limits;
use crate::framework::{self, Directory, Entrance, Entrances, Observer};
use crate::operation::progress::OnDeadline;
use crate::operation::step::{Deployments, Draining, Undrained};
use crate::store::Store;
use crate::telemetry::metrics::{self, Answer};

/// The frameworks of all bays.
pub fn frameworks(
    settings: &Settings,
    store: &Store,
    observer: Arc<dyn Observer>,
) -> anyhow::Result<Directory> {
    let marathon = &settings.marathon;
    let login =
        Login::new(marathon.http_username.clone(), marathon.http_password.clone(), marathon.token.clone());
    let any = Credentials {
        login: login.map_err(anyhow::Error::msg).context("[marathon]")?,
        ca_file: marathon.ca_file.clone(),
        tls: marathon.tls || marathon.ca_file.is_some(),
    };
    let credentials = match &marathon.credentials_file {
        Some(file) => Keyring::read(file, any).context("[marathon] credentials_file")?,
        None => Keyring::of(any),
    };
    let mesos = &settings.mesos;
    let mesos_login = Login::new(mesos.http_username.clone(), mesos.http_password.clone(), None)
        .map_err(anyhow::Error::msg)
        .context("[mesos]")?;
    let settings = framework::Settings {
        port: marathon.port,
        tls_port: marathon.tls_port,
        mesos_port: mesos.port,
        mesos_login,
        credentials,
        connect_timeout: marathon.connect_timeout,
        limits: Limits {
            request_timeout: marathon.request_timeout,
            events_silence: marathon.events_silence,
            event_size: marathon.event_max_size,
        },
    };
    let entrances: Arc<dyn Entrances> =
        if marathon.bay_credentials { Arc::new(Built(store.clone())) } else { Arc::new(()) };
    Ok(Directory::new(settings, entrances, observer))
}

/// What bays were built with, as the database has it.
struct Built(Store);

#[async_trait]
impl Entrances for Built {
    async fn of(&self, bay: Uuid) -> framework::Result<Option<Entrance>> {
        let kept = self.0.bay_secrets(bay).await.map_err(|error| framework::Error::Unavailable {
            message: format!("what the bay was built with cannot be read: {error}"),
            retry_after: None,
        })?;
        Ok(kept.as_ref().and_then(Kept::secrets).map(|built| Entrance {
            node_name: secrets::node_name(bay),
            authorities: built.ca_certificate,
            framework: Login::Basic { username: built.marathon_username, password: built.marathon_password },
            mesos: Login::Basic { username: built.mesos_principal, password: built.mesos_secret },
        }))
    }
}

/// Counts requests to frameworks.
pub(super) struct Counted;

impl Observer for Counted {
    fn request(&self, method: &str, status: Option<u16>, took: std::time::Duration) {
        let answer = status.map_or(Answer::Lost, Answer::Status);
        metrics::framework_request(method, answer, took);
    }
}

/// How deployments are waited for.
pub(super) fn deployments(settings: &Settings) -> Deployments {
    let marathon = &settings.marathon;
    Deployments {
        poll_interval: marathon.poll_interval,
        deadline: marathon.deployment_deadline,
        on_deadline: match marathon.deployment_on_deadline {
            config::OnDeadline::Leave => OnDeadline::Leave,
            config::OnDeadline::Rollback => OnDeadline::Rollback,
            config::OnDeadline::Cancel => OnDeadline::Cancel,
        },
    }
}

/// How agents are emptied before they go.
pub(super) fn draining(settings: &Settings) -> Draining {
    let conductor = &settings.conductor;
    let undrained = |configured| match configured {
        config::Undrained::Remove => Undrained::Remove,
        config::Undrained::Fail => Undrained::Fail,
    };
    Draining {
        deadline: conductor.drain_deadline,
        on_deadline: undrained(conductor.drain_on_deadline),
        unreachable: undrained(conductor.drain_unreachable),
    }
}

/// What fetches the manifests that are given as a URL.
pub fn fetcher(settings: &Settings) -> anyhow::Result<Fetcher> {
    let marathon = &settings.marathon;
    let allowed = Networks::parse(marathon.manifest_url_allowed_networks.iter().map(String::as_str));
    Ok(Fetcher::new(manifest_url::Settings {
        schemes: marathon.manifest_url_schemes.clone(),
        allowed: allowed.context("[marathon] manifest_url_allowed_networks")?,
        max_size: marathon.manifest_url_max_size,
        timeout: marathon.manifest_url_timeout,
    })?)
}
