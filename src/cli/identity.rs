//! Who asks: the request context of a person at the command line, as magnum-api makes it from a token.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use mesos_conductor_proto::context::RequestContext;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use super::error::Error;

/// How long Keystone may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The usual variables of cloud clients, or a context made by hand.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Identity")]
pub(super) struct Identity {
    /// The whole request context, as JSON, instead of a login
    #[arg(long, value_name = "JSON", value_parser = parse_context)]
    #[arg(conflicts_with_all = ["as_project", "as_user"])]
    context: Option<RequestContext>,
    /// Asks as this project, without a login: for deployments that trust the command line's host
    #[arg(long, value_name = "ID")]
    as_project: Option<String>,
    /// Asks as this user, without a login
    #[arg(long, value_name = "ID")]
    as_user: Option<String>,
    #[arg(long, env = "OS_AUTH_URL", value_name = "URL", help = "Keystone")]
    os_auth_url: Option<String>,
    #[arg(long, env = "OS_USERNAME", value_name = "NAME", help = "The user's name")]
    os_username: Option<String>,
    #[arg(long, env = "OS_USER_ID", value_name = "ID", help = "The user's id")]
    os_user_id: Option<String>,
    #[arg(long, env = "OS_PASSWORD", hide_env_values = true, value_parser = parse_secret)]
    #[arg(value_name = "PASSWORD", help = "The user's password; better given by the variable")]
    os_password: Option<SecretString>,
    #[arg(long, env = "OS_TOKEN", hide_env_values = true, value_parser = parse_secret, value_name = "TOKEN",
          help = "A token, instead of user and password")]
    os_token: Option<SecretString>,
    #[arg(long, env = "OS_PROJECT_NAME", value_name = "NAME", help = "The project's name")]
    os_project_name: Option<String>,
    #[arg(long, env = "OS_PROJECT_ID", value_name = "ID", help = "The project's id")]
    os_project_id: Option<String>,
    #[arg(long, env = "OS_USER_DOMAIN_NAME", value_name = "NAME", help = "The domain of the user, by name")]
    os_user_domain_name: Option<String>,
    #[arg(
        long,
        env = "OS_USER_DOMAIN_ID",
        value_name = "ID",
        help = "The domain of the user [default: default]"
    )]
    os_user_domain_id: Option<String>,
    #[arg(
        long,
        env = "OS_PROJECT_DOMAIN_NAME",
        value_name = "NAME",
        help = "The domain of the project, by name"
    )]
    os_project_domain_name: Option<String>,
    #[arg(
        long,
        env = "OS_PROJECT_DOMAIN_ID",
        value_name = "ID",
        help = "The domain of the project [default: default]"
    )]
    os_project_domain_id: Option<String>,
    #[arg(
        long,
        env = "OS_CACERT",
        value_name = "FILE",
        help = "The authorities that may sign Keystone's certificate"
    )]
    os_cacert: Option<PathBuf>,
}

fn parse_context(text: &str) -> Result<RequestContext, String> {
    RequestContext::from_map(super::call::parse_object(text)?).map_err(|error| error.to_string())
}

fn parse_secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(text.into())
}

/// A variable that is set to nothing counts as not set.
fn given(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|value| !value.is_empty())
}

fn given_secret(value: &Option<SecretString>) -> Option<&SecretString> {
    value.as_ref().filter(|value| !value.expose_secret().is_empty())
}

impl Identity {
    /// The context to ask with; anybody may ask what needs no owner.
    pub(super) async fn context(&self) -> Result<RequestContext, Error> {
        let context = match (&self.context, given(&self.os_auth_url)) {
            (Some(context), _) => context.clone(),
            (None, _) if self.as_project.is_some() || self.as_user.is_some() => self.claimed(),
            (None, Some(url)) => self.logged_in(url).await?,
            (None, None) => RequestContext::default(),
        };
        Ok(match context.request_id() {
            Some(_) => context,
            None => context.with("request_id", format!("req-{}", Uuid::new_v4())),
        })
    }

    /// The same, for what belongs to somebody.
    pub(super) async fn owner_context(&self) -> Result<RequestContext, Error> {
        let context = self.context().await?;
        if context.project_id().is_some() || context.user_id().is_some() || context.is_admin() {
            return Ok(context);
        }
        Err(Error::Usage(
            "bays belong to a project, and none is given; set OS_AUTH_URL, OS_USERNAME, OS_PASSWORD and \
             OS_PROJECT_NAME, or give --as-project ID"
                .to_owned(),
        ))
    }

    fn claimed(&self) -> RequestContext {
        RequestContext::default()
            .with("project_id", self.as_project.clone())
            .with("user_id", self.as_user.clone())
            .with("is_admin", false)
    }

