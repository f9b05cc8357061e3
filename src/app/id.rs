//! The name of an app or a group in the framework: an absolute path, whichever way it was written.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An absolute path such as `/shop/web`, never the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppId(String);

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdFault {
    #[error("must not be the root")]
    Root,
    #[error("leads above the root")]
    AboveRoot,
    #[error(
        "the segment {0:?} must be words of a-z, 0-9 and inner hyphens, parted by dots, such as web or v1.web-2"
    )]
    Segment(String),
    #[error("must not end in /{0}, which is a resource of every app")]
    Reserved(String),
}

/// Last segments that would make `/v2/apps/<id>` another resource.
const RESERVED: [&str; 3] = ["restart", "tasks", "versions"];

impl AppId {
    /// Reads an id that is absolute, or relative to the root.
    pub fn parse(text: &str) -> Result<Self, IdFault> {
        Self::resolve(text, None)
    }

    /// Reads an id that is absolute, or relative to `base` (the root when there is none).
    pub fn resolve(text: &str, base: Option<&Self>) -> Result<Self, IdFault> {
        let mut segments: Vec<&str> = match base {
            Some(base) if !text.starts_with('/') => base.segments().collect(),
            Some(_) | None => Vec::new(),
        };
        for segment in text.split('/').filter(|segment| !segment.is_empty()) {
            match segment {
                "." => {}
                ".." => {
                    segments.pop().ok_or(IdFault::AboveRoot)?;
                }
                word if is_segment(word) => segments.push(word),
                other => return Err(IdFault::Segment(other.chars().take(100).collect())),
            }
        }
        if segments.is_empty() {
            return Err(IdFault::Root);
        }
        Ok(Self(format!("/{}", segments.join("/"))))
    }

    /// An id that an app can have, not only a group.
    pub(crate) fn not_reserved(self) -> Result<Self, IdFault> {
        let reserved =
            self.segments().next_back().and_then(|last| RESERVED.iter().find(|word| **word == last));
        match reserved {
            Some(word) => Err(IdFault::Reserved((*word).to_owned())),
            None => Ok(self),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// Whether this is a place below `group`.
    pub fn is_below(&self, group: &Self) -> bool {
        self.0.strip_prefix(&group.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

fn is_segment(text: &str) -> bool {
    let word = |word: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !word.is_empty() && word.chars().all(inner) && !word.starts_with('-') && !word.ends_with('-')
    };
    text.split('.').all(word)
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for AppId {
    type Error = IdFault;

    fn try_from(text: String) -> Result<Self, IdFault> {
        Self::parse(&text)
    }
}

impl From<AppId> for String {
    fn from(id: AppId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_made_absolute() {
        let base = AppId::parse("/shop").unwrap();
        for (text, base, expected) in [
            ("web", None, "/web"),
            ("/web", None, "/web"),
            ("//shop///web/", None, "/shop/web"),
            ("web", Some(&base), "/shop/web"),
            ("./web", Some(&base), "/shop/web"),
            ("../db", Some(&base), "/db"),
            ("/other", Some(&base), "/other"),
            ("v1.2-a.b/x0", None, "/v1.2-a.b/x0"),
        ] {
            assert_eq!(AppId::resolve(text, base).unwrap().as_str(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "/", ".", "Web", "a b", "-a", "a-", "a..b", ".a", "ä", "a_b", "a/%2e%2e"] {
            assert!(AppId::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(AppId::parse("../a"), Err(IdFault::AboveRoot));
        assert_eq!(
            AppId::parse("/a/tasks").unwrap().not_reserved(),
            Err(IdFault::Reserved("tasks".to_owned()))
        );
    }

    #[test]
    fn only_what_is_under_a_group_is_below_it() {
        let id = |text| AppId::parse(text).unwrap();
        assert!(id("/shop/web/a").is_below(&id("/shop")));
        assert!(!id("/shopping").is_below(&id("/shop")));
        assert!(!id("/shop").is_below(&id("/shop")));
    }
}
