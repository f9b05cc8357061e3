//! The broker's settings, from `[DEFAULT]`, `[conductor]` and `[oslo_messaging_rabbit]`.

use std::sync::Arc;

use anyhow::Context as _;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::amqp::settings::{Broker, Compression, Failover, LoginMethod, QueueFlags, Tls, TransientNames};
use crate::amqp::{Listener, Subscription};
use crate::config::{self, FailoverStrategy, Settings};

/// How long the broker may take to confirm a message.
const CONFIRM_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// What the connections to RabbitMQ are made from.
pub fn broker(settings: &Settings) -> anyhow::Result<Broker> {
    let rabbit = &settings.oslo_messaging_rabbit;
    // The query's options are in the settings already: the configuration lays them over the file's.
    let url = Broker::parse_transport_url(settings.transport_url().expose_secret())
        .context("[DEFAULT] transport_url")?;
    let prefetch = match rabbit.rabbit_qos_prefetch_count {
        0 => settings.default.executor_thread_pool_size,
        count => count,
    };
    Ok(Broker {
        hosts: url.hosts,
        vhost: url.vhost,
        tls: rabbit.ssl.then(|| Tls {
            ca_file: rabbit.ssl_ca_file.clone(),
            cert_file: rabbit.ssl_cert_file.clone(),
            key_file: rabbit.ssl_key_file.clone(),
        }),
        login_method: login_method(rabbit.rabbit_login_method),
        heartbeat: rabbit.heartbeat_timeout_threshold,
        retry_interval: rabbit.rabbit_retry_interval,
        retry_backoff: rabbit.rabbit_retry_backoff,
        interval_max: rabbit.rabbit_interval_max,
        reconnect_delay: rabbit.kombu_reconnect_delay,
        reconnect_splay: rabbit.kombu_reconnect_splay,
        failover: match rabbit.kombu_failover_strategy {
            FailoverStrategy::RoundRobin => Failover::RoundRobin,
            FailoverStrategy::Shuffle => Failover::Shuffle,
        },
        exchange: settings.default.control_exchange.clone(),
        topic: settings.conductor.topic.clone(),
        server: server_id(),
        queues: queues(settings),
        compression: rabbit.kombu_compression.map(|compression| match compression {
            config::Compression::Gzip => Compression::Gzip,
            config::Compression::Bzip2 => Compression::Bzip2,
        }),
        prefetch,
        // Shorter than a message in the outbox is one worker's alone, so that no second worker publishes it meanwhile.
        confirm_timeout: CONFIRM_TIMEOUT,
        missing_queue_timeout: rabbit.kombu_missing_consumer_retry_timeout,
        drain_timeout: settings.conductor.drain_timeout,
        ..Broker::default()
    })
}

/// The broker of notifications, where they have one of their own.
pub(super) fn notifications(settings: &Settings) -> anyhow::Result<Option<Broker>> {
    let Some(url) = &settings.oslo_messaging_notifications.transport_url else { return Ok(None) };
    Ok(Some(elsewhere(settings, url).context("[oslo_messaging_notifications] transport_url")?))
}

/// The broker on which Heat publishes, and what to listen to there; `None` where it is not to be listened to.
pub(super) fn heat_notifications(settings: &Settings) -> anyhow::Result<Option<Listener>> {
    let heat = &settings.heat_notifications;
    if !heat.enabled {
        return Ok(None);
    }
    let broker = match &heat.transport_url {
        Some(url) => elsewhere(settings, url).context("[heat_notifications] transport_url")?,
        None => broker(settings)?,
    };
    let keys = heat.topics.iter().flat_map(|topic| [format!("{topic}.info"), format!("{topic}.error")]);
    let subscription = Subscription {
        queue: heat.queue.clone(),
        exchange: heat.exchange.clone(),
        keys: keys.collect(),
        retry: heat.retry_interval,
    };
    Ok(Some(Listener::new(Arc::new(broker), subscription)))
}

/// Other hosts, used in the same way.
fn elsewhere(settings: &Settings, url: &SecretString) -> anyhow::Result<Broker> {
    let url = Broker::parse_transport_url(url.expose_secret())?;
    Ok(Broker { hosts: url.hosts, vhost: url.vhost, ..broker(settings)? })
}

