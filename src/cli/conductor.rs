//! The conductor as commands see it: a method, its arguments, an answer.

use std::time::Duration;

use async_trait::async_trait;
use mesos_conductor_proto::{codec::Map, context::RequestContext};
use serde_json::Value;

use super::{Global, error::Error};

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
    let timeout = options.timeout.unwrap_or(settings.default.rpc_response_timeout);
    Ok(Remote { context, timeout, server: options.server })
}

/// The conductor behind the broker.
pub(super) struct Remote {
    context: RequestContext,
    timeout: Duration,
    server: Option<String>,
}

#[async_trait]
impl Conductor for Remote {
    async fn call(&self, _method: &str, _args: Map) -> Result<Value, Error> {
        Err(Error::Unreachable(format!("{:?} {:?} {:?}", self.context, self.timeout, self.server)))
    }

    async fn cast(&self, _method: &str, _args: Map) -> Result<(), Error> {
        Err(Error::Unreachable("not connected".to_owned()))
    }
}
