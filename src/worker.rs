//! The composition root: the only file that names adapters, and the one place that states the stop order.

mod broker;
mod certificates;
mod cloud;
mod framework;
mod health;
mod periodic;
mod report;
mod store;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use broker::broker;
pub use certificates::{forge, stores};
pub use cloud::open as open_cloud;
pub use framework::{fetcher, frameworks};
pub use store::open as open_store;

use crate::amqp::{Publisher, Server};
use crate::bay::parameters::Placement;
use crate::bay::template::Templates;
use crate::config::{self, NotificationDriver, Settings};
use crate::monitor::{self, Monitor};
use crate::notify::{Era, Notifier};
use crate::operation::heartbeat::Heartbeats;
use crate::operation::outbox::Outbox;
use crate::operation::runner::{Runner, Workshop};
use crate::operation::step;
use crate::rpc::{self, Dispatcher};
use crate::shutdown::Signals;
use crate::telemetry::http::{Probes, Pulse};
use crate::telemetry::{self, metrics};
use crate::watch::framework::Watch;
use crate::watch::heat_notifications::HeatNotifications;
use crate::watch::stacks::{self, Stacks};

/// How long connections may take to close at the end.
const LEAVE: Duration = Duration::from_secs(5);

/// Runs a worker until a signal stops it.
pub async fn serve(settings: Settings) -> anyhow::Result<()> {
    let metrics = metrics::install().context("the metrics recorder")?;
    let signals = Signals::listen().context("the signal handlers")?;
    let store = store::open_current(&settings).await?;
    let worker = Worker::assemble(&settings, store)?;
    let listener = TcpListener::bind(settings.telemetry.health_listen)
        .await
        .with_context(|| format!("[telemetry] health_listen {}", settings.telemetry.health_listen))?;
    tracing::info!(
        address = %listener.local_addr()?,
        worker = worker.shop.owner,
        server = worker.name,
        topic = settings.conductor.topic,
        database = worker.shop.store.backend().as_str(),
        "the worker starts"
    );
    let probes = Probes {
        checks: worker.checks(),
        pulse: Some(worker.pulse.clone()),
        metrics: metrics.clone(),
        check_timeout: Duration::from_secs(2),
    };
    worker.run(&settings, signals, (listener, probes), metrics).await
}

/// A worker's parts, wired.
struct Worker {
    shop: Arc<Workshop>,
    notifications: Publisher,
    server: Server,
    /// The name by which a request can be sent to this worker alone.
    name: String,
    pulse: Pulse,
}

impl Worker {
    fn assemble(settings: &Settings, store: crate::store::Store) -> anyhow::Result<Self> {
        let host = settings.host_name();
        let broker = Arc::new(broker(settings)?);
        let publisher = Publisher::new(Arc::clone(&broker));
        let notifications = match broker::notifications(settings)? {
            None => publisher.clone(),
            Some(own) => Publisher::new(Arc::new(own)),
        };
        let cloud = cloud::open(settings)?;
        let templates = match &settings.conductor.heat_template_dir {
            None => Templates::embedded(),
            Some(directory) => Templates::from_dir(directory).context("[conductor] heat_template_dir")?,
        };
        let shop = Arc::new(Workshop {
            certificates: Arc::new(certificates::stores(settings, &store, &cloud)),
            forge: certificates::forge(settings)?,
            frameworks: Arc::new(framework::frameworks(settings, &store, Arc::new(framework::Counted))?),
            store,
            cloud: Arc::new(cloud),
            fetcher: framework::fetcher(settings)?,
            publisher,
            notifier: notifier(settings, &host),
            templates,
            settings: step::Settings {
                poll_interval: settings.conductor.poll_interval,
                poll_fallback: stack_looks(settings).fallback(),
                request_timeout: settings.conductor.http_timeout,
                service_user: cloud::service_user(settings).is_some(),
                placement: placement(settings)?,
                default_create_timeout: Some(i64::from(settings.cluster_heat.create_timeout))
                    .filter(|minutes| *minutes > 0),
                deployments: framework::deployments(settings),
                draining: framework::draining(settings),
            },
            lease: settings.conductor.operation_lease,
            deadline: settings.conductor.operation_deadline,
            missing_queue_timeout: broker.missing_queue_timeout,
            owner: format!("{host}:{}:{}", std::process::id(), Uuid::new_v4().simple()),
            outbox_hint: Arc::new(Notify::new()),
            hint: Arc::new(Notify::new()),
        });
        let dispatcher = Dispatcher::new(Arc::clone(&shop), rpc_settings(settings)?);
        let name = broker.server.clone();
        let server = Server::new(broker, Arc::new(dispatcher));
        Ok(Self { shop, notifications, server, name, pulse: Pulse::new(Duration::from_secs(30)) })
    }