fn queues(settings: &Settings) -> QueueFlags {
    let rabbit = &settings.oslo_messaging_rabbit;
    let ttl = rabbit.rabbit_transient_queues_ttl;
    QueueFlags {
        durable: rabbit.amqp_durable_queues,
        auto_delete: rabbit.amqp_auto_delete,
        quorum: rabbit.rabbit_quorum_queue,
        quorum_delivery_limit: rabbit.rabbit_quorum_delivery_limit,
        quorum_max_memory_length: rabbit.rabbit_quorum_max_memory_length,
        quorum_max_memory_bytes: rabbit.rabbit_quorum_max_memory_bytes,
        mirrored: rabbit.rabbit_ha_queues,
        transient_quorum: rabbit.rabbit_transient_quorum_queue,
        stream_fanout: rabbit.rabbit_stream_fanout,
        transient_ttl: (!ttl.is_zero()).then_some(ttl),
        cancel_on_failover: rabbit.enable_cancel_on_failover,
        queue_names: if rabbit.use_queue_manager {
            TransientNames::Managed {
                host: rabbit.hostname.clone().unwrap_or_else(|| settings.host_name()),
                process: rabbit.processname.clone(),
            }
        } else {
            TransientNames::Random
        },
    }
}

fn login_method(method: config::LoginMethod) -> LoginMethod {
    match method {
        config::LoginMethod::Plain => LoginMethod::Plain,
        config::LoginMethod::Amqplain => LoginMethod::AmqPlain,
        config::LoginMethod::External => LoginMethod::External,
        config::LoginMethod::RabbitCrDemo => LoginMethod::RabbitCrDemo,
    }
}

/// The server's name in its own queue: twelve characters at random, as Magnum's conductors have.
fn server_id() -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
    Uuid::new_v4()
        .as_bytes()
        .iter()
        .take(12)
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn broker_of(overrides: &[&str]) -> Broker {
        let overrides = overrides.iter().map(ToString::to_string).collect();
        let loaded = config::read(&Sources { overrides, ..Sources::default() }).expect("no faults");
        broker(&loaded.settings).expect("a broker")
    }

    #[test]
    fn options_of_the_transport_url_win_over_those_of_the_section() {
        let url = "transport_url=rabbit://u:p@mq:5671/v?ssl=true&ssl_ca_file=%2Fetc%2Fca.pem&\
                   amqp_durable_queues=true&heartbeat_timeout_threshold=7";
        let section =
            ["oslo_messaging_rabbit.ssl=false", "oslo_messaging_rabbit.heartbeat_timeout_threshold=99"];
        let broker = broker_of(&[url, section[0], section[1]]);
        let ca_file = broker.tls.expect("TLS is on").ca_file;
        assert_eq!(ca_file, Some("/etc/ca.pem".into()));
        assert!(broker.queues.durable);
        assert_eq!(broker.heartbeat, std::time::Duration::from_secs(7));
        assert_eq!((broker.hosts[0].host.as_str(), broker.vhost.as_str()), ("mq", "v"));
    }

    #[test]
    fn amqps_speaks_tls_unless_the_url_itself_says_otherwise() {
        assert!(broker_of(&["transport_url=amqps://mq/"]).tls.is_some());
        assert!(broker_of(&["transport_url=amqps://mq/?heartbeat_rate=2"]).tls.is_some());
        assert!(broker_of(&["transport_url=amqps://mq/?ssl=false"]).tls.is_none());
        assert!(broker_of(&["transport_url=amqp://mq/"]).tls.is_none());
    }

    #[test]
    fn the_single_options_of_liberty_name_the_broker_where_no_url_does() {
        let broker = broker_of(&["oslo_messaging_rabbit.rabbit_host=old-mq", "rabbit_port=5673"]);
        assert_eq!((broker.hosts[0].host.as_str(), broker.hosts[0].port), ("old-mq", 5673));
    }

    #[test]
    fn the_server_id_has_magnums_alphabet() {
        let id = server_id();
        assert_eq!(id.len(), 12);
        assert!(id.chars().all(|c| c.is_ascii_lowercase() || ('2'..='7').contains(&c)));
    }
}
