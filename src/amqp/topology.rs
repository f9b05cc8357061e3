//! What oslo.messaging declares on the broker, and what to do when it is declared otherwise already.
//!
//! Flags that differ from those of what exists are no reason to stay away: the queue is there, it can be
//! used, and an operator who reads the warning can make the two agree.

use std::sync::Arc;
use std::time::Duration;

use lapin::{
    Channel, ErrorKind, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable, LongString},
};
use uuid::Uuid;

use super::{
    connection::Link,
    settings::{Broker, QueueFlags, TransientNames},
    slot::Slot,
};

/// After this, whoever a hint was for has looked by himself.
const HINT_TTL_MS: i64 = 60_000;
/// More hints than this are dropped, the oldest first.
const MOST_HINTS: i64 = 10_000;
/// How long a queue of hints lives without a consumer, where nothing else is configured.
const UNUSED: Duration = Duration::from_secs(1800);

/// A queue as it is to be declared.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    pub(crate) name: String,
    durable: bool,
    auto_delete: bool,
    arguments: FieldTable,
    life: Life,
}

/// Until when a queue is of use.
#[derive(Debug, Clone)]
enum Life {
    /// Others use it too.
    Shared,
    /// Nobody finds it again once we are gone.
    Ours,
    /// It is found again by its name, which is ours as long as we hold its number.
    Named { _number: Option<Arc<Slot>> },
}

impl Queue {
    /// A queue that servers share, or that of one server, or one for notifications.
    pub(crate) fn lasting(name: String, flags: &QueueFlags) -> Self {
        Self {
            name,
            durable: flags.durable || flags.quorum,
            auto_delete: flags.auto_delete,
            arguments: lasting_arguments(flags),
            life: Life::Shared,
        }
    }

    /// A queue of what is only worth something while it is new: it never grows, and goes when nobody has used it for
    /// long.
    pub(crate) fn hints(name: String, flags: &QueueFlags) -> Self {
        let mut queue = Self { auto_delete: false, ..Self::lasting(name, flags) };
        let unused = flags.transient_ttl.unwrap_or(UNUSED);
        let unused = i64::try_from(unused.as_millis()).unwrap_or(i64::MAX);
        for (name, limit) in
            [("x-message-ttl", HINT_TTL_MS), ("x-max-length", MOST_HINTS), ("x-expires", unused)]
        {
            queue.arguments.insert(name.into(), AMQPValue::LongLongInt(limit));
        }
        queue
    }

    /// A queue that a process has for itself: for fanout messages or for replies.
    pub(crate) fn transient(prefix: &str, flags: &QueueFlags) -> Self {
        let (name, life) = match &flags.queue_names {
            TransientNames::Random => (format!("{prefix}_{}", Uuid::new_v4().simple()), Life::Ours),
            TransientNames::Managed { host, process } => managed(&format!("{prefix}_{host}:{process}")),
        };
        Self {
            name,
            durable: flags.transient_quorum,
            auto_delete: false,
            arguments: transient_arguments(flags),
            life,
        }
    }

    /// The fanout messages of a topic: a queue of our own, or the stream that all servers read.
    pub(crate) fn fanout(broker: &Broker) -> Self {
        let exchange = fanout_exchange(&broker.topic);
        if broker.queues.stream_fanout {
            let arguments = stream_arguments(&broker.queues);
            return Self { name: exchange, durable: true, auto_delete: false, arguments, life: Life::Shared };
        }
        Self::transient(&exchange, &broker.queues)
    }

    /// Whether whoever declared it deletes it at the end.
    pub(crate) fn goes_with_us(&self) -> bool {
        match self.life {
            Life::Ours => true,
            Life::Shared | Life::Named { .. } => false,
        }
    }
}

/// A name with the lowest number that no other process of this host has.
fn managed(name: &str) -> (String, Life) {
    match Slot::take(name) {
        Ok(slot) => (format!("{name}:{}", slot.number), Life::Named { _number: Some(Arc::new(slot)) }),
        Err(error) => {
            let number = std::process::id();
            tracing::warn!(%error, name, number, "no number can be kept for the queue; the process id is taken");
            (format!("{name}:{number}"), Life::Named { _number: None })
        }
    }
}

pub(crate) fn fanout_exchange(topic: &str) -> String {
    format!("{topic}_fanout")
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value))
}

fn mirrored(flags: &QueueFlags) -> FieldTable {
    let mut table = FieldTable::default();
    if flags.mirrored {
        table.insert("x-ha-policy".into(), text("all"));
    }
    table
}

fn lasting_arguments(flags: &QueueFlags) -> FieldTable {
    let mut table = mirrored(flags);
    if flags.quorum {
        table.insert("x-queue-type".into(), text("quorum"));
        let limits = [
            ("x-delivery-limit", flags.quorum_delivery_limit),
            ("x-max-in-memory-length", flags.quorum_max_memory_length),
            ("x-max-in-memory-bytes", flags.quorum_max_memory_bytes),
        ];
        for (name, limit) in limits {
            if limit > 0 {
                table.insert(name.into(), AMQPValue::LongLongInt(limit.into()));
            }
        }
    }
    table
}

