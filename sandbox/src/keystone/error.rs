//! Keystone's refusals and the bodies they are told with.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Error {
    BadRequest(String),
    /// Keystone never says why it does not believe a caller.
    Unauthorized,
    Forbidden(String),
    NotFound(String),
    Conflict(String),
}

impl Error {
    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        Self::NotFound(format!("Could not find {what}: {id}."))
    }

    pub(crate) fn not_allowed(action: &str) -> Self {
        Self::Forbidden(format!("You are not authorized to perform the requested action: {action}."))
    }

    fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "Bad Request"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "Forbidden"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "Not Found"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "Conflict"),
        }
    }

    fn message(&self) -> &str {
        match self {
            Self::Unauthorized => "The request you have made requires authentication.",
            Self::BadRequest(text) | Self::Forbidden(text) | Self::NotFound(text) | Self::Conflict(text) => {
                text
            }
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, title) = self.status();
        let body = json!({"error": {"code": status.as_u16(), "message": self.message(), "title": title}});
        (status, Json(body)).into_response()
    }
}
