//! What a client asks of a stack: the body of a create or an update, with its environments merged in.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Error;
use super::template::{Template, entries, parse_yaml, structure};

#[derive(Debug, Deserialize)]
pub(super) struct StackRequest {
    pub(super) stack_name: Option<String>,
    template: Option<Value>,
    parameters: Option<BTreeMap<String, Value>>,
    environment: Option<Value>,
    environment_files: Option<Vec<String>>,
    files: Option<BTreeMap<String, String>>,
    timeout_mins: Option<Value>,
    pub(super) disable_rollback: Option<bool>,
    clear_parameters: Option<Vec<String>>,
}

impl StackRequest {
    pub(super) fn parse(body: &str) -> Result<Self, Error> {
        serde_json::from_str(body).map_err(|error| Error::BadRequest(error.to_string()))
    }

    /// The template, if one was sent.
    pub(super) fn template(&self) -> Result<Option<Template>, Error> {
        let Some(source) = self.template.as_ref().filter(|source| !source.is_null()) else { return Ok(None) };
        let template = Template::parse(source)?;
        self.check_files(source)?;
        Ok(Some(template))
    }

    /// The parameters that were given; those beside the template win over those of an environment.
    pub(super) fn given(&self) -> Result<BTreeMap<String, Value>, Error> {
        let mut given = BTreeMap::new();
        for environment in self.environments()? {
            given.extend(
                entries(&environment, "parameters").map(|(name, value)| (name.clone(), value.clone())),
            );
        }
        given.extend(self.parameters.clone().unwrap_or_default());
        Ok(given)
    }

    /// The parameters of an update that keeps those it does not mention.
    pub(super) fn given_over(&self, old: &BTreeMap<String, Value>) -> Result<BTreeMap<String, Value>, Error> {
        let mut given = old.clone();
        for name in self.clear_parameters.iter().flatten() {
            given.remove(name);
        }
        given.extend(self.given()?);
        Ok(given)
    }

    pub(super) fn timeout_mins(&self) -> Result<Option<u64>, Error> {
        match &self.timeout_mins {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| {
                Error::BadRequest(format!("Only integer is allowed for timeout_mins, not {value}."))
            }),
        }
    }

    /// Whether the slaves' template names each member by an `OS::stack_id` of its own.
    pub(super) fn names_members(&self) -> bool {
        let files = self.files.iter().flatten();
        let mut parsed = files.filter_map(|(_, text)| parse_yaml(text).ok());
        parsed.any(|file| entries(&file, "outputs").any(|(name, _)| name == "OS::stack_id"))
    }

    fn environments(&self) -> Result<Vec<Value>, Error> {
        let file = |name: &String| {
            let text = self.files.as_ref().and_then(|files| files.get(name));
            text.map_or_else(|| Err(missing_file(name)), |text| parse_yaml(text))
        };
        let mut environments: Vec<Value> =
            self.environment_files.iter().flatten().map(file).collect::<Result<_, _>>()?;
        if let Some(environment) = self.environment.as_ref().filter(|sent| !sent.is_null()) {
            environments.push(structure(environment)?);
        }
        Ok(environments)
    }

    /// A client sends every file its templates refer to along: Heat does not fetch them.
    fn check_files(&self, template: &Value) -> Result<(), Error> {
        let none = BTreeMap::new();
        let files = self.files.as_ref().unwrap_or(&none);
        let mut queue = vec![structure(template)?];
        queue.extend(self.environments()?);
        let mut seen = Vec::new();
        while let Some(document) = queue.pop() {
            let mut wanted = Vec::new();
            references(&document, &mut wanted);
            for (name, nested) in wanted {
                let text = files.get(&name).ok_or_else(|| missing_file(&name))?;
                if nested && !seen.contains(&name) {
                    queue.push(parse_yaml(text)?);
                    seen.push(name);
                }
            }
        }
        Ok(())
    }
}

fn missing_file(name: &str) -> Error {
    Error::Invalid(format!("Could not fetch remote template '{name}': it was not sent with the request."))
}

/// Collects the files a document refers to, and for each whether it is a template itself.
fn references(value: &Value, found: &mut Vec<(String, bool)>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        match value.as_str() {
            Some(name) if key == "get_file" => found.push((name.to_owned(), false)),
            Some(name) if is_template(name) && (key == "type" || key.contains("::")) => {
                found.push((name.to_owned(), true));
            }
            _ => references(value, found),
        }
    }
    for item in value.as_array().into_iter().flatten() {
        references(item, found);
    }
}

fn is_template(name: &str) -> bool {
    [".yaml", ".yml", ".template"].iter().any(|ending| name.ends_with(ending))
}
