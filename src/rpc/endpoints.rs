//! The methods that the conductor serves. A new method is one struct in its endpoint's file and one entry here.

mod bay;
mod indirection;
mod listener;

use crate::rpc::method::Method;

/// Every method, in the order in which Magnum's endpoints stand.
pub(crate) static METHODS: &[&dyn Method] = &[
    &indirection::ObjectClassAction,
    &indirection::ObjectAction,
    &bay::Create,
    &bay::Update,
    &bay::Delete,
    &listener::PingConductor,
    &listener::OsloPing,
];
