//! The conductor as commands see it: a method, its arguments, an answer.

use std::time::Duration;

use async_trait::async_trait;
use mesos_conductor_proto::{codec::Map, context::RequestContext};
use serde_json::Value;

use super::{Global, error::Error};
use crate::{
    client::{CallError, CallOptions, Client},
    worker,
};

/// Asks the conductor as one caller. A seam: commands are tested without a broker.
#[async_trait]
pub(super) trait Conductor: Send + Sync {
    async fn call(&self, method: &str, args: Map) -> Result<Value, Error>;

    async fn cast(&self, method: &str, args: Map) -> Result<(), Error>;
}

/// How to ask, where the configuration is not to decide.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    pub(super) timeout: Option<Duration>,
    pub(super) server: Option<String>,
}

/// Connects as the configuration says.
pub(super) async fn connect(global: &Global, context: RequestContext) -> Result<Remote, Error> {
    connect_with(global, context, Options::default()).await
}

pub(super) async fn connect_with(
    global: &Global,
    context: RequestContext,
    options: Options,
) -> Result<Remote, Error> {
    let settings = global.client_configuration()?.settings;
    let client = Client::connect(&worker::broker(&settings)?).await;
    let client = client.map_err(|error| Error::Unreachable(error.to_string()))?;
    let timeout = options.timeout.unwrap_or(settings.default.rpc_response_timeout);
    Ok(Remote {
        client,
        options: CallOptions { timeout, context, server: options.server, ..CallOptions::default() },
    })
}

/// The conductor behind the broker.
pub(super) struct Remote {
    client: Client,
    options: CallOptions,
}

impl Remote {
    /// Deletes the reply queue; a client that does not come to this leaves it to expire.
    pub(super) async fn close(self) {
        self.client.close().await;
    }
}

#[async_trait]
impl Conductor for Remote {
    async fn call(&self, method: &str, args: Map) -> Result<Value, Error> {
        Ok(self.client.call(method, args, self.options.clone()).await?)
    }

    async fn cast(&self, method: &str, args: Map) -> Result<(), Error> {
        Ok(self.client.cast(method, args, self.options.clone()).await?)
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Remote(failure) => Self::Failure(Box::new(failure)),
            CallError::Timeout { method, waited } => Self::TimedOut { method, waited },
            CallError::Unroutable { .. } | CallError::Disconnected(_) => Self::Unreachable(error.to_string()),
            CallError::Protocol(problem) => Self::Garbage(problem),
        }
    }
}
