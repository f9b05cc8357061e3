//! Failures as Python clients re-raise them: a class by name, and what its constructor needs.

use serde_json::Value;

use crate::codec::{self, Budget, DecodeError, Map, object, require_text, take_text};
use crate::version::Version;

const MAGNUM: &str = "magnum.common.exception";
const DISPATCHER: &str = "oslo_messaging.rpc.dispatcher";

/// A failure of a call.
///
/// A client imports `module`, finds `class` there and calls it with `args` and `kwargs`, if it allows the
/// module; else it raises `RemoteError` with `class`, `message` and `tb`.
///
/// Built-in exceptions carry the module `builtins`. Clients of Python 2 before oslo.messaging 5.11 know only
/// `exceptions` and raise `RemoteError` instead, as they do with the genuine newer servers; nothing in a
/// request tells the Python version, and Magnum's API treats both the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The class name, without its module.
    pub class: String,
    /// The module that defines the class.
    pub module: String,
    /// The text of the exception.
    pub message: String,
    /// Lines of a traceback, each with its line end. Boxed, so that a `Result` with a failure stays small.
    pub tb: Box<[String]>,
    /// Positional arguments of the constructor.
    pub args: Vec<Value>,
    /// Keyword arguments of the constructor. Boxed like `tb`.
    pub kwargs: Box<Map>,
}

impl Failure {
    /// A Magnum exception that carries its message and HTTP code.
    ///
    /// The client formats the message again with `kwargs`, so every `%` in the argument is doubled.
    #[must_use]
    pub fn magnum(class: &str, code: u16, message: &str) -> Self {
        Self::magnum_with(class, code, message, Map::new())
    }

    /// A Magnum exception with further keyword arguments of its constructor.
    #[must_use]
    pub fn magnum_with(class: &str, code: u16, message: &str, mut kwargs: Map) -> Self {
        for value in kwargs.values_mut() {
            if let Value::String(text) = value {
                *text = shortened(text);
            }
        }
        kwargs.insert("code".to_owned(), code.into());
        Self {
            args: vec![shortened(message).replace('%', "%%").into()],
            kwargs: Box::new(kwargs),
            ..Self::remote(class, MAGNUM, message)
        }
    }

    /// No endpoint has a method of that name.
    #[must_use]
    pub fn no_such_method(method: &str) -> Self {
        Self::remote("NoSuchMethod", DISPATCHER, &format!("Endpoint does not support RPC method {method}"))
    }

    /// No endpoint serves that version (or namespace).
    #[must_use]
    pub fn unsupported_version(version: Version, method: &str) -> Self {
        let text = format!("Endpoint does not support RPC version {version}. Attempted method: {method}");
        Self::remote("UnsupportedVersion", DISPATCHER, &text)
    }

    /// Arguments that the method does not take.
    #[must_use]
    pub fn type_error(message: &str) -> Self {
        Self::remote("TypeError", "builtins", message)
    }

    /// Any exception whose constructor takes the message alone.
    #[must_use]
    pub fn remote(class: &str, module: &str, message: &str) -> Self {
        let message = shortened(message);
        Self {
            class: class.to_owned(),
            module: module.to_owned(),
            message: message.clone(),
            tb: Box::new([
                "Traceback (most recent call last):\n".to_owned(),
                format!("{class}: {message}\n"),
            ]),
            args: vec![message.into()],
            kwargs: Box::default(),
        }
    }

    /// The JSON text that a reply carries.
    ///
    /// # Panics
    /// Never: JSON values always serialise into memory.
    #[must_use]
    pub fn to_text(&self) -> String {
        let value = serde_json::json!({
            "class": self.class,
            "module": self.module,
            "message": self.message,
            "tb": self.tb,
            "args": self.args,
            "kwargs": self.kwargs,
        });
        serde_json::to_string(&value).expect("JSON values always serialise")
    }

