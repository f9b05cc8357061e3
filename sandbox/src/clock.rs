//! The sandbox's own clock: it never goes back, and a test may push it forward instead of sleeping.

use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const SECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const MICROS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
const MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

#[derive(Debug)]
pub(crate) struct Clock {
    started: OffsetDateTime,
    running: Instant,
    pushed: Duration,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { started: OffsetDateTime::now_utc(), running: Instant::now(), pushed: Duration::ZERO }
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.started + self.running.elapsed() + self.pushed
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.pushed = self.pushed.saturating_add(by);
    }
}

/// Heat writes times to the second.
pub(crate) fn heat_time(at: OffsetDateTime) -> String {
    at.format(SECONDS).expect("a fixed description formats every date")
}

/// Keystone writes times to the microsecond.
pub(crate) fn keystone_time(at: OffsetDateTime) -> String {
    at.format(MICROS).expect("a fixed description formats every date")
}

/// Marathon writes times to the millisecond.
pub(crate) fn marathon_time(at: OffsetDateTime) -> String {
    at.format(MILLIS).expect("a fixed description formats every date")
}

/// Reads the times Keystone accepts for a trust's expiry.
pub(crate) fn parse_keystone_time(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()
}

pub(crate) fn serialize<S: Serializer>(at: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&keystone_time(*at))
}

pub(crate) fn serialize_optional<S: Serializer>(
    at: &Option<OffsetDateTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    at.map(keystone_time).serialize(serializer)
}
