//! The sections of oslo.messaging: what must agree with every other service on the broker.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;

use super::core::TRANSPORT_SCHEMES;
use crate::config::{
    kind::{Compression, FailoverStrategy, LoginMethod, NotificationDriver},
    option::{
        boolean, choice, duration, duration_from, integer, list, multi, path, port, section, text, url,
    },
};

section! {
    /// How queues are declared and connections kept. Queue options must equal those of magnum-api.
    "oslo_messaging_rabbit" => RabbitSettings {
        /// Declares exchange and topic queues durable.
        amqp_durable_queues: bool = boolean("false")
            .also(&[("DEFAULT", "amqp_durable_queues"), ("DEFAULT", "rabbit_durable_queues"),
                ("oslo_messaging_rabbit", "rabbit_durable_queues")]);
        /// Declares exchange and topic queues to go when nobody uses them.
        amqp_auto_delete: bool = boolean("false").also(&[("DEFAULT", "amqp_auto_delete")]);
        /// Declares topic queues as quorum queues.
        rabbit_quorum_queue: bool = boolean("false");
        /// Declares fanout and reply queues as quorum queues.
        rabbit_transient_quorum_queue: bool = boolean("false");
        /// x-delivery-limit of quorum queues; 0 is none.
        rabbit_quorum_delivery_limit: u32 = integer("0", 0, 4_294_967_295);
        /// x-max-in-memory-length of quorum queues; 0 is none.
        rabbit_quorum_max_memory_length: u32 = integer("0", 0, 4_294_967_295)
            .also(&[("oslo_messaging_rabbit", "rabbit_quroum_max_memory_length")]);
        /// x-max-in-memory-bytes of quorum queues; 0 is none.
        rabbit_quorum_max_memory_bytes: u32 = integer("0", 0, 4_294_967_295)
            .also(&[("oslo_messaging_rabbit", "rabbit_quroum_max_memory_bytes")]);
        /// One shared stream per topic instead of a fanout queue per worker.
        rabbit_stream_fanout: bool = boolean("false");
        /// How long an unused fanout or reply queue lives; 0 is for ever.
        rabbit_transient_queues_ttl: Duration = duration("1800");
        /// x-ha-policy=all on every queue (brokers before 3.0).
        rabbit_ha_queues: bool = boolean("false").also(&[("DEFAULT", "rabbit_ha_queues")]);
        /// The prefetch count; 0 takes [DEFAULT] executor_thread_pool_size.
        rabbit_qos_prefetch_count: u16 = integer("0", 0, 65_535);
        /// Names transient queues after host and process instead of at random.
        use_queue_manager: bool = boolean("false");
        /// The host in such names. Unset: [DEFAULT] host.
        hostname: Option<String> = text("");
        /// The process in such names.
        processname: String = text("mesos-conductor");
        /// How long a reply to a queue that is gone is tried again.
        kombu_missing_consumer_retry_timeout: Duration = duration("60")
            .also(&[("oslo_messaging_rabbit", "kombu_reconnect_timeout")]);
        /// A wait before connecting again.
        kombu_reconnect_delay: Duration = duration("1.0").also(&[("DEFAULT", "kombu_reconnect_delay")]);
        /// Up to this much is added to that wait at random.
        kombu_reconnect_splay: Duration = duration("0.0");
        /// The order in which hosts are tried.
        kombu_failover_strategy: FailoverStrategy = choice("round-robin", FailoverStrategy::CHOICES);
        /// Compresses what is sent; unset: nothing. What is received may be compressed in any way of kombu's.
        kombu_compression: Option<Compression> = choice("", Compression::CHOICES);
        /// How to prove who one is.
        rabbit_login_method: LoginMethod = choice("AMQPLAIN", LoginMethod::CHOICES)
            .also(&[("DEFAULT", "rabbit_login_method")]);
        /// The first wait before connecting again.
        rabbit_retry_interval: Duration = duration("1").also(&[("DEFAULT", "rabbit_retry_interval")]);
        /// What every further try adds to the wait.
        rabbit_retry_backoff: Duration = duration("2").also(&[("DEFAULT", "rabbit_retry_backoff")]);
        /// The longest wait.
        rabbit_interval_max: Duration = duration_from("30", Duration::from_millis(10));
        /// The AMQP heartbeat; 0 is none.
        heartbeat_timeout_threshold: Duration = duration("60");
        /// Asks the broker to cancel consumers when a mirrored queue moves.
        enable_cancel_on_failover: bool = boolean("false");
        /// Speaks TLS.
        ssl: bool = boolean("false")
            .also(&[("oslo_messaging_rabbit", "rabbit_use_ssl"), ("DEFAULT", "rabbit_use_ssl")]);
        /// The client's key.
        ssl_key_file: Option<PathBuf> = path("").also(&[
            ("oslo_messaging_rabbit", "kombu_ssl_keyfile"), ("DEFAULT", "kombu_ssl_keyfile")]);
        /// The client's certificate.
        ssl_cert_file: Option<PathBuf> = path("").also(&[
            ("oslo_messaging_rabbit", "kombu_ssl_certfile"), ("DEFAULT", "kombu_ssl_certfile")]);
        /// The authorities that may sign the broker's certificate.
        ssl_ca_file: Option<PathBuf> = path("").also(&[
            ("oslo_messaging_rabbit", "kombu_ssl_ca_certs"), ("DEFAULT", "kombu_ssl_ca_certs")]);
        /// The host, where transport_url names none (Liberty).
        rabbit_host: Option<String> = text("").also(&[("DEFAULT", "rabbit_host")]);
        /// The port, where transport_url names none (Liberty).
        rabbit_port: Option<u16> = port("").also(&[("DEFAULT", "rabbit_port")]);
        /// Hosts with ports, where transport_url names none (Liberty).
        rabbit_hosts: Vec<String> = list("").also(&[("DEFAULT", "rabbit_hosts")]);
        /// The user, where transport_url names none (Liberty).
        rabbit_userid: Option<String> = text("").also(&[("DEFAULT", "rabbit_userid")]);
        /// The password, where transport_url names none (Liberty).
        rabbit_password: Option<SecretString> =
            text("").also(&[("DEFAULT", "rabbit_password")]).secret();
        /// The virtual host, where transport_url names none (Liberty).
        rabbit_virtual_host: Option<String> = text("").also(&[("DEFAULT", "rabbit_virtual_host")]);
    }
}

section! {
    /// Where lifecycle notifications go.
    "oslo_messaging_notifications" => NotificationSettings {
        /// messagingv2 publishes on the broker; none publishes nothing. May be given several times.
        driver: Vec<NotificationDriver> = multi(NotificationDriver::CHOICES)
            .also(&[("DEFAULT", "notification_driver")]);
        /// Another broker for notifications. Unset: [DEFAULT] transport_url.
        transport_url: Option<SecretString> = url("", TRANSPORT_SCHEMES)
            .also(&[("DEFAULT", "notification_transport_url")]).secret();
        /// The topics; a notification goes to the queue topic.priority of each.
        topics: Vec<String> = list("notifications").also(&[
            ("rpc_notifier2", "topics"), ("DEFAULT", "notification_topics")]);
    }
}
