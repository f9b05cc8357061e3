//! Arguments by name, as Python methods take them, refused in Python's words.
//!
//! A method's table of arguments is what its requests are checked by and what its schema is made from.

use mesos_conductor_proto::codec::Map;
use mesos_conductor_proto::object::Object;
use serde_json::Value;

use crate::error::Fault;
use crate::objects;

/// One argument of a method.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Argument {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    pub(crate) takes: Takes,
}

/// What an argument may be. Each may also be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nobody has said: anything is let through.
    Anything,
    Text,
    /// A whole number, or text that holds one.
    Integer,
    /// True or false.
    Flag,
    List,
    /// A dict with text for keys.
    Dict,
    /// An object of this class, or a plain dict of its fields.
    Object(&'static str),
    /// An object of any class.
    AnyObject,
}

pub(crate) const fn required(name: &'static str) -> Argument {
    Argument { name, required: true, takes: Takes::Anything }
}

pub(crate) const fn optional(name: &'static str) -> Argument {
    Argument { name, required: false, takes: Takes::Anything }
}

impl Argument {
    pub(crate) const fn text(self) -> Self {
        self.takes(Takes::Text)
    }

    pub(crate) const fn integer(self) -> Self {
        self.takes(Takes::Integer)
    }

    pub(crate) const fn flag(self) -> Self {
        self.takes(Takes::Flag)
    }

    pub(crate) const fn list(self) -> Self {
        self.takes(Takes::List)
    }

    pub(crate) const fn dict(self) -> Self {
        self.takes(Takes::Dict)
    }

    pub(crate) const fn object(self, class: &'static str) -> Self {
        self.takes(Takes::Object(class))
    }

    pub(crate) const fn any_object(self) -> Self {
        self.takes(Takes::AnyObject)
    }

    const fn takes(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }

    /// Refuses a value of another type. Objects are judged where they are read.
    fn check(&self, args: &Map) -> Result<(), Fault> {
        let is = |fits: fn(&Value) -> bool, expected: &str| match args.get(self.name) {
            Some(value) if !value.is_null() && !fits(value) => {
                Err(Fault::InvalidParameterValue(format!("Argument `{}` must be {expected}.", self.name)))
            }
            Some(_) | None => Ok(()),
        };
        match self.takes {
            Takes::Anything => Ok(()),
            Takes::Text => text(args, self.name).map(drop),
            Takes::Integer => integer(args, self.name).map(drop),
            Takes::Flag => flag(args, self.name).map(drop),
            Takes::List => is(Value::is_array, "a list"),
            Takes::Dict => is(Value::is_object, "a dict"),
            Takes::Object(_) | Takes::AnyObject => is(Value::is_object, "an object, or a dict of its fields"),
        }
    }
}

/// Refuses names that the method does not take, the absence of those it needs, and values of another type.
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
    let Some((last, others)) = missing.split_last() else {
        return takes.iter().try_for_each(|taken| taken.check(args));
    };
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

/// The object that an argument is, of the class that the method expects.
pub(crate) fn object(args: &Map, name: &str, expected: &str) -> Result<Object, Fault> {
    let object = objects::read(args.get(name).unwrap_or(&Value::Null), Some(expected))?;
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

/// The texts of a list, which may be absent.
pub(crate) fn texts(args: &Map, name: &str) -> Result<Vec<String>, Fault> {
    let Some(given) = args.get(name).filter(|value| !value.is_null()) else { return Ok(Vec::new()) };
    let items = given.as_array().map(|items| items.iter().map(|item| item.as_str().map(str::to_owned)));
    let texts: Option<Vec<String>> = items.and_then(Iterator::collect);
    texts.ok_or_else(|| Fault::InvalidParameterValue(format!("Argument `{name}` must be a list of texts.")))
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
    fn values_of_another_type_are_refused_by_the_table() {
        let refused = |taken: Argument, value: Value| {
            let args = map(json!({ taken.name: value }));
            check("m", &[taken], &args).err().map(|fault| fault.to_string())
        };
        let said = |expected: &str| Some(format!("Argument `a` must be {expected}."));
        for (taken, fits, wrong, expected) in [
            (required("a").text(), json!("x"), json!(1), "text"),
            (required("a").integer(), json!(" 7 "), json!(1.5), "a whole number"),
            (required("a").flag(), json!(true), json!("yes"), "true or false"),
            (required("a").list(), json!([1]), json!("x"), "a list"),
            (required("a").dict(), json!({"b": 1}), json!([]), "a dict"),
            (required("a").object("Bay"), json!({}), json!("b1"), "an object, or a dict of its fields"),
        ] {
            assert_eq!(refused(taken, fits), None);
            assert_eq!(refused(taken, json!(null)), None);
            assert_eq!(refused(taken, wrong), said(expected));
        }
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
