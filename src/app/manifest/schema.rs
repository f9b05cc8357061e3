//! The fields of a Marathon app definition that are known here, as data: their types and limits.

use serde_json::{Map, Value};

use super::fault::{Faults, Place};

/// What a value must look like.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    Text,
    Flag,
    Whole {
        min: i64,
        max: i64,
    },
    Number {
        min: f64,
        max: f64,
    },
    OneOf(&'static [&'static str]),
    Each(&'static Rule),
    Values(&'static Rule),
    Object(&'static [Field]),
    /// A text or an object: a reference to a secret, the word `disabled`.
    TextOr(&'static [Field]),
    Constraint,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    name: &'static str,
    rule: Rule,
    required: bool,
}

const fn may(name: &'static str, rule: Rule) -> Field {
    Field { name, rule, required: false }
}

const fn must(name: &'static str, rule: Rule) -> Field {
    Field { name, rule, required: true }
}

const COUNT: Rule = Rule::Whole { min: 0, max: i32::MAX as i64 };
const PORT: Rule = Rule::Whole { min: 0, max: 65535 };
const AMOUNT: Rule = Rule::Number { min: 0.0, max: f64::MAX };
const SHARE: Rule = Rule::Number { min: 0.0, max: 1.0 };
const TEXTS: Rule = Rule::Each(&Rule::Text);
const WORDS: Rule = Rule::Values(&Rule::Text);

/// A list of strings that Marathon splits or joins: both spellings are accepted by one version or another.
const PORT_PROTOCOL: Rule = Rule::OneOf(&["tcp", "udp", "udp,tcp", "tcp,udp"]);

pub(super) const APP: &[Field] = &[
    may("cmd", Rule::Text),
    may("args", TEXTS),
    may("user", Rule::Text),
    may("executor", Rule::Text),
    may("role", Rule::Text),
    may("instances", COUNT),
    may("cpus", AMOUNT),
    may("mem", AMOUNT),
    may("disk", AMOUNT),
    may("gpus", COUNT),
    may("tty", Rule::Flag),
    may("requirePorts", Rule::Flag),
    may("env", Rule::Values(&Rule::TextOr(&[must("secret", Rule::Text)]))),
    may("labels", WORDS),
    may("secrets", Rule::Values(&Rule::Object(&[must("source", Rule::Text)]))),
    may("container", Rule::Object(CONTAINER)),
    may("ipAddress", Rule::Object(&[])),
    may("networks", Rule::Each(&Rule::Object(NETWORK))),
    may("ports", Rule::Each(&PORT)),
    may("portDefinitions", Rule::Each(&Rule::Object(PORT_DEFINITION))),
    may("constraints", Rule::Each(&Rule::Constraint)),
    may("healthChecks", Rule::Each(&Rule::Object(HEALTH_CHECK))),
    may("readinessChecks", Rule::Each(&Rule::Object(READINESS_CHECK))),
    may(
        "upgradeStrategy",
        Rule::Object(&[may("minimumHealthCapacity", SHARE), may("maximumOverCapacity", SHARE)]),
    ),
    may("backoffSeconds", AMOUNT),
    may("backoffFactor", Rule::Number { min: 1.0, max: f64::MAX }),
    may("maxLaunchDelaySeconds", AMOUNT),
    may("taskKillGracePeriodSeconds", COUNT),
    may("fetch", Rule::Each(&Rule::Object(FETCH))),
    may("uris", TEXTS),
    may("dependencies", TEXTS),
    may("acceptedResourceRoles", TEXTS),
    may("killSelection", Rule::OneOf(&["YOUNGEST_FIRST", "OLDEST_FIRST"])),
    may(
        "unreachableStrategy",
        Rule::TextOr(&[may("inactiveAfterSeconds", COUNT), may("expungeAfterSeconds", COUNT)]),
    ),
];

const CONTAINER: &[Field] = &[
    may("type", Rule::OneOf(&["MESOS", "DOCKER"])),
    may("docker", Rule::Object(DOCKER)),
    may("volumes", Rule::Each(&Rule::Object(VOLUME))),
    may("portMappings", Rule::Each(&Rule::Object(PORT_MAPPING))),
];

const DOCKER: &[Field] = &[
    must("image", Rule::Text),
    may("network", Rule::OneOf(&["HOST", "BRIDGE", "USER", "NONE"])),
    may("forcePullImage", Rule::Flag),
    may("privileged", Rule::Flag),
    may("parameters", Rule::Each(&Rule::Object(&[must("key", Rule::Text), must("value", Rule::Text)]))),
    may("portMappings", Rule::Each(&Rule::Object(PORT_MAPPING))),
];

const VOLUME: &[Field] = &[
    must("containerPath", Rule::Text),
    may("hostPath", Rule::Text),
    may("mode", Rule::OneOf(&["RO", "RW"])),
    may("persistent", Rule::Object(&[])),
    may("external", Rule::Object(&[])),
];

const PORT_MAPPING: &[Field] = &[
    may("containerPort", PORT),
    may("hostPort", PORT),
    may("servicePort", PORT),
    may("protocol", PORT_PROTOCOL),
    may("name", Rule::Text),
    may("labels", WORDS),
];

const PORT_DEFINITION: &[Field] =
    &[may("port", PORT), may("protocol", PORT_PROTOCOL), may("name", Rule::Text), may("labels", WORDS)];

const NETWORK: &[Field] = &[
    may("name", Rule::Text),
    may("mode", Rule::OneOf(&["host", "container", "container/bridge"])),
    may("labels", WORDS),
];

const HEALTH_CHECK: &[Field] = &[
    may(
        "protocol",
        Rule::OneOf(&["HTTP", "HTTPS", "TCP", "COMMAND", "MESOS_HTTP", "MESOS_HTTPS", "MESOS_TCP"]),
    ),
    may("path", Rule::Text),
    may("portIndex", COUNT),
    may("port", PORT),
    may("gracePeriodSeconds", COUNT),
    may("intervalSeconds", COUNT),
    may("timeoutSeconds", COUNT),
    may("delaySeconds", COUNT),
    may("maxConsecutiveFailures", COUNT),
    may("ignoreHttp1xx", Rule::Flag),
    may("command", Rule::Object(&[may("value", Rule::Text)])),
];

const READINESS_CHECK: &[Field] = &[
    may("name", Rule::Text),
    may("protocol", Rule::OneOf(&["HTTP", "HTTPS"])),
    may("path", Rule::Text),
    may("portName", Rule::Text),
    may("intervalSeconds", COUNT),
    may("timeoutSeconds", COUNT),
    may("httpStatusCodesForReady", Rule::Each(&Rule::Whole { min: 100, max: 999 })),
    may("preserveLastResponse", Rule::Flag),
];

const FETCH: &[Field] = &[
    must("uri", Rule::Text),
    may("extract", Rule::Flag),
    may("executable", Rule::Flag),
    may("cache", Rule::Flag),
    may("destPath", Rule::Text),
];

/// Operators of constraints, and whether they need a value.
const OPERATORS: &[(&str, bool)] = &[
    ("UNIQUE", false),
    ("CLUSTER", false),
    ("GROUP_BY", false),
    ("LIKE", true),
    ("UNLIKE", true),
    ("MAX_PER", true),
    ("IS", true),
];

/// Checks the fields of an object. One that is null counts as absent, as in Marathon.
pub(super) fn object(at: &Place<'_>, object: &Map<String, Value>, fields: &[Field], faults: &mut Faults) {
    for field in fields {
        match object.get(field.name) {
            None | Some(Value::Null) if field.required => faults.add(&at.key(field.name), "is required"),
            None | Some(Value::Null) => {}
            Some(value) => field.rule.check(&at.key(field.name), value, faults),
        }
    }
}

impl Rule {
    fn check(&self, at: &Place<'_>, value: &Value, faults: &mut Faults) {
        match (self, value) {
            (Self::Text, Value::String(_)) | (Self::Flag, Value::Bool(_)) => {}
            (Self::Whole { min, max }, Value::Number(_)) => {
                if !whole(value).is_some_and(|number| (*min..=*max).contains(&number)) {
                    faults.add(at, format!("{value} is not {}", self.expectation()));
                }
            }
            (Self::Number { min, max }, Value::Number(number)) => {
                if !number.as_f64().is_some_and(|number| (*min..=*max).contains(&number)) {
                    faults.add(at, format!("{value} is not {}", self.expectation()));
                }
            }
            (Self::OneOf(words), Value::String(text)) => {
                if !words.contains(&text.as_str()) {
                    let text: String = text.chars().take(100).collect();
                    faults.add(at, format!("{text:?} is not {}", self.expectation()));
                }
            }
            (Self::Each(rule), Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    rule.check(&at.index(index), item, faults);
                }
            }
            (Self::Values(rule), Value::Object(values)) => {
                for (name, item) in values {
                    rule.check(&at.key(name), item, faults);
                }
            }
            (Self::Object(fields), Value::Object(found)) => object(at, found, fields, faults),
            (Self::TextOr(_), Value::String(_)) => {}
            (Self::TextOr(fields), Value::Object(found)) => object(at, found, fields, faults),
            (Self::Constraint, Value::Array(parts)) => constraint(at, parts, faults),
            (
                _,
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_),
            ) => faults.add(at, format!("must be {}", self.expectation())),
        }
    }

    fn expectation(&self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Whole { min, max } => format!("a whole number from {min} to {max}"),
            Self::Number { min, max: f64::MAX } => format!("a number of at least {min}"),
            Self::Number { min, max } => format!("a number from {min} to {max}"),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Each(_) => "an array".to_owned(),
            Self::Values(_) | Self::Object(_) => "an object".to_owned(),
            Self::TextOr(_) => "a text or an object".to_owned(),
            Self::Constraint => "an array of a field, an operator and perhaps a value".to_owned(),
        }
    }
}

