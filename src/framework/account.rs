//! An app's row beside what its framework shows.

use super::seen::Seen;
use crate::app::{App, Definition, differences};

/// The row with what the framework alone decides, as it is seen now. Of several apps the counts are added up.
pub fn as_seen(app: &App, seen: &[Seen]) -> App {
    let total = |count: fn(&Seen) -> u32| Some(seen.iter().map(|seen| i64::from(count(seen))).sum());
    App {
        instances: total(|seen| seen.instances),
        version: seen.iter().filter_map(|seen| seen.version.as_ref()).max().map(ToString::to_string),
        tasks_staged: total(|seen| seen.tasks_staged),
        tasks_running: total(|seen| seen.tasks_running),
        tasks_healthy: total(|seen| seen.tasks_healthy),
        tasks_unhealthy: total(|seen| seen.tasks_unhealthy),
        endpoints: seen.iter().flat_map(|seen| seen.endpoints.iter().cloned()).collect(),
        ..app.clone()
    }
}

/// What somebody else did to an app, in words; `None` when it is as its manifest says. A number of instances of
/// another's choice is shown, and is no difference.
pub fn drift(asked: &[Definition], seen: &[Seen]) -> Option<String> {
    let differs = asked.iter().filter_map(|asked| {
        let id = asked.id();
        let Some(seen) = seen.iter().find(|seen| seen.id == *id) else {
            return Some(format!("{id} is not in the framework any more."));
        };
        let paths = differences(&asked.clone().with_instances(seen.instances), &seen.definition);
        (!paths.is_empty())
            .then(|| format!("{id} was changed in the framework and differs at {}.", paths.join(", ")))
    });
    let differs: Vec<_> = differs.collect();
    (!differs.is_empty()).then(|| differs.join(" "))
}
