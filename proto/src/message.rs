//! Stub until the real one lands.
use serde::{Deserialize, Serialize};
/// Stub.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplyAddress {
    /// Stub.
    pub queue: String,
}
