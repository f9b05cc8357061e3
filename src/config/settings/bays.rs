//! The section about how a bay's stack is built.

use crate::config::option::{integer, section};

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
