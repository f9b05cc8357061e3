//! What is wrong with a manifest, and where.

use std::fmt;

/// As many faults as anyone reads.
const LIMIT: usize = 50;

/// One fault: a place, written as a JSON pointer, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFault {
    pub path: String,
    pub problem: String,
}

impl fmt::Display for ManifestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

/// Everything that is wrong with a manifest, at least one fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", joined(.0))]
pub struct ManifestFaults(Vec<ManifestFault>);

impl ManifestFaults {
    pub fn one(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self(vec![ManifestFault { path: path.into(), problem: problem.into() }])
    }

    pub fn iter(&self) -> impl Iterator<Item = &ManifestFault> {
        self.0.iter()
    }
}

fn joined(faults: &[ManifestFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl From<Faults> for ManifestFaults {
    fn from(faults: Faults) -> Self {
        let mut listed = faults.listed;
        if faults.more > 0 {
            let problem = format!("has {} more faults", faults.more);
            listed.push(ManifestFault { path: "/".to_owned(), problem });
        }
        Self(listed)
    }
}

/// Faults while they are being found.
#[derive(Debug, Default)]
pub(super) struct Faults {
    listed: Vec<ManifestFault>,
    more: usize,
}

impl Faults {
    pub(super) fn add(&mut self, at: &Place<'_>, problem: impl Into<String>) {
        if self.listed.len() < LIMIT {
            self.listed.push(ManifestFault { path: at.to_string(), problem: problem.into() });
        } else {
            self.more += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }
}

/// Where in a manifest something stands; only a fault makes a text of it.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Root,
    Key(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl<'a> Place<'a> {
    pub(super) fn key(&'a self, name: &'a str) -> Self {
        Self::Key(self, name)
    }

    pub(super) fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(outer, name) => {
                outer.write(f)?;
                let short: String = name.chars().take(100).collect();
                write!(f, "/{}", short.replace('~', "~0").replace('/', "~1"))
            }
            Self::Index(outer, index) => {
                outer.write(f)?;
                write!(f, "/{index}")
            }
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("/"),
            Self::Key(..) | Self::Index(..) => self.write(f),
        }
    }
}
