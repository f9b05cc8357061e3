//! The steps of every kind of operation. A new step is one struct in its kind's file and one entry in that list.

pub mod bay_create;
pub mod bay_delete;
pub mod bay_update;
mod stack;

use crate::bay::Bay;
use crate::operation::record::Kind;
use crate::operation::step::{Plan, Step};
use crate::operation::subject::Subject;

/// The plan of a kind of operation, by what it is about.
pub enum PlanOf {
    Bay(&'static dyn Plan<Bay>),
}

pub fn plan(kind: Kind) -> PlanOf {
    match kind {
        Kind::BayCreate => PlanOf::Bay(&bay_create::BayCreate),
        Kind::BayUpdate => PlanOf::Bay(&bay_update::BayUpdate),
        Kind::BayDelete => PlanOf::Bay(&bay_delete::BayDelete),
    }
}

/// The names of a kind's steps, in their order.
pub fn names(kind: Kind) -> Vec<&'static str> {
    fn of<S: Subject>(plan: &dyn Plan<S>) -> Vec<&'static str> {
        plan.steps().iter().map(|step| step.name()).collect()
    }
    match plan(kind) {
        PlanOf::Bay(plan) => of(plan),
    }
}

/// The step to begin with.
pub fn first(kind: Kind) -> &'static str {
    names(kind).first().copied().expect("every plan has a step")
}

/// The step of that name, and the one after it.
pub(crate) fn find<S: Subject>(
    plan: &dyn Plan<S>,
    name: &str,
) -> Option<(&'static dyn Step<S>, Option<&'static str>)> {
    let steps = plan.steps();
    let at = steps.iter().position(|step| step.name() == name)?;
    let step = *steps.get(at)?;
    Some((step, steps.get(at + 1).map(|next| next.name())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_names_are_unique_within_a_plan() {
        for kind in Kind::ALL {
            let mut names = names(*kind);
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count, "{kind:?}");
        }
    }
}
