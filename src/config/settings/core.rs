//! The sections about the worker itself.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use secrecy::SecretString;

use crate::config::{
    kind::{LogFormat, Undrained},
    option::{
        address, boolean, choice, duration, duration_from, integer, list, path, pattern, section, text, url,
    },
};

/// `rabbit` is oslo.messaging's name; the others are its aliases.
pub(crate) const TRANSPORT_SCHEMES: &[&str] = &["rabbit", "kombu", "amqp", "amqps"];
pub(crate) const DATABASE_SCHEMES: &[&str] = &["sqlite", "postgresql", "postgres", "mysql", "mariadb"];

section! {
    /// What every OpenStack service has: its name, its broker, its paths.
    "DEFAULT" => DefaultSettings {
        /// The name of this machine in notifications and in magnum_service. Unset: the machine's host name.
        host: Option<String> = text("");
        /// The RabbitMQ hosts: rabbit://user:password@host:5672,user:password@host2:5672/vhost
        /// Options of [oslo_messaging_rabbit] may follow as ?name=value and win over the file.
        transport_url: SecretString = url("rabbit://", TRANSPORT_SCHEMES).secret();
        /// The topic exchange on which magnum-api sends its calls.
        control_exchange: String = text("magnum");
        /// How long the command line waits for a reply.
        rpc_response_timeout: Duration = duration_from("60", Duration::from_secs(1));
        /// How many messages are handled at the same time; also the prefetch count.
        executor_thread_pool_size: u16 = integer("64", 1, 10_000)
            .also(&[("DEFAULT", "rpc_thread_pool_size")]);
        /// Whether the worker answers oslo_rpc_server_ping.
        rpc_ping_enabled: bool = boolean("false");
        /// Logs at DEBUG.
        debug: bool = boolean("false");
        /// The directory of what the worker keeps on disk: the embedded database and its key.
        state_path: PathBuf = path("/var/lib/mesos-conductor");
        /// The groups of characters in the passwords of trustees; each password has one of every group.
        password_symbols: Vec<String> =
            list("23456789,ABCDEFGHJKLMNPQRSTUVWXYZ,abcdefghijkmnopqrstuvwxyz");
    }
}

