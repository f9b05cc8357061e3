//! What the real Keystone and Heat hold, asked for over their own APIs and not through the worker.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

/// Where the services are and how everybody there is let in.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) auth_url: String,
    pub(crate) password: String,
}

/// Somebody with a token for a project.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) id: String,
    pub(crate) project: &'static str,
    pub(crate) project_id: String,
    pub(crate) token: String,
    pub(crate) roles: Vec<String>,
    heat: String,
}

/// A server of a stack: which group it is in, its number there, and its own id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Member {
    pub(crate) group: &'static str,
    pub(crate) index: String,
    pub(crate) id: String,
    /// Where Heat tells of it.
    url: String,
}

/// Names of everything that bays leave behind if they leave anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Holdings(BTreeSet<String>);

impl Holdings {
    /// What is here that was not there before.
    pub(crate) fn since(&self, before: &Self) -> Vec<String> {
        self.0.difference(&before.0).cloned().collect()
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Cloud {
    place: Place,
    http: Client,
}

impl Cloud {
    pub(crate) fn new(place: Place) -> Self {
        Self { place, http: Client::new() }
    }

    /// Lets a user in, with a new token.
    pub(crate) async fn user(&self, name: &'static str, project: &'static str) -> anyhow::Result<User> {
        let domain = json!({ "id": "default" });
        let user = json!({ "name": name, "domain": domain, "password": self.place.password });
        let asked = json!({ "auth": {
            "identity": { "methods": ["password"], "password": { "user": user } },
            "scope": { "project": { "name": project, "domain": domain } },
        }});
        let url = format!("{}/auth/tokens", self.place.auth_url);
        let answer = self.http.post(url).json(&asked).send().await?.error_for_status()?;
        let token = answer.headers().get("x-subject-token").context("a token")?.to_str()?.to_owned();
        let said: Value = answer.json().await?;
        let said = &said["token"];
        let roles = said["roles"].as_array().into_iter().flatten();
        let services = said["catalog"].as_array().into_iter().flatten();
        let heat = services
            .filter(|service| service["type"] == "orchestration")
            .flat_map(|service| service["endpoints"].as_array().into_iter().flatten())
            .find(|endpoint| endpoint["interface"] == "public")
            .map_or_else(String::new, |endpoint| text(&endpoint["url"]));
        Ok(User {
            name,
            id: text(&said["user"]["id"]),
            project,
            project_id: text(&said["project"]["id"]),
            token,
            roles: roles.map(|role| text(&role["name"])).collect(),
            heat,
        })
    }

    /// Sends a request as somebody; `None` is what is not there.
    async fn ask(
        &self,
        user: &User,
        method: Method,
        url: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Option<Value>> {
        let mut request = self.http.request(method.clone(), url).header("X-Auth-Token", &user.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let said = answer.text().await?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(serde_json::from_str(&said).unwrap_or_default())),
            status => bail!("{method} {url}: {status} {said}"),
        }
    }

    async fn list(&self, user: &User, url: &str, key: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.ask(user, Method::GET, url, None).await?;
        let listed = answer.as_ref().and_then(|answer| answer[key].as_array());
        Ok(listed.with_context(|| format!("{url} lists no {key}"))?.clone())
    }

    /// Heat's own view of a stack; deleted ones are not there.
    pub(crate) async fn stack(&self, user: &User, id: &str) -> anyhow::Result<Option<Value>> {
        let found = self.ask(user, Method::GET, &format!("{}/stacks/{id}", user.heat), None).await?;
        let stack = found.map(|answer| answer["stack"].clone());
        Ok(stack.filter(|stack| stack["stack_status"] != "DELETE_COMPLETE"))
    }

    /// An output of a stack.
    pub(crate) async fn output(&self, user: &User, id: &str, name: &str) -> anyhow::Result<Value> {
        let stack = self.stack(user, id).await?.context("the stack is there")?;
        let outputs = stack["outputs"].as_array().context("the stack has outputs")?;
        let found = outputs.iter().find(|output| output["output_key"] == name);
        Ok(found.with_context(|| format!("no output {name}"))?["output_value"].clone())
    }

    /// Deletes a stack behind the conductor's back.
    pub(crate) async fn delete_stack(&self, user: &User, id: &str) -> anyhow::Result<()> {
        let stack = self.stack(user, id).await?.context("the stack is there")?;
        let url = format!("{}/stacks/{}/{id}", user.heat, text(&stack["stack_name"]));
        self.ask(user, Method::DELETE, &url, None).await?;
        Ok(())
    }

    /// Changes parameters of a stack behind the conductor's back, and waits until Heat has done it.
    pub(crate) async fn patch_stack(&self, user: &User, id: &str, parameters: Value) -> anyhow::Result<()> {
        let stack = self.stack(user, id).await?.context("the stack is there")?;
        let url = format!("{}/stacks/{}/{id}", user.heat, text(&stack["stack_name"]));
        self.ask(user, Method::PATCH, &url, Some(&json!({ "parameters": parameters }))).await?;
        loop {
            let stack = self.stack(user, id).await?.context("the stack is there")?;
            match stack["stack_status"].as_str().unwrap_or_default() {
                "UPDATE_COMPLETE" => return Ok(()),
                status if status.ends_with("FAILED") => bail!("{status}: {}", stack["stack_status_reason"]),
                _ => tokio::time::sleep(Duration::from_millis(300)).await,
            }
        }
    }

    /// Tells Heat that a server is lost, as whoever watches it would.
    pub(crate) async fn mark_unhealthy(&self, user: &User, server: &Member) -> anyhow::Result<()> {
        let lost = json!({ "mark_unhealthy": true, "resource_status_reason": "its host is gone" });
        self.ask(user, Method::PATCH, &server.url, Some(&lost)).await?.context("the server is there")?;
        Ok(())
    }

    /// The servers of a stack, as Heat lists them.
    pub(crate) async fn members(&self, user: &User, id: &str) -> anyhow::Result<Vec<Member>> {
        let stack = self.stack(user, id).await?.context("the stack is there")?;
        let name = text(&stack["stack_name"]);
        let url = format!("{}/stacks/{name}/{id}/resources?nested_depth=4", user.heat);
        let resources = self.list(user, &url, "resources").await?;
        let servers = resources.iter().filter(|resource| resource["resource_type"] == "OS::Nova::Server");
        let mut members: Vec<Member> = servers.filter_map(|server| member(server, &name)).collect();
        members.sort();
        Ok(members)
    }

    /// The trusts by which a user's trustees act.
    pub(crate) async fn trusts_of(&self, user: &User) -> anyhow::Result<Vec<Value>> {
        let url = format!("{}/OS-TRUST/trusts?trustor_user_id={}", self.place.auth_url, user.id);
        self.list(user, &url, "trusts").await
    }

    pub(crate) async fn delete_trust(&self, user: &User, id: &str) -> anyhow::Result<()> {
        let url = format!("{}/OS-TRUST/trusts/{id}", self.place.auth_url);
        self.ask(user, Method::DELETE, &url, None).await?;
        Ok(())
    }

    /// The users in a domain.
    pub(crate) async fn users_in(&self, admin: &User, domain: &str) -> anyhow::Result<Vec<Value>> {
        let id = self.domain(admin, domain).await?;
        let url = format!("{}/users?domain_id={id}", self.place.auth_url);
        self.list(admin, &url, "users").await
    }

    async fn user_name(&self, admin: &User, id: &str) -> anyhow::Result<String> {
        let url = format!("{}/users/{id}", self.place.auth_url);
        let user = self.ask(admin, Method::GET, &url, None).await?;
        Ok(user.map_or_else(|| "nobody".to_owned(), |user| text(&user["user"]["name"])))
    }

    pub(crate) async fn domain(&self, admin: &User, name: &str) -> anyhow::Result<String> {
        let url = format!("{}/domains?name={name}", self.place.auth_url);
        let found = self.list(admin, &url, "domains").await?;
        Ok(text(&found.first().with_context(|| format!("a domain {name}"))?["id"]))
    }

    /// Everything in Keystone and Heat that a bay of this user's project may have brought there.
    pub(crate) async fn holdings(&self, admin: &User, user: &User) -> anyhow::Result<Holdings> {
        let mut held = BTreeSet::new();
        for stack in self.list(user, &format!("{}/stacks", user.heat), "stacks").await? {
            held.insert(format!("stack {}", text(&stack["stack_name"])));
        }
        for trust in self.trusts_of(user).await? {
            // Heat makes one of its own for each stack.
            let whose = self.user_name(admin, &text(&trust["trustee_user_id"])).await?;
            held.insert(format!("trust {} for {whose}", text(&trust["id"])));
        }
        for trustee in self.users_in(admin, "bays").await? {
            held.insert(format!("trustee {}", text(&trustee["name"])));
        }
        let heat = self.domain(admin, "heat").await?;
        let url = format!("{}/projects?domain_id={heat}", self.place.auth_url);
        let of_ours = format!("{}-", user.project_id);
        let projects = self.list(admin, &url, "projects").await?;
        let ours: BTreeSet<String> = projects
            .iter()
            .filter(|project| text(&project["name"]).starts_with(&of_ours))
            .map(|project| text(&project["id"]))
            .collect();
        held.extend(ours.iter().map(|id| format!("project of a stack's users {id}")));
        for node in self.users_in(admin, "heat").await? {
            if ours.contains(&text(&node["default_project_id"])) {
                held.insert(format!("user of a node {}", text(&node["name"])));
            }
        }
        Ok(Holdings(held))
    }
}

/// Whether it is a trust that Heat gave itself for a stack. It leaves that behind where another than the stack's owner
/// has the stack deleted, such as the service user for a bay whose trust is gone.
pub(crate) fn is_heats_own(thing: &str) -> bool {
    thing.starts_with("trust ") && thing.ends_with(" for heat")
}

/// Which group a server is in is in the name of its stack: `ROOT-agents-XXXX-INDEX-XXXX`.
fn member(server: &Value, root: &str) -> Option<Member> {
    let links = server["links"].as_array()?;
    let link = |rel| links.iter().find(|link| link["rel"] == rel)?["href"].as_str();
    let name = link("stack")?.rsplit('/').nth(1)?.strip_prefix(root)?;
    let group = ["masters", "agents"].into_iter().find(|group| name.starts_with(&format!("-{group}-")))?;
    Some(Member {
        group,
        index: text(&server["parent_resource"]),
        id: text(&server["physical_resource_id"]),
        url: link("self")?.to_owned(),
    })
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
