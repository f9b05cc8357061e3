//! Stacks as they are asked for and as Heat shows them.
//!
//! A bay's passwords and tokens are parameters of its stack: none of these types shows the values in its
//! `Debug`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A stack to be made.
#[derive(Clone, Default, Serialize)]
pub struct NewStack {
    #[serde(rename = "stack_name")]
    pub name: String,
    /// The template's text.
    pub template: String,
    /// What the template's `get_file` and nested types refer to, by the names it uses.
    pub files: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    pub parameters: Map<String, Value>,
    /// `None` leaves the limit to Heat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_mins: Option<i64>,
    /// Comma-separated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
}

/// A change of some parameters; Heat keeps the rest of the stack as it is.
#[derive(Clone, Default, Serialize)]
pub struct StackPatch {
    pub parameters: Map<String, Value>,
    pub disable_rollback: bool,
}

/// Whether Heat is to work out the outputs, which takes it long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outputs {
    Resolve,
    Skip,
}

/// A stack as Heat shows it.
#[derive(Clone, PartialEq, Deserialize)]
pub struct Stack {
    pub id: String,
    #[serde(rename = "stack_name")]
    pub name: String,
    #[serde(rename = "stack_status")]
    pub status: String,
    #[serde(rename = "stack_status_reason", default)]
    pub status_reason: Option<String>,
    /// With the defaults of the template and Heat's own, as text; hidden ones are asterisks.
    #[serde(default, deserialize_with = "texts")]
    pub parameters: BTreeMap<String, String>,
    /// Empty unless they were asked for and are known.
    #[serde(default, deserialize_with = "outputs")]
    pub outputs: BTreeMap<String, Value>,
    #[serde(default)]
    pub creation_time: Option<String>,
    #[serde(default)]
    pub updated_time: Option<String>,
    #[serde(default)]
    pub timeout_mins: Option<i64>,
}

/// A stack as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StackSummary {
    pub id: String,
    #[serde(rename = "stack_name")]
    pub name: String,
    #[serde(rename = "stack_status")]
    pub status: String,
    #[serde(rename = "stack_status_reason", default)]
    pub status_reason: Option<String>,
    #[serde(default)]
    pub creation_time: Option<String>,
    #[serde(default)]
    pub updated_time: Option<String>,
}

/// A part of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StackResource {
    #[serde(rename = "resource_name")]
    pub name: String,
    #[serde(rename = "resource_type", default)]
    pub kind: String,
    /// Such as `CHECK_FAILED`.
    #[serde(rename = "resource_status", default)]
    pub status: String,
    #[serde(rename = "physical_resource_id", default)]
    pub physical_id: Option<String>,
    /// The stack it is in, as newer releases tell it.
    #[serde(default)]
    pub stack_name: Option<String>,
}

impl fmt::Debug for NewStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewStack")
            .field("name", &self.name)
            .field("parameters", &self.parameters.keys().collect::<Vec<_>>())
            .field("timeout_mins", &self.timeout_mins)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StackPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackPatch")
            .field("parameters", &self.parameters.keys().collect::<Vec<_>>())
            .field("disable_rollback", &self.disable_rollback)
            .finish()
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("status", &self.status)
            .field("status_reason", &self.status_reason)
            .field("parameters", &self.parameters.keys().collect::<Vec<_>>())
            .field("outputs", &self.outputs.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Heat gives parameters as text, older releases some of them as they are.
fn texts<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> std::result::Result<BTreeMap<String, String>, D::Error> {
    let given = Option::<BTreeMap<String, Value>>::deserialize(from)?.unwrap_or_default();
    let text = |value| match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => other.to_string(),
    };
    Ok(given.into_iter().map(|(name, value)| (name, text(value))).collect())
}

fn outputs<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> std::result::Result<BTreeMap<String, Value>, D::Error> {
    #[derive(Deserialize)]
    struct Output {
        output_key: String,
        #[serde(default)]
        output_value: Value,
    }
    let given = Option::<Vec<Output>>::deserialize(from)?.unwrap_or_default();
    Ok(given.into_iter().map(|output| (output.output_key, output.output_value)).collect())
}
