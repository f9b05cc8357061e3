//! What no single option can know: whether the options fit together.

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};

use super::{Effective, LoginMethod, Settings, faults::Fault};
use crate::certificate::{ExtensionName, UnknownName, Usage};
use crate::framework::credentials::Login;
use crate::framework::manifest_url::Networks;

/// Every misfit between options.
pub(crate) fn validate(settings: &Settings, effective: &Effective) -> Vec<Fault> {
    let mut check = Check { settings, effective, faults: Vec::new() };
    check.names();
    check.keys();
    check.service_user();
    check.verification();
    check.trust();
    check.broker();
    check.times();
    check.marathon();
    check.x509();
    check.faults
}

struct Check<'a> {
    settings: &'a Settings,
    effective: &'a Effective,
    faults: Vec<Fault>,
}

impl Check<'_> {
    fn fault(
        &mut self,
        (section, name): (&str, &str),
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let entry = self.effective.entry(section, name);
        self.faults.push(Fault {
            origin: entry.origin.clone(),
            option: Some(entry.option.label()),
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }

    /// The broker limits names to 255 bytes, and the fanout queue adds to the topic.
    fn names(&mut self) {
        let settings = self.settings;
        for (option, name) in [
            (("conductor", "topic"), &settings.conductor.topic),
            (("DEFAULT", "control_exchange"), &settings.default.control_exchange),
        ] {
            let blank = name.chars().any(|c| c.is_whitespace() || c.is_control());
            if name.is_empty() || name.len() > 200 || blank {
                self.fault(
                    option,
                    format!("{name:?} is not a name of 1 to 200 characters without blanks"),
                    "use the same name as magnum-api does",
                );
            }
        }
        if settings.default.password_symbols.iter().all(String::is_empty) {
            self.fault(
                ("DEFAULT", "password_symbols"),
                "no characters are left to make passwords of",
                "name at least one group of characters",
            );
        }
    }

    fn keys(&mut self) {
        let conductor = &self.settings.conductor;
        let option = ("conductor", "encryption_key");
        for (index, key) in conductor.encryption_key.iter().enumerate() {
            if !is_key(key) {
                self.fault(
                    option,
                    format!("key {} is not base64 of 32 bytes", index + 1),
                    "make one with: mesos-conductor config keygen",
                );
            }
        }
        let none = conductor.encryption_key.is_empty() && conductor.encryption_key_file.is_none();
        if none && !self.settings.database.is_embedded() {
            self.fault(
                option,
                "secrets in this database need a key, and none is given",
                "make one with `mesos-conductor config keygen` and give it to every worker, here or in \
                 encryption_key_file",
            );
        }
        if !conductor.encryption_key.is_empty() && conductor.encryption_key_file.is_some() {
            self.fault(
                ("conductor", "encryption_key_file"),
                "keys are also given by encryption_key",
                "keep them in one place",
            );
        }
    }

    fn service_user(&mut self) {
        let auth = &self.settings.keystone_auth;
        if let Some(section) = &auth.auth_section
            && !["keystone_auth", "keystone_authtoken"].contains(&section.as_str())
        {
            self.fault(
                ("keystone_auth", "auth_section"),
                format!("the section {section:?} is not read"),
                "use keystone_authtoken, or write the options into [keystone_auth]",
            );
        }
        for (section, plugin) in [
            ("keystone_auth", &auth.auth_type),
            ("keystone_authtoken", &self.settings.keystone_authtoken.auth_type),
        ] {
            if let Some(plugin) = plugin
                && !["password", "v3password"].contains(&plugin.as_str())
            {
                self.fault(
                    (section, "auth_type"),
                    format!("the plugin {plugin:?} is not supported"),
                    "use password",
                );
            }
        }
        self.service_user_is_whole();
        self.pairs();
    }

    fn service_user_is_whole(&mut self) {
        let Some(user) = self.settings.service_user() else { return };
        let section = user.section;
        let missing = [
            ("auth_url", user.auth_url.is_some()),
            ("password", user.password.is_some()),
            ("project_name", user.project_id.is_some() || user.project_name.is_some()),
        ];
        for (option, given) in missing {
            if !given {
                self.fault(
                    (section, option),
                    "is missing, though a service user is named",
                    format!("set it in [{section}]"),
                );
            }
        }
    }

    fn verification(&mut self) {
        let asks = self.settings.auth_uri().is_some()
            || self.settings.service_user().is_some_and(|user| user.auth_url.is_some());
        if self.settings.conductor.verify_tokens && !asks {
            self.fault(
                ("conductor", "verify_tokens"),
                "there is no Keystone to ask",
                "set auth_url in [keystone_auth], or www_authenticate_uri in [keystone_authtoken]",
            );
        }
    }

    /// A certificate without its key, or the other way round.
    fn pairs(&mut self) {
        let settings = self.settings;
        let (auth, token) = (&settings.keystone_auth, &settings.keystone_authtoken);
        let (heat, rabbit) = (&settings.heat_client, &settings.oslo_messaging_rabbit);
        for (section, (cert, certificate), (key, its_key)) in [
            ("keystone_auth", ("certfile", &auth.certfile), ("keyfile", &auth.keyfile)),
            ("keystone_authtoken", ("certfile", &token.certfile), ("keyfile", &token.keyfile)),
            ("heat_client", ("cert_file", &heat.cert_file), ("key_file", &heat.key_file)),
            (
                "oslo_messaging_rabbit",
                ("ssl_cert_file", &rabbit.ssl_cert_file),
                ("ssl_key_file", &rabbit.ssl_key_file),
            ),
        ] {
            let (lone, missing) = match (certificate, its_key) {
                (Some(_), None) => (cert, key),
                (None, Some(_)) => (key, cert),
                (Some(_), Some(_)) | (None, None) => continue,
            };
            let remedy = format!("set both {cert} and {key}, or neither");
            self.fault((section, missing), format!("is missing, though {lone} is given"), remedy);
        }
    }

    fn trust(&mut self) {
        let trust = &self.settings.trust;
        let parts = [
            (
                "trustee_domain_id",
                "trustee_domain_name",
                trust.trustee_domain_id.is_some() || trust.trustee_domain_name.is_some(),
            ),
            (
                "trustee_domain_admin_id",
                "trustee_domain_admin_name",
                trust.trustee_domain_admin_id.is_some() || trust.trustee_domain_admin_name.is_some(),
            ),
            (
                "trustee_domain_admin_password",
                "trustee_domain_admin_password",
                trust.trustee_domain_admin_password.is_some(),
            ),
        ];
        if parts.iter().all(|(_, _, given)| !given) {
            return;
        }
        for (option, or, given) in parts {
            if !given {
                let which = if option == or { option.to_owned() } else { format!("{option} or {or}") };
                self.fault(
                    ("trust", option),
                    "is missing, though other options of [trust] are given",
                    format!("set {which}; a trustee needs its domain, an administrator and a password"),
                );
            }
        }
    }

    fn broker(&mut self) {
        let rabbit = &self.settings.oslo_messaging_rabbit;
        let section = "oslo_messaging_rabbit";
        if rabbit.rabbit_quorum_queue && rabbit.rabbit_ha_queues {
            self.fault(
                (section, "rabbit_ha_queues"),
                "mirrored and quorum queues exclude each other",
                "set it as magnum-api has it; use rabbit_quorum_queue alone on brokers since 3.8",
            );
        }
        if rabbit.rabbit_stream_fanout && !rabbit.rabbit_transient_quorum_queue {
            self.fault(
                (section, "rabbit_stream_fanout"),
                "needs rabbit_transient_quorum_queue",
                "set rabbit_transient_quorum_queue = true as well",
            );
        }
        if rabbit.rabbit_login_method == LoginMethod::External
            && !(rabbit.ssl && rabbit.ssl_cert_file.is_some())
        {
            self.fault(
                (section, "rabbit_login_method"),
                "EXTERNAL proves the user by a certificate, and none is shown",
                "set ssl = true, ssl_cert_file and ssl_key_file, or use PLAIN or AMQPLAIN",
            );
        }
        if rabbit.rabbit_stream_fanout && rabbit.rabbit_qos_prefetch_count == 0 {
            self.fault(
                (section, "rabbit_qos_prefetch_count"),
                "a stream needs a prefetch count",
                "set it to at least 1, or rabbit_stream_fanout = false",
            );
        }
    }

    fn times(&mut self) {
        let conductor = &self.settings.conductor;
        if conductor.http_connect_timeout > conductor.http_timeout {
            self.fault(
                ("conductor", "http_connect_timeout"),
                "is longer than http_timeout, which includes it",
                "make it shorter",
            );
        }
        if conductor.operation_deadline <= conductor.operation_lease {
            self.fault(
                ("conductor", "operation_deadline"),
                "is not longer than operation_lease",
                "an operation that changes hands once would fail: make it longer",
            );
        }
    }

    /// Names that OpenSSL has, as far as they mean anything here.
    fn x509(&mut self) {
        let x509 = &self.settings.x509;
        let extension = x509.allowed_extensions.iter().find_map(|name| name.parse::<ExtensionName>().err());
        let usage = x509.allowed_key_usage.iter().find_map(|name| name.parse::<Usage>().err());
        for (option, unknown) in [("allowed_extensions", extension), ("allowed_key_usage", usage)] {
            if let Some(UnknownName { name, known }) = unknown {
                self.fault(("x509", option), format!("{name:?} is not known"), format!("use any of {known}"));
            }
        }
    }

    fn marathon(&mut self) {
        let marathon = &self.settings.marathon;
        let login = Login::new(
            marathon.http_username.clone(),
            marathon.http_password.clone(),
            marathon.token.clone(),
        );
        if let Err(problem) = login {
            let remedy = "give http_username and http_password, or token, or neither";
            self.fault(("marathon", "http_username"), problem, remedy);
        }
        let mesos = &self.settings.mesos;
        if let Err(problem) = Login::new(mesos.http_username.clone(), mesos.http_password.clone(), None) {
            self.fault(
                ("mesos", "http_username"),
                problem,
                "set http_username and http_password, or neither",
            );
        }
        for network in &marathon.manifest_url_allowed_networks {
            if let Err(fault) = Networks::parse([network.as_str()]) {
                let remedy = "write an address, or a network with its length, such as 10.1.0.0/16";
                self.fault(("marathon", "manifest_url_allowed_networks"), fault.to_string(), remedy);
            }
        }
        for scheme in &marathon.manifest_url_schemes {
            if !["http", "https"].contains(&scheme.as_str()) {
                let problem = format!("manifests cannot be fetched by {scheme:?}");
                self.fault(("marathon", "manifest_url_schemes"), problem, "name https, http or both");
            }
        }
    }
}

/// A key is the base64 of 32 bytes.
pub(crate) fn is_key(key: &SecretString) -> bool {
    STANDARD.decode(key.expose_secret().trim()).is_ok_and(|bytes| bytes.len() == 32)
}
