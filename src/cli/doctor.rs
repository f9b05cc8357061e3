//! `doctor`: whether a worker with this configuration could work, and what an operator had better change.
//!
//! It looks and changes nothing.

mod accounts;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};
use url::Url;

use super::{Global, error::Error, output::Output};
use crate::amqp::settings::Broker;
use crate::amqp::{Publisher, settings};
use crate::config::{Settings, Warning};
use crate::openstack::{Credentials, OpenStack, Session};
use crate::store::Store;
use crate::worker;

const COLUMNS: &[&str] = &["check", "state", "detail", "hint"];
/// How long Keystone may take for one answer.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// RabbitMQ's management API: lists who else may send requests
    #[arg(long, value_name = "http://USER:PASSWORD@HOST:15672")]
    management_url: Option<Url>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Warning,
    Failed,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// What was looked at, and what came of it.
#[derive(Default)]
struct Findings(Vec<(State, Map<String, Value>)>);

impl Findings {
    fn ok(&mut self, check: &str, detail: impl Into<String>) {
        self.add(check, State::Ok, detail.into(), "");
    }

    fn warn(&mut self, check: &str, detail: impl Into<String>, hint: &str) {
        self.add(check, State::Warning, detail.into(), hint);
    }

    fn fail(&mut self, check: &str, detail: impl Into<String>, hint: &str) {
        self.add(check, State::Failed, detail.into(), hint);
    }

    fn add(&mut self, check: &str, state: State, detail: String, hint: &str) {
        let row = [("check", check), ("state", state.as_str()), ("detail", detail.as_str()), ("hint", hint)];
        let row = row.map(|(name, value)| (name.to_owned(), json!(value)));
        self.0.push((state, row.into_iter().collect()));
    }

    fn failed(&self) -> usize {
        self.0.iter().filter(|(state, _)| *state == State::Failed).count()
    }
}

impl Doctor {
    /// A configuration with faults ends this with all of them: nothing else could be looked at.
    pub(super) async fn run(self, global: &Global, output: &mut Output) -> Result<(), Error> {
        let loaded = crate::config::load(&global.sources())?;
        let mut findings = Findings::default();
        configuration(&loaded.warnings, &mut findings);
        let broker = worker::broker(&loaded.settings)?;
        check_broker(&broker, &mut findings).await;
        if let Some(url) = &self.management_url {
            accounts::check(url, &broker, &mut findings).await;
        }
        check_database(&loaded.settings, &mut findings).await;
        check_keystone(&loaded.settings, &mut findings).await;
        let rows: Vec<_> = findings.0.iter().map(|(_, row)| row.clone()).collect();
        output.rows(&rows, COLUMNS)?;
        match findings.failed() {
            0 => Ok(()),
            1 => Err(Error::Ended("1 check failed".to_owned())),
            failed => Err(Error::Ended(format!("{failed} checks failed"))),
        }
    }
}

fn configuration(warnings: &[Warning], findings: &mut Findings) {
    let urgent: Vec<_> = warnings.iter().filter(|warning| warning.is_urgent()).collect();
    if urgent.is_empty() {
        findings.ok("configuration", "no faults");
    }
    for warning in urgent {
        findings.warn("configuration", warning.to_string(), "see `mesos-conductor config check`");
    }
}

async fn check_broker(broker: &Broker, findings: &mut Findings) {
    let publisher = Publisher::new(Arc::new(broker.clone()));
    let hosts: Vec<_> = broker.hosts.iter().map(settings::Host::endpoint).collect();
    match publisher.connect().await {
        Ok(()) => findings.ok("broker", format!("one of {} answers", hosts.join(", "))),
        Err(error) => {
            let hint = "look at host, user, password and virtual host of [DEFAULT] transport_url";
            findings.fail("broker", error.to_string(), hint);
        }
    }
    publisher.close().await;
    match &broker.tls {
        Some(_) => findings.ok("broker encryption", "TLS"),
        None => {
            let hint = "set ssl = true in [oslo_messaging_rabbit], and use the broker's TLS port";
            findings.warn("broker encryption", "requests and the tokens in them go in clear", hint);
        }
    }
    if broker.hosts.iter().any(|host| host.username == "guest") {
        let hint = "make an account for the conductor alone; SECURITY.md says with which permissions";
        findings.warn("broker account", "guest is everybody's", hint);
    } else {
        findings.ok("broker account", "not guest");
    }
    if broker.vhost == "/" {
        let hint = "give the conductor and magnum-api one of their own";
        findings.warn("broker virtual host", "/ is the one that other services use too", hint);
    } else {
        findings.ok("broker virtual host", broker.vhost.clone());
    }
}

async fn check_database(settings: &Settings, findings: &mut Findings) {
    let check = "database";
    // Opening it would make it.
    if settings.database.embedded_file().is_some_and(|file| !file.exists()) {
        return findings.ok(check, "there is none yet; the first worker makes it");
    }
    let store = match worker::open_store(settings).await {
        Ok(store) => store,
        Err(error) => {
            let hint = "look at [database] connection, and at the key that secrets are encrypted with";
            return findings.fail(check, format!("{error:#}"), hint);
        }
    };
    look_into(&store, findings).await;
    store.close().await;
}

async fn look_into(store: &Store, findings: &mut Findings) {
    let check = "database";
    match store.migration_status().await {
        Ok(status) if status.is_current() => findings.ok(check, store.backend().as_str()),
        Ok(status) => {
            let detail = format!("{} migrations are pending", status.pending.len());
            return findings.fail(check, detail, "run: mesos-conductor db migrate");
        }
        Err(error) => {
            let hint = "it was made by another release, or its user may not read it";
            return findings.fail(check, format!("{:#}", anyhow::Error::new(error)), hint);
        }
    }
    match store.all_set_aside().await {
        Ok(messages) if messages.is_empty() => findings.ok("messages", "none is set aside"),
        Ok(messages) => {
            let detail = format!("{} set aside", messages.len());
            findings.warn("messages", detail, "see `mesos-conductor set-aside list`");
        }
        Err(error) => findings.fail("messages", format!("{:#}", anyhow::Error::new(error)), ""),
    }
}

async fn check_keystone(settings: &Settings, findings: &mut Findings) {
    let cloud = match worker::open_cloud(settings) {
        Ok(cloud) => cloud,
        Err(error) => return findings.fail("keystone", format!("{error:#}"), "see [keystone_auth]"),
    };
    if settings.service_user().is_none() {
        let hint = "set [keystone_auth], unless every bay has a trust";
        findings.warn("keystone", "no service user is configured", hint);
    } else {
        let hint = "look at address, user, password and project in [keystone_auth]";
        let service = Credentials::Service { project_id: None };
        log_in(&cloud, "keystone", &service, hint, findings).await;
    }
    if cloud.keystone.trusts_configured() {
        let hint = "look at the domain, its administrator and the password in [trust]";
        log_in(&cloud, "trustees' domain", &Credentials::DomainAdmin, hint, findings).await;
    } else {
        let hint = "set [trust] for one trustee and trust per bay";
        findings.warn("trustees' domain", "bays get no trust: the service user looks after them", hint);
    }
}

async fn log_in(
    cloud: &OpenStack,
    check: &str,
    credentials: &Credentials,
    hint: &str,
    findings: &mut Findings,
) {
    match cloud.keystone.session(credentials, PATIENCE).await {
        Ok(Session { user_id, .. }) => findings.ok(check, format!("logged in as user {user_id}")),
        Err(error) => findings.fail(check, error.to_string(), hint),
    }
}
