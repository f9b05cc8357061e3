//! Answers against answers, field for field, with placeholders for what a server makes.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

/// A field that is not as expected. An absent one is told as `"absent"`.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) field: String,
    pub(super) theirs: Value,
    pub(super) ours: Value,
}

/// What the placeholders of one sequence stand for.
#[derive(Default)]
pub(super) struct Known(BTreeMap<String, String>);

impl Known {
    /// A text with the placeholders that are known replaced.
    pub(super) fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (placeholder, value)| text.replace(placeholder, value))
    }

    /// The reverse: what a server made, as the placeholder that stands for it.
    fn hide(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if is_time(text) => Value::from("{{time:}}"),
            Value::String(text) => {
                let named = self.0.iter().filter(|(placeholder, _)| placeholder.starts_with("{{uuid:"));
                Value::String(
                    named.fold(text.clone(), |text, (placeholder, made)| text.replace(made, placeholder)),
                )
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                value.clone()
            }
        }
    }

    pub(super) fn compare(&mut self, expected: &Value, actual: &Value) -> Vec<Difference> {
        let mut found = Vec::new();
        self.walk("", expected, actual, &mut found);
        // Only now is everything known that this answer has brought.
        found.iter_mut().for_each(|difference| difference.ours = self.hide(&difference.ours));
        found
    }

    fn walk(&mut self, field: &str, expected: &Value, actual: &Value, found: &mut Vec<Difference>) {
        match (expected, actual) {
            (Value::Object(theirs), Value::Object(ours)) => {
                let absent = Value::from("absent");
                let names: std::collections::BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
                for name in names {
                    let (theirs, ours) = (theirs.get(name), ours.get(name));
                    self.walk(
                        &within(field, name),
                        theirs.unwrap_or(&absent),
                        ours.unwrap_or(&absent),
                        found,
                    );
                }
            }
            (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
                for (theirs, ours) in theirs.iter().zip(ours) {
                    self.walk(field, theirs, ours, found);
                }
            }
            (Value::String(pattern), _) if self.matches(pattern, actual) => {}
            (theirs, ours) if theirs == ours => {}
            (theirs, ours) => {
                found.push(Difference { field: field.to_owned(), theirs: theirs.clone(), ours: ours.clone() })
            }
        }
    }

    fn matches(&mut self, pattern: &str, actual: &Value) -> bool {
        let Value::String(actual) = actual else { return false };
        let whole = pattern.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        let Some((kind, name)) = whole.and_then(|whole| whole.split_once(':')) else {
            return self.fill(pattern) == *actual;
        };
        if let Some(known) = self.0.get(pattern) {
            return known == actual;
        }
        let fits = match kind {
            "uuid" => Uuid::parse_str(actual).is_ok(),
            "time" => is_time(actual),
            "text" => !actual.is_empty(),
            other => panic!("{other} is no kind of placeholder"),
        };
        if fits && !name.is_empty() {
            self.0.insert(pattern.to_owned(), actual.clone());
        }
        fits
    }
}

fn is_time(text: &str) -> bool {
    text.len() == "2026-11-22T14:39:41Z".len() && text.starts_with("20") && text.ends_with('Z')
}

/// A field's path, without the wrapping that every object has.
fn within(field: &str, name: &str) -> String {
    match (field, name) {
        ("", _) => name.to_owned(),
        (_, "magnum_object.data") => field.to_owned(),
        (_, name) => format!("{field}.{name}"),
    }
}
