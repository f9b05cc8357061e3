//! Marathon's refusals and the bodies they are told with, which depend on its version.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::profile::{FaultShape, Profile, UnknownRoute};
use super::validation::Fault;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Error {
    /// The body is empty.
    NoBody,
    NotJson(String),
    WrongTypes(Vec<Fault>),
    BadRequest(String),
    /// What the built-in basic authentication answers.
    BasicUnauthorized,
    TokenUnauthorized,
    Forbidden,
    TooManyDeployments(usize),
    NotFound(String),
    UnknownRoute(String),
    MethodNotAllowed,
    Exists(String),
    Locked(Vec<String>),
    Invalid(Vec<Fault>),
    Unprocessable(String),
    NoLeader,
}

impl Error {
    pub(crate) fn no_app(id: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("App '{id}' does not exist"))
    }

    pub(crate) fn no_group(id: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("Group '{id}' does not exist"))
    }

    pub(crate) fn no_task(id: &str) -> Self {
        Self::NotFound(format!("Task '{id}' does not exist"))
    }

    fn status(&self, profile: &Profile) -> StatusCode {
        match self {
            Self::NoBody | Self::NotJson(_) | Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::WrongTypes(_) if profile.wrong_type_is_a_fault => StatusCode::UNPROCESSABLE_ENTITY,
            Self::WrongTypes(_) => StatusCode::BAD_REQUEST,
            Self::BasicUnauthorized | Self::TokenUnauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::TooManyDeployments(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::UnknownRoute(_) => match profile.unknown_route {
                UnknownRoute::NotFound => StatusCode::NOT_FOUND,
                UnknownRoute::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            },
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Exists(_) | Self::Locked(_) => StatusCode::CONFLICT,
            Self::Invalid(_) | Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NoLeader => {
                StatusCode::from_u16(profile.no_leader).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }

    fn body(&self, profile: &Profile) -> Value {
        let message = |text: &str| json!({"message": text});
        match self {
            Self::NoBody => json!({
                "message": "Please specify data in JSON format",
                "details": "No content to map due to end-of-input",
            }),
            Self::NotJson(why) => json!({"message": "Invalid JSON", "details": why}),
            Self::WrongTypes(faults) if profile.since(0, 15) => {
                json!({"message": "Invalid JSON", "details": by_path(faults)})
            }
            Self::WrongTypes(faults) => {
                let first = faults.first().map(|fault| format!("{}: {}", fault.path, fault.error));
                json!({"message": "Invalid JSON", "details": first})
            }
            Self::BadRequest(text)
            | Self::NotFound(text)
            | Self::Exists(text)
            | Self::Unprocessable(text) => message(text),
            Self::TokenUnauthorized => message("Invalid username or password."),
            Self::Forbidden => message("Not Authorized to perform this action!"),
            Self::TooManyDeployments(limit) => message(&format!(
                "Max number ({limit}) of running deployments is achieved. Wait for one to end, or cancel one \
                 with force=true."
            )),
            Self::UnknownRoute(path) => match profile.unknown_route {
                UnknownRoute::NotFound => message(&format!("URI not found: {path}")),
                UnknownRoute::ServerError => message("URI not found"),
            },
            Self::Locked(ids) => json!({
                "message": "App is locked by one or more deployments. Override with the option '?force=true'. \
                            View details at '/v2/deployments/<DEPLOYMENT_ID>'.",
                "deployments": ids.iter().map(|id| json!({"id": id})).collect::<Vec<_>>(),
            }),
            Self::Invalid(faults) => refusal(faults, profile.faults),
            Self::BasicUnauthorized | Self::MethodNotAllowed | Self::NoLeader => Value::Null,
        }
    }

    pub(crate) fn response(&self, profile: &Profile) -> Response {
        let status = self.status(profile);
        match self {
            Self::BasicUnauthorized => {
                let mut response = html(status, "Unauthorized");
                let challenge = HeaderValue::from_static("basic realm=\"Mesosphere\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                response
            }
            Self::MethodNotAllowed => html(status, "HTTP method GET is not supported by this URL"),
            Self::NoLeader => html(status, "Could not determine the current leader"),
            Self::NoBody
            | Self::NotJson(_)
            | Self::WrongTypes(_)
            | Self::BadRequest(_)
            | Self::TokenUnauthorized
            | Self::Forbidden
            | Self::TooManyDeployments(_)
            | Self::NotFound(_)
            | Self::UnknownRoute(_)
            | Self::Exists(_)
            | Self::Locked(_)
            | Self::Invalid(_)
            | Self::Unprocessable(_) => (status, Json(self.body(profile))).into_response(),
        }
    }
}

fn by_path(faults: &[Fault]) -> Value {
    let mut paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    let of = |path: &str| faults.iter().filter(|f| f.path == path).map(|f| &f.error).collect::<Vec<_>>();
    paths.into_iter().map(|path| json!({"path": path, "errors": of(path)})).collect()
}

fn refusal(faults: &[Fault], shape: FaultShape) -> Value {
    let pairs = || {
        let attribute = |path: &str| path.trim_matches('/').replace('/', ".");
        faults.iter().map(|f| json!({"attribute": attribute(&f.path), "error": f.error})).collect::<Vec<_>>()
    };
    match shape {
        FaultShape::Errors => json!({"message": "Bean is not valid", "errors": pairs()}),
        FaultShape::Attributes => json!({"message": "Object is not valid", "details": pairs()}),
        FaultShape::Paths => json!({"message": "Object is not valid", "details": by_path(faults)}),
    }
}

/// An error page as the web server below Marathon writes it.
pub(crate) fn html(status: StatusCode, reason: &str) -> Response {
    let code = status.as_u16();
    let page = format!(
        "<html>\n<head>\n<meta http-equiv=\"Content-Type\" content=\"text/html;charset=utf-8\"/>\n\
         <title>Error {code} {reason}</title>\n</head>\n<body><h2>HTTP ERROR {code}</h2>\n\
         <p>Reason:\n<pre>    {reason}</pre></p>\n</body>\n</html>\n"
    );
    (status, [(CONTENT_TYPE, "text/html;charset=utf-8")], page).into_response()
}
