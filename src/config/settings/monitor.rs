//! The section about looking at living bays.

use std::time::Duration;

use crate::config::kind::MetricsEvent;
use crate::config::option::{boolean, choice, duration_from, section};

section! {
    /// Looking at bays that were built: one worker of the pool asks each bay's Mesos and framework, at the addresses and
    /// with the credentials of [mesos] and [marathon].
    "monitor" => MonitorSettings {
        /// How often.
        interval: Duration = duration_from("60s", Duration::from_millis(100));
        /// The longest that one look at a bay may take.
        timeout: Duration = duration_from("10s", Duration::from_millis(10));
        /// Whether the health of each bay is recorded.
        health: bool = boolean("true");
        /// Whether listeners are told how much of each bay's memory and processors is in use.
        metrics: bool = boolean("false").also(&[("drivers", "send_cluster_metrics")]);
        /// What such a notification is called: magnum.cluster.metrics.update or magnum.bay.metrics.update.
        metrics_event: MetricsEvent = choice("cluster", MetricsEvent::CHOICES);
    }
}
