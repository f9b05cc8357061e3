//! What differs between Marathon's releases, as data.

/// A release of Marathon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release(u16, u16, u16);

/// What some releases can do and others cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feature {
    /// A create of what exists is refused; before, it took the place of what was there.
    RefusesDuplicate,
    /// `PATCH`, and `PUT` with `partialUpdate=false`, which really replaces.
    Replaces,
    Events,
    /// `event_type` chooses events.
    EventFilter,
    /// `plan-format=light` leaves whole groups out of deployments' events; later releases always do.
    LightPlan,
    /// A deployment is listed as soon as its change is accepted.
    ListsAtOnce,
}

/// Since which release, and before which one.
const TABLE: &[(Feature, Release, Option<Release>)] = &[
    (Feature::RefusesDuplicate, Release(0, 8, 1), None),
    (Feature::Events, Release(0, 9, 0), None),
    (Feature::EventFilter, Release(1, 3, 7), None),
    (Feature::Replaces, Release(1, 4, 0), None),
    (Feature::LightPlan, Release(1, 6, 0), Some(Release(1, 7, 0))),
    (Feature::ListsAtOnce, Release(1, 8, 0), None),
];

impl Release {
    /// The last one: what an unreadable version is taken for.
    const NEWEST: Self = Self(1, 11, 0);

    /// Reads `1.5.0-SNAPSHOT` as 1.5.0.
    pub(super) fn read(text: &str) -> Self {
        let digits = |part: &str| {
            part.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse::<u16>().ok())
        };
        let mut parts = text.trim().trim_start_matches('v').split('.').map(digits);
        match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten()) {
            (Some(major), Some(minor), patch) => Self(major, minor, patch.unwrap_or(0)),
            (None | Some(_), _, _) => Self::NEWEST,
        }
    }

    pub(super) fn has(self, feature: Feature) -> bool {
        TABLE
            .iter()
            .filter(|(listed, ..)| *listed == feature)
            .any(|(_, since, before)| self >= *since && before.is_none_or(|before| self < before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_in_all_spellings() {
        for (text, expected) in [
            ("0.8.0", Release(0, 8, 0)),
            ("1.5.0-SNAPSHOT", Release(1, 5, 0)),
            ("1.3.7-RC1", Release(1, 3, 7)),
            ("1.11", Release(1, 11, 0)),
            ("v1.10.26", Release(1, 10, 26)),
            ("latest", Release::NEWEST),
            ("", Release::NEWEST),
        ] {
            assert_eq!(Release::read(text), expected, "{text}");
        }
    }

    #[test]
    fn features_begin_and_end_with_their_releases() {
        let has = |version, feature| Release::read(version).has(feature);
        assert!(!has("0.8.0", Feature::RefusesDuplicate) && has("0.8.1", Feature::RefusesDuplicate));
        assert!(!has("0.8.7", Feature::Events) && has("0.9.0", Feature::Events));
        assert!(!has("1.3.6", Feature::EventFilter) && has("1.3.7", Feature::EventFilter));
        assert!(!has("1.3.14", Feature::Replaces) && has("1.4.0", Feature::Replaces));
        assert!(!has("1.5.9", Feature::LightPlan) && has("1.6.549", Feature::LightPlan));
        assert!(!has("1.7.50", Feature::LightPlan));
        assert!(!has("1.7.50", Feature::ListsAtOnce) && has("1.11.24", Feature::ListsAtOnce));
    }
}