fn transient_arguments(flags: &QueueFlags) -> FieldTable {
    let mut table = mirrored(flags);
    if flags.transient_quorum {
        table.insert("x-queue-type".into(), text("quorum"));
    }
    if let Some(ttl) = flags.transient_ttl {
        let milliseconds = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        table.insert("x-expires".into(), AMQPValue::LongLongInt(milliseconds));
    }
    table
}

fn stream_arguments(flags: &QueueFlags) -> FieldTable {
    let mut table = mirrored(flags);
    table.insert("x-queue-type".into(), text("stream"));
    if let Some(ttl) = flags.transient_ttl {
        table.insert("x-max-age".into(), text(&format!("{}s", ttl.as_secs())));
    }
    table
}

/// Declares on a channel of its own, because a refusal closes the channel.
pub(crate) struct Declarer<'a> {
    link: &'a Link,
    channel: Option<Channel>,
}

impl<'a> Declarer<'a> {
    pub(crate) fn new(link: &'a Link) -> Self {
        Self { link, channel: None }
    }

    async fn channel(&mut self) -> lapin::Result<Channel> {
        if let Some(channel) = self.channel.as_ref().filter(|channel| channel.status().connected()) {
            return Ok(channel.clone());
        }
        let channel = self.link.channel().await?;
        self.channel = Some(channel.clone());
        Ok(channel)
    }

    /// The exchange of requests and notifications.
    pub(crate) async fn control_exchange(&mut self, broker: &Broker) -> lapin::Result<()> {
        self.topic_exchange(&broker.exchange, &broker.queues).await
    }

    pub(crate) async fn topic_exchange(&mut self, name: &str, flags: &QueueFlags) -> lapin::Result<()> {
        self.exchange(name, ExchangeKind::Topic, flags.durable || flags.quorum, flags.auto_delete).await
    }

    /// The exchange of a topic's fanout messages, which any service with that topic shares.
    pub(crate) async fn fanout_exchange(&mut self, broker: &Broker) -> lapin::Result<()> {
        let durable = broker.queues.transient_quorum || broker.queues.stream_fanout;
        self.exchange(&fanout_exchange(&broker.topic), ExchangeKind::Fanout, durable, true).await
    }

    /// Sees to it that another service's exchange is there, and declares nothing.
    pub(crate) async fn find_exchange(&mut self, name: &str) -> lapin::Result<()> {
        let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let channel = self.channel().await?;
        channel.exchange_declare(name.into(), ExchangeKind::Topic, options, FieldTable::default()).await
    }

    async fn exchange(
        &mut self,
        name: &str,
        kind: ExchangeKind,
        durable: bool,
        auto_delete: bool,
    ) -> lapin::Result<()> {
        let options = ExchangeDeclareOptions { durable, auto_delete, ..ExchangeDeclareOptions::default() };
        let channel = self.channel().await?;
        let declared =
            channel.exchange_declare(name.into(), kind.clone(), options, FieldTable::default()).await;
        match declared {
            Err(error) if reply_code(&error) == Some(406) => {
                tracing::warn!(
                    %error,
                    exchange = name,
                    "the exchange exists with other flags; it is used as it is: make amqp_durable_queues, \
                     amqp_auto_delete and rabbit_quorum_queue agree with those of the API service"
                );
                let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
                self.channel()
                    .await?
                    .exchange_declare(name.into(), kind, options, FieldTable::default())
                    .await
            }
            other => other,
        }
    }

    /// Declares the queue.
    pub(crate) async fn queue(&mut self, queue: &Queue) -> lapin::Result<()> {
        let channel = self.channel().await?;
        match declare(&channel, queue).await {
            Err(error) if reply_code(&error) == Some(406) => {
                tracing::warn!(
                    %error,
                    queue = queue.name,
                    "the queue exists with other flags or arguments; it is used as it is: make the queue \
                     options of [oslo_messaging_rabbit] agree with those of the other services"
                );
                let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
                let channel = self.channel().await?;
                channel.queue_declare(queue.name.as_str().into(), options, FieldTable::default()).await?;
                Ok(())
            }
            // What a classic queue says whose node is down: it cannot be declared before it is deleted. A
            // durable one comes back with its node, and its messages with it; that is waited for.
            Err(error) if reply_code(&error) == Some(404) && !queue.durable => {
                tracing::warn!(%error, queue = queue.name, "the queue is stuck on a node that is down; made anew");
                let channel = self.channel().await?;
                channel.queue_delete(queue.name.as_str().into(), QueueDeleteOptions::default()).await?;
                declare(&channel, queue).await
            }
            other => other,
        }
    }

