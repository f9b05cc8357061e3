//! The launch queue.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::app;
use crate::clock::marathon_time;
use crate::marathon::cluster::Cluster;
use crate::marathon::definition::Resources;
use crate::marathon::path::PathId;
use crate::marathon::queue::{Declined, Queued, REASONS, Unused};

pub(crate) fn queue(cluster: &Cluster, with_offers: bool, now: OffsetDateTime) -> Value {
    let items = cluster.queue.iter().filter(|(_, queued)| queued.count > 0);
    let items = items.filter_map(|(id, queued)| item(cluster, id, queued, with_offers, now));
    json!({"queue": items.collect::<Vec<_>>()})
}

fn item(
    cluster: &Cluster,
    id: &PathId,
    queued: &Queued,
    with_offers: bool,
    now: OffsetDateTime,
) -> Option<Value> {
    let profile = &cluster.config.profile;
    let spec = cluster.root.apps.get(id)?;
    let left = cluster.delay(id).map(|delay| cluster.pace.told(delay.left(now))).unwrap_or_default();
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    let mut told = json!({
        "app": app(profile, spec),
        "count": queued.count,
        "delay": {"timeLeftSeconds": seconds, "overdue": seconds == 0},
    });
    if profile.since(1, 4) {
        told["since"] = json!(marathon_time(queued.since));
        told["processedOffersSummary"] = summary(queued);
        if with_offers {
            told["lastUnusedOffers"] = queued.unused.iter().map(unused_offer).collect();
        }
    }
    if profile.since(1, 9) {
        told["role"] = json!("*");
    }
    Some(told)
}

fn summary(queued: &Queued) -> Value {
    let unused: u64 = queued.declined.iter().sum();
    let mut told = json!({
        "processedOffersCount": queued.processed,
        "unusedOffersCount": unused,
        "rejectSummaryLastOffers": funnel(queued.processed_last, &queued.declined_last),
        "rejectSummaryLaunchAttempt": funnel(queued.processed, &queued.declined),
    });
    for (name, at) in [("lastUnusedOfferAt", queued.last_unused), ("lastUsedOfferAt", queued.last_used)] {
        if let Some(at) = at {
            told[name] = json!(marathon_time(at));
        }
    }
    told
}

/// Each reason sees the offers that the ones before it have let pass.
fn funnel(offers: u64, declined: &Declined) -> Value {
    let mut processed = offers;
    let mut rows = Vec::new();
    for (reason, declined) in REASONS.iter().zip(declined) {
        rows.push(json!({"reason": reason, "declined": declined, "processed": processed}));
        processed = processed.saturating_sub(*declined);
    }
    Value::Array(rows)
}

fn unused_offer(unused: &Unused) -> Value {
    let Unused { agent, free, reason, at } = unused;
    let Resources { cpus, mem, disk, gpus } = *free;
    let resources = [("cpus", cpus), ("mem", mem), ("disk", disk), ("gpus", gpus)];
    let scalar = |(name, scalar): (&str, f64)| json!({"name": name, "scalar": scalar, "role": "*"});
    json!({
        "offer": {
            "id": format!("{}-O0", agent.id),
            "hostname": agent.host,
            "agentId": agent.id,
            "resources": resources.map(scalar),
            "attributes": [],
        },
        "reason": [REASONS[*reason]],
        "timestamp": marathon_time(*at),
    })
}
