//! What Magnum keeps as text: JSON lists and dictionaries, and reasons of any length.

use serde_json::Value;

use crate::bay::Labels;

use super::error::Error;

/// Longer reasons are cut: a reason must never be why an operation cannot be finished.
const REASON_LETTERS: usize = 8000;

/// A list in the form that Python writes, so that both spell a list alike and equality filters find it.
pub(super) fn list_to_json(list: &[String]) -> String {
    let items: Vec<String> = list.iter().map(|item| Value::from(item.as_str()).to_string()).collect();
    format!("[{}]", items.join(", "))
}

pub(super) fn labels_to_json(labels: &Labels) -> String {
    let text = |text: &str| Value::from(text).to_string();
    let items: Vec<String> =
        labels.iter().map(|(key, value)| format!("{}: {}", text(key), text(value))).collect();
    format!("{{{}}}", items.join(", "))
}

pub(super) fn list_from_json(text: Option<String>, column: &str) -> Result<Vec<String>, Error> {
    match parse(text, column)? {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => Ok(items.into_iter().map(plain).collect()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err(Error::corrupt(format!("{column} is no list")))
        }
    }
}

pub(super) fn labels_from_json(text: Option<String>, column: &str) -> Result<Labels, Error> {
    match parse(text, column)? {
        Value::Null => Ok(Labels::new()),
        Value::Object(items) => Ok(items.into_iter().map(|(key, value)| (key, plain(value))).collect()),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Error::corrupt(format!("{column} is no dictionary")))
        }
    }
}

/// A reason as it may be stored: PostgreSQL takes no NUL.
pub(super) fn reason(text: &str) -> String {
    text.chars().filter(|letter| *letter != '\0').take(REASON_LETTERS).collect()
}

fn parse(text: Option<String>, column: &str) -> Result<Value, Error> {
    let text = text.filter(|text| !text.is_empty());
    let value = text.map(|text| serde_json::from_str(&text)).transpose();
    Ok(value.map_err(|_| Error::corrupt(format!("{column} is not JSON")))?.unwrap_or(Value::Null))
}

/// Labels written by an API that did not check them may hold numbers.
fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_labels_read_back_in_the_spelling_of_python() {
        let list = vec!["10.0.0.1".to_owned(), "a\"b".to_owned()];
        assert_eq!(list_to_json(&list), r#"["10.0.0.1", "a\"b"]"#);
        assert_eq!(list_from_json(Some(list_to_json(&list)), "c").unwrap(), list);
        let labels = Labels::from([("k".to_owned(), "v".to_owned()), ("l".to_owned(), "1".to_owned())]);
        assert_eq!(labels_to_json(&labels), r#"{"k": "v", "l": "1"}"#);
        assert_eq!(labels_from_json(Some(r#"{"k":"v","l":1}"#.into()), "c").unwrap(), labels);
        assert!(labels_from_json(Some("[]".into()), "c").is_err());
        assert!(list_from_json(None, "c").unwrap().is_empty());
    }

    #[test]
    fn a_reason_always_fits() {
        assert_eq!(reason("a\0b"), "ab");
        assert_eq!(reason(&"é".repeat(9000)).chars().count(), REASON_LETTERS);
    }
}
