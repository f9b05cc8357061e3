//! An app's definition, and when two of them mean the same although they are not written the same.
//!
//! A server fills in defaults, chooses ports and rewrites old fields into new ones. Whether "it already exists" is
//! our own earlier request is decided here, so both sides are brought into one form first: the newest.

mod canonical;
mod defaults;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::id::AppId;

/// One app as it is sent, with its absolute id.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    id: AppId,
    body: Map<String, Value>,
}

/// What a framework does when one definition takes another's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// Only the number of instances differs: running tasks stay.
    Scale,
    /// Every task is replaced.
    Restart,
}

/// What only a server writes into a definition.
const READ_ONLY: &[&str] = &[
    "version",
    "versionInfo",
    "tasksStaged",
    "tasksRunning",
    "tasksHealthy",
    "tasksUnhealthy",
    "tasks",
    "taskStats",
    "tasksStats",
    "deployments",
    "lastTaskFailure",
    "readinessCheckResults",
];

/// Takes away what only a server writes, so that what was read can be sent again.
pub(super) fn strip(body: &mut Map<String, Value>) {
    for name in READ_ONLY {
        body.remove(*name);
    }
}

impl Definition {
    /// `body` is of an app that was checked, or came from a server.
    pub(crate) fn new(id: AppId, mut body: Map<String, Value>) -> Self {
        strip(&mut body);
        body.insert("id".to_owned(), Value::from(id.as_str()));
        Self { id, body }
    }

    pub fn id(&self) -> &AppId {
        &self.id
    }

    pub fn body(&self) -> &Map<String, Value> {
        &self.body
    }

    /// The body without what a server says twice, in an old field and in the one that took its place: it would not take
    /// both back.
    pub(crate) fn sendable(&self) -> Map<String, Value> {
        let mut body = self.body.clone();
        for (old, new) in [("ports", "portDefinitions"), ("uris", "fetch")] {
            if body.contains_key(new) {
                body.remove(old);
            }
        }
        body
    }

    /// How many instances are asked for; one when nothing is said.
    pub fn instances(&self) -> u32 {
        let given = self.body.get("instances").and_then(Value::as_f64);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        given.filter(|number| (0.0..=f64::from(u32::MAX)).contains(number)).map_or(1, |number| number as u32)
    }

    /// Whether the framework checks the health of the tasks.
    pub fn has_health_checks(&self) -> bool {
        self.body.get("healthChecks").and_then(Value::as_array).is_some_and(|checks| !checks.is_empty())
    }

    /// The same app with another number of instances.
    #[must_use]
    pub fn with_instances(mut self, instances: u32) -> Self {
        self.body.insert("instances".to_owned(), Value::from(instances));
        self
    }
}

/// Whether `seen`, a server's account, is what `ours` asked for.
pub fn same_definition(ours: &Definition, seen: &Definition) -> bool {
    differences(ours, seen).is_empty()
}

/// The places, as JSON pointers in the newest form, where `seen` is not what `ours` asked for.
pub fn differences(ours: &Definition, seen: &Definition) -> Vec<String> {
    let (ours, seen) = (canonical::form(&ours.body), canonical::form(&seen.body));
    let mut found = Vec::new();
    compare(&mut String::new(), Some(&Value::Object(ours)), Some(&Value::Object(seen)), &mut found);
    found
}

/// What taking `after` instead of `before`, a server's account, makes the framework do.
pub fn change(before: &Definition, after: &Definition) -> Change {
    let found = differences(after, before);
    match found.iter().find(|path| *path != "/instances") {
        Some(_) => Change::Restart,
        None if found.is_empty() => Change::Nothing,
        None => Change::Scale,
    }
}

/// Descends where both have something; where one has nothing, the other must be a default.
fn compare(path: &mut String, ours: Option<&Value>, seen: Option<&Value>, found: &mut Vec<String>) {
    let present = |value: Option<&Value>| value.is_some_and(|value| !value.is_null());
    match (ours, seen) {
        (Some(Value::Object(ours)), Some(Value::Object(seen))) => {
            let mut names: Vec<_> = ours.keys().chain(seen.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let length = path.len();
                path.push('/');
                path.push_str(&name.replace('~', "~0").replace('/', "~1"));
                compare(path, ours.get(name), seen.get(name), found);
                path.truncate(length);
            }
        }
        (Some(Value::Array(ours)), Some(Value::Array(seen))) if ours.len() == seen.len() => {
            for (index, (ours, seen)) in ours.iter().zip(seen).enumerate() {
                let length = path.len();
                path.push_str(&format!("/{index}"));
                compare(path, Some(ours), Some(seen), found);
                path.truncate(length);
            }
        }
        (Some(Value::Number(ours)), Some(Value::Number(seen))) if ours.as_f64() == seen.as_f64() => {}
        (Some(ours), Some(seen)) if ours == seen => {}
        (Some(one), other) | (other, Some(one)) if !present(other) && defaults::is_default(path, one) => {}
        (Some(ours), Some(_)) if defaults::is_chosen_by_server(path, ours) => {}
        (None, None) => {}
        (Some(_), _) | (None, Some(_)) => {
            found.push(if path.is_empty() { "/".to_owned() } else { path.clone() })
        }
    }
}