/// A whole number, however it is written: Marathon reads `2.0` as 2.
pub(super) fn whole(value: &Value) -> Option<i64> {
    let fraction_free = |number: &f64| number.fract() == 0.0 && number.abs() < 9e15;
    #[expect(clippy::cast_possible_truncation, reason = "the filter leaves whole numbers that fit exactly")]
    value.as_i64().or_else(|| value.as_f64().filter(fraction_free).map(|number| number as i64))
}

fn constraint(at: &Place<'_>, parts: &[Value], faults: &mut Faults) {
    let texts: Option<Vec<&str>> = parts.iter().map(Value::as_str).collect();
    let Some([_, operator, value @ ..]) = texts.as_deref().filter(|texts| texts.len() <= 3) else {
        faults.add(at, "must be two or three texts: a field, an operator and perhaps a value");
        return;
    };
    let known = OPERATORS.iter().find(|(name, _)| name.eq_ignore_ascii_case(operator));
    match known {
        None => {
            let names: Vec<_> = OPERATORS.iter().map(|(name, _)| *name).collect();
            faults.add(&at.index(1), format!("is not one of {}", names.join(", ")));
        }
        Some((name, true)) if value.is_empty() => faults.add(at, format!("{name} needs a value")),
        Some(_) => {}
    }
}
