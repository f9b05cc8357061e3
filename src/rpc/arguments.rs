//! Arguments by name, as Python methods take them, refused in Python's words.

use mesos_conductor_proto::codec::Map;
use mesos_conductor_proto::object::{Object, definition};
use serde_json::Value;

use crate::error::Fault;

/// One argument of a method.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Argument {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
}

pub(crate) const fn required(name: &'static str) -> Argument {
    Argument { name, required: true }
}

pub(crate) const fn optional(name: &'static str) -> Argument {
    Argument { name, required: false }
}

/// Refuses names that the method does not take and the absence of those it needs.
pub(crate) fn check(method: &str, takes: &[Argument], args: &Map) -> Result<(), Fault> {
    if let Some(unexpected) = args.keys().find(|name| !takes.iter().any(|taken| taken.name == *name)) {
        return Err(Fault::WrongArguments(format!(
            "{method}() got an unexpected keyword argument '{unexpected}'"
        )));
    }
    complete(method, takes, args)
}

/// Refuses the absence of an argument that the method needs.
fn complete(method: &str, takes: &[Argument], args: &Map) -> Result<(), Fault> {
    let missing: Vec<_> = takes
        .iter()
        .filter(|taken| taken.required && !args.contains_key(taken.name))
        .map(|taken| format!("'{}'", taken.name))
        .collect();
    let Some((last, others)) = missing.split_last() else { return Ok(()) };
    let (plural, names) = match others {
        [] => ("", last.clone()),
        [one] => ("s", format!("{one} and {last}")),
        many => ("s", format!("{}, and {last}", many.join(", "))),
    };
    let count = missing.len();
    Err(Fault::WrongArguments(format!(
        "{method}() missing {count} required positional argument{plural}: {names}"
    )))
}

/// Positional and keyword arguments of an object's method, by name.
pub(crate) fn bind(
    method: &str,
    takes: &[Argument],
    positional: &[Value],
    keywords: Map,
) -> Result<Map, Fault> {
    if positional.len() > takes.len() {
        return Err(Fault::WrongArguments(format!(
            "{method}() takes {} positional arguments but {} were given",
            takes.len(),
            positional.len()
        )));
    }
    let mut bound: Map =
        takes.iter().zip(positional).map(|(taken, value)| (taken.name.to_owned(), value.clone())).collect();
    for (name, value) in keywords {
        if !takes.iter().any(|taken| taken.name == name) {
            return Err(Fault::WrongArguments(format!(
                "{method}() got an unexpected keyword argument '{name}'"
            )));
        }
        if bound.contains_key(&name) {
            return Err(Fault::WrongArguments(format!(
                "{method}() got multiple values for argument '{name}'"
            )));
        }
        bound.insert(name, value);
    }
    complete(method, takes, &bound)?;
    Ok(bound)
}

/// A versioned object, or a plain dict of its fields: all of them then count as changed, at the newest version.
pub(crate) fn object(args: &Map, name: &str, expected: &'static str) -> Result<Object, Fault> {
    let value = args.get(name).unwrap_or(&Value::Null);
    if let (false, Value::Object(fields)) = (Object::is_primitive(value), value) {
        let latest = definition(expected).map(|found| found.latest);
        let latest = latest.ok_or_else(|| Fault::UnsupportedObject(expected.to_owned()))?;
        let mut object = Object::new(expected, latest)?;
        for (field, value) in fields {
            object.change(field, value.clone())?;
        }
        return Ok(object);
    }
    let object = Object::decode(value)?;
    if object.name() != expected {
        return Err(Fault::InvalidParameterValue(format!(
            "Argument `{name}` is an object {}, not {expected}.",
            object.name()
        )));
    }
    Ok(object)
}

/// Text, or nothing.
pub(crate) fn text<'a>(args: &'a Map, name: &str) -> Result<Option<&'a str>, Fault> {
    match args.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Fault::InvalidParameterValue(format!("Argument `{name}` must be text."))),
    }
}

/// A whole number, or nothing. Numeric text counts, as it does for integer fields.
pub(crate) fn integer(args: &Map, name: &str) -> Result<Option<i64>, Fault> {
    let number = match args.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    number
        .map(Some)
        .ok_or_else(|| Fault::InvalidParameterValue(format!("Argument `{name}` must be a whole number.")))
}

/// True or false; absent is false.
pub(crate) fn flag(args: &Map, name: &str) -> Result<bool, Fault> {
    match args.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Fault::InvalidParameterValue(format!("Argument `{name}` must be true or false."))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn wrong_names_are_refused_in_pythons_words() {
        let takes = [required("bay"), required("timeout"), optional("wait")];
        let said = |args: Value| check("bay_create", &takes, &map(args)).unwrap_err().to_string();
        assert_eq!(
            said(json!({"bay": 1, "timeout": 2, "x": 3})),
            "bay_create() got an unexpected keyword argument 'x'"
        );
        assert_eq!(said(json!({"bay": 1})), "bay_create() missing 1 required positional argument: 'timeout'");
        assert_eq!(
            said(json!({})),
            "bay_create() missing 2 required positional arguments: 'bay' and 'timeout'"
        );
        assert_eq!(check("bay_create", &takes, &map(json!({"bay": 1, "timeout": null}))), Ok(()));
    }

    #[test]
    fn positional_and_keyword_arguments_bind_once() {
        let names = [optional("limit"), optional("marker")];
        let bound = bind("list", &names, &[json!(5)], map(json!({"marker": null}))).unwrap();
        assert_eq!(Value::Object(bound), json!({"limit": 5, "marker": null}));
        assert!(bind("list", &names, &[json!(5)], map(json!({"limit": 6}))).is_err());
        assert!(bind("list", &names, &[json!(1), json!(2), json!(3)], Map::new()).is_err());
        let uuid = [required("uuid")];
        assert!(bind("get", &uuid, &[json!("x")], Map::new()).is_ok());
        assert!(bind("get", &uuid, &[], Map::new()).is_err());
    }
}
