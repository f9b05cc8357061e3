//! The era's methods that no Mesos bay ever had: an operator who meets one is told what to use instead.

use crate::error::Fault;

/// Why a method is not here.
#[derive(Clone, Copy)]
enum Because {
    /// It drives the Docker of a Swarm bay.
    Swarm,
    /// It drives Kubernetes.
    Kubernetes,
}

const TABLE: &[(&str, Because)] = &[
    ("container_create", Because::Swarm),
    ("container_delete", Because::Swarm),
    ("container_show", Because::Swarm),
    ("container_reboot", Because::Swarm),
    ("container_stop", Because::Swarm),
    ("container_start", Because::Swarm),
    ("container_pause", Because::Swarm),
    ("container_unpause", Because::Swarm),
    ("container_logs", Because::Swarm),
    ("container_exec", Because::Swarm),
    ("pod_create", Because::Kubernetes),
    ("pod_update", Because::Kubernetes),
    ("pod_delete", Because::Kubernetes),
    ("pod_show", Because::Kubernetes),
    ("pod_list", Because::Kubernetes),
    ("service_create", Because::Kubernetes),
    ("service_update", Because::Kubernetes),
    ("service_delete", Because::Kubernetes),
    ("service_show", Because::Kubernetes),
    ("service_list", Because::Kubernetes),
    ("rc_create", Because::Kubernetes),
    ("rc_update", Because::Kubernetes),
    ("rc_delete", Because::Kubernetes),
    ("rc_show", Because::Kubernetes),
    ("rc_list", Because::Kubernetes),
];

/// The names of these methods.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

/// The refusal of such a method, whatever its arguments: releases differ in them. `None` for any other.
pub(crate) fn refusal(method: &str) -> Option<Fault> {
    let (name, because) = TABLE.iter().find(|(name, _)| *name == method)?;
    let of = match because {
        Because::Swarm => "Swarm",
        Because::Kubernetes => "Kubernetes",
    };
    let operation = format!(
        "{name} is for {of} bays, and this conductor serves Mesos bays; run containers as apps of the bay's Marathon, \
         at port 8080 of its api_address. {name}"
    );
    Some(Fault::NotSupported { operation })
}
