//! The sections about Keystone and the services behind it.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::core::TRANSPORT_SCHEMES;
use crate::config::option::{boolean, duration_from, list, path, section, text, url};

const HTTP: &[&str] = &["http", "https"];

section! {
    /// The service user, as keystoneauth's `password` plugin spells it.
    "keystone_auth" => KeystoneAuthSettings {
        /// Only `password` (also spelled `v3password`) is supported.
        auth_type: Option<String> = text("").also(&[("keystone_auth", "auth_plugin")]);
        /// Another section that holds these options; only keystone_authtoken is supported.
        auth_section: Option<String> = text("");
        /// The identity service.
        auth_url: Option<String> = url("", HTTP);
        /// The service user's name.
        username: Option<String> = text("").also(&[("keystone_auth", "user_name")]);
        /// The service user's id, instead of its name.
        user_id: Option<String> = text("");
        /// The service user's password.
        password: Option<SecretString> = text("").secret();
        /// The project of the service user.
        project_name: Option<String> = text("")
            .also(&[("keystone_auth", "tenant_name"), ("keystone_auth", "tenant-name")]);
        /// The project's id, instead of its name.
        project_id: Option<String> = text("").also(&[("keystone_auth", "tenant_id")]);
        /// The domain of the project.
        project_domain_id: Option<String> = text("");
        /// The domain of the project, by name.
        project_domain_name: Option<String> = text("");
        /// The domain of the user.
        user_domain_id: Option<String> = text("");
        /// The domain of the user, by name.
        user_domain_name: Option<String> = text("");
        /// The authorities that may sign the services' certificates.
        cafile: Option<PathBuf> = path("");
        /// A client certificate.
        certfile: Option<PathBuf> = path("");
        /// The client certificate's key.
        keyfile: Option<PathBuf> = path("");
        /// Accepts any certificate of the services.
        insecure: bool = boolean("false");
    }
}

section! {
    /// Where callers' tokens come from. Older releases keep the service user here as well.
    "keystone_authtoken" => KeystoneAuthtokenSettings {
        /// The identity service as callers know it; it is the auth_url given to bays.
        www_authenticate_uri: Option<String> = url("", HTTP).also(&[("keystone_authtoken", "auth_uri")]);
        /// Only `password` is supported.
        auth_type: Option<String> = text("").also(&[("keystone_authtoken", "auth_plugin")]);
        /// The identity service for the service user.
        auth_url: Option<String> = url("", HTTP);
        /// The service user's name.
        username: Option<String> = text("").also(&[("keystone_authtoken", "user_name")]);
        /// The service user's password.
        password: Option<SecretString> = text("").secret();
        /// The project of the service user.
        project_name: Option<String> = text("").also(&[("keystone_authtoken", "tenant_name")]);
        /// The project's id, instead of its name.
        project_id: Option<String> = text("");
        /// The domain of the project.
        project_domain_id: Option<String> = text("");
        /// The domain of the project, by name.
        project_domain_name: Option<String> = text("");
        /// The domain of the user.
        user_domain_id: Option<String> = text("");
        /// The domain of the user, by name.
        user_domain_name: Option<String> = text("");
        /// The service user's name, as Liberty to Ocata spell it.
        admin_user: Option<String> = text("");
        /// The service user's password, as Liberty to Ocata spell it.
        admin_password: Option<SecretString> = text("").secret();
        /// The service user's project, as Liberty to Ocata spell it.
        admin_tenant_name: Option<String> = text("");
        /// The identity service, as Liberty to Ocata spell it.
        identity_uri: Option<String> = url("", HTTP);
        /// The authorities that may sign Keystone's certificate.
        cafile: Option<PathBuf> = path("");
        /// A client certificate.
        certfile: Option<PathBuf> = path("");
        /// The client certificate's key.
        keyfile: Option<PathBuf> = path("");
        /// Accepts any certificate of Keystone.
        insecure: bool = boolean("false");
    }
}

section! {
    /// The domain in which a user is made per bay, and a trust from the bay's owner to it.
    "trust" => TrustSettings {
        /// The domain of the trustees.
        trustee_domain_id: Option<String> = text("");
        /// The domain of the trustees, by name.
        trustee_domain_name: Option<String> = text("");
        /// The user who may make users in that domain.
        trustee_domain_admin_id: Option<String> = text("");
        /// The user who may make users in that domain, by name.
        trustee_domain_admin_name: Option<String> = text("");
        /// The domain of that user. Unset: the domain of the trustees.
        trustee_domain_admin_domain_id: Option<String> = text("");
        /// The domain of that user, by name.
        trustee_domain_admin_domain_name: Option<String> = text("");
        /// The password of that user.
        trustee_domain_admin_password: Option<SecretString> = text("").secret();
        /// The roles that a trust hands on. Unset: all roles of the bay's owner.
        roles: Vec<String> = list("");
    }
}

section! {
    /// The orchestration service.
    "heat_client" => HeatClientSettings {
        /// The region of the endpoint.
        region_name: Option<String> = text("");
        /// The interface of the endpoint: publicURL, internalURL, adminURL.
        endpoint_type: String = text("publicURL");
        /// The authorities that may sign Heat's certificate.
        ca_file: Option<PathBuf> = path("");
        /// A client certificate.
        cert_file: Option<PathBuf> = path("");
        /// The client certificate's key.
        key_file: Option<PathBuf> = path("");
        /// Accepts any certificate of Heat.
        insecure: bool = boolean("false");
    }
}

section! {
    /// Heat's own notifications: a worker looks at a stack as soon as one says that it has come to an end of something.
    /// Heat sends them with [oslo_messaging_notifications] driver = messagingv2 in heat.conf.
    "heat_notifications" => HeatNotificationSettings {
        /// Whether they are listened to. Where they do not come, stacks are looked at by [conductor] poll_interval.
        enabled: bool = boolean("true");
        /// The exchange on which Heat publishes: its control_exchange. It is only looked at, never declared.
        exchange: String = text("heat");
        /// Heat's [oslo_messaging_notifications] topics.
        topics: Vec<String> = list("notifications");
        /// The queue of our own that all workers share. Workers of another database need another one.
        queue: String = text("mesos-conductor.heat");
        /// The broker on which Heat publishes. Unset: [DEFAULT] transport_url.
        transport_url: Option<SecretString> = url("", TRANSPORT_SCHEMES).secret();
        /// Between two tries where there is no such exchange, or the broker does not let us bind a queue to it.
        retry_interval: Duration = duration_from("60s", Duration::from_millis(10));
    }
}
