//! The state of an app: which action it is about, and how far that has come.

use std::fmt;
use std::str::FromStr;

/// What is done to an app. Scaling, restarting and rolling back are updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Create,
    Update,
    Delete,
}

/// How far an action has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    InProgress,
    Complete,
    Failed,
}

/// The state of an app, written as `CREATE_IN_PROGRESS` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status {
    pub action: Action,
    pub phase: Phase,
}

/// What can happen to an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Begin(Action),
    Completed,
    Failed,
}

/// Something happened that cannot happen to an app in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} cannot happen to an app in {status}")]
pub struct IllegalTransition {
    pub status: Status,
    pub event: Event,
}

impl Status {
    /// The state of an app that has just been asked for.
    pub const NEW: Self = Self { action: Action::Create, phase: Phase::InProgress };

    /// Every status, in the order of the actions.
    pub const ALL: [Self; 9] = {
        const fn of(action: Action, phase: Phase) -> Status {
            Status { action, phase }
        }
        [
            of(Action::Create, Phase::InProgress),
            of(Action::Create, Phase::Complete),
            of(Action::Create, Phase::Failed),
            of(Action::Update, Phase::InProgress),
            of(Action::Update, Phase::Complete),
            of(Action::Update, Phase::Failed),
            of(Action::Delete, Phase::InProgress),
            of(Action::Delete, Phase::Complete),
            of(Action::Delete, Phase::Failed),
        ]
    };

    pub fn as_str(self) -> &'static str {
        match (self.action, self.phase) {
            (Action::Create, Phase::InProgress) => "CREATE_IN_PROGRESS",
            (Action::Create, Phase::Complete) => "CREATE_COMPLETE",
            (Action::Create, Phase::Failed) => "CREATE_FAILED",
            (Action::Update, Phase::InProgress) => "UPDATE_IN_PROGRESS",
            (Action::Update, Phase::Complete) => "UPDATE_COMPLETE",
            (Action::Update, Phase::Failed) => "UPDATE_FAILED",
            (Action::Delete, Phase::InProgress) => "DELETE_IN_PROGRESS",
            (Action::Delete, Phase::Complete) => "DELETE_COMPLETE",
            (Action::Delete, Phase::Failed) => "DELETE_FAILED",
        }
    }

    pub fn is_in_progress(self) -> bool {
        self.phase == Phase::InProgress
    }

    /// The state after an event. A failed app may be updated, which is how it is mended; a delete may begin at any
    /// time and again, since it ends whatever else was going on.
    pub fn after(self, event: Event) -> Result<Self, IllegalTransition> {
        let action = self.action;
        match (event, self.phase, action) {
            (Event::Completed, Phase::InProgress, _) => Ok(Self { action, phase: Phase::Complete }),
            (Event::Failed, Phase::InProgress, _) => Ok(Self { action, phase: Phase::Failed }),
            (
                Event::Begin(Action::Update),
                Phase::Complete | Phase::Failed,
                Action::Create | Action::Update,
            ) => Ok(Self { action: Action::Update, phase: Phase::InProgress }),
            (
                Event::Begin(Action::Delete),
                Phase::InProgress | Phase::Complete | Phase::Failed,
                Action::Create | Action::Update,
            )
            | (Event::Begin(Action::Delete), Phase::InProgress | Phase::Failed, Action::Delete) => {
                Ok(Self { action: Action::Delete, phase: Phase::InProgress })
            }
            (Event::Completed | Event::Failed, Phase::Complete | Phase::Failed, _)
            | (Event::Begin(Action::Create), _, _)
            | (Event::Begin(Action::Update), Phase::InProgress, _)
            | (Event::Begin(Action::Update), _, Action::Delete)
            | (Event::Begin(Action::Delete), Phase::Complete, Action::Delete) => {
                Err(IllegalTransition { status: self, event })
            }
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no status of an app.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an app status")]
pub struct UnknownStatus(pub String);

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Status {
        text.parse().unwrap()
    }

    #[test]
    fn every_status_reads_back_from_its_text() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert!("CREATE_PENDING".parse::<Status>().is_err());
    }

    #[test]
    fn an_action_in_progress_ends_one_way_or_the_other() {
        assert_eq!(Status::NEW.after(Event::Completed), Ok(status("CREATE_COMPLETE")));
        assert_eq!(Status::NEW.after(Event::Failed), Ok(status("CREATE_FAILED")));
        assert_eq!(status("DELETE_IN_PROGRESS").after(Event::Failed), Ok(status("DELETE_FAILED")));
        for ended in Status::ALL.into_iter().filter(|status| !status.is_in_progress()) {
            assert!(ended.after(Event::Completed).is_err(), "{ended}");
            assert!(ended.after(Event::Failed).is_err(), "{ended}");
        }
    }

    #[test]
    fn an_update_begins_only_when_the_last_action_has_ended() {
        let allowed: Vec<_> = Status::ALL
            .into_iter()
            .filter(|status| status.after(Event::Begin(Action::Update)).is_ok())
            .map(Status::as_str)
            .collect();
        assert_eq!(allowed, ["CREATE_COMPLETE", "CREATE_FAILED", "UPDATE_COMPLETE", "UPDATE_FAILED"]);
    }

    #[test]
    fn a_delete_begins_at_any_time_but_after_its_own_success() {
        for from in Status::ALL {
            let expected = from != status("DELETE_COMPLETE");
            assert_eq!(from.after(Event::Begin(Action::Delete)).is_ok(), expected, "{from}");
            assert!(from.after(Event::Begin(Action::Create)).is_err(), "{from}");
        }
    }
}
