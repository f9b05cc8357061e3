//! What differs between the versions of Marathon, as a table: nothing else in the stand-in asks for a version.

/// How the answer 422 tells what is wrong with a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultShape {
    /// `errors: [{attribute, error}]`.
    Errors,
    /// `details: [{attribute, error}]`.
    Attributes,
    /// `details: [{path, errors}]`.
    Paths,
}

/// How the steps of a deployment are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepShape {
    /// `[[{action, app}]]`.
    Arrays,
    /// `[{actions: [{type, app}]}]`.
    Types,
    /// `[{actions: [{action, app}]}]`.
    Actions,
}

/// What a node that does not lead does with a request for events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventStream {
    /// There is no stream yet.
    Absent,
    Proxied,
    Redirected,
}

/// Whether deployment events carry both root groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlanShape {
    Full,
    /// Without them for who asks with `plan-format=light`.
    LightIfAsked,
    Light,
}

/// What becomes of a listener that does not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// It misses events and is not told.
    Loses,
    Disconnected,
}

/// What the stand-in answers to a path it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnknownRoute {
    NotFound,
    ServerError,
}

/// One version of Marathon, as far as a client can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// What `/v2/info` says.
    pub version: &'static str,
    pub(crate) release: (u32, u32),
    pub(crate) no_leader: u16,
    pub(crate) unknown_route: UnknownRoute,
    pub(crate) faults: FaultShape,
    /// Whether a value of the wrong type is told like a value out of range, with 422.
    pub(crate) wrong_type_is_a_fault: bool,
    pub(crate) steps: StepShape,
    pub(crate) events: EventStream,
    pub(crate) event_filter: bool,
    pub(crate) plans: PlanShape,
    pub(crate) event_buffer: usize,
    pub(crate) overflow: Overflow,
    pub(crate) max_deployments: Option<usize>,
    /// Whether a deployment is listed as soon as it was accepted.
    pub(crate) listed_at_once: bool,
    pub(crate) versions_kept: usize,
    /// Whether a `PUT` that creates answers with the app instead of the deployment.
    pub(crate) put_shows_the_app: bool,
    pub(crate) instance_ids: bool,
}

const V1_11: Profile = Profile {
    version: "1.11.24",
    release: (1, 11),
    no_leader: 502,
    unknown_route: UnknownRoute::ServerError,
    faults: FaultShape::Paths,
    wrong_type_is_a_fault: true,
    steps: StepShape::Actions,
    events: EventStream::Redirected,
    event_filter: true,
    plans: PlanShape::Light,
    event_buffer: 1024,
    overflow: Overflow::Disconnected,
    max_deployments: Some(100),
    listed_at_once: true,
    versions_kept: 50,
    put_shows_the_app: false,
    instance_ids: true,
};

const V1_8: Profile = Profile { version: "1.8.222", release: (1, 8), ..V1_11 };

const V1_6: Profile = Profile {
    version: "1.6.322",
    release: (1, 6),
    no_leader: 503,
    unknown_route: UnknownRoute::NotFound,
    events: EventStream::Proxied,
    plans: PlanShape::LightIfAsked,
    overflow: Overflow::Loses,
    listed_at_once: false,
    instance_ids: false,
    ..V1_8
};

const V1_4: Profile = Profile {
    version: "1.4.2",
    release: (1, 4),
    wrong_type_is_a_fault: false,
    plans: PlanShape::Full,
    max_deployments: None,
    event_buffer: 50,
    ..V1_6
};

const V1_3: Profile = Profile { version: "1.3.7", release: (1, 3), versions_kept: 25, ..V1_4 };

const V1_1: Profile =
    Profile { version: "1.1.1", release: (1, 1), steps: StepShape::Types, event_filter: false, ..V1_3 };

const V0_15: Profile = Profile {
    version: "0.15.3",
    release: (0, 15),
    faults: FaultShape::Attributes,
    steps: StepShape::Arrays,
    ..V1_1
};

const V0_8: Profile = Profile {
    version: "0.8.2",
    release: (0, 8),
    faults: FaultShape::Errors,
    events: EventStream::Absent,
    put_shows_the_app: true,
    ..V0_15
};

impl Profile {
    pub const V0_8: Self = V0_8;
    pub const V0_15: Self = V0_15;
    pub const V1_1: Self = V1_1;
    pub const V1_3: Self = V1_3;
    pub const V1_4: Self = V1_4;
    pub const V1_6: Self = V1_6;
    pub const V1_8: Self = V1_8;
    pub const V1_11: Self = V1_11;

    /// Every profile, oldest first.
    pub const ALL: [Self; 8] = [V0_8, V0_15, V1_1, V1_3, V1_4, V1_6, V1_8, V1_11];

    /// The profile of a release such as `1.3`.
    #[must_use]
    pub fn of_release(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// The release, as in `1.3`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.release.0, self.release.1)
    }

    pub(crate) fn since(&self, major: u32, minor: u32) -> bool {
        self.release >= (major, minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_found_by_its_release_and_they_are_in_order() {
        for profile in Profile::ALL {
            assert_eq!(Profile::of_release(&profile.name()), Some(profile));
            assert!(profile.version.starts_with(&format!("{}.", profile.name())));
        }
        assert!(Profile::ALL.is_sorted_by_key(|profile| profile.release));
        assert_eq!(Profile::of_release("2.0"), None);
    }
}
