//! One look at a bay: what its Mesos says of its agents, and whether its framework answers.

use std::time::Duration;

use crate::bay::{Bay, Health, HealthStatus};
use crate::framework::{Error, Frameworks, Info, Load, Result};

/// What was seen.
pub(super) struct Look {
    pub(super) mesos: Result<Load>,
    pub(super) framework: Result<Info>,
}

impl Look {
    /// Asks both at once. Masters that are dead or do not lead are passed over.
    pub(super) async fn at(bay: &Bay, frameworks: &dyn Frameworks, within: Duration) -> Self {
        let mesos = async { frameworks.agents_of(bay).await?.load(within).await };
        let framework = async { frameworks.of(bay).await?.info(within).await };
        let (mesos, framework) = tokio::join!(mesos, framework);
        Self { mesos, framework }
    }

    /// Healthy is a bay with a leading master, all the agents that it should have, and a framework that answers.
    pub(super) fn health(&self, bay: &Bay) -> Health {
        let (mesos, agents) = match &self.mesos {
            Ok(load) => {
                let wanted = bay.node_count.and_then(|count| usize::try_from(count).ok()).unwrap_or_default();
                let word = format!("{} of {} agents are active", load.active, wanted.max(load.registered));
                (HealthStatus::of(load.active >= wanted), word)
            }
            Err(error) => refused(error),
        };
        let (framework, answer) = match &self.framework {
            Ok(info) => (HealthStatus::Healthy, format!("{} {} answers", info.name, info.version)),
            Err(error) => refused(error),
        };
        let reasons = [("mesos", agents), ("framework", answer)];
        Health {
            status: mesos.and(framework),
            reasons: reasons.map(|(of, reason)| (of.to_owned(), reason)).into(),
        }
    }
}

/// What is not our business, or wrong on our side, says nothing of the bay.
fn refused(error: &Error) -> (HealthStatus, String) {
    let status = match error {
        Error::NotSupported { .. } | Error::Config { .. } => HealthStatus::Unknown,
        Error::AlreadyExists { .. }
        | Error::Locked { .. }
        | Error::NotFound { .. }
        | Error::Invalid { .. }
        | Error::Unauthorized { .. }
        | Error::Forbidden { .. }
        | Error::TooManyDeployments { .. }
        | Error::Unavailable { .. }
        | Error::Unknown { .. }
        | Error::Protocol { .. } => HealthStatus::Unhealthy,
    };
    (status, error.to_string())
}
