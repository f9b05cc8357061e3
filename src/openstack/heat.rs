//! Heat v1: the stacks that bays are made of.
//!
//! Heat answers `/stacks/{name or id}` with a redirect to `/stacks/{name}/{id}`, which the http client
//! follows with the same method.

mod stack;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::credentials::{Credentials, Session};
use super::error::{Error, Kind, Result};
use super::http::{Client, Deadline, Observer, Request};
use super::keystone::Keystone;
use super::settings::{EndpointSettings, Interface, Limits};

pub use stack::{NewStack, Outputs, Stack, StackPatch, StackResource, StackSummary};

const SERVICE: &str = "heat";
const SERVICE_TYPE: &str = "orchestration";

const SERVER: &str = "OS::Nova::Server";
const FAILED: &str = "FAILED";
/// A bay's servers are in the stack of a node, which is in the stack of a group, which is in the bay's.
const NESTING: &str = "3";

/// How many ids one listing asks for: some 2,000 characters of query, which every proxy lets pass.
pub const IDS_PER_LISTING: usize = 50;

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
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The states of many stacks of one project, in as few requests as the length of a query allows. Heat
    /// lists all that is asked for by id, so there are no pages; many of one project are in fewer [pages](Heat::page).
    pub async fn list(
        &self,
        actor: &Credentials,
        ids: &[String],
        within: Duration,
    ) -> Result<Vec<StackSummary>> {
        self.list_by_id(actor, ids, &[], within).await
    }

    /// As [`Heat::list`], of all projects at once, where the deployment's policy grants that.
    pub async fn list_everywhere(
        &self,
        actor: &Credentials,
        ids: &[String],
        within: Duration,
    ) -> Result<Vec<StackSummary>> {
        self.list_by_id(actor, ids, &[("global_tenant", "true")], within).await
    }

    async fn list_by_id(
        &self,
        actor: &Credentials,
        ids: &[String],
        more: &[(&str, &str)],
        within: Duration,
    ) -> Result<Vec<StackSummary>> {
        let deadline = Deadline::within(within);
        let mut found = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(IDS_PER_LISTING) {
            let ids = chunk.iter().map(|id| ("id", id.as_str()));
            let query: Vec<_> = more.iter().copied().chain(ids).collect();
            found.extend(self.listing(actor, &query, deadline).await?);
        }
        Ok(found)
    }

    /// Up to `limit` of a project's stacks, the newest first, from behind the one named.
    pub async fn page(
        &self,
        actor: &Credentials,
        limit: usize,
        after: Option<&str>,
        within: Duration,
    ) -> Result<Vec<StackSummary>> {
        let limit = limit.to_string();
        let query: Vec<_> =
            [("limit", limit.as_str())].into_iter().chain(after.map(|id| ("marker", id))).collect();
        self.listing(actor, &query, Deadline::within(within)).await
    }

    async fn listing(
        &self,
        actor: &Credentials,
        query: &[(&str, &str)],
        deadline: Deadline,
    ) -> Result<Vec<StackSummary>> {
        #[derive(Deserialize)]
        struct Listed {
            stacks: Vec<StackSummary>,
        }
        let request = |session: &Session| {
            let mut url = self.stacks(session, &[])?;
            url.query_pairs_mut().extend_pairs(query);
            Ok(Request::get(url))
        };
        let answer = self.keystone.send(&self.http, actor, request, deadline).await?;
        Ok(answer.json::<Listed>()?.stacks)
    }

    /// The servers of a stack and of those nested in it that are in a failed state.
    pub async fn broken_servers(
        &self,
        actor: &Credentials,
        id: &str,
        within: Duration,
    ) -> Result<Vec<StackResource>> {
        #[derive(Deserialize)]
        struct Listed {
            resources: Vec<StackResource>,
        }
        let request = |session: &Session| {
            let mut url = self.stacks(session, &[id, "resources"])?;
            url.query_pairs_mut()
                .append_pair("nested_depth", NESTING)
                .append_pair("type", SERVER)
                .append_pair("status", FAILED);
            Ok(Request::get(url))
        };
        let answer = self.keystone.send(&self.http, actor, request, Deadline::within(within)).await?;
        let mut found = answer.json::<Listed>()?.resources;
        // Releases differ in which filters they know.
        found.retain(|resource| resource.kind == SERVER && resource.status.ends_with(FAILED));
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
            Err(error) if is_gone(&error) => Ok(false),
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

/// Whether Heat says that the stack does not exist, and not that it knows no such address: then the catalog
/// is wrong, and the stack may live.
fn is_gone(error: &Error) -> bool {
    let Kind::NotFound { error_type, .. } = &error.kind else { return false };
    error_type.as_deref().is_some_and(|kind| kind.ends_with("NotFound") && kind != "HTTPNotFound")
}
