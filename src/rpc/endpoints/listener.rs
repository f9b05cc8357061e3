//! Signs of life.

use async_trait::async_trait;
use serde_json::Value;

use crate::error::Fault;
use crate::rpc::arguments::Argument;
use crate::rpc::method::{Action, Answers, Call, CallError, Method};

/// Magnum's own ping.
pub(super) struct PingConductor;

#[async_trait]
impl Method for PingConductor {
    fn name(&self) -> &'static str {
        "ping_conductor"
    }

    fn answers(&self) -> Answers {
        Answers::True
    }

    fn is_open(&self) -> bool {
        true
    }

    fn arguments(&self) -> &'static [Argument] {
        &[]
    }

    async fn run(&self, _call: &Call<'_>) -> Result<Action, CallError> {
        Ok(Action::Answer(Value::Bool(true)))
    }
}

/// oslo.messaging's ping, served if `[DEFAULT] rpc_ping_enabled` says so.
pub(super) struct OsloPing;

#[async_trait]
impl Method for OsloPing {
    fn name(&self) -> &'static str {
        "oslo_rpc_server_ping"
    }

    fn answers(&self) -> Answers {
        Answers::Word("pong")
    }

    fn is_open(&self) -> bool {
        true
    }

    fn arguments(&self) -> &'static [Argument] {
        &[]
    }

    async fn run(&self, call: &Call<'_>) -> Result<Action, CallError> {
        if !call.settings.ping_enabled {
            return Err(Fault::NoSuchMethod(self.name().to_owned()).into());
        }
        Ok(Action::Answer(Value::String("pong".to_owned())))
    }
}
