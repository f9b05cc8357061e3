//! Heat's refusals and the bodies they are told with.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Error {
    /// What the middleware in front of Heat answers to a token that is not valid.
    Unauthorized {
        auth_url: String,
    },
    BadRequest(String),
    Invalid(String),
    UnknownParameter(String),
    MissingParameter(String),
    Forbidden(String),
    NotFound(String),
    Exists(String),
    InProgress {
        name: String,
        action: &'static str,
    },
    Internal,
}

impl Error {
    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
            Self::BadRequest(_)
            | Self::Invalid(_)
            | Self::UnknownParameter(_)
            | Self::MissingParameter(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Exists(_) | Self::InProgress { .. } => StatusCode::CONFLICT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => "Unauthorized",
            Self::BadRequest(_) => "HTTPBadRequest",
            Self::Invalid(_) => "StackValidationFailed",
            Self::UnknownParameter(_) => "UnknownUserParameter",
            Self::MissingParameter(_) => "UserParameterMissing",
            Self::Forbidden(_) => "Forbidden",
            Self::NotFound(_) => "EntityNotFound",
            Self::Exists(_) => "StackExists",
            Self::InProgress { .. } => "ActionInProgress",
            Self::Internal => "HTTPInternalServerError",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Unauthorized { .. } => "The request you have made requires authentication.".to_owned(),
            Self::BadRequest(text) | Self::Invalid(text) | Self::Forbidden(text) => text.clone(),
            Self::UnknownParameter(name) => format!("The Parameter ({name}) was not defined in template."),
            Self::MissingParameter(name) => format!("The Parameter ({name}) was not provided."),
            Self::NotFound(name) => format!("The Stack ({name}) could not be found."),
            Self::Exists(name) => format!("The Stack ({name}) already exists."),
            Self::InProgress { name, action } => {
                format!("Stack {name} already has an action ({action}) in progress.")
            }
            Self::Internal => "Internal Error".to_owned(),
        }
    }
}

fn title_and_explanation(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::BAD_REQUEST => (
            "Bad Request",
            "The server could not comply with the request since it is either malformed or otherwise incorrect.",
        ),
        StatusCode::FORBIDDEN => ("Forbidden", "Access was denied to this resource."),
        StatusCode::NOT_FOUND => ("Not Found", "The resource could not be found."),
        StatusCode::CONFLICT => ("Conflict", "There was a conflict when trying to complete your request."),
        _ => (
            "Internal Server Error",
            "The server has either erred or is incapable of performing the requested operation.",
        ),
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, message) = (self.status(), self.message());
        if let Self::Unauthorized { auth_url } = &self {
            let challenge = [(WWW_AUTHENTICATE, format!("Keystone uri=\"{auth_url}\""))];
            let body = json!({"error": {"code": 401, "title": "Unauthorized", "message": message}});
            return (status, challenge, Json(body)).into_response();
        }
        let (title, explanation) = title_and_explanation(status);
        let body = json!({
            "code": status.as_u16(),
            "title": title,
            "explanation": explanation,
            "error": {"type": self.kind(), "message": message, "traceback": null},
        });
        (status, Json(body)).into_response()
    }
}
