//! The section about the frameworks that run apps on bays.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::config::kind::OnDeadline;
use crate::config::option::{boolean, choice, duration_from, integer, list, path, port, section, text};

section! {
    /// The Mesos masters of bays, which are asked what runs where when a bay gets smaller. Whether they are spoken to
    /// over TLS, and which authorities may sign their certificates, is as for Marathon.
    "mesos" => MesosSettings {
        /// The port of the Mesos master on a bay's masters.
        port: u16 = port("5050");
        /// The principal for HTTP basic authentication.
        http_username: Option<String> = text("");
        /// Its secret.
        http_password: Option<SecretString> = text("").secret();
    }
}

section! {
    /// Marathon, which runs the apps of bays.
    "marathon" => MarathonSettings {
        /// The port of Marathon on a bay's masters.
        port: u16 = port("8080");
        /// Its port on the masters of a bay that was built with TLS.
        tls_port: u16 = port("8443");
        /// Enters a bay that was built with TLS with the certificates, names and passwords that it was given, its
        /// Mesos masters too. Otherwise only with what is configured here, as through a proxy before all masters.
        bay_credentials: bool = boolean("true");
        /// Speaks TLS to the masters of other bays. ca_file implies it.
        tls: bool = boolean("false");
        /// The authorities that may sign the masters' certificates. Unset: the system's.
        ca_file: Option<PathBuf> = path("");
        /// The user for HTTP basic authentication.
        http_username: Option<String> = text("");
        /// The password for HTTP basic authentication.
        http_password: Option<SecretString> = text("").secret();
        /// A token instead of a user, sent as "Authorization: token=...".
        token: Option<SecretString> = text("").secret();
        /// Credentials per bay: a JSON object of bays' uuids, or "*" for all others, with username and password,
        /// or token, and perhaps ca_file and tls. A bay that it does not name has the options above.
        credentials_file: Option<PathBuf> = path("");
        /// The longest that a connection to a master may take to be made.
        connect_timeout: Duration = duration_from("2s", Duration::from_millis(10));
        /// The longest that one request to Marathon may take.
        request_timeout: Duration = duration_from("10s", Duration::from_millis(10));
        /// How long a stream of events may be silent, without even a heartbeat, before it is opened anew.
        events_silence: Duration = duration_from("45s", Duration::from_millis(10));
        /// The longest event that is read, in bytes; after a longer one everything is looked at.
        event_max_size: usize = integer("1048576", 1024, 268_435_456);
        /// How often a bay's apps are looked at while no event hints at a change.
        poll_interval: Duration = duration_from("10s", Duration::from_millis(50));
        /// How long a deployment may take.
        deployment_deadline: Duration = duration_from("15m", Duration::from_millis(10));
        /// What becomes of a deployment that takes longer: it is left to go on, its changes are taken back by a new
        /// deployment, or it is cancelled where it stands.
        deployment_on_deadline: OnDeadline = choice("leave", OnDeadline::CHOICES);
        /// By which schemes a manifest_url may be fetched.
        manifest_url_schemes: Vec<String> = list("https,http");
        /// Networks that a manifest_url may lead into although they are not public, such as 10.1.0.0/16.
        manifest_url_allowed_networks: Vec<String> = list("");
        /// The longest manifest that is fetched, in bytes.
        manifest_url_max_size: usize = integer("1048576", 1, 1_048_576);
        /// The longest that fetching a manifest may take.
        manifest_url_timeout: Duration = duration_from("10s", Duration::from_millis(10));
    }
}