    async fn logged_in(&self, auth_url: &str) -> Result<RequestContext, Error> {
        let root = identity_root(auth_url);
        let url = format!("{root}/auth/tokens");
        let http = self.http()?;
        let (request, token) = match given_secret(&self.os_token) {
            Some(token) => {
                let secret = token.expose_secret();
                (
                    http.get(&url).header("X-Auth-Token", secret).header("X-Subject-Token", secret),
                    Some(token.clone()),
                )
            }
            None => (http.post(&url).json(&self.login()?), None),
        };
        let answer = request.send().await.map_err(|error| Error::Identity(reason(&error)))?;
        let status = answer.status();
        let issued = answer.headers().get("X-Subject-Token").and_then(|value| value.to_str().ok());
        let token = token.or_else(|| issued.map(SecretString::from));
        let body: Value = answer.json().await.unwrap_or(Value::Null);
        if !status.is_success() {
            let said = body["error"]["message"].as_str().unwrap_or("no reason given");
            return Err(Error::Identity(format!("{url} answered {status}: {said}")));
        }
        let token = token.ok_or_else(|| Error::Identity(format!("{url} answered without a token")))?;
        Ok(context_of_token(&token, &body, &root))
    }

    fn http(&self) -> Result<reqwest::Client, Error> {
        let mut builder = reqwest::Client::builder().timeout(PATIENCE);
        if let Some(file) = &self.os_cacert {
            let fault = |why: String| Error::Usage(format!("OS_CACERT {}: {why}", file.display()));
            let pem = std::fs::read(file).map_err(|error| fault(error.to_string()))?;
            let certificates =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| fault(error.to_string()))?;
            for certificate in certificates {
                builder = builder.add_root_certificate(certificate);
            }
        }
        builder.build().map_err(|error| Error::Identity(reason(&error)))
    }

    fn login(&self) -> Result<Value, Error> {
        let missing = |what: &str| Error::Usage(format!("OS_AUTH_URL is set, but {what} is not"));
        let user_domain = domain(&self.os_user_domain_id, &self.os_user_domain_name);
        let mut user = match (given(&self.os_user_id), given(&self.os_username)) {
            (Some(id), _) => json!({ "id": id }),
            (None, Some(name)) => json!({ "name": name, "domain": user_domain }),
            (None, None) => return Err(missing("OS_USERNAME")),
        };
        let password = given_secret(&self.os_password).ok_or_else(|| missing("OS_PASSWORD"))?;
        user["password"] = password.expose_secret().into();
        let project_domain = domain(&self.os_project_domain_id, &self.os_project_domain_name);
        let project = match (given(&self.os_project_id), given(&self.os_project_name)) {
            (Some(id), _) => json!({ "id": id }),
            (None, Some(name)) => json!({ "name": name, "domain": project_domain }),
            (None, None) => return Err(missing("OS_PROJECT_NAME")),
        };
        let identity = json!({ "methods": ["password"], "password": { "user": user } });
        Ok(json!({ "auth": { "identity": identity, "scope": { "project": project } } }))
    }
}

fn domain(id: &Option<String>, name: &Option<String>) -> Value {
    match (given(id), given(name)) {
        (Some(id), _) => json!({ "id": id }),
        (None, Some(name)) => json!({ "name": name }),
        (None, None) => json!({ "id": "default" }),
    }
}

/// `http://keystone:5000`, with `/v3` or the old `/v2.0` behind it or not.
fn identity_root(auth_url: &str) -> String {
    let url = auth_url.trim_end_matches('/');
    let url = url.strip_suffix("/v2.0").or_else(|| url.strip_suffix("/v3")).unwrap_or(url);
    format!("{url}/v3")
}

/// As the API fills a context from the headers that Keystone's middleware sets.
fn context_of_token(token: &SecretString, info: &Value, auth_url: &str) -> RequestContext {
    let body = &info["token"];
    let roles: Vec<_> =
        body["roles"].as_array().into_iter().flatten().map(|role| role["name"].clone()).collect();
    let domain = &body["user"]["domain"];
    [
        ("auth_token", token.expose_secret().into()),
        ("auth_token_info", info.clone()),
        ("auth_url", auth_url.into()),
        ("user_id", body["user"]["id"].clone()),
        ("user_name", body["user"]["name"].clone()),
        ("domain_id", domain["id"].clone()),
        ("domain_name", domain["name"].clone()),
        ("user_domain_id", domain["id"].clone()),
        ("user_domain_name", domain["name"].clone()),
        ("project_id", body["project"]["id"].clone()),
        ("project_name", body["project"]["name"].clone()),
        ("roles", roles.into()),
        ("is_admin", false.into()),
        ("all_tenants", false.into()),
        ("read_only", false.into()),
        ("show_deleted", false.into()),
    ]
    .into_iter()
    .fold(RequestContext::default(), |context, (key, value)| context.with(key, value))
}

/// The innermost cause, which names what went wrong; reqwest's own text repeats the URL.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let url = error.url().map_or_else(String::new, |url| format!("{url}: "));
    format!("{url}{cause}")
}

#[cfg(test)]
mod tests;
