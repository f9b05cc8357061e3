//! Every metric of the worker: its name, its help text and the one function that records it.
//!
//! Tests and operators count what is counted here. Labels come from closed sets, so that nothing a client
//! sends can make the number of series grow.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
pub use metrics_exporter_prometheus::PrometheusHandle;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio_util::sync::CancellationToken;

use crate::operation::record::{Kind, Purpose, State};
use crate::store::Periodic;

/// Declares names and help texts together, and `describe` over all of them.
macro_rules! table {
    ($($register:ident { $($(#[doc = $help:literal])+ $name:ident = $text:literal;)* })*) => {
        $($($(#[doc = $help])+ pub const $name: &str = concat!("mesos_conductor_", $text);)*)*

        /// Every metric with its help text.
        pub const ALL: &[(&str, &str)] = &[$($(($name, concat!($($help),+)),)*)*];

        /// Hands the help texts to the recorder that is installed.
        pub fn describe() {
            $($($register!($name, concat!($($help),+).trim());)*)*
        }
    };
}

table! {
    describe_counter {
        /// Calls and casts handled, by method and outcome (ok, refused, failed, repeated, postponed).
        REQUESTS = "requests_total";
        /// Messages rejected without an answer, by reason.
        REJECTS = "rejects_total";
        /// Messages that the broker delivered again.
        REDELIVERIES = "redeliveries_total";
        /// Panics caught in handlers and steps.
        PANICS = "panics_total";
        /// Steps of operations that were run, by operation, step and outcome.
        OPERATION_STEPS = "operation_steps_total";
        /// Operations that a worker took over from one whose lease had run out, by kind.
        OPERATIONS_TAKEN_OVER = "operations_taken_over_total";
        /// Messages published from the outbox or directly, by purpose and outcome.
        PUBLISHED = "published_total";
        /// Leases that another worker took while this one believed it held them.
        LEASES_LOST = "leases_lost_total";
        /// Requests to Keystone, Heat and Barbican, by service, HTTP method and status (or kind of failure).
        OPENSTACK_REQUESTS = "openstack_requests_total";
        /// Requests to the frameworks of bays, by HTTP method and status (or kind of failure).
        FRAMEWORK_REQUESTS = "framework_requests_total";
        /// Looks at all apps of a bay.
        FRAMEWORK_LOOKS = "framework_looks_total";
        /// Streams of events of frameworks that ended.
        EVENT_STREAMS_ENDED = "event_streams_ended_total";
        /// RPC heartbeats sent to callers that wait.
        HEARTBEATS_SENT = "heartbeats_sent_total";
        /// Replies given up because their queue was gone, or took none for too long.
        REPLIES_DROPPED = "replies_dropped_total";
        /// Connections to the broker that were made, after the first one.
        BROKER_RECONNECTS = "broker_reconnects_total";
        /// Looks of operations at their own stack.
        STACK_POLLS = "stack_polls_total";
        /// Requests for the states of many stacks, by whose they are (project, everywhere) and outcome.
        STACK_LISTINGS = "stack_listings_total";
        /// Notifications of Heat's that told of a stack which came to an end of something.
        HEAT_NOTIFICATIONS = "heat_notifications_total";
        /// Operations that were woken because their stack moved, by who saw it (listing, notification).
        STACKS_WOKEN = "stacks_woken_total";
        /// Work of the whole pool that this worker did when it was due, by task.
        PERIODIC_RUNS = "periodic_runs_total";
    }
    describe_histogram {
        /// Time from taking a message to acknowledging it, by method.
        REQUEST_DURATION = "request_duration_seconds";
        /// Time from accepting an operation to its end, by kind.
        OPERATION_DURATION = "operation_duration_seconds";
        /// Time of requests to the frameworks of bays, by HTTP method.
        FRAMEWORK_REQUEST_DURATION = "framework_request_duration_seconds";
        /// Time of requests to Keystone, Heat and Barbican, by service and HTTP method.
        OPENSTACK_REQUEST_DURATION = "openstack_request_duration_seconds";
    }
    describe_gauge {
        /// Bays whose framework this worker watches.
        BAYS_WATCHED = "bays_watched";
        /// Operations in the database, by kind and state.
        OPERATIONS = "operations";
        /// Age of the oldest operation that has not ended.
        OPERATION_OLDEST = "operation_oldest_seconds";
        /// Messages that wait in the outbox.
        OUTBOX_DEPTH = "outbox_depth";
        /// Age of the oldest message in the outbox.
        OUTBOX_OLDEST = "outbox_oldest_seconds";
        /// Messages that were set aside and wait for an operator.
        SET_ASIDE = "set_aside_messages";
        /// 1 while the consumer is connected to the broker and takes messages.
        BROKER_CONNECTED = "broker_connected";
        /// 1 while the broker takes no messages because it is short of memory or disk.
        BROKER_BLOCKED = "broker_blocked";
        /// Messages being handled now.
        REQUESTS_IN_FLIGHT = "requests_in_flight";
        /// Always 1; the version is a label.
        BUILD_INFO = "build_info";
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered, or accepted as an operation.
    Ok,
    /// The caller was told that it asked for something wrong.
    Refused,
    /// The worker failed.
    Failed,
    /// Seen before; the stored reply was given again.
    Repeated,
    /// Could not be recorded; the broker will deliver it again.
    Postponed,
}

/// Why a message was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reject {
    Undecodable,
    TooLarge,
    TooManyDeliveries,
    Expired,
    Panic,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOutcome {
    Done,
    Waiting,
    Retry,
    Failed,
    LeaseLost,
}

/// How a publish ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishOutcome {
    Confirmed,
    Unroutable,
    Nacked,
    Disconnected,
    TimedOut,
    Blocked,
    Dropped,
}

/// The services whose requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Keystone,
    Heat,
    Barbican,
}

/// How a request to a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Status(u16),
    /// No connection: the request was not sent.
    Unreachable,
    TimedOut,
    /// Sent, but the answer never came.
    Lost,
}

/// Who saw that a stack moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    Listing,
    Notification,
}

/// How a listing of stacks ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    Ok,
    /// With these credentials it is not allowed.
    ShutOut,
    Failed,
}

/// Installs the recorder of this process and describes every metric. `/metrics` renders the handle.
pub fn install() -> Result<PrometheusHandle, metrics_exporter_prometheus::BuildError> {
    let handle = builder()?.install_recorder()?;
    describe();
    begin_at_zero();
    Ok(handle)
}

/// A counter that has not counted yet is shown all the same: an alert on one that is absent never fires.
fn begin_at_zero() {
    for name in [
        REDELIVERIES,
        PANICS,
        LEASES_LOST,
        HEARTBEATS_SENT,
        REPLIES_DROPPED,
        BROKER_RECONNECTS,
        STACK_POLLS,
        HEAT_NOTIFICATIONS,
    ] {
        counter!(name).increment(0);
    }
    for hint in [Hint::Listing, Hint::Notification] {
        stacks_woken(hint, 0);
    }
    for task in Periodic::ALL {
        counter!(PERIODIC_RUNS, "task" => task.as_str()).increment(0);
    }
    broker_connected(false);
    broker_blocked(false);
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Histograms grow until somebody reads them; this keeps them small when nobody does.
pub async fn upkeep(handle: PrometheusHandle, stop: CancellationToken) {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        handle.run_upkeep();
    }
}

const QUICK: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const LONG: &[f64] = &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 180.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0];

fn builder() -> Result<PrometheusBuilder, metrics_exporter_prometheus::BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(REQUEST_DURATION.to_owned()), QUICK)?
        .set_buckets_for_metric(Matcher::Full(OPENSTACK_REQUEST_DURATION.to_owned()), QUICK)?
        .set_buckets_for_metric(Matcher::Full(OPERATION_DURATION.to_owned()), LONG)
}

