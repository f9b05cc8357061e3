//! The steps of every kind of operation. A new step is one struct in its kind's file and one entry in that list.

mod app;
pub mod app_change;
pub mod app_create;
pub mod app_delete;
pub mod app_task_kill;
pub mod bay_create;
pub mod bay_delete;
pub mod bay_update;
pub mod ca_rotate;
mod certificates;
mod deployment;
pub mod deployment_cancel;
mod drain;
mod stack;

use crate::app::App;
use crate::bay::Bay;
use crate::notify::About;
use crate::operation::record::Kind;
use crate::operation::step::{Plan, Step};
use crate::operation::subject::{BayDeployment, Subject};

pub use deployment::AWAIT_DEPLOYMENT;

/// The plan of a kind of operation, by what it is about.
pub enum PlanOf {
    Bay(&'static dyn Plan<Bay>),
    App(&'static dyn Plan<App>),
    Deployment(&'static dyn Plan<BayDeployment>),
}

pub fn plan(kind: Kind) -> PlanOf {
    match kind {
        Kind::BayCreate => PlanOf::Bay(&bay_create::BayCreate),
        Kind::BayUpdate => PlanOf::Bay(&bay_update::BayUpdate),
        Kind::BayDelete => PlanOf::Bay(&bay_delete::BayDelete),
        Kind::CaRotate => PlanOf::Bay(&ca_rotate::CaRotate),
        Kind::AppCreate => PlanOf::App(&app_create::AppCreate),
        Kind::AppUpdate | Kind::AppScale | Kind::AppRestart | Kind::AppRollback => {
            PlanOf::App(&app_change::AppChange)
        }
        Kind::AppDelete => PlanOf::App(&app_delete::AppDelete),
        Kind::AppTaskKill => PlanOf::App(&app_task_kill::AppTaskKill),
        Kind::DeploymentCancel => PlanOf::Deployment(&deployment_cancel::DeploymentCancel),
    }
}

/// What a kind of operation is about, as log lines call it; `None` when it is no row.
pub(crate) fn subject(kind: Kind) -> Option<&'static str> {
    match plan(kind) {
        PlanOf::Bay(_) => Some("bay"),
        PlanOf::App(_) => Some("app"),
        PlanOf::Deployment(_) => None,
    }
}

/// What notifications of a kind of operation look like.
pub(crate) fn about(kind: Kind) -> About {
    match plan(kind) {
        PlanOf::Bay(_) => About::of::<Bay>(kind),
        PlanOf::App(_) => About::of::<App>(kind),
        PlanOf::Deployment(_) => About::of::<BayDeployment>(kind),
    }
}

/// The names of a kind's steps, in their order.
pub fn names(kind: Kind) -> Vec<&'static str> {
    fn of<S: Subject>(plan: &dyn Plan<S>) -> Vec<&'static str> {
        plan.steps().iter().map(|step| step.name()).collect()
    }
    match plan(kind) {
        PlanOf::Bay(plan) => of(plan),
        PlanOf::App(plan) => of(plan),
        PlanOf::Deployment(plan) => of(plan),
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
