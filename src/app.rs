//! The domain of apps: what one is, what may become of it, what a definition must look like and when two
//! definitions are the same. Pure: no I/O, no clock, nothing above it is imported.

pub mod definition;
pub mod id;
pub mod manifest;
pub mod model;
pub mod status;

pub use definition::{Change, Definition, change, differences, same_definition};
pub use id::{AppId, IdFault};
pub use manifest::{Manifest, ManifestFault, ManifestFaults, Subject};
pub use model::App;
pub use status::{Action, Event, IllegalTransition, Phase, Status, UnknownStatus};
