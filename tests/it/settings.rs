//! Every broker setting, as an operator writes it and as a broker and an unmodified oslo.messaging see it.
//!
//! The table of docs/COMPATIBILITY.md is what [`every_option_of_the_library_is_honoured_or_has_a_reason`] saw.

mod broken;
mod connecting;
mod declaring;
mod node;
mod permissions;
mod python;
mod worker;

use std::collections::BTreeMap;

use mesos_conductor::{
    amqp::settings::Broker,
    config::{self, Loaded, Sources},
    worker::broker,
};

use crate::support::document::generated;

/// The configuration of a worker with these options of `[oslo_messaging_rabbit]`, or what is wrong with it.
fn load(url: &str, id: &str, options: &[&str]) -> Result<Loaded, String> {
    let mut overrides = vec![
        format!("transport_url={url}"),
        format!("control_exchange=test-{id}"),
        format!("conductor.topic=conductor-{id}"),
    ];
    overrides.extend(options.iter().map(|option| format!("oslo_messaging_rabbit.{option}")));
    config::load(&Sources { overrides, ..Sources::default() }).map_err(|faults| faults.0[0].to_string())
}

/// What a worker with these options makes its connections from.
fn configured(url: &str, id: &str, options: &[&str]) -> Broker {
    let loaded = load(url, id, options).unwrap_or_else(|fault| panic!("{options:?}: {fault}"));
    Broker { server: "node1".to_owned(), ..broker(&loaded.settings).expect("a broker") }
}

/// The rows of the table: what the worker does about an option, and what was seen.
#[derive(Default)]
struct Rows(BTreeMap<String, (&'static str, String)>);

impl Rows {
    fn add(&mut self, option: &str, does: &'static str, seen: impl Into<String>) {
        let before = self.0.insert(option.to_owned(), (does, seen.into()));
        assert!(before.is_none(), "{option} has two rows");
    }

    fn join(&mut self, other: Self) {
        for (option, (does, seen)) in other.0 {
            self.add(&option, does, seen);
        }
    }

    /// In the order of the library's options, with its defaults. What it does not have comes last.
    fn table(mut self, library: &[(String, String)]) -> String {
        let mut text = "| option | default | what a worker does | seen |\n|---|---|---|---|\n".to_owned();
        for (option, default) in library {
            let row = self.0.remove(option);
            let (does, seen) = row.unwrap_or_else(|| panic!("nothing is said of {option}"));
            text += &format!("| `{option}` | {default} | {does} | {seen} |\n");
        }
        for (option, (does, seen)) in self.0 {
            text += &format!("| {option} | | {does} | {seen} |\n");
        }
        text
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_option_of_the_library_is_honoured_or_has_a_reason() {
    let Some(node) = node::shared().await else { return };
    node.admit_certified().await;
    let python = python::Library::start(&node).await;
    let library = python.options().await;
    let (declared, connected, waited, answered) = tokio::join!(
        declaring::rows(&node, &python),
        connecting::logins(&node),
        connecting::waits(),
        worker::rows(&python),
    );
    let mut rows = Rows::default();
    for part in [declared, connected, waited, answered, without_effect()] {
        rows.join(part);
    }
    generated("docs/COMPATIBILITY.md", "settings", &rows.table(&library));
}

/// Options that are taken and do nothing. That they are taken is seen here: `load` faults on nothing, and says why.
fn without_effect() -> Rows {
    let mut rows = Rows::default();
    for (option, value, why) in [
        ("rpc_conn_pool_size", "5", "Nothing: one connection publishes, on a channel per message."),
        ("conn_pool_min_size", "1", "Nothing, likewise."),
        ("conn_pool_ttl", "10", "Nothing, likewise."),
        ("ssl_version", "TLSv1_2", "Nothing: TLS 1.3 or 1.2, whichever the broker has."),
        (
            "ssl_enforce_hostname_verification",
            "false",
            "Nothing: the name is always verified, as since 18.1.0.",
        ),
        ("ssl_enforce_fips_mode", "true", "Nothing, as in the library."),
        ("heartbeat_rate", "3", "Nothing: no loop has to check heartbeats."),
    ] {
        let taken = load("rabbit://localhost/", "x", &[&format!("{option}={value}")]).expect("it is taken");
        let said: Vec<_> = taken.warnings.iter().map(|warning| format!("{warning:?}")).collect();
        assert!(said.iter().all(|warning| !warning.contains("Unknown")), "{option}: {said:?}");
        rows.add(option, why, format!("`{option}={value}` is no fault"));
    }
    rows
}

/// Combinations that Python's server refuses too, or that no broker accepts.
#[test]
fn options_that_exclude_each_other_are_faults_at_the_start() {
    let cases: [(&[&str], &str); 5] = [
        (&["rabbit_ha_queues=true", "rabbit_quorum_queue=true"], "mirrored and quorum queues exclude"),
        (
            &["rabbit_stream_fanout=true", "rabbit_qos_prefetch_count=9"],
            "rabbit_transient_quorum_queue = true",
        ),
        (&["rabbit_stream_fanout=true", "rabbit_transient_quorum_queue=true"], "needs a prefetch count"),
        (&["rabbit_login_method=EXTERNAL"], "none is shown"),
        (&["kombu_compression=lzma"], "is not one of gzip, bz2"),
    ];
    for (options, expected) in cases {
        let fault = load("rabbit://localhost/", "x", options).expect_err("it is a fault");
        assert!(fault.contains(expected), "{fault}");
    }
}

/// What files of older releases still hold.
#[test]
fn options_of_former_releases_are_no_faults() {
    let options = [
        "rabbit_max_retries=0",
        "fake_rabbit=false",
        "send_single_reply=true",
        "heartbeat_in_pthread=true",
        "rabbit_durable_queues=true",
        "rabbit_use_ssl=false",
        "kombu_ssl_version=",
        "kombu_ssl_ca_certs=/ca.pem",
        "kombu_reconnect_timeout=7",
        "rabbit_quroum_max_memory_length=5",
        "rabbit_userid=stack",
        "rabbit_password=secret",
        "rabbit_virtual_host=/",
        "rabbit_host=mq",
        "rabbit_port=5673",
    ];
    let loaded = load("rabbit://localhost/", "x", &options).expect("no faults");
    let unknown: Vec<_> = loaded.warnings.iter().map(|warning| format!("{warning:?}")).collect();
    assert!(unknown.iter().all(|warning| !warning.contains("Unknown")), "{unknown:?}");
    let rabbit = &loaded.settings.oslo_messaging_rabbit;
    assert!(rabbit.amqp_durable_queues);
    assert_eq!(rabbit.kombu_missing_consumer_retry_timeout.as_secs(), 7);
    assert_eq!(rabbit.rabbit_quorum_max_memory_length, 5);
}