    /// Declares the queue and binds it to the exchange.
    pub(crate) async fn bound_queue(
        &mut self,
        queue: &Queue,
        exchange: &str,
        key: &str,
    ) -> lapin::Result<()> {
        self.queue(queue).await?;
        self.bind(&queue.name, exchange, key).await
    }

    pub(crate) async fn bind(&mut self, queue: &str, exchange: &str, key: &str) -> lapin::Result<()> {
        let channel = self.channel().await?;
        let options = QueueBindOptions::default();
        channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default()).await
    }
}

async fn declare(channel: &Channel, queue: &Queue) -> lapin::Result<()> {
    let options = QueueDeclareOptions {
        durable: queue.durable,
        auto_delete: queue.auto_delete,
        ..QueueDeclareOptions::default()
    };
    channel.queue_declare(queue.name.as_str().into(), options, queue.arguments.clone()).await?;
    Ok(())
}

/// The AMQP reply code, when it was the broker that refused.
pub(crate) fn reply_code(error: &lapin::Error) -> Option<u16> {
    if let ErrorKind::ProtocolError(fault) = error.kind() { Some(fault.get_id()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(queue: &Queue) -> String {
        let arguments: Vec<_> =
            queue.arguments.inner().iter().map(|(key, value)| format!("{key}={value:?}")).collect();
        format!("durable={} auto_delete={} {}", queue.durable, queue.auto_delete, arguments.join(" "))
    }

    #[test]
    fn default_flags_declare_what_python_declares() {
        let broker = Broker::default();
        let lasting = Queue::lasting("magnum-conductor".to_owned(), &broker.queues);
        assert_eq!(shown(&lasting), "durable=false auto_delete=false ");
        let fanout = Queue::fanout(&broker);
        assert!(fanout.name.starts_with("magnum-conductor_fanout_") && fanout.name.len() == 24 + 32);
        assert_eq!(shown(&fanout), "durable=false auto_delete=false x-expires=LongLongInt(1800000)");
    }

    #[test]
    fn each_option_reaches_its_queues() {
        let flags = QueueFlags {
            auto_delete: true,
            quorum: true,
            quorum_delivery_limit: 3,
            quorum_max_memory_bytes: 9,
            transient_quorum: true,
            transient_ttl: None,
            ..QueueFlags::default()
        };
        let lasting = shown(&Queue::lasting("q".to_owned(), &flags));
        assert!(lasting.starts_with("durable=true auto_delete=true "), "{lasting}");
        assert!(lasting.contains("x-delivery-limit=LongLongInt(3)"), "{lasting}");
        assert!(lasting.contains("x-max-in-memory-bytes=LongLongInt(9)"), "{lasting}");
        assert!(!lasting.contains("x-max-in-memory-length"), "{lasting}");
        let transient = shown(&Queue::transient("reply", &flags));
        assert!(transient.starts_with("durable=true auto_delete=false x-queue-type="), "{transient}");
        assert!(!transient.contains("x-expires"), "{transient}");
    }

    #[test]
    fn hints_are_bounded_in_number_and_age() {
        let flags =
            QueueFlags { durable: true, auto_delete: true, transient_ttl: None, ..QueueFlags::default() };
        let shown = shown(&Queue::hints("q".to_owned(), &flags));
        assert!(shown.starts_with("durable=true auto_delete=false "), "{shown}");
        for argument in [
            "x-message-ttl=LongLongInt(60000)",
            "x-max-length=LongLongInt(10000)",
            "x-expires=LongLongInt(1800000)",
        ] {
            assert!(shown.contains(argument), "{shown}");
        }
    }

    #[test]
    fn managed_names_are_those_of_the_queue_manager() {
        let queue_names =
            TransientNames::Managed { host: "node1".to_owned(), process: "conductor".to_owned() };
        let flags = QueueFlags { queue_names, mirrored: true, ..QueueFlags::default() };
        let prefix = format!("reply-{}", Uuid::new_v4().simple());
        let queue = Queue::transient(&prefix, &flags);
        assert_eq!(queue.name, format!("{prefix}_node1:conductor:1"));
        assert!(!queue.goes_with_us());
        assert!(shown(&queue).contains("x-ha-policy"));
        // Another process of this host is told apart, and a number that was given back is taken again.
        let second = Queue::transient(&prefix, &flags);
        assert_eq!(second.name, format!("{prefix}_node1:conductor:2"));
        drop(queue);
        assert_eq!(Queue::transient(&prefix, &flags).name, format!("{prefix}_node1:conductor:1"));
    }

    #[test]
    fn a_stream_is_shared_by_the_topic() {
        let queues = QueueFlags { stream_fanout: true, transient_quorum: true, ..QueueFlags::default() };
        let queue = Queue::fanout(&Broker { queues, ..Broker::default() });
        assert_eq!(queue.name, "magnum-conductor_fanout");
        let shown = shown(&queue);
        assert!(shown.starts_with("durable=true auto_delete=false"), "{shown}");
        assert!(shown.contains("x-max-age") && !shown.contains("x-expires"), "{shown}");
    }
}
