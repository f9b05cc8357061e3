//! The steps of every kind of operation. A new step is one struct in its kind's file and one entry in that list.

pub mod bay_create;
pub mod bay_delete;
pub mod bay_update;
mod stack;

use crate::operation::record::Kind;
use crate::operation::step::{Plan, Step};

/// The plan of a kind of operation.
pub fn plan(kind: Kind) -> &'static dyn Plan {
    match kind {
        Kind::BayCreate => &bay_create::BayCreate,
        Kind::BayUpdate => &bay_update::BayUpdate,
        Kind::BayDelete => &bay_delete::BayDelete,
    }
}

/// The step to begin with.
pub fn first(kind: Kind) -> &'static str {
    plan(kind).steps().first().expect("every plan has a step").name()
}

/// The step of that name, and the one after it.
pub(crate) fn find(kind: Kind, name: &str) -> Option<(&'static dyn Step, Option<&'static str>)> {
    let steps = plan(kind).steps();
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
            let mut names: Vec<_> = plan(*kind).steps().iter().map(|step| step.name()).collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count, "{kind:?}");
        }
    }
}
