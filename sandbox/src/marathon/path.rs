//! The ids of apps and groups: absolute paths.

use serde::Serialize;

/// An absolute path such as `/shop/web`; the root is `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct PathId(String);

impl PathId {
    pub(crate) fn root() -> Self {
        Self("/".to_owned())
    }

    /// Reads a path; one that does not begin with a slash is taken as below the root.
    pub(crate) fn parse(text: &str) -> Self {
        Self::root().resolve(text.trim_start_matches('/'))
    }

    /// Reads a path as it stands inside this group.
    pub(crate) fn resolve(&self, text: &str) -> Self {
        let base = if text.starts_with('/') { "" } else { self.0.as_str() };
        let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        Self(format!("/{}", parts.join("/")))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_root(&self) -> bool {
        self.0 == "/"
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    pub(crate) fn parent(&self) -> Self {
        match self.0.rsplit_once('/') {
            Some((parent, _)) if !parent.is_empty() => Self(parent.to_owned()),
            Some(_) | None => Self::root(),
        }
    }

    /// Every group around it, the root excluded.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = Self> {
        let step = |id: &Self| Some(id.parent()).filter(|parent| !parent.is_root());
        std::iter::successors(step(self), step)
    }

    /// Whether it is that group or lies below it.
    pub(crate) fn is_within(&self, group: &Self) -> bool {
        let below = || self.0.strip_prefix(&group.0).is_some_and(|rest| rest.starts_with('/'));
        group.is_root() || self == group || below()
    }

    /// How a task id begins: the path with its slashes replaced.
    pub(crate) fn flat(&self) -> String {
        self.segments().collect::<Vec<_>>().join("_")
    }
}

impl std::fmt::Display for PathId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_resolved_against_their_group() {
        let group = PathId::parse("shop");
        let check = |text: &str, expected: &str| assert_eq!(group.resolve(text).as_str(), expected, "{text}");
        check("web", "/shop/web");
        check("/web", "/web");
        check("../web", "/web");
        check("./a/../b", "/shop/b");
        assert_eq!(PathId::parse("//a//b/").as_str(), "/a/b");
        assert_eq!(PathId::parse("").as_str(), "/");
    }

    #[test]
    fn a_group_holds_what_is_below_it_and_not_what_only_begins_alike() {
        let web = PathId::parse("/shop/web");
        assert!(web.is_within(&PathId::parse("/shop")) && web.is_within(&PathId::root()));
        assert!(!PathId::parse("/shopping").is_within(&PathId::parse("/shop")));
        assert_eq!(web.ancestors().map(|id| id.to_string()).collect::<Vec<_>>(), ["/shop"]);
        assert_eq!(web.flat(), "shop_web");
    }
}
