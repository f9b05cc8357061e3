//! Versions of RPC interfaces, envelopes and objects: they travel as text and follow one compatibility rule.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A `major.minor` version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    /// A different major number is a different contract.
    pub major: u32,
    /// A higher minor number includes everything of the lower ones.
    pub minor: u32,
}

/// The text is not a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a version: expected numbers like 1 or 1.5")]
pub struct ParseVersionError;

impl Version {
    /// The version that a message without one speaks.
    pub const DEFAULT: Self = Self::new(1, 0);

    /// Makes a version from its two numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Whether a side that implements `self` can serve a peer that asks for `requested`.
    #[must_use]
    pub const fn can_serve(self, requested: Self) -> bool {
        self.major == requested.major && self.minor >= requested.minor
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = ParseVersionError;

    /// Reads `1`, `1.5` or `1.5.2`. The third number only marks internal revisions, so it is checked and
    /// dropped.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = [0; 3];
        let mut parts = text.split('.');
        for (number, part) in numbers.iter_mut().zip(&mut parts) {
            *number = parse_number(part)?;
        }
        if parts.next().is_some() {
            return Err(ParseVersionError);
        }
        Ok(Self::new(numbers[0], numbers[1]))
    }
}

/// Digits only: the standard parser would take a sign.
fn parse_number(part: &str) -> Result<u32, ParseVersionError> {
    if !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseVersionError);
    }
    part.parse().map_err(|_| ParseVersionError)
}

impl TryFrom<String> for Version {
    type Error = ParseVersionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_are_read() {
        let check = |text: &str, expected: Option<(u32, u32)>| {
            let parsed = text.parse::<Version>().ok().map(|v| (v.major, v.minor));
            assert_eq!(parsed, expected, "{text:?}");
        };
        check("1", Some((1, 0)));
        check("1.5", Some((1, 5)));
        check("1.5.2", Some((1, 5)));
        check("1.10", Some((1, 10)));
        for bad in ["", ".", "1.", "+1.0", "1.-5", "1.5.x", "1.2.3.4", "99999999999.0", "1 .0"] {
            check(bad, None);
        }
    }

    #[test]
    fn a_higher_minor_serves_a_lower_one_of_the_same_major_only() {
        let ours = Version::new(1, 5);
        assert!(ours.can_serve(Version::new(1, 0)) && ours.can_serve(ours));
        assert!(!ours.can_serve(Version::new(1, 6)));
        assert!(!ours.can_serve(Version::new(0, 5)) && !ours.can_serve(Version::new(2, 0)));
    }

    #[test]
    fn versions_order_by_number_and_travel_as_text() {
        assert!(Version::new(1, 10) > Version::new(1, 9));
        assert_eq!(serde_json::to_value(Version::new(1, 10)).unwrap(), "1.10");
        assert_eq!(serde_json::from_value::<Version>("1.7".into()).unwrap(), Version::new(1, 7));
    }
}