    fn checks(&self) -> Vec<Arc<dyn telemetry::http::HealthCheck>> {
        vec![
            Arc::new(health::Broker { requests: self.server.health(), answers: self.shop.publisher.clone() }),
            Arc::new(health::Database(self.shop.store.clone())),
            Arc::new(health::Migrations(self.shop.store.clone())),
        ]
    }

    /// Everything that learns what moved outside. It leaves what it watches to others when it is told to stop.
    fn watches(&self, settings: &Settings, stop: &CancellationToken) -> anyhow::Result<TaskTracker> {
        let watches = TaskTracker::new();
        watches.spawn(Watch::new(Arc::clone(&self.shop)).run(stop.clone()));
        watches.spawn(Stacks::new(Arc::clone(&self.shop), stack_looks(settings)).run(stop.clone()));
        if let Some(listener) = broker::heat_notifications(settings)? {
            let heat = HeatNotifications::new(Arc::clone(&self.shop));
            watches.spawn(heat.run(listener, stop.clone()));
        }
        watches.close();
        Ok(watches)
    }

    fn monitor(&self, settings: &Settings) -> Monitor {
        let monitor = &settings.monitor;
        let era = match monitor.metrics_event {
            config::MetricsEvent::Cluster => Era::Cluster,
            config::MetricsEvent::Bay => Era::Bay,
        };
        Monitor {
            shop: Arc::clone(&self.shop),
            notifications: self.notifications.clone(),
            settings: monitor::Settings {
                every: monitor.interval,
                health: monitor.health,
                metrics: (monitor.metrics && self.shop.notifier.driver.is_some()).then_some(era),
                within: monitor.timeout,
            },
        }
    }

    /// Everything that runs, and the order in which it stops: first no new requests, then no new steps, then what was
    /// committed to be said is said.
    async fn run(
        self,
        settings: &Settings,
        signals: Signals,
        (listener, probes): (TcpListener, Probes),
        metrics: metrics::PrometheusHandle,
    ) -> anyhow::Result<()> {
        let stop = Stops::default();
        let tasks = TaskTracker::new();
        let http = tasks.spawn(telemetry::http::serve(listener, probes, stop.rest.clone()));
        tasks.spawn(metrics::upkeep(metrics, stop.rest.clone()));
        let housekeeping = Housekeeping {
            shop: Arc::clone(&self.shop),
            notifications: self.notifications.clone(),
            pulse: self.pulse.clone(),
        };
        tasks.spawn(housekeeping.run(stop.rest.clone()));
        let purge = periodic::Purge {
            shop: Arc::clone(&self.shop),
            retention: settings.conductor.retention,
            every: settings.conductor.purge_interval,
        };
        tasks.spawn(purge.run(stop.rest.clone()));
        tasks.spawn(Heartbeats::new(Arc::clone(&self.shop)).run(stop.rest.clone()));
        let watches = self.watches(settings, &stop.rest)?;
        tasks.spawn(self.monitor(settings).run(stop.rest.clone()));
        tasks.spawn(health::count_broker(self.server.health(), self.server.stats(), stop.rest.clone()));
        let reports = report::Reports {
            store: self.shop.store.clone(),
            host: settings.host_name(),
            interval: settings.conductor.report_interval,
        };
        tasks.spawn(reports.run(stop.rest.clone()));
        let outbox = Outbox {
            store: self.shop.store.clone(),
            publisher: self.shop.publisher.clone(),
            notifications: self.notifications.clone(),
            owner: self.shop.owner.clone(),
            hint: Arc::clone(&self.shop.outbox_hint),
        };
        let mut outbox = tasks.spawn(outbox.run(stop.outbox.clone()));
        let permits = usize::from(settings.default.executor_thread_pool_size);
        let mut runner = tasks.spawn(Runner::new(Arc::clone(&self.shop), permits).run(stop.runner.clone()));
        // While the server connects, so that the first reply need not wait for it. A failure is tried again by whoever
        // publishes.
        let (publisher, stopping) = (self.shop.publisher.clone(), stop.rest.clone());
        tasks.spawn(async move { stopping.run_until_cancelled(publisher.connect()).await });
        let (server, stopping) = (self.server.clone(), stop.server.clone());
        let mut server = tasks.spawn(async move { server.run(stopping).await });

        // A part that ends before it is told to would leave a worker that answers probes and does nothing.
        tokio::select! {
            () = signals.wait() => {}
            ended = &mut server => bail!("the RPC server ended: {ended:?}"),
            ended = &mut runner => bail!("the runner of operations ended: {ended:?}"),
            ended = &mut outbox => bail!("the outbox ended: {ended:?}"),
        }
        tracing::info!("the worker stops: no new requests");
        crate::shutdown::end_after(settings.conductor.drain_timeout + LEAVE * 2)?;
        let drained = tokio::time::timeout(settings.conductor.drain_timeout, async {
            stop.server.cancel();
            // At once: a request in hand may take its time, and others of the pool do not have to wait for it.
            stop.runner.cancel();
            drop(server.await);
            tracing::debug!("no request is in hand");
            drop(runner.await);
            tracing::debug!("no operation is in hand");
            stop.outbox.cancel();
            drop(outbox.await);
            tracing::debug!("the outbox is left");
        });
        if drained.await.is_err() {
            tracing::warn!("the drain timeout is over; other workers take over what is left");
        }
        stop.rest.cancel();
        // Nothing is left to lose: whoever does not let go of a connection must not keep the process.
        let left = tokio::time::timeout(LEAVE, async {
            watches.wait().await;
            drop(http.await);
            tracing::debug!("the probes are closed");
            self.notifications.close().await;
            self.shop.publisher.close().await;
            tracing::debug!("the publishers are closed");
            self.shop.store.close().await;
        });
        if left.await.is_err() {
            tracing::warn!("a connection was not closed in time; the process ends without");
        }
        tracing::info!("the worker has stopped");
        Ok(())
    }
}