pub fn request(method: &str, outcome: Outcome, took: Duration) {
    let method = method_label(method);
    counter!(REQUESTS, "method" => method, "outcome" => outcome.label()).increment(1);
    histogram!(REQUEST_DURATION, "method" => method).record(took);
}

pub fn reject(reason: Reject) {
    counter!(REJECTS, "reason" => reason.label()).increment(1);
}

pub fn redelivery() {
    counter!(REDELIVERIES).increment(1);
}

pub fn panic_caught() {
    counter!(PANICS).increment(1);
}

/// Counts a request as in flight until the guard is dropped; by a panic, it was rejected by one.
#[must_use = "the request counts as ended when the guard is dropped"]
pub fn in_flight() -> InFlight {
    gauge!(REQUESTS_IN_FLIGHT).increment(1.0);
    InFlight(())
}

/// See [`in_flight`].
#[derive(Debug)]
pub struct InFlight(());

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge!(REQUESTS_IN_FLIGHT).decrement(1.0);
        if std::thread::panicking() {
            panic_caught();
            reject(Reject::Panic);
        }
    }
}

/// `step` is a name out of the code's own step list, never out of a message.
pub fn step(kind: Kind, step: &'static str, outcome: StepOutcome) {
    counter!(OPERATION_STEPS, "kind" => kind.as_str(), "step" => step, "outcome" => outcome.label())
        .increment(1);
}

