//! The wire contract for programs: a JSON Schema (2020-12) for every message, and one AsyncAPI 3 document.
//!
//! Both are made from what the worker itself runs by: the table of methods with their arguments and answers, the table
//! of objects, and the parts of a notification. A new row there is in the contract without a line here.
//!
//! Every schema is a component of one [`Catalogue`] and refers to others by name. A file is one component with those
//! that it needs within it, so that it can be copied alone. What the components are made of is common to 2020-12 and
//! to draft 7, because that is what AsyncAPI's own schemas build on.

mod asyncapi;
mod examples;
mod framework;
mod messages;
mod notifications;
mod objects;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// The document that describes channels and operations.
pub const ASYNCAPI: &str = "asyncapi";

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Every schema, by name.
#[derive(Debug)]
pub struct Catalogue {
    components: BTreeMap<String, Value>,
}

impl Default for Catalogue {
    fn default() -> Self {
        let parts = [
            objects::components(),
            framework::components(),
            messages::components(),
            notifications::components(),
        ];
        Self { components: parts.into_iter().flatten().collect() }
    }
}

impl Catalogue {
    /// The names of all schemas.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.components.keys().map(String::as_str)
    }

    /// One schema, with all that it refers to within it.
    #[must_use]
    pub fn schema(&self, name: &str) -> Option<Value> {
        let mut schema = self.components.get(name)?.clone();
        let mut needed = BTreeSet::new();
        self.gather(&schema, &mut needed);
        schema["$schema"] = json!(DIALECT);
        if !needed.is_empty() {
            let parts = needed.into_iter().map(|part| (part.to_owned(), self.components[part].clone()));
            schema["$defs"] = Value::Object(parts.collect());
        }
        Some(schema)
    }

    /// The AsyncAPI document.
    #[must_use]
    pub fn asyncapi(&self) -> Value {
        asyncapi::document(&self.components)
    }

    /// Every file of the contract and its text, by its path below the folder of the contract.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, String> {
        let schemas =
            self.names().filter_map(|name| Some((format!("schema/{name}.json"), self.schema(name)?)));
        let asyncapi = (format!("{ASYNCAPI}.json"), self.asyncapi());
        schemas.chain([asyncapi]).map(|(path, document)| (path, format!("{document:#}\n"))).collect()
    }

    /// Adds the names of the components that a schema refers to, and those that they refer to.
    fn gather<'a>(&'a self, schema: &Value, needed: &mut BTreeSet<&'a str>) {
        match schema {
            Value::Object(map) => {
                let target = map.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix(DEFS));
                if let Some(target) = target {
                    let (name, component) =
                        self.components.get_key_value(target).expect("components refer to components");
                    if needed.insert(name) {
                        self.gather(component, needed);
                    }
                }
                map.values().for_each(|value| self.gather(value, needed));
            }
            Value::Array(items) => items.iter().for_each(|item| self.gather(item, needed)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

const DEFS: &str = "#/$defs/";

/// A reference to a component.
fn refer(name: &str) -> Value {
    json!({ "$ref": format!("{DEFS}{name}") })
}

/// The schema of a value, or null.
fn or_null(mut schema: Value) -> Value {
    if let Some(Value::String(kind)) = schema.get("type") {
        schema["type"] = json!([kind, "null"]);
        return schema;
    }
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn any_of(schemas: impl IntoIterator<Item = Value>) -> Value {
    json!({ "anyOf": schemas.into_iter().collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc;

    #[test]
    fn every_method_has_a_request_and_a_reply() {
        let catalogue = Catalogue::default();
        for method in rpc::method_names() {
            for kind in ["request", "reply"] {
                assert!(catalogue.schema(&format!("{method}.{kind}")).is_some(), "{method}.{kind}");
            }
        }
    }

    #[test]
    fn a_schema_has_all_that_it_refers_to_within_it_and_nothing_else() {
        let catalogue = Catalogue::default();
        for name in catalogue.names() {
            let schema = catalogue.schema(name).unwrap();
            let text = schema.to_string();
            for part in schema["$defs"].as_object().into_iter().flatten().map(|(part, _)| part) {
                assert!(
                    text.contains(&format!("\"$ref\":\"#/$defs/{part}\"")),
                    "{name} has {part} for nothing"
                );
            }
        }
    }
}
