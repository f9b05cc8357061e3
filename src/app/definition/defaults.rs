//! What a server may add to a definition without changing what it means.

use serde_json::{Value, json};

/// Fields by their path, indices as `*`, and what versions of Marathon fill in. A few have changed over time, and
/// some depend on the rest of the definition: any value of the list is a default.
fn known(path: &str) -> Option<Value> {
    Some(match path {
        "/instances" | "/cpus" => json!([1]),
        "/mem" => json!([128]),
        "/backoffSeconds" => json!([1]),
        "/backoffFactor" => json!([1.15]),
        "/maxLaunchDelaySeconds" => json!([300, 3600]),
        "/executor" => json!(["", "//cmd"]),
        "/killSelection" => json!(["YOUNGEST_FIRST"]),
        "/taskKillGracePeriodSeconds" => json!([3]),
        "/upgradeStrategy/minimumHealthCapacity" => json!([1, 0.5, 0]),
        "/upgradeStrategy/maximumOverCapacity" => json!([1, 0]),
        "/unreachableStrategy" => json!(["disabled"]),
        "/unreachableStrategy/inactiveAfterSeconds" => json!([0, 300, 3600]),
        "/unreachableStrategy/expungeAfterSeconds" => json!([0, 600, 604_800]),
        "/container/type" => json!(["MESOS", "DOCKER"]),
        "/container/volumes/*/mode" => json!(["RW", "RO"]),
        "/container/portMappings/*/protocol" | "/portDefinitions/*/protocol" => json!(["tcp"]),
        "/portDefinitions/*/name" => json!(["default"]),
        "/networks/*/mode" => json!(["container", "host"]),
        "/fetch/*/extract" => json!([true, false]),
        "/healthChecks/*/protocol" => json!(["HTTP"]),
        "/healthChecks/*/path" => json!(["/"]),
        "/healthChecks/*/ipProtocol" => json!(["IPv4"]),
        "/healthChecks/*/gracePeriodSeconds" => json!([300]),
        "/healthChecks/*/intervalSeconds" => json!([60]),
        "/healthChecks/*/timeoutSeconds" => json!([20]),
        "/healthChecks/*/maxConsecutiveFailures" => json!([3]),
        "/healthChecks/*/delaySeconds" => json!([15]),
        "/readinessChecks/*/name" => json!(["readinessCheck"]),
        "/readinessChecks/*/protocol" => json!(["HTTP"]),
        "/readinessChecks/*/path" => json!(["/"]),
        "/readinessChecks/*/portName" => json!(["http-api"]),
        "/readinessChecks/*/intervalSeconds" => json!([30]),
        "/readinessChecks/*/timeoutSeconds" => json!([10]),
        "/readinessChecks/*/httpStatusCodesForReady" => json!([[200]]),
        _ => return None,
    })
}

/// Places where 0 or nothing means that the server chooses a port.
const CHOSEN: &[&str] = &["/portDefinitions/*/port", "/container/portMappings/*/servicePort"];

/// Whether the server may have chosen another value than `ours`.
pub(super) fn is_chosen_by_server(path: &str, ours: &Value) -> bool {
    ours.as_f64() == Some(0.0) && CHOSEN.contains(&pattern(path).as_str())
}

/// Whether a value that only one side has changes nothing.
pub(super) fn is_default(path: &str, value: &Value) -> bool {
    let pattern = pattern(path);
    if let Some(values) = known(&pattern) {
        let equal = |default: &Value| match (default.as_f64(), value.as_f64()) {
            (Some(default), Some(value)) => default == value,
            _ => default == value,
        };
        if values.as_array().is_some_and(|values| values.iter().any(equal)) {
            return true;
        }
    } else if is_nothing(value) || CHOSEN.contains(&pattern.as_str()) {
        return true;
    }
    match (pattern.as_str(), value) {
        // Assigned by the server's own configuration.
        ("/role" | "/acceptedResourceRoles", _) => true,
        ("/portDefinitions" | "/networks", Value::Array(items)) => {
            items.len() <= 1 && items.iter().all(|item| is_default(&format!("{path}/0"), item))
        }
        (_, Value::Object(fields)) => {
            fields.iter().all(|(name, value)| is_default(&format!("{path}/{name}"), value))
        }
        (_, Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => false,
    }
}

/// Nothing, in any of JSON's ways to say so.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// A path with its indices as `*`.
fn pattern(path: &str) -> String {
    let star = |segment: &str| !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
    let segments: Vec<_> = path.split('/').map(|segment| if star(segment) { "*" } else { segment }).collect();
    segments.join("/")
}