    /// Reads the JSON text of a reply.
    ///
    /// # Errors
    /// When the text is not such a map.
    pub fn from_text(text: &str) -> Result<Self, DecodeError> {
        let mut map = object(codec::json(text.as_bytes(), "failure", &Budget::of_answer())?, "failure")?;
        Ok(Self {
            class: require_text(&mut map, "class")?,
            module: take_text(&mut map, "module")?.unwrap_or_default(),
            message: take_text(&mut map, "message")?.unwrap_or_default(),
            tb: lines(&mut map)?,
            args: match map.remove("args") {
                None | Some(Value::Null) => Vec::new(),
                Some(Value::Array(args)) => args,
                Some(_) => return Err(DecodeError::WrongType { key: "args", expected: "a list" }),
            },
            kwargs: match map.remove("kwargs") {
                None | Some(Value::Null) => Box::default(),
                Some(kwargs) => Box::new(object(kwargs, "kwargs")?),
            },
        })
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.class, self.message)
    }
}

impl std::error::Error for Failure {}

/// The longest text of a failure that we make, in bytes. A text often repeats what the caller sent, several times over.
const MAX_TEXT: usize = 2048;

fn shortened(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let (beginning, _) = text.split_at(text.floor_char_boundary(MAX_TEXT));
    format!("{beginning}…")
}

fn lines(map: &mut Map) -> Result<Box<[String]>, DecodeError> {
    let wrong = DecodeError::WrongType { key: "tb", expected: "a list of texts" };
    match map.remove("tb") {
        None | Some(Value::Null) => Ok(Box::default()),
        Some(Value::String(text)) => Ok(Box::new([text])),
        Some(Value::Array(lines)) => {
            let text = |line| if let Value::String(text) = line { Ok(text) } else { Err(wrong.clone()) };
            lines.into_iter().map(text).collect()
        }
        Some(_) => Err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_percent_sign_survives_the_clients_second_formatting() {
        let failure = Failure::magnum("InvalidParameterValue", 400, "disk 100% full");
        assert_eq!(failure.message, "disk 100% full");
        assert_eq!(failure.args, vec![json!("disk 100%% full")]);
        assert_eq!(*failure.kwargs.get("code").unwrap(), 400);
        assert_eq!(failure.module, "magnum.common.exception");
    }

    #[test]
    fn the_traceback_lets_the_api_cut_it_off() {
        let failure = Failure::magnum("BayNotFound", 404, "Bay b could not be found.");
        assert_eq!(failure.tb[0], "Traceback (most recent call last):\n");
        assert_eq!(failure.tb[1], "BayNotFound: Bay b could not be found.\n");
    }

    #[test]
    fn a_failure_keeps_a_result_small() {
        assert!(size_of::<Failure>() < 128, "clippy would object to every Result with it");
    }

    #[test]
    fn text_round_trips() {
        let kwargs = json!({ "bay": "é%s" }).as_object().unwrap().clone();
        for failure in [
            Failure::magnum_with("BayNotFound", 404, "no \"é\"\n", kwargs),
            Failure::no_such_method("x"),
            Failure::unsupported_version(Version::new(2, 0), "x"),
            Failure::type_error("unexpected keyword argument 'y'"),
        ] {
            assert_eq!(Failure::from_text(&failure.to_text()), Ok(failure));
        }
    }

    #[test]
    fn a_failure_repeats_no_more_than_the_beginning_of_what_a_client_sent() {
        let long = "é".repeat(1_000_000);
        let kwargs = json!({ "bay": long }).as_object().unwrap().clone();
        for failure in [
            Failure::magnum_with("BayNotFound", 404, &long, kwargs),
            Failure::no_such_method(&long),
            Failure::type_error(&long),
        ] {
            assert!(failure.to_text().len() < 12_000, "{}", failure.to_text().len());
            assert!(failure.message.ends_with("é…"), "cut between characters, and marked");
        }
    }

    #[test]
    fn broken_text_is_an_error() {
        for text in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"class":1}"#,
            r#"{"class":"A","tb":[1]}"#,
            r#"{"class":"A","args":{}}"#,
        ] {
            assert!(Failure::from_text(text).is_err(), "{text}");
        }
        assert!(Failure::from_text(r#"{"class":"A"}"#).is_ok());
    }
}
