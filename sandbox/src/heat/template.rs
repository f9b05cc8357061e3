//! Just enough of a Heat template: its parameters with their types and constraints, and its outputs' names.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Error;

#[derive(Debug, Clone, Default)]
pub(crate) struct Template {
    pub(crate) description: String,
    pub(crate) parameters: BTreeMap<String, Declaration>,
    /// Name and description of each output.
    pub(crate) outputs: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    #[serde(alias = "String")]
    String,
    #[serde(alias = "Number")]
    Number,
    #[serde(alias = "CommaDelimitedList")]
    CommaDelimitedList,
    #[serde(alias = "Json")]
    Json,
    #[serde(alias = "Boolean")]
    Boolean,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Declaration {
    #[serde(rename = "type")]
    kind: Kind,
    default: Option<Value>,
    #[serde(default)]
    hidden: Value,
    #[serde(default)]
    constraints: Vec<Constraint>,
}

#[derive(Debug, Clone, Deserialize)]
struct Constraint {
    allowed_values: Option<Vec<Value>>,
    range: Option<Bounds>,
    length: Option<Bounds>,
}

#[derive(Debug, Clone, Deserialize)]
struct Bounds {
    min: Option<f64>,
    max: Option<f64>,
}

impl Template {
    /// Reads a template given as text or already as a structure.
    pub(crate) fn parse(source: &Value) -> Result<Self, Error> {
        let parsed = structure(source)?;
        let versioned = parsed.get("heat_template_version").is_some();
        if !parsed.is_object() || !versioned {
            return Err(Error::BadRequest("The template's version is invalid or missing.".to_owned()));
        }
        if parsed.get("resources").is_some_and(|resources| !resources.is_object() && !resources.is_null()) {
            return Err(Error::Invalid(
                "\"resources\" must contain a map of resource definitions.".to_owned(),
            ));
        }
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut parameters = BTreeMap::new();
        for (name, declaration) in entries(&parsed, "parameters") {
            let declaration = serde_json::from_value(declaration.clone())
                .map_err(|error| Error::Invalid(format!("Invalid parameter {name}: {error}")))?;
            parameters.insert(name.clone(), declaration);
        }
        let outputs = entries(&parsed, "outputs")
            .map(|(name, output)| (name.clone(), text(output.get("description"))))
            .collect();
        Ok(Self { description: text(parsed.get("description")), parameters, outputs })
    }

    /// The value of every declared parameter as Heat shows it, or why the given ones do not fit.
    ///
    /// A null is as good as absent: the default counts.
    pub(crate) fn resolve(&self, given: &BTreeMap<String, Value>) -> Result<BTreeMap<String, String>, Error> {
        if let Some(unknown) = given.keys().find(|name| !self.parameters.contains_key(*name)) {
            return Err(Error::UnknownParameter(unknown.clone()));
        }
        let resolve = |(name, declaration): (&String, &Declaration)| {
            let given = given.get(name).filter(|value| !value.is_null());
            let value = given.or(declaration.default.as_ref());
            let value = value.ok_or_else(|| Error::MissingParameter(name.clone()))?;
            let refuse = |why| Error::Invalid(format!("Parameter '{name}' is invalid: {why}"));
            Ok((name.clone(), declaration.render(value).map_err(refuse)?))
        };
        self.parameters.iter().map(resolve).collect()
    }

    pub(crate) fn is_hidden(&self, name: &str) -> bool {
        self.parameters.get(name).is_some_and(|declaration| truth(&declaration.hidden) == Some(true))
    }
}

/// A template or an environment, sent as text or as a structure, as a structure.
pub(crate) fn structure(source: &Value) -> Result<Value, Error> {
    source.as_str().map_or_else(|| Ok(source.clone()), parse_yaml)
}

pub(crate) fn parse_yaml(text: &str) -> Result<Value, Error> {
    serde_norway::from_str(text)
        .map_err(|error| Error::BadRequest(format!("Error parsing template: {error}")))
}

pub(crate) fn entries<'a>(object: &'a Value, section: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    object.get(section).and_then(Value::as_object).into_iter().flatten()
}

impl Declaration {
    /// The value as text, once type and constraints are satisfied.
    fn render(&self, value: &Value) -> Result<String, String> {
        let text = match (self.kind, value) {
            (Kind::CommaDelimitedList, Value::Array(items)) => {
                items.iter().map(plain).collect::<Vec<_>>().join(",")
            }
            (Kind::Boolean, value) => {
                let truth = truth(value).ok_or_else(|| format!("{} is not a boolean", plain(value)))?;
                if truth { "True".to_owned() } else { "False".to_owned() }
            }
            (Kind::Json, Value::String(text)) => {
                serde_json::from_str::<Value>(text).map_err(|_| "Value must be valid JSON".to_owned())?;
                text.clone()
            }
            (Kind::String | Kind::Number, Value::Array(_) | Value::Object(_)) => {
                return Err(format!("{value} is neither text nor a number"));
            }
            (_, value) => plain(value),
        };
        if self.kind == Kind::Number && text.parse::<f64>().is_err() {
            return Err(format!("could not convert \"{text}\" to a number"));
        }
        for constraint in &self.constraints {
            constraint.check(self.kind, &text)?;
        }
        Ok(text)
    }
}

impl Constraint {
    fn check(&self, kind: Kind, text: &str) -> Result<(), String> {
        if let Some(allowed) = &self.allowed_values {
            let allowed: Vec<String> = allowed.iter().map(plain).collect();
            let same = |allowed: &str, value: &str| match kind {
                Kind::Boolean => allowed.eq_ignore_ascii_case(value),
                Kind::String | Kind::Number | Kind::CommaDelimitedList | Kind::Json => allowed == value,
            };
            let items = if kind == Kind::CommaDelimitedList { text.split(',').collect() } else { vec![text] };
            if items.iter().any(|item| !allowed.iter().any(|allowed| same(allowed, item))) {
                return Err(format!("\"{text}\" is not an allowed value [{}]", allowed.join(", ")));
            }
        }
        if let (Some(range), Ok(number)) = (&self.range, text.parse::<f64>())
            && range.excludes(number)
        {
            return Err(format!("{text} is out of range"));
        }
        let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        match &self.length {
            Some(bounds) if bounds.excludes(f64::from(length)) => {
                Err(format!("length ({length}) is out of range"))
            }
            _ => Ok(()),
        }
    }
}

impl Bounds {
    fn excludes(&self, number: f64) -> bool {
        self.min.is_some_and(|min| number < min) || self.max.is_some_and(|max| number > max)
    }
}

fn plain(value: &Value) -> String {
    let text = value.as_str().map(str::to_owned);
    text.unwrap_or_else(|| if value.is_null() { String::new() } else { value.to_string() })
}

fn truth(value: &Value) -> Option<bool> {
    match plain(value).to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}
