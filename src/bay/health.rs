//! Whether a bay is healthy, in the words of Magnum's columns.

use std::collections::BTreeMap;
use std::str::FromStr;

/// What a bay's row says of its health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub status: HealthStatus,
    /// Of each part, what was seen.
    pub reasons: BTreeMap<String, String>,
}

/// Magnum's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthStatus {
    Healthy,
    Unhealthy,
    /// It cannot be looked at.
    Unknown,
}

impl HealthStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
            Self::Unknown => "UNKNOWN",
        }
    }

    pub fn of(healthy: bool) -> Self {
        if healthy { Self::Healthy } else { Self::Unhealthy }
    }

    /// Of two parts that both are needed.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unhealthy, _) | (_, Self::Unhealthy) => Self::Unhealthy,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Healthy, Self::Healthy) => Self::Healthy,
        }
    }
}

impl FromStr for HealthStatus {
    type Err = UnknownHealth;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Healthy, Self::Unhealthy, Self::Unknown];
        all.into_iter().find(|status| status.as_str() == text).ok_or_else(|| UnknownHealth(text.to_owned()))
    }
}

/// A word that Magnum does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no health of a bay")]
pub struct UnknownHealth(pub String);

impl Health {
    /// As one line, for the log.
    pub fn reason_text(&self) -> String {
        let parts: Vec<_> = self.reasons.iter().map(|(of, reason)| format!("{of}: {reason}")).collect();
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bay_is_healthy_when_all_of_it_is() {
        use HealthStatus::{Healthy, Unhealthy, Unknown};
        for (one, other, both) in [
            (Healthy, Healthy, Healthy),
            (Healthy, Unhealthy, Unhealthy),
            (Healthy, Unknown, Unknown),
            (Unhealthy, Unknown, Unhealthy),
        ] {
            assert_eq!((one.and(other), other.and(one)), (both, both));
        }
    }

    #[test]
    fn every_health_reads_back_from_its_text() {
        for health in [HealthStatus::Healthy, HealthStatus::Unhealthy, HealthStatus::Unknown] {
            assert_eq!(health.as_str().parse(), Ok(health));
        }
        assert!("CREATE_COMPLETE".parse::<HealthStatus>().is_err());
    }
}
