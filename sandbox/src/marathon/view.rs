//! What Marathon's answers and events show, in the words of its version.

mod app;
mod deployment;
mod queue;

pub(crate) use app::{Embed, app, app_info, group, task};
pub(crate) use deployment::{accepted, deployment, plan_event, step_event, steps};
pub(crate) use queue::queue;
