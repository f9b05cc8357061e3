//! Everything that is wrong with a configuration, told at once.

use std::fmt;

/// One thing that is wrong: where, what, what was expected, what to do. Never shows a secret's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file and line, the variable or the flag; `None` when nothing was given where something must be.
    pub origin: Option<String>,
    /// `[section] option`, when the fault is about one.
    pub option: Option<String>,
    pub problem: String,
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if let Some(option) = &self.option {
            write!(f, "{option}: ")?;
        }
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

/// All faults of one load. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFaults(pub Vec<Fault>);

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the configuration has a fault:")?,
            count => write!(f, "the configuration has {count} faults:")?,
        }
        for fault in &self.0 {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigFaults {}

/// Something that works but may not be what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// Nobody knows this option.
    Unknown { origin: String, option: String, suggestion: Option<String> },
    /// Magnum or one of its libraries has this option, and nothing here reads it.
    NotUsed { origin: String, option: String, because: &'static str },
    /// The option is known by another name now.
    OlderName { origin: String, older: String, current: String },
}

impl Warning {
    /// Whether it should be told at every start; the others are for `config check`.
    pub fn is_urgent(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { origin, option, suggestion: Some(suggestion) } => {
                write!(f, "{origin}: {option} is not an option; did you mean {suggestion}?")
            }
            Self::Unknown { origin, option, suggestion: None } => {
                write!(f, "{origin}: {option} is not an option; it is left out")
            }
            Self::NotUsed { origin, option, because } => {
                write!(f, "{origin}: {option} is not used here: {because}")
            }
            Self::OlderName { origin, older, current } => {
                write!(f, "{origin}: {older} is an older name of {current}")
            }
        }
    }
}
