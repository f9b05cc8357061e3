//! Which of several sections holds what is asked for: releases have moved the service user around.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::{DatabaseSettings, Settings};

/// The service user, wherever the configuration keeps it.
#[derive(Debug, Clone)]
pub struct ServiceUser {
    /// The section it was found in.
    pub section: &'static str,
    pub auth_url: Option<String>,
    pub username: Option<String>,
    pub user_id: Option<String>,
    pub password: Option<SecretString>,
    pub project_name: Option<String>,
    pub project_id: Option<String>,
    pub project_domain_id: Option<String>,
    pub project_domain_name: Option<String>,
    pub user_domain_id: Option<String>,
    pub user_domain_name: Option<String>,
    pub cafile: Option<PathBuf>,
    pub certfile: Option<PathBuf>,
    pub keyfile: Option<PathBuf>,
    pub insecure: bool,
}

impl Settings {
    /// From `[keystone_auth]`, else from `[keystone_authtoken]`, else from its `admin_*` options.
    ///
    /// A user without any domain is one of the domain `default`, as before Keystone had domains.
    pub fn service_user(&self) -> Option<ServiceUser> {
        let elsewhere = self.keystone_auth.auth_section.as_deref() == Some("keystone_authtoken");
        let mut user =
            self.user_of_keystone_auth().filter(|_| !elsewhere).or_else(|| self.user_of_authtoken())?;
        if user.user_id.is_none() && user.user_domain_id.is_none() && user.user_domain_name.is_none() {
            user.user_domain_id = Some("default".to_owned());
        }
        if user.project_id.is_none() && user.project_domain_id.is_none() && user.project_domain_name.is_none()
        {
            user.project_domain_id = Some("default".to_owned());
        }
        Some(user)
    }

    /// The identity service as callers and bays know it.
    pub fn auth_uri(&self) -> Option<&str> {
        let token = &self.keystone_authtoken;
        [&token.www_authenticate_uri, &self.keystone_auth.auth_url, &token.auth_url, &token.identity_uri]
            .into_iter()
            .find_map(|uri| uri.as_deref())
    }

    /// `[DEFAULT] transport_url`, with the single options of Liberty where the URL names none.
    ///
    /// These options say nothing as soon as the URL names a host, as in oslo.messaging.
    pub fn transport_url(&self) -> SecretString {
        let url = self.default.transport_url.expose_secret();
        let rabbit = &self.oslo_messaging_rabbit;
        let named = url.split_once("://").is_some_and(|(_, rest)| !rest.trim_matches('/').is_empty());
        let hosts = match (&rabbit.rabbit_hosts[..], &rabbit.rabbit_host) {
            ([], None) => Vec::new(),
            ([], Some(host)) => vec![host.clone()],
            (hosts, _) => hosts.to_vec(),
        };
        if named || (hosts.is_empty() && rabbit.rabbit_userid.is_none() && rabbit.rabbit_password.is_none()) {
            return self.default.transport_url.clone();
        }
        let user = rabbit.rabbit_userid.as_deref().unwrap_or("guest");
        let password = rabbit.rabbit_password.as_ref().map_or("guest", |password| password.expose_secret());
        let credentials = format!("{}:{}", encoded(user), encoded(password));
        let port = rabbit.rabbit_port.unwrap_or(5672);
        let hosts = if hosts.is_empty() { vec!["localhost".to_owned()] } else { hosts };
        let hosts: Vec<_> = hosts
            .iter()
            .map(|host| {
                let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
                let port = if has_port { String::new() } else { format!(":{port}") };
                format!("{credentials}@{host}{port}")
            })
            .collect();
        let vhost = rabbit.rabbit_virtual_host.as_deref().unwrap_or("/");
        format!("rabbit://{}/{}", hosts.join(","), encoded(vhost)).into()
    }

    fn user_of_keystone_auth(&self) -> Option<ServiceUser> {
        let auth = &self.keystone_auth;
        if auth.username.is_none() && auth.user_id.is_none() {
            return None;
        }
        Some(ServiceUser {
            section: "keystone_auth",
            auth_url: auth.auth_url.clone().or_else(|| self.auth_uri().map(str::to_owned)),
            username: auth.username.clone(),
            user_id: auth.user_id.clone(),
            password: auth.password.clone(),
            project_name: auth.project_name.clone(),
            project_id: auth.project_id.clone(),
            project_domain_id: auth.project_domain_id.clone(),
            project_domain_name: auth.project_domain_name.clone(),
            user_domain_id: auth.user_domain_id.clone(),
            user_domain_name: auth.user_domain_name.clone(),
            cafile: auth.cafile.clone(),
            certfile: auth.certfile.clone(),
            keyfile: auth.keyfile.clone(),
            insecure: auth.insecure,
        })
    }

    fn user_of_authtoken(&self) -> Option<ServiceUser> {
        let token = &self.keystone_authtoken;
        let modern = token.username.is_some();
        let username = token.username.clone().or_else(|| token.admin_user.clone())?;
        let (password, project_name, own_url) = if modern {
            (token.password.clone(), token.project_name.clone(), &token.auth_url)
        } else {
            (token.admin_password.clone(), token.admin_tenant_name.clone(), &token.identity_uri)
        };
        Some(ServiceUser {
            section: "keystone_authtoken",
            auth_url: own_url.clone().or_else(|| self.auth_uri().map(str::to_owned)),
            username: Some(username),
            user_id: None,
            password,
            project_name,
            project_id: token.project_id.clone(),
            project_domain_id: token.project_domain_id.clone(),
            project_domain_name: token.project_domain_name.clone(),
            user_domain_id: token.user_domain_id.clone(),
            user_domain_name: token.user_domain_name.clone(),
            cafile: token.cafile.clone(),
            certfile: token.certfile.clone(),
            keyfile: token.keyfile.clone(),
            insecure: token.insecure,
        })
    }
}

impl DatabaseSettings {
    /// One worker, one file, and its key in a file beside it.
    pub fn is_embedded(&self) -> bool {
        self.connection.expose_secret().trim_start().starts_with("sqlite")
    }

    /// The file of an embedded database; `None` for one in memory or on a server.
    pub fn embedded_file(&self) -> Option<PathBuf> {
        let (_, path) = self.connection.expose_secret().split_once("://").filter(|_| self.is_embedded())?;
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        // SQLAlchemy: three slashes for a relative path, four for an absolute one.
        let path = path.strip_prefix('/').unwrap_or(path);
        (!path.is_empty() && path != ":memory:").then(|| PathBuf::from(path))
    }
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
