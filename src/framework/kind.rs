//! Which framework a bay's apps run on.

use std::fmt;

use crate::app::{Manifest, ManifestFaults};
use crate::bay::Labels;

/// The label of a bay that names its framework.
pub const LABEL: &str = "mesos_framework";

/// Names that a bay may have, for frameworks without an adapter.
const PLANNED: [&str; 2] = ["aurora", "kubernetes"];

/// The frameworks that there is an adapter for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    #[default]
    Marathon,
}

/// Why a bay's apps cannot be managed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KindFault {
    #[error("the label {LABEL}={0} names no framework; it may be marathon")]
    Unknown(String),
    #[error("apps on {0} are not supported yet; the label {LABEL} may be marathon")]
    NotSupported(&'static str),
}

impl Kind {
    const ALL: [Self; 1] = [Self::Marathon];

    /// The framework of a bay: as its label says, else Marathon.
    pub fn of(labels: &Labels) -> Result<Self, KindFault> {
        let Some(label) = labels.get(LABEL) else { return Ok(Self::default()) };
        let name = label.trim();
        if let Some(kind) = Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(name)) {
            return Ok(kind);
        }
        let planned = PLANNED.into_iter().find(|planned| planned.eq_ignore_ascii_case(name));
        Err(planned.map_or_else(|| KindFault::Unknown(label.clone()), KindFault::NotSupported))
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Marathon => "marathon",
        }
    }

    /// Reads a manifest of this framework's.
    pub fn manifest(self, text: &str) -> Result<Manifest, ManifestFaults> {
        match self {
            Self::Marathon => Manifest::parse(text),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_chooses_and_marathon_is_the_default() {
        let of = |name: &str| Kind::of(&Labels::from([(LABEL.to_owned(), name.to_owned())]));
        assert_eq!(Kind::of(&Labels::new()), Ok(Kind::Marathon));
        assert_eq!(of(" Marathon "), Ok(Kind::Marathon));
        assert_eq!(of("Aurora"), Err(KindFault::NotSupported("aurora")));
        assert_eq!(
            of("kubernetes").unwrap_err().to_string(),
            "apps on kubernetes are not supported yet; the label mesos_framework may be marathon"
        );
        assert_eq!(of("swarm"), Err(KindFault::Unknown("swarm".to_owned())));
    }
}
