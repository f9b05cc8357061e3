//! Heat v1: the stacks that bays are made of.
//!
//! Heat answers `/stacks/{name or id}` with a redirect to `/stacks/{name}/{id}`, which the http client follows with
//! the same method.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::credentials::{Credentials, Session};
use super::error::Result;
use super::http::{Client, Deadline, Observer, Request};
use super::keystone::Keystone;
use super::settings::{EndpointSettings, Interface, Limits};

const SERVICE: &str = "heat";
const SERVICE_TYPE: &str = "orchestration";

/// How many ids one listing asks for: some 2,000 characters of query, which every proxy lets pass.
const IDS_PER_LISTING: usize = 50;

/// A stack to be made.
#[derive(Debug, Clone, Default, Serialize)]
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
#[derive(Debug, Clone, Default, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Deserialize)]
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

/// The client. Clones share everything.
#[derive(Clone)]
pub struct Heat {
    keystone: Keystone,
    http: Client,
    interface: Interface,
    region: Option<String>,
}

impl Heat {
    pub fn new(
        keystone: Keystone,
        settings: &EndpointSettings,
        limits: Limits,
        observer: Arc<dyn Observer>,
    ) -> Result<Self> {
        let http = Client::new(SERVICE, &settings.tls, limits, observer)?;
        Ok(Self { keystone, http, interface: settings.interface, region: settings.region_name.clone() })
    }

    /// Makes a stack and returns its id. Never sent twice by itself: the caller looks for the name first.
    pub async fn create(&self, caller: &Credentials, stack: &NewStack, within: Duration) -> Result<String> {
        #[derive(Deserialize)]
        struct Created {
            stack: Id,
        }
        #[derive(Deserialize)]
        struct Id {
            id: String,
        }
        let deadline = Deadline::within(within);
        let request = |session: &Session| Ok(Request::post(self.stacks(session, &[])?).json(stack));
        let answer = self.keystone.send(&self.http, caller, request, deadline).await?;
        Ok(answer.json::<Created>()?.stack.id)
    }

    /// The living stack of this name, without its outputs.
    pub async fn find(&self, actor: &Credentials, name: &str, within: Duration) -> Result<Option<Stack>> {
        self.show(actor, name, Outputs::Skip, within).await
    }

    /// One stack by its id.
    pub async fn show(
        &self,
        actor: &Credentials,
        id: &str,
        outputs: Outputs,
        within: Duration,
    ) -> Result<Option<Stack>> {
        #[derive(Deserialize)]
        struct Shown {
            stack: Stack,
        }
        let resolve = match outputs {
            Outputs::Resolve => "true",
            Outputs::Skip => "false",
        };
        let request = |session: &Session| {
            let mut url = self.stacks(session, &[id])?;
            url.query_pairs_mut().append_pair("resolve_outputs", resolve);
            Ok(Request::get(url))
        };
        match self.keystone.send(&self.http, actor, request, Deadline::within(within)).await {
            Ok(answer) => Ok(Some(answer.json::<Shown>()?.stack)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The states of many stacks of one project, in as few requests as the length of a query allows.
    pub async fn list(
        &self,
        actor: &Credentials,
        ids: &[String],
        within: Duration,
    ) -> Result<Vec<StackSummary>> {
        #[derive(Deserialize)]
        struct Listed {
            stacks: Vec<StackSummary>,
        }
        let deadline = Deadline::within(within);
        let mut found = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(IDS_PER_LISTING) {
            let request = |session: &Session| {
                let mut url = self.stacks(session, &[])?;
                url.query_pairs_mut().extend_pairs(chunk.iter().map(|id| ("id", id)));
                Ok(Request::get(url))
            };
            let answer = self.keystone.send(&self.http, actor, request, deadline).await?;
            found.extend(answer.json::<Listed>()?.stacks);
        }
        Ok(found)
    }

    /// Changes some parameters of a stack.
    pub async fn update(
        &self,
        actor: &Credentials,
        id: &str,
        patch: &StackPatch,
        within: Duration,
    ) -> Result<()> {
        let request = |session: &Session| Ok(Request::patch(self.stacks(session, &[id])?).json(patch));
        self.keystone.send(&self.http, actor, request, Deadline::within(within)).await?;
        Ok(())
    }

    /// Asks Heat to delete a stack; `false` when it was gone already.
    pub async fn delete(&self, actor: &Credentials, id: &str, within: Duration) -> Result<bool> {
        let request = |session: &Session| Ok(Request::delete(self.stacks(session, &[id])?));
        match self.keystone.send(&self.http, actor, request, Deadline::within(within)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn stacks(&self, session: &Session, below: &[&str]) -> Result<Url> {
        let mut url = session.catalog.endpoint(SERVICE_TYPE, self.interface, self.region.as_deref())?;
        super::http::push(&mut url, &["stacks"])?;
        super::http::push(&mut url, below)?;
        Ok(url)
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