pub fn operation_ended(kind: Kind, took: Duration) {
    histogram!(OPERATION_DURATION, "kind" => kind.as_str()).record(took);
}

pub fn taken_over(kind: Kind) {
    counter!(OPERATIONS_TAKEN_OVER, "kind" => kind.as_str()).increment(1);
}

pub fn leases_lost(count: u64) {
    counter!(LEASES_LOST).increment(count);
}

pub fn published(purpose: Purpose, outcome: PublishOutcome) {
    counter!(PUBLISHED, "purpose" => purpose_label(purpose), "outcome" => outcome.label()).increment(1);
}

pub fn replies_dropped(count: u64) {
    counter!(REPLIES_DROPPED).increment(count);
}

pub fn heartbeat_sent() {
    counter!(HEARTBEATS_SENT).increment(1);
}

pub fn openstack_request(service: Service, method: &str, answer: Answer, took: Duration) {
    let method = http_method_label(method);
    counter!(OPENSTACK_REQUESTS, "service" => service.label(), "method" => method, "status" => answer.label())
        .increment(1);
    histogram!(OPENSTACK_REQUEST_DURATION, "service" => service.label(), "method" => method).record(took);
}

pub fn framework_request(method: &str, answer: Answer, took: Duration) {
    let method = http_method_label(method);
    counter!(FRAMEWORK_REQUESTS, "method" => method, "status" => answer.label()).increment(1);
    histogram!(FRAMEWORK_REQUEST_DURATION, "method" => method).record(took);
}

pub fn framework_look() {
    counter!(FRAMEWORK_LOOKS).increment(1);
}

pub fn event_stream_ended() {
    counter!(EVENT_STREAMS_ENDED).increment(1);
}

pub fn bays_watched(number: usize) {
    gauge!(BAYS_WATCHED).set(u32::try_from(number).map_or(f64::MAX, f64::from));
}

pub fn stack_poll() {
    counter!(STACK_POLLS).increment(1);
}

/// `everywhere` is whether it was of all projects at once.
pub fn stack_listing(everywhere: bool, listed: Listed) {
    let scope = if everywhere { "everywhere" } else { "project" };
    counter!(STACK_LISTINGS, "scope" => scope, "outcome" => listed.label()).increment(1);
}

pub fn heat_notification() {
    counter!(HEAT_NOTIFICATIONS).increment(1);
}

pub fn stacks_woken(hint: Hint, number: u64) {
    counter!(STACKS_WOKEN, "by" => hint.label()).increment(number);
}

pub fn periodic_run(task: Periodic) {
    counter!(PERIODIC_RUNS, "task" => task.as_str()).increment(1);
}

pub fn broker_connected(connected: bool) {
    gauge!(BROKER_CONNECTED).set(if connected { 1.0 } else { 0.0 });
}

