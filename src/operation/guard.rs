//! The guards that the promises rest on, each of which a test build can leave out: `make chaos GUARD_OFF=fence` has to
//! notice that it is missing.
//!
//! Compiled away unless the feature `guards` is on. `MESOS_CONDUCTOR_GUARD_OFF=fence` leaves that one out.

/// What keeps a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// A message that comes again is known by its key.
    Dedupe,
    /// A lease is proved before anything is written.
    Fence,
    /// What is to be said is deleted only after the broker's confirm.
    Outbox,
    /// What was made for a bay that cannot be is removed.
    Undo,
    /// What was made is found again by its name.
    Names,
}

#[cfg(feature = "guards")]
impl Guard {
    const fn name(self) -> &'static str {
        match self {
            Self::Dedupe => "dedupe",
            Self::Fence => "fence",
            Self::Outbox => "outbox",
            Self::Undo => "undo",
            Self::Names => "names",
        }
    }
}

/// Whether a guard is left out.
#[cfg(not(feature = "guards"))]
pub(crate) const fn is_off(_guard: Guard) -> bool {
    false
}

/// Whether a guard is left out.
#[cfg(feature = "guards")]
pub(crate) fn is_off(guard: Guard) -> bool {
    static OFF: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var("MESOS_CONDUCTOR_GUARD_OFF").ok());
    OFF.as_deref() == Some(guard.name())
}
