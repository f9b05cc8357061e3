//! The methods that the conductor serves. A new method is one struct in its endpoint's file and one entry here.

mod app;
mod bay;
mod certificate;
mod command;
mod indirection;
mod key_pair;
mod listener;
mod unsupported;

pub use indirection::{RemotableMethod, remotable_methods};
pub use unsupported::names as unsupported_names;
pub(crate) use unsupported::refusal;

use crate::rpc::method::Method;

/// Every method, in the order in which Magnum's endpoints stand.
pub(crate) static METHODS: &[&dyn Method] = &[
    &indirection::ObjectClassAction,
    &indirection::ObjectAction,
    &indirection::ObjectBackport,
    &bay::Create,
    &bay::Update,
    &bay::Delete,
    &certificate::Sign,
    &certificate::GetAuthority,
    &certificate::Rotate,
    &app::Create,
    &app::Update,
    &app::Delete,
    &app::Show,
    &app::List,
    &app::Scale,
    &app::Restart,
    &app::Rollback,
    &app::Versions,
    &app::Tasks,
    &app::TaskKill,
    &app::Diagnose,
    &app::Deployments,
    &app::Cancel,
    &key_pair::Create,
    &key_pair::Delete,
    &listener::PingConductor,
    &listener::OsloPing,
];