/// The stages of stopping.
#[derive(Default)]
struct Stops {
    server: CancellationToken,
    runner: CancellationToken,
    outbox: CancellationToken,
    rest: CancellationToken,
}

/// Counts what operators watch.
struct Housekeeping {
    shop: Arc<Workshop>,
    notifications: Publisher,
    pulse: Pulse,
}

impl Housekeeping {
    async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(Duration::from_secs(5));
        let mut blocking = health::Blocking::default();
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.pulse.beat();
            blocking.look(&[&self.shop.publisher, &self.notifications]);
            match self.shop.store.gauges().await {
                Ok(gauges) => {
                    metrics::operations(&gauges.operations, gauges.oldest_running_ms.map(age));
                    metrics::outbox(gauges.outbox_depth, gauges.oldest_outbox_ms.map(age));
                    metrics::set_aside(gauges.set_aside);
                }
                Err(error) => tracing::debug!(%error, "nothing could be counted"),
            }
        }
    }
}

fn stack_looks(settings: &Settings) -> stacks::Settings {
    let conductor = &settings.conductor;
    stacks::Settings {
        first: conductor.poll_interval,
        longest: conductor.poll_interval_max,
        rate: conductor.stack_list_rate,
        everywhere: conductor.global_stack_list,
    }
}

fn age(milliseconds: i64) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default())
}

fn placement(settings: &Settings) -> anyhow::Result<Placement> {
    let file = settings.drivers.openstack_ca_file.as_deref();
    let read = |file: &Path| {
        std::fs::read_to_string(file)
            .with_context(|| format!("[drivers] openstack_ca_file: cannot read {}", file.display()))
    };
    let verify_ca = settings.drivers.verify_ca;
    Ok(Placement { openstack_ca: file.map(read).transpose()?, verify_ca, ..Placement::default() })
}

fn rpc_settings(settings: &Settings) -> anyhow::Result<rpc::Settings> {
    let pattern = &settings.conductor.reply_queue_pattern;
    Ok(rpc::Settings {
        ping_enabled: settings.default.rpc_ping_enabled,
        notify_queues: regex::Regex::new(pattern).context("[conductor] reply_queue_pattern")?,
        password_symbols: settings.default.password_symbols.clone(),
        max_attempts: settings.conductor.max_deliveries,
        max_size: settings.conductor.max_message_size,
        verify_tokens: settings.conductor.verify_tokens,
    })
}

fn notifier(settings: &Settings, host: &str) -> Notifier {
    use mesos_conductor_proto::notification::Driver;
    let chosen = settings.oslo_messaging_notifications.driver.iter().find_map(|driver| match driver {
        NotificationDriver::MessagingV2 => Some(Driver::Messagingv2),
        NotificationDriver::Messaging => Some(Driver::Messaging),
        NotificationDriver::Routing
        | NotificationDriver::Log
        | NotificationDriver::Test
        | NotificationDriver::Noop => None,
    });
    Notifier {
        publisher_id: format!("container-infra.{host}"),
        exchange: settings.default.control_exchange.clone(),
        topics: settings.oslo_messaging_notifications.topics.clone(),
        driver: chosen,
        missing_queue_timeout: settings.oslo_messaging_rabbit.kombu_missing_consumer_retry_timeout,
    }
}