section! {
    /// The worker. Only `topic` is Magnum's; all others are mesos-conductor's own.
    "conductor" => ConductorSettings {
        /// The queue from which calls are taken.
        topic: String = text("magnum-conductor");
        /// How long a worker may hold an operation without renewing its hold. A crashed worker's operations
        /// are taken over after this time.
        operation_lease: Duration = duration_from("10s", Duration::from_secs(2));
        /// How long each step of an operation is tried again before the operation fails. Waiting for a stack has no
        /// such limit: it ends when Heat does.
        operation_deadline: Duration = duration_from("5m", Duration::from_secs(1));
        /// How often the stacks of running operations are looked at when no notification of Heat's comes: by one
        /// listing for all bays of a project, while the youngest of its operations is younger than twenty of these.
        poll_interval: Duration = duration_from("5s", Duration::from_millis(10));
        /// How often at least, as operations grow older: a twentieth of the youngest one's age, up to this.
        poll_interval_max: Duration = duration_from("30s", Duration::from_millis(10));
        /// The most listings of stacks per second of one worker; 0 is no limit.
        stack_list_rate: u32 = integer("10", 0, 1_000_000);
        /// Lists the stacks of all projects at once, as the service user. Heat's own policy does not grant that to
        /// anybody; where it is refused projects are listed one by one.
        global_stack_list: bool = boolean("false").also(&[("DEFAULT", "periodic_global_stack_list")]);
        /// How long the agents that a smaller bay loses may take to get empty, once they are kept from new tasks.
        drain_deadline: Duration = duration_from("10m", Duration::from_millis(10));
        /// What becomes of the update when they are not empty then: they are removed with what still runs there, or
        /// they stay, get work again, and the bay is what it was.
        drain_on_deadline: Undrained = choice("remove", Undrained::CHOICES);
        /// What becomes of it when the bay's Mesos masters cannot be asked what runs where: the agents with the highest
        /// index are removed, as Heat would, or the bay stays what it was.
        drain_unreachable: Undrained = choice("remove", Undrained::CHOICES);
        /// How often the worker says in magnum_service that it is up. The API takes it to be down after its own
        /// [DEFAULT] service_down_time.
        report_interval: Duration = duration_from("60s", Duration::from_millis(100));
        /// How often a message may be delivered again before it is set aside.
        max_deliveries: u32 = integer("5", 1, 1_000_000);
        /// Which queues a caller may name in notify_queue.
        reply_queue_pattern: String = pattern("^reply_");
        /// The largest message body that is decoded, in bytes.
        max_message_size: usize = integer("16777216", 1024, 1_073_741_824);
        /// Whether Keystone is asked, before a request is served, whose its token is. Without it a request is
        /// believed as it comes: whoever may publish to the queue can act as anyone.
        verify_tokens: bool = boolean("false");
        /// How long what Keystone said of a caller's token is believed; never longer than the token lasts.
        token_cache_time: Duration = duration("60s");
        /// How long the keys of handled messages and their replies are kept.
        retention: Duration = duration_from("24h", Duration::from_secs(60));
        /// How often what is past its retention is deleted: by one worker of the pool, whichever comes first.
        purge_interval: Duration = duration_from("60s", Duration::from_millis(100));
        /// How long an orderly stop waits for what is being handled.
        drain_timeout: Duration = duration("30s");
        /// The keys for secrets in the database: base64 of 32 bytes. The first one encrypts, all decrypt.
        /// Make one with: mesos-conductor config keygen
        encryption_key: Vec<SecretString> = list("").secret();
        /// A file with such keys, one a line. Unset with SQLite: made beside the database on the first run.
        encryption_key_file: Option<PathBuf> = path("");
        /// A directory with Heat templates that replace the embedded ones.
        heat_template_dir: Option<PathBuf> = path("");
        /// How long a connection to an OpenStack service may take.
        http_connect_timeout: Duration = duration_from("5s", Duration::from_millis(10));
        /// How long a request to an OpenStack service may take; never longer than the lease that remains.
        http_timeout: Duration = duration_from("30s", Duration::from_millis(10));
    }
}

section! {
    /// Logs, metrics and health. This section is mesos-conductor's own.
    "telemetry" => TelemetrySettings {
        /// Where /livez, /readyz and /metrics are served. Port 0 takes a free one, which is logged.
        health_listen: SocketAddr = address("127.0.0.1:9517");
        /// How log lines are written to standard error.
        log_format: LogFormat = choice("text", LogFormat::CHOICES);
        /// Which lines are written, as in RUST_LOG: info,mesos_conductor=debug. Unset: info, or debug when
        /// [DEFAULT] debug is set.
        log_filter: Option<String> = text("");
    }
}

section! {
    /// The database: Magnum's own tables with ours beside them.
    "database" => DatabaseSettings {
        /// A SQLAlchemy URL: sqlite:////path, postgresql://user:password@host/name,
        /// mysql+pymysql://user:password@host/name. SQLite serves one worker.
        connection: SecretString = url("sqlite:///$state_path/mesos-conductor.sqlite", DATABASE_SCHEMES)
            .also(&[("DEFAULT", "sql_connection"), ("DATABASE", "sql_connection"), ("sql", "connection")])
            .secret();
        /// The most connections of this worker.
        max_pool_size: u32 = integer("10", 1, 10_000)
            .also(&[("DEFAULT", "sql_max_pool_size"), ("DATABASE", "sql_max_pool_size")]);
        /// How long to wait for a connection of the pool.
        pool_timeout: Duration = duration_from("30", Duration::from_millis(10));
        /// After how long a connection is replaced.
        connection_recycle_time: Duration = duration_from("3600", Duration::from_secs(1))
            .also(&[("database", "idle_timeout"), ("DEFAULT", "sql_idle_timeout")]);
    }
}
