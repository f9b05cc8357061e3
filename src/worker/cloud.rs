//! The cloud's settings, from `[keystone_auth]`, `[keystone_authtoken]`, `[trust]`, `[heat_client]` and
//! `[barbican_client]`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::config::Settings;
use crate::openstack::http::Observer;
use crate::openstack::settings::{
    DomainRef, EndpointSettings, Limits, PasswordAuth, ProjectRef, Tls, TrustSettings, UserRef,
};
use crate::openstack::{self, OpenStack};
use crate::telemetry::metrics::{self, Answer, Service};

/// The clients of the cloud's services.
pub fn open(settings: &Settings) -> anyhow::Result<OpenStack> {
    let auth = &settings.keystone_auth;
    let token = &settings.keystone_authtoken;
    let heat = &settings.heat_client;
    let service = settings.service_user();
    let identity_tls = Tls {
        ca_file: auth.cafile.clone().or_else(|| token.cafile.clone()),
        cert_file: auth.certfile.clone().or_else(|| token.certfile.clone()),
        key_file: auth.keyfile.clone().or_else(|| token.keyfile.clone()),
        insecure: auth.insecure || token.insecure,
    };
    let cloud = openstack::Settings {
        auth_url: service
            .as_ref()
            .and_then(|found| found.auth_url.clone())
            .or_else(|| settings.auth_uri().map(str::to_owned)),
        service: service_user(settings),
        trust: trust(settings),
        heat: EndpointSettings {
            region_name: heat.region_name.clone(),
            interface: heat.endpoint_type.parse().context("[heat_client] endpoint_type")?,
            tls: Tls {
                ca_file: heat.ca_file.clone(),
                cert_file: heat.cert_file.clone(),
                key_file: heat.key_file.clone(),
                insecure: heat.insecure,
            },
        },
        // As the service user goes there, it trusts whom it trusts at Keystone.
        barbican: EndpointSettings {
            region_name: settings.barbican_client.region_name.clone(),
            interface: settings
                .barbican_client
                .endpoint_type
                .parse()
                .context("[barbican_client] endpoint_type")?,
            tls: identity_tls.clone(),
        },
        identity_tls,
        limits: Limits {
            connect_timeout: settings.conductor.http_connect_timeout,
            timeout: settings.conductor.http_timeout,
            token_cache_time: settings.conductor.token_cache_time,
            ..Limits::default()
        },
    };
    Ok(OpenStack::new(cloud, Arc::new(Counted))?)
}

/// The service user in the clients' terms: the validation of the configuration has seen to it that it is complete.
pub(super) fn service_user(settings: &Settings) -> Option<PasswordAuth> {
    let found = settings.service_user()?;
    let user = match (found.user_id, found.username) {
        (Some(id), _) => UserRef::Id(id),
        (None, Some(name)) => {
            UserRef::Name { name, domain: domain(&found.user_domain_id, &found.user_domain_name) }
        }
        (None, None) => return None,
    };
    let project = match (found.project_id, found.project_name) {
        (Some(id), _) => Some(ProjectRef::Id(id)),
        (None, Some(name)) => Some(ProjectRef::Name {
            name,
            domain: domain(&found.project_domain_id, &found.project_domain_name),
        }),
        (None, None) => None,
    };
    Some(PasswordAuth { user, password: found.password?, project })
}

/// A domain by id, else by name, else Keystone's own default one.
fn domain(id: &Option<String>, name: &Option<String>) -> DomainRef {
    match (id, name) {
        (Some(id), _) => DomainRef::Id(id.clone()),
        (None, Some(name)) => DomainRef::Name(name.clone()),
        (None, None) => DomainRef::Id("default".to_owned()),
    }
}

/// Complete or absent: the validation of the configuration has refused anything between.
fn trust(settings: &Settings) -> Option<TrustSettings> {
    let trust = &settings.trust;
    let named = |id: &Option<String>, name: &Option<String>| match (id, name) {
        (Some(id), _) => Some(DomainRef::Id(id.clone())),
        (None, name) => name.clone().map(DomainRef::Name),
    };
    let trustees = named(&trust.trustee_domain_id, &trust.trustee_domain_name)?;
    let admin = match (&trust.trustee_domain_admin_id, &trust.trustee_domain_admin_name) {
        (Some(id), _) => UserRef::Id(id.clone()),
        (None, Some(name)) => UserRef::Name {
            name: name.clone(),
            domain: named(&trust.trustee_domain_admin_domain_id, &trust.trustee_domain_admin_domain_name)
                .unwrap_or_else(|| trustees.clone()),
        },
        (None, None) => return None,
    };
    Some(TrustSettings {
        domain: trustees,
        admin,
        admin_password: trust.trustee_domain_admin_password.clone()?,
        roles: trust.roles.clone(),
    })
}

/// Counts every request to the cloud.
struct Counted;

impl Observer for Counted {
    fn request(&self, service: &'static str, method: &str, status: Option<u16>, took: Duration) {
        let service = match service {
            "heat" => Service::Heat,
            "barbican" => Service::Barbican,
            _ => Service::Keystone,
        };
        let answer = status.map_or(Answer::Lost, Answer::Status);
        metrics::openstack_request(service, method, answer, took);
    }
}