pub fn broker_blocked(blocked: bool) {
    gauge!(BROKER_BLOCKED).set(if blocked { 1.0 } else { 0.0 });
}

pub fn broker_reconnected() {
    counter!(BROKER_RECONNECTS).increment(1);
}

/// Sets the gauge of every kind and state, so that one that has become empty shows 0.
pub fn operations(counted: &[(Kind, State, u64)], oldest_running: Option<Duration>) {
    for kind in Kind::ALL {
        for state in [State::Running, State::Done, State::Failed] {
            let count = counted.iter().find(|(k, s, _)| k == kind && *s == state).map_or(0, |(_, _, n)| *n);
            gauge!(OPERATIONS, "kind" => kind.as_str(), "state" => state.as_str()).set(to_float(count));
        }
    }
    gauge!(OPERATION_OLDEST).set(oldest_running.unwrap_or_default().as_secs_f64());
}

pub fn outbox(depth: u64, oldest: Option<Duration>) {
    gauge!(OUTBOX_DEPTH).set(to_float(depth));
    gauge!(OUTBOX_OLDEST).set(oldest.unwrap_or_default().as_secs_f64());
}

pub fn set_aside(count: u64) {
    gauge!(SET_ASIDE).set(to_float(count));
}

/// Gauges are floats; a count of rows is exact far beyond what a database holds.
fn to_float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Every method that some release serves. Any other name is counted as `other`.
const METHODS: &[&str] = &[
    "bay_create",
    "bay_update",
    "bay_delete",
    "cluster_create",
    "cluster_update",
    "cluster_delete",
    "cluster_resize",
    "cluster_upgrade",
    "nodegroup_create",
    "nodegroup_update",
    "nodegroup_delete",
    "app_create",
    "app_update",
    "app_delete",
    "app_show",
    "app_list",
    "app_scale",
    "app_restart",
    "sign_certificate",
    "get_ca_certificate",
    "rotate_ca_certificate",
    "ping_conductor",
    "oslo_rpc_server_ping",
    "object_action",
    "object_class_action",
    "object_class_action_versions",
    "object_backport",
    "object_backport_versions",
    "x509keypair_create",
    "x509keypair_delete",
    "credentials_rotate",
    "federation_create",
    "federation_update",
    "federation_delete",
];

fn method_label(method: &str) -> &'static str {
    METHODS.iter().copied().find(|known| *known == method).unwrap_or("other")
}

fn http_method_label(method: &str) -> &'static str {
    ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}

fn purpose_label(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Reply => "reply",
        Purpose::Notification => "notification",
    }
}

/// Gives an enum its label texts.
macro_rules! labels {
    ($($name:ident { $($variant:ident = $text:literal),* $(,)? })*) => { $(
        impl $name {
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    )* };
}

labels! {
    Hint {
        Listing = "listing",
        Notification = "notification",
    }
    Listed {
        Ok = "ok",
        ShutOut = "shut_out",
        Failed = "failed",
    }
    Outcome {
        Ok = "ok",
        Refused = "refused",
        Failed = "failed",
        Repeated = "repeated",
        Postponed = "postponed",
    }
    Reject {
        Undecodable = "undecodable",
        TooLarge = "too_large",
        TooManyDeliveries = "too_many_deliveries",
        Expired = "expired",
        Panic = "panic",
    }
    StepOutcome {
        Done = "done",
        Waiting = "waiting",
        Retry = "retry",
        Failed = "failed",
        LeaseLost = "lease_lost",
    }
    PublishOutcome {
        Confirmed = "confirmed",
        Unroutable = "unroutable",
        Nacked = "nacked",
        Disconnected = "disconnected",
        TimedOut = "timed_out",
        Blocked = "blocked",
        Dropped = "dropped",
    }
    Service { Keystone = "keystone", Heat = "heat", Barbican = "barbican" }
}

impl Answer {
    fn label(self) -> String {
        match self {
            Self::Status(status) => status.to_string(),
            Self::Unreachable => "unreachable".to_owned(),
            Self::TimedOut => "timed_out".to_owned(),
            Self::Lost => "lost".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
