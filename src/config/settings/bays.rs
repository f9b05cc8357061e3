//! The sections about how a bay's stack is built.

use std::path::PathBuf;

use crate::config::option::{boolean, integer, path, section};

section! {
    /// How a bay's stack is built.
    "cluster_heat" => ClusterHeatSettings {
        /// Minutes that Heat may take for a stack when the caller names no limit; 0 is no limit.
        create_timeout: u32 = integer("60", 0, 1_000_000).also(&[
            ("cluster_heat", "bay_create_timeout"),
            ("bay_heat", "bay_create_timeout"),
            ("bay_heat", "create_timeout"),
            ("bay_heat", "cluster_create_timeout"),
        ]);
    }
}

section! {
    /// What the nodes of bays need to know of the cloud.
    "drivers" => DriversSettings {
        /// A file of certificates, PEM, that the nodes believe besides those of their system: the cloud's own.
        openstack_ca_file: Option<PathBuf> = path("");
        /// Whether nodes check the certificate of Heat when they report to it.
        verify_ca: bool = boolean("true");
    }
}
